"""The rows of a run for its curves: a line with a band for each group of seeds, and the trunk that it left.

Rows are read here without pandas, a few columns of them, since there are hundreds of runs; nothing is checked or set
aside, which is for those who judge.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import config
from common.site.content import Run

FIRST = ("val_loss", "train_loss", "learning_rate", "val_accuracy", "sharpness", "gradient_norm")
"""Columns that are drawn before others."""
PANELS = 6
POINTS = 90
"""Of a curve; more are averaged."""
GROUPS = 6
"""Of members that are drawn; of more, so many evenly apart."""

Values = dict[int, dict[int, float]]
"""By member, by update."""


@dataclass(frozen=True)
class Curve:
    """A mean over seeds, with their range."""

    label: str
    """What its members share; empty if there is one group alone."""
    points: tuple[tuple[float, float, float, float], ...]
    """Update, mean, least and largest."""
    trunk: bool = False
    """Whether it is of a parent."""


@dataclass(frozen=True)
class Panel:
    """What is drawn of one column."""

    column: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Member:
    """A member of a run: its place, and what is swept beside the seed."""

    index: int
    label: str
    lineage: tuple[tuple[str, int, int], ...]
    """From its parent on: full name, member, and the update at which it was left."""


class Reader:
    """Reads the rows of runs, and of the parents that many of them share once.

    Args:
        runs: all that are known, by full name.
    """

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self.runs = runs
        self.described: dict[str, config.Run] = {}
        self.kept: dict[str, dict[str, Values]] = {}
        self.parents = {run.parent for run in runs.values()}

    def panels(self, run: Run) -> list[Panel]:
        """What is drawn of a run, the most important first; empty if its rows cannot be read."""
        own = self._values(run.label)
        try:
            groups = self._groups(run)
        except (config.DescriptionError, LookupError, TypeError):
            return []
        shown = sorted((column for column in own if _is_shown(column)), key=_rank)[:PANELS]
        return [Panel(column, self._curves(column, own[column], groups)) for column in shown]

    def _curves(self, column: str, own: Values, groups: Mapping[str, list[Member]]) -> tuple[Curve, ...]:
        curves, trunks = [], set()
        chosen = _apart(list(groups), GROUPS)
        for label in chosen:
            for behind in zip(*(member.lineage for member in groups[label]), strict=False):
                name = behind[0][0]
                if behind not in trunks and name in self.runs:
                    values = self._values(name).get(column, {})
                    upto = [_until(values.get(index, {}), left) for _, index, left in behind]
                    curves.append(Curve("", _thinned(upto), trunk=True))
                trunks.add(behind)
        many = len(groups) > 1
        for label in chosen:
            rows = [own.get(member.index, {}) for member in groups[label]]
            curves.append(Curve(label if many else "", _thinned(rows)))
        return tuple(curve for curve in curves if curve.points)

    def _groups(self, run: Run) -> dict[str, list[Member]]:
        """Members by what is swept beside the seed."""
        described = self._described(run.label)
        swept = config.combinations(described.sweep or {})
        found: dict[str, list[Member]] = defaultdict(list)
        for index, member in enumerate(config.members(described)):
            given = swept[index] if swept else {}
            label = ", ".join(f"{_short(name)} {_plain(value)}" for name, value in given.items() if name != "seed")
            found[label].append(Member(index, label, tuple(self._lineage(run, member))))
        return found

    def _lineage(self, run: Run, member: config.Run) -> list[tuple[str, int, int]]:
        """The parents of a member, oldest first."""
        found: list[tuple[str, int, int]] = []
        while run.parent in self.runs:
            parent = self._described(run.parent)
            index = config.continued(member, parent)
            found.insert(0, (run.parent, index, int(run.facts.get("start_step") or 0)))
            run, member = self.runs[run.parent], config.members(parent)[index]
        return found

    def _described(self, label: str) -> config.Run:
        if label not in self.described:
            self.described[label] = config.run_from_dict(self.runs[label].description)
        return self.described[label]

    def _values(self, label: str) -> dict[str, Values]:
        """By column; kept for the runs that others continue."""
        if label in self.kept:
            return self.kept[label]
        found = read(self.runs[label].metrics)
        if label in self.parents:
            self.kept[label] = found
        return found


def read(path: Path) -> dict[str, Values]:
    """By column and member, the finite values of a metrics.csv by update; empty if there is no such file."""
    if not path.is_file():
        return {}
    found: dict[str, Values] = defaultdict(lambda: defaultdict(dict))
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        columns = next(rows, [])
        if "step" not in columns:
            return {}
        step, member = columns.index("step"), columns.index("member") if "member" in columns else None
        wanted = [(place, name) for place, name in enumerate(columns) if place > step and _is_shown(name)]
        for row in rows:
            if len(row) != len(columns):
                continue  # of a file that is being written
            index = 0 if member is None else int(row[member])
            for place, name in wanted:
                if row[place] and math.isfinite(value := float(row[place])):
                    found[name][index][int(row[step])] = value
    return found


def _is_shown(column: str) -> bool:
    """Whether a column is a quantity, and not how well another was found."""
    return not column.endswith(("_bound", "_products", "_converged", "_second"))


def _rank(column: str) -> tuple[int, str]:
    known = [place for place, name in enumerate(FIRST) if column.removeprefix("curve_") == name]
    return (known[0] if known else len(FIRST)), column


def _apart(labels: Sequence[str], count: int) -> list[str]:
    """So many of some labels at most, evenly apart, the first and the last among them."""
    if len(labels) <= count:
        return list(labels)
    return [labels[round(place * (len(labels) - 1) / (count - 1))] for place in range(count)]


def _until(values: Mapping[int, float], step: int) -> dict[int, float]:
    return {at: value for at, value in values.items() if at <= step}


def _thinned(rows: Iterable[Mapping[int, float]]) -> tuple[tuple[float, float, float, float], ...]:
    """Mean and range of some members at each update, the updates averaged where there are many."""
    at: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        for step, value in row.items():
            at[step].append(value)
    steps = sorted(at)
    size = max(1, math.ceil(len(steps) / POINTS))
    inner = steps[1:-1]  # both ends stay, so that a curve meets its trunk
    parts = [steps[:1], *(inner[first : first + size] for first in range(0, len(inner), size)), steps[1:][-1:]]
    return tuple(_point(part, at) for part in parts if part)


def _point(steps: Sequence[int], at: Mapping[int, list[float]]) -> tuple[float, float, float, float]:
    values = [value for step in steps for value in at[step]]
    return sum(steps) / len(steps), sum(values) / len(values), min(values), max(values)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
