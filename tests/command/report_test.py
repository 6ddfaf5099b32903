"""`python3 -m sanctuary_post DIR` makes one self-contained page from runs that are whole, without drug, unfinished or
damaged; what a browser then shows is checked where chromium is installed. Also runs the tests of postprocess/."""
import base64
import gzip
import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    import h5py
    import matplotlib  # noqa: F401
    import plotly  # noqa: F401
except ModuleNotFoundError as missing:
    print(f"skipped: the Python module {missing.name} is not installed")
    sys.exit(77)

SOURCE = pathlib.Path(os.environ.get("SANCTUARY_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
POST = SOURCE / "postprocess"
sys.path[:0] = [str(POST), str(POST / "tests")]
import synthetic_run  # noqa: E402

LARGEST = 8_000_000
CHROMIUM = shutil.which("chromium")


class Page(html.parser.HTMLParser):
    """Sections, data and addresses of a page; `words` is the text that a reader sees."""

    def __init__(self, path):
        super().__init__()
        self.sections, self.tags, self.addresses, self.data, self.open, self.words = [], set(), [], {}, [], ""
        self.bytes = path.read_bytes()
        self.feed(self.bytes.decode())
        self.about = json.loads(self.opened("about"))

    def opened(self, name):
        return gzip.decompress(base64.b64decode(self.data[f"data-{name}"]))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]
        if tag == "section":
            self.sections.append(attributes["id"])
        if tag in ("script", "style"):
            self.open.append(attributes.get("id", tag))

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.data[self.open[-1]] = self.data.get(self.open[-1], "") + data
        else:
            self.words += data + " "


def report(directory, *more):
    done = subprocess.run([sys.executable, "-m", "sanctuary_post", str(directory), *more], capture_output=True, text=True,
                          check=False, env={**os.environ, "PYTHONPATH": str(POST)}, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


class Report(unittest.TestCase):
    def setUp(self):
        self.place = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)

    def made(self, **how):
        directory = synthetic_run.make(self.place / "run", **{"cells": (20, 16, 12), "segments": 120, **how})
        return directory

    def page(self, directory):
        code, _, errors = report(directory)
        self.assertEqual(code, 0, errors)
        return Page(directory / "report.html")

    def refused(self, directory, code, *words):
        got, _, errors = report(directory)
        self.assertEqual(got, code, errors)
        self.assertNotIn("Traceback", errors)
        for word in words:
            self.assertIn(word, errors)
        self.assertFalse(list(pathlib.Path(directory).glob("*report.html*")) if pathlib.Path(directory).is_dir() else [])

    def test_a_whole_run(self):
        page = self.page(self.made())
        self.assertEqual(page.sections, ["outcome", "sanctuaries", "fields", "vessels", "exposure", "courses", "balance", "parameters", "timing", "notes"])
        self.assertIn("Research software: makes no claim about any real patient.", page.words)
        self.assertNotIn("Incomplete run", page.words)
        for words in ("Interstitial pressure [mmHg]", "Oxygen pressure pO₂ [mmHg]", "free drug, AUC [µM h]", "Viable tumour cells [1/mm³]",
                      "volume [mm³]", "share of viable cells [%]", "drug.doxorubicin.dose", "assumed: <standard> & usual", "3×10⁻⁷ ✓",
                      "every ledger closes", "kind = nodule  # <b>", "2 of 4 differ", "Transport", "S1: survives to date", "25 % at Θ/2", "0.91 GB", "a remark of the run"):
            self.assertIn(words, page.words)

    def test_it_is_self_contained_and_repeatable(self):
        directory = self.made()
        page = self.page(directory)
        self.assertFalse([one for one in page.addresses if not one.startswith(("#", "data:"))])
        self.assertIsNone(re.search(r"@import|url\(", page.data["style"]))
        self.assertIn(b"plotly.js v", page.opened("plotly")[:200])
        self.assertEqual(sum(name == "data-plotly" for name in page.data), 1)
        self.assertEqual(self.page(directory).bytes, page.bytes)

    def test_volumes_hold_the_fields(self):
        directory = self.made()
        page = self.page(directory)
        cells = 12 * 16 * 20
        for index, volume in enumerate(page.about["volumes"]):
            self.assertEqual(volume["shape"], [12, 16, 20])
            self.assertEqual(len(page.opened(f"volume-{index}")), cells)
        with h5py.File(directory / "run.h5") as file:
            pressure = file["fields/interstitial_pressure"][-1]
        shown, level = page.about["volumes"][1], page.opened("volume-1")
        worst = max(abs(shown["low"] + (shown["high"] - shown["low"]) * one / 254 - value) for one, value in zip(level, pressure.ravel()))
        self.assertLess(worst, 0.51 * (shown["high"] - shown["low"]) / 254 + 1e-6)

    def test_vessels_and_curves_are_there_with_units(self):
        about = self.page(self.made()).about
        shown = {one["label"]: one["unit"] for one in about["vessels"]["quantities"]}
        self.assertEqual(list(shown)[:3], ["Doxorubicin in blood, 30 min", "Doxorubicin in blood, 24 h", "pO₂"])
        self.assertEqual(shown["pO₂"], "mmHg")
        self.assertEqual(len(about["vessels"]["radius"]), 120)
        self.assertIn("histogram-doxorubicin", about["charts"])
        self.assertTrue(all("[" in chart["layout"]["yaxis"]["title"]["text"] for chart in about["charts"].values()))

    def test_a_run_without_drug(self):
        page = self.page(self.made(drug=None))
        self.assertNotIn("sanctuaries", page.sections)
        self.assertNotIn("exposure", page.sections)
        self.assertIn("vessels", page.sections)

    def test_a_run_without_vessels_and_with_one_time(self):
        page = self.page(self.made(network=False, virtual=False, times=(0.0,)))
        self.assertNotIn("vessels", page.sections)
        self.assertIn("fields", page.sections)

    def test_an_unfinished_run(self):
        directory = self.made(summary=False)
        (directory / "times" / "time_000003.h5").unlink()
        page = self.page(directory)
        self.assertIn("Incomplete run:", page.words)
        self.assertIn("1 of 4 output times are missing", page.words)
        self.assertIn("at 6 h", page.words)
        self.assertNotIn("at 24 h", page.words)

    def test_a_ledger_that_does_not_close_is_seen(self):
        directory = self.made()
        with h5py.File(directory / "run.h5", "a") as file:
            file["balance/oxygen/interstitium"].attrs["error"] = 2e-6
        self.assertIn("not every ledger closes", self.page(directory).words)

    def test_the_run_says_how_well_a_ledger_must_close(self):
        directory = self.made()
        with h5py.File(directory / "run.h5", "a") as file:
            file["balance/oxygen/interstitium"].attrs["allowed"] = 1e-9
        self.assertIn("not every ledger closes", self.page(directory).words)

    def test_a_drug_without_direct_effect(self):
        directory = self.made()
        summary = json.loads((directory / "summary.json").read_text())
        summary["sanctuary"]["doxorubicin"] = {"L_ref": 0.01, "theta": 0.005, "theta_relative": True, "direct_effect": False, "to_date": True}
        (directory / "summary.json").write_text(json.dumps(summary))
        page = self.page(directory)
        self.assertIn("no direct effect so far", page.words)
        self.assertNotIn("Sanctuary map", page.words)

    def test_causes_that_do_not_sum_to_s1_are_noted(self):
        directory = self.made()
        summary = json.loads((directory / "summary.json").read_text())
        summary["sanctuary"]["doxorubicin"]["joint_share"] = 0.05
        (directory / "summary.json").write_text(json.dumps(summary))
        self.assertIn("they should be equal", self.page(directory).words)

    def test_words_from_the_run_are_not_markup(self):
        directory = self.made()
        with h5py.File(directory / "run.h5", "a") as file:
            file.attrs["command"] = "<img src=x onerror=alert(1)>"
            file["fields/oxygen_pressure"].attrs["unit"] = "<script>"
            file.move("series/viable_cells", "series/<svg onload=alert(1)>")
        page = self.page(directory)
        self.assertNotIn("x", page.addresses)
        self.assertNotIn("svg", page.tags)
        self.assertIn("<script>", page.words)

    def test_damage_is_told_and_leaves_no_page(self):
        directory = self.made()
        whole = (directory / "run.h5").read_bytes()
        for length in (0, 100, len(whole) // 2):
            (directory / "run.h5").write_bytes(whole[:length])
            self.refused(directory, 4, "run.h5", "damaged")
        (directory / "run.h5").write_bytes(whole)
        (directory / "summary.json").write_text("{")
        self.refused(directory, 4, "summary.json")

    def test_a_wrong_command_line(self):
        self.refused(self.place / "absent", 2, "no such directory")
        self.refused(self.place, 2, "run.h5")
        self.assertEqual(report(self.place, "--bogus")[0], 2)

    def test_a_page_that_cannot_be_written(self):
        code, _, errors = report(self.made(), "-o", str(self.place / "absent" / "page.html"))
        self.assertEqual(code, 4)
        self.assertIn("cannot be written", errors)

    def test_a_large_run_stays_small(self):
        page = self.page(self.made(cells=(96, 96, 96), segments=20500, times=(0.0, 3600.0)))
        self.assertLess(len(page.bytes), LARGEST)
        self.assertIn("Drawn are the 20\u202f000 widest", page.words)

    @unittest.skipUnless(CHROMIUM, "chromium is not installed")
    def test_a_browser_shows_it_offline(self):
        directory = self.made()
        self.page(directory)
        done = subprocess.run(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
             f"--user-data-dir={self.place / 'browser'}", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=60000",
             "--enable-logging=stderr", "--window-size=1200,900", "--dump-dom", (directory / "report.html").as_uri()],
            capture_output=True, text=True, check=False, timeout=300)
        self.assertNotIn("Uncaught", done.stderr)
        seen = re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
        self.assertGreaterEqual(seen.count("<canvas role="), 18)
        self.assertNotIn("needs JavaScript", seen)
        self.assertIn('id="vessel-flat" hidden', seen)
        self.assertIn("gl-container", seen)


if __name__ == "__main__":
    tests = unittest.TestSuite([
        unittest.defaultTestLoader.loadTestsFromTestCase(Report),
        unittest.TestLoader().discover(str(POST / "tests"), pattern="*_test.py"),
    ])
    sys.exit(not unittest.TextTestRunner().run(tests).wasSuccessful())
