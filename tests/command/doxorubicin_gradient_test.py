"""Doxorubicin of the library: half distances and amounts as observed, from 20 min to 24 h."""
import pathlib
import sys
import tempfile

import numpy as np

import small_run
from doxorubicin_gradient import HOURS, MOLAR_MASS, simulate, within
from small_run import expect

with tempfile.TemporaryDirectory() as place:
    library, distance, cells = simulate(pathlib.Path(place), "library")
    expect(np.percentile(distance, 90) > 100, "no tissue further than 100 um from perfused vessels")
    for hour in HOURS:
        expect(within(hour, library[hour]), f"{library[hour]} um at {hour} h")
    expect(1.54 < cells * MOLAR_MASS / 1000 < 14.17, f"{cells} umol/L in the tumour at 24 h, observed 1.54 to 14.17 ug/g at 48 h")
print(f"{small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
