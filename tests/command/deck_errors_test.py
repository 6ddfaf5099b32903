"""Bad decks: each gives exit code 2 and one message with file, line, fault and remedy, on 1 and 2 ranks, and leaves
nothing behind. Keys and limits come from the program's own catalogue."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM = os.environ["SANCTUARY_PROGRAM"]
MPIEXEC = os.environ.get("MPIEXEC", "mpiexec")
os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_mpi_yield_when_idle="1")


def run(arguments, ranks, folder):
    launcher = [] if ranks == 1 else [MPIEXEC, "--oversubscribe", "-n", str(ranks)]
    return subprocess.run(launcher + [PROGRAM] + arguments, cwd=folder, capture_output=True, text=True, timeout=60,
                          check=False)


with tempfile.TemporaryDirectory() as folder:
    catalogue = json.loads(run(["params", "--format", "json"], 1, folder).stdout)
plain = [row for row in catalogue if "*" not in row["key"]]
number = next(row for row in plain if row["kind"] == "number" and row["unit"] not in ("1", "s")
              and row["default"] is not None and None not in row["range"])
key = number["key"]
section, name = key.rsplit(".", 1)
unit = number["unit"]
good = f"{name} = {number['default_value']!r} {unit}"
too_large = f"{name} = {number['range'][1] * 10 + 1!r} {unit}"
misspelt = name[:-1] + ("x" if name[-1] != "x" else "y")
other_section = next(row["key"].rsplit(".", 1)[0] for row in plain if not row["key"].startswith(section))

# deck text, arguments beside it, what the message must hold
CASES = {
    "unknown_key": (f"[{section}]\n{misspelt} = 1\n", [], [":2: ", f"{section}.{misspelt}: unknown key", "did you mean"]),
    "wrong_unit": (f"[{section}]\n{name} = 1 kat\n", [], [f":2: {key}: ", "'kat' has the wrong dimension", unit]),
    "unknown_unit": (f"[{section}]\n{name} = 1 blob\n", [], [f":2: {key}: unknown unit 'blob'", unit]),
    "no_unit": (f"[{section}]\n{name} = 1\n", [], [f":2: {key}: '1' has no unit", unit]),
    "out_of_range": (f"[{section}]\n{too_large}\n", [], [f":2: {key}: ", "out of range", " to "]),
    "not_a_number": (f"[{section}]\n{name} = nan {unit}\n", [], [f":2: {key}: ", "not a finite number"]),
    "empty_value": (f"[{section}]\n{name} =\n", [], [f":2: {key}: empty value"]),
    "empty_section": (f"[{other_section}]\n[{section}]\n{good}\n", [], [f":1: [{other_section}]: empty section"]),
    "repeated_key": (f"[{section}]\n{good}\n{good}\n", [], [f":3: {key}: repeated key", "line 2"]),
    "repeated_section": (f"[{section}]\n{good}\n[{section}]\n{good}\n", [], [f":3: [{section}]: repeated section"]),
    "outside_a_section": (f"{good}\n", [], [":1: ", "key outside a section"]),
    "byte_order_mark": (f"\ufeff[{section}]\n{good}\n", [], [":1: ", "byte-order mark"]),
    "missing_include": ("include = gone.ini\n", [], [":1: include: cannot read gone.ini", "No such file"]),
    "include_cycle": ("include = include_cycle.ini\n", [], [":1: include: ", "cycle"]),
    "override": (f"[{section}]\n{good}\n", ["--set", f"{section}.{misspelt}=1"], ["--set: ", "unknown key"]),
    "override_without_unit": (f"[{section}]\n{good}\n", ["--set", f"{key}=1"], [f"--set: {key}: '1' has no unit"]),
}

failures = 0


def expect(condition, text):
    global failures
    if not condition:
        failures += 1
        print("FAILED:", text)


with tempfile.TemporaryDirectory() as folder:
    for case, (text, arguments, _) in CASES.items():
        pathlib.Path(folder, case + ".ini").write_text(text, encoding="utf-8")
    before = sorted(os.listdir(folder))
    for ranks in (1, 2):
        for case, (_, arguments, parts) in CASES.items():
            for command in ("check", "simulate"):
                if command == "simulate" and case not in ("unknown_key", "no_unit"):
                    continue  # the same reader: two cases show that it is used
                result = run([command, case + ".ini"] + arguments, ranks, folder)
                label = f"{command} {case} on {ranks} ranks"
                expect(result.returncode == 2, f"{label}: exit code {result.returncode}, not 2: {result.stderr}")
                for part in parts:
                    expect(part in result.stderr, f"{label}: no {part!r} in: {result.stderr}")
                expect(result.stderr.count("sanctuary: ") == 1, f"{label}: not said once: {result.stderr}")
                expect(result.stdout == "", f"{label}: output in spite of the error: {result.stdout}")
        for arguments, parts in ((["check", "gone.ini"], ["gone.ini", "cannot read the deck", "No such file"]),
                                 (["check"], ["expected `sanctuary check DECK`"]),
                                 (["chekc", "a.ini"], ["unknown command 'chekc'", "did you mean check?"]),
                                 (["check", "a.ini", "--quite"], ["unknown option '--quite'", "did you mean --quiet?"]),
                                 (["params", "nothing.like.this"], ["no parameter matches"])):
            result = run(arguments, ranks, folder)
            expect(result.returncode == 2, f"{arguments} on {ranks} ranks: exit code {result.returncode}, not 2")
            for part in parts:
                expect(part in result.stderr, f"{arguments} on {ranks} ranks: no {part!r} in: {result.stderr}")
    expect(sorted(os.listdir(folder)) == before, f"files were left behind: {sorted(os.listdir(folder))}")

    deck = pathlib.Path(os.environ["SANCTUARY_SOURCE_DIR"], "decks/patient/quickstart.ini")
    if deck.exists():
        result = run(["check", str(deck)], 2, folder)
        expect(result.returncode == 0, f"check of the quickstart deck: exit code {result.returncode}: {result.stderr}")
        expect("memory:" in result.stdout and key in result.stdout, f"check lists the parameters: {result.stdout}")

print(f"{failures} failed")
sys.exit(1 if failures else 0)
