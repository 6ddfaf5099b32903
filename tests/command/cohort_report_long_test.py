"""The report of 10^5 patients in four arms takes less than a minute of CPU time and 2 GB, and no figure of it holds them all."""
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

try:
    import h5py  # noqa: F401
    import matplotlib  # noqa: F401
    import plotly  # noqa: F401
except ModuleNotFoundError as missing:
    print(f"skipped: the Python module {missing.name} is not installed")
    sys.exit(77)

from report_page import POST, Page, report

with tempfile.TemporaryDirectory() as place:
    directory = pathlib.Path(place) / "cohort"
    subprocess.run([sys.executable, str(POST / "tests/synthetic_cohort.py"), str(directory), "100000", "4"], check=True)
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    code, _, errors = report(directory)
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    memory = after.ru_maxrss  # [kB], of the report or of what wrote the cohort
    assert code == 0, errors
    page = Page(directory / "report.html")
    print(f"{took:.1f} s of CPU time, {wall:.1f} s by the clock, at most {memory / 1e6:.2f} GB, page of {len(page.bytes) / 1e6:.1f} MB")
    assert page.row("arms", "Patients done")[0] == "90\u202f000"
    assert "The first 200 of" in page.words
    assert len(page.bytes) < 4e6
    assert took < 60
    assert memory < 2e6
