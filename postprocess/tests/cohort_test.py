"""Reading of cohorts, what is computed of them, and the tables of their pages."""

import math
import re
import shutil
import sqlite3
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import synthetic_cohort
from sanctuary_post import cohort, cohort_figures, cohort_report, estimates
from sanctuary_post.cohort import DONE, FAILED, REJECTED, Cohort
from sanctuary_post.run import ReportError, UsageError, quantile
from synthetic_cohort import BROKEN, IMPLAUSIBLE

SAID = {(1, "baseline"): (REJECTED, IMPLAUSIBLE.format(0.1)), (2, "free"): (FAILED, BROKEN.format(17)), (3, "baseline"): (FAILED, BROKEN.format(4))}


class Estimates(unittest.TestCase):
    def test_weighted_quantiles(self):
        values, weights = np.array([4.0, 1.0, 3.0, 2.0]), np.array([3.0, 1.0, 1.0, 1.0])
        # Cumulative weights 1, 2, 3, 6: half of 6 ends between 3 and 4, a quarter in 2, three quarters in 4.
        self.assertEqual(quantile(values, weights, (0.25, 0.5, 0.75, 0, 1)).tolist(), [2, 3.5, 4, 1, 4])
        # A weight of 3 is the value three times.
        self.assertEqual(quantile(values, weights, 0.5), np.median([1, 2, 3, 4, 4, 4]))
        # Values without weight are not there.
        self.assertEqual(quantile(np.array([0.0, 5, 6, 9]), np.array([0.0, 1, 1, 0]), (0, 0.5, 1)).tolist(), [5, 5.5, 6])
        self.assertTrue(math.isnan(quantile(values, np.zeros(4), 0.5)))
        for count in range(1, 9):
            self.assertEqual(quantile(np.arange(count) ** 2, np.ones(count), 0.5), np.median(np.arange(count) ** 2))

    def test_sign_test(self):
        self.assertAlmostEqual(estimates.sign_test(np.array([1, 1, 1, 1, 1, 1.0])), 2 / 64)
        self.assertAlmostEqual(estimates.sign_test(np.array([1, 1, -1, 1, 1, 1.0])), 2 * (1 + 6) / 64)
        self.assertAlmostEqual(estimates.sign_test(np.array([0, 1, 0, -1, 1, 0, 1, 1, 1.0])), 2 * (1 + 6) / 64)
        self.assertEqual(estimates.sign_test(np.array([1, -1.0])), 1)
        self.assertEqual(estimates.sign_test(np.zeros(3)), 1)
        self.assertEqual(estimates.sign_test(np.ones(100_000)), 0)  # under the smallest double
        many = np.ones(100_000)
        many[:49_500] = -1
        self.assertAlmostEqual(estimates.sign_test(many), 0.00157, delta=2e-5)  # z = (999)/sqrt(1e5) with continuity

    def test_bootstrap_is_repeatable_and_covers(self):
        random = np.random.default_rng(2)
        values = random.normal(size=200)
        found = estimates.bootstrap_median(values, np.ones(200))
        self.assertEqual(found, estimates.bootstrap_median(values, np.ones(200)))
        self.assertNotEqual(found, estimates.bootstrap_median(values, np.ones(200), seed=2))
        # The median of n normal values has a standard error of 1.2533/sqrt(n).
        self.assertAlmostEqual(found[1] - found[0], 2 * 1.96 * 1.2533 / math.sqrt(200), delta=0.1)
        inside = 0
        for _ in range(60):
            low, high = estimates.bootstrap_median(random.normal(size=41), np.ones(41))
            inside += low <= 0 <= high
        self.assertGreaterEqual(inside, 51)  # of 57 expected; less than one time in a hundred by chance

    def test_bootstrap_follows_weights(self):
        values = np.arange(100.0)
        low, high = estimates.bootstrap_median(values, np.where(values < 50, 1.0, 9.0))
        middle = quantile(values, np.where(values < 50, 1.0, 9.0), 0.5)
        self.assertEqual(middle, 72)  # 50 + 22 * 9 < 500 / 2 < 50 + 23 * 9
        self.assertTrue(50 < low < middle < high < 90)
        self.assertTrue(all(map(math.isnan, estimates.bootstrap_median(np.arange(4.0), np.ones(4)))))

    def test_rank_correlation(self):
        self.assertEqual(estimates.ranks(np.array([3.0, 1, 3, 7])).tolist(), [2.5, 1, 2.5, 4])
        # Squared differences of ranks: 1, 1, 1, 1, 0; 1 - 6 * 4 / (5 * 24).
        rho, count = estimates.rank_correlation(np.array([1.0, 2, 3, 4, 5, np.nan]), np.array([20.0, 10, 40, 30, 5e9, 1]))
        self.assertAlmostEqual(rho, 0.8)
        self.assertEqual(count, 5)
        self.assertTrue(math.isnan(estimates.rank_correlation(np.ones(9), np.arange(9.0))[0]))
        low, high = estimates.correlation_interval(0.8, 28)  # atanh 0.8 = 1.0986; half 1.96 sqrt(1.32/25) = 0.4504
        self.assertAlmostEqual(low, math.tanh(1.0986 - 0.4504), places=4)
        self.assertAlmostEqual(high, math.tanh(1.0986 + 0.4504), places=4)

    def test_reasons_are_told_apart_by_their_words(self):
        self.assertEqual(cohort_report.kind(IMPLAUSIBLE.format(0.0647029)), "perfused_fraction = … outside [0.4, 1]")
        self.assertEqual(cohort_report.kind("hypoxic_fraction_10 = 1e-05 outside [0.05, 0.75]"), "hypoxic_fraction_10 = … outside [0.05, 0.75]")
        self.assertEqual(cohort_report.kind("step 12 of oxygen: -3.5e+2 mmHg."), "step … of oxygen: … mmHg.")

    def test_thinning_keeps_ends_and_is_repeatable(self):
        self.assertEqual(cohort_figures.evenly(5, 9).tolist(), [0, 1, 2, 3, 4])
        self.assertEqual(cohort_figures.evenly(1001, 3).tolist(), [0, 500, 1000])
        first = cohort_figures.some(100_000, 300)
        self.assertEqual((len(set(first.tolist())), first.tolist()), (300, cohort_figures.some(100_000, 300).tolist()))
        self.assertAlmostEqual((first % 2).mean(), 0.5, delta=0.1)  # halves of a Sobol' sequence are odd and even


class WithCohort(unittest.TestCase):
    def setUp(self):
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)

    def made(self, name="cohort", **how):
        return synthetic_cohort.make(self.place / name, **how)

    def read(self, directory):
        return Cohort(directory, lambda name: True)

    def tables(self, directory):
        """The page and the cells of its tables as text, by their names."""
        cohort_report.write(directory, directory / "report.html")
        page = (directory / "report.html").read_text(encoding="utf-8")
        found = {}
        for name, content in re.findall(r'<table class="[^"]*" data-table="([^"]*)">(.*?)</table>', page, re.DOTALL):
            found[name] = [[re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row)] for row in re.findall(r"<tr>(.*?)</tr>", content)]
        return page, found


class Reading(WithCohort):
    def test_what_is_there(self):
        found = self.read(self.made(patients=10, status=SAID))
        self.assertEqual([(one.name, one.label, one.baseline) for one in found.variants],
                         [("baseline", "baseline", True), ("control", "no drug", False), ("free", "free", False), ("liposomal", "doxorubicin, <liposomal>", False)])
        self.assertEqual([one.parent and one.parent.name for one in found.variants], [None, "baseline", "baseline", "baseline"])
        self.assertEqual([(one.count(DONE), one.count(FAILED), one.count(REJECTED)) for one in found.variants], [(8, 1, 1), (8, 1, 1), (7, 2, 1), (8, 1, 1)])
        self.assertTrue(found.finished and not found.weighted)
        self.assertEqual((found.effective, found.accepted.tolist()), (8.0, [p not in (1, 3) for p in range(10)]))
        self.assertIsNone(found.arms[0].value("log_kill"))
        self.assertEqual(np.flatnonzero(np.isnan(found.arms[1].value("log_kill"))).tolist(), [1, 2, 3])
        self.assertTrue(np.isnan(found.variants[0].value("perfused_fraction")[1]))  # known, but rejected
        self.assertEqual(list(found.varied), list(synthetic_cohort.KEYS))

    def test_reading_in_many_looks(self):
        directory = self.made(patients=30, status=SAID)
        whole = self.read(directory)
        with unittest.mock.patch.object(cohort, "ROWS", 7):
            parts = self.read(directory)
        for one, other in zip(whole.variants, parts.variants):
            self.assertEqual(one.status.tolist(), other.status.tolist())
            for name in one.values:
                np.testing.assert_array_equal(one.values[name], other.values[name])
        self.assertEqual(whole.reasons, parts.reasons)

    def test_weights(self):
        found = self.read(self.made(patients=4, weights=[1, 1, 1, 3]))
        self.assertTrue(found.weighted)
        self.assertEqual(found.effective, 3.0)  # 6^2 / (1 + 1 + 1 + 9)

    def test_a_cohort_that_is_being_written(self):
        directory = self.made(patients=6, finished=False, status={(5, "free"): (0, ""), (4, "baseline"): (1, "")})
        writer = sqlite3.connect(directory / "ledger.sqlite", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE tasks SET status = 'failed'")
        before = (directory / "ledger.sqlite").read_bytes()
        found = self.read(directory)
        self.assertFalse(found.finished)
        self.assertEqual([one.count(DONE) for one in found.variants], [5, 6, 5, 6])
        self.assertEqual((directory / "ledger.sqlite").read_bytes(), before)
        writer.execute("COMMIT")  # is not held up
        writer.close()
        self.assertEqual([one.count(FAILED) for one in self.read(directory).variants], [6, 6, 5, 6])

    def test_a_crash_within_a_commit(self):
        directory, crashed = self.made(patients=400), self.place / "crashed"
        crashed.mkdir()
        writer = sqlite3.connect(directory / "ledger.sqlite", isolation_level=None)
        writer.execute("PRAGMA journal_mode = PERSIST")
        writer.execute("PRAGMA cache_size = 5")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE tasks SET status = 'failed', reason = 'never committed'")
        for name in ("ledger.sqlite", "ledger.sqlite-journal"):
            shutil.copy(directory / name, crashed)
        writer.execute("ROLLBACK")
        writer.close()
        before = (crashed / "ledger.sqlite").read_bytes()
        self.assertIn(b"never committed", before)
        found = self.read(crashed)
        self.assertEqual([one.count(DONE) for one in found.variants], [400] * 4)
        self.assertIn("ended within a commit", " ".join(found.notes))
        self.assertEqual((crashed / "ledger.sqlite").read_bytes(), before)

    def test_damage(self):
        directory = self.made()
        (directory / "cohort.h5").unlink()
        self.assertIn("cohort.h5 is not there", " ".join(self.read(directory).notes))
        whole = (directory / "ledger.sqlite").read_bytes()
        for content in (b"", b"x" * 5000, whole[:5000]):
            (directory / "ledger.sqlite").write_bytes(content)
            with self.assertRaises(ReportError, msg=content[:9]) as caught:
                self.read(directory)
            self.assertIn("damaged", str(caught.exception))


class Tables(WithCohort):
    def test_arms_and_differences_by_hand(self):
        page, tables = self.tables(self.made(patients=4, arms={"a": "", "b": "B"}, weights=[1, 1, 1, 3], endpoints={
            "a": {"log_kill": [1.0, 2, 3, 4], "sanctuary_share": [0.1, 0.2, 0.3, 0.4]}, "b": {"log_kill": [2.0, 2, 5, 3], "sanctuary_share": [0.1, 0.2, 0.3, 0.4]}}))
        arms = {row[0]: row[1:] for row in tables["arms"]}
        self.assertEqual(arms["Patients done"], ["4", "4"])
        self.assertEqual(arms["Log kill [log₁₀]"], ["3.5 2 to 4", "3 2 to 3"])
        self.assertEqual(arms["In sanctuaries, of viable cells [%]"], ["35 20 to 40"] * 2)
        rows = {row[0]: row[1:] for row in tables["differences"]}
        # 1, 0, 2, -1 with weights 1, 1, 1, 3: half the weight ends between -1 and 0. Up 2, down 1: p = 2 (1 + 3) / 8.
        self.assertEqual(rows["Log kill [log₁₀]"], ["B − a", "4", "−0.5", "–", "2 / 1", "1"])
        self.assertEqual(rows["In sanctuaries, of viable cells [% points]"], ["B − a", "4", "0", "–", "0 / 0", "1"])
        self.assertIn("effective sample size 3 of 4 accepted", page)

    def test_a_difference_that_is_clear(self):
        page, tables = self.tables(self.made(patients=12, arms={"a": "", "b": ""}, endpoints={
            "a": {"log_kill": np.arange(12.0)}, "b": {"log_kill": np.arange(12.0) + 0.25}}))
        self.assertEqual({row[0]: row[1:] for row in tables["differences"]}["Log kill [log₁₀]"], ["b − a", "12", "0.25", "0.25 to 0.25", "12 / 0", "4.9×10⁻⁴"])

    def test_who_is_left_out(self):
        status = SAID | {(7, "baseline"): (REJECTED, IMPLAUSIBLE.format(0.2))}
        directory = self.made(patients=10, status=status)
        (directory / "failed" / "3_baseline.ini").unlink()
        page, tables = self.tables(directory)
        self.assertEqual(tables["reasons"][1:], [["step …: the pressure did not converge &lt;b&gt;", "failed", "2"], ["perfused_fraction = … outside [0.4, 1]", "rejected", "2"]])
        self.assertEqual([row[:3] + row[4:] for row in tables["excluded"][1:]], [
            ["2", "free", "failed", "failed/2_free.ini"], ["3", "baseline", "failed", "–"], ["1", "baseline", "rejected", "–"], ["7", "baseline", "rejected", "–"]])
        self.assertEqual(len((directory / "report_data" / "excluded.csv").read_text().splitlines()), 5)

    def test_cost_by_hand(self):
        _, tables = self.tables(self.made(patients=3, arms={"a": ""}, tasks={(1, "a"): {"wall_s": 7200.0, "cpu_s": 14400.0, "ranks": 4, "attempts": 3, "memory_bytes": 2.5e9}}))
        rows = {row[0]: row[1:] for row in tables["cost"]}
        self.assertEqual(rows["a"], ["3", "8.01", "20 s", "2 h", "50.1", "2.5 GB", "1"])  # 4 * 2 h and 2 * 20 s; (14400 + 36) / (28800 + 40)
        self.assertEqual(rows["baseline"], ["3", "0.00833", "10 s", "10 s", "90", "60 MB", "0"])
        self.assertEqual(tables["longest"][1][:7], ["1", "a", "done", "2 h", "12 s", "4", "3"])

    def test_state_before_treatment(self):
        hypoxic = np.arange(10) / 20
        directory = self.made(patients=10, endpoints={"baseline": {"hypoxic_fraction": hypoxic}, "free": {"sanctuary_share": hypoxic / 2}, "liposomal": {"sanctuary_share": 0.4 - hypoxic / 2}})
        _, tables = self.tables(directory)
        self.assertEqual([cell.split()[0] for cell in tables["state"][1][1:]], ["1", "−1"])
        self.assertTrue((directory / "report_data" / "sanctuaries_against_hypoxic_fraction.svg").is_file())
        with self.assertRaises(UsageError) as caught:
            cohort_report.write(directory, directory / "report.html", "bogus")
        self.assertIn("hypoxic_fraction", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
