"""Fails if a source file includes a header of a layer above its own (layers: docs and CMakeLists.txt)."""
import pathlib
import re
import sys

BELOW = {  # what a layer may include, itself apart
    "base": set(),
    "solvers": {"base"},
    "tissue": {"base", "solvers"},
    "therapy": {"base", "solvers", "tissue"},
    "outcomes": {"base", "solvers"},
    "io": {"base", "solvers"},
    "patient": {"base", "solvers", "tissue", "therapy", "outcomes", "io"},
}
BELOW["verification"] = set(BELOW)
BELOW["cohort"] = set(BELOW) - {"verification"}
BELOW["benchmark"] = set(BELOW) - {"verification"}
BELOW["cli"] = set(BELOW)

root = pathlib.Path(sys.argv[1])
failures, read = [], 0
for top, depth in (("src", 1), ("solvers", 0)):
    for path in sorted((root / top).rglob("*.[ch]pp")):
        layer = path.relative_to(root).parts[depth]
        read += 1
        if layer not in BELOW:
            failures.append(f"{path}: folder '{layer}' is no layer known to tests/lint/include_direction.py")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            target = found[1].split("/")[0] if found and "/" in found[1] else None
            if found and target not in BELOW[layer] | {layer}:
                failures.append(f"{path}:{number}: layer '{layer}' may not include \"{found[1]}\"")
print("\n".join(failures) or f"include directions hold in {read} files")
sys.exit(1 if failures or not read else 0)
