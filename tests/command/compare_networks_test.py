"""Generated networks beside measured ones: the command of docs/networks.md runs, its table holds the figures printed there, and what
the document claims of the xenograft beside the R3230Ac tumour holds."""
import os
import pathlib
import subprocess
import sys
import tempfile

import small_run
from small_run import PROGRAM, REFERENCE, SOURCE, expect

if not (REFERENCE / "tumour_r3230ac").is_dir():
    print("skipped: reference data not found")
    sys.exit(77)


def rows_of(text, heading):
    """Rows of the first markdown table that has a column `heading`: {label: {column: cell}}."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|") and f" {heading} " in line)
    columns = [cell.strip() for cell in lines[start].strip("| \n").split("|")]
    rows = {}
    for line in lines[start + 2:]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        rows[cells[0]] = dict(zip(columns, cells[1:]))
    return rows


with tempfile.TemporaryDirectory() as place:
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "sanctuary_post.compare_networks", PROGRAM, "--data", str(REFERENCE), "--presets",
         "healthy,xenograft", "-o", place], env=os.environ | {"PYTHONPATH": str(SOURCE / "postprocess")}, capture_output=True,
        text=True, timeout=600, check=False)
    expect(done.returncode == 0, f"exit {done.returncode}: {done.stderr}")
    made = pathlib.Path(place)
    expect((made / "figure.png").read_bytes()[:4] == b"\x89PNG", "the figure is no PNG")
    now = rows_of((made / "table.md").read_text(encoding="utf-8"), "xenograft")
    printed = rows_of((SOURCE / "docs/networks.md").read_text(encoding="utf-8"), "xenograft")
    expect(now.keys() == printed.keys(), f"rows: {now.keys() ^ printed.keys()}")
    for label, cells in now.items():
        for column, cell in cells.items():
            there = printed.get(label, {}).get(column)
            close = there == cell or (cell and there and abs(float(there) - float(cell)) <= 0.02 * abs(float(cell)) + 0.011)
            expect(close, f"{label}, {column}: {cell}, docs/networks.md has {there}")

    def ratio(label):
        return float(now[label]["xenograft"]) / float(now[label]["R3230Ac"])

    for label in ("Segment density [1/mm³]", "Length density [mm/mm³]", "Surface per volume [1/cm]", "Fractal dimension",
                  "Radius by length, mean [µm]", "Tissue to nearest wall, median [µm]", "Tissue to nearest wall, 95 % [µm]"):
        expect(0.75 < ratio(label) < 1.35, f"{label}: {ratio(label)} of R3230Ac")
    expect(55 < float(now["Perfused, by length [%]"]["xenograft"]) < 85, "perfused share of the xenograft")
    expect(float(now["Variation of flow (SD over mean)"]["xenograft"]) > 1, "heterogeneity of flow")
    wrong = subprocess.run(["/usr/bin/python3", "-m", "sanctuary_post.compare_networks", "/nowhere/sanctuary", "-o", place],
                           env=os.environ | {"PYTHONPATH": str(SOURCE / "postprocess")}, capture_output=True, text=True,
                           timeout=60, check=False)
    expect(wrong.returncode == 2 and "cannot be started" in wrong.stderr, f"{wrong.returncode}: {wrong.stderr}")
print(f"{small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
