"""Units and numbers as they are printed."""

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sanctuary_post import units


class Axis(unittest.TestCase):
    def test_values_of_a_key_share_a_unit(self):
        self.assertEqual(units.axis("sanctuary_share", np.array([0.1, 1.0])), ("Sanctuary share", "%", 100))
        self.assertEqual(units.axis("shares_share", np.array([0.1, 3.0])), ("Shares share", "", 1))
        self.assertEqual(units.axis("log_kill", np.array([0.5])), ("Log kill", "log₁₀", 1))
        self.assertEqual(units.axis("drug_auc_umol_h_L_mean", np.array([0.001, 0.02])), ("Drug AUC, mean", "nM h", 1000))


class Scale(unittest.TestCase):
    def check(self, unit, value, label, shown):
        got, factor = units.scale(unit, value)
        self.assertEqual(got, label)
        self.assertAlmostEqual(value * factor, shown, delta=1e-9 * abs(shown))

    def test_si_becomes_what_people_read(self):
        self.check("Pa", 133.322387415, "mmHg", 1)
        self.check("mol/m^3", 5e-3, "µM", 5)
        self.check("mol m-3", 2e-6, "nM", 2)
        self.check("m^3/s", 1e-12 / 60, "nl/min", 1)
        self.check("s mol/m^3", 3.6, "µM h", 1)
        self.check("1/m^3", 3e14, "cells/mm³", 3e5)
        self.check("mol", 6e-14, "fmol", 60)
        self.check("umol/L", 0.02, "nM", 20)
        self.check("umol h/L", 3, "µM h", 3)
        self.check("bytes", 2.5e9, "GB", 2.5)

    def test_other_units_keep_their_numbers(self):
        self.check("um^2/s", 7, "µm²/s", 7)
        self.check("mg/m^2", 60, "mg/m²", 60)
        self.check("mmHg", 60, "mmHg", 60)
        self.check("1", 0.3, "", 0.3)

    def test_zero_and_unknown_have_a_scale(self):
        self.assertEqual(units.scale("mol/m^3", 0), ("µM", 1e3))
        self.assertEqual(units.scale("mol/m^3", float("nan"))[0], "µM")
        self.assertEqual(units.scale(None, 1), ("", 1.0))


class Text(unittest.TestCase):
    def test_numbers(self):
        for value, text in ((0, "0"), (12345.678, "12\u202f350"), (0.012345, "0.01235"), (1e-7, "1×10⁻⁷"), (2.5e6, "2.5×10⁶"),
                            (-3.0, "−3"), (float("nan"), "not available"), (None, "not available"), (True, "yes"), (1735, "1\u202f735")):
            self.assertEqual(units.number(value), text)

    def test_keys_carry_their_units(self):
        self.assertEqual(units.keyed("viable_volume_mm3", 0.412), ("Viable volume", "0.412", "mm³"))
        self.assertEqual(units.keyed("hypoxic_fraction", 0.27), ("Hypoxic fraction", "27", "%"))
        self.assertEqual(units.keyed("mean_pressure_mmHg", None), ("Mean pressure", "not available", ""))
        self.assertEqual(units.keyed("mean_pressure", {"value": 133.322387415, "unit": "Pa"}), ("Mean pressure", "1", "mmHg"))
        self.assertEqual(units.keyed("pressure_max_mmHg", 12.0), ("Pressure, highest", "12", "mmHg"))
        self.assertEqual(units.keyed("auc_umol_h_L_a95", 2.0), ("AUC, reached in 95 % of viable cells", "2", "µM h"))
        self.assertEqual(units.keyed("hypoxic_fraction_2_5", 0.1), ("Hypoxic fraction, pO₂ < 2.5 mmHg", "10", "%"))
        self.assertEqual(units.keyed("kind", "nodule"), ("Kind", "nodule", ""))
        self.assertEqual(units.keyed("blood_inflow_nl_per_min", 3.0), ("Blood inflow", "3", "nl/min"))
        self.assertEqual(units.keyed("diffusivity_um2_s", 117.0), ("Diffusivity", "117", "µm²/s"))

    def test_durations(self):
        self.assertEqual(units.duration(86400), "24 h")
        self.assertEqual(units.duration(7 * 86400), "7 d")
        self.assertEqual(units.duration(90), "1.5 min")
        self.assertEqual(units.duration(0), "0 s")


if __name__ == "__main__":
    unittest.main()
