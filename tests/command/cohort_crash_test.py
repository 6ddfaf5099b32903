"""A task that always kills the program: after three crashes it is a failed row, all others are done, and its deck
reproduces the crash. The killer is a library put before the program's own: it ends a process that makes a folder for a
certain patient and arm."""
import os
import pathlib
import subprocess
import sys
import tempfile

import small_run
from small_cohort import DECK, cohort, each_once, expect, is_whole, run, same, tasks

LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
int mkdir(const char* path, mode_t mode) {
  const char* deadly = getenv("DEADLY_FOLDER");
  if (deadly && strstr(path, deadly)) raise(SIGKILL);
  int (*real)(const char*, mode_t) = (int (*)(const char*, mode_t))dlsym(RTLD_NEXT, "mkdir");
  return real(path, mode);
}
"""
# So that an arm makes its folder at all.
OFTEN = ["--set", "output.checkpoint_interval=0.001 s"]
DEADLY = "/4/dox"


def deadly(folder, what=DEADLY):
    os.environ.update(LD_PRELOAD=str(folder / "killer.so"), DEADLY_FOLDER=what)


def harmless():
    for name in ("LD_PRELOAD", "DEADLY_FOLDER"):
        os.environ.pop(name, None)


def crashes(folder, ranks, what, victims):
    """Three runs die, the fourth gives the tasks up."""
    name = f"on_{ranks}_{what.replace('/', '_')}"
    directory = folder / name
    deadly(folder, what)
    try:
        for attempt in (1, 2, 3):
            died = cohort(folder, name, *OFTEN, ranks=ranks)
            label = f"{what} on {ranks} ranks, run {attempt}"
            expect(died.returncode not in (0, 2, 4, 5, 75), f"{label}: exit {died.returncode}: {died.stderr}")
            is_whole(directory, label)
            found = tasks(directory)
            if attempt > 1:
                expect("died with" in died.stderr, f"{label}: nothing is said of the crash: {died.stderr}")
                victim = found[4, what.split("/")[-1]]
                expect(victim["attempts"] == attempt - 1, f"{label}: attempts {victim['attempts']}")
            if attempt == 3:  # what died with it once came before it
                left = {key for key, row in found.items() if row["status"] not in ("done", "rejected")}
                expect(left <= set(victims), f"{label}: not done: {left}")
        last = cohort(folder, name, *OFTEN, ranks=ranks)
    finally:
        harmless()
    label = f"{what} on {ranks} ranks"
    expect(last.returncode == 5, f"{label}: the fourth run: exit {last.returncode}: {last.stderr}")
    each_once(directory, label, 5)
    found = tasks(directory)
    for key, row in found.items():
        if key == victims[0]:
            expect(row["status"] == "failed" and row["attempts"] == 3 and row["reason"].startswith("crashed: "), f"{label}: {row}")
        elif key in victims:
            expect(row["status"] == "failed" and "before treatment failed: crashed: " in row["reason"], f"{label}: {row}")
        else:
            expect(row["status"] in ("done", "rejected"), f"{label}: {row}")
    return directory


def reproduced(folder, directory):
    deck = directory / "failed/4_dox.ini"
    expect([path.name for path in deck.parent.iterdir()] == ["4_dox.ini"], f"failed/ holds {list(deck.parent.iterdir())}")
    deadly(folder)
    try:
        alone = run(folder, "simulate", deck, "-o", "alone/4/dox")
        expect(alone.returncode == -9, f"the deck of a crashed patient: exit {alone.returncode}: {alone.stderr}")
    finally:
        harmless()
    expect(run(folder, "simulate", deck, "-o", "alone/5").returncode == 0, "the deck of a crashed patient is no deck")


with tempfile.TemporaryDirectory() as place:
    here = pathlib.Path(place)
    (here / "killer.c").write_text(LIBRARY)
    built = subprocess.run(["gcc", "-shared", "-fPIC", "-o", here / "killer.so", here / "killer.c", "-ldl"], check=False)
    if built.returncode != 0:
        print("skipped: no gcc")
        sys.exit(77)
    (here / "deck.ini").write_text(DECK.replace("patients = 12", "patients = 5"))
    whole = cohort(here, "whole", *OFTEN)
    expect(whole.returncode == 0, f"without crashes: exit {whole.returncode}: {whole.stderr}")
    for ranks_, what_, victims_ in ((1, DEADLY, [(4, "dox")]), (3, DEADLY, [(4, "dox")]),
                                    (1, "/4/baseline", [(4, "baseline"), (4, "control"), (4, "dox")])):
        there = crashes(here, ranks_, what_, victims_)
        if what_ == DEADLY and ranks_ == 1:
            reproduced(here, there)
        mended = cohort(here, there.name, *OFTEN, "--retry-failed", ranks=ranks_)
        expect(mended.returncode == 0 and "died" not in mended.stderr, f"mended: exit {mended.returncode}: {mended.stderr}")
        same(here / "whole", there, "mended", 1e-8)
        print(f"{what_} on {ranks_} ranks: {small_run.failures} failures so far", flush=True)
print(f"{small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
