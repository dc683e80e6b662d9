"""What a cure removes of the gap and what it costs, against the plain training of the same seeds."""

import math
from collections.abc import Hashable, Mapping

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from common.continual.metrics import ROUND_OFF, Record
from common.evidence.statistics import Interval, paired_differences, t_interval

PERCENT = 100
LEARNT = 0.9
"""Share of its final accuracy at which the new task counts as learnt."""
NEAREST_MEAN = {
    "nearest_mean_accuracy_past": "nearest_mean_accuracy_task0",
    "nearest_mean_accuracy": "nearest_mean_accuracy_task1",
}
"""Columns of the probe, and what they are in a run on the second of two tasks."""
DIFFERENCES = {"delay": "reach_steps", "early": "area_new", "final": "mean", "lasting": "residual"}
"""What is compared by differences, and its column in a table of gaps."""

Values = Mapping[Hashable, float]


def reach_steps(record: Record, *, task: int = 1, share: float = LEARNT) -> int:
    """Updates of a task until it first has a share of its final accuracy.

    Args:
        record: with a dense record of the task while it is trained.
        task: the new one.
        share: of its accuracy at its end, in (0, 1].
    Raises: ValueError for a share outside (0, 1], or of losses, of which a share means nothing.
    """
    if not 0 < share <= 1:
        raise ValueError(f"{share=} must lie in (0, 1]: it is a part of the final accuracy")
    if not record.higher_is_better:
        raise ValueError("higher_is_better=False: give accuracies, a share of a final loss means nothing")
    start = record.start(task)
    steps, values = record.curve(task, first=start + 1, last=record.ends[task])
    return int(steps[np.argmax(values >= share * (1 - ROUND_OFF) * values[-1])] - start)


def with_nearest_mean(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows with the probe's accuracies, if there are any, under the names of the tasks."""
    return runs.rename(columns=NEAREST_MEAN)


def common_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of those seeds that every run of a table has: some comparisons have fewer than others."""
    shared = set.intersection(*(set(seeds) for _, seeds in table.groupby("run").seed))
    return table[table.seed.isin(shared)]


def excess(cured: Values, plain: Values, *, share: float) -> dict[Hashable, float]:
    """`cured` minus a share of `plain` for each seed: below 0 where the cure leaves less than that share.

    A test of its mean against 0 is one of the ratio of means against the share, and unlike the mean of ratios it
    needs no denominator.

    Raises: ValueError if a seed lacks its partner or a value is not finite.
    """
    return paired_differences(cured, {seed: share * value for seed, value in plain.items()}, names=("cured", "plain"))


def ratio(cured: Values, plain: Values, *, confidence: float = 0.95) -> Interval:
    """Ratio of the means over seeds, with the shares that a t test of `excess` does not reject.

    Both ends are infinite where the mean of `plain` may be 0.

    Args:
        cured: one number per seed.
        plain: the denominators, for the same seeds.
        confidence: of the interval, between 0 and 1.
    Raises: ValueError as `excess`, or if the denominators have the mean 0.
    Source: Fieller 1954.

    >>> found = ratio({0: 1.0, 1: 2.0, 2: 3.0}, {0: 4.0, 1: 4.0, 2: 4.0})
    >>> found.mean, round(found.low, 3), round(found.high, 3)
    (0.5, -0.121, 1.121)
    """
    excess(cured, plain, share=1)
    x, y = np.array([[cured[seed], plain[seed]] for seed in cured]).T
    if y.mean() == 0:
        raise ValueError("plain has the mean 0: there is nothing that a ratio could be part of")
    n = len(x)
    if n == 1:
        return Interval(float(x[0] / y[0]), -math.inf, math.inf, 1)
    cover = float(stdtrit(n - 1, (1 + confidence) / 2)) ** 2 / n * np.cov(x, y)
    square, half, rest = y.mean() ** 2 - cover[1, 1], x.mean() * y.mean() - cover[0, 1], x.mean() ** 2 - cover[0, 0]
    center = float(x.mean() / y.mean())
    if square <= 0:
        return Interval(center, -math.inf, math.inf, n)
    root = math.sqrt(max(0.0, half**2 - square * rest))
    return Interval(center, float((half - root) / square), float((half + root) / square), n)


def compared(cured: pd.DataFrame, plain: pd.DataFrame) -> pd.DataFrame:
    """A cure against plain training: a row for each quantity, with mean, low, high (95 % over seeds) and n.

    Quantities: depth, in percent of plain's; transient, the same of what comes back (depth minus residual); and as
    differences to plain: delay (updates until the new task has 90 % of its final accuracy), early (mean accuracy of
    the new task over its first evaluations), final (mean of both tasks at the end) and lasting (residual).
    NaN where a quantity was not measured or nothing bounds it.

    Depth and residual of both are counted from plain's accuracy before the switch. A cure that starts from the same
    weights has the same; another reading of them that is worse before the switch must not seem stable for that.

    Args:
        cured: one row for each seed, as from `gaps.gaps`, with a column reach_steps.
        plain: the same of the plain training.
    """
    cured, plain = cured.set_index("seed"), plain.set_index("seed")
    lower = plain.before - cured.before
    cured = cured.assign(depth=cured.depth + lower, residual=cured.residual + lower)
    transients = [table.depth - table.residual for table in (cured, plain)]
    found = {"depth": _percent(cured.depth, plain.depth), "transient": _percent(*transients)}
    found |= {name: _difference(cured[column], plain[column]) for name, column in DIFFERENCES.items()}
    rows = [{"quantity": name, **vars(interval)} for name, interval in found.items()]
    return pd.DataFrame(rows).replace([-math.inf, math.inf], math.nan)


def _percent(cured: pd.Series, plain: pd.Series) -> Interval:
    if plain.mean() == 0:
        return Interval(math.nan, math.nan, math.nan, len(plain))
    found = ratio(dict(cured.items()), dict(plain.items()))
    return Interval(PERCENT * found.mean, PERCENT * found.low, PERCENT * found.high, found.n)


def _difference(cured: pd.Series, plain: pd.Series) -> Interval:
    if cured.isna().any() or plain.isna().any():
        return Interval(math.nan, math.nan, math.nan, len(plain))
    return t_interval(paired_differences(cured, plain, names=("cured", "plain")))
