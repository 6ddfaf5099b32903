#!/usr/bin/env python3
"""Runs the benchmarks and writes docs/performance.md from what they print.

  postprocess/performance_report.py [--program build/release/sanctuary] [--quick | --full] [--reuse] [--only drugs]

--quick   small boxes, few repetitions: shows that all works, its figures mean little
--full    also BoomerAMG, GAMG and ICC at 256 cells a side: needs 14 GB and an hour
--reuse   runs nothing, writes the page from the lines of the last time
--only    runs what the section of drugs, or of cohorts, needs and writes that section alone, the rest of the page stays

The lines stay in out/performance/NAME.jsonl. Exit codes: 0 done, 2 the command line is wrong, 3 a benchmark failed.
"""

import argparse
import json
import math
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEEKS = "igg_three_weeks", "adc_three_weeks", "liposome_three_weeks"  # of decks/bench


def jobs(size):
    """Name, ranks and arguments of every benchmark that is run; `size` is quick, normal or full."""
    quick = size == "quick"
    cube, boxes = (24, "24,30x18x13") if quick else (64, "64,100x60x37,61x67x71,128x128x8")
    brief = ["--megabytes", "16", "--repeat", "2"]
    few = ["--solvers", "ours,pfmg"]
    table = [
        ("stream_1", 1, ["stream"]),
        ("stream_2", 2, ["stream"]),
        ("halo_2", 2, ["halo", "--cells", "16,32" if quick else "16,32,64,128"]),
        ("cubes_small", 1, ["elliptic", "--cells", str(cube), "--repeat", "2" if quick else "5", "--seconds", "8"]),
        ("boxes", 1, ["elliptic", "--cells", boxes, "--coefficient", "all", "--walls", "all", *few, *brief,
                      "--max-iterations", "300", "--seconds", "3"]),
        ("contrast", 1, ["elliptic", "--cells", str(cube), "--coefficient", "lognormal,independent,inclusions", "--contrast",
                         "1e3,1e4,1e5,1e6", "--solvers", "ours,pfmg,boomeramg", "--max-iterations", "300", "--seconds", "3",
                         *brief]),
        ("flat", 1, ["elliptic", "--cells", "16,24,32" if quick else "32,48,64,96,128", "--coefficient",
                     "smooth,lognormal,independent", "--solvers", "ours", *brief]),
        ("reaction_term", 1, ["elliptic", "--cells", str(cube), "--reaction", "0,0.01,1,100,1e4,1e6", *few, *brief]),
        ("peclet", 1, ["elliptic", "--cells", str(cube), "--peclet", "1,10,100", "--solvers", "ours,pfmg,icc",
                       "--max-iterations", "500", *brief]),
        *((f"spacing_{spacing}", 1, ["elliptic", "--cells", str(cube), "--spacing", spacing, *few, *brief])
          for spacing in ("1x1x10", "1x10x10", "10x1x1", "1x3x10")),
        *((f"ranks_{ranks}", ranks, ["elliptic", "--cells", "24,30x18x13" if quick else "64,100x60x37,61x67x71",
                                     "--coefficient", "lognormal", *few, *brief]) for ranks in (1, 2, 3, 4, 5, 8)),
        *((f"transport_{ranks}", ranks, ["transport", "--cells", "16" if quick else "64,100x60x37"]) for ranks in (1, 2)),
        *((f"reaction_{ranks}", ranks, ["reaction", "--cells", "16" if quick else "64,100x60x37"]) for ranks in (1, 2)),
        ("kinetics", 1, ["kinetics", "--count", "2000" if quick else "20000", "--sample", "20" if quick else "200"]),
        *((f"network_{ranks}", ranks, ["network", *(["--segments", "1000,10000"] if quick else [])]) for ranks in (1, 2)),
        *((f"coupled_grow_{ranks}", ranks, ["coupled", "--tiles", "1" if quick else "1,2,4", "--problem", "all"])
          for ranks in (1, 2, 4)),
        ("coupled_ratio_1", 1, ["coupled", "--tiles", "1", "--cells-per-tile", "25" if quick else "25,50,100,200", "--problem",
                                "all"]),
        ("coupled_dense_1", 1, ["coupled", "--tiles", "1", "--cells-per-tile", "40" if quick else "40,80,159", "--density", "4000",
                                "--problem", "all"]),
        ("coupled_kinds_1", 1, ["coupled", "--tiles", "1" if quick else "2", "--density", "1200,150", "--drop", "15,0.1",
                                "--problem", "all"]),
        ("coupled_faces_1", 1, ["coupled", "--tiles", "1" if quick else "1,2,4", "--feed", "faces", "--problem", "all"]),
        ("drugs_1", 1, ["drugs", *(["--cells", "12", "--repeat", "2"] if quick else [])]),
        *((f"weeks_{name}", 1, ["simulate", name]) for name in WEEKS),
        ("cohort_throughput", 4, ["cohort", "--part", "throughput,sleep", "--tasks", "500" if quick else "5000"]),
        ("cohort_sleepers", 5 if quick else 17, ["cohort", "--part", "efficiency", "--groups", "2,4" if quick else "3,16",
                                                 "--knowledge", "none,learned", "--task-seconds", "0.02" if quick else "0.3"]),
        ("cohort_simulated", 1, ["cohort", "--part", "simulation,saturation", "--service", "60", *(["--groups", "10,100"] if quick else [])]),
        ("cohort_scale", 1, ["cohort", "--part", "scale", *(["--patients", "2000"] if quick else [])]),
        ("scaling", 2, ["scaling", *(["--cells", "8,16,24", "--speedup", "32", "--megabytes", "16"] if quick else [])]),
    ]
    if not quick:
        table.append(("cubes_128", 1, ["elliptic", "--cells", "128", "--seconds", "5"]))
        table.append(("cubes_256", 1, ["elliptic", "--cells", "256", *([] if size == "full" else few), "--seconds", "20"]))
        few_directions = ["--directions", "6"]
        for ranks in (1, 2, 4):
            table.append((f"coupled_cells_{ranks}", ranks, ["coupled", "--tiles", "4", "--cells-per-tile", "64", *few_directions]))
            table.append((f"coupled_segments_{ranks}", ranks,
                          ["coupled", "--tiles", "8", "--cells-per-tile", "16", *few_directions]))
        if memory_bytes() > 2e10:
            table.append(("coupled_both_1", 1, ["coupled", "--tiles", "8", "--cells-per-tile", "32", "--problem", "pressure,oxygen",
                                                "--directions", "4"]))
    return table


def memory_bytes():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def start_of(ranks):
    """Environment of a program and the words before it."""
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    if "SLURM_JOB_ID" not in environment:
        for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_mpi_yield_when_idle"):
            environment.setdefault(name, "1")
    return environment, [] if ranks == 1 else [environment.get("MPIEXEC", "mpiexec"), "--oversubscribe", "-n", str(ranks)]


def launch(program, ranks, arguments):
    environment, start = start_of(ranks)
    return subprocess.run([*start, str(program), "bench", *arguments], env=environment, capture_output=True, text=True,
                          check=False)


def lines_of_run(program, deck, directory, changes, cpu_seconds):
    """The head and the line of a patient that was simulated, from its summary.json."""
    found = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    outcome = found["outcome"]
    version = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    grid = re.search(r"^cells = (.*)$", (directory / "deck.ini").read_text(encoding="utf-8"), re.MULTILINE)
    sides = [int(side) for side in re.findall(r"\d+", grid[1])]
    head = {"bench": "weeks", "ranks": found["ranks"], "program": version,
            "command": shlex.join(["sanctuary", "simulate", f"decks/bench/{deck}.ini", *changes, "-o", f"out/{deck}"])}
    line = {"bench": "weeks", "deck": deck, "cells": sides * 3 if len(sides) == 1 else sides, "ranks": found["ranks"],
            "drugs": list(found["exposure"]), "cpu_s": cpu_seconds, "drugs_s": found["timing"]["drug transport and response_s"],
            "total_s": found["timing"]["total_s"], "work": found["work"], "log_kill": outcome["log_kill"],
            "worst_balance_error_over_allowed": outcome["worst_balance_error_over_allowed"],
            "s1_share": {key[: -len("_s1_share")]: value for key, value in outcome.items() if key.endswith("_s1_share")}}
    return json.dumps(head) + "\n" + json.dumps(line) + "\n"


def simulate(program, ranks, deck, folder, quick):
    """Simulates a deck of decks/bench; returns what was done and the lines."""
    directory = folder / deck
    shutil.rmtree(directory, ignore_errors=True)
    environment, start = start_of(ranks)
    smaller = {"grid.cells": "16", "tumour.radius": "110 um", "network.lattice.segments": "100",
               "network.lattice.core_radius": "70 um"} if quick else {}
    changes = [word for key, value in smaller.items() for word in ("--set", f"{key}={value}")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*start, str(program), "simulate", str(ROOT / f"decks/bench/{deck}.ini"), *changes, "-q", "-o",
                           str(directory)], env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done, lines_of_run(program, deck, directory, changes, cpu) if done.returncode == 0 else ""


def run_all(program, size, folder, only=None):
    """Runs what the program knows and keeps the lines, and how long it took."""
    listed = subprocess.run([str(program), "bench", "--list"], capture_output=True, text=True, check=True).stdout
    known = {line.split()[0] for line in listed.splitlines() if line and not line.startswith(" ")}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jsonl"):
        if not only or old.stem.startswith(SECTIONS[only]):
            old.unlink()
    begin = time.monotonic()
    for name, ranks, arguments in jobs(size):
        if only and not name.startswith(SECTIONS[only]):
            continue
        if arguments[0] != "simulate" and arguments[0] not in known:
            print(f"{name}: this program has no benchmark {arguments[0]}", file=sys.stderr)
            continue
        job_begin = time.monotonic()
        if arguments[0] == "simulate":
            done, printed = simulate(program, ranks, arguments[1], folder, size == "quick")
        else:
            done = launch(program, ranks, arguments)
            printed = done.stdout
        if done.returncode != 0:
            print(f"{name}: `{shlex.join(arguments)}` on {ranks} ranks: exit {done.returncode}:\n{done.stderr}", file=sys.stderr)
            sys.exit(3)
        (folder / f"{name}.jsonl").write_text(printed, encoding="utf-8")
        print(f"{name}: {time.monotonic() - job_begin:.0f} s", file=sys.stderr, flush=True)
    minutes = (time.monotonic() - begin) / 60
    if only:
        return
    (folder / "about.json").write_text(json.dumps({"minutes": minutes, "size": size}), encoding="utf-8")


class Lines:
    """What the benchmarks printed, by name of the job."""

    def __init__(self, folder):
        self.of = {path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
                   for path in sorted(folder.glob("*.jsonl"))}

    def starting(self, prefix):
        return [record for name, records in self.of.items() if name.startswith(prefix) for record in records[1:]]

    def commands(self, prefix):
        found = []
        for name, records in self.of.items():
            if name.startswith(prefix):
                ranks = records[0]["ranks"]
                found.append((f"mpiexec -n {ranks} " if ranks > 1 else "") + records[0]["command"])
        return "```\n" + "\n".join(found) + "\n```\n" if found else ""


def table(header, rows):
    if not rows:
        return ""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def figure(value, digits=3):
    if value is None:
        return "–"
    text = f"{value:.{digits}g}"
    if "e" in text and 1e-3 <= abs(value) < 1e7:
        return f"{value:.0f}"
    return text


def box(cells):
    return f"{cells[0]}³" if len(set(cells)) == 1 else "x".join(map(str, cells))


def ratio(entry):
    if entry is None:
        return "–"
    if isinstance(entry, (int, float)):
        return figure(entry, 2)
    spread = f" ({figure(entry['min'], 2)} to {figure(entry['max'], 2)})" if entry["max"] > entry["min"] else ""
    return figure(entry["median"], 2) + spread


def cases(records):
    """Each elliptic case: its summary and its lines by solver."""
    found, solvers = [], {}
    for record in records:
        if "solver" in record:
            solvers[record["solver"]] = record
        elif "summary" in record:
            found.append((record, solvers))
            solvers = {}
    return found


def outcome(record):
    if record is None:
        return "–"
    if not record["converged"]:
        return "fails"
    return str(record["iterations"]) + (" (AMG)" if "algebraic" in record["reason"] else "")


def part_stream(lines):
    rows = [(record["ranks"], figure(record["triad_MB_per_s"] / 1e3), figure(record["copy_MB_per_s"] / 1e3),
             figure(record["read_MB_per_s"] / 1e3)) for record in lines.starting("stream") if "triad_MB_per_s" in record]
    text = lines.commands("stream") + "\n" + table(("ranks", "triad [GB/s]", "copy [GB/s]", "read [GB/s]"), rows)
    for record in lines.starting("halo"):
        if record.get("what") == "ping_pong":
            bandwidth = record["bandwidth_MB_per_s"]
            text += (f"\nA message between ranks {record['between'][0]} and {record['between'][1]}: "
                     f"{figure(record['latency_s'] * 1e6)} µs and {figure(bandwidth / 1e3 if bandwidth else None)} GB/s "
                     f"(fit, rms misfit {figure(100 * record['fit_rms_misfit'], 2)} %).")
    rows = [(box(record["cells"]), record["ranks"], figure(record["seconds"]["median"] * 1e6),
             figure(record["messages_sent_by_busiest_rank"]), figure(record["bytes_sent_by_busiest_rank"] / 1e3))
            for record in lines.starting("halo") if record.get("what") == "exchange"]
    return text + "\n\n" + lines.commands("halo") + "\n" + table(
        ("box", "ranks", "ghost exchange [µs]", "messages per rank", "kB per rank"), rows)


def part_cubes(lines):
    rows, speed = [], []
    for summary, solvers in sorted(cases(lines.starting("cubes")), key=lambda case: case[0]["summary"]["cells"]):
        what, ours = summary["summary"], solvers["ours"]
        name = f"{box(what['cells'])} {what['coefficient']}"
        others = [ratio(summary["ratio"].get(other, {}).get("solve")) for other in ("pfmg", "boomeramg", "gamg", "icc")]
        both = [ratio(summary["ratio"].get(other, {}).get("set_up_and_first_solve")) for other in ("pfmg", "boomeramg")]
        rows.append((name, *others, *both))
        if ours["converged"]:
            speed.append((name, figure(ours["million_cells_per_s"]), figure(ours["million_cells_per_s_with_set_up"]),
                          outcome(ours), *(outcome(solvers.get(other)) for other in ("pfmg", "boomeramg", "gamg", "icc")),
                          figure(ours["bytes_per_cell"]), figure(ours.get("percent_of_triad"), 2),
                          figure(summary["triad_MB_per_s"] / 1e3)))
        else:
            speed.append((name, "fails", *["–"] * 9))
    return (lines.commands("cubes") + "\nHow many times slower the alternatives are:\n\n"
            + table(("", "PFMG", "BoomerAMG", "GAMG", "ICC", "PFMG with set-up", "BoomerAMG with set-up"), rows) + "\n"
            + table(("", "Mcells/s", "with set-up", "iterations", "PFMG", "BoomerAMG", "GAMG", "ICC", "bytes/cell", "% of triad",
                     "triad [GB/s]"), speed)
            + "\nPercent of triad: the bytes of one iteration if nothing stayed in cache, times iterations, over time and the triad "
              "rate\nmeasured beside it; small boxes live in cache and exceed it. Bytes per cell: held from malloc after set-up and a "
              "solve, the\noperator's coefficients included, solution and right-hand side not.\n")


def part_any(lines):
    text = lines.commands("boxes") + "\nIterations of ours / PFMG, and in brackets how many times slower PFMG is:\n\n"
    grid = {}
    for summary, solvers in cases(lines.starting("boxes")):
        what = summary["summary"]
        slower = summary["ratio"].get("pfmg", {}).get("solve")
        cell = f"{outcome(solvers.get('ours'))} / {outcome(solvers.get('pfmg'))} ({figure(slower['median'], 2) if slower else '–'})"
        grid.setdefault((box(what["cells"]), what["coefficient"]), {})[what["walls"]] = cell
    walls = ("dirichlet", "neumann", "robin", "mixed")
    text += table(("box", "coefficient", *walls), [(*key, *(row.get(wall, "–") for wall in walls)) for key, row in grid.items()])

    flat = {}
    for summary, solvers in cases(lines.starting("flat")):
        what = summary["summary"]
        flat.setdefault(what["coefficient"], {})[box(what["cells"])] = outcome(solvers["ours"])
    sizes = list(dict.fromkeys(size for row in flat.values() for size in row))
    text += ("\n" + lines.commands("flat") + "\nIterations with size:\n\n"
             + table(("coefficient", *sizes), [(name, *(row.get(size, "–") for size in sizes)) for name, row in flat.items()]))

    def plain(prefix, column, label, others):
        rows = []
        for summary, solvers in cases(lines.starting(prefix)):
            what = summary["summary"]
            value = "x".join(figure(side) for side in what[column]) if column == "spacing" else f"{what[column]:g}"
            ours = solvers["ours"]
            speed = figure(ours["million_cells_per_s"]) if ours["converged"] else "–"
            rows.append((what["coefficient"], value, outcome(ours), speed, *(outcome(solvers.get(other)) for other in others),
                         *(ratio(summary["ratio"].get(other, {}).get("solve")) for other in others)))
        return ("\n" + lines.commands(prefix) + "\n"
                + table(("coefficient", label, "iterations", "Mcells/s", *(f"{other} iterations" for other in others),
                         *(f"{other} slower" for other in others)), rows))

    text += plain("contrast", "contrast", "contrast", ("pfmg", "boomeramg"))
    text += plain("reaction_term", "reaction", "λh²/k", ("pfmg",))
    text += plain("spacing", "spacing", "sides of a cell", ("pfmg",))
    text += plain("peclet", "peclet", "cell Péclet number", ("pfmg", "icc"))
    return text + '\n"(AMG)": the multigrid was too slow and algebraic multigrid took over; the time is that of both.\n'


def part_ranks(lines):
    grid = {}
    for summary, solvers in cases(lines.starting("ranks")):
        what, ours = summary["summary"], solvers["ours"]
        messages = ours.get("messages_per_cycle_of_busiest_rank")
        size = (ours.get("message_bytes_per_cycle_of_busiest_rank") or 0) / 1e3
        slower = summary["ratio"].get("pfmg", {}).get("solve")
        grid.setdefault(box(what["cells"]), []).append(
            (box(what["cells"]), what["ranks"], outcome(ours), outcome(solvers.get("pfmg")), figure(messages), figure(size),
             ratio(slower)))
    rows = [row for group in grid.values() for row in group]
    text = (lines.commands("ranks") + "\n"
            + table(("box", "ranks", "iterations", "PFMG iterations", "messages per cycle", "kB per cycle", "PFMG slower"), rows))
    speedups = [record for record in lines.starting("scaling") if "speedup" in record]
    rows = [(box(record["speedup"]), record["ranks"], figure(record["speedup_together"]),
             figure(record["speedup_of_independent_copies"]), record["iterations"]["one_rank"], record["iterations"]["together"])
            for record in speedups]
    return text + ("\nMore ranks than cores share them: their times say little, their iterations and messages do. Speed-up over one "
                   "rank, and what\nas many independent copies reach:\n\n"
                   + table(("box", "ranks", "speed-up", "of copies", "iterations on 1", "on all"), rows))


def part_transport(lines):
    rows = []
    records = lines.starting("transport")
    for ours, total in zip((r for r in records if r.get("solver") == "ours"), (r for r in records if "summary" in r)):
        rows.append((box(ours["cells"]), ours["ranks"], ours["coefficient"], ratio(total["step_over_elliptic_solve"]),
                     figure(ours["linear_iterations_per_step"], 2), figure(ours["newton_per_step"], 2),
                     figure(ours["million_cells_per_s"]),
                     *(ratio(total["ratio"].get(other)) for other in ("pfmg", "icc"))))
    return lines.commands("transport") + "\n" + table(
        ("box", "ranks", "coefficient", "step over elliptic solve", "iterations per step", "Newton per step", "Mcells/s",
         "two stages by PFMG over our step", "by ICC"), rows)


def part_reaction(lines):
    rows = []
    records = lines.starting("reaction_")
    records = [record for record in records if record["bench"] == "reaction"]
    if not records:
        return "Not measured.\n"
    for ours, total in zip((r for r in records if r.get("solver") == "ours"), (r for r in records if "summary" in r)):
        for start in ("cold", "warm"):
            count = ours[start]
            rows.append((box(ours["cells"]), ours["ranks"], ours["coefficient"], start, count["newton"], count["linear_iterations"],
                         figure(count["linear_solves_of_work"], 2), ratio(count["linear_solves_of_time"]),
                         ratio(total["ratio"]["snes"].get(start))))
    commands = "".join(lines.commands(name) for name in lines.of if name in ("reaction_1", "reaction_2"))
    return commands + "\n" + table(
        ("box", "ranks", "coefficient", "start", "Newton", "iterations", "linear solves of work", "of time",
         "SNES + PFMG slower"), rows) + "\nWork: V-cycles and a third for each residual, over those of a linear solve to 1e-8.\n"


def part_kinetics(lines):
    rows = []
    for record in lines.starting("kinetics"):
        if "solver" in record:
            rows.append((record["system"], record["solver"], record["what"], figure(record["million_cells_per_s"]),
                         figure(record.get("substeps_per_cell", record.get("steps_per_cell"))), figure(record.get("error"), 2)))
    ratios = [f"{record['summary']['system']}: " + ", ".join(f"{name} {ratio(value)}" for name, value in record["ratio"].items())
              for record in lines.starting("kinetics") if "summary" in record]
    if not rows:
        return "Not measured.\n"
    return (lines.commands("kinetics") + "\n" + table(("system", "solver", "", "Mcells/s", "steps", "error"), rows)
            + "\nHow many times slower: " + "; ".join(ratios) + ".\n")


def part_drugs(lines):
    records = lines.starting("drugs_")
    if not records:
        return "Not measured.\n"
    cost = [r["step_s"]["min"] / r["species"] / math.prod(r["cells"]) * 1e6 for r in records]
    unit = {str(r["cells"]): each for r, each in zip(records, cost) if r["drugs"] == "small_molecule"}
    rows = [(r["drugs"].replace("_", " "), r["species"], box(r["cells"]), r["ranks"], figure(each),
             figure(each / unit[str(r["cells"])], 2) if str(r["cells"]) in unit else "–", figure(r["newton_per_species_step"]),
             figure(r["linear_iterations_per_species_step"]), figure(r["dt_s"]), figure(r["bytes_per_species_cell"]))
            for r, each in zip(records, cost)]
    text = (lines.commands("drugs_") + "\n"
            + table(("drugs", "species", "box", "ranks", "µs per species, cell and step", "over a small molecule", "Newton",
                     "iterations", "step [s]", "bytes per species and cell"), rows)
            + "\nThe shortest of the repetitions. Newton and iterations are per species and step, of two stages.\n")
    runs = lines.starting("weeks_")
    if not runs:
        return text
    rows = []
    for r in sorted(runs, key=lambda run: WEEKS.index(run["deck"])):
        work, count = r["work"], math.prod(r["cells"])
        tried = work["steps"] + work["rejected"]
        each = len(r["drugs"]) * count * tried / 1e6
        rows.append((", ".join(name.replace("_", " ") for name in r["drugs"]), box(r["cells"]), r["ranks"], work["steps"],
                     work["rejected"], figure(r["drugs_s"]), figure(r["total_s"]), figure(r["cpu_s"]),
                     figure(r["drugs_s"] / r["total_s"], 2), figure(r["cpu_s"] * r["drugs_s"] / r["total_s"] / each),
                     figure(work["newton"] / len(r["drugs"]) / tried), figure(work["linear"] / len(r["drugs"]) / tried),
                     figure(r["worst_balance_error_over_allowed"], 2),
                     ", ".join(f"{name.replace('_', ' ')} {figure(share)}" for name, share in r["s1_share"].items()) or "–",
                     figure(r["log_kill"])))
    versions = sorted({record["program"] for name, records in lines.of.items() if name.startswith(SECTIONS["drugs"])
                       for record in records[:1]})
    return (text + "\nThree weeks after one dose, in a nodule with 2,000 vessels on a lattice:\n\n" + lines.commands("weeks_") + "\n"
            + table(("drugs", "box", "ranks", "steps", "refused", "drugs [s]", "run [s]", "run, processor [s]", "share of drugs",
                     "processor µs per species, cell and step", "Newton", "iterations", "worst ledger, error over allowed",
                     "S1 share", "log kill"), rows)
            + "\nSeconds are of the wall clock unless of the processor (all ranks), which other work on the machine disturbs less. "
              "Per step:\nof those taken and those refused. No S1 share: the drug does not kill, or too little for a sanctuary.\nMeasured with "
              + ", ".join(versions) + ".\n")


def part_network(lines):
    records = lines.starting("network")
    rows = []
    for record in records:
        if record["what"] != "pressure":
            continue
        if record.get("converged"):
            rows.append((record["segments"], record["ranks"], record["solver"], record["iterations"],
                         ratio(record.get("time_over_ours")), figure(record["bytes_per_segment"]),
                         figure(record["peak_bytes_per_segment"])))
        else:
            rows.append((record["segments"], record["ranks"], record["solver"], "fails", *["–"] * 3))
    text = lines.commands("network") + "\n" + table(
        ("segments", "ranks", "pressures by", "iterations", "time over ours, set-up included", "bytes/segment", "at the peak"), rows)
    rows = [(record["segments"], record["ranks"], record["iterations"], figure(record["bytes_per_segment"]),
             figure(record["bytes_held_by_rank"]["highest"] / record["segments"]), figure(record["blood_imbalance"], 2),
             figure(record["red_cell_imbalance"], 2), "yes" if record["converged"] else "no")
            for record in records if record["what"] == "flow"]
    if not rows:
        return text
    return text + "\nFlow with haematocrit (Pries 2005):\n\n" + table(
        ("segments", "ranks", "rounds", "bytes/segment, all ranks", "of the fullest rank", "imbalance of blood", "of red cells",
         "converged"), rows)


def part_coupled(lines):
    def rows_of(name, *more):
        found = {}
        for record in lines.starting(name):
            key = (record["cells"][0], record["segments"], record["ranks"], *(record[field] for field in more))
            found.setdefault(key, {})[record["problem"]] = record
        rows = []
        for key, solved in sorted(found.items()):
            bound = solved.get("oxygen", {})
            peak = max(record["peak_bytes_per_cell"] for record in solved.values())
            rows.append((box([key[0]] * 3), figure(key[1], 7), *(figure(value) for value in key[2:]),
                         *(figure(solved[problem]["iterations"]) if problem in solved else "–"
                           for problem in ("pressure", "oxygen", "drug", "steady_drug")),
                         figure(peak, 4), figure(bound.get("percent_of_triad"), 2)))
        return rows

    head = ("cells", "segments", "ranks")
    tail = ("pressure", "oxygen", "drug, one step", "drug, steady", "bytes/cell at the peak", "% of triad, oxygen")
    text = ""
    for name, more, said in (
            ("coupled_grow", (), "Iterations as both grow:"),
            ("coupled_cells", (), "Cells alone up to 256³:"),
            ("coupled_segments", (), "Segments alone up to 10⁶:"),
            ("coupled_both", (), "The largest box of both (on machines of more than 20 GB):"),
            ("coupled_ratio", ("radius_over_spacing",), "Radius over spacing:"),
            ("coupled_dense", ("radius_over_spacing",), "The same in a bed three times as dense:"),
            ("coupled_kinds", ("density_per_mm3", "drop_mmHg"), "Dense and sparse, blood that flows and blood that all but stands:"),
            ("coupled_faces", (), "Fed at one face of the box and drained at the other:")):
        rows = rows_of(name, *more)
        if rows:
            text += (f"{said}\n\n" + lines.commands(name) + "\n"
                     + table((*head, *(field.replace("_", " ") for field in more), *tail), rows) + "\n")
    return text


def part_cohort(lines):
    records = lines.starting("cohort_")
    if not records:
        return "Not measured.\n"
    of = lambda part: [r for r in records if r["part"] == part]
    percent = lambda value: figure(100 * value, 3)
    books = {"none": "nothing", "ledger": "ledger", "cohort": "all of a cohort"}
    rows = [(r["ranks"], r["groups"], books[r["book"]], ratio(r["tasks_per_s"]), figure(r["group_ms_per_task"]),
             figure(r["coordinator_cpu_us_per_task"]), figure(r["commits"]), figure(r["commit_ms"]["median"], 2),
             figure(r["commit_ms"]["p95"], 2)) for r in of("throughput")]
    text = lines.commands("cohort_throughput") + "\n" + table(
        ("ranks", "groups", "kept", "tasks/s", "ms of a group per task", "processor µs of the coordinator", "commits",
         "commit [ms]", "95 % below [ms]"), rows)
    for r in of("sleep"):
        if "coordinator_cpu_s_per_s" in r:
            text += (f"\nWhile {r['ranks'] - 1} groups compute tasks of {figure(r['task_s'])} s, the coordinator takes "
                     f"{percent(r['coordinator_cpu_s_per_s'])} % of a processor.\n")
    cases, known = {}, []
    for r in of("efficiency"):
        cases.setdefault((r["groups"], r["children"]), {})[r["knowledge"]] = r
        known += [r["knowledge"]] * (r["knowledge"] not in known)
    text += "\nTasks that sleep, share of the groups' time [%], in brackets what no overhead would give:\n\n"
    text += lines.commands("cohort_sleepers") + "\n" + table(
        ("groups", "children of a root", *known),
        [(g, c, *(f"{percent(found[k]['efficiency'])} ({percent(found[k]['ideal_efficiency'])})" for k in known))
         for (g, c), found in cases.items()])
    cases, known = {}, []
    for r in of("simulation"):
        cases.setdefault((r["groups"], r["children"]), {})[r["knowledge"]] = r
        known += [r["knowledge"]] * (r["knowledge"] not in known)
    text += "\nThe same scheduler in virtual time, share of the bound [%], mean and in brackets worst of the seeds:\n\n"
    text += lines.commands("cohort_simulated") + "\n" + table(
        ("groups", "children of a root", *known),
        [(g, c, *(f"{percent(found[k]['share_of_bound']['mean'])} ({percent(found[k]['share_of_bound']['worst'])})" for k in known))
         for (g, c), found in cases.items()])
    commits = list(dict.fromkeys(r["commit_ms"] for r in of("saturation")))
    for commit in commits:
        served = [r for r in of("saturation") if r["commit_ms"] == commit and "what" not in r]
        lengths = list(dict.fromkeys(r["mean_task_s"] for r in served))
        most = next(r for r in of("saturation") if r["commit_ms"] == commit and "what" in r)
        text += (f"\nWith a coordinator that needs {figure(most['service_us'])} µs per task and {figure(commit)} ms per commit, share of "
                 f"the bound [%] by groups and mean length of a task; it takes at most {figure(most['most_tasks_per_s'])} tasks/s:\n\n")
        text += table(("groups", *(f"{length:g} s" for length in lengths)),
                      [(g, *(percent(r["share_of_bound"]) for r in served if r["groups"] == g))
                       for g in dict.fromkeys(r["groups"] for r in served)])
    scale = {}
    for r in of("scale"):
        scale.setdefault(r["what"], []).append(r)
    text += "\n" + lines.commands("cohort_scale") + "\n"
    text += table(("scheduler: tasks", "groups", "widths", "added [s]", "started [s]", "reordered [s]", "µs per task", "bytes per task"),
                  [(f"{r['tasks']:g}", f"{r['groups']:g}", r["widths"], *(figure(r[k]) for k in (
                      "add_s", "start_s", "reorder_s", "us_per_task", "bytes_per_task"))) for r in scale.get("scheduler", [])])
    text += "\n" + table(("ledger: tasks", "written [s]", "read at the start [s]", "what was in flight [s]", "file, bytes per task"),
                         [(f"{r['tasks']:g}", figure(r["write_s"]), figure(r["statuses_s"]), figure(r["in_flight_s"]),
                           figure(r["file_bytes"] / r["tasks"])) for r in scale.get("ledger", [])])
    return text + "\n" + table(("cohort", "tasks", "start-up [s]", "tables [s]", "memory at the peak [MB]"),
                               [(r["what"], f"{r['tasks']:g}", figure(r["start_up_s"]), figure(r["tables_s"]), figure(r["peak_bytes"] / 1e6))
                                for what in ("new cohort", "half done", "all but one patient done") for r in scale.get(what, [])])


def part_scaling(lines):
    records = lines.starting("scaling")
    fit = next(record for record in records if "fit" in record)
    text = lines.commands("scaling") + "\nFitted costs: "
    text += ", ".join(f"{name} {figure(value)}" for name, value in fit["parameters"].items())
    text += ". Misfit (rms, worst): " + ", ".join(
        f"{name} {figure(100 * value['rms'], 2)} %, {figure(100 * value['worst'], 2)} %"
        for name, value in fit["relative_misfit"].items()) + ".\n\nAssumed:\n\n"
    text += "".join(f"- {line}\n" for record in records if "assumptions" in record for line in record["assumptions"])
    for kind in ("strong", "weak"):
        chosen = [record for record in records if record.get("table") == kind]
        columns = list(dict.fromkeys((record["fabric"], record["side"]) for record in chosen))
        ranks = sorted({record["ranks"] for record in chosen})
        shown = [count for count in ranks if count in (1, 2, ranks[-1]) or round(count).bit_length() % 3 == 1]
        at = {(record["fabric"], record["side"], record["ranks"]): record for record in chosen}
        rows = []
        for count in shown:
            row = [f"{count:g}"]
            for column in columns:
                record = at.get((*column, count))
                row.append(f"{figure(record['seconds_per_solve'])} s, {100 * record['efficiency']:.0f} %" if record else "–")
            rows.append(row)
        each = "cube of" if kind == "strong" else "per rank"
        text += (f"\n{kind.capitalize()} scaling, a solve to 1e-8 and its efficiency:\n\n"
                 + table(("ranks", *(f"{fabric}, {each} {side:g}³" for fabric, side in columns)), rows))
    text += "\nWhat breaks first:\n\n"
    for record in records:
        if "breaks" not in record:
            continue
        half, indices = record["efficiency_below_half"], record["32_bit_indices_end"]
        where = "never below half" if half is None else (
            f"below half at {half['ranks']:g} ranks ({half['cells_per_rank']:g} cells each), where most of what is not work on the "
            f"finest level is {half['largest_share']} ({100 * half['share']:.0f} % of the time)")
        ends = "" if indices is None else "; more than 2³¹ cells, 32-bit indices do not do" + (
            f" from {indices['ranks']:g} ranks on" if indices["ranks"] > 1 else "")
        text += f"- {record['breaks']}, {record['side']:g}³, {record['fabric']}: efficiency {where}{ends}\n"
    return text


# What may be made alone: how the names of its jobs start, and who writes it.
SECTIONS = {"drugs": ("drugs_", "weeks_"), "cohort": ("cohort_",)}
WRITERS = {"drugs": part_drugs, "cohort": part_cohort}


def fill(page, fields):
    for name, text in fields.items():
        if "{{" + name + "}}" not in page:
            raise SystemExit(f"performance_template.md has no place for {name}")
        page = page.replace("{{" + name + "}}", text.rstrip("\n"))
    return page


def replace_section(page, template, name, text):
    """The page with its section that holds a field made anew; a section that it lacks comes where the template has it."""
    parts = re.split(r"^(?=## )", template, flags=re.MULTILINE)
    at = next(i for i, part in enumerate(parts) if "{{" + name + "}}" in part)
    section = fill(parts[at], {name: text})
    title = parts[at].splitlines()[0]
    there = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    titles = [part.splitlines()[0] if part else "" for part in there]
    if title in titles:
        there[titles.index(title)] = section
    else:
        there.insert(titles.index(parts[at + 1].splitlines()[0]), section)
    return "".join(there)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=Path("build/release/sanctuary"))
    parser.add_argument("--lines", type=Path, default=ROOT / "out/performance", help="where the lines are kept")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs/performance.md")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true")
    sizes.add_argument("--full", action="store_true")
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("--only", choices=sorted(SECTIONS))
    options = parser.parse_args()
    size = "quick" if options.quick else "full" if options.full else "normal"
    if not options.reuse:
        if not options.program.is_file():
            parser.error(f"there is no program {options.program}; build it with jobs/local/build.sh release")
        run_all(options.program.resolve(), size, options.lines, options.only)
    template = (Path(__file__).parent / "performance_template.md").read_text(encoding="utf-8")
    if options.only:
        lines = Lines(options.lines)
        page = options.output.read_text(encoding="utf-8")
        options.output.write_text(replace_section(page, template, options.only, WRITERS[options.only](lines)), encoding="utf-8")
        print(options.output)
        return
    if not (options.lines / "about.json").is_file():
        parser.error(f"{options.lines} holds no lines of a whole run; run without --reuse first")
    lines = Lines(options.lines)
    about = json.loads((options.lines / "about.json").read_text(encoding="utf-8"))
    head = next(iter(lines.of.values()))[0]
    fields = {
        "program": "build/release/sanctuary",
        "flags": "" if about["size"] == "normal" else f" --{about['size']}",
        "minutes": figure(about["minutes"], 2),
        "machine": f"{head['hardware_threads']} hardware threads of {head['processor']}, PETSc {head['petsc']}, {head['program']}",
        "stream": part_stream(lines), "P1": part_cubes(lines), "P2": part_any(lines), "P3": part_ranks(lines),
        "P4": part_transport(lines), "P5": part_reaction(lines), "kinetics": part_kinetics(lines), "drugs": part_drugs(lines),
        "network": part_network(lines), "coupled": part_coupled(lines), "P8": part_scaling(lines),
        "cohort": part_cohort(lines),
    }
    page = fill(template, fields)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(page, encoding="utf-8")
    print(options.output)


if __name__ == "__main__":
    sys.exit(main())
