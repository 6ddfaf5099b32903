"""Plasma lost by an isolated tumour grown from preset xenograft: 0.1 to 0.3 ml/h/g and 3 to 12 % of the plasma flow at 2 to 5 g,
the sizes of Butler 1975 (Cancer Res 35:3084: 0.14 to 0.22, 4.5 to 10.2 %), less per gram in a larger one; in host tissue of
normal conductivity less leaves; a patient must say which preset."""
import pathlib
import sys
import tempfile

import small_run
from lesion_filtration import loss, pieces, share_of_margin
from small_run import SOURCE, expect, run, summary

with tempfile.TemporaryDirectory() as place:
    folder = pathlib.Path(place)
    # Worked by hand: 2 g are a ball of 7.69 mm radius; (1 - 1.5/7.69)^3 = 0.5215.
    expect(abs(share_of_margin(2) - 0.4785) < 1e-4, f"share of the margin: {share_of_margin(2)}")
    margin, interior = pieces(folder, "xenograft", ranks=2)
    found = {grams: loss(margin, interior, grams) for grams in (2, 5)}
    for grams, (per_gram, share, blood) in found.items():
        print(f"{grams} g: {per_gram:.3f} ml/h/g, {100 * share:.1f} % of the plasma, blood flow {blood:.1f} ml/min/100 g")
        expect(0.1 <= per_gram <= 0.3, f"{grams} g: {per_gram} ml/h/g")
        expect(0.03 <= share <= 0.12, f"{grams} g: {share} of the plasma flow")
    expect(found[5][0] < found[2][0], "a larger tumour loses less per gram")
    expect(10 <= interior["interstitial_pressure_mean_mmHg"] <= 40, f"core at {interior['interstitial_pressure_mean_mmHg']} mmHg")
    expect(margin["interstitial_pressure_rim_mmHg"] < 0.3 * interior["interstitial_pressure_mean_mmHg"], "pressure of the rim")
    done = run(folder, "simulate", SOURCE / "decks/validation/filtration_margin.ini", "-o", "host", "--set",
               "interstitium.hydraulic_conductivity.host=8.53e-9 cm^2/(mmHg s)")
    expect(done.returncode == 0, f"host: exit {done.returncode}: {done.stderr}")
    host = summary(folder / "host")["outcome"]
    expect(host["tumour_filtration_ml_h_g"] < 0.5 * margin["tumour_filtration_ml_h_g"],
           f"in host tissue {host['tumour_filtration_ml_h_g']}, isolated {margin['tumour_filtration_ml_h_g']} ml/h/g")
    (folder / "unsaid.ini").write_text("[network]\nsource = generate\n", encoding="utf-8")
    unsaid = run(folder, "check", "unsaid.ini")
    expect(unsaid.returncode == 2 and "network.generate.preset" in unsaid.stderr, f"{unsaid.returncode}: {unsaid.stderr}")
print(f"{small_run.failures} failed")
sys.exit(1 if small_run.failures else 0)
