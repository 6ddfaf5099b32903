"""Pictures: colours, slices as small images, volumes for the slice viewer, vessels, and charts."""

import base64
import gzip
import io
import json

import matplotlib

matplotlib.use("Agg")
import matplotlib.image
import numpy as np
import plotly.graph_objects as charts
from matplotlib import pyplot
from matplotlib.collections import LineCollection
from plotly.utils import PlotlyJSONEncoder

from sanctuary_post import units
from sanctuary_post.run import finite, is_drug

# Okabe and Ito's colours, which remain distinct with any kind of colour blindness.
LINES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
NO_VALUE = (255, 255, 255)
SANCTUARY = [  # label, colour, meaning; index 0 is outside the tumour
    ("outside", "#ffffff", "no viable tumour: not counted"),
    ("reached", "#dcdcdc", "killed at least to the threshold Θ"),
    ("delivery", "#0072B2", "too little drug arrives; unprotected cells would survive this exposure too"),
    ("protection", "#E69F00", "the cells' state protects them, even at the exposure of plasma"),
    ("both", "#3d3d3d", "either reason alone would be enough"),
    ("joint", "#CC79A7", "neither reason alone would be enough; together they are"),
    ("rescued", "#8fd3b6", "under-exposed or protected, and killed all the same"),
]
WIDEST = 20000  # vessels drawn; more would make the page slow to turn
_kinds = [("pressure", "cividis"), ("oxygen", "viridis"), ("log_kill", "YlGnBu_r"), ("density", "YlGn")]


def colours(name, drugs):
    """The name of the colour map of a field: perceptually uniform and safe for colour-blind readers."""
    lowered = name.lower()
    if "po2" in lowered or "oxygen" in lowered:
        return "viridis"
    for part, colour_map in _kinds:
        if part in lowered:
            return colour_map
    return "inferno" if is_drug(lowered, drugs) else "cividis"


def table(colour_map):
    """256 RGB colours; the last stands for no value."""
    rgb = (matplotlib.colormaps[colour_map](np.linspace(0, 1, 255))[:, :3] * 255).round().astype(np.uint8)
    return np.vstack([rgb, np.array([NO_VALUE], dtype=np.uint8)])


def gradient(colour_map):
    """The same colours as a CSS gradient."""
    stops = (matplotlib.colormaps[colour_map](np.linspace(0, 1, 13))[:, :3] * 255).round().astype(int)
    return "linear-gradient(to right," + ",".join("#%02x%02x%02x" % tuple(stop) for stop in stops) + ")"


def sanctuary_table():
    """256 RGB colours for the classes of `sanctuary_classes`."""
    rgb = np.full((256, 3), 255, dtype=np.uint8)
    for index, (_, colour, _) in enumerate(SANCTUARY):
        rgb[index] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return rgb


def sanctuary_classes(bits, tumour):
    """Classes (index into SANCTUARY) from the sum of 1 (S1), 2 (S2), 4 (S4), -1 where nothing is viable, and the tumour's mask."""
    bits = np.where(np.isfinite(bits), bits, -1).round().astype(int)
    of_bits = np.array([1, 5, 6, 2, 6, 3, 6, 4], dtype=np.uint8)  # 0..7: none, S1, S2, S1+S2, S4, S1+S4, S2+S4, all
    return np.where(tumour & (bits >= 0), of_bits[bits & 7], 0).astype(np.uint8)


def limits(values):
    """Lowest and highest colour, and whether the highest stands for everything above it (a few extreme cells)."""
    values = finite(values)
    low, high = float(values.min()), float(values.max())
    top = float(np.quantile(values, 0.995))
    clipped = high - low > 2 * (top - low) > 0
    high = top if clipped else high
    if 0 <= low < 0.05 * high:
        low = 0.0
    return (low, high, clipped) if high > low else (low, low + (abs(low) or 1.0) * 1e-6, False)


def quantised(values, low, high):
    """Values as 0..254 between two limits, 255 where there is none."""
    level = np.clip((values - low) / (high - low), 0, 1) * 254
    return np.where(np.isfinite(values), level.round(), 255).astype(np.uint8)


def thinned(volume, most):
    """Every n-th cell, so that no side has more than `most`."""
    steps = tuple(slice(None, None, -(-side // most)) for side in volume.shape)
    return np.ascontiguousarray(volume[steps])


def middle_slices(levels, rgb):
    """The middle slices in z, y, x as PNG data addresses; the second axis points up."""
    z, y, x = (side // 2 for side in levels.shape)
    return [image(rgb[part[::-1]]) for part in (levels[z], levels[:, y], levels[:, :, x])]


def image(rgb):
    """An RGB array as a PNG data address."""
    stream = io.BytesIO()
    matplotlib.image.imsave(stream, np.ascontiguousarray(rgb), format="png")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def packed(content):
    """Bytes, compressed and as text, for a script element; the same bytes give the same text."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def encoded(value):
    """JSON, with Plotly figures and arrays in it, as bytes."""
    return json.dumps(value, cls=PlotlyJSONEncoder, separators=(",", ":")).encode()


def vessels(network, drugs):
    """Vessels for the 3-D view (lengths in mm) and how many there are; quantities at both ends of each segment."""
    count = len(network.segments)
    kept = np.argsort(-network.radius, kind="stable")[:WIDEST] if count > WIDEST else np.arange(count)
    kept = kept[np.isfinite(network.nodes[network.segments[kept]]).all(axis=(1, 2))]
    ends = network.segments[kept]
    radius = network.radius[kept]
    box = np.ptp(network.nodes[ends].reshape(-1, 3), axis=0).max() if len(kept) else 1.0
    # Thinner than a few pixels a vessel cannot be seen: all are then drawn wider by one factor.
    middle = float(np.median(radius)) if len(kept) else 0.0
    factor = max(1.0, box / 400 / middle) if middle > 0 else 1.0
    shown = []
    for quantity in sorted(network.quantities, key=lambda one: _vessel_order(one, drugs)):
        values = quantity.values[ends] if quantity.on == "nodes" else np.repeat(quantity.values[kept][:, None], 2, axis=1)
        if not np.isfinite(values).any():
            continue
        if quantity.name == "flow":
            values = np.abs(values)
        low, high, clipped = limits(values)
        unit, by = units.scale(quantity.unit, high)
        colour_map = colours(quantity.name, drugs)
        shown.append({
            "label": vessel_label(quantity, drugs), "unit": unit, "low": low * by, "high": high * by, "clipped": clipped,
            "colours": [[i / 12, "rgb(%d,%d,%d)" % tuple(rgb)] for i, rgb in enumerate(table(colour_map)[np.linspace(0, 254, 13).round().astype(int)])],
            "gradient": gradient(colour_map),
            "values": [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.ravel() * by],
        })
    lengths = lambda values: [float(f"{value:.5g}") for value in np.ravel(values) * 1e3]
    return {
        "ends": lengths(network.nodes[ends]), "radius": lengths(radius), "factor": factor, "number": kept.tolist(),
        "quantities": shown, "count": count, "drawn": len(kept), "lines": LINES,
    }


def vessel_label(quantity, drugs):
    """What a vessel quantity is called on its button."""
    names = {"po2": "pO₂", "pressure": "Pressure", "hematocrit": "Haematocrit", "flow": "Flow", "drug": "Drug"}
    label = names.get(quantity.name.lower(), units.words(quantity.name.replace("/", " ")))
    if quantity.name.lower() in drugs:
        label += " in blood"
    return f"{label}, {units.duration(quantity.time)}" if is_drug(quantity.name, drugs) and quantity.time is not None else label


def _vessel_order(quantity, drugs):
    name = quantity.name.lower()
    return (0 if is_drug(name, drugs) else 1 if "po2" in name or "oxygen" in name else 2, name, quantity.time or 0)


def vessels_flat(network, drugs):
    """The vessels seen along z, by drug and by pO2, as a PNG data address, for readers without 3-D graphics; or None."""
    order = sorted(network.quantities, key=lambda one: _vessel_order(one, drugs))
    drug = [one for one in order if is_drug(one.name, drugs)]
    oxygen = [one for one in order if "po2" in one.name.lower() or "oxygen" in one.name.lower()]
    chosen = drug[:1] + oxygen[:1] or order[:1]
    if not chosen:
        return None
    figure, axes = pyplot.subplots(1, len(chosen), figsize=(5.2 * len(chosen), 4.4), squeeze=False, layout="constrained")
    for axis, quantity in zip(axes[0], chosen):
        values = quantity.values[network.segments].mean(axis=1) if quantity.on == "nodes" else quantity.values
        low, high, _ = limits(values)
        unit, by = units.scale(quantity.unit, high)
        lines = LineCollection(network.nodes[network.segments][:, :, :2] * 1e3, array=values * by, linewidths=0.9,
                               cmap=colours(quantity.name, drugs), clim=(low * by, high * by))
        axis.add_collection(lines)
        axis.autoscale()
        axis.set_aspect("equal")
        axis.set_xlabel("x [mm]")
        axis.set_ylabel("y [mm]")
        figure.colorbar(lines, ax=axis, label=f"{vessel_label(quantity, drugs)}" + (f" [{unit}]" if unit else ""))
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    pyplot.close(figure)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _layout(**more):
    layout = {
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#222"}, "paper_bgcolor": "#fff", "plot_bgcolor": "#fff",
        "margin": {"l": 62, "r": 14, "t": 12, "b": 48}, "height": 300, "hovermode": "closest",
        "xaxis": {"title": {"font": {"size": 13}}, "tickfont": {"size": 12}, "gridcolor": "#e6e6e6", "zerolinecolor": "#bbb", "linecolor": "#888", "ticks": "outside"},
        "yaxis": {"title": {"font": {"size": 13}}, "tickfont": {"size": 12}, "gridcolor": "#e6e6e6", "zerolinecolor": "#bbb", "linecolor": "#888", "ticks": "outside", "exponentformat": "power",
                  "automargin": True},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "font": {"size": 12}},
    }
    for key, value in more.items():
        title = {**layout[key]["title"], **value.pop("title", {})}
        layout[key] |= value | {"title": title}
    return layout


def histogram(dose, fraction, unit):
    """Share of the viable tumour that gets at least a dose."""
    shown, by = units.scale(unit, float(np.max(dose)))
    label = f"AUC, free drug [{shown}]" if shown else "AUC, free drug"
    figure = charts.Figure(charts.Scatter(
        x=np.asarray(dose) * by, y=100 * np.asarray(fraction), mode="lines", line={"color": LINES[0], "width": 2.5}, fill="tozeroy",
        fillcolor="rgba(0,114,178,0.12)", hovertemplate=f"%{{y:.1f}} % gets at least %{{x:.4g}} {shown}<extra></extra>"))
    figure.update_layout(template="none", **_layout(
        xaxis={"title": {"text": label}, "rangemode": "tozero"},
        yaxis={"title": {"text": "viable tumour [%]"}, "range": [0, 102]}))
    return figure


def time_courses(time, quantities, cycles=()):
    """Charts over time as (title, figure): quantities of one unit share a chart, at most six lines each."""
    groups = {}
    for quantity in quantities:
        kind = "share" if quantity.unit in ("", "1") and quantity.name.endswith(("fraction", "share")) else ""
        groups.setdefault((quantity.unit, kind), []).append(quantity)
    made = []
    for (unit, kind), members in groups.items():
        for first in range(0, len(members), 6):
            few = members[first : first + 6]
            made.append((few[0].label or units.words(few[0].name) if len(few) == 1 else "",
                         time_course(time, few, "%" if kind else unit, 100.0 if kind else None, cycles)))
    return made


def time_course(time, members, unit, factor=None, cycles=()):
    """A chart of quantities of one unit over time; the starts [s] of treatment cycles are marked."""
    peaks = [float(np.max(np.abs(finite(one.values)))) for one in members]
    shown, by = (unit, factor) if factor else units.scale(unit, max(peaks))
    label, per = units.scale("s", float(np.max(np.abs(finite(time)))) if len(finite(time)) else 0)
    if label == "h" and np.max(np.abs(finite(time))) > 5 * 86400:
        label, per = "d", 1 / 86400
    figure = charts.Figure()
    for index, one in enumerate(members):
        figure.add_trace(charts.Scatter(
            x=time * per, y=np.where(np.isfinite(one.values), one.values * by, None), mode="lines" if len(time) > 1 else "markers",
            name=one.label or units.words(one.name),
            line={"color": LINES[index % len(LINES)], "width": 2, "dash": ("solid", "dash")[index % 2]},
            hovertemplate=f"%{{y:.4g}} {shown} at %{{x:.4g}} {label}<extra>{one.label or units.words(one.name)}</extra>"))
    positive = [value for one in members for value in [finite(one.values)] if len(value) and (value >= 0).all()]
    spread = [peak for peak in peaks if peak > 0]
    medians = [float(np.median(value[value > 0])) for value in positive if (value > 0).any()]
    # Curves of very different size, or one that decays over decades, need a logarithmic axis to be read.
    wide = len(positive) == len(members) and bool(spread) and (
        max(spread) > 30 * min(spread) or (len(medians) == len(members) and max(spread) > 30 * min(medians)))
    axis = {"title": {"text": f"[{shown}]" if shown else "[1]"}}
    if wide:
        top = float(np.log10(max(spread) * by))
        bottom = min(np.log10(medians) + np.log10(by)) - 1.5 if medians else top - 6
        axis |= {"type": "log", "range": [float(np.clip(bottom, top - 8, top - 2)), top + 0.3], "dtick": 1}
    figure.update_layout(template="none", showlegend=len(members) > 1, **_layout(
        xaxis={"title": {"text": f"time since start of treatment [{label}]"}}, yaxis=axis))
    for start in cycles:
        figure.add_vline(x=start * per, line={"color": "#999", "width": 1, "dash": "dot"})
    return figure


def distance_profiles(distance, profiles):
    """Quantities by distance [um] from perfused vessels, in percent of what they are next to a vessel; profiles of (name, values)."""
    figure = charts.Figure()
    for index, (name, values) in enumerate(profiles):
        figure.add_trace(charts.Scatter(
            x=distance, y=np.where(np.isfinite(values), 100 * values, None), mode="lines", name=name,
            line={"color": LINES[index % len(LINES)], "width": 2, "dash": ("solid", "dash")[index % 2]},
            hovertemplate=f"%{{y:.3g}} % at %{{x:.3g}} µm<extra>{name}</extra>"))
    figure.update_layout(template="none", showlegend=len(profiles) > 1, **_layout(
        xaxis={"title": {"text": "distance to the nearest perfused vessel [µm]"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "AUC, over that at vessels [%]"}, "rangemode": "tozero"}))
    return figure
