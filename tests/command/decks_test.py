"""Every deck that is handed out to be run is sound: `sanctuary check` takes it, and it opens with its question, ranks,
minutes and what to expect. A deck that needs reference data is checked where they are."""
import re
import sys

import small_run
from small_run import REFERENCE, SOURCE, expect, run

FOLDERS = "patient", "cohort", "validation", "bench"

found = [path for folder in FOLDERS for path in sorted((SOURCE / "decks" / folder).glob("*.ini"))]
expect({path.parent.name for path in found} == set(FOLDERS), f"decks only in {sorted({path.parent.name for path in found})}")
for path in found:
    name = path.relative_to(SOURCE)
    text = path.read_text(encoding="utf-8")
    for word in ("QUESTION", "RANKS", "MINUTES", "EXPECT"):
        expect(re.search(rf"^# {word}: \S", text, re.MULTILINE), f"{name}: no line `# {word}:`")
    changes = []
    needs = re.search(r"^# NEEDS: (\S+)", text, re.MULTILINE)
    if needs and not (REFERENCE / needs[1]).exists():
        print(f"{name}: skipped, reference data not found")
        continue
    if needs:
        changes = ["--set", f"network.file={REFERENCE / 'networks' / needs[1]}"]
    done = run(SOURCE, "check", path, *changes)
    expect(done.returncode == 0 and "sound" in done.stdout, f"check {name}: exit {done.returncode}: {done.stderr}")
print(f"{len(found)} decks, {small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
