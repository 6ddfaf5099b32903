"""A small patient, and what the tests of `simulate` and `resume` need to run it and to compare two runs."""
import json
import math
import os
import pathlib
import signal
import subprocess
import time

PROGRAM = os.environ["SANCTUARY_PROGRAM"]
MPIEXEC = os.environ.get("MPIEXEC", "mpiexec")
SOURCE = pathlib.Path(os.environ.get("SANCTUARY_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
REFERENCE = pathlib.Path(os.environ.get("SANCTUARY_REFERENCE_DATA", "/nowhere"))
for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_mpi_yield_when_idle",
             "OMPI_MCA_rmaps_base_oversubscribe", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A strong drug: half an hour is then enough for a sanctuary to be defined.
DECK = f"""include = {SOURCE}/decks/drugs/doxorubicin.ini
[patient]
duration = 30 min
[grid]
cells = 14, 13, 14
spacing = 50 um
[tumour]
radius = 250 um
[network]
source = lattice
[network.lattice]
segments = 200
seed = 2
[drug.doxorubicin]
ic50 = 0.0005 uM
emax = 2 1/h
dose_per_area = 60 mg/m^2
diffusivity = 117 um^2/s
[transport]
relative_tolerance = 0.05
first_step = 5 s
[output]
times = 0, 10 min
"""

failures = 0


def expect(condition, text):
    global failures
    if not condition:
        failures += 1
        print("FAILED:", text, flush=True)


def launcher(ranks):
    return [] if ranks == 1 else [MPIEXEC, "--oversubscribe", "-n", str(ranks)]


def run(folder, *arguments, ranks=1, timeout=600):
    return subprocess.run([*launcher(ranks), PROGRAM, *map(str, arguments)], cwd=folder, capture_output=True, text=True,
                          timeout=timeout, check=False)


def start(folder, *arguments, ranks=1):
    """The program in the background, its messages in the file `log`, alone in its process group."""
    with open(folder / "log", "w", encoding="utf-8") as log:
        return subprocess.Popen([*launcher(ranks), PROGRAM, *map(str, arguments)], cwd=folder, stdout=log, stderr=log,
                                start_new_session=True,
                                # A shell starts background jobs with SIGINT ignored, and that is inherited.
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def processes(job, ranks):
    """Process numbers of the ranks: of the program itself where no launcher stands between."""
    if ranks == 1:
        return [job.pid]
    listed = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(job.pid)], capture_output=True, text=True, check=False)
    rows = (line.split() for line in listed.stdout.splitlines())
    return [int(row[0]) for row in rows if row[1] == pathlib.Path(PROGRAM).name[:15]]


def wait_for(what, job, seconds=300):
    """Waits until `what()` is true; false if the job ended or the time is up before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        if job.poll() is not None:
            return False
        time.sleep(0.02)
    return False


def summary(directory):
    return json.loads((pathlib.Path(directory) / "summary.json").read_text(encoding="utf-8"))


def numbers(value, path=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, f"{path}/{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from numbers(inner, f"{path}/{index}")
    else:
        yield path, value


def expect_same(first, second, label, tolerance=1e-8):
    """Every number of the outcome and of the sanctuary within the tolerance, relative; all else equal."""
    for part in ("outcome", "sanctuary"):
        one, two = dict(numbers(summary(first)[part])), dict(numbers(summary(second)[part]))
        expect(one.keys() == two.keys(), f"{label}: {part} holds other keys: {one.keys() ^ two.keys()}")
        for key in one.keys() & two.keys():
            a, b = one[key], two[key]
            # How well a ledger closes is rounding itself: it has a bound and no digits.
            if key == "/worst_balance_error_over_allowed":
                expect(0 <= a <= 1 and 0 <= b <= 1, f"{label}: {key}: {a} and {b}, more than allowed")
            elif isinstance(a, float) or isinstance(b, float):
                expect(math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-300), f"{label}: {key}: {a!r} and {b!r}")
            else:
                expect(a == b, f"{label}: {key}: {a!r} and {b!r}")


def expect_closed(directory, label):
    """Every ledger within what it allows."""
    for species, compartments in summary(directory)["balance"].items():
        for name, entry in compartments.items():
            expect(0 <= entry["error"] <= entry["allowed"], f"{label}: {species} in {name}: {entry}")


def state_of(directory):
    """Name, size and time of every file: the same before and after if nothing is written."""
    return {path.relative_to(directory): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in pathlib.Path(directory).rglob("*") if path.is_file()}
