"""Kills a cohort at random moments until a number of kills is reached, and checks what the ledger holds after each:

whole, nothing that was durable lost or run again, what was in flight blamed once, in the end every task once and the
same numbers as without a kill: bit by bit, or to 1e-8 where a launcher that lost a rank let the others save a task
half-way."""
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

import small_run
from small_cohort import (DECK, cohort, each_once, end, expect, is_whole, log_of, meta, rank_processes, will_go_on_inside,
                          rows, same, send, start, tasks)
from small_run import wait_for

SETTLED = ("done", "failed", "rejected")
TARGETS = ("coordinator", "worker", "all", "launcher")


class Snapshot:
    """A ledger as the dead run left it. Read from a copy: the next run itself shall roll back what was half-written."""

    def __init__(self, directory, label):
        with tempfile.TemporaryDirectory() as name:
            copy = pathlib.Path(name)
            for path in directory.glob("ledger.*"):
                shutil.copy(path, copy)
            self.tasks, self.run, noted = {}, 0, []
            if not (copy / "ledger.sqlite").exists() or (copy / "ledger.sqlite").stat().st_size == 0:
                return
            is_whole(copy, label)
            if not rows(copy, "SELECT name FROM sqlite_master WHERE name = 'tasks'"):
                return
            self.tasks, self.run = tasks(copy), int(meta(copy).get("run", "0"))
            # Patients and arms by their numbers in the ledger.
            names = meta(copy).get("variants", "").split(", ")
            if (copy / "ledger.in_flight").exists():
                bytes_ = (copy / "ledger.in_flight").read_bytes()
                noted = [int.from_bytes(bytes_[i:i + 8], "little", signed=True) for i in range(0, len(bytes_) // 8 * 8, 8)]
            if noted and abs(noted[0]) != self.run:
                noted = []
            self.excused = bool(noted) and noted[0] < 0
            self.in_flight = {(number // 4096, names[number % 4096]) for number in noted[1:]}
            self.in_flight |= {key for key, row in self.tasks.items() if row["status"] == "running"}
            self.in_flight = {key for key in self.in_flight
                              if self.tasks.get(key, {}).get("status") not in (*SETTLED, "interrupted")}

    def attempts_after(self, key):
        """Attempts that the next run counts for a task that is not settled."""
        before = self.tasks[key]["attempts"] if key in self.tasks else 0
        return before + (1 if key in self.in_flight and not self.excused else 0)


class Tally:
    def __init__(self):
        self.kills = self.finished = self.to_the_bit = self.corrupt = self.lost = self.again = self.blamed = 0
        self.by = dict.fromkeys(TARGETS, 0)

    def __str__(self):
        return (f"{self.kills} kills ({', '.join(f'{name} {count}' for name, count in self.by.items())}), "
                f"{self.finished} cohorts finished, {self.to_the_bit} of them with the same bits, corrupt ledgers {self.corrupt}, settled tasks lost {self.lost}, "
                f"run again {self.again}, attempts blamed {self.blamed}")


def compare(before, after, label, tally):
    """What a kill must leave alone, and what it must change."""
    for key, row in before.tasks.items():
        if row["status"] not in SETTLED:
            continue
        if key not in after.tasks:
            tally.lost += 1
            expect(False, f"{label}: {key} was {row['status']} and is lost")
        elif after.tasks[key] != row:
            tally.again += 1
            expect(False, f"{label}: {key} was settled and has changed: {row} to {after.tasks[key]}")
    expect(after.run in (before.run, before.run + 1), f"{label}: run {before.run} is followed by {after.run}")
    if after.run == before.run:  # killed before it began
        expect(after.tasks == before.tasks, f"{label}: tasks changed before the run began")
        return
    for key, row in after.tasks.items():
        if key in before.tasks and before.tasks[key]["status"] in SETTLED:
            continue
        expected = before.attempts_after(key) if before.run > 0 else 0
        # The row of a task that never ran (a child of a rejected one) has none.
        if row["status"] == "done":
            expected += 1
        if row["status"] in ("pending", "running", "done"):
            expect(row["attempts"] == expected,
                   f"{label}: {key} {row['status']}: {row['attempts']} attempts, expected {expected}")
    tally.blamed += 0 if before.excused else len(before.in_flight)


def time_of(path):
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def kill_once(folder, name, ranks, moment, target, tally, whole_time):
    """Starts the cohort and kills it; true if it came to its end before."""
    directory = folder / name
    job = start(folder, "cohort", "deck.ini", "-o", name, ranks=ranks)

    def runs():
        return len(rank_processes(job, ranks)) == ranks
    if moment == "start":
        time.sleep(random.uniform(0, 0.5))
    elif moment == "journal":
        # PERSIST keeps the file; its first bytes are zero between commits.
        journal = directory / "ledger.sqlite-journal"
        before = time_of(journal)
        count = random.randint(1, 12)

        def changed():
            nonlocal before, count
            now = time_of(journal)
            if now != before:
                before, count = now, count - 1
            return count <= 0
        limit = time.monotonic() + 60
        while job.poll() is None and not changed() and time.monotonic() < limit:
            pass
    else:
        wait_for(runs, job)
        time.sleep(random.uniform(0, whole_time))
    if job.poll() is not None:
        return True
    pids = every = rank_processes(job, ranks)
    if target == "launcher" or not pids:
        pids = [job.pid]
    elif target == "coordinator":
        pids = pids[:1]
    elif target == "worker":
        pids = [random.choice(pids[1:] or pids)]
    for pid in pids:
        send(pid, signal.SIGKILL)
    end(job, every)
    tally.kills += 1
    tally.by[target] += 1
    return job.returncode == 0


def killed_until_done(folder, number, ranks, reference, tally, most, whole_time):
    name = f"killed_{number}"
    directory = folder / name
    before = None
    finished = restarted = False
    while tally.kills < most and not finished:
        target = TARGETS[tally.kills % len(TARGETS)] if ranks > 1 else "all"
        moment = random.choice(("start", "journal", "time", "time"))
        label = f"cohort {number} on {ranks} ranks, kill {tally.kills} of {target} at {moment}"
        finished = kill_once(folder, name, ranks, moment, target, tally, whole_time)
        restarted = restarted or will_go_on_inside(directory)
        if not directory.exists():
            continue
        failures = small_run.failures
        after = Snapshot(directory, label)
        if before:
            compare(before, after, label, tally)
        if small_run.failures > failures:
            print(f"{label}: the log:\n{log_of(folder)}", flush=True)
        before = after
    done = cohort(folder, name, ranks=ranks)
    label = f"cohort {number} on {ranks} ranks"
    expect(done.returncode == 0, f"{label}: exit {done.returncode}: {done.stderr}")
    is_whole(directory, label)
    after = Snapshot(directory, label)
    if before:
        compare(before, after, label, tally)
    each_once(directory, label)
    same(reference, directory, label, 1e-8 if restarted else 0)
    tally.finished += 1
    tally.to_the_bit += 0 if restarted else 1


def main(most, seed):
    random.seed(seed)
    tally = Tally()
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        (folder / "deck.ini").write_text(DECK.replace("[cohort]", "[cohort]\nattempts = 100"))
        begin = time.monotonic()
        whole = cohort(folder, "whole")
        whole_time = time.monotonic() - begin
        expect(whole.returncode == 0, f"not killed: exit {whole.returncode}: {whole.stderr}")
        number = 0
        while tally.kills < most and small_run.failures < 20:
            ranks = (3, 1, 2, 5)[number % 4]
            killed_until_done(folder, number, ranks, folder / "whole", tally, most, whole_time / 2)
            shutil.rmtree(folder / f"killed_{number}", ignore_errors=True)
            number += 1
            print(f"{tally}; {small_run.failures} failures so far", flush=True)
    print(f"{small_run.failures} failed")
    sys.exit(1 if small_run.failures else 0)
