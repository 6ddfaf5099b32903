"""Figures of a cohort as SVG, each with the table of what is drawn."""

import csv
import io
from dataclasses import dataclass

import numpy as np
from matplotlib import pyplot

from sanctuary_post.figures import LINES
from sanctuary_post.run import quantile

MOST = 300  # points drawn of an arm; boxes and lines are of all patients
BINS = 400  # steps of a waterfall
_style = {"svg.fonttype": "none", "svg.hashsalt": "sanctuary", "font.family": ["DejaVu Sans", "sans-serif"], "font.size": 10,
          "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e6e6", "axes.axisbelow": True, "axes.formatter.limits": (-3, 5)}


@dataclass
class Sample:
    """Values of patients of an arm (finite), with their weights and numbers; `tone` is the place of its colour."""

    label: str
    values: np.ndarray
    weights: np.ndarray
    patients: np.ndarray
    tone: int = 0

    @property
    def colour(self):
        return LINES[self.tone % len(LINES)]


@dataclass
class Figure:
    """A figure: name of its files, what it shows, SVG and CSV as bytes."""

    name: str
    title: str
    svg: bytes
    csv: bytes


def table(head, rows):
    """CSV as bytes."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([f"{cell:.9g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    return stream.getvalue().encode()


def plain(label):
    """A label of a deck for Matplotlib, which reads what stands between dollars as mathematics."""
    return label.replace("$", r"\$")


def evenly(count, most):
    """At most `most` places of 0..count-1, evenly spaced, with both ends: of sorted values they keep the distribution."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).round().astype(int)


def some(count, most):
    """At most `most` places drawn from a fixed seed: every n-th point of a low-discrepancy design would be a biased choice."""
    return np.arange(count) if count <= most else np.sort(np.random.default_rng(0).permutation(count)[:most])


def _made(name, title, figure, head, rows):
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return Figure(name, title, stream.getvalue(), table(head, rows))


def _labelled(axis, samples):
    axis.set_yticks(range(len(samples)), [plain(one.label) for one in samples])
    axis.set_ylim(len(samples) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)


def _points(axis, place, values, order, colour):
    """Sorted values as points in a band under the line of their arm; returns which are drawn."""
    shown = order[evenly(len(order), MOST)]
    spread = (np.arange(len(shown)) * 0.61803398875) % 1  # golden section: even, and always the same
    axis.plot(values[shown], place + 0.12 + 0.26 * spread, "o", ms=3, mew=0, alpha=0.6, color=colour)
    return shown


def strips(name, title, samples, label, wide):
    """Values by arm: box of the quartiles with the median, whiskers at 5 and 95 %, and points."""
    with pyplot.rc_context(_style):
        figure, axis = pyplot.subplots(figsize=(7.2, 1.1 + 0.75 * len(samples)), layout="constrained")
        rows = []
        for place, one in enumerate(samples):
            low, first, middle, third, high = quantile(one.values, one.weights, (0.05, 0.25, 0.5, 0.75, 0.95))
            axis.plot([low, high], [place - 0.12] * 2, color=one.colour, lw=1)
            axis.barh(place - 0.12, third - first, 0.3, first, color=one.colour, alpha=0.3, ec=one.colour)
            axis.plot([middle] * 2, [place - 0.29, place + 0.05], color=one.colour, lw=2.5)
            shown = _points(axis, place, one.values, np.argsort(one.values, kind="stable"), one.colour)
            rows += zip([one.label] * len(shown), one.patients[shown], one.values[shown].tolist(), one.weights[shown].tolist())
        _labelled(axis, samples)
        if wide:
            axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.set_ylabel("arm")
        return _made(name, title, figure, ("arm", "patient", label, "weight"), rows)


def waterfall(name, title, samples, label):
    """Patients of each arm from the largest to the smallest value; their widths are their weights."""
    columns = min(len(samples), 3)
    lines = -(-len(samples) // columns)
    with pyplot.rc_context(_style):
        figure, axes = pyplot.subplots(lines, columns, figsize=(max(4.5, 3.4 * columns), 2.9 * lines), layout="constrained", sharey=True, squeeze=False)
        rows = []
        for axis, one in zip(axes.flat, samples):
            order = np.argsort(-one.values, kind="stable")
            ends = np.cumsum(one.weights[order])
            ends *= 100 / ends[-1]
            few = len(order) <= BINS
            shown = evenly(len(order), BINS)
            edges = np.concatenate([[0.0], ends[shown]])
            axis.stairs(one.values[order][shown], edges, fill=True, color=one.colour, alpha=0.75, lw=0)
            if few and len(order) <= 60:
                axis.vlines(edges[1:-1], 0, np.minimum(one.values[order][:-1], one.values[order][1:]), color="white", lw=0.6)
            axis.axhline(0, color="#555", lw=0.8)
            axis.set_title(plain(one.label), fontsize=10)
            axis.set_xlim(0, 100)
            rows += zip([one.label] * len(shown), one.patients[order][shown], one.values[order][shown].tolist(), ends[shown].tolist())
        for axis in axes.flat[len(samples):]:
            axis.set_visible(False)
        figure.supxlabel("patients, sorted [% of weight]", fontsize=10)
        figure.supylabel(label, fontsize=10)
        return _made(name, title, figure, ("arm", "patient", label, "patients up to here [%]"), rows)


def differences(name, title, samples, intervals, label):
    """Matched differences, a line for each pair of arms: points, and the median with its interval."""
    with pyplot.rc_context(_style):
        figure, axis = pyplot.subplots(figsize=(7.2, 1.1 + 0.65 * len(samples)), layout="constrained")
        rows = []
        axis.axvline(0, color="#555", lw=0.8)
        for place, (one, (middle, low, high)) in enumerate(zip(samples, intervals)):
            shown = _points(axis, place, one.values, np.argsort(one.values, kind="stable"), one.colour)
            axis.plot([low, high], [place - 0.1] * 2, color="black", lw=2)
            axis.plot([middle], [place - 0.1], "D", ms=6, color="black")
            rows += zip([one.label] * len(shown), one.patients[shown], one.values[shown].tolist(), one.weights[shown].tolist())
        _labelled(axis, samples)
        axis.set_xlabel(label)
        axis.set_ylabel("arms compared")
        return _made(name, title, figure, ("arms", "patient", label, "weight"), rows)


def scatter(name, title, panels, across, up):
    """Points in a panel for each arm; panels of (Sample, values along x)."""
    columns = min(len(panels), 3)
    lines = -(-len(panels) // columns)
    with pyplot.rc_context(_style):
        figure, axes = pyplot.subplots(lines, columns, figsize=(max(4.5, 3.4 * columns), 3.1 * lines), layout="constrained", sharex=True, sharey=True, squeeze=False)
        rows = []
        for axis, (one, x) in zip(axes.flat, panels):
            shown = some(len(x), MOST)
            axis.plot(x[shown], one.values[shown], "o", ms=3.5, mew=0, alpha=0.6, color=one.colour)
            axis.set_title(plain(one.label), fontsize=10)
            rows += zip([one.label] * len(shown), one.patients[shown], x[shown].tolist(), one.values[shown].tolist())
        for axis in axes.flat[len(panels):]:
            axis.set_visible(False)
        figure.supxlabel(across, fontsize=10)
        figure.supylabel(up, fontsize=10)
        return _made(name, title, figure, ("arm", "patient", across, up), rows)


def sensitivity(name, title, parameters, bars, label):
    """Bars by parameter; bars of (label, values, lowest or None, highest or None, place of the colour, whether light)."""
    with pyplot.rc_context(_style):
        figure, axis = pyplot.subplots(figsize=(7.2, 1.2 + len(parameters) * (0.2 + 0.22 * len(bars))), layout="constrained")
        height = 0.8 / len(bars)
        rows = []
        for index, (of, values, low, high, tone, light) in enumerate(bars):
            values = np.array(values, dtype=float)
            at = np.arange(len(parameters)) + (index - (len(bars) - 1) / 2) * height
            error = None if low is None else np.abs(np.vstack([values - low, high - values]))
            axis.barh(at, np.nan_to_num(values), 0.9 * height, color=LINES[tone % len(LINES)], alpha=0.45 if light else 1, label=plain(of), xerr=error, ecolor="#333", capsize=2)
            rows += [(of, key, float(value), *(() if low is None else (float(low[i]), float(high[i])))) for i, (key, value) in enumerate(zip(parameters, values))]
        axis.axvline(0, color="#555", lw=0.8)
        axis.set_yticks(range(len(parameters)), parameters)
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        axis.set_xlabel(f"{label} [1]")
        axis.set_ylabel("what varies")
        if len(bars) > 1:
            axis.legend(frameon=False, fontsize=9, loc="best")
        return _made(name, title, figure, ("arm", "parameter", label, *(() if bars[0][2] is None else ("2.5 %", "97.5 %"))), rows)


def titled(label, unit):
    """The title of an axis."""
    return f"{label} [{unit or '1'}]"


def logarithmic(values):
    """Whether values are better read on a logarithmic axis: positive and over more than a factor of 30."""
    return bool(len(values)) and values.min() > 0 and values.max() > 30 * values.min()
