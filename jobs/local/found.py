"""Prints the main figures of a run: found.py DIR/summary.json."""
import json
import sys

LINES = [  # key in `outcome`, factor, what it is
    ("tumour_volume_mm3", 1, "tumour volume [mm^3]"),
    ("viable_cells", 1, "viable cells at the end"),
    ("interstitial_pressure_mean_mmHg", 1, "interstitial pressure, mean in the tumour [mmHg]"),
    ("oxygen_pressure_median_mmHg", 1, "oxygen pressure, median of viable cells [mmHg]"),
    ("hypoxic_fraction", 100, "hypoxic viable cells [%]"),
    ("perfused_fraction", 100, "perfused vessel length in the tumour [%]"),
]
DRUG_LINES = [
    ("plasma_auc_umol_h_L", 1, "AUC in plasma [umol h/L]"),
    ("auc_umol_h_L_mean", 1, "AUC in the interstitium, mean over viable cells [umol h/L]"),
]
SANCTUARIES = [
    ("s1", "S1, killed too little"),
    ("s2", "S2, too little drug arrives"),
    ("s4", "S4, protected from it"),
]


def show(what, text):
    print(f"  {what:<62} {text}")


with open(sys.argv[1], encoding="utf-8") as file:
    summary = json.load(file)
outcome = summary["outcome"]

print("What was found (research software: no claim about any real patient)")
for key, factor, what in LINES:
    if outcome.get(key) is not None:
        show(what, f"{factor * outcome[key]:.4g}")
for drug, sanctuary in summary.get("sanctuary", {}).items():
    for key, factor, what in DRUG_LINES:
        value = outcome.get(f"{drug}_{key}")
        if value is not None:
            show(f"{drug}: {what}", f"{factor * value:.4g}")
    kind = "sanctuary to date" if sanctuary.get("to_date") else "sanctuary"
    for key, what in SANCTUARIES:
        part = sanctuary.get(key)
        if part is not None:
            show(f"{drug}: {kind} {what}", f"{part['volume_mm3']:.4g} mm^3, {100 * part['share']:.3g} % of viable cells")
if outcome.get("log_kill") is not None:
    show("log10 kill", f"{outcome['log_kill']:.4g}")
for remark in summary.get("remarks", []):
    print(f"  note: {remark}")
