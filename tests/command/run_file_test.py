"""Run files as a user meets them: read by h5py from a moved directory, after a kill, on a disk that is full."""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

program = pathlib.Path(os.environ["SANCTUARY_PROGRAM"])
tests = program.parent / "tests" / "mpi_tests"
mpiexec = os.environ.get("MPIEXEC", "mpiexec")
if not tests.exists():
    print("skipped: mpi_tests is not built")
    sys.exit(77)


def command(ranks, name):
    return [mpiexec, "--oversubscribe", "-n", str(ranks), str(tests), f"--gtest_filter=RunFile.{name}", "--gtest_brief=1"]


def moved_run_is_read(folder):
    first, second = folder / "first", folder / "elsewhere" / "second"
    subprocess.run(command(2, "ShowsAllTimesAsOne"), env={**os.environ, "SANCTUARY_SAMPLE_RUN": str(first)}, check=True)
    second.parent.mkdir()
    first.rename(second)
    os.chdir("/")
    with h5py.File(second / "run.h5") as run:
        assert run.attrs["complete"] == 1 and run.attrs["command"] == "sanctuary simulate a.ini"
        assert np.array_equal(run["time"], [-3600, 0, 7200])
        oxygen = run["fields/oxygen_pressure"]
        assert oxygen.shape == (3, 6, 5, 7) and oxygen.attrs["unit"] == "mmHg"
        # The value of cell x, y, z is sin(x + 10 y + 100 z + time + 0.5) 1e5.
        assert np.isclose(oxygen[2, 4, 3, 2], np.sin(2 + 30 + 400 + 7200.5) * 1e5, rtol=1e-14)
        assert np.isfinite(run["fields/tissue"][:]).all() and bool(run["fields/tissue"].attrs["constant"])
        assert run["parameters/grid.spacing"][()] == 20
        assert run["parameters/grid.spacing"].attrs["default"].dtype == bool
        assert run["parameters/drug.doxorubicin.model"].asstr()[()] == "two_compartment"
        assert run["network/0/flow"].shape == (3, 2) and run["network/0/pressure"].attrs["on"] == "nodes"
        assert np.array_equal(run["network/0/nodes"][1], [1.1e-3, -1.9e-3, 6e-4])
        assert run["sanctuary/doxorubicin/label"].shape == (6, 5, 7)
        assert run["sanctuary/doxorubicin"].attrs["theta_relative"]
        assert run["outcome"].attrs["s1_share"] == 0.25
    # A lost file leaves a gap that can be seen, not a zero.
    (second / "times" / "time_000001.h5").unlink()
    with h5py.File(second / "run.h5") as run:
        assert np.isnan(run["fields/oxygen_pressure"][1]).all()
        assert np.isfinite(run["fields/oxygen_pressure"][2]).all()


def killed_run_is_whole(folder):
    path = folder / "killed"
    shown = -1
    for _ in range(5):
        log = open(folder / "log", "w")
        job = subprocess.Popen(command(2, "WritesUntilKilled"), env={**os.environ, "SANCTUARY_KILLED_RUN": str(path)},
                               stdout=log, stderr=log, start_new_session=True)
        time.sleep(random.uniform(1.5, 3))
        assert job.poll() is None, (folder / "log").read_text()
        ranks = subprocess.run(["ps", "-o", "pid=", "--ppid", str(job.pid)], capture_output=True, text=True).stdout.split()
        assert len(ranks) == 2
        for rank in ranks:
            os.kill(int(rank), 9)
        job.wait(timeout=30)
        with h5py.File(path / "run.h5") as run:
            times = run["time"][:]
            assert run.attrs["complete"] == 0 and not (path / "summary.json").exists()
            pressure = run["fields/p"]
            assert len(times) >= shown and np.array_equal(times, np.arange(len(times)))
            for index in {0, len(times) // 2, len(times) - 1}:
                assert np.all(pressure[index] == index)
        for name in (path / "times").glob("*.h5"):
            with h5py.File(name):
                pass
        for name in (path / "checkpoints").glob("*.h5"):
            with h5py.File(name) as checkpoint:
                assert len(np.unique(checkpoint["fields/p"][:])) == 1
        shown = len(times)
    assert shown > 6


def full_disk_is_an_error(folder):
    small = folder / "small"
    small.mkdir()
    mount = ["unshare", "--mount", "--map-root-user", "sh", "-c",
             f"mount -t tmpfs -o size=6m none '{small}' && exec \"$@\"", "sh"]
    if subprocess.run([*mount, "true"], capture_output=True).returncode != 0:
        print("not tried: a full disk, since nothing can be mounted here")
        return
    for ranks in (1, 2, 3):
        run = subprocess.run([*mount, *command(ranks, "FullDisk*")], capture_output=True, text=True, timeout=240,
                             env={**os.environ, "SANCTUARY_SMALL_DISK": str(small)})
        assert run.returncode == 0 and "PASSED" in run.stdout and "SKIPPED" not in run.stdout, run.stdout + run.stderr


with tempfile.TemporaryDirectory() as name:
    moved_run_is_read(pathlib.Path(name))
    killed_run_is_whole(pathlib.Path(name))
    full_disk_is_an_error(pathlib.Path(name))
    shutil.rmtree(pathlib.Path(name) / "killed")
print("run files: moved, killed, full disk: passed")
