"""`simulate` as a user meets it: the same numbers on 1 to 4 ranks, a rerun that does nothing, faults that only the run
can see, quiet and plain progress, PETSc options, and the header of every deck."""
import pathlib
import re
import shutil
import sys
import tempfile

import h5py
import numpy as np

import small_run
from small_run import DECK, SOURCE, expect, expect_closed, expect_same, run, state_of, summary


def ranks_agree(folder):
    (folder / "deck.ini").write_text(DECK)
    for ranks in (1, 2, 3, 4):
        done = run(folder, "simulate", "deck.ini", "-o", f"on_{ranks}", ranks=ranks)
        expect(done.returncode == 0, f"{ranks} ranks: exit {done.returncode}: {done.stderr}")
        if done.returncode != 0:
            continue
        expect(done.stdout.count("done") == 1 and "sanctuary of doxorubicin" in done.stdout, done.stdout)
        expect("\r" not in done.stderr and "\x1b" not in done.stderr, f"a bar in a log: {done.stderr!r}")
        expect(re.search(r"simulate: 0\.5 of 0\.5 h in ", done.stderr), f"no plain last line: {done.stderr!r}")
        expect_closed(folder / f"on_{ranks}", f"{ranks} ranks")
        expect(summary(folder / f"on_{ranks}")["ranks"] == ranks, "number of ranks in the summary")
        if ranks > 1:
            expect_same(folder / "on_1", folder / f"on_{ranks}", f"1 and {ranks} ranks")
            same_fields(folder / "on_1", folder / f"on_{ranks}", f"1 and {ranks} ranks")
    share = summary(folder / "on_1")["sanctuary"]["doxorubicin"]["s1"]["share"]
    expect(0 < share < 1, f"share of the sanctuary: {share}")


def same_fields(first, second, label):
    with h5py.File(first / "run.h5") as one, h5py.File(second / "run.h5") as two:
        expect(np.array_equal(one["time"], two["time"]), f"{label}: output times")
        expect(one["fields"].keys() == two["fields"].keys(), f"{label}: names of the fields")
        for name in one["fields"]:
            a, b = one["fields"][name][:].astype(float), two["fields"][name][:].astype(float)
            # Fields are stored in single precision.
            expect(np.isfinite(a).all() and np.allclose(a, b, rtol=1e-6, atol=1e-6 * max(np.abs(a).max(), 1e-300)),
                   f"{label}: field {name}: {np.abs(a - b).max()} of {np.abs(a).max()}")
        for name in one["network/0"]:
            a, b = one["network/0"][name][:].astype(float), two["network/0"][name][:].astype(float)
            expect(np.allclose(a, b, rtol=1e-8, atol=1e-8 * max(np.nan_to_num(np.abs(a)).max(), 1e-300), equal_nan=True),
                   f"{label}: network data {name}")


def rerun_and_other_deck(folder):
    before = state_of(folder / "on_1")
    for arguments in (["simulate", "deck.ini", "-o", "on_1"], ["resume", "on_1"],
                      ["simulate", "deck.ini", "-o", "on_1", "--set", "mechanisms.oxygen=on"]):
        again = run(folder, *arguments)
        expect(again.returncode == 0, f"{arguments} again: exit {again.returncode}: {again.stderr}")
        expect("complete: nothing to do" in again.stderr, again.stderr)
        expect(state_of(folder / "on_1") == before, f"{arguments} again: files were written")
    for ranks in (1, 2):
        other = run(folder, "simulate", "deck.ini", "-o", "on_1", "--set", "tumour.radius=240 um", ranks=ranks)
        expect(other.returncode == 2 and "another deck" in other.stderr and "-o" in other.stderr, other.stderr)
        expect(other.stderr.count("sanctuary: ") == 1, f"one message, not: {other.stderr}")
    expect(state_of(folder / "on_1") == before, "another deck: files were written")
    missing = run(folder, "resume", "nowhere")
    expect(missing.returncode == 2 and "no run" in missing.stderr and "simulate" in missing.stderr, missing.stderr)


def quiet_and_petsc(folder):
    short = ["simulate", "deck.ini", "--set", "patient.duration=1 min", "--set", "output.times=0 s", "--set",
             "mechanisms.oxygen=off"]
    done = run(folder, *short, "-o", "quiet", "--quiet", "--", "-ksp_view_never_read", "1", "-log_view",
               ":petsc.log:ascii_xml")
    expect(done.returncode == 0, f"quiet: exit {done.returncode}: {done.stderr}")
    expect(done.stdout == "" and done.stderr == "", f"quiet, yet: {done.stdout!r} {done.stderr!r}")
    expect((folder / "petsc.log").exists(), "PETSc options after -- do not reach PETSc")
    told = run(folder, *short, "-o", "told", "--", "-pressure_ksp_monitor")
    expect(told.returncode == 0 and "KSP Residual norm" in told.stdout, f"-pressure_ksp_monitor: {told.stdout[:300]}")
    wrong = run(folder, "simulte", "deck.ini")
    expect(wrong.returncode == 2 and "did you mean simulate" in wrong.stderr, wrong.stderr)


NODES = "node,x_um,y_um,z_um,boundary_pressure_mmHg\n"
SEGMENTS = "node_a,node_b,radius_um\n0,1,4\n1,2,4\n"
INSIDE = NODES + "0,0,100,100,30\n1,300,300,300,\n2,600,600,600,{}\n"
# name: text of the nodes' file, of the segments' file, more arguments, words of the message
NETWORKS = {
    "outside": (INSIDE.format(10).replace("600,600,600", "6000,600,600"), SEGMENTS, [], ["outside", "box"]),
    "no_flow": (INSIDE.format(30), SEGMENTS, [], ["flow", "pressure"]),
    "nan": (INSIDE.format(10).replace("1,300", "1,nan"), SEGMENTS, [], ["nan_nodes.csv:3", "nan"]),
    "no_boundary": (INSIDE.format("").replace(",30\n", ",\n"), SEGMENTS, [], ["boundary"]),
    "cut_off": (INSIDE.format(10), SEGMENTS[:-4], [], ["cut_off_segments.csv:3"]),
    "half": (INSIDE.format(10), None, [], ["half_segments.csv"]),
    "disconnected": (INSIDE.format(10) + "3,50,50,50,\n4,60,50,50,\n", SEGMENTS + "3,4,4\n", [], ["boundary", "repair"]),
}
# name: more of the deck's keys, words of the message
SETTINGS = {
    "missing_file": (["network.source=file", "network.file=gone.vtp"], ["gone.vtp", "no such"]),
    "late_infusion": (["drug.doxorubicin.cycles=0", "drug.doxorubicin.start_times=1 h"],
                      ["start_times", "end of the run", "lengthen"]),
    "late_cycle": (["drug.doxorubicin.first_cycle=1 h"], ["first_cycle", "end of the run", "lengthen"]),
    "two_schedules": (["drug.doxorubicin.start_times=0 h"], ["start_times", "cycles = 0"]),
    "late_output": (["output.times=0 h, 2 h"], ["output.times", "end of the run"]),
    "nodule_too_large": (["tumour.radius=500 um"], ["tumour.radius", "out of the box"]),
    "unknown_field": (["output.fields=oxygen_presure"], ["output.fields", "oxygen_presure", "output.fields = all"]),
    "generator_without_flow": (["network.lattice.outlet_pressure=60 mmHg"], ["outlet_pressure", "flow"]),
}


def faults_the_run_sees(folder):
    for name, (nodes, segments, _, _) in NETWORKS.items():
        (folder / f"{name}_nodes.csv").write_text(nodes)
        if segments is not None:
            (folder / f"{name}_segments.csv").write_text(segments)
    (folder / "whole.dgf").write_text("DGF\nVertex\nparameters 1\n0 0 0 30\n")
    before = sorted(path.name for path in folder.iterdir())
    cases = [(name, ["network.source=file", f"network.file={name}.csv"], words) for name, (_, _, _, words) in NETWORKS.items()]
    cases += [(name, sets, words) for name, (sets, words) in SETTINGS.items()]
    cases.append(("truncated_dgf", ["network.source=file", "network.file=whole.dgf"], ["whole.dgf"]))
    for name, sets, words in cases:
        for ranks in (1, 2, 3):
            options = [part for one in sets for part in ("--set", one)]
            bad = run(folder, "simulate", "deck.ini", "-o", "bad", *options, ranks=ranks, timeout=120)
            label = f"{name} on {ranks} ranks"
            expect(bad.returncode == 2, f"{label}: exit {bad.returncode}: {bad.stderr}")
            for word in words:
                expect(word in bad.stderr, f"{label}: no {word!r} in: {bad.stderr}")
            expect(bad.stderr.count("sanctuary: ") == 1, f"{label}: not said once: {bad.stderr}")
            expect(bad.stdout == "", f"{label}: {bad.stdout}")
            expect(not (folder / "bad").exists(), f"{label}: a directory is left")
            shutil.rmtree(folder / "bad", ignore_errors=True)
    expect(sorted(path.name for path in folder.iterdir()) == before, "files are left behind")


def places_that_cannot_be_written(folder):
    (folder / "a_file").write_text("kept")
    for ranks, output in ((1, "a_file"), (2, "a_file"), (1, "a_file/run"), (2, "/proc/1/run")):
        bad = run(folder, "simulate", "deck.ini", "-o", output, ranks=ranks, timeout=120)
        expect(bad.returncode == 4 and output in bad.stderr, f"-o {output}: exit {bad.returncode}: {bad.stderr}")
        expect(output[0] == "/" or "choose another directory with -o" in bad.stderr, f"no remedy: {bad.stderr}")
        expect(bad.stderr.count("sanctuary: ") == 1, f"one message, not: {bad.stderr}")
    expect((folder / "a_file").read_text() == "kept", "the file in the way is harmed")


def decks_are_sound(folder):
    for deck in sorted((SOURCE / "decks").rglob("*.ini")):
        if deck.parent.name == "drugs":  # parts of decks: drug_library_test.py
            continue
        text = deck.read_text(encoding="utf-8")
        header = dict(re.findall(r"^# ([A-Z]+): (.+)$", text, re.MULTILINE))
        label = str(deck.relative_to(SOURCE))
        expect({"QUESTION", "RANKS", "MINUTES", "EXPECT"} <= header.keys(), f"{label}: header {sorted(header)}")
        expect("?" in header.get("QUESTION", ""), f"{label}: QUESTION asks nothing")
        expect(re.fullmatch(r"[1-9]\d*", header.get("RANKS", "")), f"{label}: RANKS is a number")
        expect(float(header.get("MINUTES", 0)) > 0, f"{label}: MINUTES is a number")
        checked = run(folder, "check", deck)
        expect(checked.returncode == 0 and "sound" in checked.stdout, f"{label}: check: {checked.stderr}")


with tempfile.TemporaryDirectory() as place:
    here = pathlib.Path(place)
    (here / "deck.ini").write_text(DECK)
    for test in (decks_are_sound, faults_the_run_sees, places_that_cannot_be_written, quiet_and_petsc, ranks_agree,
                 rerun_and_other_deck):
        test(here)
        print(f"{test.__name__}: {small_run.failures} failures so far", flush=True)
print(f"{small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
