"""A cohort of twelve tiny patients in two arms, and what the tests of `cohort` need to run it, to look into its ledger
and to compare two of them."""
import csv
import math
import os
import pathlib
import signal
import sqlite3
import subprocess
import time

import h5py
import numpy as np

from small_run import PROGRAM, SOURCE, expect, processes, run, start

PATIENTS = 12
# Some draws are implausible. A strong drug: two hours are then enough for a sanctuary to be defined.
DECK = f"""[patient]
duration = 2 h
[grid]
cells = 10
spacing = 30 um
[tumour]
radius = 110 um
[network]
source = lattice
[network.lattice]
segments = 40
[transport]
relative_tolerance = 0.05
first_step = 5 s
[output]
times = 0, 1, 2 h
[cohort]
patients = {PATIENTS}
[vary]
tumour.cell_density = normal(mean = 1e9 cells/cm^3, sd = 2e8 cells/cm^3) in [5e8, 1.5e9] cells/cm^3
drug.doxorubicin.ic50 = lognormal(median = 0.003 uM, gsd = 1.5)
[plausible]
perfused_fraction = [0.4, 1]
[arm.control]
label = no treatment
[arm.dox]
deck = {SOURCE}/decks/drugs/doxorubicin.ini
drug.doxorubicin.emax = 2 1/h
"""
# A patient whose dox arm takes seconds, with a checkpoint after every step.
LONG = ["--set", "transport.relative_tolerance=0.0003", "--set", "transport.first_step=0.5 s", "--set",
        "output.checkpoint_interval=0.001 s"]


def cohort(folder, name, *arguments, ranks=1, deck="deck.ini"):
    return run(folder, "cohort", deck, "-o", name, *arguments, ranks=ranks)


def rows(directory, query="SELECT * FROM tasks ORDER BY task"):
    """Rows of the ledger as dictionaries."""
    with sqlite3.connect(f"file:{pathlib.Path(directory) / 'ledger.sqlite'}?mode=rw", uri=True, timeout=30) as ledger:
        ledger.row_factory = sqlite3.Row
        found = [dict(row) for row in ledger.execute(query)]
    ledger.close()
    return found


def tasks(directory):
    return {(row["patient"], row["variant"]): row for row in rows(directory)}


def meta(directory):
    return {row["key"]: row["value"] for row in rows(directory, "SELECT * FROM meta")}


def is_whole(directory, label):
    """The ledger passes SQLite's own check."""
    found = rows(directory, "PRAGMA integrity_check")
    expect([row["integrity_check"] for row in found] == ["ok"], f"{label}: integrity_check: {found}")


def each_once(directory, label, patients=PATIENTS, variants=("baseline", "control", "dox")):
    """Every patient has every variant, once, settled; nothing is left of the work."""
    keys = [(row["patient"], row["variant"]) for row in rows(directory)]
    expect(sorted(keys) == sorted((p, v) for p in range(patients) for v in variants), f"{label}: tasks {sorted(keys)}")
    open_ones = [key for key, row in tasks(directory).items() if row["status"] not in ("done", "failed", "rejected")]
    expect(not open_ones, f"{label}: not settled: {open_ones}")
    expect(not (pathlib.Path(directory) / "work").exists(), f"{label}: work/ is left")


def table(directory):
    with open(pathlib.Path(directory) / "cohort.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def csv_bytes(directory):
    return (pathlib.Path(directory) / "cohort.csv").read_bytes()


def same_csv(first, second, label, tolerance=0):
    """cohort.csv byte by byte or, with a tolerance, every number within it."""
    if tolerance == 0:
        expect(csv_bytes(first) == csv_bytes(second), f"{label}: cohort.csv differs: {difference(first, second)}")
        return
    one, two = table(first), table(second)
    expect(len(one) == len(two) and one[0].keys() == two[0].keys(), f"{label}: shape of cohort.csv")
    for a, b in zip(one, two):
        for key in a:
            if a[key] == b[key] or key == "reason":
                continue
            try:
                near = math.isclose(float(a[key]), float(b[key]), rel_tol=tolerance, abs_tol=1e-12)
            except ValueError:
                near = False
            expect(near, f"{label}: patient {a['patient']}, {a['arm']}: {key}: {a[key]} and {b[key]}")


def difference(first, second):
    one, two = table(first), table(second)
    if len(one) != len(two) or one[0].keys() != two[0].keys():
        return f"{len(one)} and {len(two)} rows, columns {one[0].keys() ^ two[0].keys()}"
    return [(a["patient"], a["arm"], key, a[key], b[key]) for a, b in zip(one, two) for key in a if a[key] != b[key]][:5]


def datasets(directory):
    found = {}
    with h5py.File(pathlib.Path(directory) / "cohort.h5") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    found.pop("deck", None)
    return found


def same_hdf5(first, second, label, tolerance=0):
    one, two = datasets(first), datasets(second)
    expect(one.keys() == two.keys(), f"{label}: datasets of cohort.h5: {one.keys() ^ two.keys()}")
    for name in one.keys() & two.keys():
        a, b = np.asarray(one[name]), np.asarray(two[name])
        same = a.shape == b.shape and (np.array_equal(a, b, equal_nan=a.dtype.kind == "f") if tolerance == 0 else
                                       np.allclose(a, b, rtol=tolerance, atol=1e-9, equal_nan=True))
        expect(same, f"{label}: cohort.h5: {name}")


def same(first, second, label, tolerance=0):
    same_csv(first, second, label, tolerance)
    same_hdf5(first, second, label, tolerance)


def will_go_on_inside(directory):
    """True if a task was saved half-way: its numbers are then the same to 1e-8, not to the last digit."""
    return any(pathlib.Path(directory).glob("work/*/*/*/checkpoints/checkpoint_*.h5"))


def log_of(folder):
    return (folder / "log").read_text(encoding="utf-8")


def rank_processes(job, ranks):
    """Process numbers of the ranks in their order, as far as they are there; none while the launcher is at its own."""
    if ranks == 1:
        return [job.pid]
    found = {}
    for pid in processes(job, ranks):
        try:
            text = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        for entry in text.split(b"\0"):
            if entry.startswith(b"OMPI_COMM_WORLD_RANK="):
                found[int(entry.split(b"=")[1])] = pid
    return [found[rank] for rank in sorted(found)]


def send(pid, what):
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        pass


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def end(job, ranks=(), seconds=60):
    """Waits for a job and for its ranks, which have process groups of their own and may outlive their launcher."""
    limit = time.monotonic() + seconds
    job.wait(timeout=seconds)
    while any(is_alive(pid) for pid in ranks):
        if time.monotonic() > limit:
            for pid in ranks:
                send(pid, signal.SIGKILL)
            expect(False, f"ranks outlive their launcher by {seconds} s")
            return
        time.sleep(0.01)


