"""`python3 -m sanctuary_post DIR` makes one self-contained page of a cohort, with figures and their data beside it: whole, weighted,
unfinished, of one arm, with an empty arm, with nothing that varies, with nobody through."""
import csv
import pathlib
import re
import shutil
import sys
import tempfile
import unittest
import xml.etree.ElementTree

try:
    import h5py  # noqa: F401
    import matplotlib  # noqa: F401
    import plotly  # noqa: F401
except ModuleNotFoundError as missing:
    print(f"skipped: the Python module {missing.name} is not installed")
    sys.exit(77)

import numpy as np
from report_page import POST, Page, report

sys.path[:0] = [str(POST), str(POST / "tests")]
from synthetic_cohort import BROKEN, FAILED, IMPLAUSIBLE, REJECTED, make  # noqa: E402

PARTS = ["simulated", "arms", "endpoints", "differences", "state", "sensitivity", "excluded", "cost"]


class CohortReport(unittest.TestCase):
    def setUp(self):
        self.place = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)

    def made(self, **how):
        return make(self.place / "cohort", **{"patients": 30, **how})

    def page(self, directory, *more):
        code, out, errors = report(directory, *more)
        self.assertEqual(code, 0, errors)
        self.assertNotIn("Warning", errors)
        page = Page(directory / "report.html")
        self.assertEqual([name for name in page.sections if name != "notes"], PARTS)
        self.assertIn("Research software: makes no claim about any real patient.", page.words)
        page.out, page.words = out, re.sub(r"\s+", " ", page.words)
        return page

    def files(self, directory):
        return sorted(path.name for path in (directory / "report_data").iterdir())

    def test_a_whole_cohort(self):
        directory = self.made(status={(1, "baseline"): (REJECTED, IMPLAUSIBLE.format(0.1)), (2, "free"): (FAILED, BROKEN.format(17))})
        page = self.page(directory)
        for words in ("Failed patients: 1 patient of 30 failed", "no drug", "doxorubicin, <liposomal>", "tumour.radius", "lognormal(median = 250 um, gsd = 1.2)", "[0.4, 1]",
                      "drug.doxorubicin.dose_per_area = 75 mg/m^2", "design sobol", "seed 7", "kind = nodule # default", "did not converge <b>", "failed/2_free.ini",
                      "Log kill [log₁₀]", "Volume of sanctuaries [mm³]", "Doxorubicin s1 share [%]".replace("s1", "S1"), "two-sided sign test", "seed 1", "Partial rank correlation",
                      "core-hours", "sanctuary cohort <deck>.ini", "p 0.01"):
            self.assertIn(words, page.words)
        for words in ("Unfinished", "Weights refused", "Empty arm", "No results"):
            self.assertNotIn(words, page.words)
        self.assertEqual(page.row("arms", "Patients done"), ["29", "28", "29"])
        self.assertEqual(page.row("arms", "failed"), ["0", "1", "0"])
        self.assertEqual(page.row("arms", "Log kill")[0], "–")
        self.assertEqual([row[1] for row in page.tables["differences"] if row[0].startswith("Viable")],
                         ["free − no drug", "doxorubicin, <liposomal> − no drug", "doxorubicin, <liposomal> − free"])

    def test_it_is_self_contained_and_repeatable(self):
        directory = self.made()
        page = self.page(directory)
        first = {name: (directory / "report_data" / name).read_bytes() for name in self.files(directory)}
        self.assertFalse([one for one in page.addresses if not one.startswith(("#", "data:"))])
        self.assertNotIn("script", page.tags)
        self.assertEqual(self.page(directory).bytes, page.bytes)
        self.assertEqual({name: (directory / "report_data" / name).read_bytes() for name in self.files(directory)}, first)

    def test_every_figure_has_axis_titles_and_its_data(self):
        directory = self.made()
        self.page(directory)
        figures = [name for name in self.files(directory) if name.endswith(".svg")]
        self.assertEqual(figures, [f"{name}.svg" for name in (
            "differences_log_kill", "differences_sanctuary_share", "differences_viable_cells", "distribution_log_kill", "distribution_sanctuary_share", "distribution_viable_cells",
            "sanctuaries_against_hypoxic_fraction", "sensitivity_log_kill", "sensitivity_sanctuary_share", "waterfall_log_kill")])
        for name in figures:
            words = ["".join(one.itertext()) for one in xml.etree.ElementTree.parse(directory / "report_data" / name).iter() if one.tag.endswith("text")]
            self.assertTrue(any(re.search(r"\[.+\]", one) for one in words), (name, words))
            with open((directory / "report_data" / name).with_suffix(".csv"), encoding="utf-8") as file:
                rows = list(csv.reader(file))
            self.assertGreater(len(rows), 2, name)
            self.assertEqual({len(row) for row in rows}, {len(rows[0])}, name)

    def test_weights(self):
        weights = np.full(30, 0.05)
        weights[:3] = 10
        page = self.page(self.made(weights=weights))
        effective = weights.sum() ** 2 / np.square(weights).sum()
        self.assertIn(f"effective sample size {effective:.3g} of 30 accepted", page.words)
        self.assertIn("weighted median and quartiles", page.words)

    def test_weights_that_were_refused(self):
        page = self.page(self.made(remark="no weights: [target] hypoxic_fraction: cannot be reached"))
        self.assertIn("Weights refused: [target] hypoxic_fraction: cannot be reached.", page.words)

    def test_an_unfinished_cohort(self):
        directory = self.made(finished=False, status={(29, "free"): (0, ""), (28, "baseline"): (1, "")})
        page = self.page(directory)
        self.assertIn("(unfinished cohort)", page.out)
        self.assertIn("Unfinished cohort: 118 of 120 tasks are done with.", page.words)
        self.assertEqual(page.row("arms", "to do"), ["0", "1", "0"])
        self.assertIn("Computed at the end of the cohort.", page.words)

    def test_a_cohort_that_has_hardly_begun(self):
        nothing = {(p, variant): (0, "") for p in range(30) for variant in ("baseline", "control", "free", "liposomal")}
        page = self.page(self.made(finished=False, status=nothing))
        self.assertIn("Unfinished cohort: 0 of 120", page.words)
        self.assertIn("Nothing has been computed yet.", page.words)
        self.assertIn("No results:", page.words)

    def test_all_patients_failed(self):
        directory = self.made(status={(p, "baseline"): (FAILED, BROKEN.format(p)) for p in range(30)}, sensitivity=[])
        page = self.page(directory)
        self.assertIn("No results: no patient is through", page.words)
        self.assertEqual(page.tables["reasons"][1][1:], ["failed", "30"])
        self.assertEqual(self.files(directory), ["excluded.csv"])

    def test_an_empty_arm(self):
        page = self.page(self.made(status={(p, "free"): (FAILED, BROKEN.format(p)) for p in range(30)}))
        self.assertIn("Empty arm: no patient is through free: 30 failed, 0 rejected.", page.words)
        self.assertEqual(page.row("arms", "Log kill")[1], "–")

    def test_one_arm_and_nothing_that_varies(self):
        page = self.page(self.made(arms={"free": "the $only$ one"}, vary={}, sensitivity=[]))
        self.assertIn("The cohort has one arm", page.words)
        self.assertIn("No parameter varies: patients differ by the seeds", page.words)
        self.assertIn("the $only$ one", page.words)

    def test_indices_with_intervals(self):
        rows = [{"arm": "free", "endpoint": "log_kill", "parameter": key, "used": 7.0, "dropped": 1.0, "first": 0.2 + i, "first_lowest": 0.1, "first_highest": 0.4 + i, "total": 0.3 + i,
                 "total_lowest": 0.2, "total_highest": 0.5 + i} for i, key in enumerate(("tumour.radius", "drug.doxorubicin.ic50"))]
        directory = self.made(design="saltelli", sensitivity=rows)
        page = self.page(directory)
        self.assertEqual(page.row("sensitivity-log_kill", "tumour.radius"), ["0.2 0.1 to 0.4", "0.3 0.2 to 0.5"])
        self.assertIn("from 7 row groups, 1 left out", page.words)
        self.assertIn("free,tumour.radius", (directory / "report_data/sensitivity_log_kill.csv").read_text().replace('"free, total"', "free"))

    def test_another_endpoint_before_treatment_and_another_file(self):
        directory = self.made()
        self.page(directory)
        (directory / "report_data" / "mine.csv").write_text("kept")
        self.page(directory, "--against", "perfused_fraction")
        self.assertIn("sanctuaries_against_perfused_fraction.svg", self.files(directory))
        self.assertNotIn("sanctuaries_against_hypoxic_fraction.svg", self.files(directory))
        self.assertIn("mine.csv", self.files(directory))
        code, _, errors = report(directory, "-o", str(self.place / "page.html"))
        self.assertEqual(code, 0, errors)
        self.assertTrue((self.place / "page_data" / "waterfall_log_kill.svg").is_file())

    def test_what_is_wrong_is_told(self):
        directory = self.made()
        self.assertEqual(report(directory, "--against", "bogus")[0], 2)
        self.assertEqual(report(directory, "-o", str(self.place / "absent" / "page.html"))[0], 4)
        (directory / "ledger.sqlite").write_bytes(b"x" * 5000)
        code, _, errors = report(directory)
        self.assertEqual(code, 4)
        self.assertIn("ledger.sqlite", errors)
        self.assertNotIn("Traceback", errors)
        self.assertFalse((directory / "report.html").exists())


if __name__ == "__main__":
    unittest.main()
