"""Tables of a drug, or of all drugs together, by treatment cycle."""

from sanctuary_post import figures, page, units
from sanctuary_post.page import escape

REGIMEN = "regimen"
# Keys as in `summary.json`, nested ones joined by "_".
FORMS = (("", "free, in fluid"), ("_bound", "bound to matrix, in fluid"), ("_cells", "in cells, per tissue"),
         ("_complexes", "on targets, per tissue"), ("_internalised", "taken in with targets, per tissue"))
DOSES = (("auc", "AUC", "_umol_h_L", "umol h/L"), ("cmax", "highest", "_umol_L", "umol/L"), ("time_above", "time above threshold", "_h", "h"))
STATISTICS = (("mean", "mean"), ("a50", "A50"), ("a95", "A95"))
CAUSES = figures.SANCTUARY[2:6]
PARTS = (
    ("s2", "S2: not reached", "would survive this exposure unprotected"), ("s4", "S4: protected", "would survive the exposure of plasma"),
    ("s3", "S3: persists", "in S1 in every cycle so far"), ("s0", "S0: outgrows", "growth would make up for death over the cycle"),
    ("robustness_half_theta", "S1 at Θ/2", ""), ("robustness_twice_theta", "S1 at 2 Θ", ""),
    ("rescued", "rescued", "under-exposed or protected, and killed all the same"), ("dropped", "dropped", "S1 in regions too small to count"),
    ("mask", "all that is looked at", "viable tumour at the cycle's start"),
)
PLACES = (
    ("L_ref", "Kill of the reference cell, L_ref [log₁₀]"), ("theta", "Threshold Θ [log₁₀]"),
    ("regions", "Regions of S1"), ("largest_region_mm3", "largest [mm³]"), ("s0_regions", "Regions of S0"),
    ("distance_to_vessel_mean_um", "To the nearest perfused vessel, mean [µm]"), ("distance_to_vessel_median_um", "median [µm]"),
    ("distance_to_vessel_largest_um", "largest [µm]"), ("distance_to_vessel_without_share", "without a vessel [%]"),
    ("distance_to_edge_mean_um", "To the tumour's edge, mean [µm]"), ("distance_to_edge_median_um", "median [µm]"), ("distance_to_edge_largest_um", "largest [µm]"),
    ("duration_mean_h", "Unbroken time in S1, mean"), ("duration_longest_h", "longest"),
    ("resistant_share_in_mask", "Resistant clone among all survivors [%]"), ("resistant_share_in_s1", "among those in S1 [%]"),
)
_continues = ("largest", "median", "longest", "among", "without")
_where_nothing_is = ("robustness", "rescued", "dropped", "resistant", "without", "s0_regions")
REGIONS = (
    ("volume", "volume [mm³]", 1), ("share", "viable cells [%]", 100), ("log_kill", "log₁₀ kill, mean", 1),
    ("nearest_vessel", "to vessel, nearest [µm]", 1), ("distance_to_vessel", "to vessel, mean [µm]", 1), ("distance_to_edge", "to edge, mean [µm]", 1),
    ("delivery", "delivery [%]", 100), ("protection", "protection [%]", 100), ("both", "both [%]", 100), ("joint", "joint [%]", 100),
    ("resistant", "resistant [%]", 100), ("duration", "longest in S1 [h]", 1),
)


def named(name):
    """A drug, or all of them together, as a heading."""
    if name == REGIMEN:
        return "Whole regimen"
    return " ".join(part.upper() if any(map(str.isdigit, part)) else part for part in units.words(name).split(" "))


def title(row):
    """A cycle as a column heading."""
    start, end = row.get("start_h"), row.get("end_h")
    span = f"{units.duration(3600 * start) if start else 0} to {units.duration(3600 * end)}" if None not in (start, end) else ""
    return f"cycle {row.get('cycle', 1)} <small>{span}{', to date' if row.get('to_date') else ''}</small>"


def number(value, by=1, digits=3):
    """A number in a table; a dash where there is none."""
    there = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    return units.number(value * by, digits) if there else "–"


def table(name, cycles, columns, rows):
    """A table with `columns` in each cycle; rows of (label as HTML, values by cycle and column). One cycle needs no name."""
    head = ""
    if len(cycles) > 1:
        head += "<tr><th></th>" + "".join(f'<th colspan="{len(columns)}">{title(one)}</th>' for one in cycles) + "</tr>"
    if any(columns):
        head += "<tr><th></th>" + "".join(f"<th>{column}</th>" for column in columns) * len(cycles) + "</tr>"
    return page.table(name, head, [(label, *values) for label, values in rows])


def shares(name, cycles):
    """Volumes and shares of the sanctuaries and of the causes of S1."""
    to_date = " to date" if cycles[-1].get("to_date") else ""
    parts = [("s1", f"S1: survives{to_date if len(cycles) == 1 else ''} <small>killed less than the threshold Θ</small>")]
    parts += [(label, f'<span class="swatch" style="background:{colour}"></span>{label}') for label, colour, _ in CAUSES]
    parts += [(key, f"{label} <small>{meaning}</small>" if meaning else label) for key, label, meaning in PARTS if key != "s3" or len(cycles) > 1]
    rows = [(label, [cell for one in cycles for cell in (number(one.get(f"{key}_share"), 100), number(one.get(f"{key}_volume_mm3")))])
            for key, label in parts if _said(cycles, f"{key}_share")]
    return table(f"shares-{name}", cycles, ("viable cells [%]", "volume [mm³]"), rows)


def places(name, cycles):
    """Threshold, regions, distances, durations and clones of the sanctuaries."""
    def cell(key, value):
        if key.endswith("_h"):
            return "–" if value is None else units.duration(3600 * value)
        return number(value, 100 if "share" in key else 1)

    rows = [(f'<span class="more">{label}</span>' if label.startswith(_continues) else label, [cell(key, one.get(key)) for one in cycles])
            for key, label in PLACES if _said(cycles, key)]
    return table(f"places-{name}", cycles, ("",), rows)


def _said(cycles, key):
    """Whether a row says anything: what is mostly zero is left out where it is."""
    values = [one.get(key) for one in cycles]
    return any(values) if key.startswith(_where_nothing_is) or "_without_" in key else any(value is not None for value in values)


def causes(cycles):
    """Bars of S1 by cause, one for each cycle, as long as S1 is large."""
    split = [[one.get(f"{label}_share") or 0.0 for label, _, _ in CAUSES] for one in cycles]
    most = max(map(sum, split))
    if most <= 0:
        return ""
    bars = ""
    for one, parts in zip(cycles, split):
        pieces = "".join(f'<span style="width:{100 * share / most:.3f}%;background:{colour}" title="{label} {number(share, 100, 3)} %"></span>'
                         for share, (label, colour, _) in zip(parts, CAUSES))
        bars += f'<div class="stack">{pieces}</div>' if len(cycles) == 1 else f'<i>cycle {one.get("cycle")}</i><div class="stack">{pieces}</div>'
    text = "".join(f'<li><span class="swatch" style="background:{colour}"></span><b>{label}</b> {number(share, 100, 3)} %</li>'
                   for share, (label, colour, _) in zip(split[-1], CAUSES))
    key = "S1 by cause, share of viable cells" + ("; figures of the last cycle" if len(cycles) > 1 else "")
    return f'<p class="lead">{key}</p><div class="{"bars" if len(cycles) > 1 else ""}">{bars}</div><ul class="key inline">{text}</ul>'


def regions(name, found, most=8):
    """The largest regions of S1 of the last cycle."""
    here = [(found[key][0], label, by) for key, label, by in REGIONS if key in found and (key != "resistant" or found[key][0].any())]
    count = max((len(values) for values, _, _ in here), default=0)
    if not count:
        return ""
    head = "<th></th>" + "".join(f"<th>{label}</th>" for _, label, _ in here)
    body = "".join(f"<tr><th>{row + 1}</th>" + "".join(f"<td>{number(float(values[row]), by, 3)}</td>" for values, _, by in here) + "</tr>"
                   for row in range(min(count, most)))
    rest = f"; all {count} stand in run.h5 under sanctuary/{escape(name)}/regions" if count > most else ""
    return (f'<p class="lead">Connected regions of S1, largest first{rest}</p><div class="scroll"><table class="plain" data-table="regions-{escape(name)}">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>")


def exposure(name, cycles, plasma):
    """Exposure of the viable tumour; `plasma` holds for each cycle {"highest": umol/L, "unbound_auc": umol h/L} where known."""
    rows = []
    for form, where in FORMS:
        for key, what, ending, unit in DOSES:
            keys = [f"{key}{form}{ending}_{statistic}" for statistic, _ in STATISTICS]
            values = [one.get(key) for one in cycles for key in keys]
            if any(value is not None for value in values):
                shown, by = units.scale(unit, max(value or 0.0 for value in values))
                rows.append((f"{where}: {what} [{shown}]", [number(value, by) for value in values]))

    def single(label, unit, values, more=""):
        """A row of one value in each cycle."""
        known = [value for value in values if value is not None]
        if known:
            shown, by = units.scale(unit, max(known))
            rows.append((f"{label} [{shown}]{more}", [cell for value in values for cell in (number(value, by), "", "")]))

    single("plasma, total: AUC", "umol h/L", [one.get("plasma_auc_umol_h_L") for one in cycles])
    single("plasma, total: highest", "umol/L", [one.get("highest") for one in plasma])
    single("metabolite or payload from this drug in plasma: AUC", "umol h/L", [one.get("metabolite_plasma_auc_umol_h_L") for one in cycles])
    ratio = [free_over_plasma(*both) for both in zip(cycles, plasma)]
    single("Kp,uu", "%", [None if one is None else 100 * one for one in ratio], " <small>AUC free in the tumour over unbound in plasma</small>")
    return table(f"exposure-{name}", cycles, [label for _, label in STATISTICS], rows)


def free_over_plasma(cycle, plasma):
    """Kp,uu: mean free AUC in the tumour over the unbound one in plasma; None where either is not known."""
    free, unbound = cycle.get("auc_umol_h_L_mean"), plasma.get("unbound_auc")
    return free / unbound if free is not None and unbound else None
