"""From the units in files to the units in which people read them."""

import math
import re

# Per unit in the file: the scales it is shown in, small to large, as (label, factor).
_concentration = [("pM", 1e9), ("nM", 1e6), ("µM", 1e3), ("mM", 1.0)]
_exposure = [(f"{label} h", factor / 3600) for label, factor in _concentration]
_amount = [("amol", 1e18), ("fmol", 1e15), ("pmol", 1e12), ("nmol", 1e9), ("µmol", 1e6), ("mmol", 1e3)]
_scales = {
    "Pa": [("mmHg", 1 / 133.322387415)],
    "s": [("s", 1.0), ("min", 1 / 60), ("h", 1 / 3600)],
    "m": [("µm", 1e6), ("mm", 1e3)],
    "m^2": [("µm²", 1e12), ("mm²", 1e6)],
    "m^3": [("µm³", 1e18), ("mm³", 1e9)],
    "m/s": [("µm/s", 1e6), ("mm/s", 1e3)],
    "m^3/s": [("nl/min", 6e13), ("µl/min", 6e10)],
    "mol": _amount,
    "mol/m^3": _concentration,
    "mol s/m^3": _exposure,
    "umol/L": [(label, factor / 1e3) for label, factor in _concentration],
    "umol h/L": [(f"{label} h", factor / 1e3) for label, factor in _concentration],
    "mol/s": [(f"{label}/s", factor) for label, factor in _amount],
    "1/m^3": [("cells/mm³", 1e-9)],
    "bytes": [("kB", 1e-3), ("MB", 1e-6), ("GB", 1e-9)],
    "1/s": [("1/d", 86400.0), ("1/h", 3600.0), ("1/s", 1.0)],
}
_synonyms = {
    "pascal": "Pa", "second": "s", "seconds": "s", "meter": "m", "metre": "m", "m2": "m^2", "m3": "m^3",
    "m s-1": "m/s", "m3/s": "m^3/s", "m3 s-1": "m^3/s", "m^3 s^-1": "m^3/s",
    "mol/m3": "mol/m^3", "mol m-3": "mol/m^3", "mol m^-3": "mol/m^3", "mM": "mol/m^3", "M": "M",
    "s mol/m^3": "mol s/m^3", "mol/m^3 s": "mol s/m^3", "mol s/m3": "mol s/m^3", "s mol/m3": "mol s/m^3",
    "mol s m-3": "mol s/m^3", "mol s m^-3": "mol s/m^3", "mol m^-3 s": "mol s/m^3", "(mol/m^3) s": "mol s/m^3",
    "1/m3": "1/m^3", "m-3": "1/m^3", "m^-3": "1/m^3", "cells/m^3": "1/m^3", "cell/m^3": "1/m^3", "cells/m3": "1/m^3",
    "uM": "umol/L", "umol/l": "umol/L", "uM h": "umol h/L", "mol s-1": "mol/s",
    "s-1": "1/s", "s^-1": "1/s",
}
_statistics = {"mean": ", mean", "median": ", median", "max": ", highest", "min": ", lowest",
               "a95": ", reached in 95 % of viable cells", "a50": ", reached in 50 % of viable cells", "start": " at the start"}
_superscript = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

# Endings of keys that carry a unit, as in `volume_mm3`; longest first.
_endings = sorted(
    {
        "mmHg": "mmHg", "mm3": "mm³", "mm2": "mm²", "mm": "mm", "um": "µm", "um3": "µm³", "uM": "µM", "nM": "nM",
        "uM_h": "µM h", "nM_h": "nM h", "pmol": "pmol", "fmol": "fmol", "h": "h", "s": "s", "min": "min", "d": "d",
        "days": "d", "hours": "h", "seconds": "s", "percent": "%", "per_h": "1/h", "per_d": "1/d", "per_day": "1/d",
        "per_s": "1/s", "per_mm3": "1/mm³", "cells_per_mm3": "cells/mm³", "per_mm2": "1/mm²", "nl_per_min": "nl/min",
        "ul_per_min": "µl/min", "ml_per_h_per_g": "ml/(h g)", "um_per_s": "µm/s", "mm_per_mm3": "mm/mm³",
        "per_cm": "1/cm", "Pa": "Pa", "m": "m", "m3": "m^3", "mol": "mol", "bytes": "bytes", "GB": "GB", "MB": "MB",
        "cells": "cells", "umol_L": "umol/L", "umol_h_L": "umol h/L", "cm_s": "cm/s", "um2_s": "µm²/s", "nl_min": "nl/min",
        "ml_h_g": "ml/(h g)", "ml_min_100g": "ml/(min 100 g)", "mm_mm3": "mm/mm³", "um_s": "µm/s",
    }.items(),
    key=lambda item: -len(item[0]),
)


def scale(unit, largest):
    """The (label, factor) in which values of `unit` with this largest magnitude are shown; unknown units stay as they are."""
    unit = re.sub(r"\s+", " ", str(unit or "").replace("**", "^").replace("*", " ").replace("µ", "u")).strip()
    scales = _scales.get(_synonyms.get(unit, unit))
    if not scales:
        return pretty(unit), 1.0
    largest = abs(largest) if largest is not None and math.isfinite(largest) else 0.0
    if largest == 0:
        return scales[min(len(scales) - 1, 2)]
    for label, factor in reversed(scales):
        if largest * factor >= 0.1:
            return label, factor
    return scales[0]


def pretty(unit):
    """A unit as it is printed: `um` as µm, `mm^3` as mm³; nothing for dimensionless."""
    unit = re.sub(r"\bu(m|M|l|mol|g|s)(?![A-Za-z])", r"µ\1", str(unit or ""))
    unit = re.sub(r"\^?(?<=\^)(-?\d+)", lambda power: power.group(1).translate(_superscript), unit).replace("^", "")
    unit = re.sub(r"\b(m|mm|cm|µm|s|h|d)(-?[1-4])\b", lambda m: m.group(1) + m.group(2).translate(_superscript), unit)
    return "" if unit in ("1", "-", "none", "dimensionless") else unit


def number(value, digits=4):
    """A number to `digits` significant digits, with thin spaces between thousands and a power of ten where it is far from 1."""
    if value is None:
        return "not available"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    value = value if isinstance(value, int) else float(value)
    if math.isnan(value):
        return "not available"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}×10{str(int(exponent)).translate(_superscript)}".replace("-", "−")
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f").replace("-", "−")
    value = float(f"{value:.{digits}g}")
    if value == int(value):
        text = f"{int(value):,}"
    else:
        text = f"{value:,.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
    return text.replace(",", "\u202f").replace("-", "−")


def words(name):
    """A key as words: `mean_pressure` as `Mean pressure`."""
    text = str(name).replace("_", " ").replace(".", " ").strip()
    text = re.sub(r"\bpo2\b", "pO₂", text, flags=re.IGNORECASE)
    text = re.sub(r"\bauc\b", "AUC", text, flags=re.IGNORECASE)
    text = re.sub(r"\bs([0-4])\b", r"S\1", text)
    return text if text[:2] in ("pO",) else text[:1].upper() + text[1:]


def named(key, unit=None):
    """Label and unit of a key that may end in its unit (`volume_mm3`) or say that it is a logarithm."""
    label, after = key, ""
    below = re.fullmatch(r"(hypoxic_fraction)_(\d+)(?:_(\d+))?", key)
    if below:
        label, after = below[1], f", pO₂ < {below[2]}{'.' + below[3] if below[3] else ''} mmHg"
    for _ in range(2):  # a statistic stands before or after the unit: `pressure_mean_mmHg`, `auc_umol_h_L_mean`
        before, _, last = label.rpartition("_")
        if before and last in _statistics and not after and not label.endswith("_per_min"):
            label, after = before, _statistics[last]
        if unit is None:
            for ending, meaning in _endings:
                if label.endswith("_" + ending):
                    label, unit = label[: -len(ending) - 1], meaning
                    break
    if unit is None and "log_kill" in key:
        unit = "log₁₀"
    return words(label) + after, unit


def axis(key, values):
    """Label, unit and factor in which an array of values of a key is shown."""
    label, unit = named(key)
    if unit in (None, "", "1") and is_share(key) and values.min() >= 0 and values.max() <= 1:
        return label, "%", 100.0
    return label, *scale(unit, float(abs(values).max()))


def is_share(key):
    """Whether a key names a share."""
    return re.search(r"share|fraction", key) is not None


def keyed(key, value, unit=None):
    """Label, value and unit as texts for a scalar whose key may end in its unit (`volume_mm3`) or name a share."""
    if isinstance(value, dict):
        unit, value = value.get("unit", unit), value.get("value")
    label, unit = named(key, unit)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and unit in (None, "", "1") and is_share(key) and 0 <= value <= 1:
        return label, number(100 * value), "%"
    if is_number and unit:
        shown, factor = scale(unit, value)
        return label, number(value * factor), shown
    return label, number(value) if value is None or is_number or isinstance(value, bool) else str(value), ""


def duration(seconds):
    """A span of time in s, min, h or d, whichever reads best."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= (3 if unit == "d" else 1) * length:
            return f"{number(seconds / length, 3)} {unit}"
    return f"{number(seconds, 3)} s"
