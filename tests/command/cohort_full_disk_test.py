"""A disk that fills up under a cohort: in a commit of the ledger, while a baseline or a checkpoint is written, while
fields are. Exit 4 with the path and what to do, the ledger whole, no task blamed for it; with room again the same
command goes on to the same end. On 1 and 3 ranks; needs the right to mount."""
import re
import signal
import subprocess
import time

import small_run
from small_cohort import (DECK, LONG, cohort, each_once, end, expect, is_whole, log_of, rank_processes, same,
                          send, start, tasks)
from small_disk import fill, run_on_small_disk
from small_run import wait_for

MEGABYTES = 12


def is_full_message(text, directory, label):
    expect(text.count("sanctuary: ") == 1 and str(directory) in text, f"{label}: one message that names the file: {text}")
    expect(re.search(r"No space left|space", text) and re.search(r"room|free", text), f"{label}: what to do is not said: {text}")


def goes_on(folder, disk, arguments, ranks, label, reference, tolerance):
    """Full twice more, as somebody who does not look would have it; then with room."""
    directory = disk / "cohort"
    before = tasks(directory)
    for _ in range(2 if ranks == 1 else 1):
        begin = time.monotonic()
        again = cohort(folder, directory, *arguments, ranks=ranks)
        expect(time.monotonic() - begin < 30, f"{label}: still full: ended after {time.monotonic() - begin:.0f} s")
        expect(again.returncode == 4, f"{label}: still full: exit {again.returncode}: {again.stderr}")
        is_full_message(again.stderr, directory, label)
        is_whole(directory, label)
    for key, row in before.items():
        if row["status"] in ("done", "rejected"):
            expect(tasks(directory).get(key) == row, f"{label}: {key} has changed")
    (disk / "filler").unlink()
    done = cohort(folder, directory, *arguments, ranks=ranks)
    expect(done.returncode == 0, f"{label}: with room: exit {done.returncode}: {done.stderr}")
    expect("died" not in done.stderr, f"{label}: tasks are blamed for a full disk: {done.stderr}")
    for key, row in tasks(directory).items():
        if before.get(key, {}).get("status") in ("done", "rejected"):
            expect(row == before[key], f"{label}: {key} has run again")
        expect(row["attempts"] == 1 or row["status"] == "rejected", f"{label}: {key}: attempts {row['attempts']}")
    each_once(directory, label, 4)
    same(reference, directory, label, tolerance)


def filled(folder, disk, ranks, what, arguments, ready, left, tolerance):
    label = f"{what} on {ranks} ranks"
    directory = disk / "cohort"
    job = start(folder, "cohort", "deck.ini", "-o", directory, *arguments, ranks=ranks)
    expect(wait_for(lambda: ready(directory), job), f"{label}: not ready: {log_of(folder)}")
    pids = rank_processes(job, ranks)
    for pid in pids:  # nobody writes while the disk is filled
        send(pid, signal.SIGSTOP)
    fill(disk, left)
    for pid in pids:
        send(pid, signal.SIGCONT)
    begin = time.monotonic()
    end(job, pids)
    print(f"{label}: ended {time.monotonic() - begin:.1f} s after the disk was full", flush=True)
    expect(job.returncode == 4, f"{label}: exit {job.returncode}, expected 4: {log_of(folder)}")
    is_full_message(log_of(folder), directory, label)
    is_whole(directory, label)
    fill(disk, 0)
    goes_on(folder, disk, arguments, ranks, label, folder / "whole", tolerance)
    subprocess.run(["rm", "-rf", *disk.iterdir()], check=True)
    print(f"{label}: {small_run.failures} failures so far", flush=True)


def some_are_done(directory):
    try:
        return sum(row["status"] == "done" for row in tasks(directory).values()) >= 3
    except Exception:  # not there yet
        return False


def filled_disks(folder, disk):
    (folder / "deck.ini").write_text(DECK.replace("patients = 12", "patients = 4"))
    expect(cohort(folder, "whole", *LONG[:4]).returncode == 0, "with room from the start")
    for ranks in (1, 3):
        # No page is left for the ledger, which grows with its rows; what a baseline takes is reserved ahead and fails, too.
        filled(folder, disk, ranks, "ledger or baseline", LONG[:4], some_are_done, 0, 0)
        # Room for the ledger, none for a checkpoint.
        filled(folder, disk, ranks, "checkpoint", LONG, lambda d: list(d.glob("work/*/*/dox/checkpoints/*.h5")), 20_000, 1e-8)
        filled(folder, disk, ranks, "fields", [*LONG[:4], "--set", "cohort.keep_runs=all"],
               lambda d: list(d.glob("runs/*/dox/times/*.h5")), 20_000, 1e-8)


run_on_small_disk(filled_disks, MEGABYTES)
