"""One cohort, the same whatever carried it out: one process or several, groups of two ranks, shards, interruptions,
shared baselines or not, a patient alone."""
import math
import pathlib
import random
import signal
import sys
import tempfile
import time

import small_run
from small_cohort import (DECK, cohort, each_once, end, expect, is_whole, log_of, rank_processes, will_go_on_inside, rows, run,
                          same, send, start, table, tasks)
from small_run import summary, wait_for


def finished(folder, name, *arguments, ranks=1, patients=8):
    done = cohort(folder, name, *arguments, ranks=ranks)
    expect(done.returncode == 0, f"{name}: exit {done.returncode}: {done.stdout} {done.stderr}")
    is_whole(folder / name, name)
    each_once(folder / name, name, patients)
    return done


def sense(folder):
    """The baseline of all comparisons says something."""
    found = table(folder / "whole")
    kinds = {row["status"] for row in found}
    expect(len(found) == 16 and kinds == {"done", "rejected"}, f"{len(found)} rows, {kinds}")
    for name in ("log_kill", "baseline.perfused_fraction", "tumour.cell_density"):
        values = {row[name] for row in found if row["arm"] == "dox" and row["status"] == "done"}
        expect(len(values) > 5, f"{name}: {values}")


def numbers_of_ranks(folder):
    for ranks in (2, 4):
        finished(folder, f"on_{ranks}", ranks=ranks)
        same(folder / "whole", folder / f"on_{ranks}", f"1 and {ranks} ranks")
    few = ["--set", "cohort.patients=4"]
    finished(folder, "few", *few, patients=4)
    for ranks in (3, 5):
        finished(folder, f"pairs_{ranks}", *few, "--set", "cohort.group_width=2", ranks=ranks, patients=4)
        expect({row["ranks"] for row in rows(folder / f"pairs_{ranks}") if row["status"] == "done"} == {2}, "groups of 2")
    same(folder / "pairs_3", folder / "pairs_5", "1 and 2 groups of 2 ranks")
    same(folder / "few", folder / "pairs_3", "groups of 1 and of 2 ranks", 1e-8)


def shards(folder):
    early = cohort(folder, "cut", "--merge")
    expect(early.returncode == 2 and "no shards here" in early.stderr and "--shard" in early.stderr, early.stderr)
    for shard in (2, 0):
        done = cohort(folder, "cut", "--shard", f"{shard}/3", ranks=1 + shard)
        expect(done.returncode == 0, f"shard {shard}: exit {done.returncode}: {done.stderr}")
    early = cohort(folder, "cut", "--merge")
    expect(early.returncode == 75 and "1_of_3 (not begun)" in early.stderr, f"exit {early.returncode}: {early.stderr}")
    expect(not (folder / "cut/ledger.sqlite").exists(), "a merge that cannot be left a ledger")
    # A shard that is interrupted goes on as a shard.
    job = start(folder, "cohort", "deck.ini", "-o", "cut", "--shard", "1/3")
    wait_for((folder / "cut/shards/1_of_3/ledger.in_flight").exists, job)
    send(job.pid, signal.SIGTERM)
    expect(job.wait(timeout=60) == 75, f"shard interrupted: exit {job.returncode}: {log_of(folder)}")
    early = cohort(folder, "cut", "--merge")
    expect(early.returncode == 75 and "1_of_3 (not finished)" in early.stderr, f"exit {early.returncode}: {early.stderr}")
    wrong = cohort(folder, "cut/shards/1_of_3")
    expect(wrong.returncode == 2 and "shard 1/3" in wrong.stderr and "resume" in wrong.stderr, wrong.stderr)
    done = run(folder, "resume", "cut/shards/1_of_3")
    expect(done.returncode == 0, f"resume of a shard: exit {done.returncode}: {done.stderr}")
    expect({row["patient"] for row in rows(folder / "cut/shards/1_of_3")} == {1, 4, 7}, "patients of shard 1")
    for again in range(2):
        done = cohort(folder, "cut", "--merge", ranks=1 + again)
        expect(done.returncode == 0, f"merge: exit {done.returncode}: {done.stderr}")
        each_once(folder / "cut", "shards", 8)
        same(folder / "whole", folder / "cut", "3 shards")


def interrupted(folder):
    """Five times at random moments, now on one process and now on two or three; the last run is left alone."""
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}", flush=True)
    random.seed(seed)
    before, restarted = {}, False
    for number, (sent, ranks) in enumerate(((signal.SIGUSR1, 3), (signal.SIGTERM, 1), (signal.SIGKILL, 1),
                                            (signal.SIGUSR1, 2), (signal.SIGKILL, 3))):
        job = start(folder, "cohort", "deck.ini", "-o", "torn", ranks=ranks)
        flight = folder / "torn/ledger.in_flight"
        old = flight.stat().st_mtime_ns if flight.exists() else 0
        wait_for(lambda: flight.exists() and flight.stat().st_mtime_ns != old, job)
        time.sleep(random.uniform(0, 0.5))
        pids = rank_processes(job, ranks)
        if job.poll() is None:
            for pid in pids if sent == signal.SIGKILL else [job.pid]:
                send(pid, sent)
        end(job, pids)
        print(f"interruption {number}: {sent.name} on {ranks} ranks: exit {job.returncode}", flush=True)
        restarted = restarted or will_go_on_inside(folder / "torn")
        if sent != signal.SIGKILL:
            expect(job.returncode in (0, 75), f"{sent.name} on {ranks} ranks: exit {job.returncode}: {log_of(folder)}")
        now = tasks(folder / "torn") if (folder / "torn/ledger.sqlite").exists() else {}
        for key, row in before.items():
            if row["status"] in ("done", "rejected"):
                expect(now.get(key) == row, f"interruption {number}: {key} is not what it was: {row}, {now.get(key)}")
        before = now
    finished(folder, "torn", ranks=2)
    same(folder / "whole", folder / "torn", "interrupted five times", 1e-8 if restarted else 0)


def own_baselines(folder):
    finished(folder, "own", "--set", "cohort.share_baseline=off", ranks=3)
    same(folder / "whole", folder / "own", "each arm with its own baseline")


def is_near(one, two):
    try:
        return math.isclose(float(one), float(two), rel_tol=1e-12)
    except ValueError:
        return one == two


def alone(folder):
    """The first patient of a cohort of one, and its deck given to `simulate`."""
    done = cohort(folder, "one", "--set", "cohort.patients=1", "--set", "cohort.keep_runs=all")
    expect(done.returncode == 0, f"one patient: exit {done.returncode}: {done.stderr}")
    expect(not (folder / "whole/runs").exists(), "runs are kept that nobody asked for")
    for index, arm in enumerate(("control", "dox")):
        whole, one = table(folder / "whole")[index], table(folder / "one")[index]
        expect(whole["arm"] == arm and whole.keys() == one.keys(), f"{arm}: {whole['arm']}, {whole.keys() ^ one.keys()}")
        # What is written on the way may change the last digit of what is integrated.
        for name in whole:
            expect(is_near(whole[name], one[name]), f"{arm}: the first of 8 and the only one: {name}: {whole[name]}, {one[name]}")
        kept = folder / f"one/runs/0/{arm}"
        simulated = run(folder, "simulate", kept / "deck.ini", "-o", f"alone_{arm}")
        expect(simulated.returncode == 0, f"{arm} alone: exit {simulated.returncode}: {simulated.stderr}")
        if arm == "dox":
            small_run.expect_same(kept, folder / f"alone_{arm}", f"{arm} alone", 0)
        outcome = summary(folder / f"alone_{arm}")["outcome"]
        compared = 0
        for name, value in outcome.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and whole.get(name):
                compared += 1
                expect(is_near(whole[name], value), f"{arm} alone: {name}: {whole[name]} and {value}")
        expect(compared > 5, f"{arm} alone: {compared} endpoints compared")


with tempfile.TemporaryDirectory() as place:
    here = pathlib.Path(place)
    (here / "deck.ini").write_text(DECK.replace("patients = 12", "patients = 8"))
    finished(here, "whole")
    sense(here)
    for test in (numbers_of_ranks, shards, interrupted, own_baselines, alone):
        begin = time.monotonic()
        test(here)
        print(f"{test.__name__}: {time.monotonic() - begin:.0f} s, {small_run.failures} failures so far", flush=True)
print(f"{small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
