"""A disk that fills up during a run: exit 4 soon after the failing write, everything written before stays readable,
and the same command goes on once there is room. On 1, 2 and 3 ranks; needs the right to mount."""
import re
import subprocess
import time

import h5py
import numpy as np

import small_run
from small_disk import fill, run_on_small_disk
from small_run import DECK, expect, expect_closed, run, start, wait_for

MEGABYTES = 6


def all_finite(group):
    """Reads every field of a group and of the groups in it (those of a cycle)."""
    return all(all_finite(entry) if isinstance(entry, h5py.Group) else np.isfinite(entry[:]).all() for entry in group.values())


def all_is_readable(directory, label):
    times = sorted((directory / "times").glob("time_*.h5"))
    expect(times, f"{label}: no time file is left")
    for path in times:
        with h5py.File(path) as file:
            expect(all_finite(file["fields"]), f"{label}: {path.name}")
    checkpoints = sorted((directory / "checkpoints").glob("checkpoint_*.h5"))
    expect(checkpoints, f"{label}: no checkpoint is left")
    for path in checkpoints:
        with h5py.File(path) as file:
            expect(all_finite(file["fields"]), f"{label}: {path.name}")
    with h5py.File(directory / "run.h5") as file:
        expect(file.attrs["complete"] == 0 and len(file["time"]) == len(times), f"{label}: run.h5 shows {file['time'][:]}")
        expect(np.isfinite(file["fields/oxygen_pressure"][:]).all(), f"{label}: run.h5 shows gaps")
    expect(not (directory / "summary.json").exists(), f"{label}: a failed run looks complete")
    left = [path.name for path in directory.rglob("*") if path.name.endswith((".tmp", ".partial"))]
    expect(not left, f"{label}: left behind: {left}")


def filled_during_the_run(folder, disk, ranks):
    label = f"{ranks} ranks"
    directory = disk / "run"
    arguments = ["simulate", folder / "deck.ini", "-o", directory]
    job = start(folder, *arguments, ranks=ranks)
    # The first checkpoint follows the first output: from here on there is room for nothing more.
    ready = wait_for(lambda: list(directory.glob("checkpoints/checkpoint_*.h5")), job)
    expect(ready, f"{label}: no checkpoint: {(folder / 'log').read_text()}")
    if not ready:
        job.kill()
        return
    fill(disk, 40_000)
    job.wait(timeout=600)
    # The file that found no room was made and removed in one of these folders: their last change is the failing write.
    late = time.time() - max(place.stat().st_mtime for place in (directory, directory / "times", directory / "checkpoints"))
    print(f"{label}: ended {late:.1f} s after the failing write", flush=True)
    expect(late < 10, f"{label}: ended {late:.1f} s after the failing write")
    text = (folder / "log").read_text()
    expect(job.returncode == 4, f"{label}: exit {job.returncode}, expected 4: {text}")
    expect(text.count("sanctuary: ") == 1 and str(directory) in text, f"{label}: one message that names the file: {text}")
    expect(re.search(r"No space left|space", text) and re.search(r"room|free", text), f"{label}: what to do is not said: {text}")
    all_is_readable(directory, label)
    # With no room at all every command fails at its first write, and soon.
    begin = time.monotonic()
    again = run(folder, *arguments, ranks=ranks)
    expect(again.returncode == 4, f"{label}: again, still full: exit {again.returncode}: {again.stderr}")
    print(f"{label}: full again after {time.monotonic() - begin:.1f} s", flush=True)
    all_is_readable(directory, f"{label}, after another try")
    (disk / "filler").unlink()
    done = run(folder, *arguments, ranks=ranks)
    expect(done.returncode == 0, f"{label}: with room: exit {done.returncode}: {done.stderr}")
    expect("going on from the checkpoint" in done.stderr, f"{label}: it began anew: {done.stderr}")
    expect_closed(directory, label)
    with h5py.File(directory / "run.h5") as file:
        expect(file.attrs["complete"] == 1 and len(file["time"]) == 3, f"{label}: the finished run.h5")


def filled_disks(folder, disk):
    (folder / "deck.ini").write_text(DECK)
    for ranks in (1, 2, 3):
        filled_during_the_run(folder, disk, ranks)
        subprocess.run(["rm", "-rf", *disk.iterdir()], check=True)
        print(f"{ranks} ranks: {small_run.failures} failures so far", flush=True)


run_on_small_disk(filled_disks, MEGABYTES)
