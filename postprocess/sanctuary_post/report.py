"""The page: from one run directory to one self-contained HTML file."""

import math
from dataclasses import dataclass, replace

import numpy as np
from plotly.offline import get_plotlyjs

from sanctuary_post import figures, page, treatment, units
from sanctuary_post.page import Page, escape
from sanctuary_post.run import Run, finite, quantile, write_whole

CLOSES = 1e-6  # a mass ledger closes to this share of the cumulative inflow into the compartment
BYTES_OF_VOLUMES = 3_600_000
_labels = {
    "interstitial_pressure": "Interstitial pressure", "oxygen_pressure": "Oxygen pressure pO₂", "viable_density": "Viable tumour cells",
    "auc": "free drug, AUC", "auc_bound": "bound drug, AUC", "auc_cells": "drug in cells, AUC", "time_above": "time above threshold", "cmax": "free drug, highest concentration", "free": "free drug", "bound": "bound drug",
    "cells": "drug in cells", "log_kill": "log₁₀ kill", "bound_cells": "drug bound in cells",
    "complexes": "drug on targets", "internalised": "drug taken in with targets", "occupancy": "share of targets held",
    "net_growth": "S0, 1 where growth would make up for death",
}


@dataclass
class Volume:
    """A field for the slice viewer: levels 0..255 [z, y, x] with their colours and what they mean."""

    levels: np.ndarray
    colours: np.ndarray
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    classes: tuple = ()


def write(directory, output):
    """Writes the page of a run directory; raises ReportError."""
    with Run(directory) as run:
        content = build(run).encode()
        write_whole(output, content)
        return Page(len(content), "" if run.complete else "incomplete run", run.notes)


def build(run):
    """The page of a run as text."""
    maker = _Maker(run)
    return maker.document()


class _Maker:
    def __init__(self, run):
        self.run = run
        self.volumes = []
        self.charts = {}
        self.vessels = None
        tissue = run.field("tissue")
        self.tumour = np.ones(run.cells[::-1], dtype=bool) if tissue is None else tissue.values >= 0.5
        self.outlined = tissue is not None and self.tumour.any() and not self.tumour.all()

    def document(self):
        parts = [
            ("glance", "At a glance", self.glance()),
            ("outcome", "Outcome", self.outcome()),
            ("sanctuaries", "Drug sanctuaries", self.sanctuaries()),
            ("fields", "Slices", self.slices()),
            ("vessels", "Vessels", self.vessel_view()),
            ("exposure", "Exposure of the viable tumour", self.exposure()),
            ("courses", "Time courses", self.courses()),
            ("balance", "Mass ledger", self.balance()),
            ("parameters", "Parameters", self.parameters()),
            ("timing", "Time spent", self.timing()),
        ]
        parts.append(("notes", "Notes", page.notes(self.run.notes)))
        return page.document(self.run.directory.resolve().name, self.header(), parts, self.data())

    def header(self):
        run = self.run
        facts = [(label, run.attribute(key)) for label, key in (
            ("program", "program_version"), ("git", "git_hash"), ("made", "created"), ("ranks", "ranks"), ("seed", "seed"),
            ("files", "schema_version"))]
        if min(run.cells) > 0:
            size = " × ".join(units.number(n * h * 1e3, 3) for n, h in zip(run.cells, run.spacing))
            facts.insert(0, ("piece", f"{size} mm, {' × '.join(map(str, run.cells))} cells"))
        if len(run.indices()):
            facts.insert(1, ("simulated to", units.duration(run.time[run.indices()[-1]])))
        if run.drugs:
            facts.insert(0, ("drug" if len(run.drugs) == 1 else "drugs", ", ".join(run.drugs)))
        if len(run.ends()) > 1:
            facts.insert(1, ("treatment cycles", len(run.ends())))
        command = run.attribute("command")
        warning = "" if run.complete else page.warning("Incomplete run", f"{run.why_incomplete()}. What is there is shown.")
        return warning + page.chips(facts) + (f"<p><code>{escape(command)}</code></p>" if command else "")

    def outcome(self):
        rows = []

        def add(values, prefix=""):
            for key, value in values.items():
                if isinstance(value, dict) and "value" not in value:
                    add(value, f"{prefix}{units.words(key)}: ")
                elif isinstance(value, list):
                    rows.append((prefix + units.words(key), ", ".join(units.number(v) if isinstance(v, (int, float)) else str(v) for v in value), ""))
                elif not (key.endswith("_unit") and key[:-5] in values):
                    label, shown, unit = units.keyed(key, value, values.get(f"{key}_unit"))
                    rows.append((prefix + label, shown, unit))

        # What is of one drug stands in the tables of that drug.
        drugs = tuple(f"{name}_" for name in (*self.run.drugs, *self.run.judged))
        add({key: value for key, value in self.run.outcome().items() if not key.startswith(drugs)})
        if not rows:
            return "" if self.run.complete else '<p class="quiet">The outcome is computed at the end of the run.</p>'
        cells = "".join(f"<tr><th>{escape(label)}</th><td>{escape(value)}</td><td>{escape(unit)}</td></tr>" for label, value, unit in rows)
        return f'<div class="columns"><table class="plain"><tbody>{cells}</tbody></table></div>'

    def glance(self):
        """One row for each drug and one for all: how much the tumour gets, and how much of it survives in each cycle."""
        run = self.run
        names = list(dict.fromkeys([*run.drugs, *run.judged]))
        found = {name: run.cycles("sanctuary", name) for name in names}
        count = max(map(len, found.values()), default=0)
        if not count:
            return ""
        longest = max(found.values(), key=len)
        more = ["largest cause of S1", *(["S3: in S1 in every cycle [%]"] if count > 1 else []), "S0: outgrows [%]",
                "kill of the reference cell [log₁₀]", "AUC free in tumour, mean", "Kp,uu [%]"]
        head = f'<th></th><th colspan="{count}">S1: survive, of viable cells [%]</th>' + "".join(f"<th>{one}</th>" for one in more)
        if count > 1:
            head += "</tr><tr><th></th>" + "".join(f"<th>{treatment.title(one)}</th>" for one in longest) + "<th></th>" * len(more)
        body = ""
        for name in names:
            rows, doses = found[name], run.cycles("exposure", name)
            last = rows[-1] if rows else {}
            cells = [treatment.number(one.get("s1_share"), 100) for one in rows] or ["–"] * count
            cause = max((label for label, _, _ in treatment.CAUSES), key=lambda label, last=last: last.get(f"{label}_share", 0))
            cells.append(cause if last.get("s1_share") else "–")
            cells += [treatment.number(last.get(f"{key}_share"), 100) for key in ("s3", "s0") if key == "s0" or count > 1]
            cells.append(treatment.number(last.get("L_ref")))
            area = doses[-1].get("auc_umol_h_L_mean") if doses else None
            unit, by = units.scale("umol h/L", area)
            ratio = treatment.free_over_plasma(doses[-1], self._plasma(name, doses)[-1]) if doses else None
            cells += ["–" if area is None else f"{treatment.number(area, by)} {unit}", treatment.number(ratio, 100)]
            body += f"<tr><th>{escape(treatment.named(name))}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        of = "" if count == 1 else " Causes, S0, kill and exposure are those of the last cycle; what each cycle counts are the cells alive at its start."
        weak = [treatment.named(name) for name in run.judged if found[name] and not any(one.get("direct_effect", True) for one in found[name])]
        weak = f" Without direct effect: {escape(', '.join(weak))}." if weak else ""
        outcome = run.outcome()
        cells = [outcome.get(key) for key in ("viable_cells_start", "viable_cells", "log_kill")]
        words = (f"Of {units.number(float(cells[0]), 3)} viable cells {units.number(float(cells[1]), 3)} are left: log₁₀ kill {units.number(float(cells[2]), 3)}."
                 if all(isinstance(one, (int, float)) for one in cells) else "")
        spared = [treatment.named(name) for name in names if name not in run.judged]
        weak += f" Not meant to kill: {escape(', '.join(spared))}." if spared else ""
        return (f'<p class="lead">{words}</p><div class="scroll"><table class="plain" data-table="glance"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
                f'<p class="quiet">Kp,uu: AUC free in the tumour over that unbound in plasma.{of}{weak}</p>')

    def sanctuaries(self):
        return "".join(f'<div class="drug">{part}</div>' for part in map(self.sanctuary, self.run.judged) if part)

    def sanctuary(self, name):
        cycles = self.run.cycles("sanctuary", name)
        maps = self._maps(name, cycles)
        if not cycles and not maps:
            return ""
        content = f"<h3>{escape(treatment.named(name))}</h3>"
        if not cycles:
            return content + '<p class="quiet">Volumes and shares are computed at the end of the run.</p>' + maps
        weak = [one.get("cycle", 1) for one in cycles if one.get("direct_effect", True) is False]
        if weak:
            where = "" if len(cycles) == 1 else f" in cycle {', '.join(map(str, weak))}"
            content += f"<p>The reference cell is killed less than 0.1 log₁₀{where}: no direct effect so far, and no sanctuary is reported.</p>"
        if any(one.get("theta_relative") and one.get("direct_effect", True) for one in cycles):
            content += '<p class="quiet">Θ is relative: half the kill of the reference cell, because that is under 2 log₁₀ (Θ is 1 at most).</p>'
        for one in cycles:
            parts = [one.get(f"{label}_share") for label, _, _ in treatment.CAUSES]
            if None not in parts and abs(sum(parts) - one.get("s1_share", 0)) > 1e-6 * max(one.get("s1_share", 0), 1e-12):
                self.run.note(f"{name}: the four causes sum to {100 * sum(parts):.6g} % in cycle {one.get('cycle', 1)}, "
                              f"S1 is {100 * one.get('s1_share', 0):.6g} %; they should be equal")
        return (content + treatment.causes(cycles) + f'<div class="{"tables" if len(cycles) == 1 else ""}">{treatment.shares(name, cycles)}{treatment.places(name, cycles)}</div>'
                + treatment.regions(name, self.run.regions(name)) + maps)

    def _maps(self, name, cycles):
        """Maps of the last cycle and, folded, of those before."""
        ends = self.run.ends() or {0: None}
        effect = {one.get("cycle", 1): one.get("direct_effect", True) for one in cycles}
        shown = []
        for cycle, index in ends.items():
            last = cycle == max(ends)
            bits = (self.run.at_end(name, "label") if last else None) or self.run.field(f"{name}_sanctuary", index if len(ends) > 1 else None)
            if bits is None or effect.get(cycle or 1, True) is False:
                continue
            classes = figures.sanctuary_classes(bits.values, self.tumour)
            present = set(np.unique(classes).tolist())
            key = "".join(
                f'<li><span class="swatch" style="background:{colour}"></span><b>{label}</b> {meaning}</li>'
                for index, (label, colour, meaning) in enumerate(figures.SANCTUARY) if index in present)
            volume = Volume(classes, figures.sanctuary_table(), classes=tuple(label for label, _, _ in figures.SANCTUARY))
            of = f", cycle {cycle}" if len(ends) > 1 else ""
            shown.append((last, self._figure(volume, f"Sanctuary map{'' if self.run.complete or not last else ' to date'}, {escape(name)}{of}",
                                             bits.time, f'<ul class="key">{key}</ul>', wide=True, label=bool(of))))
        if not shown:
            return ""
        earlier = "".join(figure for last, figure in shown if not last)
        return (self._sliders(self.run.cells[::-1], name) + "".join(figure for last, figure in shown if last)
                + (f"<details><summary>Maps of earlier cycles</summary>{earlier}</details>" if earlier else ""))

    def slices(self):
        run, names = self.run, self.run.field_names()
        first = ["interstitial_pressure", "oxygen_pressure"] + [f"{drug}_auc" for drug in run.drugs] + ["viable_density"]
        first += [f"{name}_log_kill" for name in run.judged]
        hidden = {"tissue"} | {f"{name}_sanctuary" for name in run.judged}
        rest = [name for name in names if name not in first and name not in hidden]
        main = "".join(self.field(name) for name in first if name in names or name.endswith("_log_kill"))
        more = "".join(self.field(name) for name in rest)
        if not main and not more:
            return ""
        outline = " The line is the edge of the tumour." if self.outlined else ""
        content = f'<p class="quiet">Slices through the piece; move them with the sliders.{outline}</p>'
        content += self._sliders(run.cells[::-1], "fields") + f'<div class="cards">{main}</div>'
        return content + (f'<details{"" if main else " open"}><summary>{len(rest)} more field{"s" if len(rest) > 1 else ""}</summary>'
                          f'<div class="cards">{more}</div></details>' if more else "")

    def field(self, name):
        index = self.run.peak_index(name) if name.endswith("_free") else None
        field = self.run.field(name, index)
        if field is None and name.endswith("_log_kill"):
            field = self.run.at_end(name.removesuffix("_log_kill"), "log_kill")
        if field is None:
            return ""
        low, high, clipped = figures.limits(field.values)
        unit, by = units.scale(field.unit, high)
        colour_map = figures.colours(name, self.run.drugs)
        volume = Volume(figures.quantised(field.values, low, high), figures.table(colour_map), low * by, high * by, unit)
        ticks = "".join(f"<span>{'≥ ' if clipped and i == 4 else ''}{units.number((low + (high - low) * i / 4) * by, 3)}</span>" for i in range(5))
        legend = f'<div class="bar" style="background:{figures.gradient(colour_map)}"></div><div class="ticks">{ticks}</div>'
        shown = f" [{escape(unit)}]" if unit else " [1]"
        peak = " (highest mean)" if index is not None else ""
        return self._figure(volume, escape(self._label(name, field)) + shown, field.time, legend, peak=peak)

    def _label(self, name, field):
        if name in _labels:
            return _labels[name]
        for drug in dict.fromkeys((*self.run.drugs, *self.run.judged)):
            if name.startswith(drug + "_") and name[len(drug) + 1 :] in _labels:
                return f"{treatment.named(drug)}: {_labels[name[len(drug) + 1 :]]}"
            if name.startswith(drug + "_") and field.label:
                return f"{treatment.named(drug)}: {field.label}"
        return field.label[:1].upper() + field.label[1:] if field.label else units.words(name)

    def _sliders(self, shape, name):
        spans = dict(zip("zyx", (n * h * 1e3 for n, h in zip(shape, self.run.spacing[::-1]))))
        inputs = "".join(
            f'<label>{axis} <input type="range" data-axis="{axis}" min="0" max="1" step="any" value="0.5" '
            f'aria-label="position of the {axis} slice"><output>{units.number(spans[axis] / 2, 3)} mm</output></label>'
            for axis in "xyz")
        return f'<div class="sliders" data-group="{escape(name)}" hidden>{inputs}</div>'

    def _figure(self, volume, title, time, legend, wide=False, peak="", label=False):
        levels = volume.levels
        index = len(self.volumes)
        self.volumes.append(volume)
        spacing = self.run.spacing[::-1] * 1e3
        sizes = dict(zip("zyx", (n * h for n, h in zip(levels.shape, spacing))))
        small = figures.thinned(levels, 128)
        slices = ""
        for (axis, across, up), picture in zip((("z", "x", "y"), ("y", "x", "z"), ("x", "y", "z")), figures.middle_slices(small, volume.colours)):
            bar = _round_length(sizes[across])
            length = f"{units.number(bar * 1e3)} µm" if bar < 1 else f"{units.number(bar)} mm"
            slices += (
                f'<div class="slice" data-axis="{axis}"><div class="picture" style="aspect-ratio:{sizes[across]:.6g}/{sizes[up]:.6g}">'
                f'<img src="{picture}" alt="{title}, middle slice in {axis}">'
                f'<span class="scale" style="width:{100 * bar / sizes[across]:.2f}%"><b>{length}</b></span></div>'
                f'<div class="where"><span>{axis} = {units.number(sizes[axis] / 2, 3)} mm</span> <small>{across} →, {up} ↑</small></div></div>')
        ends = self.run.ends()
        cycle = "" if label or len(ends) < 2 or time is None else f", cycle {self.run.cycle(self.run.time.tolist().index(time))}"
        at = f" <small>at {units.duration(time)}{cycle}{peak}</small>" if time is not None else ""
        return (f'<figure class="field{" wide" if wide else ""}" data-volume="{index}"><figcaption><b>{title}</b>{at}<output></output></figcaption>'
                f'<div class="slices">{slices}</div>{legend}</figure>')

    def vessel_view(self):
        network = self.run.network()
        if network is None:
            return ""
        self.vessels = figures.vessels(network, self.run.drugs)
        flat = figures.vessels_flat(network, self.run.drugs)
        count, drawn = self.vessels["count"], self.vessels["drawn"]
        lengths = np.linalg.norm(np.diff(network.nodes[network.segments], axis=1)[:, 0], axis=1)
        words = [f"{units.number(count)} segments, {units.number(np.nansum(lengths) * 1e3)} mm long in all, "
                 f"median radius {units.number(float(np.nanmedian(network.radius)) * 1e6, 3)} µm."]
        if drawn < count:
            words.append(f"Drawn are the {units.number(drawn)} widest.")
        if self.vessels["factor"] > 1.005:
            words.append(f"Drawn {units.number(self.vessels['factor'], 2)} times as wide as they are.")
        buttons = "".join(f'<button type="button" data-quantity="{i}">{escape(one["label"])}</button>' for i, one in enumerate(self.vessels["quantities"]))
        picture = f'<img class="flat" src="{flat}" alt="vessels seen along z, coloured by drug and by pO2">' if flat else ""
        return (f'<p class="quiet">{" ".join(words)}</p><div class="buttons" id="vessel-buttons" hidden>{buttons}</div>'
                '<div id="vessel-legend" hidden><b></b><div class="bar"></div><div class="ticks">' + "<span></span>" * 5 + "</div></div>"
                f'<div id="vessel-view" hidden></div><div id="vessel-flat">{picture}</div>')

    def exposure(self):
        return "".join(map(self._exposure, self.run.drugs))

    def _exposure(self, drug):
        run = self.run
        cycles = run.cycles("exposure", drug)
        of = f", cycle {cycles[-1].get('cycle')}" if len(cycles) > 1 else ""
        content = treatment.exposure(drug, cycles, self._plasma(drug, cycles)) if cycles else ""
        if cycles:
            content += '<p class="quiet">Over the cells alive at the start of the cycle. A50, A95: what half and 95 % of them reach.</p>'
        charts = ""
        found, source = run.histogram(drug), "written by the run"
        if found is None:
            found, source = self._histogram_of_fields(drug), "computed here from the fields of the last output time"
        if found is not None:
            dose, unit, fraction = found
            self.charts[f"histogram-{drug}"] = figures.histogram(dose, fraction, unit)
            shown, by = units.scale(unit, float(np.max(dose)))
            at = lambda share: float(np.interp(-share, -fraction, dose)) * by
            gets = ", ".join(f"{share} % ≥ {units.number(at(share / 100), 3)}" for share in (95, 50, 5))
            charts += (f'<div><p class="lead">Drug-volume histogram{of}</p>{self._chart(f"histogram-{drug}")}'
                       f'<p class="quiet">Of the viable tumour {gets} {escape(shown)}; {source}.</p></div>')
        profiles = self._profiles(drug)
        if profiles:
            self.charts[f"profile-{drug}"] = figures.distance_profiles(*profiles)
            charts += f'<div><p class="lead">AUC by distance from vessels{of}</p>{self._chart(f"profile-{drug}")}<p class="quiet">Mean over the tumour.</p></div>'
        content += f'<div class="cards charts">{charts}</div>' if charts else ""
        constants = "; ".join(" ".join(units.keyed(key, value)).strip() for key, value in self._of_drug(drug).items()
                              if cycles and key not in cycles[-1] and not key.startswith(("s0_", "s1_", "s2_", "s3_", "s4_", "reference_")))
        content += f'<p class="quiet">{escape(constants)}.</p>' if constants else ""
        return f"<h3>{escape(treatment.named(drug))}{escape(self._kin(drug))}</h3>{content}" if content else ""

    def _kin(self, drug):
        """What a drug sets free, or what sets it free, for its heading."""
        payload = {one.key.split(".")[1]: one.value for one in self.run.settings() if one.key.startswith("drug.") and one.key.endswith(".payload")}
        carriers = [name for name, freed in payload.items() if freed == drug]
        if carriers:
            return f", set free by {' and '.join(map(treatment.named, carriers))}"
        return f", carrier of {treatment.named(payload[drug])}" if payload.get(drug) in self.run.drugs else ""

    def _of_drug(self, name):
        """The part of the outcome that is of one drug, keys without its name."""
        others = [one for one in (*self.run.drugs, *self.run.judged) if len(one) > len(name) and one.startswith(f"{name}_")]
        return {key[len(name) + 1 :]: value for key, value in self.run.outcome().items()
                if key.startswith(f"{name}_") and not key.startswith(tuple(f"{one}_" for one in others))}

    def _plasma(self, drug, cycles):
        """What the time courses add on plasma, by cycle: the highest concentration and the unbound AUC."""
        time, quantities = self.run.series()
        courses = {one.name: one.values for one in quantities}
        total, unbound = (courses.get(f"{drug}_plasma{form}") for form in ("", "_unbound"))
        rows = []
        for one in cycles:
            rows.append({})
            start, end = one.get("start_h"), one.get("end_h")
            use = np.full(time.shape, True) if None in (start, end) else (time >= 3600 * start * (1 - 1e-12)) & (time <= 3600 * end * (1 + 1e-12))
            if total is None or not use.any():
                continue
            rows[-1]["highest"] = float(np.max(total[use]))
            # The run integrates the total exactly; of it, the unbound share is that of the time courses.
            if unbound is not None and np.trapz(total[use], time[use]) > 0 and "plasma_auc_umol_h_L" in one:
                rows[-1]["unbound_auc"] = one["plasma_auc_umol_h_L"] * np.trapz(unbound[use], time[use]) / np.trapz(total[use], time[use])
        return rows

    def _profiles(self, drug):
        """Distances [um] and the AUC of each form of a drug there over that next to vessels; None without."""
        distance = self.run.field("distance_to_vessel")
        if distance is None:
            return None
        width = max(self.run.spacing) * 1e6
        use = self.tumour & np.isfinite(distance.values)
        bins = (distance.values[use] / width).astype(int)
        count = np.bincount(bins)
        there = count >= 5
        profiles = []
        for form, label in treatment.FORMS:
            field = self.run.field(f"{drug}_auc{form}")
            if field is None or not there.any():
                continue
            mean = np.bincount(bins, weights=field.values[use])[there] / count[there]
            if mean[0] > 0:
                profiles.append((label, mean / mean[0]))
        return (np.bincount(bins, weights=distance.values[use])[there] / count[there], profiles) if profiles else None

    def _histogram_of_fields(self, drug):
        auc, density = self.run.field(f"{drug}_auc"), self.run.field("viable_density")
        if auc is None:
            return None
        weight = np.where(self.tumour, 1.0 if density is None else density.values, 0.0)
        use = np.isfinite(auc.values) & np.isfinite(weight) & (weight > 0)
        values, weight = auc.values[use], weight[use]
        if not len(values):
            return None
        shares = np.linspace(0, 1, 201)
        dose = quantile(values, weight, shares)
        return np.append(0.0, dose), auc.unit, np.append(1.0, 1 - shares)

    def courses(self):
        time, quantities = self.run.series()
        if not quantities or not len(finite(time)):
            return ""
        ends = self.run.ends()
        starts = [self.run.time[index] for cycle, index in ends.items() if cycle < max(ends)]
        left = {one.name: one for one in quantities}
        made = []

        def together(title, names):
            """A chart of the quantities of these names, {name: label}."""
            members = [replace(left.pop(name), label=label) for name, label in names.items() if name in left]
            members = [one for one in members if finite(one.values).any()] or members  # not what there is nothing of
            if members:
                made.append((title, figures.time_course(time, members, members[0].unit, cycles=starts)))

        for drug in self.run.drugs:
            named = treatment.named(drug)
            together(f"{named} in plasma", {f"{drug}_plasma": "total", f"{drug}_plasma_unbound": "unbound", f"{drug}_metabolite_plasma": "metabolite"})
            together(f"{named} in the tumour, mean", {f"{drug}_{form.strip('_') or 'free'}_mean": label for form, label in treatment.FORMS})
        together("Half-distance: all drug in tissue falls to half of that at perfused vessels",
                 {f"{drug}_half_distance": treatment.named(drug) for drug in self.run.drugs})
        made += figures.time_courses(time, left.values(), starts)
        content = ""
        for index, (title, figure) in enumerate(made):
            self.charts[f"course-{index}"] = figure
            content += f'<div>{f"<h3>{escape(title)}</h3>" if title else ""}{self._chart(f"course-{index}")}</div>'
        marks = '<p class="quiet">Dotted lines: a new treatment cycle starts.</p>' if starts else ""
        return f'{marks}<div class="cards charts">{content}</div>'

    def _chart(self, name):
        return f'<div class="chart" data-chart="{escape(name)}"><p class="quiet">This chart needs JavaScript and a browser of 2023 or later.</p></div>'

    def balance(self):
        rows = self.run.balance()
        if not rows:
            return ""
        columns = list(dict.fromkeys(name for _, _, values in rows for name in values))
        errors = [name for name in columns if "error" in name.lower()]
        limits = [name for name in columns if name == "allowed"]
        order = ("start", "initial", "in_place", "in", "inflow", "out", "outflow", "bound", "degraded")
        rank = {name: place for place, name in enumerate(order)}
        columns = sorted((name for name in columns if name not in errors + limits), key=lambda name: rank.get(name, len(order))) + errors + limits
        named = any(where for _, where, _ in rows)
        head = "".join(f"<th>{escape(units.words(name))}</th>" for name in columns)
        body, worst, open_ledgers, bare = "", 0.0, 0, False
        for species, where, values in rows:
            cells = ""
            allowed = values.get("allowed", (CLOSES, ""))[0] or CLOSES
            largest = max((abs(value) for name, (value, _) in values.items() if name not in errors + limits and value is not None and math.isfinite(value)), default=0.0)
            for name in columns:
                value, unit = values.get(name, (None, ""))
                relative = "error" in name.lower() and (unit in ("", "1") or "relative" in name.lower() or name.lower() == "error")
                if name not in values:
                    cells += "<td></td>"
                elif name in limits:
                    cells += f"<td>{units.number(value, 2)}</td>"
                elif relative:
                    good = value is not None and math.isfinite(value) and abs(value) <= allowed
                    open_ledgers += not good
                    worst = max(worst, math.inf if value is None or not math.isfinite(value) else abs(value))
                    cells += f'<td class="{"good" if good else "bad"}">{units.number(value, 3)} {"✓" if good else "✗"}</td>'
                else:
                    bare = bare or not unit
                    shown, by = units.scale(unit, largest)
                    cells += f"<td>{units.number(None if value is None else value * by)} {escape(shown)}</td>"
            body += f"<tr><th>{escape(units.words(species))}</th>{f'<th>{escape(units.words(where))}</th>' if where or named else ''}{cells}</tr>"
        head = f"<th>Species</th>{'<th>Compartment</th>' if named else ''}{head}"
        verdict = (f"Largest error {units.number(worst, 3)}: " + ("not every ledger closes." if open_ledgers else "every ledger closes.")) if errors else ""
        return (f'<div class="scroll"><table class="plain wide"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
                f'<p class="quiet">Errors are relative to the cumulative inflow into the compartment; a run must close to 10⁻⁶. {verdict}'
                f'{" Amounts without a unit are in SI, as the run wrote them." if bare else ""}</p>')

    def parameters(self):
        settings = self.run.settings()
        deck = self.run.attribute("deck")
        content = ""
        if settings:
            changed = [one for one in settings if one.default is False]
            unknown = all(one.default is None for one in settings)
            if unknown:
                content += _settings_table(settings)
            else:
                content += f'<p class="quiet">{len(changed)} of {len(settings)} differ from their default.</p>'
                content += _settings_table(changed) if changed else ""
                content += f"<details><summary>All {len(settings)} parameters</summary>{_settings_table(settings)}</details>"
        if deck:
            content += page.folded("The deck", deck)
        return content

    def timing(self):
        timing = self.run.part("timing")
        rows = []

        def add(values, prefix=""):
            for key, value in values.items():
                if isinstance(value, dict):
                    add(value, prefix if key in ("phases", "phase", "seconds") else f"{prefix}{units.words(key)}: ")
                elif isinstance(value, (int, float)) and not isinstance(value, bool):
                    rows.append((f"{prefix}{units.words(key.removesuffix('_seconds').removesuffix('_s'))}", key, float(value)))

        add(timing)
        spans = [(label, value) for label, key, value in rows if _is_seconds(key)]
        other = [units.keyed(key, value) for label, key, value in rows if not _is_seconds(key)]
        if not spans:
            return ""
        totals = [value for label, value in spans if label.lower() in ("total", "wall", "wall time", "elapsed")]
        phases = sorted(((label, value) for label, value in spans if label.lower() not in ("total", "wall", "wall time", "elapsed")), key=lambda one: -one[1])
        largest = max([value for _, value in phases] or [1.0]) or 1.0
        whole = totals[0] if totals else sum(value for _, value in phases)
        body = "".join(
            f'<tr><th>{escape(label)}</th><td>{units.number(value, 3)}</td><td>{units.number(100 * value / whole, 3) if whole else ""}</td>'
            f'<td class="meter"><span style="width:{100 * value / largest:.2f}%"></span></td></tr>' for label, value in phases)
        body += f"<tr><th>Total</th><td>{units.number(whole, 3)}</td><td></td><td></td></tr>" if whole else ""
        for name in ("memory", "work"):
            other += [units.keyed(key, value) for key, value in self.run.part(name).items() if isinstance(value, (int, float))]
        extra = "; ".join(f"{label}: {value} {unit}".strip() for label, value, unit in other)
        return (f'<table class="plain timing"><thead><tr><th>Phase</th><th>[s]</th><th>[%]</th><th></th></tr></thead><tbody>{body}</tbody></table>'
                + (f'<p class="quiet">{escape(extra)}</p>' if extra else ""))

    def data(self):
        volumes, thinned = [], []
        for most in (96, 72, 64, 48, 32, 24):
            thinned = [figures.thinned(one.levels, most) for one in self.volumes]
            volumes = [figures.packed(levels.tobytes()) for levels in thinned]
            if sum(map(len, volumes)) <= BYTES_OF_VOLUMES:
                break
        edge = figures.thinned(self.tumour.astype(np.uint8), 96) if self.outlined else None
        about = {
            "volumes": [{"shape": levels.shape, "low": one.low, "high": one.high, "unit": one.unit, "classes": one.classes,
                         "colours": one.colours.ravel().tolist()} for one, levels in zip(self.volumes, thinned)],
            "size": dict(zip("xyz", (n * h * 1e3 for n, h in zip(self.run.cells, self.run.spacing)))),
            "tumour": None if edge is None else edge.shape,
            "vessels": self.vessels,
            "charts": {name: figure.to_plotly_json() for name, figure in self.charts.items()},
        }
        packs = [("about", figures.packed(figures.encoded(about)))] + [(f"volume-{i}", one) for i, one in enumerate(volumes)]
        if edge is not None:
            packs.append(("tumour", figures.packed(edge.tobytes())))
        if self.charts or self.vessels:
            packs.append(("plotly", figures.packed(get_plotlyjs().encode())))
        scripts = "".join(f'<script type="application/gzip" id="data-{name}">{content}</script>' for name, content in packs)
        return f"{scripts}<script>{(page.asset / 'page.js').read_text(encoding='utf-8')}</script>"


def _settings_table(settings):
    rows = "".join(
        f"<tr><th><code>{escape(one.key)}</code></th><td>{escape(one.value)}</td><td>{escape(units.pretty(one.unit))}</td><td>{escape(one.source)}</td></tr>"
        for one in settings)
    return ('<div class="scroll"><table class="plain left"><thead><tr><th>Key</th><th>Value</th><th>Unit</th><th>Source</th></tr></thead>'
            f"<tbody>{rows}</tbody></table></div>")


def _is_seconds(key):
    return not any(part in key for part in ("count", "steps", "iterations", "ranks", "bytes", "memory", "number", "cells"))


def _round_length(span):
    """A round length (1, 2 or 5 times a power of ten) of about a quarter of a span."""
    power = 10.0 ** math.floor(math.log10(span / 4))
    return max(step * power for step in (1, 2, 5) if step * power <= span / 4)
