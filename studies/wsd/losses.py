"""Losses of the study's runs, picked from the table of all rows: by arm, size, budget, peak and seed.

A run is a sweep over seeds: one training is told from the others by its run and its seed. Updates are taken from the
rows, not from study.py, since they are fewer at the smoke scale.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from common.evidence.estimators import jackknife
from studies.wsd.study import COSINE_PEAKS, DECAY_SHARE, HEADLINE, LENGTHS, PEAK, PEAKS

CURVE = "curve_val_loss"
"""What curves are drawn of: the loss on the first part of the validation set. Claims are judged on all of it."""
LOSS = "val_loss"
AVERAGED = f"average_{LOSS}"
"""The same of the exponential average of the weights."""
SHAPED = "shape_"
EVALUATIONS = 3
"""Of a constant rate, whose mean stands for it; a single one scatters by the last batches."""


def last_loss(runs: pd.DataFrame, *arms: str) -> pd.DataFrame:
    """Last validation loss of each training of some arms: run, rung, budget (updates behind), steps, arm, lr, seed."""
    rows = runs[runs.arm.isin(arms) & runs[LOSS].notna()].sort_values("step")
    last = rows.groupby(["run", "seed"]).tail(1)
    return last.rename(columns={"step": "budget"})[["run", "rung", "budget", "steps", "arm", "lr", "seed", LOSS]]


def of_rung(runs: pd.DataFrame, rung: str = HEADLINE) -> pd.DataFrame:
    """The rows of one size."""
    return runs[runs.rung == rung]


def longest(runs: pd.DataFrame, rung: str = HEADLINE) -> int:
    """Updates of the longest budget of a size: those of its trunks."""
    return int(of_rung(runs, rung).query("arm == 'stable'").step.max())


def budgets_of(runs: pd.DataFrame) -> list[int]:
    """The budgets of the headline size, from the shortest to the longest."""
    return sorted(map(int, last_loss(of_rung(runs), "wsd").budget.unique()))


def final(
    runs: pd.DataFrame, arm: str, *, rung: str = HEADLINE, lr: float | None = None, budget: int | None = None
) -> pd.Series:
    """Final validation loss by seed of the run of an arm at a peak and budget: the headline's and the longest."""
    losses = last_loss(of_rung(runs, rung), arm)
    peak = (COSINE_PEAKS if arm.startswith(("cosine", "cyclic")) else PEAKS)[rung] if lr is None else lr
    end = losses.budget.max() if budget is None else budget
    chosen = losses[(losses.budget == end) & (losses.lr == peak)]
    if chosen.empty:
        raise LookupError(f"arm {arm!r} has no run on {rung} with budget {end} and lr={peak:g}; see RUNS in study.py")
    return chosen.set_index("seed")[LOSS]


def constant(
    runs: pd.DataFrame, *, share: float = 1.0, rung: str = HEADLINE, lr: float | None = None, column: str = LOSS
) -> pd.Series:
    """Loss of a constant rate by seed about a share of the longest budget: mean of the evaluations nearest to it."""
    peak = PEAKS[rung] if lr is None else lr
    rows = trunk_rows(runs, rung=rung, lr=peak, column=column)
    apart = (rows.step - share * longest(runs, rung)).abs()
    near = rows.assign(apart=apart).sort_values("apart", kind="stable").groupby("seed").head(EVALUATIONS)
    found: pd.Series = near.groupby("seed")[column].mean()
    return found


def trunk_rows(runs: pd.DataFrame, *, rung: str, lr: float, column: str = LOSS) -> pd.DataFrame:
    """Evaluations of the constant run of a size and peak."""
    rows = of_rung(runs, rung).query("arm == 'stable'")
    found: pd.DataFrame = rows[(rows.lr == lr) & rows[column].notna()]
    if found.empty:
        raise LookupError(f"there is no trunk on {rung} with lr={lr:g} and {column}; see RUNS in study.py")
    return found


def late_gap(runs: pd.DataFrame, *, low: float, high: float, share: float) -> pd.Series:
    """Constant loss of one peak minus another by seed: mean over the updates at which both were evaluated, late on.

    Args:
        runs: rows of the headline runs.
        low: one peak.
        high: the other.
        share: of the longest budget, the last, that counts.
    """
    begin = (1 - share) * longest(runs)
    first, second = (trunk_rows(runs, rung=HEADLINE, lr=lr).set_index(["seed", "step"])[LOSS] for lr in (low, high))
    gaps = paired(first, second)
    found: pd.Series = gaps[gaps.index.get_level_values("step") > begin].groupby("seed").mean()
    return found


def paired(first: pd.Series, second: pd.Series) -> pd.Series:
    """`first` minus `second` for the seeds that both have: some arms were trained with more seeds."""
    found: pd.Series = (first - second).dropna()
    return found


def curve_of(runs: pd.DataFrame, **where: object) -> pd.DataFrame:
    """The rows of some runs, by fields."""
    return runs.loc[(runs[list(where)] == pd.Series(where)).all(axis=1)]


class Lowest(NamedTuple):
    """Lowest point of the parabola through some points."""

    place: float
    height: float
    inside: bool
    """Whether it lies among the points; the lowest of them takes its place otherwise."""


def lowest_point(x: np.ndarray, y: np.ndarray) -> Lowest:
    """By least squares, through at least three points."""
    middle, lowest = x.mean(), int(y.argmin())
    second, first, level = np.polyfit(x - middle, y, 2)
    place = middle - first / (2 * second) if second > 0 else np.inf
    if not x[0] < place < x[-1]:
        return Lowest(float(x[lowest]), float(y[lowest]), inside=False)
    return Lowest(float(place), float(level - first**2 / (4 * second)), inside=True)


class Best(NamedTuple):
    """The best peak of all seeds together: what each seed adds to it, by seed (`estimators.jackknife`)."""

    peak: pd.Series
    """Logarithm to base 2."""
    loss: pd.Series
    inside: bool
    """Whether it lies between the smallest and the largest peak; else the best may lie beyond."""


def best(losses: pd.DataFrame) -> Best:
    """The lowest point of the parabola through the means of all seeds, on the logarithmic axis.

    Args:
        losses: columns lr, seed, val_loss, of at least three peaks; every seed has all of them.
    """
    table = losses.pivot(index="seed", columns="lr", values=LOSS)
    peaks = np.log2(table.columns.to_numpy(dtype=float))

    def lowest(some: pd.DataFrame) -> Lowest:
        return lowest_point(peaks, some.mean().to_numpy())

    peak = jackknife(table, lambda some: lowest(some).place)
    return Best(peak, jackknife(table, lambda some: lowest(some).height), lowest(table).inside)


def bracketed(runs: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Last losses of a headline arm at the longest budget, at all of its peaks."""
    losses = last_loss(of_rung(runs), arm)
    found: pd.DataFrame = losses[losses.budget == losses.budget.max()]
    return found


def decays(runs: pd.DataFrame, *arms: str) -> pd.DataFrame:
    """Decays before the longest budget of the headline size at its peak, with columns share (of it) and shape.

    The shape of an arm stands in its name; without, it is linear.
    """
    losses = last_loss(of_rung(runs), *arms)
    losses = losses[(losses.budget == losses.budget.max()) & (losses.lr == PEAK)]
    shapes = losses.arm.where(losses.arm.str.startswith(SHAPED), "linear").str.removeprefix(SHAPED)
    shares = (losses.steps / losses.budget).map(lambda share: min(LENGTHS, key=lambda length: abs(length - share)))
    table: pd.DataFrame = losses.assign(share=shares, shape=shapes)
    return table


def length_gains(runs: pd.DataFrame) -> pd.DataFrame:
    """Constant loss minus decayed loss at the longest budget, by seed (rows) and share that decays (columns)."""
    lengths = [arm for arm in runs.arm.unique() if arm.startswith("length")]
    losses = decays(runs, "wsd", *lengths).pivot(index="seed", columns="share", values=LOSS).dropna()
    return -losses.sub(constant(runs)[losses.index], axis=0)


def fall(runs: pd.DataFrame, rung: str = HEADLINE) -> pd.Series:
    """How far the headline decay ends below the constant rate after as many updates, by seed."""
    found: pd.Series = constant(runs, rung=rung) - final(runs, "wsd", rung=rung)
    return found


def slope(runs: pd.DataFrame, rung: str = HEADLINE) -> pd.Series:
    """Fall of the constant rate in the tenth before the headline decay, by seed."""
    found: pd.Series = constant(runs, share=1 - 2 * DECAY_SHARE, rung=rung) - constant(
        runs, share=1 - DECAY_SHARE, rung=rung
    )
    return found
