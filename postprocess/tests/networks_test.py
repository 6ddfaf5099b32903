"""Vessel networks side by side: what the table says, what is left out, what is refused."""

import contextlib
import csv
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sanctuary_post import networks


def spread(mean):
    return {"count": 3, "mean": mean, "deviation": mean / 2, "median": mean, "max": 3 * mean, "min": 0, "quantile_05": 0, "quantile_25": 0,
            "quantile_75": mean, "quantile_95": 2 * mean}


def made(planar=False, flow=False):
    bins = {"edges": [1e-6, 1e-5, 1e-4], "share": [0.25, 0.75], "below": 0, "above": 0}
    found = {"file": "net.h5", "statistics": {
        "segments": 12, "vessels": 4, "tortuosity": 1.2, "total_length_m": 2e-3, "length_density_m_per_m3": 0 if planar else 1.5e8, "fractal_dimension": 1.8,
        "radius_by_length_m": spread(4e-6), "box_size_m": [1e-3, 1e-3, 0 if planar else 1e-3], "nodes_by_degree": [0, 2, 1, 5],
        "box_counts": {"edge_m": [1e-4, 5e-5, 2.5e-5], "count": [4, 14, 50]},
        "histograms": {name: bins for name in ("radius_by_length_m", "vessel_length_m", "vessel_tortuosity", "distance_to_wall_m")}}}
    if flow:
        found["haemodynamics"] = {"perfused_fraction": 0.9, "flow_variation": 1.5, "velocity_variation": 1.1, "transit_variation": 0.7, "transit_mean_s": 2.5,
                                  "perfusion_ml_per_min_per_100g": 30.0, "histograms": {"transit_s": bins, "velocity_by_length_m_per_s": bins}}
    return found


class Tables(unittest.TestCase):
    def test_values_are_shown_in_their_units(self):
        rows = {label: (unit, values) for label, unit, values in networks.table([made(), made(flow=True)])}
        self.assertEqual(rows["Segments"], ("", [12, 12]))
        unit, values = rows["Length density"]
        self.assertEqual(unit, "mm/mm³")
        self.assertAlmostEqual(values[0], 150)
        self.assertAlmostEqual(rows["Radius by length, mean"][1][0], 4)
        self.assertEqual(rows["Perfused, by length"][1][0], None)
        self.assertAlmostEqual(rows["Perfused, by length"][1][1], 90)

    def test_a_planar_network_has_no_densities(self):
        rows = {label: values for label, _, values in networks.table([made(planar=True, flow=True), made()])}
        self.assertIsNone(rows["Length density"][0])
        self.assertNotIn("Blood flow", rows)
        self.assertNotIn("Vessel length, mean", rows)

    def test_equal_names_are_made_different(self):
        self.assertEqual(networks.names_of(["a/net.json", "b/net.json", "c.json"], ""), ["net (1)", "net (2)", "c"])


class Command(unittest.TestCase):
    def run_in(self, folder, *arguments):
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            code = networks.main([str(one) for one in arguments])
        return code, said.getvalue()

    def test_writes_table_figure_and_page(self):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            (folder / "a.json").write_text(json.dumps(made()), encoding="utf-8")
            (folder / "b.json").write_text(json.dumps(made(planar=True, flow=True)), encoding="utf-8")
            for name in ("out.csv", "out.png", "out.html"):
                code, said = self.run_in(folder, folder / "a.json", folder / "b.json", "--names", "real, <made>", "-o", folder / name)
                self.assertEqual((code, "2 networks" in said), (0, True), said)
            with open(folder / "out.csv", encoding="utf-8") as stream:
                rows = list(csv.reader(stream))
            self.assertEqual(rows[0], ["quantity", "unit", "real", "<made>"])
            self.assertEqual(rows[1], ["Segments", "", "12", "12"])
            self.assertEqual((folder / "out.png").read_bytes()[:4], b"\x89PNG")
            page = (folder / "out.html").read_text(encoding="utf-8")
            self.assertIn("&lt;made&gt;", page)
            self.assertIn("data:image/png;base64,", page)
            self.assertIn("makes no claim about any real patient", page)
            self.assertNotIn("http", page.split("</style>")[1])

    def test_refuses_what_it_cannot_use(self):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            (folder / "good.json").write_text(json.dumps(made()), encoding="utf-8")
            (folder / "other.json").write_text('{"statistics": {}}', encoding="utf-8")
            (folder / "text.json").write_text("no", encoding="utf-8")
            for arguments, expected, words in (
                    (["gone.json", "-o", "x.csv"], 2, "cannot be read"), (["other.json", "-o", "x.csv"], 4, "network info"),
                    (["text.json", "-o", "x.csv"], 4, "not JSON"), (["good.json", "-o", "x.pdf"], 2, ".csv, .png or .html"),
                    (["good.json", "--names", "a,b", "-o", "x.csv"], 2, "2 names for 1"), (["good.json", "-o", "no/x.csv"], 4, "cannot be written")):
                code, said = self.run_in(folder, *[folder / one if one.endswith((".json", ".csv", ".pdf")) else one for one in arguments])
                self.assertEqual(code, expected, said)
                self.assertIn(words, said)


if __name__ == "__main__":
    unittest.main()
