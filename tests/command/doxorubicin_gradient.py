"""All doxorubicin in tissue by the distance from perfused vessels, decks/validation/doxorubicin_gradient.ini: it falls to half
over 25 to 60 um from 20 min to 3 h (Primeau 2005: 40 to 50 um) and not over more than 80 um at 24 h (Tannock 2002: 25 to 75 um
from 10 min to 24 h); and as much of it is in the tumour as in breast cancers of people two days after a dose (Rossi 1987)."""
import h5py
import numpy as np

from small_run import SOURCE, expect, expect_closed, run

DECK = SOURCE / "decks/validation/doxorubicin_gradient.ini"
LEAST, MOST, MOST_LATE = 25, 60, 80  # um; the last one at 24 h
HOURS = [1 / 3, 0.75, 1, 3, 24]
MOLAR_MASS = 543.52  # g/mol


def simulate(folder, name, *settings):
    """Half distances at HOURS [um], not a number where drug does not fall to half; distances to vessels [um]; mean in cells [umol/L]."""
    done = run(folder, "simulate", DECK, "-o", name, *(word for setting in settings for word in ("--set", setting)))
    expect(done.returncode == 0, f"{name}: exit {done.returncode}: {done.stderr}")
    expect_closed(folder / name, name)
    with h5py.File(folder / name / "run.h5") as file:
        time, half = file["series/time"][:] / 3600, file["series/doxorubicin_half_distance"][:]
        distance, cells = file["fields/distance_to_vessel"][0], file["series/doxorubicin_cells_mean"][-1]
    found = {hour: half[np.argmin(np.abs(time - hour))] for hour in HOURS if hour <= time[-1] + 1e-9}
    print(f"{name}: " + ", ".join(f"{hour:.3g} h {value:.1f} um" for hour, value in found.items()), flush=True)
    return found, distance, cells


def within(hour, half):
    """True where the half distance at an hour is one of those observed."""
    return half <= MOST_LATE if hour == 24 else LEAST <= half <= MOST
