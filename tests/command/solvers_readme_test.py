"""The example in solvers/README.md is tests/install/example, byte by byte (install.consumer builds and runs it), and the table
names each header of solvers/ and no other."""
import os
import pathlib
import re
import sys

SOURCE = pathlib.Path(os.environ.get("SANCTUARY_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
text = (SOURCE / "solvers/README.md").read_text(encoding="utf-8")
failures = []

for name in ("example.cpp", "CMakeLists.txt"):
    quoted = re.search(rf"^`{re.escape(name)}`:\n\n```[a-z]+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    real = (SOURCE / "tests/install/example" / name).read_text(encoding="utf-8")
    if not quoted:
        failures.append(f"solvers/README.md does not quote {name}")
    elif quoted[1] != real:
        failures.append(f"solvers/README.md quotes another {name} than tests/install/example/{name}: copy the file in")
    if name == "example.cpp" and len(real.splitlines()) > 40:
        failures.append("the example has more than 40 lines")

named = set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))
headers = {path.name for path in (SOURCE / "solvers").glob("*.hpp")}
headers |= {f"{path.name}/" for path in (SOURCE / "solvers").iterdir() if path.is_dir()}
failures += [f"solvers/README.md: the table lacks {name}" for name in sorted(headers - named)]
failures += [f"solvers/README.md: the table names {name}, which is not there" for name in sorted(named - headers)]
print("\n".join(failures) or "solvers/README.md holds")
sys.exit(1 if failures else 0)
