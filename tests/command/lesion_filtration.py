"""What a lesion loses in plasma, from its margin and interior pieces (docs/model.md, anchor and size)."""
import math

from small_run import SOURCE, expect, expect_closed, run, summary

DENSITY = 1.05  # g/ml
DEPTH = 1.5e-1  # cm of tumour in the margin piece


def share_of_margin(grams):
    """f_m = 1 - (1 - 2 d/D)^3 of a ball of that mass."""
    radius = (3 * grams / (4 * math.pi * DENSITY)) ** (1 / 3)
    return 1 - (1 - DEPTH / radius) ** 3


def pieces(folder, preset, ranks=1):
    """Outcomes of both decks with a preset."""
    found = []
    for piece in ("margin", "interior"):
        name = f"{preset}_{piece}"
        done = run(folder, "simulate", SOURCE / f"decks/validation/filtration_{piece}.ini", "-o", name, "--set",
                   f"network.generate.preset={preset}", ranks=ranks, timeout=1200)
        expect(done.returncode == 0, f"{name}: exit {done.returncode}: {done.stderr}")
        expect_closed(folder / name, name)
        found.append(summary(folder / name)["outcome"])
    expect(abs(found[1]["tumour_filtration_ml_h_g"]) < 1e-9 * found[0]["tumour_filtration_ml_h_g"],
           f"{preset}: the interior loses {found[1]['tumour_filtration_ml_h_g']} ml/h/g on balance")
    return found


def loss(margin, interior, grams):
    """Plasma lost [ml/h/g], its share of the plasma flow, and blood flow [ml/min/100 g] of a lesion."""
    part = share_of_margin(grams)
    whole = [part * margin[key] + (1 - part) * interior[key]
             for key in ("tumour_filtration_ml_h_g", "tumour_plasma_flow_ml_h_g", "tumour_perfusion_ml_min_100g")]
    return whole[0], whole[0] / whole[1], whole[2]
