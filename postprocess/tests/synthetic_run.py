"""Makes run directories in the layout of `sanctuary simulate`, with plausible shapes and no physics behind them."""

import json
from pathlib import Path

import h5py
import numpy as np
from sanctuary_post.run import flat


def put(group, name, values, unit, **attributes):
    data = group.create_dataset(name, data=values)
    data.attrs["unit"] = unit
    for key, value in attributes.items():
        data.attrs[key] = value
    return data


def grown(segments, box, seed):
    """A random tree of vessels in a box [m]: nodes [m, 3], segments [k, 2], radius [k]."""
    random = np.random.default_rng(seed)
    nodes, links, radius = [np.array([0.0, 0.5, 0.5]) * box], [], []
    heading = [np.array([1.0, 0.0, 0.0])]
    while len(links) < segments:
        parent = int(random.integers(max(0, len(nodes) - 400), len(nodes)))
        turn = heading[parent] + 0.55 * random.normal(size=3)
        turn /= np.linalg.norm(turn)
        end = nodes[parent] + turn * box * random.uniform(0.03, 0.07)
        if (end < 0).any() or (end > box).any():
            if random.random() < 0.3:
                heading[parent] = random.normal(size=3)
            continue
        nodes.append(end)
        heading.append(turn)
        links.append((parent, len(nodes) - 1))
        radius.append(3e-6 + 9e-6 * np.exp(-len(links) / (0.15 * segments)) + random.gamma(2, 1e-6))
    return np.array(nodes), np.array(links), np.array(radius)


def _exposure(part):
    """Exposure of a drug in a cycle."""
    found = {f"{key}{form}{unit}_{statistic}": value * part * share
             for key, unit, value in (("auc", "_umol_h_L", 5.0), ("cmax", "_umol_L", 2.0), ("time_above", "_h", 3.0))
             for form in ("", "_bound", "_cells") for statistic, share in (("mean", 1.0), ("a95", 0.31), ("a50", 0.83))}
    return found | {"plasma_auc_umol_h_L": 40.0 * part}


def _sanctuary(part, to_date):
    """Sanctuaries of a drug in a cycle; with `part` 1 the four causes are S1."""
    whole = {"s1": (0.173, 0.42), "s2": (0.131, 0.318), "s4": (0.09, 0.22), "s3": (0.08, 0.19), "s0": (0.12, 0.3), "mask": (0.41, 1.0), "rescued": (0.001, 0.003),
             "delivery": (0.087, 0.21), "protection": (0.037, 0.09), "both": (0.033, 0.08), "joint": (0.016, 0.04)}
    steps = {"half_theta": (0.1, 0.25), "theta": (0.173, 0.42), "twice_theta": (0.3, 0.71)}
    amounts = lambda pairs: {key: {"volume_mm3": volume * part, "share": share * part} for key, (volume, share) in pairs.items()}
    return amounts(whole) | {
        "theta": 0.7, "L_ref": 1.4 * part, "theta_relative": False, "direct_effect": True, "to_date": to_date, "robustness": amounts(steps),
        **{f"{key}_share": whole[key][1] * part for key in ("delivery", "protection", "both", "joint")},
        "regions": round(100 * part), "largest_region_mm3": 0.1 * part, "duration": {"mean_h": 20 * part, "longest_h": 24 * part},
        "distance_to_vessel": {"mean_um": 81 * part, "median_um": 78 * part, "largest_um": 140 * part, "without_share": 0.0},
        "distance_to_edge": {"mean_um": 170 * part, "median_um": None, "largest_um": 400 * part},
        "resistant_share_in_mask": 0.05 * part, "resistant_share_in_s1": 0.06 * part,
    }


def _by_cycle(group, last, rows, spans):
    """The last cycle as attributes, those before as groups; all before the last also in `last`, as the summary has them."""
    earlier = [row | span | {"end_h": after["start_h"]} for row, span, after in zip(rows, spans, spans[1:])]
    for row in earlier:
        group.create_group(f"cycle_{row['cycle']}").attrs.update(flat(row))
    group.attrs.update(flat(rows[-1] | {"cycle": len(rows)}))
    if earlier:
        last["cycles"] = earlier


def make(directory, cells=(64, 64, 64), segments=2000, times=(0.0, 1800.0, 21600.0, 86400.0), drug="doxorubicin",
         others=(), carriers=None, cycles=1, summary=True, virtual=True, network=True, seed=3):
    """Writes a run directory; `drug=None` for a run without drug, `summary=False` for one that did not finish. `carriers` are those of
    `others` that kill nothing, each with its payload. No figure is that of another drug or cycle."""
    directory = Path(directory)
    drugs = ([drug] if drug else []) + list(others)
    carriers = carriers or {}
    judged = [name for name in drugs if name not in carriers]
    judged += ["regimen"] if len(judged) > 1 else []
    length = (times[-1] or 1.0) / cycles
    cycle_of = lambda time: max(1, int(np.ceil(time / length))) if drugs else 0
    portion = lambda name, cycle: (1 - 0.1 * (drugs + ["regimen"]).index(name)) * (1 - 0.03 * (cycles - cycle))
    (directory / "times").mkdir(parents=True, exist_ok=True)
    spacing = 20e-6
    nx, ny, nz = cells
    box = spacing * max(cells)
    z, y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in (nz, ny, nx)), indexing="ij")
    x, y, z = x * spacing, y * spacing, z * spacing
    centre = 0.5 * spacing * np.array([nx, ny, nz])
    from_centre = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    tissue = (from_centre < 0.42 * box + 0.03 * box * np.sin(12 * np.arctan2(y - centre[1], x - centre[0]))).astype(np.int8)
    nodes, links, radius = grown(segments, box, seed)
    middle = nodes[links].mean(axis=1)
    nearest = np.full(x.shape, np.inf)
    for point in middle[:: max(1, len(middle) // 400)]:
        nearest = np.minimum(nearest, (x - point[0]) ** 2 + (y - point[1]) ** 2 + (z - point[2]) ** 2)
    near = np.exp(-np.sqrt(nearest) / 70e-6)

    def fields_at(time):
        hours = time / 3600
        plasma = 4.0 * np.exp(-hours / 2) * (hours > 0)
        viable = np.where(tissue, 3e5 * (0.4 + 0.6 * near) * np.exp(-0.08 * near * hours / 6), 0.0)
        fields = {
            "interstitial_pressure": (np.where(tissue, 12 * (1 - (from_centre / box) ** 2 * 3), 1.0), "mmHg"),
            "oxygen_pressure": (2 + 45 * near, "mmHg"),
            "viable_density": (viable, "1/mm^3"),
            "porosity": (0.2 + 0.05 * near, "1"),
            "distance_to_vessel": (np.sqrt(nearest) * 1e6, "um"),
        }
        for drug in dict.fromkeys((*drugs, *judged)):
            auc = 20 * near * (1 - np.exp(-hours / 2))
            kill = 2.4 * near * (1 - np.exp(-hours / 8))
            low, guarded = kill < 0.7, near < 0.25
            bits = np.where(low, 1, 0) + np.where(near < 0.22, 2, 0) + np.where(guarded & (x > centre[0] * 0.9), 4, 0)
            judges = {f"{drug}_log_kill": (kill, "1"), f"{drug}_sanctuary": (np.where(tissue, bits, -1), "1")}
            fields |= judges if drug in judged else {}
            if drug not in drugs:
                continue
            fields |= {
                f"{drug}_free": (plasma * near, "umol/L"), f"{drug}_bound": (8 * plasma * near, "umol/L"),
                f"{drug}_cells": (300 * near * (1 - np.exp(-hours)), "umol/L"), f"{drug}_auc": (auc, "umol h/L"),
                f"{drug}_cmax": (4 * near, "umol/L"),
            }
        return {name: (values.astype(np.float32), unit) for name, (values, unit) in fields.items()}

    def vessels_at(time):
        hours = time / 3600
        along = nodes[:, 0] / box
        data = {
            "pressure": (35 - 20 * along, "mmHg", "nodes"),
            "flow": (1.2 * (radius / 5e-6) ** 3 * np.where(middle[:, 1] > 0.5 * box, 1, -1), "nl/min", "segments"),
            "hematocrit": (0.45 - 0.2 * middle[:, 2] / box, "1", "segments"),
            "pO2": (95 - 60 * middle[:, 0] / box, "mmHg", "segments"),
        }
        for drug in drugs:
            data[drug] = (4 * np.exp(-hours / 2) * (hours > 0) * (1 - 0.5 * middle[:, 0] / box), "umol/L", "segments")
        return data

    written = {}
    for index, time in enumerate(times):
        with h5py.File(directory / "times" / f"time_{index:06d}.h5", "w") as file:
            for name, (values, unit) in fields_at(time).items():
                put(file.require_group("fields"), name, values, unit)
                written[f"fields/{name}"] = (values.shape, unit, {})
            if network:
                for name, (values, unit, on) in vessels_at(time).items():
                    put(file.require_group("network/0"), name, values, unit, on=on)
                    written[f"network/0/{name}"] = (values.shape, unit, {"on": on})

    with h5py.File(directory / "run.h5", "w") as file:
        file.attrs.update(schema_version="1", program_version="0.1.0", git_hash="0000000", created="2026-01-01T00:00:00Z",
                          command="sanctuary simulate quickstart.ini", deck="[patient]\nkind = nodule  # <b>\n", seed=3, ranks=2,
                          complete=int(summary))
        grid = file.create_group("grid")
        grid.attrs.update(origin=[0.0, 0.0, 0.0], spacing=[spacing] * 3, cells=list(cells), order="zyx")
        put(file, "time", np.array(times, dtype=float), "s")
        file["cycle"] = [cycle_of(time) for time in times]
        for path, (shape, unit, attributes) in written.items():
            if virtual:
                layout = h5py.VirtualLayout((len(times), *shape), dtype="f4" if path.startswith("fields") else "f8")
                for index in range(len(times)):
                    layout[index] = h5py.VirtualSource(f"times/time_{index:06d}.h5", path, shape)
                file.create_virtual_dataset(path, layout, fillvalue=np.nan)
            else:
                parts = []
                for index in range(len(times)):
                    with h5py.File(directory / "times" / f"time_{index:06d}.h5") as part:
                        parts.append(part[path][()])
                file[path] = np.array(parts)
            file[path].attrs["unit"] = unit
            file[path].attrs.update(attributes)
        file["fields/tissue"] = np.repeat(tissue[None], len(times), axis=0)
        file["fields/tissue"].attrs["unit"] = "1"
        if network:
            epoch = file.require_group("network/0")
            put(epoch, "nodes", nodes, "m")
            put(epoch, "segments", links, "1")
            put(epoch, "radius", radius, "m")
            put(epoch, "length", np.linalg.norm(np.diff(nodes[links], axis=1)[:, 0], axis=1), "m")
        series = file.create_group("series")
        clock = np.linspace(0, times[-1] or 1.0, 200)
        put(series, "time", clock, "s")
        put(series, "mean_interstitial_pressure", 8 + 0.2 * np.sin(clock / 9000), "mmHg")
        put(series, "rim_interstitial_pressure", np.full(200, 2.1), "mmHg")
        put(series, "hypoxic_fraction", 0.3 - 0.05 * clock / 86400, "1")
        put(series, "viable_cells", 4e5 * np.exp(-clock / 200000), "1")
        for drug in drugs:
            decay = np.exp(-clock / 300) + 0.1 * np.exp(-clock / 7200) + 0.02 * np.exp(-clock / 90000)
            put(series, f"{drug}_plasma", 8 * decay, "umol/L")
            put(series, f"{drug}_plasma_unbound", 2 * decay, "umol/L")
            put(series, f"{drug}_free_mean", 0.5 * (1 - np.exp(-clock / 3600)) * np.exp(-clock / 40000), "umol/L")
            put(series, f"{drug}_bound_mean", 0 * clock, "umol/L")
            put(series, f"{drug}_half_distance", 60 + clock / 4000, "um")
            for place, size in (("network", 1e-18), ("interstitium", 4e-16), ("cells", 6e-14)):
                put(series, f"{drug}_amount_{place}", size * (1 - np.exp(-clock / 5000)), "mol")
        settings = [("grid.spacing", "20", "um", True, "choice"), ("oxygen.michaelis_constant", "1.5", "mmHg", True, "Secomb 2004"),
                    ("network.count", "2000", "1", False, "choice"), ("drug.doxorubicin.dose", "60", "mg/m^2", False, "assumed: <standard> & usual")]
        settings += [(f"drug.{name}.payload", payload, "", False, "its nature") for name, payload in carriers.items()]
        for key, value, unit, default, source in settings:
            put(file.require_group("parameters"), key, value, unit, default=default, source=source)
        if not summary:
            return directory
        balances = {"oxygen": 2e-8} | {name: 3e-7 for name in drugs}
        for species, error in balances.items():
            group = file.create_group(f"balance/{species}/interstitium")
            group.attrs.update(unit="mol", start=0.0, in_place=2.1e-13, out=4e-14, error=error, allowed=1e-6)
            group.attrs["in"] = 2.5e-13
        outcome = {"hypoxic_fraction": 0.271, "mean_interstitial_pressure_mmHg": 8.14, "rim_interstitial_pressure_mmHg": 2.1,
                   "perfused_fraction": 0.874, "viable_volume_mm3": 0.412, "filtration_scale_factor": 4.21, "log_kill": 0.71,
                   "infusions": 1, "mass_closed": True, "hypoxic_fraction_2_5": 0.11, "auc_umol_h_L_a95": 0.21,
                   "interstitial_pressure_max_mmHg": 12.0, "viable_cells_start": 4e5, "viable_cells": 8e4}
        outcome |= {f"{name}_diffusivity_um2_s": 117.0 + place for place, name in enumerate(drugs)}
        file.create_group("outcome").attrs.update(outcome)
        sanctuary, exposure = {}, {}
        spans = [{"cycle": cycle, "start_h": (cycle - 1) * length / 3600, "to_date": cycle == cycles} for cycle in range(1, cycles + 1)]
        for name in drugs:
            rows = [_exposure(portion(name, one["cycle"])) for one in spans]
            exposure[name] = spans[-1] | {"last": rows[-1]}
            dose = np.linspace(0, 20 * portion(name, cycles), 60)
            group = file.create_group(f"exposure/{name}")
            put(group, "histogram_dose", dose, "umol h/L")
            put(group, "histogram_fraction", np.exp(-dose / 4), "1")
            _by_cycle(group, exposure[name], rows, spans)
        for name in judged:
            rows = [_sanctuary(portion(name, one["cycle"]), one["to_date"]) for one in spans]
            sanctuary[name] = spans[-1] | rows[-1]
            group = file.create_group(f"sanctuary/{name}")
            last = fields_at(times[-1])
            put(group, "label", last[f"{name}_sanctuary"][0], "1")
            put(group, "log_kill", last[f"{name}_log_kill"][0], "1")
            for column, unit, first in (("volume", "mm^3", 0.1), ("share", "1", 0.24), ("log_kill", "1", 0.21), ("nearest_vessel", "um", 31.0),
                                        ("distance_to_edge", "um", 170.0), ("delivery", "1", 0.6), ("resistant", "1", 0.0), ("duration", "h", 24.0)):
                put(group, f"regions/{column}", first * portion(name, cycles) / np.arange(1, 11), unit)
            _by_cycle(group, sanctuary[name], rows, spans)
    timing = {"flow_s": 0.8, "pressure_s": 6.1, "oxygen_s": 21.7, "transport_s": 96.3, "kinetics_s": 31.0, "writing_s": 2.2, "total_s": 160.0}
    (directory / "summary.json").write_text(json.dumps({
        "outcome": outcome, "exposure": exposure, "sanctuary": sanctuary, "timing": timing, "balance": {}, "memory": {"peak_bytes": 910000000},
        "work": {"steps": 210}, "remarks": ["a remark of the run"]}))
    return directory
