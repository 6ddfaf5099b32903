"""Iterations of cells and vessels solved together over two doublings of both, on 1, 2 and 4 ranks."""
import json
import os
import subprocess
import sys

PROGRAM = os.environ["SANCTUARY_PROGRAM"]
MPIEXEC = os.environ.get("MPIEXEC", "mpiexec")
for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_mpi_yield_when_idle"):
    os.environ.setdefault(name, "1")

MOST = 1.5
failures = 0
found = {}
for ranks in (1, 2, 4):
    start = [] if ranks == 1 else [MPIEXEC, "--oversubscribe", "-n", str(ranks)]
    done = subprocess.run([*start, PROGRAM, "bench", "coupled", "--tiles", "1,2,4", "--problem", "all", "--megabytes", "16"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"on {ranks} ranks: exit {done.returncode}: {done.stderr}")
    for line in done.stdout.splitlines()[1:]:
        record = json.loads(line)
        found.setdefault(record["problem"], {})[record["cells"][0], ranks] = record["iterations"]
        if not record.get("converged", True) or max(record["residual"].values()) > 1e-11:
            print(f"FAILED: {line}", file=sys.stderr)
            failures += 1
for problem, counts in found.items():
    if len(counts) != 9 or max(counts.values()) > MOST * min(counts.values()):
        print(f"FAILED: {problem}: {counts}, expected within a factor of {MOST}", file=sys.stderr)
        failures += 1
if len(found) != 4:
    print(f"FAILED: {sorted(found)}", file=sys.stderr)
    failures += 1
sys.exit(1 if failures else 0)
