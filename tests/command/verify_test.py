"""verify: every problem passes, on one rank and a few on more; how it lists, skips, refuses and fails."""
import os
import pathlib
import subprocess
import sys

PROGRAM = os.environ["SANCTUARY_PROGRAM"]
MPIEXEC = os.environ.get("MPIEXEC", "mpiexec")
REFERENCE = pathlib.Path(os.environ.get("SANCTUARY_REFERENCE_DATA", "/nowhere"))
os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_mpi_yield_when_idle="1")
failures = 0


def verify(*arguments, ranks=1, reference=None):
    launcher = [] if ranks == 1 else [MPIEXEC, "--oversubscribe", "-n", str(ranks)]
    environment = {k: v for k, v in os.environ.items() if k != "SANCTUARY_REFERENCE_DATA"}
    if reference:
        environment["SANCTUARY_REFERENCE_DATA"] = str(reference)
    return subprocess.run(launcher + [PROGRAM, "verify", *map(str, arguments)], env=environment, capture_output=True,
                          text=True, timeout=900, check=False)


def expect(condition, text):
    global failures
    if not condition:
        failures += 1
        print("FAILED:", text)


listed = verify("--list")
expect(listed.returncode == 0, f"--list: exit {listed.returncode}: {listed.stderr}")
names = [line.split()[0] for line in listed.stdout.splitlines()]
needing = [line.split()[0] for line in listed.stdout.splitlines() if "needs reference data" in line]
expect(len(names) == len(set(names)) >= 16, f"names: {names}")
expect(set(needing) == {"mesentery", "capillary_bed", "plasma_pk"}, f"needing data: {needing}")

have_data = (REFERENCE / "dumux_embedded").is_dir()
every = verify(*(("--reference", REFERENCE) if have_data else ()))
expect(every.returncode == 0, f"all: exit {every.returncode}:\n{every.stdout}{every.stderr}")
expect("FAIL" not in every.stdout and "nan" not in every.stdout, every.stdout)
for name in names:
    expect(f"\n{name}: " in "\n" + every.stdout, f"{name} did not run")
skipped = 0 if have_data else len(needing)
expect(every.stdout.endswith(f"{len(names) - skipped} passed, 0 failed, {skipped} skipped\n"), every.stdout[-200:])
if not have_data:
    print("skipped: reference data not found (mesentery, capillary_bed, plasma_pk)")

for name in needing:
    for reference in ((), ("--reference", "/nowhere")):
        result = verify(name, *reference)
        expect(result.returncode == 0, f"{name} without data: exit {result.returncode}")
        expect(result.stdout.startswith(f"{name}: skipped: reference data not found\n"), result.stdout)

for ranks in (2, 3):
    for name in ("pressure_slab", "leaky_vessel", "transport_with_vessels", "equivalent_cylinder", "uptake_length"):
        result = verify(name, ranks=ranks)
        expect(result.returncode == 0, f"{name} on {ranks} ranks: exit {result.returncode}:\n{result.stdout}{result.stderr}")
        expect(result.stdout.count(f"{name}: ") == 1, f"{name} on {ranks} ranks prints once:\n{result.stdout}")
if have_data:
    one, two = verify("mesentery", reference=REFERENCE), verify("mesentery", ranks=2, reference=REFERENCE)
    expect(one.returncode == 0 and one.stdout == two.stdout, f"mesentery on 1 and 2 ranks:\n{one.stdout}{two.stdout}")

wrong = verify("leaky_vesel")
expect(wrong.returncode == 2, f"unknown problem: exit {wrong.returncode}")
expect("leaky_vesel" in wrong.stderr and "did you mean leaky_vessel?" in wrong.stderr, wrong.stderr)

# A solver that may not do its work must be seen: one iteration is not enough.
starved = verify("pressure_manufactured", "--", "-pressure_ksp_max_it", "1")
expect(starved.returncode == 3, f"starved solver: exit {starved.returncode}:\n{starved.stdout}{starved.stderr}")
expect("FAIL" in starved.stdout and "1 failed" in starved.stdout, starved.stdout)

sys.exit(1 if failures else 0)
