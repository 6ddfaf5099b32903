"""One cohort, read from its ledger, which a cohort that still runs may be writing: every look at it is a short one."""

import configparser
import math
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import h5py
import numpy as np

from sanctuary_post.run import ReportError, text

LEDGER = "ledger.sqlite"
STATUS = ("pending", "running", "done", "failed", "rejected", "interrupted")
DONE, FAILED, REJECTED = 2, 3, 4
VARIANTS = 4096  # a task is its patient times this, plus the place of its variant
ROWS = 20_000  # read at once: the lock that holds back a writer's commit lasts some tens of milliseconds
_numbers = ("attempts", "ranks", "started", "wall_s", "cpu_s", "expected_s", "memory_bytes")


@dataclass(eq=False)
class Variant:
    """An arm, or a state before treatment, `parent` of arms; `status` (index into STATUS) and values of endpoints by patient, NaN: none."""

    name: str
    label: str
    baseline: bool
    parent: object
    status: np.ndarray
    values: dict

    def count(self, *status):
        """Patients with one of these statuses."""
        return int(np.isin(self.status, status).sum())

    def value(self, name):
        """An endpoint by patient, of those who are through; None where no patient has it."""
        found = self.values.get(name)
        found = None if found is None else np.where(self.status == DONE, found, np.nan)
        return found if found is not None and np.isfinite(found).any() else None


def is_cohort(directory):
    """Whether a directory holds a cohort."""
    return (Path(directory) / LEDGER).is_file()


class Cohort:
    """A cohort. `wanted` says of an endpoint's name whether its values are read, beside those that the deck asks sensitivities of;
    oddities are kept in `notes`."""

    def __init__(self, directory, wanted):
        self.directory = Path(directory)
        self.path = self.directory / LEDGER
        self.notes = []
        self._copy = None
        try:
            self._ledger = self._open()
            try:
                self._read(wanted)
            finally:
                self._ledger.close()
        except sqlite3.Error as trouble:
            busy = "locked" in str(trouble)
            raise ReportError(f"{self.path}: cannot be read ({trouble}); " + (
                "another program holds it locked: try again" if busy else "it is damaged or no ledger: restore it from a copy")) from None
        finally:
            if self._copy:
                self._copy.cleanup()

    def _open(self):
        """The ledger for reading. What a crash left half-written is undone in a copy, for nothing is changed here."""
        ledger = sqlite3.connect(f"file:{quote(str(self.path.resolve()))}?mode=ro", uri=True, timeout=30)
        try:
            ledger.execute("SELECT count(*) FROM meta").fetchone()
            return ledger
        except sqlite3.OperationalError as trouble:
            journal = self.directory / f"{LEDGER}-journal"
            if "locked" in str(trouble) or not journal.exists() or not journal.stat().st_size:
                raise
        ledger.close()
        self._copy = tempfile.TemporaryDirectory()
        for path in (self.path, journal):
            shutil.copy(path, self._copy.name)
        self.notes.append("the last run of the cohort ended within a commit; what is shown is the ledger before it")
        return sqlite3.connect(Path(self._copy.name) / LEDGER)

    def _read(self, wanted):
        self.meta = dict(self._ledger.execute("SELECT key, value FROM meta"))
        self.deck = self.meta.get("deck", "")
        self._read_deck()
        names = [name.strip() for name in self.meta.get("variants", "").split(",") if name.strip()]
        # A cohort that has hardly begun has not listed its variants.
        names = names or [section[4:] for section in self.sections if section.startswith("arm.")]
        self.patients = int(self.setting("cohort", "patients", 0))
        self._read_tasks(names)
        self._read_endpoints(wanted)
        self._read_weights()
        self._read_sensitivity()
        self.remark = self._read_remark()

    def _read_deck(self):
        parser = configparser.ConfigParser(delimiters="=", comment_prefixes="#", inline_comment_prefixes="#", interpolation=None, strict=False)
        parser.optionxform = str
        try:
            parser.read_string(self.deck)
        except configparser.Error as trouble:
            raise ReportError(f"{self.path}: its deck cannot be read ({trouble}); it is damaged: restore it from a copy") from None
        self.sections = {name: {key: value.strip().strip('"') for key, value in parser[name].items()} for name in parser.sections()}

    def setting(self, section, key, default=""):
        """A value of the deck as text."""
        return self.sections.get(section, {}).get(key, default)

    def texts(self, section, key):
        """A list of the deck."""
        return [one.strip() for one in self.setting(section, key).split(",") if one.strip()]

    @property
    def varied(self):
        """The keys that vary with their laws."""
        return {key: law for key, law in self.sections.get("vary", {}).items() if key != "correlate"}

    @property
    def finished(self):
        """Whether the ledger says that all tasks are done with."""
        return self.meta.get("finished") == "yes"

    @property
    def shard(self):
        """(I, N) of a shard of a cohort; None of a whole one."""
        part, _, of = self.meta.get("shard", "0/1").partition("/")
        return None if of in ("", "1") else (part, of)

    @property
    def arms(self):
        return [one for one in self.variants if not one.baseline]

    @property
    def accepted(self):
        """Which patients count."""
        return self.weight > 0

    @property
    def weighted(self):
        return bool((self.weight[self.accepted] != 1).any())

    @property
    def effective(self):
        """Effective sample size, (sum w)^2 / sum w^2."""
        return float(self.weight.sum() ** 2 / np.square(self.weight).sum()) if self.accepted.any() else 0.0

    def _rows(self, table, columns):
        """The rows of a table in the order of its tasks, as lists of columns; a short look for each."""
        after = -1
        while True:
            rows = self._ledger.execute(f"SELECT task, {columns} FROM {table} WHERE task > ? ORDER BY task LIMIT {ROWS}", (after,)).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            yield list(zip(*rows))

    def _read_tasks(self, names):
        """The tasks as arrays; `variant` is an index into the variants, `reasons` holds those of tasks that failed or were rejected."""
        parts, self.reasons, said, parents = [], {}, {}, {}
        place = {name: i for i, name in enumerate(names)}
        state = {name: i for i, name in enumerate(STATUS)}
        for task, patient, variant, status, reason, parent, *numbers in self._rows("tasks", f"patient, variant, status, reason, parent, {', '.join(_numbers)}"):
            for name, above in zip(variant, parent):
                place.setdefault(name, len(place))
                if above is not None:
                    parents.setdefault(name, int(above) % VARIANTS)
            self.reasons.update((one, said.setdefault(why, why)) for one, why in zip(task, reason) if why)
            parts.append([np.array(task, dtype=np.int64), np.array(patient, dtype=np.int64), np.array([place[name] for name in variant], dtype=np.int32),
                          np.array([state.get(name, 0) for name in status], dtype=np.int8), *(np.array(column, dtype=float) for column in numbers)])
        columns = [np.concatenate(column) for column in zip(*parts)] if parts else [np.zeros(0, dtype=int)] * 4 + [np.zeros(0)] * len(_numbers)
        self.tasks = dict(zip(("task", "patient", "variant", "status", *_numbers), columns))
        self.patients = max(self.patients, int(self.tasks["patient"].max(initial=-1)) + 1)
        self.variants = []
        for name, index in place.items():
            status = np.zeros(self.patients, dtype=np.int8)
            of = self.tasks["variant"] == index
            status[self.tasks["patient"][of]] = self.tasks["status"][of]
            arm = self.sections.get(f"arm.{name}")
            self.variants.append(Variant(name, (arm or {}).get("label") or name, arm is None, None, status, {}))
        for one in self.variants:
            above = parents.get(one.name, len(self.variants))
            one.parent = self.variants[above] if above < len(self.variants) else None

    def _read_endpoints(self, wanted):
        there = [row[1] for row in self._ledger.execute("PRAGMA table_info(endpoints)")]
        self.endpoints = [name for name in there if name not in ("task", "patient", "variant")]
        names = [name for name in self.endpoints if wanted(name) or name in self.texts("cohort", "sensitivity")]
        place = {one.name: i for i, one in enumerate(self.variants)}
        columns = "".join(f', "{name}"' for name in names)
        for _, patient, variant, *values in self._rows("endpoints", f"patient, variant{columns}"):
            patient, variant = np.array(patient, dtype=np.int64), np.array([place.get(name, -1) for name in variant])
            known = patient < self.patients  # a row of a task that began after the tasks were read
            for name, column in zip(names, values):
                column = np.array(column, dtype=float)
                for index in np.unique(variant[known & (variant >= 0) & np.isfinite(column)]):
                    of = known & (variant == index)
                    self.variants[index].values.setdefault(name, np.full(self.patients, math.nan))[patient[of]] = column[of]

    def _read_weights(self):
        """Weights by patient; while the cohort goes on, or without targets, 1 for those that were accepted and have an arm done."""
        treated = np.zeros(self.patients, dtype=bool)
        plausible = np.ones(self.patients, dtype=bool)
        for one in self.variants:
            if one.baseline:
                plausible &= one.status == DONE
            else:
                treated |= one.status == DONE
        self.weight = (plausible & treated).astype(float)
        there = {row[1] for row in self._ledger.execute("PRAGMA table_info(patients)")}
        if self.finished and self.sections.get("target") and "weight" in there:
            rows = self._ledger.execute("SELECT patient, weight FROM patients WHERE weight IS NOT NULL").fetchall()
            for patient, weight in rows:
                if 0 <= patient < self.patients:
                    self.weight[patient] = weight

    def _read_sensitivity(self):
        """Rows of the table of sensitivities as {column: value}."""
        if not self._ledger.execute("SELECT 1 FROM sqlite_master WHERE name = 'sensitivity'").fetchone():
            self.sensitivity = []
            return
        found = self._ledger.execute("SELECT * FROM sensitivity ORDER BY row")
        names = [one[0] for one in found.description]
        self.sensitivity = [dict(zip(names, row)) for row in found] if self.finished else []

    def _read_remark(self):
        """Why there are no weights; it stands in cohort.h5 alone."""
        path = self.directory / "cohort.h5"
        if not self.finished or self.shard:
            return ""
        try:
            with h5py.File(path) as file:
                return text(file.attrs.get("remark", ""))
        except OSError:
            self.notes.append(f"cohort.h5 {'cannot be read' if path.exists() else 'is not there'}; the command of the cohort, given again, makes it from the ledger")
            return ""
