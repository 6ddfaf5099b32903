"""Three weeks of an antibody, a conjugate and liposomes, the decks of decks/bench on a small piece: hundreds of steps, not
thousands, and closed ledgers."""
import pathlib
import sys
import tempfile

import small_run
from small_run import SOURCE, expect, expect_closed, run, summary

SMALL = {"grid.cells": "16", "tumour.radius": "110 um", "network.lattice.segments": "100",
         "network.lattice.core_radius": "70 um"}

with tempfile.TemporaryDirectory() as place:
    folder = pathlib.Path(place)
    for name in ("igg", "adc", "liposome"):
        options = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
        done = run(folder, "simulate", SOURCE / f"decks/bench/{name}_three_weeks.ini", "-o", name, "-q", *options)
        expect(done.returncode == 0, f"{name}: exit {done.returncode}: {done.stderr}")
        if done.returncode != 0:
            continue
        expect_closed(folder / name, name)
        work = summary(folder / name)["work"]
        # 84 steps at the cap of 6 h and those of the first day.
        expect(84 <= work["steps"] + work["rejected"] < 400, f"{name}: {work['steps']} steps, {work['rejected']} rejected")
        print(f"{name}: {work['steps']} steps, {work['rejected']} rejected", flush=True)
print(f"{small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
