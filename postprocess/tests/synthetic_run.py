"""Makes run directories in the layout of `sanctuary simulate`, with plausible shapes and no physics behind them."""

import json
from pathlib import Path

import h5py
import numpy as np


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


def make(directory, cells=(64, 64, 64), segments=2000, times=(0.0, 1800.0, 21600.0, 86400.0), drug="doxorubicin",
         summary=True, virtual=True, network=True, seed=3):
    """Writes a run directory; `drug=None` for a run without drug, `summary=False` for one that did not finish."""
    directory = Path(directory)
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
        }
        if drug:
            auc = 20 * near * (1 - np.exp(-hours / 2))
            kill = 2.4 * near * (1 - np.exp(-hours / 8))
            low, guarded = kill < 0.7, near < 0.25
            bits = np.where(low, 1, 0) + np.where(near < 0.22, 2, 0) + np.where(guarded & (x > centre[0] * 0.9), 4, 0)
            fields |= {
                f"{drug}_free": (plasma * near, "umol/L"), f"{drug}_bound": (8 * plasma * near, "umol/L"),
                f"{drug}_cells": (300 * near * (1 - np.exp(-hours)), "umol/L"), f"{drug}_auc": (auc, "umol h/L"),
                f"{drug}_cmax": (4 * near, "umol/L"), f"{drug}_log_kill": (kill, "1"),
                f"{drug}_sanctuary": (np.where(tissue, bits, -1), "1"),
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
        if drug:
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
        if drug:
            decay = np.exp(-clock / 300) + 0.1 * np.exp(-clock / 7200) + 0.02 * np.exp(-clock / 90000)
            put(series, f"{drug}_plasma", 8 * decay, "umol/L")
            put(series, f"{drug}_interstitium", 0.5 * (1 - np.exp(-clock / 3600)) * np.exp(-clock / 40000), "umol/L")
            for place, size in (("network", 1e-18), ("interstitium", 4e-16), ("cells", 6e-14)):
                put(series, f"{drug}_amount_{place}", size * (1 - np.exp(-clock / 5000)), "mol")
        settings = [("grid.spacing", "20", "um", True, "choice"), ("oxygen.michaelis_constant", "1.5", "mmHg", True, "Secomb 2004"),
                    ("network.count", "2000", "1", False, "choice"), ("drug.doxorubicin.dose", "60", "mg/m^2", False, "assumed: <standard> & usual")]
        for key, value, unit, default, source in settings:
            put(file.require_group("parameters"), key, value, unit, default=default, source=source)
        if not summary:
            return directory
        balances = {"oxygen": 2e-8} | ({drug: 3e-7} if drug else {})
        for species, error in balances.items():
            group = file.create_group(f"balance/{species}/interstitium")
            group.attrs.update(unit="mol", start=0.0, in_place=2.1e-13, out=4e-14, error=error, allowed=1e-6)
            group.attrs["in"] = 2.5e-13
        outcome = {"hypoxic_fraction": 0.271, "mean_interstitial_pressure_mmHg": 8.14, "rim_interstitial_pressure_mmHg": 2.1,
                   "perfused_fraction": 0.874, "viable_volume_mm3": 0.412, "filtration_scale_factor": 4.21, "log_kill": 0.71,
                   "infusions": 1, "mass_closed": True, "hypoxic_fraction_2_5": 0.11, "auc_umol_h_L_a95": 0.21,
                   "interstitial_pressure_max_mmHg": 12.0}
        file.create_group("outcome").attrs.update(outcome)
        sanctuary = {}
        if drug:
            sanctuary[drug] = {
                "s1": {"volume_mm3": 0.173, "share": 0.42}, "s2": {"volume_mm3": 0.131, "share": 0.318}, "s4": {"volume_mm3": 0.09, "share": 0.22},
                "delivery_share": 0.21, "protection_share": 0.09, "both_share": 0.08, "joint_share": 0.04, "theta": 0.7, "L_ref": 1.4,
                "theta_relative": False, "direct_effect": True, "to_date": True, "mask": {"volume_mm3": 0.41, "share": 1.0},
                "rescued": {"volume_mm3": 0.001, "share": 0.003},
                "robustness": {"half_theta": {"volume_mm3": 0.1, "share": 0.25}, "theta": {"volume_mm3": 0.173, "share": 0.42},
                               "twice_theta": {"volume_mm3": 0.3, "share": 0.71}},
            }
            dose = np.linspace(0, 20, 60)
            group = file.create_group(f"sanctuary/{drug}")
            put(group, "histogram_dose", dose, "umol h/L")
            put(group, "histogram_fraction", np.exp(-dose / 4), "1")
            last = fields_at(times[-1])
            put(group, "label", last[f"{drug}_sanctuary"][0], "1")
            put(group, "log_kill", last[f"{drug}_log_kill"][0], "1")
    timing = {"flow_s": 0.8, "pressure_s": 6.1, "oxygen_s": 21.7, "transport_s": 96.3, "kinetics_s": 31.0, "writing_s": 2.2, "total_s": 160.0}
    (directory / "summary.json").write_text(json.dumps({
        "outcome": outcome, "sanctuary": sanctuary, "timing": timing, "balance": {}, "memory": {"peak_bytes": 910000000},
        "work": {"steps": 210}, "remarks": ["a remark of the run"]}))
    return directory
