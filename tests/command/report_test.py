"""`python3 -m sanctuary_post DIR` makes one self-contained page from runs that are whole, without drug, of several drugs and
cycles, unfinished or damaged; a run of the program is among them. What a browser then shows is checked where chromium is
installed. Also runs the tests of postprocess/."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

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
from report_page import Page, report  # noqa: E402
from sanctuary_post import units  # noqa: E402

LARGEST = 8_000_000
# A drug, and a conjugate that sets a second one free; two clones; three short cycles, strong enough for sanctuaries.
DECK = f"""include = {SOURCE}/decks/drugs/t_dm1.ini
include = {SOURCE}/decks/drugs/doxorubicin.ini
[patient]
kind = nodule
duration = 45 min
cycle = 15 min
[grid]
cells = 12
spacing = 40 um
[tumour]
radius = 200 um
resistant_share = 0.1
[network]
source = lattice
[network.lattice]
seed = 3
segments = 120
inlets = 3
outlets = 3
core_density = 0.5
core_radius = 120 um
[drug.doxorubicin]
dose_per_area = 20 mg/m^2
diffusivity = 20 um^2/s
emax = 10 1/h
ic50 = 0.05 uM
assay_duration = 0.2 h
quiescent_factor = 0.5
resistance_fold = 9
cycles = 0
start_times = 0 h, 0.25 h, 0.5 h
metabolite_fraction = 0.3
metabolite_clearance = 20 L/h
metabolite_volume = 40 L
infusion_duration = 5 min
[drug.t_dm1]
infusion_duration = 5 min
[transport]
relative_tolerance = 0.05
[output]
times = 0, 0.1 h
"""
CHROMIUM = shutil.which("chromium")


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
        self.assertEqual(page.sections, ["glance", "outcome", "sanctuaries", "fields", "vessels", "exposure", "courses", "balance", "parameters", "timing", "notes"])
        self.assertIn("Research software: makes no claim about any real patient.", page.words)
        self.assertNotIn("Incomplete run", page.words)
        for words in ("Interstitial pressure [mmHg]", "Oxygen pressure pO₂ [mmHg]", "free drug, AUC [µM h]", "Viable tumour cells [1/mm³]",
                      "volume [mm³]", "viable cells [%]", "drug.doxorubicin.dose", "assumed: <standard> & usual", "3×10⁻⁷ ✓",
                      "every ledger closes", "kind = nodule  # <b>", "2 of 4 differ", "Transport", "S1: survives to date", "0.91 GB", "a remark of the run"):
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

    def test_one_drug_and_one_cycle_are_told_without_cycles(self):
        page = self.page(self.made())
        self.assertIsNone(re.search(r"\bcycle [123]\b|Maps of earlier cycles|Whole regimen|S3: ", page.words))
        self.assertEqual(page.row("glance", "Doxorubicin"), ["42", "delivery", "30", "1.4", "5 µM h", "50"])
        self.assertEqual(page.row("shares-doxorubicin", "S1 at Θ/2"), ["25", "0.1"])
        self.assertEqual(page.row("shares-doxorubicin", "rescued"), ["0.3", "0.001"])
        self.assertEqual(page.row("places-doxorubicin", "To the nearest perfused vessel, mean [µm]"), ["81"])
        self.assertEqual(page.row("exposure-doxorubicin", "free, in fluid: AUC [µM h]"), ["5", "4.15", "1.55"])
        self.assertIn("Diffusivity 117 µm²/s", page.words)
        self.assertIn("Of 400\u202f000 viable cells 80\u202f000 are left: log₁₀ kill 0.71.", page.words)

    def several(self):
        return self.made(times=(0.0, 28800.0, 57600.0, 86400.0), cycles=3, others=("t_dm1", "dm1"), carriers={"t_dm1": "dm1"})

    @staticmethod
    def exposures(directory, drug):
        found = json.loads((directory / "summary.json").read_text())["exposure"][drug]
        return [*found["cycles"], found["last"]]

    def check_tables(self, directory):
        """Every figure of every drug and cycle of a summary stands in its cell."""
        page = self.page(directory)
        summary = json.loads((directory / "summary.json").read_text())
        shown = lambda value, by=1: "–" if value is None else units.number(value * by, 3)
        checked = 0
        for name, found in summary["sanctuary"].items():
            cycles = [*found["cycles"], found]
            self.assertEqual([cell.split(" ")[1] for cell in page.tables[f"shares-{name}"][0][1:]], [str(one["cycle"]) for one in cycles])
            for key, label in (("s1", "S1: survives"), ("s2", "S2:"), ("s3", "S3:"), ("s4", "S4:"), ("s0", "S0:"), ("delivery", "delivery"),
                               ("protection", "protection"), ("both", "both"), ("joint", "joint"), ("mask", "all that is looked at")):
                if any(key in one for one in cycles):
                    parts = [one.get(key, {}) for one in cycles]
                    self.assertEqual(page.row(f"shares-{name}", label),
                                     [cell for one in parts for cell in (shown(one.get("share"), 100), shown(one.get("volume_mm3")))], (name, key))
                    checked += 1
            for path, label in (("L_ref", "Kill of the reference cell"), ("regions", "Regions of S1"), ("largest_region_mm3", "largest [mm³]"),
                                ("distance_to_vessel/mean_um", "To the nearest perfused vessel"), ("distance_to_edge/mean_um", "To the tumour's edge")):
                first, _, then = path.partition("/")
                values = [one.get(first, {}).get(then) if then else one.get(first) for one in cycles]
                rows = [row[1:] for row in page.tables[f"places-{name}"] if row[0].startswith(label)]
                if any(value is not None for value in values):
                    self.assertEqual(rows[0], [shown(value) for value in values], (name, path))
                    checked += 1
            lasting = [one.get("duration", {}).get("longest_h") for one in cycles]
            if any(value is not None for value in lasting):
                self.assertEqual(page.row(f"places-{name}", "longest"), ["–" if one is None else units.duration(3600 * one) for one in lasting])
        for name in summary["exposure"]:
            cycles = self.exposures(directory, name)
            for key, ending, unit, label in (("auc", "_umol_h_L", "umol h/L", "AUC"), ("cmax", "_umol_L", "umol/L", "highest"), ("time_above", "_h", "h", "time above")):
                values = [one[f"{key}{ending}_{statistic}"] for one in cycles for statistic in ("mean", "a50", "a95")]
                unit, by = units.scale(unit, max(values))
                row = page.row(f"exposure-{name}", f"free, in fluid: {label}")
                self.assertEqual(row, [shown(value, by) for value in values], (name, key))
                self.assertTrue(any(one[0].startswith(f"free, in fluid: {label}") and f"[{unit}]" in one[0] for one in page.tables[f"exposure-{name}"]))
                checked += 1
            plasma = [one["plasma_auc_umol_h_L"] for one in cycles]
            by = units.scale("umol h/L", max(plasma))[1]
            self.assertEqual(page.row(f"exposure-{name}", "plasma, total: AUC")[::3], [shown(value, by) for value in plasma])
            glance = page.row("glance", {"dm1": "DM1", "t_dm1": "T DM1"}.get(name, name.capitalize()))
            judged = summary["sanctuary"].get(name)
            s1 = [one.get("s1", {}).get("share") for one in [*judged["cycles"], judged]] if judged else [None] * len(cycles)
            self.assertEqual(glance[: len(cycles)], [shown(share, 100) for share in s1], name)
        self.assertIn("regimen", summary["sanctuary"])
        return page, checked

    def test_every_drug_and_cycle_has_its_figures(self):
        page, checked = self.check_tables(self.several())
        self.assertEqual(checked, 3 * 15 + 3 * 3)
        self.assertEqual(page.row("glance", "Whole regimen")[:3], [units.number(42 * 0.7 * part, 3) for part in (0.94, 0.97, 1)])
        for name in ("doxorubicin", "dm1", "regimen"):
            self.assertEqual(page.words.count(f"Sanctuary map, {name}, cycle "), 3)
            self.assertEqual(page.words.count(f"Sanctuary map, {name}, cycle 2"), 1)
            self.assertEqual(len(page.tables[f"regions-{name}"]), 9)
            self.assertIn(f"all 10 stand in run.h5 under sanctuary/{name}/regions", page.words)
        self.assertNotIn("shares-t_dm1", page.tables)
        for row in (1, 8):
            self.assertEqual(page.row("regions-dm1", str(row))[:2], [units.number(value * 0.8 / row, 3) for value in (0.1, 24.0)])
        for words in ("treatment cycles", "cycle 2 8 h to 16 h", "cycle 3 16 h to 24 h, to date", "T DM1, carrier of DM1", "DM1, set free by T DM1", "Not meant to kill: T DM1",
                      "Maps of earlier cycles", "Whole regimen: log₁₀ kill", "at 24 h, cycle 3", "Dotted lines: a new treatment cycle starts."):
            self.assertIn(words, re.sub(r"\s+", " ", page.words))

    def test_every_drug_has_its_curves(self):
        charts = self.page(self.several()).about["charts"]
        titles = {name: [one.get("name") for one in chart["data"]] for name, chart in charts.items()}
        self.assertEqual([chart for chart in titles.values() if "unbound" in chart], 3 * [["total", "unbound"]])
        self.assertIn(["DM1", "Doxorubicin", "T DM1"], [sorted(filter(None, chart)) for chart in titles.values()])
        self.assertEqual({name for name in charts if name.startswith(("histogram", "profile"))},
                         {f"{kind}-{drug}" for kind in ("histogram", "profile") for drug in ("doxorubicin", "t_dm1", "dm1")})
        course = charts["course-0"]["layout"]
        self.assertEqual([shape["x0"] for shape in course["shapes"]], [8, 16])
        self.assertEqual(titles["course-1"], ["free, in fluid"])  # nothing is bound

    def test_a_cycle_without_direct_effect(self):
        directory = self.several()
        summary = json.loads((directory / "summary.json").read_text())
        first = summary["sanctuary"]["dm1"]["cycles"][0]
        summary["sanctuary"]["dm1"]["cycles"][0] = {key: first[key] for key in ("cycle", "start_h", "end_h", "L_ref", "theta", "mask", "s0")} | {"direct_effect": False}
        (directory / "summary.json").write_text(json.dumps(summary))
        page, _ = self.check_tables(directory)
        self.assertIn("less than 0.1 log₁₀ in cycle 1: no direct effect", page.words)
        self.assertNotIn("Sanctuary map, dm1, cycle 1", page.words)
        self.assertIn("Sanctuary map, dm1, cycle 2", page.words)

    def test_causes_are_checked_in_each_cycle(self):
        directory = self.several()
        summary = json.loads((directory / "summary.json").read_text())
        summary["sanctuary"]["regimen"]["cycles"][1]["joint_share"] = 0.3
        (directory / "summary.json").write_text(json.dumps(summary))
        page = self.page(directory)
        self.assertEqual(page.words.count("they should be equal"), 1)
        self.assertIn("regimen: the four causes sum to", page.words)
        self.assertIn("in cycle 2,", page.words)

    def test_an_unfinished_run_of_cycles(self):
        directory = self.made(times=(0.0, 28800.0, 57600.0, 86400.0), cycles=3, others=("dm1",), summary=False)
        page = self.page(directory)
        self.assertNotIn("glance", page.sections)
        self.assertIn("Volumes and shares are computed at the end of the run.", page.words)
        self.assertIn("Sanctuary map, regimen, cycle 1", page.words)

    @unittest.skipUnless(os.environ.get("SANCTUARY_PROGRAM"), "the program is not built")
    def test_a_run_of_the_program_with_several_drugs_and_cycles(self):
        (self.place / "deck.ini").write_text(DECK)
        done = subprocess.run([os.environ["SANCTUARY_PROGRAM"], "simulate", "deck.ini", "-o", "run", "--quiet"], cwd=self.place,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        directory = self.place / "run"
        page, checked = self.check_tables(directory)
        self.assertGreater(checked, 40)
        self.assertEqual(set(page.tables), {"glance", "regions-regimen", "regions-doxorubicin"}
                         | {f"exposure-{name}" for name in ("doxorubicin", "t_dm1", "dm1")}
                         | {f"{part}-{name}" for part in ("shares", "places") for name in ("doxorubicin", "dm1", "regimen")})
        self.assertIn("Resistant clone among all survivors [%]", page.words)
        self.assertIn(["total", "unbound", "metabolite"], [[one.get("name") for one in chart["data"]] for chart in page.about["charts"].values()])
        # What ParaView is shown under the name of a cycle is what was found at its end.
        root = xml.etree.ElementTree.parse(directory / "run.xdmf").getroot()
        with h5py.File(directory / "run.h5") as file:
            times, cycles = file["time"][:].tolist(), file["cycle"][:].tolist()
            self.assertEqual((times, cycles), ([0, 360, 900, 1800, 2700], [1, 1, 1, 2, 3]))
            self.assertEqual(file["exposure/t_dm1/cycle_2"].attrs["cycle"], 2)
            metabolite = file["series/doxorubicin_metabolite_plasma"][:]
            area = sum(row["metabolite_plasma_auc_umol_h_L"] for row in self.exposures(directory, "doxorubicin"))
            clock = file["series/time"][:] / 3600
            self.assertAlmostEqual(sum((metabolite[1:] + metabolite[:-1]) / 2 * (clock[1:] - clock[:-1])), area, delta=0.02 * area)
            self.assertNotIn("t_dm1_metabolite_plasma", file["series"])  # DM1 is a drug of its own
            grids = [grid for grid in root.iter("Grid") if grid.get("Name") == "tissue"]
            self.assertEqual(len(grids), len(times))
            for grid in grids:
                shown = {one.get("Name"): one.find("DataItem").text for one in grid.findall("Attribute")}
                for name in ("doxorubicin_sanctuary", "regimen_log_kill", "regimen_net_growth", "t_dm1_auc_complexes", "dm1_auc"):
                    for cycle, end in ((1, 2), (2, 3), (3, 4)):
                        source, path = shown[f"{name}_cycle_{cycle}"].split(":")
                        with h5py.File(directory / source) as of_time:
                            self.assertEqual(of_time.attrs["time"], times[end])
                            self.assertTrue((of_time[path][:] == file[f"fields/{name}"][end]).all())

    def test_a_run_without_drug(self):
        page = self.page(self.made(drug=None))
        self.assertNotIn("glance", page.sections)
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
