"""One run directory, read: `run.h5` (with its files of output times) and `summary.json`."""

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np


class ReportError(Exception):
    """Reading or writing failed."""

    exit_code = 4


class UsageError(ReportError):
    """The command line names something that is not a run."""

    exit_code = 2


@dataclass
class Quantity:
    """A named array with its unit; values of fields are [z, y, x], of vessels one per node or per segment."""

    name: str
    label: str
    unit: str
    values: np.ndarray
    time: float | None = None
    on: str = ""


@dataclass
class Network:
    """Vessels: nodes [m, 3] in m, segments [k, 2], radius [k] in m; each quantity at one output time."""

    nodes: np.ndarray
    segments: np.ndarray
    radius: np.ndarray
    quantities: list = field(default_factory=list)


@dataclass
class Setting:
    """One parameter of the run, in deck units; `default` is None where the file does not say."""

    key: str
    value: str
    unit: str
    default: bool | None
    source: str


def text(value):
    """An HDF5 attribute or scalar as a string."""
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return text(value[()])
        return ", ".join(text(entry) for entry in value.ravel())
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (np.bool_, bool)):
        return "true" if value else "false"
    if isinstance(value, np.floating):
        return f"{float(value):.10g}"
    return str(value)


def plain(value):
    """An HDF5 attribute as a Python number, string or list."""
    if isinstance(value, np.ndarray):
        return plain(value.reshape(-1)[0]) if value.size == 1 else [plain(entry) for entry in value.tolist()]
    if isinstance(value, np.generic):
        return plain(value.item())
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def flat(values, before=""):
    """Numbers and flags of nested objects, their keys joined by "_", as the run's groups have them."""
    found = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{before}{key}_")
        elif isinstance(value, (int, float)) and value == value:
            found[before + key] = value
    return found


class Run:
    """An open run directory. Absent parts read as empty; damage raises ReportError; oddities are kept in `notes`."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.notes = []
        self.missing = set()
        if not self.directory.is_dir():
            raise UsageError(f"{self.directory}: no such directory; give the directory that `sanctuary simulate` wrote")
        path = self.directory / "run.h5"
        if not path.is_file():
            raise UsageError(
                f"{self.directory}: holds no run.h5; give the directory that `sanctuary simulate` or `sanctuary cohort` wrote "
                "(a run that stopped before its first output has none: `sanctuary resume DIR` goes on with it)"
            )
        self.summary = self._read_summary()
        try:
            self.file = h5py.File(path, "r")
        except OSError as trouble:
            raise ReportError(
                f"{path}: cannot be read as HDF5 ({trouble}); it is damaged or truncated: restore it or run again"
            ) from None
        self._guard("the list of output times", self._read_times)
        self._guard("the grid", self._read_grid)
        self.drugs = self._guard("the list of drugs", self._find_drugs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    @property
    def complete(self):
        """Whether the run says that it finished and all its output times are here."""
        if self.summary is None or self.missing or not self._guard("complete", lambda: bool(self.file.attrs.get("complete", 1))):
            return False
        status = str(self.summary.get("status", "complete")).lower()
        return bool(self.summary.get("complete", True)) and status in ("complete", "completed", "done", "finished", "ok")

    def why_incomplete(self):
        """One sentence on what is missing."""
        reasons = []
        if self.summary is None:
            reasons.append("the run has not written its summary.json")
        elif not self.complete and not self.missing:
            reasons.append(f"its summary says “{self.summary.get('status', 'not complete')}”")
        if self.missing:
            reasons.append(f"{len(self.missing)} of {len(self.time)} output times are missing")
        return "; ".join(reasons)

    def attribute(self, name, default=""):
        """An attribute of the file as text."""
        return self._guard(f"attribute {name}", lambda: text(self.file.attrs[name]) if name in self.file.attrs else default)

    def field_names(self):
        """Names of the fields that have the shape of the grid."""
        return self._guard("/fields", lambda: [name for name, data in self._datasets("fields") if self._is_field(name, data)])

    def indices(self, name=None):
        """Indices of the output times that are here; of one field, those that hold it."""
        if name is not None:
            return self._times_of.get(name, [])
        return [i for i in range(len(self.time)) if i not in self.missing]

    def field(self, name, index=None):
        """The field at one output time (default: the last that is here); None where it is absent or has no finite value."""
        here = self.indices(name)
        if name not in self.field_names() or not here:
            return None
        index = here[-1] if index is None else index
        data = self.file["fields"][name]
        values = self._guard(f"/fields/{name}", lambda: np.asarray(data[index], dtype=np.float64))
        if not np.isfinite(values).any():
            self.note(f"field {name} holds no finite value at {self.time[index]:g} s and is not shown")
            return None
        attributes = self._guard(f"/fields/{name}", lambda: {key: text(data.attrs[key]) for key in data.attrs})
        return Quantity(name, attributes.get("long_name", ""), attributes.get("unit", ""), values, self.time[index])

    def peak_index(self, name):
        """The output time at which the mean of a field is largest (at most 40 times are looked at)."""
        data = self.file["fields"][name]
        here = self.indices(name)
        here = [here[i] for i in sorted(set(np.linspace(0, len(here) - 1, min(len(here), 40)).round().astype(int)))]
        means = [self._guard(f"/fields/{name}", lambda i=i: float(np.nanmean(data[i]))) for i in here]
        return here[int(np.nanargmax(means))] if np.isfinite(means).any() else None

    def network(self):
        """The vessels of the last epoch with the times at which each quantity is worth seeing; None without vessels."""
        return self._guard("/network", self._read_network)

    def series(self):
        """Time [s] and the quantities of /series."""
        return self._guard("/series", self._read_series)

    def outcome(self):
        """Scalar endpoints as {key: value or {value, unit}}; the summary wins over the attributes of /outcome."""
        values = dict(self.summary.get("outcome", {})) if self.summary else {}
        if not values and isinstance(self.file.get("outcome"), h5py.Group):
            values = self._guard("/outcome", lambda: {k: plain(v) for k, v in self.file["outcome"].attrs.items()})
        return values

    def cycles(self, part, name):
        """What "exposure" or "sanctuary" of a name says of each treatment cycle, flat, the last cycle last; [] where it says nothing."""
        found = (self.summary or {}).get(part, {}).get(name)
        if isinstance(found, dict) and found:
            last = {key: value for key, value in found.items() if key != "last"} | found.get("last", {})
            rows = [flat(row) for row in [*found.get("cycles", []), last]]
        else:
            rows = self._guard(f"/{part}/{name}", lambda: self._cycles_of_groups(f"{part}/{name}"))
        if rows and "start_h" in rows[-1] and len(self.time):
            rows[-1].setdefault("end_h", self.time[-1] / 3600)
        return rows

    def _cycles_of_groups(self, path):
        group = self.file.get(path)
        if not isinstance(group, h5py.Group):
            return []
        earlier = sorted((name for name in group if name.startswith("cycle_")), key=lambda name: int(name[6:]))
        rows = [flat({key: plain(value) for key, value in one.attrs.items()}) for one in [*(group[name] for name in earlier), group]]
        return [row for row in rows if row]

    def cycle(self, index):
        """The treatment cycle of an output time; 0 where there is none."""
        return int(self._cycle[index])

    def ends(self):
        """The last output time here of each treatment cycle, {cycle: index}."""
        return {self.cycle(index): index for index in self.indices() if self.cycle(index)}

    def regions(self, name):
        """The table of the regions of S1, {column: (values, unit)}; {} where there is none."""
        return self._guard("the regions", lambda: {key: (np.asarray(data[()], dtype=float), text(data.attrs.get("unit", "")))
                                                   for key, data in self._datasets(f"sanctuary/{name}/regions")})

    def at_end(self, drug, name):
        """A field that the end of the run wrote under /sanctuary/<drug>; None where it is absent."""
        data = self.file.get(f"sanctuary/{drug}/{name}")
        if not isinstance(data, h5py.Dataset) or data.shape != self.cells[::-1]:
            return None
        values = self._guard(data.name, lambda: np.asarray(data[()], dtype=float))
        time = self.time[-1] if len(self.time) else None
        return Quantity(f"{drug}_{name}", "", text(data.attrs.get("unit", "")), values, time) if np.isfinite(values).any() else None

    def histogram(self, drug):
        """Dose-volume pairs (dose, unit, fraction of viable tumour that gets at least it); None where the file has none."""
        for part in ("exposure", "sanctuary"):
            found = self._guard(f"/{part}/{drug}", lambda part=part: self._read_histogram(f"{part}/{drug}"))
            if found is not None:
                return found
        return None

    def balance(self):
        """Mass ledgers as a list of (species, compartment, {column: (value, unit)})."""
        return self._guard("/balance", self._read_balance)

    def settings(self):
        """All parameters of the run."""
        return self._guard("/parameters", self._read_settings)

    def part(self, name):
        """A part of the summary as {key: value}; {} where it is absent."""
        found = (self.summary or {}).get(name, {})
        return found if isinstance(found, dict) else {}

    def note(self, sentence):
        """Keeps an oddity for the end of the page, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def _guard(self, what, read):
        try:
            return read()
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError) as trouble:
            detail = str(trouble).strip("'\"") or type(trouble).__name__
            raise ReportError(
                f"{self.directory / 'run.h5'}: {what} cannot be read ({detail}); the file is damaged or not from this program: "
                "restore it or run again"
            ) from None

    def _read_summary(self):
        path = self.directory / "summary.json"
        if not path.exists():
            return None
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
        except OSError as trouble:
            raise ReportError(f"{path}: cannot be read ({trouble.strerror})") from None
        except ValueError as trouble:
            raise ReportError(f"{path}: is not valid JSON ({trouble}); it is damaged: delete it to report without it") from None
        if not isinstance(summary, dict):
            raise ReportError(f"{path}: expected a JSON object; it is damaged: delete it to report without it")
        remarks = summary.get("remarks", [])
        self.notes += [str(remark) for remark in remarks] if isinstance(remarks, list) else []
        for part in ("outcome", "exposure", "sanctuary", "balance", "timing"):
            if part in summary and not isinstance(summary[part], dict):
                self.note(f"summary.json: “{part}” is not an object and is not shown")
                del summary[part]
        return summary

    def _datasets(self, group):
        found = self.file.get(group)
        if not isinstance(found, h5py.Group):
            return []
        return [(name, found[name]) for name in found if isinstance(found.get(name), h5py.Dataset)]

    def _read_times(self):
        self.time = np.atleast_1d(np.asarray(self.file["time"][()], dtype=float)) if "time" in self.file else np.zeros(0)
        cycle = np.ravel(self.file["cycle"][()]) if "cycle" in self.file else []
        self._cycle = cycle if len(cycle) == len(self.time) else np.zeros(len(self.time), dtype=int)
        self._checked = {}
        self._times_of = {}
        lost = []
        for name, data in self._datasets("fields"):
            here, missing = self._shown(data)
            self._times_of[name] = here
            lost.append(missing)
        # A field absent at every time lacks its own file, and says nothing about the times of the others.
        partly = [missing for missing in lost if len(missing) < len(self.time)]
        self.missing = set().union(*(partly or lost))
        absent = sorted(name for name, there in self._checked.items() if not there)
        if absent:
            more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
            self.note(f"missing files of output times: {', '.join(absent[:3])}{more}")

    def _shown(self, data):
        """Output times that a data set holds, and those of it whose file is missing."""
        every = set(range(min(len(self.time), data.shape[0] if data.ndim else 0)))
        if not data.is_virtual:
            return sorted(every), set()
        here, missing = set(), set()
        for source in data.virtual_sources():
            if source.file_name not in self._checked:
                self._checked[source.file_name] = self._is_there(source.file_name)
            first, last = source.vspace.get_select_bounds()
            (here if self._checked[source.file_name] else missing).update(range(int(first[0]), int(last[0]) + 1))
        return sorted(here & every), missing & every

    def _is_there(self, name):
        path = self.directory / name
        if name == "." or not path.exists():
            return name == "."
        try:
            h5py.File(path, "r").close()
        except OSError as trouble:
            raise ReportError(
                f"{path}: cannot be read as HDF5 ({trouble}); it is damaged: restore it, or delete it to report without this time"
            ) from None
        return True

    def _read_grid(self):
        attributes = self.file["grid"].attrs if "grid" in self.file else {}
        shapes = [data.shape for _, data in self._datasets("fields") if data.ndim == 4]
        cells = attributes.get("cells", shapes[0][:0:-1] if shapes else (0, 0, 0))
        self.cells = tuple(int(n) for n in np.ravel(cells))
        self.spacing = np.broadcast_to(np.asarray(attributes.get("spacing", 1e-6), dtype=float), 3)
        self.origin = np.broadcast_to(np.asarray(attributes.get("origin", 0.0), dtype=float), 3)
        if len(self.cells) != 3 or not (np.isfinite(self.spacing).all() and (self.spacing > 0).all()):
            raise ValueError(f"grid with cells {self.cells} and spacing {self.spacing} m")
        if shapes and "spacing" not in attributes:
            self.note("run.h5 states no grid spacing: distances on the slices are cells, not lengths")

    def _is_field(self, name, data):
        if data.ndim == 4 and data.shape[1:] == self.cells[::-1] and data.shape[0] and data.dtype.kind in "fiub":
            return True
        self.note(f"field {name} has shape {data.shape}, not [n, z, y, x] of the grid, and is not shown")
        return False

    def _find_drugs(self):
        names = [name for name, _ in self._datasets("fields")]
        drugs = [name.rsplit("_", 1)[0] for name in names if name.endswith(("_free", "_auc"))]
        judged = [name.removesuffix("_sanctuary") for name in names if name.endswith("_sanctuary")]
        for part, into in (("exposure", drugs), ("sanctuary", judged)):
            group = self.file.get(part)
            into += [name for name in group if isinstance(group.get(name), h5py.Group)] if isinstance(group, h5py.Group) else []
            into += (self.summary or {}).get(part, {})
        # All drugs together come last.
        self.judged = sorted(dict.fromkeys(judged), key=lambda name: name == "regimen")
        return list(dict.fromkeys(drugs + [name for name in self.judged if name != "regimen"]))

    def _read_network(self):
        epochs = self.file.get("network")
        if not isinstance(epochs, h5py.Group):
            return None
        names = sorted((name for name in epochs if isinstance(epochs.get(name), h5py.Group) and "nodes" in epochs[name]),
                       key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0))
        if not names:
            return None
        epoch = epochs[names[-1]]
        for part in ("nodes", "segments", "radius"):
            if epoch[part].is_virtual and not all(self._is_there(source.file_name) for source in epoch[part].virtual_sources()):
                self.note("the file of the vessels is missing: they are not shown")
                return None
        nodes = np.asarray(epoch["nodes"][()], dtype=float).reshape(-1, 3)
        segments = np.asarray(epoch["segments"][()], dtype=np.int64).reshape(-1, 2)
        radius = np.asarray(epoch["radius"][()], dtype=float).ravel()
        if not len(segments):
            return None
        if segments.min() < 0 or segments.max() >= len(nodes) or len(radius) != len(segments):
            raise ValueError(f"segments name nodes outside 0..{len(nodes) - 1}, or {len(radius)} radii for {len(segments)} segments")
        network = Network(nodes, segments, radius)
        for name, data in self._all_datasets(epoch):
            # A quantity written per output time is [n, m] or [n, k].
            if name in ("nodes", "segments", "radius", "length", "time") or data.ndim != 2 or not data.shape[0] or data.dtype.kind not in "fiub":
                continue
            on = text(data.attrs.get("on", "segments" if data.shape[1] == len(segments) else "nodes"))
            if data.shape[1] != (len(segments) if on == "segments" else len(nodes)):
                self.note(f"vessel quantity {name} has shape {data.shape}, which fits neither nodes nor segments, and is not shown")
                continue
            # A later epoch holds only the last of the output times.
            offset = len(self.time) - data.shape[0] if len(self.time) > data.shape[0] and len(names) > 1 else 0
            here = [i + offset for i in self._shown(data)[0] if i + offset < len(self.time)]
            if not here:
                continue
            chosen = {here[-1]}
            if is_drug(name, self.drugs):
                means = [float(np.nanmean(np.abs(data[i - offset]))) for i in here]
                chosen.add(here[int(np.nanargmax(means))])
            for i in sorted(chosen):
                values = np.asarray(data[i - offset], dtype=float)
                if np.isfinite(values).any():
                    label = text(data.attrs.get("long_name", ""))
                    network.quantities.append(Quantity(name, label, text(data.attrs.get("unit", "")), values, self.time[i], on))
        return network

    @staticmethod
    def _all_datasets(group):
        found = []
        group.visititems(lambda name, item: found.append((name, item)) if isinstance(item, h5py.Dataset) else None)
        return found

    def _read_series(self):
        found = dict(self._datasets("series"))
        if "time" not in found:
            return np.zeros(0), []
        time = np.atleast_1d(np.asarray(found.pop("time")[()], dtype=float))
        quantities = []
        for name, data in found.items():
            if data.shape[:1] != time.shape or data.ndim > 1 or data.dtype.kind not in "fiub":
                self.note(f"series {name} has shape {data.shape}, not [{len(time)}], and is not shown")
                continue
            values = np.asarray(data[()], dtype=float)
            if np.isfinite(values).any():
                label = text(data.attrs.get("long_name", ""))
                quantities.append(Quantity(name, label, text(data.attrs.get("unit", "")), values))
        return time, quantities

    def _read_histogram(self, path):
        group = self.file.get(path)
        if not isinstance(group, h5py.Group) or "histogram_dose" not in group or "histogram_fraction" not in group:
            return None
        dose = np.asarray(group["histogram_dose"][()], dtype=float).ravel()
        fraction = np.asarray(group["histogram_fraction"][()], dtype=float).ravel()
        if len(dose) not in (len(fraction), len(fraction) + 1) or len(fraction) < 2 or not np.isfinite(fraction).all():
            self.note(f"histogram {path} has {len(dose)} doses for {len(fraction)} fractions and is not shown")
            return None
        falls = (np.diff(fraction) <= 1e-12).all() and fraction[0] > 0.5
        if not falls:
            fraction = np.append(fraction[::-1].cumsum()[::-1] / max(fraction.sum(), 1e-300), 0.0)
            dose = dose if len(dose) == len(fraction) else np.append(dose, 2 * dose[-1] - dose[-2])
        return dose[: len(fraction)], text(group["histogram_dose"].attrs.get("unit", "")), fraction

    def _read_balance(self):
        rows = []
        group = self.file.get("balance")
        if isinstance(group, h5py.Group):
            for species in group:
                rows += self._ledger(species, group[species])
        if not rows:
            for species, ledger in (self.summary or {}).get("balance", {}).items():
                rows += self._summary_ledger(species, ledger)
        return rows

    def _ledger(self, species, item):
        unit = text(item.attrs.get("unit", ""))
        if isinstance(item, h5py.Dataset):
            if item.dtype.names:
                return self._table_rows(species, np.atleast_1d(item[()]), unit, item)
            columns = item.attrs.get("columns")
            if columns is not None and item.ndim in (1, 2) and item.shape[-1] == len(columns):
                last = np.atleast_2d(item[()])[-1]
                return [(species, "", {text(name): (float(value), unit) for name, value in zip(columns, last)})]
            self.note(f"balance of {species} is not a table and is not shown")
            return []
        scalars = {key: (plain(value), unit) for key, value in item.attrs.items() if isinstance(plain(value), (int, float))}
        rows = []
        for name, part in item.items():
            if isinstance(part, h5py.Group) or part.dtype.names:
                rows += [(species, name if not where else f"{name}, {where}", columns)
                         for _, where, columns in self._ledger(name, part)]
            elif part.size:
                last = np.ravel(part[()])[-1]
                if isinstance(plain(last), (int, float)):
                    scalars[name] = (plain(last), text(part.attrs.get("unit", unit)))
        return ([(species, "", scalars)] if scalars else []) + rows

    @staticmethod
    def _table_rows(species, table, unit, item):
        names = table.dtype.names
        labels = [name for name in names if table.dtype[name].kind in "SOU"]
        rows = table if labels else table[-1:]  # without labels the rows are times: the last is the whole run
        return [
            (species, ", ".join(text(row[name]) for name in labels),
             {name: (plain(row[name]), text(item.attrs.get(f"unit_{name}", unit))) for name in names if name not in labels})
            for row in rows
        ]

    def _summary_ledger(self, species, ledger, where=""):
        if not isinstance(ledger, dict):
            return [(species, where, {"error": (ledger, "")})] if isinstance(ledger, (int, float)) else []
        unit = ledger.get("unit", "")
        scalars = {key: (value, unit) for key, value in ledger.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
        rows = [(species, where, scalars)] if scalars else []
        for key, part in ledger.items():
            if isinstance(part, dict):
                rows += self._summary_ledger(species, part, f"{where}, {key}" if where else key)
        return rows

    def _read_settings(self):
        settings = []
        group = self.file.get("parameters")
        if isinstance(group, h5py.Group):
            for name, data in self._all_datasets(group):
                default = data.attrs.get("default")
                settings.append(Setting(name.replace("/", "."), text(data[()]), text(data.attrs.get("unit", "")),
                                        None if default is None else bool(np.ravel(default)[0]), text(data.attrs.get("source", ""))))
        elif isinstance((self.summary or {}).get("parameters"), dict):
            for key, value in self.summary["parameters"].items():
                about = value if isinstance(value, dict) else {"value": value}
                settings.append(Setting(key, text(about.get("value", "")), text(about.get("unit", "")),
                                        about.get("default"), text(about.get("source", ""))))
        return sorted(settings, key=lambda setting: setting.key)


def is_drug(name, drugs):
    """Whether a vessel quantity is a drug in blood."""
    return "drug" in name.lower() or any(drug in name for drug in drugs)


def write_whole(path, content):
    """Writes a file so that it is there whole or not at all."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except OSError as trouble:
        partial.unlink(missing_ok=True)
        raise ReportError(f"{path}: cannot be written ({trouble.strerror}); name another file with -o FILE") from None


def finite(values):
    """The finite entries of an array."""
    values = np.asarray(values, dtype=float)
    return values[np.isfinite(values)]


def quantile(values, weights, share):
    """The value below which this share (or each of several) of the weight lies; where it ends between two values, their mean."""
    order = np.argsort(values)
    return reached(np.asarray(values)[order], np.cumsum(np.asarray(weights, dtype=float)[order]), share)


def reached(values, total, share):
    """`quantile` of sorted values with their cumulative weight; NaN without weight."""
    share = np.asarray(share)
    if not len(total) or not total[-1] > 0:
        return np.full(share.shape, math.nan)[()]
    at, tiny = share * total[-1], 1e-12 * total[-1]
    # The first and the last value with weight bound what is found.
    first = np.searchsorted(total, np.maximum(at - tiny, tiny))
    after = np.minimum(np.searchsorted(total, at + tiny, side="right"), np.searchsorted(total, total[-1] - tiny))
    return (values[np.minimum(first, after)] + values[after]) / 2
