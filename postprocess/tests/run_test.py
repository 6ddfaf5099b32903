"""Reading of run directories, whole, partial and damaged."""

import json
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import synthetic_run
from sanctuary_post.run import ReportError, Run, UsageError, write_whole


class WithRun(unittest.TestCase):
    def setUp(self):
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)
        self.directory = synthetic_run.make(self.place / "run", cells=(6, 7, 8), segments=30)

    def change(self, function):
        with h5py.File(self.directory / "run.h5", "a") as file:
            function(file)

    def summary(self, **parts):
        path = self.directory / "summary.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | parts))


class Reading(WithRun):
    def test_what_is_there(self):
        with Run(self.directory) as run:
            self.assertTrue(run.complete)
            self.assertEqual(run.drugs, ["doxorubicin"])
            self.assertEqual(run.cells, (6, 7, 8))
            self.assertEqual(run.field("doxorubicin_auc").values.shape, (8, 7, 6))
            self.assertEqual(run.field("doxorubicin_auc").unit, "umol h/L")
            self.assertEqual(run.time[run.peak_index("doxorubicin_free")], 1800)
            self.assertEqual(len(run.network().segments), 30)
            self.assertIn(("oxygen", "interstitium"), [row[:2] for row in run.balance()])
            self.assertEqual({one.key for one in run.settings() if one.default is False}, {"network.count", "drug.doxorubicin.dose"})

    def test_drug_in_vessels_is_shown_at_its_peak_and_at_the_end(self):
        with Run(self.directory) as run:
            self.assertEqual([one.time for one in run.network().quantities if one.name == "doxorubicin"], [1800, 86400])

    def test_fill_values_of_missing_times_are_never_taken_for_data(self):
        (self.directory / "times" / "time_000003.h5").unlink()
        with Run(self.directory) as run:
            self.assertFalse(run.complete)
            self.assertEqual(run.field("oxygen_pressure").time, 21600)
            self.assertTrue(all(one.time <= 21600 for one in run.network().quantities))
            self.assertIn("time_000003", " ".join(run.notes))

    def test_a_field_of_some_times_only_is_read_where_it_is(self):
        def only_first(file):
            layout = h5py.VirtualLayout((4, 8, 7, 6), dtype="f4")
            layout[0] = h5py.VirtualSource("times/time_000000.h5", "fields/porosity", (8, 7, 6))
            del file["fields/porosity"]
            file.create_virtual_dataset("fields/porosity", layout, fillvalue=np.nan)

        self.change(only_first)
        with Run(self.directory) as run:
            self.assertEqual(run.field("porosity").time, 0)
            self.assertTrue(run.complete)

    def test_ledgers_in_every_shape(self):
        def others(file):
            file["balance/a"] = np.array([(0.0, 1.0, 0.5), (9.0, 2.0, 1e-9)], dtype=[("time", "f8"), ("in", "f8"), ("error", "f8")])
            file["balance/b"] = np.array([("cells", 1.0)], dtype=[("where", h5py.string_dtype()), ("in", "f8")])
            file["balance/c/in"] = [1.0, 3.0]
            file["balance/c/in"].attrs["unit"] = "mol"
            file["balance/d"] = [[1.0, 2.0], [3.0, 4.0]]
            file["balance/d"].attrs["columns"] = ["in", "out"]

        self.change(others)
        with Run(self.directory) as run:
            rows = {row[:2]: row[2] for row in run.balance()}
        self.assertEqual(rows["a", ""]["in"], (2.0, ""))
        self.assertEqual(rows["b", "cells"]["in"], (1.0, ""))
        self.assertEqual(rows["c", ""]["in"], (3.0, "mol"))
        self.assertEqual(rows["d", ""], {"in": (3.0, ""), "out": (4.0, "")})

    def test_the_ledger_of_the_summary_serves_where_the_file_has_none(self):
        self.change(lambda file: file.__delitem__("balance"))
        self.summary(balance={"doxorubicin": {"unit": "mol", "cells": {"in": 2.0, "error": 1e-8}, "error": 1e-8}})
        with Run(self.directory) as run:
            self.assertEqual([row[:2] for row in run.balance()], [("doxorubicin", ""), ("doxorubicin", "cells")])

    def test_histogram_by_bins_becomes_cumulative(self):
        def bins(file):
            group = file["exposure/doxorubicin"]
            del group["histogram_dose"], group["histogram_fraction"]
            group["histogram_dose"] = [0.0, 1.0, 2.0, 3.0]
            group["histogram_fraction"] = [0.2, 0.5, 0.3]

        self.change(bins)
        with Run(self.directory) as run:
            np.testing.assert_allclose(run.histogram("doxorubicin")[2], [1.0, 0.8, 0.3, 0.0], atol=1e-14)

    def test_the_end_of_the_run_serves_where_the_summary_does_not(self):
        self.summary(sanctuary={}, exposure={})
        with Run(self.directory) as run:
            found = run.cycles("sanctuary", "doxorubicin")
            self.assertEqual([(one["s1_share"], one["s1_volume_mm3"], one["theta"]) for one in found], [(0.42, 0.173, 0.7)])
            self.assertEqual([one["auc_umol_h_L_mean"] for one in run.cycles("exposure", "doxorubicin")], [5.0])
            self.assertEqual(run.at_end("doxorubicin", "label").values.shape, (8, 7, 6))
            self.assertIsNone(run.at_end("doxorubicin", "histogram_dose"))

    def test_the_histogram_of_the_sanctuary_serves_older_runs(self):
        self.change(lambda file: file.move("exposure/doxorubicin/histogram_dose", "sanctuary/doxorubicin/histogram_dose")
                    or file.move("exposure/doxorubicin/histogram_fraction", "sanctuary/doxorubicin/histogram_fraction"))
        with Run(self.directory) as run:
            self.assertEqual(len(run.histogram("doxorubicin")[0]), 60)

    def test_oddities_are_noted_and_the_rest_is_read(self):
        def odd(file):
            file["fields/flat"] = np.zeros((4, 3))
            file["network/0/short"] = np.zeros((4, 2))
            file["series/short"] = np.zeros(3)
            file["fields/empty"] = np.full((4, 8, 7, 6), np.nan)

        self.change(odd)
        with Run(self.directory) as run:
            self.assertNotIn("flat", run.field_names())
            self.assertIsNone(run.field("empty"))
            run.network()
            run.series()
            self.assertEqual(len(run.notes), 5)  # and one remark of the run


class Cycles(WithRun):
    def setUp(self):
        super().setUp()
        shutil.rmtree(self.directory)
        synthetic_run.make(self.directory, cells=(6, 7, 8), segments=30, times=(0.0, 3600.0, 7200.0, 10800.0), cycles=3,
                           others=("t_dm1", "dm1"), carriers={"t_dm1": "dm1"})

    def test_names(self):
        with Run(self.directory) as run:
            self.assertEqual(sorted(run.drugs), ["dm1", "doxorubicin", "t_dm1"])
            self.assertEqual(sorted(run.judged[:-1]), ["dm1", "doxorubicin"])
            self.assertEqual(run.judged[-1], "regimen")

    def test_each_cycle_has_its_own_figures_from_the_summary_and_from_the_groups(self):
        with Run(self.directory) as run:
            of_summary = [run.cycles("sanctuary", name) for name in run.judged] + [run.cycles("exposure", name) for name in run.drugs]
        self.summary(sanctuary={}, exposure={})
        with Run(self.directory) as run:
            of_groups = [run.cycles("sanctuary", name) for name in run.judged] + [run.cycles("exposure", name) for name in run.drugs]
        for one, other in zip(of_summary, of_groups, strict=True):
            self.assertEqual([row["cycle"] for row in one], [1, 2, 3])
            self.assertEqual([row["start_h"] for row in one], [0, 1, 2])
            self.assertEqual([row["end_h"] for row in one], [1, 2, 3])
            self.assertEqual(len({row.get("s1_share", row.get("auc_umol_h_L_mean")) for row in one}), 3)
            for row, same in zip(one, other, strict=True):
                self.assertEqual({key: row[key] for key in same}, same)
        shares = {rows[-1]["s1_share"] for rows in of_summary[:3]}
        self.assertEqual(len(shares), 3)

    def test_times_belong_to_cycles(self):
        with Run(self.directory) as run:
            self.assertEqual(run.ends(), {1: 1, 2: 2, 3: 3})
        (self.directory / "times" / "time_000003.h5").unlink()
        with Run(self.directory) as run:
            self.assertEqual(run.ends(), {1: 1, 2: 2})

    def test_regions_with_units(self):
        with Run(self.directory) as run:
            self.assertEqual(run.regions("regimen")["volume"][1], "mm^3")
            self.assertEqual(len(run.regions("doxorubicin")["share"][0]), 10)
            self.assertEqual(run.regions("t_dm1"), {})


class Trouble(WithRun):
    def refused(self, kind, *words):
        with self.assertRaises(ReportError) as caught:
            with Run(self.directory) as run:
                for name in run.field_names():
                    run.field(name)
                run.network(), run.series(), run.balance(), run.settings()
        self.assertIs(type(caught.exception), kind)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_no_run(self):
        (self.directory / "run.h5").unlink()
        self.refused(UsageError, "run.h5", "resume")
        (self.directory / "ledger.sqlite").touch()
        self.refused(UsageError, "cohort")

    def test_truncated_file(self):
        path = self.directory / "run.h5"
        path.write_bytes(path.read_bytes()[:5000])
        self.refused(ReportError, "run.h5", "damaged")

    def test_truncated_output_time(self):
        path = self.directory / "times" / "time_000001.h5"
        path.write_bytes(path.read_bytes()[:3000])
        self.refused(ReportError, "time_000001.h5", "delete it")

    def test_bad_summary(self):
        (self.directory / "summary.json").write_text('{"outcome": {')
        self.refused(ReportError, "summary.json", "JSON")

    def test_segments_that_name_no_node(self):
        self.change(lambda file: file["network/0/segments"].__setitem__((0, 1), 10**6))
        self.refused(ReportError, "/network", "nodes outside")

    def test_grid_without_size(self):
        self.change(lambda file: file["grid"].attrs.__setitem__("spacing", [0.0, 1.0, 1.0]))
        self.refused(ReportError, "grid")


class Writing(unittest.TestCase):
    def test_a_failed_write_leaves_what_was_there(self):
        with tempfile.TemporaryDirectory() as place:
            whole = Path(place) / "page.html"
            write_whole(whole, b"first")
            with self.assertRaises(ReportError):
                write_whole(Path(place) / "absent" / "page.html", b"second")
            self.assertEqual(whole.read_bytes(), b"first")
            self.assertEqual([path.name for path in Path(place).iterdir()], ["page.html"])


if __name__ == "__main__":
    unittest.main()
