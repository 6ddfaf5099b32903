"""Interrupted and resumed = not interrupted: after SIGUSR1, after Ctrl-C through the launcher and after kill -9, by the
same command and by `sanctuary resume`, on the same and on another number of ranks."""
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import h5py
import numpy as np

import small_run
from small_run import DECK, expect, expect_closed, expect_same, processes, run, start, wait_for

# A checkpoint after every step.
OFTEN = ["--set", "output.checkpoint_interval=0.001 s"]


def log_of(folder):
    return (folder / "log").read_text(encoding="utf-8")


def begun(folder, name, ranks, checkpoints):
    """A run in the background that has written that many checkpoints."""
    job = start(folder, "simulate", "deck.ini", "-o", name, *OFTEN, ranks=ranks)

    def enough():
        found = sorted((folder / name / "checkpoints").glob("checkpoint_*.h5"))
        return found and int(found[-1].stem.split("_")[1]) >= checkpoints
    expect(wait_for(enough, job), f"{name}: ended before it could be interrupted: {log_of(folder)}")
    return job


def finished(folder, name, label, ranks, arguments, solved_again=False):
    done = run(folder, *arguments, ranks=ranks)
    expect(done.returncode == 0, f"{label}: resumed: exit {done.returncode}: {done.stderr}")
    if done.returncode != 0:
        return
    expect("going on from the checkpoint" in done.stderr, f"{label}: it began anew: {done.stderr}")
    timing = json.loads((folder / name / "summary.json").read_text())["timing"]
    expect(("flow and pressure_s" in timing) == solved_again, f"{label}: what was done before treatment: {timing}")
    expect_same(folder / "whole", folder / name, label)
    expect_closed(folder / name, label)
    with h5py.File(folder / "whole/run.h5") as one, h5py.File(folder / name / "run.h5") as two:
        expect(two.attrs["complete"] == 1 and np.array_equal(one["time"], two["time"]), f"{label}: output times")
        for key in one["series"]:
            a, b = one["series"][key][:], two["series"][key][:]
            expect(a.shape == b.shape and np.allclose(a, b, rtol=1e-8, atol=1e-10 * max(np.nan_to_num(np.abs(a)).max(), 1e-300), equal_nan=True),
                   f"{label}: series {key}")
        for key in one["fields"]:
            a, b = one["fields"][key][:].astype(float), two["fields"][key][:].astype(float)
            expect(np.allclose(a, b, rtol=1e-6, atol=1e-6 * max(np.abs(a).max(), 1e-300)), f"{label}: field {key}")


def same_command(name):
    return ["simulate", "deck.ini", "-o", name, *OFTEN]


def signalled(folder, name, ranks, sent, to_launcher=False, checkpoints=8):
    job = begun(folder, name, ranks, checkpoints)
    for target in [job.pid] if to_launcher else processes(job, ranks):
        os.kill(target, sent)
    job.wait(timeout=120)
    return job.returncode


def after_a_signal(folder):
    """SIGUSR1, as SLURM's warning: 75 with everything saved; two interruptions of one run."""
    for number, checkpoints in enumerate((4, 11)):
        code = signalled(folder, "warned", 1, signal.SIGUSR1, checkpoints=checkpoints)
        expect(code == 75, f"SIGUSR1, time {number}: exit {code}: {log_of(folder)}")
        expect("stopped on request" in log_of(folder) and "resume" in log_of(folder), log_of(folder))
        expect(not (folder / "warned/summary.json").exists(), "an interrupted run looks complete")
    finished(folder, "warned", "SIGUSR1 twice on 1 rank, same command on 1", 1, same_command("warned"))


def after_a_signal_to_all_ranks(folder):
    code = signalled(folder, "warned_2", 2, signal.SIGUSR1)
    expect(code == 75, f"SIGUSR1 on 2 ranks: exit {code}: {log_of(folder)}")
    finished(folder, "warned_2", "SIGUSR1 on 2 ranks, resume on 1", 1, ["resume", "warned_2"])


def after_a_signal_to_one_rank(folder):
    job = begun(folder, "one_warned", 2, 8)
    os.kill(processes(job, 2)[1], signal.SIGTERM)
    job.wait(timeout=120)
    expect(job.returncode == 75, f"SIGTERM to one of 2 ranks: exit {job.returncode}: {log_of(folder)}")
    finished(folder, "one_warned", "SIGTERM to one rank, same command on 3", 3, same_command("one_warned"))


def after_kill(folder):
    for ranks, name, again, how in ((1, "killed", 2, ["resume", "killed"]),
                                    (2, "killed_2", 2, same_command("killed_2"))):
        job = begun(folder, name, ranks, 10)
        for rank in processes(job, ranks):
            os.kill(rank, signal.SIGKILL)
        job.wait(timeout=60)
        expect(job.returncode != 0 and not (folder / name / "summary.json").exists(), f"killed: exit {job.returncode}")
        for path in (folder / name).rglob("*.h5"):
            with h5py.File(path):
                pass
        finished(folder, name, f"kill -9 on {ranks} ranks, {how[0]} on {again}", again, how)


def after_interrupt_through_the_launcher(folder):
    """mpiexec passes Ctrl-C on and kills soon after: whatever the code, the next run goes on."""
    code = signalled(folder, "interrupted", 2, signal.SIGINT, to_launcher=True, checkpoints=4)
    print(f"Ctrl-C through the launcher: exit {code}; {log_of(folder)[-300:]!r}")
    if (folder / "interrupted/summary.json").exists():
        print("the launcher took longer to pass Ctrl-C on than the run to end: nothing to resume")
        return
    expect(code != 0, f"Ctrl-C: exit {code}: {log_of(folder)}")
    finished(folder, "interrupted", "Ctrl-C through the launcher", 1, same_command("interrupted"))


def damaged_checkpoint(folder):
    """The newest checkpoint is cut: the one before it serves."""
    code = signalled(folder, "damaged", 1, signal.SIGUSR1)
    expect(code == 75, f"exit {code}: {log_of(folder)}")
    newest = sorted((folder / "damaged/checkpoints").glob("checkpoint_*.h5"))[-1]
    newest.write_bytes(newest.read_bytes()[:-1000])
    finished(folder, "damaged", "cut checkpoint", 1, ["resume", "damaged"])


def baseline_of(folder, name, harm):
    """Stopped, and then something happens to its baseline: it is computed again, and kept again."""
    code = signalled(folder, name, 1, signal.SIGUSR1)
    expect(code == 75, f"exit {code}: {log_of(folder)}")
    kept = folder / name / "checkpoints/baseline.h5"
    whole = kept.read_bytes()
    harm(kept)
    finished(folder, name, f"baseline {name}", 1, ["resume", name], solved_again=True)
    expect(kept.exists() and len(kept.read_bytes()) == len(whole), f"baseline {name}: not kept again")


def lost_and_damaged_baseline(folder):
    baseline_of(folder, "lost", lambda kept: kept.unlink())
    baseline_of(folder, "cut", lambda kept: kept.write_bytes(kept.read_bytes()[:-1000]))
    code = signalled(folder, "strange", 1, signal.SIGUSR1)
    expect(code == 75, f"exit {code}: {log_of(folder)}")
    other = folder / "other"
    other.mkdir()
    (other / "deck.ini").write_text((folder / "deck.ini").read_text().replace("seed = 2", "seed = 4"))
    done = run(other, "simulate", "deck.ini", "-o", "run", *OFTEN)
    expect(done.returncode == 0, f"other patient: exit {done.returncode}: {done.stderr}")
    shutil.copy(other / "run/checkpoints/baseline.h5", folder / "strange/checkpoints/baseline.h5")
    done = run(folder, "resume", "strange")
    expect(done.returncode == 2 and "baseline of another patient" in done.stderr and "seed (there: 4)" in done.stderr,
           f"baseline of another patient: exit {done.returncode}: {done.stderr}")


def vessels_that_change(folder):
    """Collapsed and pulsating vessels: the shares of the time that cells are hypoxic come back, too."""
    there = folder / "vessels"
    there.mkdir()
    (there / "deck.ini").write_text((folder / "deck.ini").read_text().replace("seed = 2", "seed = 3") +
                                    "[mechanisms]\nintermittent_flow = on\nvessel_compression = on\n"
                                    "[solid_stress]\ntumour = 45 mmHg\n")
    whole = run(there, "simulate", "deck.ini", "-o", "whole", *OFTEN)
    expect(whole.returncode == 0, f"vessels, not interrupted: exit {whole.returncode}: {whole.stderr}")
    with h5py.File(there / "whole/run.h5") as file:
        expect(file["fields/time_below_5"][:].max() > 0, "no hypoxia to compare")
        expect(file["network/0/collapsed"][:].max() == 1, "no vessel has collapsed")
    code = signalled(there, "warned", 1, signal.SIGUSR1)
    expect(code == 75, f"vessels: SIGUSR1: exit {code}: {log_of(there)}")
    finished(there, "warned", "vessels: SIGUSR1 on 1 rank, resume on 1", 1, ["resume", "warned"])


with tempfile.TemporaryDirectory() as place:
    here = pathlib.Path(place)
    # Finer steps than small_run asks for: the run must last long enough for a signal to find it, on a fast machine too.
    (here / "deck.ini").write_text(DECK.replace("relative_tolerance = 0.05", "relative_tolerance = 0.0003")
                                   .replace("first_step = 5 s", "first_step = 0.5 s"))
    whole = run(here, "simulate", "deck.ini", "-o", "whole", *OFTEN)
    expect(whole.returncode == 0, f"not interrupted: exit {whole.returncode}: {whole.stderr}")
    if whole.returncode == 0:
        for test in (after_a_signal, after_kill, after_a_signal_to_all_ranks, after_a_signal_to_one_rank,
                     damaged_checkpoint, lost_and_damaged_baseline, after_interrupt_through_the_launcher, vessels_that_change):
            test(here)
            print(f"{test.__name__}: {small_run.failures} failures so far", flush=True)
print(f"{small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
