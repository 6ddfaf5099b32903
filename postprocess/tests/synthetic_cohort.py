"""Makes cohort folders in the layout of `sanctuary cohort`, with plausible shapes and no physics behind them.

By hand, for the largest: `/usr/bin/python3 synthetic_cohort.py DIR PATIENTS ARMS`.
"""

import sqlite3
import sys
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sanctuary_post.cohort import DONE, FAILED, REJECTED, STATUS, VARIANTS

KEYS = {"tumour.radius": "lognormal(median = 250 um, gsd = 1.2)", "drug.doxorubicin.ic50": "loguniform(0.001 uM, 0.01 uM)"}
TASKS = ("task INTEGER PRIMARY KEY, patient INTEGER, variant TEXT, status TEXT, attempts INTEGER DEFAULT 0, parent INTEGER, ranks INTEGER, host TEXT, "
         "started REAL, wall_s REAL, cpu_s REAL, expected_s REAL, memory_bytes REAL, reason TEXT")
IMPLAUSIBLE = "perfused_fraction = {:.6g} outside [0.4, 1]"
BROKEN = "step {}: the pressure did not converge <b>"


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def deck(patients, arms, vary, design, target):
    """A resolved deck; as in the program's own, defaults say so."""
    lines = ["[patient]", "kind = nodule  # default", "", "[cohort]", f"patients = {patients}", f"design = {design}", "seed = 7", "sensitivity = log_kill, sanctuary_share  # default",
             "", "[vary]", 'correlate = ""  # default', *(f"{key} = {law}" for key, law in vary.items()), "", "[plausible]", "perfused_fraction = [0.4, 1]", ""]
    lines += ["[target]", "hypoxic_fraction = beta(a = 2, b = 5)", ""] if target else []
    for name, label in arms.items():
        lines += [f"[arm.{name}]", f"label = {label or chr(34) * 2}", 'deck = ""  # default', "drug.doxorubicin.dose_per_area = 75 mg/m^2", ""]
    return "\n".join(lines)


def make(directory, patients=40, arms=None, vary=None, design="sobol", status=None, endpoints=None, weights=None, remark="", finished=True,
         sensitivity=None, tasks=None, meta=None, run="1", hdf5=True, extra=0):
    """Writes a cohort folder. `arms` by label; `status` {(patient, variant): (index into STATUS, reason)} and `endpoints`
    {variant: {name: values by patient}} beat what is made; `weights` by patient; `sensitivity` rows of that table; `tasks`
    {(patient, variant): {column: value}}; `extra` further endpoints, to be as wide as the program's table."""
    directory = Path(directory)
    directory.mkdir(parents=True)
    arms = {"control": "no drug", "free": "", "liposomal": "doxorubicin, <liposomal>"} if arms is None else arms
    vary = KEYS if vary is None else vary
    variants = ["baseline", *arms]
    random = np.random.default_rng(5)
    hypoxic = random.beta(2, 5, patients)
    values = {"baseline": {"hypoxic_fraction": hypoxic, "perfused_fraction": 1 - 0.5 * hypoxic, "interstitial_pressure_mean_mmHg": 5 + 10 * random.random(patients)}}
    for place, name in enumerate(arms):
        values[name] = values["baseline"] | {"viable_cells": 1e5 * np.exp(random.normal(size=patients))}
        if name == "control":
            continue
        share = np.clip(0.2 + 0.5 * hypoxic - 0.05 * place + 0.05 * random.normal(size=patients), 0, 1)
        values[name] |= {"log_kill": 1.2 - share + 0.1 * place, "sanctuary_share": share, "sanctuary_volume_mm3": 0.4 * share,
                         "sanctuary_delivery_share": 0.7 * share, "doxorubicin_s1_share": share}
    for name in variants:
        values[name] |= {f"extra_{i}": random.random(patients) for i in range(extra)} | (endpoints or {}).get(name, {})
    codes = {name: np.full(patients, DONE, dtype=np.int64) for name in variants}
    reasons = {}
    for (patient, variant), (code, reason) in (status or {}).items():
        dropped = variants if variant == "baseline" and code in (FAILED, REJECTED) else [variant]
        for name in dropped:
            codes[name][patient] = code
            before = "its state before treatment failed: " if code == FAILED and name != variant else ""
            reasons[patient, name] = before + reason
        if code == FAILED:
            (directory / "failed").mkdir(exist_ok=True)
            (directory / "failed" / f"{patient}_{variant}.ini").write_text("[patient]\n")
    good = (codes["baseline"] == DONE) & np.any([codes[name] == DONE for name in arms], axis=0)
    weight = good.astype(float) if weights is None else np.asarray(weights, dtype=float)

    names = list(dict.fromkeys(name for variant in variants for name in values[variant]))
    ledger = sqlite3.connect(directory / "ledger.sqlite")
    ledger.execute("PRAGMA journal_mode = PERSIST")
    ledger.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
    ledger.execute(f"CREATE TABLE tasks ({TASKS})")
    ledger.execute(f"CREATE TABLE patients (patient INTEGER PRIMARY KEY, status, reason, weight{''.join(f', {quoted(key)}' for key in vary)})")
    ledger.execute(f"CREATE TABLE endpoints (task INTEGER PRIMARY KEY, patient INTEGER, variant TEXT{''.join(f', {quoted(name)}' for name in names)})")
    said = {"schema_version": "1", "program_version": "0.1.0", "git_hash": "0000000", "command": "sanctuary cohort <deck>.ini", "run": run, "shard": "0/1",
            "variants": ", ".join(variants), "finished": "yes" if finished else "no", "deck": deck(patients, arms, vary, design, weights is not None or remark)}
    ledger.executemany("INSERT INTO meta VALUES (?, ?)", (said | (meta or {})).items())
    for place, name in enumerate(variants):
        rows, found = [], []
        columns = [values[name].get(one) for one in names]
        table = np.column_stack([np.full(patients, np.nan) if one is None else one for one in columns]).tolist()
        for patient, code in enumerate(codes[name].tolist()):
            task = patient * VARIANTS + place
            if STATUS[code] == "pending":
                continue
            ran = code == DONE or name == "baseline" or codes["baseline"][patient] == DONE
            row = {"attempts": int(ran), "ranks": 1, "host": "node", "started": 1e9 + 20 * patient + place, "wall_s": 10.0 * (1 + place) * ran, "cpu_s": 9.0 * (1 + place) * ran,
                   "expected_s": 12.0, "memory_bytes": 6e7} | (tasks or {}).get((patient, name), {})
            rows.append((task, patient, name, STATUS[code], row["attempts"], None if name == "baseline" else patient * VARIANTS, row["ranks"], row["host"], row["started"],
                         row["wall_s"], row["cpu_s"], row["expected_s"], row["memory_bytes"], reasons.get((patient, name))))
            if code == DONE or (name == "baseline" and code == REJECTED):
                found.append((task, patient, name, *(None if value != value else value for value in table[patient])))
        ledger.executemany(f"INSERT INTO tasks VALUES ({','.join('?' * 14)})", rows)
        ledger.executemany(f"INSERT INTO endpoints VALUES ({','.join('?' * (3 + len(names)))})", found)
    draws = {key: (100 * random.random(patients)).tolist() for key in vary}
    state = {DONE: "accepted", FAILED: "failed", REJECTED: "rejected"}
    ledger.executemany(f"INSERT INTO patients VALUES ({','.join('?' * (4 + len(vary)))})",
                       [(p, state[code], reasons.get((p, "baseline")), float(weight[p]) if finished else None, *(draws[key][p] for key in vary))
                        for p, code in enumerate(codes["baseline"].tolist()) if code in state])
    if finished:
        ledger.execute('CREATE TABLE "sensitivity" (row INTEGER PRIMARY KEY, arm, endpoint, parameter, used, dropped, rank_correlation, p_value, first, first_lowest, first_highest, '
                       "total, total_lowest, total_highest)")
        if sensitivity is None:
            sensitivity = [{"arm": arm, "endpoint": endpoint, "parameter": key, "used": float(good.sum()), "dropped": float(patients - good.sum()),
                            "rank_correlation": 0.5 - i, "p_value": 0.01 + 0.1 * i}
                           for arm in arms if arm != "control" for endpoint in ("log_kill", "sanctuary_share") for i, key in enumerate(vary)]
        for row in sensitivity:
            ledger.execute(f"INSERT INTO sensitivity ({','.join(row)}) VALUES ({','.join('?' * len(row))})", list(row.values()))
    ledger.commit()
    ledger.close()

    if finished and hdf5:
        with h5py.File(directory / "cohort.h5", "w") as file:
            file.attrs.update(schema_version="1", program_version="0.1.0", seed=7, accepted=int(good.sum()), remark=remark,
                              effective_sample_size=float(weight.sum() ** 2 / max(np.square(weight).sum(), 1e-300)))
            file["deck"] = said["deck"]
            file["patients/patient"], file["patients/weight"] = np.arange(patients), weight
            for key, law in vary.items():
                file[f"parameters/{key}"] = draws[key]
                file[f"parameters/{key}"].attrs.update(law=law, items="")
            for name in variants:
                group = file.create_group(f"variants/{name}")
                group.attrs.update(label=arms.get(name) or name, baseline=name == "baseline", parent="" if name == "baseline" else "baseline")
                group["status"] = codes[name]
                for one, column in values[name].items():
                    group[f"endpoints/{one}"] = np.where(codes[name] == DONE, column, np.nan)
    return directory


if __name__ == "__main__":
    count, number = int(sys.argv[2]), int(sys.argv[3])
    out = {(p, "baseline"): (REJECTED, IMPLAUSIBLE.format(0.1 + 1e-6 * p)) for p in range(0, count, 10)}
    out |= {(p, "arm_1"): (FAILED, BROKEN.format(p)) for p in range(1, count, 100)}
    make(sys.argv[1], count, {f"arm_{i}": "" for i in range(number)}, status=out, extra=60,
         weights=np.where(np.arange(count) % 10 == 0, 0, 0.5 + np.arange(count) % 3) if sys.argv[4:] == ["weighted"] else None)
