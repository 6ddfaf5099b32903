"""`python3 -m sanctuary_post.networks A.json B.json ... -o FILE`: vessel networks side by side.

Each file is what `sanctuary network info FILE --format json` prints (with `--flow`: blood flow too). The name of FILE says
what is made: .csv a table, .png a figure, .html both in one page.

Exit codes are those of `sanctuary`: 0 done; 2 the command line is wrong; 4 reading or writing failed.
"""

import argparse
import base64
import csv
import io
import json
import math
import sys
from pathlib import Path

INK = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933"]

# Label, unit, place in the file, factor from SI.
ROWS = [
    ("Segments", "", "statistics.segments", 1),
    ("Vessels", "", "statistics.vessels", 1),
    ("Branch points", "", "statistics.branch_points", 1),
    ("Ends", "", "statistics.end_nodes", 1),
    ("Blind ends", "", "statistics.blind_ends", 1),
    ("Boundary nodes", "", "statistics.boundary_nodes", 1),
    ("Connected pieces", "", "statistics.pieces", 1),
    ("Loops", "", "statistics.loops", 1),
    ("Length that can carry flow", "%", "statistics.through_flow_share", 100),
    ("Total length", "mm", "statistics.total_length_m", 1e3),
    ("Length density", "mm/mm³", "statistics.length_density_m_per_m3", 1e-6),
    ("Surface per volume", "1/cm", "statistics.surface_per_volume_per_m", 1e-2),
    ("Volume fraction", "%", "statistics.volume_fraction", 100),
    ("Segment density", "1/mm³", "statistics.segment_density_per_m3", 1e-9),
    ("Vessel density", "1/mm³", "statistics.vessel_density_per_m3", 1e-9),
    ("Branch point density", "1/mm³", "statistics.branch_point_density_per_m3", 1e-9),
    ("Radius by length, mean", "µm", "statistics.radius_by_length_m.mean", 1e6),
    ("Radius by length, SD", "µm", "statistics.radius_by_length_m.deviation", 1e6),
    ("Radius by length, median", "µm", "statistics.radius_by_length_m.median", 1e6),
    ("Vessel length, mean", "µm", "statistics.vessel_length_m.mean", 1e6),
    ("Vessel length, SD", "µm", "statistics.vessel_length_m.deviation", 1e6),
    ("Vessel length, median", "µm", "statistics.vessel_length_m.median", 1e6),
    ("Tortuosity", "", "statistics.tortuosity", 1),
    ("Tortuosity of vessels, 95 %", "", "statistics.vessel_tortuosity.quantile_95", 1),
    ("Fractal dimension", "", "statistics.fractal_dimension", 1),
    ("Tissue to nearest wall, mean", "µm", "statistics.distance_to_wall_m.mean", 1e6),
    ("Tissue to nearest wall, median", "µm", "statistics.distance_to_wall_m.median", 1e6),
    ("Tissue to nearest wall, 95 %", "µm", "statistics.distance_to_wall_m.quantile_95", 1e6),
    ("Tissue to nearest wall, largest", "µm", "statistics.distance_to_wall_m.max", 1e6),
    ("Perfused, by length", "%", "haemodynamics.perfused_fraction", 100),
    ("Blood flow", "ml/min/100 g", "haemodynamics.perfusion_ml_per_min_per_100g", 1),
    ("Plasma flow", "ml/min/100 g", "haemodynamics.plasma_flow_ml_per_min_per_100g", 1),
    ("Variation of flow (SD over mean)", "", "haemodynamics.flow_variation", 1),
    ("Variation of velocity", "", "haemodynamics.velocity_variation", 1),
    ("Velocity by length, median", "mm/s", "haemodynamics.velocity_by_length_m_per_s.median", 1e3),
    ("Wall shear by length, median", "dyn/cm²", "haemodynamics.wall_shear_by_length_Pa.median", 10),
    ("Transit time, mean", "s", "haemodynamics.transit_mean_s", 1),
    ("Transit time, SD", "s", "haemodynamics.transit_deviation_s", 1),
    ("Transit time, variation", "", "haemodynamics.transit_variation", 1),
    ("Outflow with known transit", "%", "haemodynamics.transit_share", 100),
]
# A planar network has no densities; the program writes 0 for them.
DENSITIES = {row[2] for row in ROWS if "density" in row[2]} | {
    "statistics.surface_per_volume_per_m", "statistics.volume_fraction", "haemodynamics.perfusion_ml_per_min_per_100g",
    "haemodynamics.plasma_flow_ml_per_min_per_100g"}


class NetworksError(Exception):
    """Reading or writing failed, or the command line is wrong."""

    def __init__(self, text, exit_code=4):
        super().__init__(text)
        self.exit_code = exit_code


def load(path):
    """One file of `network info --format json`; raises NetworksError."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as trouble:
        raise NetworksError(f"{path}: cannot be read ({trouble.strerror})", 2) from None
    except ValueError as trouble:
        raise NetworksError(f"{path}: is not JSON ({trouble}); expected what `sanctuary network info --format json` prints") from None
    if not isinstance(found, dict) or "histograms" not in found.get("statistics", {}):
        raise NetworksError(f"{path}: has no statistics with histograms; expected what `sanctuary network info --format json` prints")
    return found


def value(network, place):
    """The number at a dotted place; None where the file has none or where it means nothing."""
    if place in DENSITIES and math.prod(network["statistics"].get("box_size_m", [0])) == 0:
        return None
    for part in place.split("."):
        if not isinstance(network, dict) or part not in network:
            return None
        network = network[part]
    return network


def table(networks):
    """Rows of (label, unit, values in that unit or None); rows that no network has are left out."""
    rows = []
    for label, unit, place, factor in ROWS:
        values = [value(network, place) for network in networks]
        if any(one is not None for one in values):
            rows.append((label, unit, [None if one is None else one * factor for one in values]))
    return rows


def names_of(paths, given):
    """A name for each network: as given, else the name of its file; made different where they are the same."""
    names = [name.strip() for name in given.split(",")] if given else [Path(path).stem for path in paths]
    if len(names) != len(paths):
        raise NetworksError(f"--names: {len(names)} names for {len(paths)} files", 2)
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]


def as_csv(names, rows):
    """The table as text, full precision."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["quantity", "unit", *names])
    for label, unit, values in rows:
        writer.writerow([label, unit, *("" if one is None else repr(one) for one in values)])
    return stream.getvalue()


def figure(names, networks, dpi=110):
    """Nine panels as PNG bytes: distributions, box counts, degrees, heterogeneity, transit times."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    picture, axes = pyplot.subplots(3, 3, figsize=(14, 11), layout="constrained")
    axes = axes.ravel()
    ink = [INK[i % len(INK)] for i in range(len(networks))]

    def steps(axis, part, name, factor, title, unit, logarithmic=False):
        axis.set_title(title)
        axis.set_xlabel(unit)
        axis.set_ylabel("share per decade" if logarithmic else f"share per {unit}" if unit else "density")
        drawn, reach = False, 0.0
        for i, network in enumerate(networks):
            bins = network.get(part, {}).get("histograms", {}).get(name)
            if not bins or sum(bins["share"]) == 0:
                continue
            edges = [edge * factor for edge in bins["edges"]]
            width = [math.log10(b / a) if logarithmic else b - a for a, b in zip(edges, edges[1:])]
            axis.stairs([share / w for share, w in zip(bins["share"], width)], edges, color=ink[i], label=names[i], linewidth=1.6)
            reach = max([reach] + [edge for edge, share in zip(edges[1:], bins["share"]) if share > 1e-4])
            drawn = True
        if logarithmic:
            axis.set_xscale("log")
        elif reach > 0:
            axis.set_xlim(edges_low(networks, part, name) * factor, reach * 1.05)
        if not drawn:
            axis.text(0.5, 0.5, "no blood flow given", ha="center", transform=axis.transAxes)

    steps(axes[0], "statistics", "radius_by_length_m", 1e6, "Radius, by length", "µm")
    steps(axes[1], "statistics", "vessel_length_m", 1e6, "Length of vessels", "µm", True)
    steps(axes[2], "statistics", "vessel_tortuosity", 1, "Tortuosity of vessels", "")
    steps(axes[3], "statistics", "distance_to_wall_m", 1e6, "Tissue to nearest vessel wall", "µm")

    axes[4].set_title("Boxes that hold a vessel")
    for i, network in enumerate(networks):
        counts = network["statistics"]["box_counts"]
        if counts["edge_m"]:
            dimension = network["statistics"]["fractal_dimension"]
            axes[4].loglog([edge * 1e6 for edge in counts["edge_m"]], counts["count"], "o-", color=ink[i], label=f"{names[i]}: {dimension:.2f}")
    axes[4].set_xlabel("edge of the boxes [µm]")
    axes[4].set_ylabel("boxes")
    axes[4].legend(title="slope at the small end", fontsize=8)

    axes[5].set_title("Degree of nodes")
    width = 0.8 / len(networks)
    for i, network in enumerate(networks):
        degrees = network["statistics"]["nodes_by_degree"][:7]
        total = sum(network["statistics"]["nodes_by_degree"]) or 1
        axes[5].bar([d + (i - (len(networks) - 1) / 2) * width for d in range(len(degrees))], [count / total for count in degrees], width, color=ink[i])
    axes[5].set_xlabel("segment ends at the node")
    axes[5].set_ylabel("share of nodes")

    axes[6].set_title("Heterogeneity (SD over mean)")
    shown = [("flow_variation", "flow"), ("velocity_variation", "velocity"), ("transit_variation", "transit time")]
    for i, network in enumerate(networks):
        flow = network.get("haemodynamics")
        if flow:
            axes[6].bar([k + (i - (len(networks) - 1) / 2) * width for k in range(3)], [flow[key] for key, _ in shown], width, color=ink[i])
    axes[6].set_xticks(range(3), [label for _, label in shown])

    steps(axes[7], "haemodynamics", "velocity_by_length_m_per_s", 1e3, "Blood velocity, by length", "mm/s", True)
    steps(axes[8], "haemodynamics", "transit_s", 1, "Transit time, by flow", "s", True)
    axes[0].legend(fontsize=8)
    stream = io.BytesIO()
    picture.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    pyplot.close(picture)
    return stream.getvalue()


def edges_low(networks, part, name):
    """The lowest edge of a histogram."""
    return min(network[part]["histograms"][name]["edges"][0] for network in networks if name in network.get(part, {}).get("histograms", {}))


def page(names, paths, networks):
    """Table and figure as one self-contained page."""
    from sanctuary_post import units
    from sanctuary_post.page import document, escape, heading, table as shown

    rows = [[escape(label), escape(unit), *("–" if one is None else units.number(one) for one in values)] for label, unit, values in table(networks)]
    picture = base64.b64encode(figure(names, networks)).decode()
    files = ", ".join(f"{escape(name)}: {escape(str(network.get('file', path)))}" for name, path, network in zip(names, paths, networks))
    return document("Vessel networks side by side", "", [
        ("table", "Figures", shown("networks", heading("", "", *map(escape, names)), rows)
         + '<p class="quiet">A vessel is a chain of segments between branch points, ends and boundary nodes. Points of tissue near the faces of the box do not see '
           f"vessels beyond it. {files}</p>"),
        ("figure", "Distributions", f'<img style="max-width:100%" alt="distributions of the networks" src="data:image/png;base64,{picture}">')])


def parse(arguments):
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m sanctuary_post.networks",
        description="Lays vessel networks side by side: a table, a figure, or both in one page.")
    parser.add_argument("files", metavar="JSON", nargs="+", help="what `sanctuary network info FILE --format json` printed")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help=".csv: the table; .png: the figure; .html: both")
    parser.add_argument("--names", metavar="A,B,...", default="", help="names of the networks (default: of the files)")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Runs the command and returns its exit code."""
    options = parse(arguments)
    try:
        from sanctuary_post.run import ReportError, write_whole

        networks = [load(path) for path in options.files]
        names = names_of(options.files, options.names)
        kind = options.output.suffix
        if kind == ".csv":
            content = as_csv(names, table(networks)).encode()
        elif kind == ".png":
            content = figure(names, networks)
        elif kind == ".html":
            content = page(names, options.files, networks).encode()
        else:
            raise NetworksError(f"{options.output}: expected a name that ends in .csv, .png or .html", 2)
        try:
            write_whole(options.output, content)
        except ReportError as trouble:
            raise NetworksError(str(trouble)) from None
    except NetworksError as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return trouble.exit_code
    print(f"{options.output}: {len(networks)} networks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
