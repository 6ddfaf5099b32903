"""The decks on measured networks run on 2 ranks, their times shortened: ledgers closed, all segments in the run file, vessels
perfused, fields finite."""
import pathlib
import sys
import tempfile

import h5py
import numpy as np

import small_run
from small_run import REFERENCE, SOURCE, expect, expect_closed, run, summary

# deck, network, segments, coarser where only the time of the test is saved
RUNS = [
    ("capillary_bed", "dumux_embedded/network.dgf", 1735),
    ("tumour_r3230ac", "tumour_r3230ac/network.dat", 104),
]
SHORT = {"patient.duration": "10 min", "drug.doxorubicin.infusion_duration": "5 min", "output.times": "0, 5 min",
         "transport.relative_tolerance": "0.05", "transport.first_step": "5 s"}

if not all((REFERENCE / network).exists() for _, network, _ in RUNS):
    print("skipped: reference data not found")
    sys.exit(77)
with tempfile.TemporaryDirectory() as place:
    folder = pathlib.Path(place)
    for deck, network, segments in RUNS:
        options = [part for key, value in SHORT.items() for part in ("--set", f"{key}={value}")]
        done = run(folder, "simulate", SOURCE / f"decks/patient/{deck}.ini", "-o", deck, "--set",
                   f"network.file={REFERENCE / network}", *options, ranks=2, timeout=900)
        expect(done.returncode == 0, f"{deck}: exit {done.returncode}: {done.stderr}")
        print(f"{deck}: {done.stderr}", flush=True)
        if done.returncode != 0:
            continue
        found = summary(folder / deck)
        expect_closed(folder / deck, deck)
        expect({"blood", "red cells", "fluid", "oxygen", "doxorubicin"} <= found["balance"].keys(), f"{deck}: ledgers")
        expect(found["outcome"]["perfused_fraction"] > 0.9, f"{deck}: perfused {found['outcome']['perfused_fraction']}")
        expect(found["balance"]["doxorubicin"]["interstitium"]["in"] > 0, f"{deck}: no drug came out of the vessels")
        with h5py.File(folder / deck / "run.h5") as file:
            expect(len(file["network/0/segments"]) == segments, f"{deck}: {len(file['network/0/segments'])} segments")
            expect(len(file["time"]) == 3, f"{deck}: times {file['time'][:]}")
            for name, field in file["fields"].items():
                expect(np.isfinite(field[:]).all(), f"{deck}: field {name} is not finite")
            for name in ("pressure", "flow", "hematocrit"):
                expect(np.isfinite(file[f"network/0/{name}"][:]).all(), f"{deck}: {name} of the network is not finite")
            oxygen = file["fields/oxygen_pressure"][:]
            expect(oxygen.min() >= 0 and oxygen.max() < 150, f"{deck}: pO2 from {oxygen.min()} to {oxygen.max()}")
print(f"{small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
