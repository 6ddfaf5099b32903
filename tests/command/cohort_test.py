"""What becomes of patients that fail or are implausible, of a cohort that is extended, interrupted, given another deck
or a folder that is in use, and what is said about a wrong deck."""
import csv
import pathlib
import re
import signal
import sys
import tempfile
import time
import traceback

import small_run
from small_cohort import (DECK, LONG, SOURCE, cohort, each_once, end, expect, is_whole, log_of, meta,
                          rows, run, same, send, start, table, tasks)
from small_run import state_of, wait_for

# Six patients are enough here.
SMALL = DECK.replace("patients = 12", "patients = 6")
IMPOSSIBLE = "\n[arm.impossible]\ntransport.retries = 1\ntransport.relative_tolerance = 1e-8\n" \
             f"deck = {SOURCE}/decks/drugs/doxorubicin.ini\n"


def written(folder, name, text):
    (folder / name).write_text(text)
    return name


def done_with(folder, name, code, *arguments, ranks=1, deck="deck.ini"):
    result = cohort(folder, name, *arguments, ranks=ranks, deck=deck)
    expect(result.returncode == code, f"{name} {arguments}: exit {result.returncode}, expected {code}: {result.stderr}")
    return result


def statuses(directory, variant):
    return {row["patient"]: row["status"] for row in tasks(directory).values() if row["variant"] == variant}


def implausible(folder):
    done_with(folder, "base", 0)
    found = tasks(folder / "base")
    wrong = [p for p in range(6) if found[p, "baseline"]["status"] == "rejected"]
    expect(wrong == [3], f"rejected: {wrong}")
    for variant in ("baseline", "control", "dox"):
        row = found[3, variant]
        expect(row["status"] == "rejected" and re.fullmatch(r"perfused_fraction = 0\.\d+ outside \[0\.4, 1\]", row["reason"]),
               f"{variant}: {row['status']}, {row['reason']}")
    patient = rows(folder / "base", "SELECT * FROM patients WHERE patient = 3")[0]
    expect(patient["status"] == "rejected" and patient["weight"] == 0 and patient["reason"], f"patient 3: {patient}")
    expect(not (folder / "base/failed").exists(), "an implausible patient is no failure")
    each_once(folder / "base", "base", 6)


def failures(folder):
    """An arm whose numerics cannot converge: rows with a reason, decks that show it again, the rest done."""
    written(folder, "fails.ini", SMALL + IMPOSSIBLE)
    result = done_with(folder, "fails", 5, deck="fails.ini", ranks=3)
    expect("failed" in result.stdout and "--retry-failed" in result.stdout, result.stdout)
    found = tasks(folder / "fails")
    expect(set(statuses(folder / "fails", "dox").values()) == {"done", "rejected"}, "arms beside the one that fails")
    for patient in (0, 1, 2, 4, 5):
        row = found[patient, "impossible"]
        expect(row["status"] == "failed" and "after 1 attempts" in row["reason"] and row["attempts"] == 1, f"{row}")
    alone = run(folder, "simulate", "fails/failed/0_impossible.ini", "-o", "failed_alone")
    expect(alone.returncode == 3 and found[0, "impossible"]["reason"].split(" (")[0] in alone.stderr,
           f"the deck of a failed patient: exit {alone.returncode}: {alone.stderr}")
    each_once(folder / "fails", "fails", 6, ("baseline", "control", "dox", "impossible"))
    # Again: nothing to do. With --retry-failed: those alone, to the same end.
    before = tasks(folder / "fails")
    result = done_with(folder, "fails", 5, deck="fails.ini")
    expect(tasks(folder / "fails") == before, "a rerun changed rows")
    result = done_with(folder, "fails", 5, "--retry-failed", deck="fails.ini")
    expect("died" not in result.stderr, f"retried tasks are taken for victims of a crash: {result.stderr}")
    for key, row in tasks(folder / "fails").items():
        if row["status"] == "failed":
            expect(row["started"] > before[key]["started"] and row["attempts"] == 1, f"retried: {key}: {row}")
        else:
            expect(row == before[key], f"not failed, yet run again: {key}")


def budgets(folder):
    # Every task is over these, the first of a patient already.
    for name, key, tiny, large, words in (("slow", "cohort.time_budget", "1e-6 h", "1 h", "time budget"),
                                          ("fat", "cohort.memory_budget", "0.001 GB", "10 GB", "memory budget")):
        for ranks, folder_name in ((1, name), (3, name + "_3")):
            if ranks == 3 and name == "slow":
                continue
            done_with(folder, folder_name, 5, "--set", f"{key}={tiny}", ranks=ranks)
            found = tasks(folder / folder_name)
            failed = [k for k, row in found.items() if row["status"] == "failed"]
            expect({p for p, v in failed if v == "dox"} == set(range(6)), f"{name}: failed: {failed}")
            for key_ in failed:
                expect(words in found[key_]["reason"] and key in found[key_]["reason"], f"{name}: {found[key_]['reason']}")
            expect((folder / folder_name / "failed/0_baseline.ini").exists(), f"{name}: no deck")
        again = run(folder, "resume", name, "--retry-failed")
        expect(again.returncode == 5, f"{name}: over the budget again: exit {again.returncode}: {again.stderr}")
        mended = done_with(folder, name, 0, "--retry-failed", "--set", f"{key}={large}")
        expect("died" not in mended.stderr, f"{name}: retried tasks are taken for victims of a crash: {mended.stderr}")
        for row in rows(folder / name):
            expect(row["attempts"] <= 1, f"{name}: {row}")
        each_once(folder / name, name, 6)
        same(folder / "base", folder / name, f"{name}, mended", 1e-8)


def other_deck(folder):
    before = tasks(folder / "base"), meta(folder / "base"), (folder / "base/deck.ini").read_bytes()
    for ranks in (1, 2):
        result = done_with(folder, "base", 2, "--set", "tumour.radius=105 um", "--set", "cohort.seed=2", ranks=ranks)
        for words in ("another deck", "tumour.radius: was 110", ", is 105", "cohort.seed: was 1, is 2", "-o"):
            expect(words in result.stderr, f"{words!r} is not in: {result.stderr}")
        expect(result.stderr.count("sanctuary: ") == 1 and "grid." not in result.stderr, result.stderr)
    law = SMALL.replace("gsd = 1.5", "gsd = 1.6").replace("label = no treatment", "label = none")
    result = done_with(folder, "base", 2, deck=written(folder, "other.ini", law))
    expect("vary.drug.doxorubicin.ic50: was lognormal(median = 0.003 uM, gsd = 1.5), is lognormal" in result.stderr and
           "arm.control.label: was no treatment, is none" in result.stderr, result.stderr)
    lines = SMALL.split("[vary]\n")[1].split("\n")
    swapped = SMALL.replace("\n".join(lines[:2]), "\n".join(reversed(lines[:2])))
    result = done_with(folder, "base", 2, deck=written(folder, "other.ini", swapped))
    expect("order of [vary]: was tumour.cell_density, drug.doxorubicin.ic50, is drug" in result.stderr, result.stderr)
    more = SMALL.replace("patients = 6", "patients = 8") + "[arm.last]\nlabel = last\n"
    result = done_with(folder, "base", 2, deck=written(folder, "other.ini", more))
    expect("--extend" in result.stderr and "cohort.patients: was 6, is 8" in result.stderr, result.stderr)
    result = done_with(folder, "base", 2, "--extend", "--set", "cohort.patients=4")
    expect("cohort.patients: was 6, is 4" in result.stderr, result.stderr)
    expect((tasks(folder / "base"), meta(folder / "base"), (folder / "base/deck.ini").read_bytes()) == before,
           "the ledger was touched")
    single = run(folder, "simulate", SOURCE / "decks/drugs/doxorubicin.ini", "-o", "base")
    expect(single.returncode == 2 and "holds a cohort" in single.stderr, f"{single.returncode}: {single.stderr}")
    (folder / "single").mkdir()
    (folder / "single/run.h5").write_bytes(b"")
    (folder / "single/deck.ini").write_text("[patient]\n")
    result = done_with(folder, "single", 2)
    expect("single patient" in result.stderr and not (folder / "single/ledger.sqlite").exists(), result.stderr)


def extended(folder):
    """Only what is new runs; the tables are those of a cohort that was that large from the start."""
    dry = "[arm.another]\nlabel = dry\nblood.inlet_haematocrit = 0.3\n"
    for design in ("sobol", "monte_carlo", "latin_hypercube"):
        name, chosen = f"more_{design}", ["--set", f"cohort.design={design}"]
        text = DECK.replace("patients = 12", "patients = 3")
        done_with(folder, name, 0, *chosen, deck=written(folder, "first.ini", text))
        before = tasks(folder / name)
        text = DECK.replace("patients = 12", "patients = 5")
        done_with(folder, name, 0, "--extend", *chosen, deck=written(folder, "more.ini", text), ranks=3)
        if design == "sobol":  # by an arm with a baseline of its own, too
            result = done_with(folder, name, 2, "--extend", *chosen,
                               deck=written(folder, "arms.ini", text.replace("[arm.control]", dry + "[arm.control]")))
            expect("order of the arms" in result.stderr and "new ones come last" in result.stderr, result.stderr)
            text += dry
            done_with(folder, name, 0, "--extend", *chosen, deck=written(folder, "arms.ini", text))
        now = tasks(folder / name)
        for key, row in before.items():
            expect(now[key] == row, f"{design}: {key} has run again")
        done_with(folder, name, 0, *chosen, deck="arms.ini" if design == "sobol" else "more.ini")
        expect(tasks(folder / name) == now, f"{design}: the same deck again ran something")
        each_once(folder / name, design, 5, sorted({v for _, v in now}))
        if design == "latin_hypercube":
            expect(meta(folder / name)["blocks"] == "3,2", f"blocks of the hypercube: {meta(folder / name)['blocks']}")
        elif design == "sobol":
            done_with(folder, name + "_at_once", 0, *chosen, deck="arms.ini")
            same(folder / (name + "_at_once"), folder / name, f"extended {design}")


def two_at_once(folder):
    job = start(folder, "cohort", "deck.ini", "-o", "shared", *LONG)
    wait_for((folder / "shared/ledger.in_flight").exists, job)
    for ranks in (1, 3):
        second = done_with(folder, "shared", 2, *LONG, ranks=ranks)
        expect("another cohort is at work" in second.stderr and f"process {job.pid} on " in second.stderr, second.stderr)
    second = run(folder, "resume", "shared")
    expect(second.returncode == 2 and "another cohort is at work" in second.stderr, second.stderr)
    expect(job.poll() is None, "the first was disturbed")
    send(job.pid, signal.SIGTERM)
    end(job)
    expect(job.returncode == 75, f"exit {job.returncode}: {log_of(folder)}")


def signals(folder):
    """A task that takes seconds is interrupted half-way and goes on from there: by the same command and by `resume`."""
    deck = written(folder, "long.ini", DECK.replace("patients = 12", "patients = 2"))
    done_with(folder, "long", 0, *LONG, deck=deck, ranks=3)
    whole = tasks(folder / "long")
    for ranks, sent, again in ((1, signal.SIGTERM, "resume"), (3, signal.SIGUSR1, "same"), (1, signal.SIGUSR1, "same")):
        name = f"stopped_{ranks}_{again}"
        job = start(folder, "cohort", deck, "-o", name, *LONG, ranks=ranks)
        wait_for(lambda: list((folder / name).glob("work/*/*/dox/checkpoints/checkpoint_*[4-9][0-9].h5")), job)
        begin = time.monotonic()
        send(job.pid, sent)
        end(job)
        label = f"{sent.name} on {ranks} ranks"
        print(f"{label}: ended after {time.monotonic() - begin:.2f} s", flush=True)
        expect(job.returncode == 75, f"{label}: exit {job.returncode}: {log_of(folder)}")
        expect(f"run the same command again, or `sanctuary resume {name}`" in log_of(folder) and
               log_of(folder).count("stopped on request") == 1, f"{label}: {log_of(folder)}")
        expect("interrupted" in statuses(folder / name, "dox").values(), f"{label}: {statuses(folder / name, 'dox')}")
        before = tasks(folder / name)
        done = run(folder, "resume", name) if again == "resume" else cohort(folder, name, *LONG, deck=deck, ranks=ranks)
        expect(done.returncode == 0, f"{label}: {again}: exit {done.returncode}: {done.stderr}")
        if ranks == 1:  # only the first rank says so
            expect("going on from the checkpoint" in done.stderr, f"{label}: it began anew: {done.stderr}")
        expect("died" not in done.stderr, f"{label}: {done.stderr}")
        for key, row in tasks(folder / name).items():
            if before.get(key, {}).get("status") in ("done", "rejected"):
                expect(row == before[key], f"{label}: {key} has run again")
            if key in before and before[key]["status"] == "interrupted":
                print(f"{label}: {key}: {whole[key]['cpu_s']:.2f} s at once, {before[key]['cpu_s']:.2f} and then {row['cpu_s']:.2f} s")
                expect(row["cpu_s"] < 0.95 * whole[key]["cpu_s"], f"{label}: {key}: it began anew")
            expect(row["attempts"] == 1 or row["status"] == "rejected", f"{label}: attempts {row}")
        each_once(folder / name, label, 2)
        same(folder / "long", folder / name, label, 1e-8)


def too_few_ranks(folder):
    for ranks in (1, 3):
        result = run(folder, "cohort", "deck.ini", "-o", "few", "--set", "cohort.group_width=4", ranks=ranks, timeout=30)
        expect(result.returncode == 2, f"{ranks} ranks: exit {result.returncode}")
        expect("cohort.group_width" in result.stderr and "start 5 ranks" in result.stderr and
               result.stderr.count("sanctuary: ") == 1, result.stderr)
        expect(not (folder / "few").exists(), "a folder was made for what cannot run")


def wrong_decks(folder):
    def line_of(text, words):
        return 1 + text[:text.index(words)].count("\n")

    vary = "tumour.cell_density = normal(mean = 1e9 cells/cm^3, sd = 2e8 cells/cm^3) in [5e8, 1.5e9] cells/cm^3"
    cases = [  # what is replaced, by what, what marks the line, what is said
        (vary, "tumour.cel_density = uniform(1e9, 2e9) cells/cm^3", "tumour.cel",
         ["vary.tumour.cel_density: unknown key", "did you mean vary.tumour.cell_density"]),
        (vary, "tumour.radius = uniform(100 s, 120 s)", "tumour.radius = uni", ["vary.tumour.radius", "um"]),
        (vary, "tumour.radius = uniform(100, 120)", "tumour.radius = uni", ["vary.tumour.radius", "unit"]),
        (vary, "tumour.radius = gamma(100 um, 120 um)", "tumour.radius = gam", ["vary.tumour.radius", "gamma", "expected"]),
        ("[plausible]", "correlate = tumour.cell_density, drug.doxorubicin.ec50, 0.5\n[plausible]", "correlate",
         ["vary.correlate: 'drug.doxorubicin.ec50' does not vary", "drug.doxorubicin.ic50"]),
        ("[plausible]", "correlate = tumour.cell_density, drug.doxorubicin.ic50\n[plausible]", "correlate",
         ["vary.correlate", "triples"]),
        ("emax = 2 1/h", "ic50 = 0.1 uM", "drug.doxorubicin.ic50 = log",
         ["vary.drug.doxorubicin.ic50: [arm.dox] gives this key as well"]),
        ("[0.4, 1]", "[0.4, ]", "perfused", ["plausible.perfused_fraction", "[low, high]|not a number"]),
        ("[0.4, 1]", "[0.6, 0.4]", "perfused", ["plausible.perfused_fraction: the bounds are the wrong way round"]),
        ("patients = 6", "patients = 7\ndesign = saltelli", "patients",
         ["cohort.patients", "expected a multiple of it, such as"]),
        ("[arm.control]", "[arm.none]\ndeck = nowhere.ini\n[arm.control]", "deck = nowhere", ["arm.none.deck", "nowhere.ini"]),
        ("emax = 2 1/h", "emox = 2 1/h", "drug.doxorubicin.emox", ["drug.doxorubicin.emox", "did you mean"]),
        ("emax = 2 1/h", "emax = 2 um", "drug.doxorubicin.emax", ["drug.doxorubicin.emax", "1/h"]),
        ("patients = 6", "patients = 6\npatient = 3", "patient = 3", ["cohort.patient: unknown key", "cohort.patients"]),
        ("[arm.control]", "[arm.control]\ncohort.seed = 3", "cohort.seed", ["an arm changes keys of the patient alone"]),
        ("[arm.control]", "[arm.baseline]", "", ["arm.baseline", "expected another name"]),
    ]
    for number, (old, new, mark, said) in enumerate(cases):
        expect(SMALL.count(old) == 1, f"case {number}: {old!r}")
        text = SMALL.replace(old, new)
        written(folder, "wrong.ini", text)
        for command in (["cohort", "wrong.ini", "-o", "wrong"], ["check", "wrong.ini"], ["cohort", "wrong.ini", "--dry-run"]):
            if command[0] == "check" and number % 4:
                continue
            if "--dry-run" in command and number % 4 != 1:
                continue
            result = run(folder, *command, ranks=2 if number % 8 == 0 and command[0] == "cohort" else 1)
            label = f"case {number}, {command[0]}: {new!r}"
            expect(result.returncode == 2, f"{label}: exit {result.returncode}: {result.stderr}")
            expect(result.stderr.count("sanctuary: ") == 1, f"{label}: one message, not: {result.stderr}")
            for words in (f"wrong.ini:{line_of(text, mark)}: " if mark else "wrong.ini: ", *said):
                expect(any(word in result.stderr for word in words.split("|")), f"{label}: {words!r} is not in: {result.stderr}")
    expect(not (folder / "wrong").exists(), "a wrong deck left a folder")
    for shard, words in (("3/2", "from 0 to N - 1"), ("x", "expected I/N"), ("1/", "expected I/N"), ("-1/2", "I/N")):
        result = run(folder, "cohort", "deck.ini", "-o", "wrong", f"--shard={shard}")
        expect(result.returncode == 2 and f"--shard: '{shard}'" in result.stderr and words in result.stderr, result.stderr)
    result = run(folder, "resume", "nowhere")
    expect(result.returncode == 2 and "no run" in result.stderr, result.stderr)


def unknown_endpoint(folder):
    """What only a patient shows to be wrong in the deck ends the cohort, not one patient after the other."""
    written(folder, "endpoint.ini", SMALL.replace("perfused_fraction =", "perfused_share ="))
    for ranks in (1, 3):
        result = run(folder, "cohort", "endpoint.ini", "-o", f"endpoint_{ranks}", ranks=ranks, timeout=60)
        expect(result.returncode == 2, f"{ranks} ranks: exit {result.returncode}: {result.stderr}")
        for words in ("endpoint.ini", "[plausible] perfused_share: no such endpoint", "perfused_fraction"):
            expect(words in result.stderr, f"{ranks} ranks: {words!r} is not in: {result.stderr}")


def width_by_size(folder):
    """Larger grids run on wider groups, by the deck alone; two states before treatment where arms differ in one."""
    text = SMALL.replace("cells = 10\n", "").replace("patients = 6", "patients = 6\ngroup_width = 0\ncells_per_rank = 1000")
    text = text.replace("[vary]", "[vary]\ngrid.cells = choice(10, 12)").replace("[0.4, 1]", "[0, 1]")
    written(folder, "sizes.ini", text + "[arm.dense]\nmatrix.collagen.tumour = 0.05\n")
    done_with(folder, "sizes", 0, deck="sizes.ini", ranks=3)
    cells = {row["patient"]: int(row["grid.cells"]) for row in rows(folder / "sizes", "SELECT * FROM patients")}
    expect(set(cells.values()) == {10, 12}, f"sizes: {cells}")
    found = tasks(folder / "sizes")
    expect({variant for _, variant in found} == {"baseline", "baseline_2", "control", "dox", "dense"}, f"variants: {found.keys()}")
    for (patient, variant), row in found.items():
        expect(row["ranks"] == (1 if cells[patient] == 10 else 2), f"patient {patient}, {variant}: {row['ranks']} ranks")
    parents = {row["task"]: row["variant"] for row in found.values()}
    expect(parents[found[0, "dense"]["parent"]] == "baseline_2" and parents[found[0, "dox"]["parent"]] == "baseline", "parents")


def targets(folder):
    """Weights give the items of a choice the shares asked for, in whatever order they are listed; the tables' keys may be
    corrected afterwards."""
    text = SMALL.replace("[vary]", "[vary]\nmechanisms.quiescence = choice(on: 0.7, off: 0.3)")
    text = text.replace("patients = 6", "patients = 12\nsensitivity = log_kil").replace("[0.4, 1]", "[0, 1]")
    text += "[target]\nmechanisms.quiescence = choice(off: 0.9, on: 0.1)\n"
    written(folder, "weights.ini", text)
    result = done_with(folder, "weights", 0, deck="weights.ini", ranks=3)
    expect("no arm has an endpoint 'log_kil'" in result.stderr and "effective sample size" in result.stdout, result.stderr + result.stdout)
    with open(folder / "weights/cohort.csv", encoding="utf-8") as table:
        kept = [row for row in csv.DictReader(table) if row["arm"] == "dox"]
    shares = {item: sum(float(r["weight"]) for r in kept if r["mechanisms.quiescence"] == item) for item in ("on", "off")}
    expect(abs(shares["off"] / 12 - 0.9) < 1e-6 and abs(shares["on"] / 12 - 0.1) < 1e-6, f"weighted shares: {shares}")
    before = tasks(folder / "weights")
    written(folder, "weights.ini", text.replace("log_kil", "log_kill").replace("off: 0.9, on: 0.1", "off: 0.5, on: 0.5"))
    result = done_with(folder, "weights", 0, deck="weights.ini")
    expect(tasks(folder / "weights") == before and "no arm has" not in result.stderr, "the tables alone are made anew")
    found = rows(folder / "weights", "SELECT * FROM sensitivity WHERE endpoint = 'log_kill'")
    expect(len(found) == 3, f"sensitivities of log_kill by three keys in the arm that has it: {found}")
    for change, said in ((("choice(off: 0.9, on: 0.1)", "choice(off: 1)"), "no share for 'on'"),
                         (("choice(off: 0.9, on: 0.1)", "uniform(0, 1)"), "no single number")):
        written(folder, "weights.ini", text.replace(*change))
        result = run(folder, "cohort", "weights.ini", "--dry-run")
        expect(result.returncode == 2 and said in result.stderr and "target.mechanisms.quiescence" in result.stderr, result.stderr)


def arm_decks(folder):
    """What an arm's deck says belongs to the cohort: it is kept, and another content is another deck."""
    drug = (SOURCE / "decks/drugs/doxorubicin.ini").read_text(encoding="utf-8")
    written(folder, "drug.ini", drug)
    written(folder, "arms.ini", SMALL.replace(f"{SOURCE}/decks/drugs/doxorubicin.ini", "drug.ini"))
    done_with(folder, "arms", 0, deck="arms.ini")
    before = state_of(folder / "arms")
    written(folder, "drug.ini", drug.replace("hill = 1 ", "hill = 2 "))
    result = run(folder, "cohort", "arms.ini", "-o", "arms", "--set", "cohort.patients=8", "--extend")
    expect(result.returncode == 2 and "arm.dox.drug.doxorubicin.hill: was 1, is 2" in result.stderr, result.stderr)
    expect({k: v for k, v in state_of(folder / "arms").items() if "lock" not in k.name} ==
           {k: v for k, v in before.items() if "lock" not in k.name}, "something was written")
    (folder / "drug.ini").unlink()
    result = run(folder, "resume", "arms")
    expect(result.returncode == 0, f"without the arm's deck: exit {result.returncode}: {result.stderr}")


def looked_at(folder):
    """check, --dry-run and simulate on the deck of a cohort; nothing is written."""
    before = state_of(folder)
    for command in (["check", "deck.ini"], ["cohort", "deck.ini", "--dry-run"]):
        for ranks in (1, 4) if command[0] == "check" else (1,):
            result = run(folder, *command, ranks=ranks)
            expect(result.returncode == 0, f"{command}: exit {result.returncode}: {result.stderr}")
            for words in ("6 patients", "18 tasks"):
                expect(words in result.stdout, f"{command}: {words!r} is not in: {result.stdout}")
    result = run(folder, "simulate", "deck.ini", "-o", "nothing")
    expect(result.returncode == 2 and "deck of a cohort" in result.stderr and "sanctuary cohort" in result.stderr,
           f"simulate: {result.stderr}")
    expect(state_of(folder) == before, "something was written")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        here = pathlib.Path(place)
        written(here, "deck.ini", SMALL)
        for test in (looked_at, implausible, failures, budgets, other_deck, extended, two_at_once, signals,
                     too_few_ranks, wrong_decks, unknown_endpoint, width_by_size,
                     targets, arm_decks):
            if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
                continue
            begin_ = time.monotonic()
            try:
                test(here)
            except Exception:  # the others shall be seen, too
                expect(False, f"{test.__name__}: {traceback.format_exc()}")
            print(f"{test.__name__}: {time.monotonic() - begin_:.0f} s, {small_run.failures} failures so far", flush=True)
    print(f"{small_run.failures} failed")
    sys.exit(1 if small_run.failures else 0)
