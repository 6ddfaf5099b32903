"""`python3 -m sanctuary_post.compare_networks PROGRAM --data DIR -o DIR`: generated networks beside measured ones.

Grows a network of each preset in a box of 1 mm, measures it and the networks of the reference data with `network info`, and writes
`table.md`, `table.csv` and `figure.png` (some of them) with the files of `network info` into the folder of -o.

Exit codes are those of `sanctuary`: 0 done; 2 the command line is wrong; 3 the program failed; 4 reading or writing failed.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from sanctuary_post import networks

PRESETS = ["healthy", "xenograft", "pdac", "hcc", "ccrcc", "nsclc", "crc", "tnbc", "hnscc"]
CELLS, SPACING = 50, 20  # um

# Name, place in the reference data, options of `network info`.
MEASURED = [
    ("mouse cortex", "dumux_embedded/network.dgf", ["--box", "200 um, 200 um, 200 um", "--flow"]),
    ("R3230Ac", "tumour_r3230ac/network.dat", ["--box", "550 um, 520 um, 230 um", "--flow-factor", "1.333333", "--flow"]),
    ("mesentery", "mesentery_546/netflowv2_network.dat", ["--flow"]),
    ("Tapmeier", "microvesselchaste_tumor/tapmeier_network.vtp", ["--length-unit", "um"]),
]
IN_FIGURE = {"mouse cortex", "R3230Ac", "Tapmeier", "healthy", "xenograft", "pdac", "crc"}

# Label of networks.ROWS and digits after the point.
SHOWN = {
    "Segments": 0, "Vessels": 0, "Connected pieces": 0, "Loops": 0, "Blind ends": 0, "Length density": 0, "Surface per volume": 0,
    "Volume fraction": 1, "Segment density": 0, "Radius by length, mean": 1, "Radius by length, SD": 1,
    "Vessel length, median": 0, "Tortuosity": 2, "Fractal dimension": 2, "Tissue to nearest wall, median": 0,
    "Tissue to nearest wall, 95 %": 0, "Length that can carry flow": 0, "Perfused, by length": 0, "Blood flow": 1,
    "Variation of flow (SD over mean)": 2, "Variation of velocity": 2, "Velocity by length, median": 2,
    "Wall shear by length, median": 1, "Transit time, mean": 1, "Transit time, variation": 2, "Outflow with known transit": 0,
}


def run(command):
    """Standard output of a command; raises NetworksError where it fails."""
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as trouble:
        raise networks.NetworksError(f"{command[0]}: cannot be started ({trouble.strerror})", 2) from None
    if done.returncode != 0:
        raise networks.NetworksError(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stderr.strip()}", 3)
    return done.stdout


def generated(program, preset, folder):
    """`network info` of a network grown from a preset, all tumour (or all healthy)."""
    grown, told = folder / f"{preset}.h5", folder / f"{preset}.json"
    side = f"{CELLS * SPACING} um"
    run([program, "network", "generate", "-q", "--set", "patient.kind=interior", "--set", f"network.generate.preset={preset}",
         "--set", f"grid.cells={CELLS}", "--set", f"grid.spacing={SPACING} um", "-o", grown])
    told.write_text(run([program, "network", "info", grown, "--box", f"{side}, {side}, {side}", "--flow", "--format", "json"]),
                    encoding="utf-8")
    return networks.load(told)


def measured(program, name, file, options, folder):
    """`network info` of a network of the reference data."""
    told = folder / f"{name.replace(' ', '_')}.json"
    told.write_text(run([program, "network", "info", file, *options, "--format", "json"]), encoding="utf-8")
    return networks.load(told)


def as_markdown(names, rows):
    """The table of the documents."""
    text = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for label, unit, values in rows:
        if label not in SHOWN:
            continue
        cells = ["" if one is None else f"{one:.{SHOWN[label]}f}" for one in values]
        text.append(f"| {label}{f' [{unit}]' if unit else ''} | " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def parse(arguments):
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python3 -m sanctuary_post.compare_networks",
                                     description="Lays generated networks beside those of the reference data.")
    parser.add_argument("program", metavar="PROGRAM", type=Path, help="the program `sanctuary`")
    parser.add_argument("--data", metavar="DIR", type=Path, help="reference data (default: generated networks alone)")
    parser.add_argument("--presets", metavar="A,B,...", default=",".join(PRESETS), help="presets (default: all)")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="folder for table, figure and files")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Runs the command and returns its exit code."""
    options = parse(arguments)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        found = {}
        for name, place, flags in MEASURED if options.data else []:
            found[name] = measured(options.program, name, options.data / place, flags, options.output)
        for preset in options.presets.split(","):
            found[preset] = generated(options.program, preset, options.output)
        names, several = list(found), list(found.values())
        rows = networks.table(several)
        (options.output / "table.md").write_text(as_markdown(names, rows), encoding="utf-8")
        (options.output / "table.csv").write_text(networks.as_csv(names, rows), encoding="utf-8")
        drawn = [name for name in names if name in IN_FIGURE]
        (options.output / "figure.png").write_bytes(networks.figure(drawn, [found[name] for name in drawn], dpi=70))
    except networks.NetworksError as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return trouble.exit_code
    except OSError as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 4
    print(f"{options.output}: {len(found)} networks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
