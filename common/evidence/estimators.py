"""Numbers of a seed that do not hang on one evaluation, and the error that all seeds share with their text."""

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import pandas as pd

from common.evidence.statistics import Interval, t_interval

SMALL = 1 / 3
"""Share of the seeds' error below which that of the text needs no mention."""


def last_mean(runs: pd.DataFrame, column: str, *, evaluations: int, by: Sequence[str] = ("seed",)) -> pd.Series:
    """Mean of the last evaluations of each run, at the same steps in all: a single one scatters by the last batches.

    Args:
        runs: rows of runs, of the arms that are to be compared.
        column: what is averaged, such as `val_loss`; rows without it are no evaluations.
        evaluations: how many. As many, and the same, for every arm: else the arms differ by their window.
        by: columns that tell the runs apart.
    Returns: one number for each run, by those columns.
    Raises: ValueError if a run has fewer evaluations, or others than the first (steps counted from the end).

    >>> runs = pd.DataFrame({"seed": [0, 0, 0, 1, 1, 1], "step": [0, 5, 10] * 2, "loss": [9, 3, 1, 9, 5, 3]})
    >>> last_mean(runs, "loss", evaluations=2).to_dict()
    {0: 2.0, 1: 4.0}
    """
    if evaluations < 1:
        raise ValueError(f"evaluations={evaluations} must be at least 1")
    rows = runs[runs[column].notna()].sort_values("step")
    last = rows.groupby(list(by)).tail(evaluations)
    windows = {name: tuple(part.step.iloc[-1] - part.step) for name, part in last.groupby(list(by))}
    for name, window in windows.items():
        if len(window) < evaluations:
            raise ValueError(f"{_named(by, name)} has {len(window)} evaluations of {column}, {evaluations} are wanted")
        if window != next(iter(windows.values())):
            raise ValueError(f"{_named(by, name)} is evaluated at other steps before its end than the others: {window}")
    found: pd.Series = last.groupby(by[0] if len(by) == 1 else list(by))[column].mean()
    return found


def _named(by: Sequence[str], values: Hashable) -> str:
    numbers = values if isinstance(values, tuple) else (values,)
    return ", ".join(f"{name} {value}" for name, value in zip(by, numbers, strict=True))


def jackknife(table: pd.DataFrame, statistic: Callable[[pd.DataFrame], float]) -> pd.Series:
    """What each seed adds to a number that all seeds make together, such as the lowest point of a mean curve.

    Pseudo-values (Tukey 1958; Efron & Tibshirani 1993, ch. 11): n times the number of all seeds less n - 1 times that
    of all others. Their mean is the number, without its bias of order 1/n, and their scatter is its error: a seed's own
    best of several noisy runs is too good, and a best that all seeds share, moved by each seed's mean, is too certain.

    Args:
        table: one row for each seed.
        statistic: the number of some rows; smooth in them.
    Returns: by the table's index; for a single seed the number.

    >>> table = pd.DataFrame({"loss": [1.0, 2.0, 6.0]}, index=[7, 8, 9])
    >>> jackknife(table, lambda some: some.loss.mean()).to_dict()
    {7: 1.0, 8: 2.0, 9: 6.0}
    """
    n, whole = len(table), statistic(table)
    others = [statistic(table.drop(index=seed)) for seed in table.index] if n > 1 else [whole]
    return pd.Series([n * whole - (n - 1) * other for other in others], index=table.index)


def text_error(windows: pd.DataFrame) -> float:
    """Standard error of a mean over the windows of one text, which all seeds are evaluated on.

    Other text would have moved all seeds together, so this error does not shrink with more seeds. It is joined with
    theirs as `Reading.shared_error`; part of it is in the scatter of the seeds already, so the whole is cautious.

    ASSUME: the windows are about independent draws of the text that the claim speaks of; neighbours from one file are
    not quite, and the true error is then larger.

    Args:
        windows: one row for each seed, one column for each window: most often a difference of two arms
            (`training.evaluation.token_losses`, averaged over the window).
    Raises: ValueError for fewer than two windows, or a value that is not finite.

    >>> text_error(pd.DataFrame([[1.0, 3.0], [2.0, 4.0]]))
    1.0
    """
    values = windows.to_numpy(dtype=float)
    if values.ndim != 2 or values.shape[1] < 2 or not len(values):
        raise ValueError(f"windows of shape {values.shape}: a row for each seed, at least two windows")
    if not np.isfinite(values).all():
        raise ValueError("windows: every value must be finite")
    return float(values.mean(axis=0).std(ddof=1) / math.sqrt(values.shape[1]))


def joint_interval(windows: pd.DataFrame, *, confidence: float = 0.95) -> Interval:
    """Interval of the mean over all seeds and all text, from the losses of each seed on each window.

    Args:
        windows: as in `text_error`.
        confidence: as in `t_interval`.
    """
    return t_interval(windows.mean(axis=1), confidence=confidence, shared_error=text_error(windows))


def text_is_small(windows: pd.DataFrame) -> bool:
    """Whether the error of the text is below a third of that of the seeds, so that seeds alone may be counted.

    Args:
        windows: as in `text_error`; at least two seeds.
    """
    seeds = windows.mean(axis=1)
    return text_error(windows) < SMALL * float(seeds.std(ddof=1)) / math.sqrt(len(seeds))
