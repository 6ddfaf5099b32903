"""The deck of collapsing and pulsating vessels does what its header expects, and less blood and oxygen arrive than with
open, steady vessels; without blood anywhere the run ends with a remedy."""
import pathlib
import sys
import tempfile

import h5py
import numpy as np

import small_run
from small_run import SOURCE, expect, expect_closed, run, summary

DECK = SOURCE / "decks/patient/collapsing_core.ini"
OFF = ["--set", "mechanisms.intermittent_flow=off", "--set", "mechanisms.vessel_compression=off"]

with tempfile.TemporaryDirectory() as place:
    folder = pathlib.Path(place)
    for name, options in (("changing", []), ("open", OFF)):
        done = run(folder, "simulate", DECK, "-o", name, *options, ranks=2)
        expect(done.returncode == 0, f"{name}: exit {done.returncode}: {done.stderr}")
        expect_closed(folder / name, name)
    changing, still = (summary(folder / name)["outcome"] for name in ("changing", "open"))
    print({key: value for key, value in changing.items() if key not in still or "hypoxic" in key or "perfused" in key})
    expect(0 < changing["collapsed_fraction"] < 1, "collapsed fraction")
    expect(changing["perfused_fraction"] < changing["perfused_fraction_open"], "perfused fraction")
    expect(abs(changing["perfused_fraction_open"] - still["perfused_fraction"]) < 1e-12, "perfused fraction when open")
    expect(changing["hypoxic_fraction"] > still["hypoxic_fraction"], "hypoxic fraction")
    expect(changing["acute_hypoxic_fraction"] > 0, "acute hypoxia")
    expect(0 < changing["blood_inflow_over_that_without_intermittency"] < 1, "inflow")
    expect(changing["doxorubicin_auc_umol_h_L_mean"] < still["doxorubicin_auc_umol_h_L_mean"], "exposure")
    expect("collapsed_fraction" not in still and "acute_hypoxic_fraction" not in still, "findings of what is off")
    with h5py.File(folder / "changing/run.h5") as file:
        radius, open_radius = file["network/0/radius_in_use"][-1], file["network/0/radius"][:] * 1e6
        collapsed, flow = file["network/0/collapsed"][-1], file["network/0/flow"][-1]
        expect(np.array_equal(collapsed == 1, radius == 0) and collapsed.sum() > 3, "collapsed vessels are closed")
        expect((flow[collapsed == 1] == 0).all(), "blood in a closed lumen")
        expect((radius <= open_radius * (1 + 1e-6)).all(), "a vessel wider than open")
        share = file["fields/time_below_5"][-1]
        expect(share.min() == 0 and 0 < share.max() <= 1, f"share of the time: {share.min()} to {share.max()}")
    stress = ["--set", "solid_stress.tumour=900 mmHg", "--set", "solid_stress.host=900 mmHg"]
    for ranks in (1, 2):
        none = run(folder, "simulate", DECK, "-o", "none", *stress, ranks=ranks)
        expect(none.returncode == 2 and "solid_stress.tumour" in none.stderr, f"no blood: {none.returncode}: {none.stderr}")
        expect(none.stderr.count("sanctuary: ") == 1, f"not said once: {none.stderr}")
print(f"{small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
