"""Metrics of continual learning from one record of evaluations: what task ends show, and what they hide.

Notation: A(i, n) is the value of task i after n updates, tasks count from 0, task i is trained in the updates
e_{i-1} + 1, ..., e_i with e_{-1} = 0, k tasks have been seen, and t is the last update of the record. At a switch the
evaluation before the first update of a task is the last evaluation of the task before, A(i, e_{k-1}): same weights.

Every number is in the units of the record: give accuracies as fractions and all metrics are fractions, give points and
they are points. Formulas are written for accuracies. Of losses (`higher_is_better=False`) signs and extremes swap, so
that forgetting, depth, area and residual are positive when the task got worse, in both forms.

Functions return one number per task; `averages` gives the means under their names in the literature.

ASSUME: every evaluation of a task uses the same examples. The minimum of evaluations on fresh draws is biased down.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import minimum_filter1d

if TYPE_CHECKING:
    import pandas as pd  # only the tables that a caller has read

ROUND_OFF = 1e-6
"""Relative to the value before the switch: an accuracy exactly at the tolerance has recovered, also in float32."""

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """All evaluations of one run. Lists are turned into arrays, which are read-only.

    Attributes:
        values: A(i, n), shape (tasks, evaluations), NaN where a task was not evaluated. Rows beyond `ends` are
            evaluation sets of no task so far; only `gap` and `depth` take them.
        steps: updates done at each evaluation, whole and increasing; 0 is before the first update.
        ends: e_i, updates done at the end of each task so far; the last is the last evaluation, be the task complete
            or not. A run that continues an earlier one starts at its e_0.
        higher_is_better: true of accuracies, false of losses.
    Raises: ValueError if shapes, order or `ends` do not fit, for an infinite value or none that is a number, or if a
        task was not evaluated at its end or a later one: these evaluations are references. A diverged run fails here.
    """

    values: Array
    steps: NDArray[np.int64]
    ends: tuple[int, ...]
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        values = _numbers(self.values, name="values", rule="a row for each task, NaN where it was not evaluated")
        steps, ends = _whole(self.steps, name="steps"), _whole(self.ends, name="ends")
        for array in (values, steps):
            array.setflags(write=False)
        self.__dict__.update(values=values, steps=steps, ends=tuple(ends.tolist()))
        _check_shapes(self)
        _check_values(self)

    @property
    def tasks(self) -> int:
        """k, the tasks seen so far."""
        return len(self.ends)

    def start(self, task: int) -> int:
        """Updates done when the task begins: e_{i-1}, and 0 for the first."""
        return self.ends[task - 1] if task else 0

    def curve(self, task: int, *, first: int, last: int) -> tuple[NDArray[np.int64], Array]:
        """Steps and values of the evaluations of a row at updates `first` to `last`, both included."""
        shown = (self.steps >= first) & (self.steps <= last) & ~np.isnan(self.values[task])
        return self.steps[shown], self.values[task, shown]

    def until(self, step: int) -> "Record":
        """The record as it was after an update: tasks that began later are rows beyond `ends`.

        Args:
            step: one of `steps` at which all tasks seen so far were evaluated.
        Raises: ValueError otherwise.
        """
        if step not in self.steps:
            raise ValueError(f"{step=} has no evaluation: choose one of the record's steps, {_few(self.steps)}")
        return self._at(self.steps <= step, ends=(*(end for end in self.ends if end < step), step))

    def every(self, period: int | None) -> "Record":
        """The record of an evaluation every `period` updates, counted from each switch, and at all task ends.

        Each depth is at most that of this record, because a minimum over fewer evaluations is not smaller.

        Args:
            period: in updates; None keeps task ends only.
        Raises: ValueError if the period needs an evaluation that the record lacks.
        Source: the periods of De Lange et al. 2022 (arXiv:2205.13452), figure 2; derived here.
        """
        if period is None:
            return self._at(np.isin(self.steps, self.ends), ends=self.ends)
        if period < 1:
            raise ValueError(f"{period=} must be at least 1 update; None keeps task ends only")
        wanted = {step for task in range(self.tasks) for step in range(self.start(task), self.ends[task], period)}
        wanted = {step for step in wanted if step >= self.steps[0]} | set(self.ends)
        if missing := wanted.difference(self.steps.tolist()):
            raise ValueError(
                f"{period=} needs an evaluation at update {min(missing)}, which the record lacks: "
                "choose a multiple of the period at which it was evaluated"
            )
        return self._at(np.isin(self.steps, sorted(wanted)), ends=self.ends)

    def _at(self, kept: NDArray[np.bool_], *, ends: tuple[int, ...]) -> "Record":
        return replace(self, values=self.values[:, kept], steps=self.steps[kept], ends=ends)


def _numbers(given: ArrayLike, *, name: str, rule: str) -> Array:
    try:
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} has rows of different lengths, or what is no number: give {rule}") from None


def _whole(numbers: ArrayLike, *, name: str) -> NDArray[np.int64]:
    """The numbers as integers; they must be whole, at least 0 and increasing."""
    given = np.atleast_1d(_numbers(numbers, name=name, rule="a list of update counts"))
    if given.ndim != 1 or not given.size:
        raise ValueError(f"{name} has shape {np.shape(numbers)}: it must be a list of at least one update count")
    if bad := [number for number in given.tolist() if number < 0 or not number.is_integer()]:
        raise ValueError(f"{name} contains {bad[0]:g}: it counts updates done, so give whole numbers from 0")
    if backward := [pair for pair in pairwise(given.tolist()) if pair[0] >= pair[1]]:
        a, b = backward[0]
        raise ValueError(f"{name} has {b:g} after {a:g}: it must increase; sort the evaluations and give each once")
    return given.astype(np.int64)


def _check_shapes(record: Record) -> None:
    shape, steps, ends = record.values.shape, record.steps, record.ends
    if len(shape) != 2 or shape[1] != len(steps):
        raise ValueError(
            f"values has shape {shape} and steps has {len(steps)} numbers: "
            "values must be (tasks, evaluations), one column for each step; a single task is one row"
        )
    if len(ends) > shape[0]:
        raise ValueError(f"ends names {len(ends)} tasks and values has {shape[0]} rows: give each task its row")
    if unseen := set(ends).difference(steps.tolist()):
        raise ValueError(f"ends={_few(ends)}, but steps lacks {min(unseen)}: evaluate at the end of every task")
    if ends[-1] != steps[-1]:
        raise ValueError(
            f"ends={_few(ends)} leaves evaluations up to update {steps[-1]} to no task: add the end of the last task, "
            f"or {steps[-1]} if it is still trained"
        )


def _check_values(record: Record) -> None:
    values, steps = record.values, record.steps
    if np.isinf(values).any():
        task, column = np.argwhere(np.isinf(values))[0]
        raise ValueError(
            f"values has {values[task, column]} of task {task} at update {steps[column]}: a value is finite, or NaN "
            "where a task was not evaluated; of a diverged run, keep the evaluations before"
        )
    columns = np.searchsorted(steps, record.ends)
    for task in range(record.tasks):
        for column in columns[task:]:
            if np.isnan(values[task, column]):
                raise ValueError(
                    f"values has NaN of task {task} at update {steps[column]}, where a task ends: all tasks seen so "
                    "far must be evaluated there; a diverged run has no such metrics"
                )


def _few(numbers: Sequence[int] | NDArray[np.int64]) -> str:
    """The numbers in brackets, shortened in the middle."""
    listed = [str(number) for number in numbers]
    return f"[{', '.join(listed if len(listed) <= 6 else [*listed[:3], '...', *listed[-2:]])}]"


def _quality(record: Record, values: Array) -> Array:
    """Values or their negatives, so that higher is better."""
    return values if record.higher_is_better else -values


def final(record: Record) -> Array:
    """A(i, t) of every task seen: shape (k,). Their mean is ACC, the average accuracy.

    Source: Lopez-Paz and Ranzato 2017 (arXiv:1706.08840), ACC; Hess et al. 2023 (arXiv:2311.04898), appendix.
    """
    return record.values[: record.tasks, -1].copy()


def forgetting(record: Record) -> Array:
    """A(i, e_i) - A(i, t) of every task but the current: shape (k - 1,), negative if the task improved. Mean: FORG.

    Source: as Avalanche's forgetting; minus the backward transfer of Lopez-Paz and Ranzato 2017 (arXiv:1706.08840).
    Chaudhry et al. 2018 (arXiv:1801.10112) compare with the best earlier task end instead of the task's own.
    """
    old = np.arange(record.tasks - 1)
    after = record.values[old, np.searchsorted(record.steps, record.ends[:-1])]
    return _quality(record, after - record.values[old, -1])


def worst(record: Record) -> Array:
    """Smallest A(i, n) over e_i < n <= t for every task but the current: shape (k - 1,). Mean: min-ACC.

    It begins when the task is no longer the current one, runs over all later tasks, and leaves out A(i, e_i) itself.
    Of losses it is the largest.

    Source: De Lange et al. 2022 (arXiv:2205.13452), min-ACC.
    """
    curves = (record.curve(task, first=end + 1, last=record.ends[-1])[1] for task, end in enumerate(record.ends[:-1]))
    extreme = np.min if record.higher_is_better else np.max
    return np.array([extreme(values) for values in curves])


def worst_case(record: Record) -> float:
    """WC-ACC = A(current, t) / k + (1 - 1/k) min-ACC: what training can count on at any time so far.

    Source: De Lange et al. 2022 (arXiv:2205.13452), WC-ACC.
    """
    return float(np.mean([record.values[record.tasks - 1, -1], *worst(record)]))


def windowed_forgetting(record: Record, *, window: int) -> Array:
    """Largest drop A(i, a) - A(i, b), a before b, within `window` consecutive evaluations: shape (k,). Mean: WF^window.

    The evaluations are those of the task from the one before its first update on; 0 if none is lower than an earlier
    one. In one pass: the largest value of each window minus its last.

    Args:
        record: at least one evaluation of every task.
        window: evaluations (not updates, not intervals) in a window, at least 2; longer than the record is its whole.
    Source: De Lange et al. 2022 (arXiv:2205.13452), WF.
    """
    return np.array([_largest_rise(-values, window=window) for values in _qualities_since_start(record)])


def windowed_plasticity(record: Record, *, window: int) -> Array:
    """Largest rise A(i, b) - A(i, a), a before b, within `window` consecutive evaluations: shape (k,). Mean: WP^window.

    The mirror image of `windowed_forgetting`, with the same evaluations and windows. A search for drops with its
    difference reversed is not: it starts from highest values, and misses the rise from 0.3 to 0.8 in 0.9, 0.3, 0.8.

    Args:
        record: at least one evaluation of every task.
        window: evaluations in a window, at least 2.
    Source: De Lange et al. 2022 (arXiv:2205.13452), WP.
    """
    return np.array([_largest_rise(values, window=window) for values in _qualities_since_start(record)])


def _qualities_since_start(record: Record) -> Iterable[Array]:
    for task in range(record.tasks):
        yield _quality(record, record.curve(task, first=record.start(task), last=record.ends[-1])[1])


def _largest_rise(values: Array, *, window: int) -> float:
    if window < 2:
        raise ValueError(f"{window=} must be at least 2: a change needs two evaluations")
    size = min(window, len(values))
    lowest = minimum_filter1d(values, size, mode="constant", cval=math.inf, origin=(size - 1) // 2)
    return float(np.max(values - lowest))


def learning_curve_area(record: Record, *, evaluations: int) -> Array:
    """Mean value of each task over its first `evaluations` evaluations while it is trained: shape (k,). Mean: LCA.

    They begin after its first update; NaN for a task with fewer evaluations.

    Args:
        record: evaluated densely after switches.
        evaluations: b of LCA_b, at least 1.
    Source: De Lange et al. 2022 (arXiv:2205.13452); Chaudhry et al. 2019 (arXiv:1812.00420) also count the evaluation
        before the first update.
    """
    if evaluations < 1:
        raise ValueError(f"{evaluations=} must be at least 1: the mean of a learning curve needs a point")
    curves = (
        record.curve(task, first=record.start(task) + 1, last=record.ends[task])[1] for task in range(record.tasks)
    )
    return np.array([np.mean(curve[:evaluations]) if len(curve) >= evaluations else math.nan for curve in curves])


def averages(record: Record, *, windows: Sequence[int] = (10, 100), shots: int = 10) -> dict[str, float]:
    """Means over tasks by their names in the literature: ACC, FORG, min-ACC, WC-ACC, WF10, ..., WP10, ..., LCA10.

    Of losses the names are LOSS, FORG, max-LOSS, WC-LOSS and so on. NaN where there is nothing to average: FORG and
    min-ACC of a first task, LCA if a task has fewer evaluations than `shots`.

    Args:
        record: at any time of a run; `record.until(step)` for an earlier one.
        windows: lengths of WF and WP, in evaluations.
        shots: b of LCA_b, in evaluations.
    """
    mean, extreme = ("ACC", "min-ACC") if record.higher_is_better else ("LOSS", "max-LOSS")
    return {
        mean: _mean(final(record)),
        "FORG": _mean(forgetting(record)),
        extreme: _mean(worst(record)),
        f"WC-{mean}": worst_case(record),
        **{f"WF{window}": _mean(windowed_forgetting(record, window=window)) for window in windows},
        **{f"WP{window}": _mean(windowed_plasticity(record, window=window)) for window in windows},
        f"LCA{shots}": _mean(learning_curve_area(record, evaluations=shots)),
    }


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else math.nan


class Recovery(NamedTuple):
    """How long a task took to come back, counted from the switch."""

    length_steps: int
    """In updates; if censored, the updates for which it is known not to have come back."""
    censored: bool
    """True if it did not come back before the next switch: the length is a lower bound, and no number replaces it."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """What happens to one task while another is trained; see `gap`."""

    task: int
    during: int
    before: float
    """A(i, e_{k-1}), the reference. Report it beside the depth: an under-trained task has little to lose."""
    depth: float
    lowest_steps: int
    """Updates from the switch to the lowest evaluation, to the last of several equal ones."""
    recovery: Recovery
    area: float
    """In units of the values times updates."""
    residual: float
    """What is lost at the end of the task that is trained: all that task ends show."""


def gap(record: Record, *, task: int, during: int, tolerance: float) -> Gap:
    """Depth, recovery, area and residual of one task while another is trained, all derived here.

    With the loss of value L(n) = A(i, e_{k-1}) - A(i, n) at the evaluations e_{k-1} < n <= e_k:

    * depth: max of L(n); negative if the task was better throughout.
    * recovery: first n after the lowest evaluation with L(n) <= tolerance, minus e_{k-1}. It is 0 if the depth is
      within the tolerance, and censored at e_k - e_{k-1} if there is no such n.
    * area: sum of max(0, L(n)), each evaluation standing for the updates since the one before it. Of an evaluation
      after every update it is the plain sum.
    * residual: L(e_k).

    Args:
        record: with an evaluation of the task at the switch and during the other.
        task: row i; also one beyond `ends`, an evaluation set of no task.
        during: task k that is trained, from 1.
        tolerance: loss of value that counts as recovered, in units of the values: 1 point is 0.01 of fractions.
    Raises: ValueError for a pair that has no gap, a missing evaluation at the switch, or a senseless tolerance.
    """
    if not (tolerance >= 0 and math.isfinite(tolerance)):
        raise ValueError(f"{tolerance=} must be a finite number from 0, in units of the values")
    before, updates, lost = _losses(record, task=task, during=during)
    lowest = int(np.flatnonzero(lost == lost.max())[-1])
    back = lost <= tolerance + ROUND_OFF * abs(before)
    if back[lowest]:
        recovery = Recovery(0, censored=False)
    elif back[lowest:].any():
        recovery = Recovery(int(updates[lowest + np.argmax(back[lowest:])]), censored=False)
    else:
        recovery = Recovery(int(updates[-1]), censored=True)
    return Gap(
        task=task,
        during=during,
        before=before,
        depth=float(lost[lowest]),
        lowest_steps=int(updates[lowest]),
        recovery=recovery,
        area=float(np.diff(updates, prepend=0) @ lost.clip(min=0)),
        residual=float(lost[-1]),
    )


def gaps(record: Record, *, tolerance: float) -> list[Gap]:
    """The gap of every earlier task during every task from the second on; see `gap`."""
    pairs = [(task, during) for during in range(1, record.tasks) for task in range(during)]
    return [gap(record, task=task, during=during, tolerance=tolerance) for task, during in pairs]


def depth(record: Record, *, task: int, during: int) -> float:
    """A(i, e_{k-1}) - min of A(i, n) over e_{k-1} < n <= e_k: the depth of `gap`, which needs no tolerance."""
    return float(_losses(record, task=task, during=during)[2].max())


def null_corrected_depth(record: Record, null: Record, *, task: int, during: int) -> float:
    """Depth minus the depth of the same run in which the new task is the old one again; derived here.

    The minimum over noisy evaluations lies below the mean also where nothing happens, the more so the more there are.
    The null control has the same number of evaluations and the same noise. With the same seed its task before is the
    same too, and only the minima differ.

    Args:
        record: the run.
        null: the control, evaluated after the same updates of task `during`.
        task: row i, as of `depth`.
        during: task k that is trained, from 1.
    Raises: ValueError if the two were evaluated at different updates after the switch or in different forms.
    """
    if record.higher_is_better != null.higher_is_better:
        raise ValueError(
            f"higher_is_better is {record.higher_is_better} of the run and {null.higher_is_better} of null"
        )
    found, control = (_losses(each, task=task, during=during) for each in (record, null))
    if not np.array_equal(found[1], control[1]):
        raise ValueError(
            f"null is evaluated {_few(control[1])} updates after the switch and the run {_few(found[1])}: "
            "depths compare only over the same evaluations; thin the denser one out with `every`"
        )
    return float(found[2].max() - control[2].max())


def _losses(record: Record, *, task: int, during: int) -> tuple[float, NDArray[np.int64], Array]:
    """Value before the switch, updates since the switch, and value lost at each evaluation during a task."""
    rows = len(record.values)
    if not 0 < during < record.tasks:
        raise ValueError(
            f"{during=} must lie in 1..{record.tasks - 1}: a gap needs a task before and one that is trained"
        )
    if not 0 <= task < rows or task == during:
        raise ValueError(f"{task=} must be one of the rows 0..{rows - 1} and not the task trained, {during=}")
    switch, end = record.ends[during - 1], record.ends[during]
    steps, values = record.curve(task, first=switch, last=end)
    if len(steps) < 2 or steps[0] != switch or steps[-1] != end:
        raise ValueError(
            f"values has NaN of row {task} at update {switch} or {end}: a gap during task {during} "
            "needs the evaluations at the switch and at the end"
        )
    return float(values[0]), steps[1:] - switch, _quality(record, values[0] - values[1:])


def median_recovery(recoveries: Iterable[Recovery]) -> Recovery:
    """Median length over seeds in which a run that has not come back counts as long, not as missing.

    The smallest length by which the share that has not come back is at most 1/2, by Kaplan and Meier's product: runs
    censored early weigh less. Censored at the largest length if the share stays above 1/2. Without censoring it is
    the ordinary median, the lower one of an even number.

    Args:
        recoveries: one per seed.
    Raises: ValueError if there is none.
    Source: Kaplan and Meier 1958.

    >>> median_recovery([Recovery(35, False), Recovery(128, False), Recovery(300, True)])
    Recovery(length_steps=128, censored=False)
    >>> median_recovery([Recovery(35, False), Recovery(300, True), Recovery(300, True)])
    Recovery(length_steps=300, censored=True)
    """
    known = list(recoveries)
    if not known:
        raise ValueError("there are no recoveries: no run matches; check the selection of runs")
    away = Fraction(1)
    for length in sorted({each.length_steps for each in known if not each.censored}):
        at_risk = sum(each.length_steps >= length for each in known)
        back = sum(each.length_steps == length and not each.censored for each in known)
        away *= 1 - Fraction(back, at_risk)
        if away <= Fraction(1, 2):
            return Recovery(length, censored=False)
    return Recovery(max(each.length_steps for each in known), censored=True)


def task_record(
    rows: "pd.DataFrame", *, tasks: Sequence[str], value: str = "val_accuracy", ends: Sequence[int] | None = None
) -> Record:
    """Evaluations of tasks over one run, or a chain of runs, from its rows as `read_runs` gives them.

    Where one run of a chain ends and the next begins, both have evaluated the same weights; their values must be equal.

    Args:
        rows: of one run and seed, with a column `<value>_<task>` for each task.
        tasks: words of the watched sets, in the order of the tasks; then those of sets that are no task so far.
        value: "val_accuracy", or another column of evaluations; of losses less is better.
        ends: of `Record`; if left out, a task begins, and the one before ends, where it is first evaluated,
            and the last ends with the rows.
    Raises: ValueError as `Record` does, if a column is missing, or if two evaluations of the same weights
        differ.
    """
    columns = [f"{value}_{task}" for task in tasks]
    if missing := [column for column in columns if column not in rows]:
        raise ValueError(f"rows lack the column {missing[0]!r}: watch that set in every run of the chain")
    by_step = rows.dropna(subset=columns, how="all").groupby("step")[columns]
    table, largest = by_step.min(), by_step.max()
    if apart := table.index[(largest - table).fillna(0).gt(0).any(axis=1)].tolist():
        raise ValueError(f"rows has two different evaluations at update {apart[0]}: give the rows of one run and seed")
    if ends is None:
        begun = [int(table.index[table[column].notna()][0]) for column in columns]
        ends = [*begun[1:], int(table.index[-1])]
    return Record(
        values=table.to_numpy().T,
        steps=table.index.to_numpy(),
        ends=tuple(ends),
        higher_is_better="loss" not in value,
    )
