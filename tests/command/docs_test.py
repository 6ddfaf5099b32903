"""Commands and decks quoted in README.md and INSTALL.md are real: in code fences marked `bash runnable` every script,
deck, preset, sub-command, option and parameter must exist, and every quoted deck must pass `sanctuary check`. INSTALL.md's
Debian lines must name the packages of jobs/local/packages.txt and packages_tests.txt, docs/parameters.md must be what the
program prints, and links must lead somewhere."""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

SOURCE = pathlib.Path(os.environ.get("SANCTUARY_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
PROGRAM = os.environ.get("SANCTUARY_PROGRAM", "")
DOCUMENTS = ["README.md", "INSTALL.md", "decks/README.md", "jobs/README.md", "docs/networks.md", "docs/cohorts.md"]
FOLDERS = tuple(f"{entry.name}/" for entry in SOURCE.iterdir() if entry.is_dir() and entry.name not in ("build", "out"))
failures = []


def fail(document, line, problem):
    failures.append(f"{document}:{line}: {problem}")


def output_of(*command):
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def fences(text):
    """Yields the number of the first line, the info string and the body of each code fence."""
    for match in re.finditer(r"^```([^\n]*)\n(.*?)^```\s*$", text, re.MULTILINE | re.DOTALL):
        yield text[: match.start(2)].count("\n") + 1, match.group(1).strip(), match.group(2)


def check_sanctuary(document, line, words):
    """`words` is what follows the program's name."""
    if not PROGRAM:
        return
    words = words[: words.index("--")] if "--" in words else words
    command = [word for word in words if not word.startswith("-")][:1]
    code, help_text = output_of(PROGRAM, *command, "--help")
    if code != 0:
        fail(document, line, f"`sanctuary {' '.join(command)} --help` ends with exit code {code}")
        return
    known = set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", help_text))
    for before, word in zip([""] + words, words):
        if word.startswith("-") and word.split("=")[0] not in known:
            fail(document, line, f"`sanctuary {' '.join(command)}` has no option {word}")
        if before == "--set":
            key = word.split("=")[0]
            parts = key.split(".")
            patterns = [key] + [".".join(parts[:i] + ["*"] + parts[i + 1 :]) for i in range(len(parts))]
            if not any(pattern in parameters() for pattern in patterns):
                fail(document, line, f"there is no parameter {key}")
        if word.startswith("decks/") and word.endswith(".ini"):
            code, text = output_of(PROGRAM, "check", word)
            if code != 0:
                fail(document, line, f"`sanctuary check {word}` ends with exit code {code}: {text[-400:]}")


def parameters():
    if not hasattr(parameters, "keys"):
        _, text = output_of(PROGRAM, "params", "--format", "json")
        parameters.keys = set(re.findall(r'"key"\s*:\s*"([^"]+)"', text))
    return parameters.keys


def check_command(document, line, words):
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        words = words[1:]
    if words and words[0] in ("mpiexec", "srun"):
        start = next((i for i, word in enumerate(words) if word.endswith("sanctuary")), None)
        words = words[start:] if start else words
    if not words:
        return
    for word in words:
        path = word.split("=", 1)[-1]
        if path.startswith(FOLDERS) and not any(mark in path for mark in "*<$") and not (SOURCE / path).exists():
            fail(document, line, f"{path} does not exist")
    name, rest = words[0], words[1:]
    if name.startswith(FOLDERS) and (SOURCE / name).is_file():
        if not os.access(SOURCE / name, os.X_OK):
            fail(document, line, f"{name} is not executable")
        usage = (SOURCE / name).read_text(encoding="utf-8")
        for word in rest[: rest.index("--")] if "--" in rest else rest:
            if word.startswith("--") and word not in usage:
                fail(document, line, f"{name} has no option {word}")
    if "--preset" in rest and rest[rest.index("--preset") + 1] not in PRESETS:
        fail(document, line, f"there is no preset {rest[rest.index('--preset') + 1]}")
    built = re.match(r"build/([\w-]+)/", name)
    if built and built.group(1) not in PRESETS:
        fail(document, line, f"there is no preset {built.group(1)}")
    if name.split("/")[-1] == "sanctuary":
        check_sanctuary(document, line, rest)


def check_document(document):
    text = (SOURCE / document).read_text(encoding="utf-8")
    runnable = 0
    for start, info, body in fences(text):
        if info.split()[1:] != ["runnable"]:
            continue
        runnable += 1
        code, message = output_of("bash", "-n", "-c", body)
        if code != 0:
            fail(document, start, f"bash cannot parse it: {message}")
        for offset, line in enumerate(body.replace("\\\n", "  ").splitlines()):
            for part in re.split(r"&&|\|\||;|\|", line):
                try:
                    check_command(document, start + offset, shlex.split(part, comments=True))
                except ValueError as error:
                    fail(document, start + offset, f"{error}: {part}")
    for match in re.finditer(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)", text):
        target = match.group(1)
        if "://" not in target and not (SOURCE / document).parent.joinpath(target).exists():
            fail(document, text[: match.start()].count("\n") + 1, f"the link to {target} leads nowhere")
    return runnable


def check_packages():
    text = (SOURCE / "INSTALL.md").read_text(encoding="utf-8").replace("\\\n", " ")
    quoted = re.findall(r"apt-get install -y --no-install-recommends ([^\n]+)", text)
    lists = {"packages.txt": "--list", "packages_tests.txt": "--list-tests"}
    if len(quoted) != len(lists):
        failures.append(f"INSTALL.md: {len(quoted)} apt-get install lines instead of {len(lists)}")
    for line, (name, option) in zip(quoted, lists.items()):
        difference = set(line.split()) ^ set(output_of("jobs/local/packages.sh", option)[1].split())
        if difference:
            failures.append(f"INSTALL.md and jobs/local/{name} differ: {' '.join(sorted(difference))}")


def check_parameter_table():
    table = SOURCE / "docs/parameters.md"
    if PROGRAM and table.exists() and table.read_text(encoding="utf-8") != subprocess.run(
        [PROGRAM, "params", "--format", "markdown"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    ).stdout:
        failures.append("docs/parameters.md is out of date: sanctuary params --format markdown > docs/parameters.md")


presets = json.loads((SOURCE / "CMakePresets.json").read_text(encoding="utf-8"))
PRESETS = {preset["name"] for preset in presets["configurePresets"] if not preset.get("hidden")}
count = sum(check_document(document) for document in DOCUMENTS if (SOURCE / document).exists())
check_packages()
check_parameter_table()
if count == 0:
    failures.append("no code fence is marked `bash runnable`")
print("\n".join(failures) if failures else f"{count} runnable code fences: all commands, decks and options exist")
sys.exit(1 if failures else 0)
