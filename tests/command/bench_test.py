"""bench: every benchmark prints JSON lines with the fields that performance_report.py reads, on one rank and on more; what
it refuses. No clock is looked at: iterations, residuals and agreement of the solvers are."""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM = os.environ["SANCTUARY_PROGRAM"]
MPIEXEC = os.environ.get("MPIEXEC", "mpiexec")
for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_mpi_yield_when_idle",
             "OMPI_MCA_rmaps_base_oversubscribe"):
    os.environ.setdefault(name, "1")
failures = 0


def expect(condition, text):
    global failures
    if not condition:
        failures += 1
        print("FAILED:", text, flush=True)


def run(*arguments, ranks=1):
    launcher = [] if ranks == 1 else [MPIEXEC, "--oversubscribe", "-n", str(ranks)]
    return subprocess.run([*launcher, PROGRAM, "bench", *map(str, arguments)], capture_output=True, text=True, timeout=600,
                          check=False)


def not_a_number(text):
    raise ValueError(f"{text} is not JSON")


def records(*arguments, ranks=1):
    done = run(*arguments, ranks=ranks)
    label = f"bench {' '.join(map(str, arguments))} on {ranks} ranks"
    expect(done.returncode == 0, f"{label}: exit {done.returncode}: {done.stderr}")
    found = []
    for line in done.stdout.splitlines():
        try:
            found.append(json.loads(line, parse_constant=not_a_number))
        except ValueError as error:
            expect(False, f"{label}: no JSON object: {line[:200]}: {error}")
    expect(len(found) > 1, f"{label}: {len(found)} lines")
    expect(all(record.get("bench") == arguments[0] for record in found), f"{label}: lines of another benchmark")
    head = found[0] if found else {}
    expect({"command", "ranks", "processor", "program", "petsc", "hypre"} <= head.keys(), f"{label}: first line {head}")
    expect(head.get("ranks") == ranks, f"{label}: ranks {head.get('ranks')}")
    return found[1:], bool(head.get("hypre"))


def positive(record, *path):
    value = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    good = isinstance(value, (int, float)) and math.isfinite(value) and value > 0
    expect(good, f"{'/'.join(path)} is {value!r}, expected a positive number, in {str(record)[:300]}")
    return value if good else math.nan


def one(found, **fields):
    chosen = [record for record in found if all(record.get(key) == value for key, value in fields.items())]
    expect(len(chosen) == 1, f"{len(chosen)} lines with {fields}, expected one")
    return chosen[0] if chosen else {}


def check_elliptic(found, hypre, box, ranks):
    expected = {"ours", "gamg", "icc"} | ({"pfmg", "boomeramg"} if hypre else set())
    solved = {record["solver"]: record for record in found if record.get("converged")}
    expect(solved.keys() == expected, f"{box} on {ranks}: converged {sorted(solved)}")
    for name, record in solved.items():
        expect(record["cells"] == box and record["ranks"] == ranks, f"{name}: {record['cells']} on {record['ranks']}")
        # The bound is the definition of "solved" that all of them are held to.
        expect(0 < record["true_residual"] <= record["tolerance"], f"{name}: residual {record['true_residual']}")
        expect(record["difference"]["relative"] < 1e-5, f"{name}: differs by {record['difference']}")
        for path in (("iterations",), ("set_up_s", "median"), ("solve_s", "min"), ("million_cells_per_s",),
                     ("set_up_and_first_solve_s", "median")):
            positive(record, *path)
        expect(record["solve_s"]["min"] <= record["solve_s"]["median"], f"{name}: {record['solve_s']}")
        memory = record["bytes_per_cell"]
        expect(memory is None or 40 < memory < 5000, f"{name}: {memory} bytes per cell")
    positive(solved.get("ours", {}), "percent_of_triad")
    summaries = [record for record in found if "summary" in record]
    expect(len(summaries) == 1, f"{len(summaries)} summaries")
    for name in expected - {"ours"}:
        for part in ("solve", "set_up_and_first_solve"):
            ratio = summaries[0]["ratio"][name][part]
            expect(0 < ratio["min"] <= ratio["median"] <= ratio["max"], f"{name}: ratio {ratio}")
    return solved.get("ours", {}).get("iterations")


iterations = {}
for count in (1, 3):
    lines, with_hypre = records("elliptic", "--cells", "17x12x10", "--coefficient", "lognormal", "--walls", "mixed",
                                "--repeat", 2, "--megabytes", 1, ranks=count)
    iterations[count] = check_elliptic(lines, with_hypre, [17, 12, 10], count)
expect(iterations[1] == iterations[3], f"iterations of ours on 1 and 3 ranks: {iterations}")

# A list is the product of its parts; the smooth field knows no contrast. Closed walls without reaction are singular.
lines, _ = records("elliptic", "--cells", "9,8x7x6", "--coefficient", "smooth,inclusions", "--contrast", "10,100",
                   "--walls", "neumann", "--solvers", "ours", "--repeat", 1, "--megabytes", 1)
cases = [record["summary"] for record in lines if "summary" in record]
expect(len(cases) == 6, f"{len(cases)} cases")
expect({(case["coefficient"], case["contrast"]) for case in cases} == {("smooth", 19), ("inclusions", 10), ("inclusions", 100)},
       f"{cases}")
expect(all(record["converged"] for record in lines if "solver" in record), "a singular problem failed")
lines, _ = records("elliptic", "--cells", "10", "--coefficient", "smooth", "--peclet", "3", "--reaction", "1", "--spacing",
                   "1x1x5", "--solvers", "ours,icc", "--repeat", 1, "--megabytes", 1)
expect([record["converged"] for record in lines if "solver" in record] == [True, True], "with convection")
# A solver that may not do its work is a line that says so, and has no ratio.
starved, _ = records("elliptic", "--cells", "16", "--coefficient", "smooth", "--solvers", "ours,icc", "--max-iterations", 2,
                     "--repeat", 1, "--megabytes", 1)
failed = one(starved, solver="icc")
expect(failed.get("converged") is False and failed.get("reason") and failed.get("true_residual", 0) > 1e-8, f"{failed}")
expect([record["ratio"] for record in starved if "summary" in record] == [{}], "a ratio to a solver that failed")

lines, _ = records("stream", "--megabytes", 1, "--repeat", 2, ranks=2)
rates = one(lines, ranks=2)
for key in ("triad_MB_per_s", "copy_MB_per_s", "read_MB_per_s"):
    positive(rates, key)
positive(rates, "triad_MB_per_s_of_ranks", "lowest")

lines, _ = records("halo", "--cells", "12x8x8", "--repeat", 3, ranks=3)
exchange = one(lines, what="exchange")
positive(exchange, "seconds", "median")
blocks = exchange["messages_sent_by_busiest_rank"]
expect(blocks == 2 and exchange["bytes_sent_by_busiest_rank"] in (2 * 8 * 96, 2 * 8 * 64), f"{exchange}")
pairs = [record for record in lines if record.get("what") == "ping_pong"]
expect([pair["between"] for pair in pairs] == [[0, 1], [0, 2]], f"{pairs}")
for pair in pairs:
    expect(pair["samples"][0]["bytes"] == 8 and pair["samples"][-1]["bytes"] >= 2**21, f"{pair['samples']}")
    expect(pair["latency_s"] >= 0 and pair["fit_rms_misfit"] >= 0, f"{pair}")
positive(one(lines, what="reduction"), "seconds")

lines, _ = records("transport", "--cells", "12", "--coefficient", "smooth", "--repeat", 2, "--solvers", "icc", ranks=2)
step = one(lines, solver="ours")
for path in (("step_s", "median"), ("linear_iterations_per_step",), ("elliptic_solve_s", "median")):
    positive(step, *path)
stage = one(lines, solver="icc")
expect(stage.get("converged") and stage["true_residual"] < 1e-7, f"{stage}")
total = next((record for record in lines if "summary" in record), {})
positive(total, "step_over_elliptic_solve", "median")
positive(total, "ratio", "icc")

listed = run("--list").stdout
if "\nreaction " in "\n" + listed:
    lines, _ = records("reaction", "--cells", "14", "--coefficient", "smooth", "--repeat", 2, ranks=2)
    ours, snes = one(lines, solver="ours"), one(lines, solver="snes")
    for start in ("cold", "warm"):
        expect(ours[start]["converged"] and snes[start]["converged"], f"{start}: {ours[start]} {snes[start]}")
        positive(ours, start, "linear_solves_of_work")
        positive(ours, start, "linear_solves_of_time", "median")
    expect(ours["warm"]["newton"] <= ours["cold"]["newton"], f"warm {ours['warm']} cold {ours['cold']}")
    expect(snes["difference"]["relative"] < 1e-5 and 0 <= ours["lowest_value"] < ours["mean_value"] < 1, f"{ours} {snes}")
if "\nkinetics " in "\n" + listed:
    lines, _ = records("kinetics", "--count", 300, "--sample", 3, "--repeat", 1, ranks=2)
    for system in ("binding", "robertson"):
        plain = one(lines, system=system, solver="plain loop")
        expect(plain["converged"] and plain["difference"]["relative"] < 1e-10, f"{plain}")
        for record in lines:
            if record.get("system") == system and "error" in record:
                expect(0 < record["error"] < 1e-3, f"{system}, {record['solver']}: error {record['error']}")

lines, _ = records("scaling", "--cells", "6,9", "--speedup", "8", "--strong", "64", "--weak", "16", "--ranks", "1000", "--repeat",
                   1, "--megabytes", 1, ranks=2)
fit = [record for record in lines if "fit" in record][0]
costs = fit["parameters"]
expect(len(costs) == 7 and all(cost >= 0 for cost in costs.values()) and sum(costs.values()) > 0, f"{costs}")
expect({"elliptic", "exchange", "reduction", "ping_pong"} == fit["relative_misfit"].keys(), f"{fit['relative_misfit']}")
points = [record for record in lines if record.get("fit_point") == "elliptic"]
expect(len(points) == 4, f"{len(points)} solver runs in the fit")
for point in points:  # the model counts at least the messages that the solver counts, and at most twice as many
    counted, model = point["counted_messages_per_cycle"], point["model_messages"]
    expect((model == 0) == (counted == 0) and counted <= model + 1 and model <= 2 * counted + 2, f"{point}")
for fabric in ("node", "network"):
    strong = [record for record in lines if record.get("table") == "strong" and record["fabric"] == fabric]
    weak = [record for record in lines if record.get("table") == "weak" and record["fabric"] == fabric]
    expect([record["ranks"] for record in weak] == [2**k for k in range(11)], f"{[r['ranks'] for r in weak]}")
    expect(len(strong) == 11 and strong[0]["efficiency"] == 1 and weak[0]["efficiency"] == 1, f"{fabric}: {strong[:1]}")
    for record in strong + weak:
        expect(abs(sum(record["shares"].values()) - 1) < 1e-9 and min(record["shares"].values()) > -1e-12, f"{record}")
    expect(all(record["cells_per_rank"] == 16**3 for record in weak), f"{weak}")
expect(one(lines, breaks="weak", fabric="network").keys() >= {"efficiency_below_half", "32_bit_indices_end"}, "breaks")
expect(one(lines, speedup=[8, 8, 8], ranks=2).get("iterations", {}).get("together", 0) > 0, "speed-up")

# Every solver reaches the same pressures; the network, its blood flow and the part of a rank do not depend on ranks.
found_flow = {}
for count in (1, 3):
    lines, with_hypre = records("network", "--segments", "1000", ranks=count)
    dealt, flow = one(lines, what="deal"), one(lines, what="flow")
    expect(dealt["segments"] == 1077 and dealt["nodes"] == 729, f"{dealt}")
    expect(dealt["most_pieces_of_a_rank"] < 1.5 * 1077 / count if count > 1 else True, f"{dealt}")
    for name in ("ours", "boomeramg", "mumps") if with_hypre else ("ours", "mumps"):
        solved = one(lines, what="pressure", solver=name)
        if solved.get("reason"):  # PETSc without it
            continue
        expect(solved["converged"] and solved["imbalance"] <= 1e-10, f"{name}: {solved}")
        expect(solved.get("difference", 0) < 1e-9, f"{name}: {solved}")
    expect(flow["converged"] and not flow["oscillating"] and flow["change"] <= 2e-9, f"{flow}")
    expect(flow["blood_imbalance"] < 1e-12 and flow["red_cell_imbalance"] < 1e-12, f"{flow}")
    found_flow[count] = positive(flow, "inflow_m3_per_s")
expect(abs(found_flow[3] / found_flow[1] - 1) < 1e-8, f"inflow on 1 and 3 ranks: {found_flow}")
hurried = one(records("network", "--segments", "1000", "--solvers", "ours", "--max-iterations", 3)[0], what="flow")
expect(hurried.get("oscillating") is True and hurried.get("converged") is False, f"three iterations: {hurried}")

# Cells and vessels together: the same answer and all but the same iterations on any number of ranks, by either solver.
found = {}
for count, solvers in ((1, "all"), (3, "iterative")):
    lines, _ = records("coupled", "--tiles", 1, "--cells-per-tile", 12, "--network-solver", solvers, "--megabytes", 1, ranks=count)
    for record in lines:
        expect(record["segments"] == 1815 and record["cells"] == [12, 12, 12], f"{record}")
        expect(record.get("converged", True) and max(record["residual"].values()) <= 1e-11, f"{record}")
        for path in (("iterations",), ("solve_s",), ("peak_bytes_per_cell",), ("network_bytes_per_segment",)):
            positive(record, *path)
        if record["problem"] != "pressure" and record["network_solver"] == "iterative":
            positive(record, "bytes_per_iteration")
            positive(record, "percent_of_triad")
        found[record["problem"], record["network_solver"], count] = record
expect(len(found) == 9, f"{sorted(found)}")
for problem in ("pressure", "oxygen", "drug"):
    one_rank, direct, ranks = (found.get((problem, *key), {}) for key in (("iterative", 1), ("direct", 1), ("iterative", 3)))
    for other in (direct, ranks):
        expect(abs(other["mean_of_cells"] / one_rank["mean_of_cells"] - 1) < 1e-8, f"{problem}: {other} {one_rank}")
    expect(ranks["iterations"] <= 1.25 * one_rank["iterations"] + 1, f"{problem}: {ranks} {one_rank}")
# Sparse vessels and blood that all but stands cost no more.
usual = found["oxygen", "iterative", 1]["iterations"]
lines, _ = records("coupled", "--tiles", 1, "--cells-per-tile", 12, "--density", "1200,150", "--drop", "15,0.1", "--problem",
                   "oxygen", "--megabytes", 1)
expect(len(lines) == 4 and all(record["iterations"] <= 1.5 * usual for record in lines), f"{usual}: {lines}")

# Drugs of every class, alone and together.
species = {}
for count in (1, 2):
    lines, _ = records("drugs", "--cells", "10x9x8", "--repeat", 2, ranks=count)
    expect([record["drugs"] for record in lines] == ["small_molecule", "antibody", "adc", "liposome", "together"],
           f"classes: {[record.get('drugs') for record in lines]}")
    for record in lines:
        expect(record["cells"] == [10, 9, 8] and record["ranks"] == count and record["refused"] >= 0, f"{record}")
        for path in (("microseconds_per_species_cell_step",), ("step_s", "min"), ("dt_s",), ("newton_per_species_step",),
                     ("linear_iterations_per_species_step",)):
            positive(record, *path)
    species[count] = [record["species"] for record in lines]
expect(species[1] == species[2] == [1, 1, 2, 2, 6], f"species: {species}")

# The task layer: hollow tasks, sleeping ones, its scheduler in virtual time, its start-up.
for count in (1, 3):
    with tempfile.TemporaryDirectory() as folder:
        lines, _ = records("cohort", "--tasks", 60, "--repeat", 1, "--groups", "2", "--tasks-per-group", 4, "--task-seconds", 0.01,
                           "--lengths", "0.01,10", "--seeds", 2, "--patients", 6, "--directory", folder, ranks=count)
        expect(not os.listdir(folder), f"left behind: {os.listdir(folder)}")
    parts = [record["part"] for record in lines]
    hollow = [record for record in lines if record["part"] == "throughput"]
    expect([(r["book"], r["ranks"]) for r in hollow] == [(book, ranks) for ranks in range(1, count + 1)
                                                         for book in ("none", "ledger", "cohort")], f"{hollow}")
    for record in hollow:
        positive(record, "tasks_per_s", "median")
        positive(record, "coordinator_cpu_us_per_task")
    positive(one(lines, part="throughput", book="ledger", ranks=1), "commit_ms", "p95")
    slept = [record for record in lines if record["part"] == "efficiency"]
    expect([(r["children"], r["knowledge"]) for r in slept] ==
           [(c, k) for c in (0, 2) for k in ("none", "learned", "exact")] * (count > 2), f"{slept}")
    for record in slept + [r for r in lines if r["part"] == "saturation" and "what" not in r]:
        expect(0 < record["efficiency"] <= 1 and 0 < record["share_of_bound"] <= 1 + 1e-12, f"{record}")
    simulated = [record for record in lines if record["part"] == "simulation"]
    expect(len(simulated) == 6, f"{parts}")
    for record in simulated:
        expect(0 < record["share_of_bound"]["worst"] <= record["share_of_bound"]["mean"] <= 1 + 1e-12, f"{record}")
    full = [record for record in lines if record.get("what") == "capacity"]
    expect(len(full) == 2 and all(record["costs"] == "measured in this run" for record in full), f"{full}")
    expect(0 < full[1]["most_tasks_per_s"], f"{full}")
    ledger = one(lines, part="scale", what="ledger")
    expect(ledger["tasks"] == 24 and ledger["in_flight"] == 12, f"{ledger}")
    expect([one(lines, part="scale", what=what)["done"] for what in ("new cohort", "half done", "all but one patient done")] ==
           [0, 12, 24], f"{lines[-3:]}")

for arguments, code, said in (
        (["coupled", "--cells-per-tile", "2"], 2, "from 4 to"),
        (["network", "--solvers", "icc"], 2, "network"),
        (["cohort", "--part", "scal"], 2, "did you mean scale?"),
        (["cohort", "--part", "throughput", "--directory", "/nowhere"], 4, "/nowhere"),
        (["eliptic"], 2, "did you mean elliptic?"),
        ([], 2, "bench --list"),
        (["elliptic", "--cells", "64x64"], 2, "100x60x37"),
        (["elliptic", "--cells", "0"], 2, "from 1 to"),
        (["elliptic", "--cells", ""], 2, "--cells"),
        (["elliptic", "--tolerance", "tight"], 2, "a number from"),
        (["elliptic", "--walls", "robn"], 2, "did you mean robin?"),
        (["elliptic", "--solvers", "icc,icc"], 2, "each word once"),
        (["elliptic", "--uptake", "1"], 2, "takes no --uptake"),
        (["stream", "--set", "grid.spacing=20 um"], 2, "--set"),
        (["stream", "--repeat", "2.5"], 2, "a whole number")):
    done = run(*arguments)
    expect(done.returncode == code and said in done.stderr, f"bench {arguments}: exit {done.returncode}: {done.stderr}")

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "lines.jsonl"
    done = run("stream", "--megabytes", 1, "--repeat", 1, "-o", path)
    expect(done.returncode == 0 and path.read_text(encoding="utf-8") == done.stdout, "-o holds what is printed")
    expect(run("stream", "--megabytes", 1, "-o", pathlib.Path(folder) / "none" / "lines").returncode == 4, "-o nowhere")

sys.exit(1 if failures else 0)
