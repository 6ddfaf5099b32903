#!/usr/bin/env python3
"""Writes decks/drugs/README.md from the decks of that folder.

  postprocess/drug_table.py [--check]

--check   writes nothing; exit code 1 if README.md is not what the decks give
"""

import argparse
import math
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "decks" / "drugs"
STATUSES = ("SEEN_PRIMARY_DATA", "SEEN_PRIMARY_TABLE", "SEEN_PRIMARY_ABSTRACT", "SEEN_SECONDARY", "UNVERIFIED")
# What a line says of its value: a source and its status, or how it was derived, or why it is assumed.
PROVENANCE = re.compile(r"^(?:(?P<source>.+); (?P<status>" + "|".join(STATUSES) + r")|(?:(?P<of>.+); )?"
                        r"(?P<kind>derived|assumed): (?P<how>.+))$")
# To litres, hours, micromoles, grams; K_D to nM.
UNITS = {"": 1, "1": 1, "L": 1, "mL": 1e-3, "L/h": 1, "L/d": 1 / 24, "L/min": 60, "mL/h": 1e-3, "1/h": 1, "1/d": 1 / 24,
         "umol/h": 1, "umol/d": 1 / 24, "uM": 1, "nM": 1e-3, "h": 1, "d": 24, "kg": 1, "g/mol": 1, "nm": 1, "mg": 1,
         "mg/m^2": 1, "mg/kg": 1}
AREA, WEIGHT = 1.73, 70  # [m^2], [kg]: the program's reference adult


class Section:
    """One `[drug.NAME]` of one file: values as text, and what their comments say."""

    def __init__(self, name):
        self.name, self.text, self.comment = name, {}, {}

    def number(self, key, default=0.0):
        if key not in self.text:
            return default
        value, _, unit = self.text[key].partition(" ")
        return float(value) * UNITS[unit]


def read(path):
    """The sections of a deck of this folder, in order, and the decks it includes."""
    sections, includes = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        code, _, comment = (part.strip() for part in line.partition("#"))
        if not code:
            continue
        if code.startswith("["):
            sections.append(Section(code[len("[drug."):-1]))
            continue
        key, _, value = (part.strip() for part in code.partition("="))
        if key == "include":
            includes.append(value)
            continue
        sections[-1].text[key] = value
        sections[-1].comment[key] = comment
    return sections, includes


def decay_rates(section):
    """Rates [1/h] of the compartments, fastest first: without the elimination that saturates where there is another one
    beside it, else at low concentrations."""
    volume = section.number("volume1")
    out = section.number("clearance")
    if out == 0:
        out += section.number("saturable_rate") / section.number("saturable_half")
    first, links = out / volume, []
    for n in ("2", "3"):
        flow, room = section.number("flow" + n), section.number("volume" + n)
        if flow <= 0 or room <= 0:
            continue
        into = flow
        if n == "2" and section.number("saturable_flow") > 0:
            into = section.number("saturable_flow") / section.number("saturable_flow_half")
        first += into / volume
        links.append((into / volume * flow / room, flow / room))
    # Eigenvalues x of the arrow matrix: x - first - sum c/(x - d) = 0, one below, between and above the poles d.
    poles = sorted(d for _, d in links)
    bound = first + sum(d for _, d in links) + 1
    rates = []
    for low, high in zip([0.0] + poles, poles + [bound]):
        def value(x):
            return x - first - sum(c / (x - d) for c, d in links)
        a, b = low + 1e-12 * bound * (low > 0), high - 1e-12 * bound * (high < bound)
        for _ in range(200):
            middle = 0.5 * (a + b)
            if value(middle) < 0:
                a = middle
            else:
                b = middle
        rates.append(0.5 * (a + b))
    return sorted(rates, reverse=True)


def dose(section):
    """One dose [mg] of the reference adult, and how it is given."""
    for key, times, unit in (("dose_per_area", AREA, "mg/m²"), ("dose_per_weight", WEIGHT, "mg/kg"), ("dose_flat", 1, "mg")):
        if section.number(key) > 0:
            return section.number(key) * times, f"{section.number(key):g} {unit}"
    return 0.0, "—"


def regimen(section):
    days, length = section.text.get("cycle_days", "1"), section.number("cycle_length", 21 * 24) / 24
    count = len(days.split(","))
    if length == 1:
        return {1: "daily", 2: "twice daily"}[count]
    if count > 8:
        return f"twice daily, {count // 2} of {length:g} d"
    return f"days {days} of {length:g}" if count > 1 else f"every {length:g} d"


def kinetics(section):
    if section.number("volume1") <= 0:
        return "set free only"
    parts = [f"{1 + sum(section.number('flow' + n) > 0 for n in '23')} comp."]
    if section.number("absorption_rate") > 0:
        parts.append("oral")
    if section.number("saturable_rate") > 0:
        parts.append("saturable elimination")
    if section.number("saturable_flow") > 0:
        parts.append("saturable distribution")
    if section.number("plasma_target_half") > 0:
        parts.append("held by a target in plasma")
    return ", ".join(parts)


def half_life(section):
    """Of the last phase [h]; none where a target holds the drug."""
    if section.number("volume1") <= 0 or section.number("plasma_target_half") > 0:
        return None
    return math.log(2) / decay_rates(section)[-1]


def linear(section):
    return not any(section.number(key) > 0 for key in ("saturable_rate", "saturable_flow", "plasma_target_half"))


def counts(section):
    """Values by what they rest on: primary, secondary, unverified, derived, assumed."""
    found = {"primary": 0, "secondary": 0, "unverified": 0, "derived": 0, "assumed": 0}
    for comment in section.comment.values():
        match = PROVENANCE.match(comment)
        if not match:
            raise SystemExit(f"drug_table: {section.name}: no source and status in: {comment}")
        status = match["status"] or match["kind"]
        found[{"SEEN_SECONDARY": "secondary", "UNVERIFIED": "unverified"}.get(
            status, "primary" if status.startswith("SEEN_PRIMARY") else status)] += 1
    return found


def in_words(hours):
    if hours is None:
        return "—"
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.3g} h" if hours < 96 else f"{hours / 24:.3g} d"


def row(section, carrier):
    mass, given = dose(section)
    amount = mass / section.number("molar_mass") * 1e3  # [umol]
    target = "—"
    if "target_affinity" in section.text:
        number = f", {float(section.text['target_number']):.2g} a cell" if "target_number" in section.text else ""
        target = f"{section.text['target_affinity']}{number}"
    payload = section.text.get("payload", "—")
    if payload != "—":
        payload = f"{section.text['payload_ratio']} {payload}"
    half = half_life(section)
    mark = "" if linear(section) or half is None else " ²" if section.number("clearance") > 0 else " ¹"
    area = "—"
    if amount > 0 and linear(section):
        area = f"{amount / section.number('clearance'):.3g}"
    cells = [section.name + (f" (set free by {carrier})" if carrier else ""), section.text["class"].replace("_", " "),
             section.text["molar_mass"].split()[0], section.text["stokes_radius"].split()[0], kinetics(section),
             in_words(half) + mark, section.text["unbound_fraction"], target,
             f"{given} {regimen(section)}" if mass > 0 else "—", f"{amount:.3g}" if mass > 0 else "—", area, payload,
             *map(str, counts(section).values())]
    return "| " + " | ".join(cells) + " |"


def table():
    titles = ["drug", "class", "molar mass, g/mol", "Stokes radius, nm", "plasma model", "half-life, last phase",
              "unbound", "K_D, targets", "dose", "µmol a dose", "AUC of one, µmol h/L", "payload", "primary", "secondary",
              "unverified", "derived", "assumed"]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    total = dict.fromkeys(("primary", "secondary", "unverified", "derived", "assumed"), 0)
    for path in sorted(FOLDER.glob("*.ini")):
        for section in read(path)[0]:
            for key, value in counts(section).items():
                total[key] += value
            if "molar_mass" in section.text:
                lines.append(row(section, path.stem if section.name != path.stem else ""))
    lines.append("| all values of all decks |" + " |" * (len(titles) - 6) + " "
                 + " | ".join(str(value) for value in total.values()) + " |")
    return "\n".join(lines)


def open_values():
    """What no source that was seen gives, drug by drug."""
    lines = []
    for path in sorted(FOLDER.glob("*.ini")):
        by = {"unverified": [], "assumed": []}
        for section in read(path)[0]:
            for key, comment in section.comment.items():
                match = PROVENANCE.match(comment)
                name = key if section.name == path.stem else f"{section.name}.{key}"
                if match["status"] == "UNVERIFIED":
                    by["unverified"].append(name)
                elif match["kind"] == "assumed" and key not in ("cycles", "retardation", "stokes_radius"):
                    by["assumed"].append(name)
        text = "; ".join(f"{what}: {', '.join(keys)}" for what, keys in by.items() if keys)
        lines.append(f"- **{path.stem}** {text or 'none'}")
    return "\n".join(lines)


def page():
    return f"""# Drugs

Generated from the decks of this folder by `postprocess/drug_table.py`: edit the decks, not this page.

A deck here holds one drug, `[drug.NAME]` (a carrier also what it sets free), with its usual regimen in people, one cycle of it.
A patient deck pulls it in by `include = ../drugs/NAME.ini` before its first section and overrides what differs. More cycles:
`cycles`. Other times: `cycles = 0` and `start_times`; a run that ends within the cycle wants fewer `cycle_days`. The decks know nothing of one another: two that carry the same payload
(doxorubicin and pegylated liposomal doxorubicin, fluorouracil and capecitabine) do not go together.

Each value says where it is from and how that was seen: in the authors' own data, table or abstract (primary), as others cite
it (secondary: a model library that transcribes tables, a monograph, a directory of drugs), from memory (unverified), or that it
is derived or assumed, and how or why. "nlmixr2lib" is github.com/nlmixr2/nlmixr2lib, a machine-assisted transcription: look
into the paper before a claim rests on it.

Of the classes without a single name in it, cenicriviroc stands for antagonists of CCR2, simtuzumab for inhibitors of LOX,
tepotinib for inhibitors of MET, vismodegib for those of Hedgehog, pexidartinib for those of the receptor of CSF-1.

Doses are of an adult of {WEIGHT} kg and {AREA} m². AUC is dose over clearance. ¹ at low concentrations.
² without the part of the elimination that saturates.

{table()}

## What no source that was seen gives

Besides Stokes radii, which go by molar mass or class, retardation (1) and the one cycle.

{open_values()}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="writes nothing, compares")
    check = parser.parse_args().check
    readme = FOLDER / "README.md"
    if check:
        same = readme.exists() and readme.read_text(encoding="utf-8") == page()
        print(f"{readme}: {'is what the decks give' if same else 'is not what the decks give: run postprocess/drug_table.py'}")
        return 0 if same else 1
    readme.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
