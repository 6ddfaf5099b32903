"""Classes, colours and curves behind the pictures."""

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sanctuary_post import figures
from sanctuary_post.run import Network, Quantity, quantile


class Sanctuaries(unittest.TestCase):
    def test_bits_split_s1_into_its_four_causes(self):
        labels = [label for label, _, _ in figures.SANCTUARY]
        found = figures.sanctuary_classes(np.arange(8.0), np.ones(8, bool))
        self.assertEqual([labels[i] for i in found],
                         ["reached", "joint", "rescued", "delivery", "rescued", "protection", "rescued", "both"])

    def test_nothing_is_counted_outside_the_tumour(self):
        self.assertEqual(figures.sanctuary_classes(np.array([7.0, np.nan, -1.0, 0.0]), np.array([False, True, True, True])).tolist(), [0, 0, 0, 1])


class Slices(unittest.TestCase):
    def test_levels_span_the_limits_and_mark_what_is_absent(self):
        self.assertEqual(figures.quantised(np.array([-1, 0, 5, 10, 11, np.nan]), 0, 10).tolist(), [0, 0, 127, 254, 254, 255])

    def test_a_few_extreme_cells_do_not_darken_the_rest(self):
        values = np.append(np.linspace(1, 2, 1000), [500.0])
        low, high, clipped = figures.limits(values)
        self.assertTrue(clipped and low == 1 and high < 2.01)
        self.assertEqual(figures.limits(np.linspace(1, 2, 1000)), (1, 2, False))

    def test_a_constant_field_has_limits(self):
        for value in (0.0, 3.0, -2.0):
            low, high, _ = figures.limits(np.full(8, value))
            self.assertLess(low, high)

    def test_thinning_keeps_every_nth_cell(self):
        volume = np.arange(10 * 4 * 7).reshape(10, 4, 7)
        self.assertTrue((figures.thinned(volume, 5) == volume[::2, ::1, ::2]).all())

    def test_the_second_axis_points_up(self):
        levels = np.zeros((2, 3, 4), np.uint8)
        levels[1, 2, 0] = 9  # middle z slice, highest y, lowest x: upper left
        rgb = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
        seen = []
        original, figures.image = figures.image, seen.append
        try:
            figures.middle_slices(levels, rgb)
        finally:
            figures.image = original
        self.assertEqual(seen[0][0, 0, 0], 9)
        self.assertEqual([part.shape[:2] for part in seen], [(3, 4), (2, 4), (2, 3)])


class Vessels(unittest.TestCase):
    def network(self, count):
        nodes = np.stack([np.arange(count + 1) * 1e-5, np.zeros(count + 1), np.zeros(count + 1)], axis=1)
        segments = np.stack([np.arange(count), np.arange(count) + 1], axis=1)
        one = Network(nodes, segments, np.linspace(1e-6, 2e-6, count))
        one.quantities.append(Quantity("pressure", "", "Pa", 133.322387415 * np.arange(count + 1), 0.0, "nodes"))
        one.quantities.append(Quantity("flow", "", "m^3/s", np.full(count, -1e-12 / 60), 0.0, "segments"))
        return one

    def test_values_stand_at_both_ends(self):
        shown = figures.vessels(self.network(2), [])
        by_label = {one["label"]: one for one in shown["quantities"]}
        self.assertEqual(by_label["Pressure"]["values"], [0, 1, 1, 2])
        self.assertEqual(by_label["Flow"]["values"], [1, 1, 1, 1])
        self.assertEqual(shown["ends"][:6], [0, 0, 0, 0.01, 0, 0])

    def test_of_very_many_the_widest_are_drawn(self):
        shown = figures.vessels(self.network(figures.WIDEST + 10), [])
        self.assertEqual((shown["count"], shown["drawn"]), (figures.WIDEST + 10, figures.WIDEST))
        self.assertNotIn(0, shown["number"])

    def test_a_missing_value_is_not_a_number(self):
        network = self.network(2)
        network.quantities[1].values[0] = np.nan
        flow = [one for one in figures.vessels(network, [])["quantities"] if one["label"] == "Flow"][0]
        self.assertEqual(flow["values"], [None, None, 1, 1])


class Curves(unittest.TestCase):
    def courses(self, *members):
        time = np.linspace(0, 3600, 50)
        return figures.time_courses(time, [Quantity(name, "", unit, function(time)) for name, unit, function in members])

    def test_one_chart_per_unit(self):
        made = self.courses(("a", "Pa", np.ones_like), ("b", "mol", np.ones_like), ("c", "Pa", np.ones_like))
        self.assertEqual([len(figure.data) for _, figure in made], [2, 1])
        self.assertEqual(made[0][1].layout.yaxis.title.text, "[mmHg]")
        self.assertEqual(made[0][1].layout.xaxis.title.text, "time since start of treatment [h]")

    def test_curves_of_very_different_size_get_a_logarithmic_axis(self):
        small, large = (lambda t: 1e-6 + 0 * t), (lambda t: 1.0 + 0 * t)
        self.assertEqual(self.courses(("a", "mol", small), ("b", "mol", large))[0][1].layout.yaxis.type, "log")
        self.assertIsNone(self.courses(("a", "mol", large), ("b", "mol", large))[0][1].layout.yaxis.type)

    def test_fractions_are_percent(self):
        figure = self.courses(("hypoxic_fraction", "1", lambda t: 0.25 + 0 * t))[0][1]
        self.assertEqual((figure.data[0].y[0], figure.layout.yaxis.title.text), (25, "[%]"))

    def test_starts_of_cycles_are_marked_in_shown_units(self):
        made = figures.time_courses(np.linspace(0, 36000, 5), [Quantity("a", "", "Pa", np.ones(5))], [18000.0])
        self.assertEqual([shape.x0 for shape in made[0][1].layout.shapes], [5.0])

    def test_distance_profiles_are_in_percent(self):
        figure = figures.distance_profiles(np.array([10.0, 30.0]), [("free", np.array([1.0, 0.25]))])
        self.assertEqual((list(figure.data[0].y), figure.layout.xaxis.title.text), ([100, 25], "distance to the nearest perfused vessel [µm]"))

    def test_histogram_is_in_percent_and_shown_units(self):
        figure = figures.histogram(np.array([0.0, 3.6]), np.array([1.0, 0.4]), "mol s/m^3")
        self.assertEqual((list(figure.data[0].x), list(figure.data[0].y)), ([0, 1], [100, 40]))

    def test_weighted_quantile(self):
        self.assertEqual(quantile(np.array([3.0, 1.0, 2.0]), np.array([1.0, 8.0, 1.0]), 0.5), 1.0)
        self.assertEqual(quantile(np.array([3.0, 1.0, 2.0]), np.array([8.0, 1.0, 1.0]), 0.5), 3.0)


class Packing(unittest.TestCase):
    def test_same_bytes_same_text(self):
        self.assertEqual(figures.packed(b"abc" * 100), figures.packed(b"abc" * 100))


if __name__ == "__main__":
    unittest.main()
