"""The page of a cohort, its figures and their data."""

import base64
import itertools
import re

import numpy as np

from sanctuary_post import cohort_figures as drawing
from sanctuary_post import estimates, page, units
from sanctuary_post.cohort import DONE, FAILED, REJECTED, STATUS, Cohort
from sanctuary_post.page import Page, escape, heading
from sanctuary_post.run import ReportError, UsageError, quantile, write_whole

# Endpoints in the table of arms, where they exist; the first ones have figures.
ENDPOINTS = {
    "log_kill": "Log kill", "sanctuary_share": "In sanctuaries, of viable cells", "viable_cells": "Viable cells left",
    "sanctuary_volume_mm3": "Volume of sanctuaries", "sanctuary_delivery_share": "by delivery, of viable cells",
    "sanctuary_protection_share": "by protection, of viable cells", "sanctuary_both_share": "by either alone, of viable cells",
    "sanctuary_joint_share": "by both together only, of viable cells", "hypoxic_fraction": "", "perfused_fraction": "",
    "interstitial_pressure_mean_mmHg": "", "oxygen_pressure_median_mmHg": "", "tumour_volume_mm3": "",
}
OF_DRUGS = ("_s1_share", "_auc_umol_h_L_mean", "_accessible_fraction")
SHOWN = tuple(ENDPOINTS)[:3]
# Of the state before treatment; the first that differs between patients is drawn, unless --against names another.
STATE = ("hypoxic_fraction", "perfused_fraction", "interstitial_pressure_mean_mmHg", "oxygen_pressure_median_mmHg",
         "tumour_perfusion_ml_min_100g", "vessel_length_density_mm_mm3", "tumour_volume_mm3", "tumour_filtration_ml_h_g")
PAIRED = 4  # so many arms are compared each with each; more, with the first
LISTED = 200  # rows of patients in a table
LONGEST = 10
MADE = r"((distribution|waterfall|differences|sanctuaries_against|sensitivity)_\w+\.(svg|csv)|excluded\.csv)"
FEW = 20.0  # effective sample size under which a warning stands


def write(directory, output, against=None):
    """Writes the page of a cohort and, beside it, the folder of its figures; raises ReportError."""
    cohort = Cohort(directory, lambda name: name in ENDPOINTS or name in STATE or name == against or name.endswith(OF_DRUGS))
    maker = _Maker(cohort, against, f"{output.stem}_data")
    content = maker.document().encode()
    folder = output.parent / maker.folder
    try:
        folder.mkdir(exist_ok=True)
    except OSError as trouble:
        raise ReportError(f"{folder}: cannot be made ({trouble.strerror}); name another file with -o FILE") from None
    for name, data in maker.files.items():
        write_whole(folder / name, data)
    write_whole(output, content)
    for path in folder.iterdir():  # of an earlier report, and no longer so
        if path.name not in maker.files and re.fullmatch(MADE, path.name):
            path.unlink(missing_ok=True)
    return Page(len(content), "" if cohort.finished else "unfinished cohort", cohort.notes)


def kind(reason):
    """A reason without the numbers that differ from patient to patient; bounds in brackets stay."""
    return re.sub(r"(?<![\w.\[])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\w|\]|\.\d)", "…", reason)


def plural(count, word):
    """`1 patient`, `2 patients`."""
    return f"{units.number(count)} {word}{'' if count == 1 else 's'}"


def number(value, digits=3):
    """A number, or a dash."""
    return units.number(value, digits) if np.isfinite(value) else "–"


def p_value(p):
    """A p value."""
    return "–" if p is None or not np.isfinite(p) else "< 10⁻¹⁰⁰" if p < 1e-100 else units.number(float(p), 2)


def interval(low, high):
    """Two bounds, or a dash."""
    return f"{number(low)} to {number(high)}" if np.isfinite([low, high]).all() else "–"


class _Maker:
    def __init__(self, cohort, against, folder):
        self.cohort = cohort
        self.folder = folder
        self.files = {}
        asked = [name for name in cohort.texts("cohort", "sensitivity") if name not in SHOWN]
        self.main = [name for name in (*SHOWN, *asked) if self.axis(name)]
        self.against = self.chosen(against)

    def document(self):
        parts = [
            ("simulated", "What was simulated", self.simulated()),
            ("arms", "Arms", self.arms()),
            ("endpoints", "Endpoints by arm", self.distributions()),
            ("differences", "The same patients in two arms", self.differences()),
            ("state", "Sanctuaries and the state before treatment", self.state()),
            ("sensitivity", "Sensitivity", self.sensitivity()),
            ("excluded", "Failed and rejected", self.excluded()),
            ("cost", "Cost", self.cost()),
            ("notes", "Notes", page.notes(self.cohort.notes)),
        ]
        return page.document(self.cohort.directory.resolve().name, self.top(), parts)

    # What is asked of the cohort more than once.

    def label(self, name):
        """What an endpoint is called."""
        return ENDPOINTS.get(name) or units.named(name)[0]

    def axis(self, name, variants=None):
        """Label, unit and factor of an endpoint over all arms; None where none has it."""
        found = [one.value(name) for one in (self.cohort.arms if variants is None else variants)]
        found = [values[np.isfinite(values)] for values in found if values is not None]
        return (self.label(name), *units.axis(name, np.concatenate(found))[1:]) if found else None

    def sample(self, arm, values, factor=1, label=None):
        """The patients that count and have a value, in the colour of an arm; None without any."""
        if values is None:
            return None
        use = np.isfinite(values) & self.cohort.accepted
        tone = self.cohort.arms.index(arm)
        return drawing.Sample(label or arm.label, values[use] * factor, self.cohort.weight[use], np.flatnonzero(use), tone) if use.any() else None

    def figure(self, made):
        """A figure on the page; its files are kept for the folder."""
        self.files |= {f"{made.name}.svg": made.svg, f"{made.name}.csv": made.csv}
        source = base64.b64encode(made.svg).decode()
        return (f'<figure><figcaption><b>{escape(made.title)}</b></figcaption><img class="flat" alt="{escape(made.title)}" src="data:image/svg+xml;base64,{source}">'
                f'<p class="quiet">{escape(self.folder)}/{escape(made.name)}.svg, .csv</p></figure>')

    def anywhere(self, status):
        """How many patients have a status in some variant."""
        return int(np.any([one.status == status for one in self.cohort.variants], axis=0).sum()) if self.cohort.variants else 0

    # Parts of the page.

    def top(self):
        cohort = self.cohort
        facts = [("patients", units.number(cohort.patients)), ("accepted", units.number(int(cohort.accepted.sum()))), ("arms", len(cohort.arms)),
                 ("design", cohort.setting("cohort", "design")), ("seed", cohort.setting("cohort", "seed")),
                 ("program", cohort.meta.get("program_version", "")), ("git", cohort.meta.get("git_hash", "")), ("files", cohort.meta.get("schema_version", ""))]
        command = cohort.meta.get("command", "")
        return ("".join(page.warning(*one) for one in self.warnings()) + page.chips(facts) + (f"<p><code>{escape(command)}</code></p>" if command else ""))

    def warnings(self):
        cohort = self.cohort
        settled = int(np.isin(cohort.tasks["status"], (DONE, FAILED, REJECTED)).sum())
        if not cohort.finished:
            yield ("Unfinished cohort", f"{units.number(settled)} of {units.number(cohort.patients * len(cohort.variants))} tasks are done with. What is there is shown; weights and "
                   "sensitivities come at the end. `sanctuary resume DIR` goes on with it.")
        if cohort.shard:
            yield "Shard", f"this is shard {cohort.shard[0]} of {cohort.shard[1]} of a cohort; other patients are elsewhere, and weights and sensitivities come when the shards are merged."
        if not cohort.accepted.any():
            yield "No results", "no patient is through: there is nothing to compare."
        else:
            for arm in cohort.arms:
                if not arm.count(DONE):
                    yield "Empty arm", f"no patient is through {arm.label}: {units.number(arm.count(FAILED))} failed, {units.number(arm.count(REJECTED))} rejected."
        failed = self.anywhere(FAILED)
        if failed:
            yield "Failed patients", f"{plural(failed, 'patient')} of {units.number(cohort.patients)} failed in an arm or before treatment; nothing of what failed is in the figures."
        if cohort.remark:
            yield "Weights refused", f"{cohort.remark.removeprefix('no weights: ')}. All patients count alike, and the cohort does not have the laws of [target]."
        accepted = int(cohort.accepted.sum())
        if cohort.weighted and (cohort.effective < FEW or cohort.effective < accepted / 2):
            yield "Few patients carry the weights", f"effective sample size {units.number(cohort.effective, 3)} of {units.number(accepted)} accepted patients."

    def simulated(self):
        cohort = self.cohort
        words = [f"{plural(cohort.patients, 'patient')}, each through {'each of ' if len(cohort.arms) > 1 else ''}{plural(len(cohort.arms), 'arm')}."]
        if cohort.weighted:
            words.append(f"Patients are weighted for the laws of [target]; effective sample size {units.number(cohort.effective, 3)} of {units.number(int(cohort.accepted.sum()))}.")
        content = f"<p>{' '.join(words)}</p>"
        rows = []
        for arm in cohort.arms:
            given = {key: value for key, value in cohort.sections.get(f"arm.{arm.name}", {}).items() if key != "label" and value}
            rows.append([escape(arm.label), f"<code>{escape(arm.name)}</code>", "<br>".join(f"<code>{escape(key)} = {escape(value)}</code>" for key, value in given.items()) or "–"])
        content += page.table("given", heading("Arm", "name", "what it is given"), rows, "plain words")
        rows = [[f"<code>{escape(key)}</code>", escape(law)] for key, law in cohort.varied.items()]
        content += (page.table("varied", heading("What varies", "law"), rows, "plain words") if rows
                    else "<p>No parameter varies: patients differ by the seeds of their vessel networks alone.</p>")
        correlated = cohort.setting("vary", "correlate")
        content += f'<p class="quiet">Correlated: {escape(correlated)}.</p>' if correlated else ""
        for section, title in (("plausible", "Rejected outside of, before treatment"), ("target", "Weighted to have")):
            rows = [[f"<code>{escape(key)}</code>", escape(value)] for key, value in cohort.sections.get(section, {}).items()]
            content += page.table(section, heading(title, ""), rows, "plain words") if rows else ""
        return content + page.folded("The deck, resolved", cohort.deck)

    def arms(self):
        cohort = self.cohort
        rows = [[title, *(units.number(arm.count(*which)) for arm in cohort.arms)] for title, which in (
            ("Patients done", (DONE,)), ("failed", (FAILED,)), ("rejected", (REJECTED,)))]
        if not cohort.finished and not cohort.shard:
            rows.append(["to do", *(units.number(cohort.patients - arm.count(DONE, FAILED, REJECTED)) for arm in cohort.arms)])
        names = [*ENDPOINTS, *(name for name in self.main if name not in ENDPOINTS),
                 *sorted(name for name in cohort.endpoints if name.endswith(OF_DRUGS) and name not in ENDPOINTS)]
        for name in dict.fromkeys(names):
            shown = self.axis(name)
            if shown is None:
                continue
            label, unit, factor = shown
            cells = []
            for arm in cohort.arms:
                one = self.sample(arm, arm.value(name), factor)
                cells.append("–" if one is None else "{} <small>{} to {}</small>".format(*map(number, quantile(one.values, one.weights, (0.5, 0.25, 0.75)))))
            label = f'<span class="more">{escape(label)}</span>' if label.startswith("by ") else escape(label)
            rows.append([label + (f" [{escape(unit)}]" if unit else ""), *cells])
        weights = "weighted " if cohort.weighted else ""
        return (page.table("arms", heading("", *(escape(arm.label) for arm in cohort.arms)), rows)
                + f'<p class="quiet">Endpoints: {weights}median and quartiles of accepted patients that are through the arm; a dash where it has none.</p>')

    def distributions(self):
        content = ""
        for name in self.main:
            label, unit, factor = self.axis(name)
            samples = [one for arm in self.cohort.arms if (one := self.sample(arm, arm.value(name), factor))]
            if not samples:
                continue
            title = drawing.titled(label, unit)
            every = np.concatenate([one.values for one in samples])
            content += self.figure(drawing.strips(f"distribution_{name}", label, samples, title, drawing.logarithmic(every)))
            if name == "log_kill":
                content += self.figure(drawing.waterfall(f"waterfall_{name}", f"{label}, patient by patient", samples, title))
        if not content:
            return "<p>No patient has any of these endpoints.</p>"
        most = f" At most {drawing.MOST} points of an arm are drawn, evenly over its ranks, and {drawing.BINS} steps; the CSV files hold what is drawn, cohort.csv all."
        weights = "weighted " if self.cohort.weighted else ""
        return (f'<p class="quiet">Boxes: {weights}median and quartiles; whiskers: 5 and 95 %.{most if self.cohort.accepted.sum() > drawing.MOST else ""}</p>'
                f'<div class="cards">{content}</div>')

    def differences(self):
        arms = self.cohort.arms
        if len(arms) < 2:
            return "<p>The cohort has one arm: there is nothing to compare it with.</p>"
        pairs = list(itertools.combinations(arms, 2)) if len(arms) <= PAIRED else [(arms[0], other) for other in arms[1:]]
        drawn, rows = "", []
        for name in self.main:
            label, unit, factor = self.axis(name)
            unit = "% points" if unit == "%" else unit
            samples, found = [], []
            for first, second in pairs:
                before, after = first.value(name), second.value(name)
                values = None if before is None or after is None else after - before
                one = self.sample(second, values, factor, f"{second.label} − {first.label}")
                if one is None:
                    continue
                middle = quantile(one.values, one.weights, 0.5)
                low, high = estimates.bootstrap_median(one.values, one.weights)
                samples.append(one)
                found.append((middle, low, high))
                rows.append([escape(f"{label}{f' [{unit}]' if unit else ''}"), escape(one.label), units.number(len(one.values)), number(middle), interval(low, high),
                             f"{units.number(int((one.values > 0).sum()))} / {units.number(int((one.values < 0).sum()))}", p_value(estimates.sign_test(one.values))])
            if samples:
                drawn += self.figure(drawing.differences(f"differences_{name}", f"{label}, difference in the same patient", samples, found,
                                                         drawing.titled(f"{label}, difference", unit)))
        if not rows:
            return "<p>No two arms share a patient and an endpoint.</p>"
        content = page.table("differences", heading("Endpoint", "arms", "patients", "median difference", "95 % interval", "up / down", "p"), rows, "plain words")
        weights = "Medians are weighted, the sign test is not. " if self.cohort.weighted else ""
        return (content + '<p class="quiet">Interval: bootstrap over patients, percentiles, '
                f'{units.number(estimates.RESAMPLES)} resamples (fewer of more than 20\u202f000 patients) with seed {estimates.SEED}, from {estimates.FEWEST} patients on. '
                f'p: two-sided sign test, exact, not corrected for how many are made; with simulated patients it says how sure the sign is, and falls with their number. {weights}</p>'
                f'<div class="cards">{drawn}</div>')

    def chosen(self, against):
        """The endpoint before treatment that sanctuaries are drawn against; None without any."""
        before = [one for one in self.cohort.variants if one.baseline]
        if against is not None:
            if not any(one.value(against) is not None for one in before):
                raise UsageError(f"--against {against}: no such endpoint before treatment; expected one such as "
                                 f"{', '.join(name for name in STATE if any(one.value(name) is not None for one in before)) or '(there are none yet)'}")
            return against
        for name in STATE:
            for one in before:
                values = one.value(name)
                if values is not None and len(np.unique(values[np.isfinite(values) & self.cohort.accepted])) > 1:
                    return name
        return None

    def state(self):
        arms = [arm for arm in self.cohort.arms if arm.parent is not None and self.sample(arm, arm.value("sanctuary_share"))]
        if not arms:
            return "<p>No arm has sanctuaries and a state before treatment to set beside them.</p>"
        if self.against is None:
            return "<p>The state before treatment is the same in all patients.</p>"
        label, unit, factor = self.axis("sanctuary_share")
        rows, panels = [], []
        for name in dict.fromkeys((self.against, *STATE)):
            before = self.axis(name, [arm.parent for arm in arms])
            if before is None:
                continue
            cells = []
            for arm in arms:
                one, values = self.sample(arm, arm.value("sanctuary_share"), factor), arm.parent.value(name)
                if values is None:
                    cells.append("–")
                    continue
                x = values[one.patients] * before[2]
                rho, count = estimates.rank_correlation(x, one.values)
                around = interval(*estimates.correlation_interval(rho, count))
                cells.append(f"{number(rho, 2)} <small>{around}, {plural(count, 'patient')}</small>" if np.isfinite(rho) else "–")
                if name == self.against:
                    panels.append((one, x))
                    across = drawing.titled(f"{before[0]}, before treatment", before[1])
            rows.append([escape(drawing.titled(*before[:2])), *cells])
        figure = drawing.scatter(f"sanctuaries_against_{self.against}", f"{label}, against {self.label(self.against)}", panels, across, drawing.titled(label, unit))
        few = f" At most {drawing.MOST} patients of an arm are drawn, by a fixed choice." if self.cohort.accepted.sum() > drawing.MOST else ""
        return (page.table("state", heading("Before treatment", *(escape(arm.label) for arm in arms)), rows)
                + f'<p class="quiet">Rank correlation (Spearman) of “{escape(label)}” with the state before treatment, with its 95 % interval; a dash where one of them is constant. Each patient '
                f"counts once.{few}</p>{self.figure(figure)}")

    def sensitivity(self):
        cohort = self.cohort
        if not cohort.varied:
            return "<p>No parameter varies.</p>"
        if not cohort.sensitivity:
            return f"<p>{'None of the endpoints in cohort.sensitivity has a value.' if cohort.finished else 'Computed at the end of the cohort.'}</p>"
        place = {arm.name: i for i, arm in enumerate(cohort.arms)}
        by = {}
        for row in cohort.sensitivity:
            by.setdefault(row["endpoint"], {}).setdefault(row["arm"], {})[row["parameter"]] = row
        content = ""
        for endpoint, arms in by.items():
            parameters = list(dict.fromkeys(key for rows in arms.values() for key in rows))
            value = lambda rows, key, column: float(rows[key][column]) if key in rows and rows[key].get(column) is not None else float("nan")
            indices = any(row.get("total") is not None for rows in arms.values() for row in rows.values())
            columns = (("first", "first-order"), ("total", "total")) if indices else (("rank_correlation", ""),)
            bars, head, cells = [], [], {key: [] for key in parameters}
            for arm, rows in arms.items():
                for column, what in columns:
                    of = f"{cohort.arms[place[arm]].label}{f', {what}' if what else ''}"
                    found = np.array([value(rows, key, column) for key in parameters])
                    low, high = (np.array([value(rows, key, f"{column}_{end}") for key in parameters]) if indices else None for end in ("lowest", "highest"))
                    bars.append((of, found, low, high, place[arm], column == "first"))
                    head.append(escape(of))
                    for i, key in enumerate(parameters):
                        more = interval(low[i], high[i]) if indices else f"p {p_value(value(rows, key, 'p_value'))}"
                        cells[key].append(f"{number(found[i], 2)} <small>{more}</small>" if np.isfinite(found[i]) else "–")
            used = next(iter(next(iter(arms.values())).values()))
            what = "Sobol index" if indices else "Partial rank correlation"
            label = self.label(endpoint)
            rows = [[f"<code>{escape(key)}</code>", *cells[key]] for key in parameters]
            content += f"<h3>{escape(label)}</h3>" + page.table(f"sensitivity-{endpoint}", heading("", *head), rows)
            content += (f'<p class="quiet">{what}{", with bootstrap 95 % intervals" if indices else ""}; from {units.number(used["used"], 6)} {"row groups" if indices else "patients"}, '
                        f'{units.number(used["dropped"], 6)} left out. A dash: the endpoint or the parameter does not vary.</p>')
            if any(np.isfinite(found).any() for _, found, *_ in bars):
                content += self.figure(drawing.sensitivity(f"sensitivity_{endpoint}", f"{what} of {label}", parameters, bars, what))
        return content

    def excluded(self):
        cohort, tasks = self.cohort, self.cohort.tasks
        place = [cohort.variants.index(one.parent) if one.parent else None for one in cohort.variants]
        rows, kinds = [], {}
        for i in np.flatnonzero(np.isin(tasks["status"], (FAILED, REJECTED))):
            patient, index, status = int(tasks["patient"][i]), int(tasks["variant"][i]), STATUS[tasks["status"][i]]
            # An arm that was never begun says again what befell the state before treatment.
            if place[index] is not None and cohort.variants[place[index]].status[patient] in (FAILED, REJECTED):
                continue
            reason = cohort.reasons.get(int(tasks["task"][i]), "")
            rows.append((status, patient, cohort.variants[index].name, reason))
            kinds.setdefault((status, kind(reason)), set()).add(patient)
        if not rows:
            return "<p>None so far.</p>" if not cohort.finished else "<p>None.</p>"
        rows.sort(key=lambda row: row[0] == "rejected")  # failed first
        deck = lambda status, patient, variant: f"failed/{patient}_{variant}.ini" if status == "failed" else ""
        self.files["excluded.csv"] = drawing.table(("patient", "variant", "status", "reason", "deck"),
                                                   [(patient, variant, status, reason, deck(status, patient, variant)) for status, patient, variant, reason in rows])
        counts = sorted(kinds.items(), key=lambda one: (one[0][0] == "rejected", -len(one[1])))
        said = [[escape(why or "not said"), status, units.number(len(who))] for (status, why), who in counts[:LISTED]]
        content = page.table("reasons", heading("Reason", "status", "patients"), said, "plain words")
        shown = []
        for status, patient, variant, reason in rows[:LISTED]:
            path = deck(status, patient, variant)
            there = path and (cohort.directory / path).is_file()
            shown.append([str(patient), f"<code>{escape(variant)}</code>", status, escape(reason), f"<code>{escape(path)}</code>" if there else "–"])
        more = f"The first {LISTED} of {units.number(len(rows))} stand here. " if len(rows) > LISTED else ""
        listing = page.table("excluded", heading("Patient", "variant", "status", "reason", "deck"), shown, "plain words")
        return (f'{content}<details{"" if len(rows) > 20 else " open"}><summary>Patient by patient</summary>{listing}</details>'
                f'<p class="quiet">{more}All: {escape(self.folder)}/excluded.csv. `sanctuary simulate` on the deck of a failed patient does it again alone.</p>')

    def cost(self):
        cohort, tasks = self.cohort, self.cohort.tasks
        core = tasks["wall_s"] * tasks["ranks"]
        ran = core > 0
        if not ran.any():
            return "<p>Nothing has been computed yet.</p>"

        def row(label, of):
            wall = tasks["wall_s"][of & ran]
            if not len(wall):
                return [label, *"0–––––", units.number(int((tasks["attempts"][of] > 1).sum()))]
            timed = of & ran & np.isfinite(tasks["cpu_s"])
            memory = tasks["memory_bytes"][of & ran]
            largest = units.scale("bytes", float(np.nanmax(memory))) if np.isfinite(memory).any() else None
            return [label, units.number(len(wall)), number(core[of & ran].sum() / 3600), units.duration(float(np.median(wall))), units.duration(float(wall.max())),
                    number(100 * tasks["cpu_s"][timed].sum() / core[timed].sum()) if timed.any() else "–",
                    f"{units.number(float(np.nanmax(memory)) * largest[1], 3)} {largest[0]}" if largest else "–",
                    units.number(int((tasks["attempts"][of] > 1).sum()))]

        rows = [row(escape(one.label), tasks["variant"] == i) for i, one in enumerate(cohort.variants)]
        rows.append(row("all", np.full(len(ran), True)))
        content = page.table("cost", heading("Variant", "tasks run", "core-hours", "median", "longest", "cores busy [%]", "largest memory", "tried again"), rows)
        words = f"Attempts in all: {units.number(int(np.nansum(tasks['attempts'])))}."
        if cohort.meta.get("run") == "1":
            span = float(np.nanmax((tasks["started"] + tasks["wall_s"])[ran]) - np.nanmin(tasks["started"][ran]))
            words += f" From the first task to the last {units.duration(span)}, {number(core[ran].sum() / span, 3)} cores at work on average." if span > 0 else ""
        longest = np.flatnonzero(ran)[np.argsort(-tasks["wall_s"][ran], kind="stable")][:LONGEST]
        rows = [[str(one["patient"]), f"<code>{escape(cohort.variants[one['variant']].name)}</code>", STATUS[one["status"]], units.duration(float(one["wall_s"])),
                 units.duration(float(one["expected_s"])) if np.isfinite(one["expected_s"]) else "–", number(one["ranks"]), number(one["attempts"])]
                for one in ({key: column[i] for key, column in tasks.items()} for i in longest)]
        return (content + f'<p class="quiet">Core-hours: time by the clock times ranks, of each task\'s last attempt. Cores busy: CPU time over that. {words}</p>'
                + '<p class="lead">Longest tasks</p>' + page.table("longest", heading("Patient", "variant", "status", "took", "expected", "ranks", "attempts"), rows))
