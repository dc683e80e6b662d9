"""What transfer means in numbers: the best learning rate of a size, its drift with the size, and what the drift costs.

A size is a width or a depth. Everything is taken by seed, so that an interval over seeds follows; networks of two sizes
share a seed's order of the data, not their initial weights.
"""

from collections.abc import Hashable
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from common.evidence.statistics import log_log_slopes

LAST_SHARE = 0.1
"""Part of a run, at its end, over which the training loss is averaged."""
REACH = 3
"""Grid points on each side of the best one over which the sensitivity is averaged."""
KEYS = ["arm", "parametrization", "width", "depth", "seed", "lr"]


def endings(runs: pd.DataFrame) -> pd.DataFrame:
    """One row for each training: its keys, `initial` loss, final `loss`, and whether it `diverged`.

    The final loss is the training loss averaged over the last tenth, clipped at the initial (validation) loss as in
    Wortsman et al. 2023 (arXiv:2309.14322, LR sensitivity); `diverged` says that it was clipped, or not finite.
    """
    groups = runs.groupby(KEYS, sort=False)
    initial = runs[runs.step == 0].set_index(KEYS).val_loss
    late = runs[runs.step > (1 - LAST_SHARE) * runs.steps]
    loss = late.groupby(KEYS, sort=False).train_loss.mean().reindex(initial.index)
    finished = (groups.step.max() == groups.steps.max()).reindex(initial.index)
    sound = finished & (loss < initial)
    table = pd.DataFrame({"initial": initial, "loss": loss.where(sound, initial), "diverged": ~sound})
    return table.reset_index()


def chosen(runs: pd.DataFrame, arm: str, parametrization: str) -> pd.DataFrame:
    """Final losses of one arm and parametrization (see `endings`)."""
    return endings(runs[(runs.arm == arm) & (runs.parametrization == parametrization)])


def best_rate(rates: ArrayLike, losses: ArrayLike, clipped: ArrayLike | None = None) -> float:
    """Learning rate at the vertex of the parabola through the log losses of the best rate and its two neighbours.

    In the logarithm of the rate, so the grid must have equal ratios. The vertex lies within half a step of the best
    rate of the grid; more points would be pulled away by those that diverged. At an end of the grid, where a neighbour
    is missing, and beside a clipped neighbour, whose loss says only that it diverged, it is the best rate of the grid.

    Args:
        rates: ascending, positive, each the same factor above the one before.
        losses: positive, one for each rate.
        clipped: which losses stand for a divergence; none if left out.
    Raises: ValueError if the ratios are not equal.

    >>> round(best_rate([1, 2, 4], np.exp([4, 1, 0])), 6)  # the parabola (log2 rate - 2)**2
    4.0
    >>> round(best_rate([1, 2, 4, 8], np.exp([2.25, 0.25, 0.25, 2.25])), 6)  # (log2 rate - 1.5)**2
    2.828427
    """
    x, y = np.log2(np.asarray(rates, dtype=float)), np.log(np.asarray(losses, dtype=float))
    steps = np.diff(x)
    if not np.allclose(steps, steps[0]):
        raise ValueError(f"rates={list(np.asarray(rates))} must have equal ratios: the parabola needs an even grid")
    least = int(np.argmin(y))
    if not inside(y) or (clipped is not None and beside_clipped(y, clipped)):
        return float(2 ** x[least])
    before, at, after = y[least - 1 : least + 2]
    bend = before - 2 * at + after
    return float(2 ** (x[least] + steps[0] * (before - after) / (2 * bend if bend else 1.0)))


def beside_clipped(losses: ArrayLike, clipped: ArrayLike) -> bool:
    """Whether a neighbour of the smallest loss is clipped: then the best rate is one step below where runs diverge."""
    least, flags = int(np.argmin(np.asarray(losses))), np.asarray(clipped, dtype=bool)
    return bool(flags[max(least - 1, 0) : least + 2].any())


def inside(losses: ArrayLike) -> bool:
    """Whether the smallest of the losses lies within the grid, not at one of its ends."""
    y = np.asarray(losses)
    return bool(0 < np.argmin(y) < len(y) - 1)


def curves(table: pd.DataFrame, *, size: str, of: str = "loss") -> pd.DataFrame:
    """Final losses (or `diverged`) by seed and size (rows) and learning rate (columns, ascending), of `endings`."""
    return table.pivot(index=["seed", size], columns="lr", values=of).sort_index(axis=1)


def optima(table: pd.DataFrame, *, size: str) -> pd.DataFrame:
    """Best learning rate by seed (rows) and size (columns, ascending), of one arm's `endings` (see `best_rate`)."""
    found = {row: best_rate(part.index, part, clipped) for row, part, clipped in _grids(table, size)}
    return pd.Series(found).unstack()


def cliffs(table: pd.DataFrame, *, size: str) -> dict[Hashable, float]:
    """Share of sizes whose best rate lies beside one that diverged, where stability's limit is measured, by seed."""
    beside = {row: float(beside_clipped(part, clipped)) for row, part, clipped in _grids(table, size)}
    return {seed: float(share) for seed, share in pd.Series(beside).groupby(level=0).mean().items()}


def interior(table: pd.DataFrame, *, size: str) -> dict[Hashable, float]:
    """1 for each seed and size whose smallest loss lies within the grid of learning rates, 0 for the others."""
    return {f"{size} {row[1]}, seed {row[0]}": float(inside(part)) for row, part, _ in _grids(table, size)}


def drift(best: pd.DataFrame) -> dict[Hashable, float]:
    """Octaves by which the best rate moves per doubling of the size, by seed; `best` as from `optima`.

    The slope of log rate against log size, by least squares.
    """
    return log_log_slopes([float(each) for each in best.columns], {seed: list(row) for seed, row in best.iterrows()})


def drifts(runs: pd.DataFrame, arm: str, parametrization: str) -> dict[Hashable, float]:
    """Drift of the best rate over the widths of an arm, by seed."""
    return drift(optima(chosen(runs, arm, parametrization), size="width"))


def depth_drift(runs: pd.DataFrame, arm: str) -> dict[Hashable, float]:
    """Octaves by which the best rate of an arm moves per doubling of the depth, by seed."""
    table = endings(runs[runs.arm == f"depth_{arm}"])
    return drift(optima(table, size="depth"))


def moves(table: pd.DataFrame, *, size: str) -> pd.Series:
    """Octaves from the best rate of the smallest size to that of the largest, on the grid of rates, by seed."""
    best = curves(table, size=size).idxmin(axis=1).unstack(size).apply(np.log2)
    return best.iloc[:, -1] - best.iloc[:, 0]


def regret(table: pd.DataFrame, *, size: str) -> pd.Series:
    """Loss of the largest size at the rate that is best for the smallest, over its own best loss, minus 1; by seed."""
    losses = curves(table, size=size)
    sizes = losses.index.unique(size)
    tuned = _of_size(losses, size, sizes.min()).idxmin(axis=1)
    large = _of_size(losses, size, sizes.max())
    paid: pd.Series = large.apply(lambda rates: rates[tuned[rates.name]], axis=1)
    return paid / large.min(axis=1) - 1


def _of_size(losses: pd.DataFrame, size: str, which: float) -> pd.DataFrame:
    """The rows of one size among `curves`, by seed."""
    return losses[losses.index.get_level_values(size) == which].droplevel(size)


def sensitivity(table: pd.DataFrame, *, size: str) -> pd.Series:
    """Mean loss over the rates around the best one minus the best loss, over the initial loss, for the largest size.

    By seed, over `REACH` grid points on each side (fewer where the grid ends before), of losses clipped at the initial
    one. Source: Wortsman et al. 2023 (arXiv:2309.14322), with the range centred on each optimum, as derived here.
    """
    largest = table[table[size] == table[size].max()]
    losses, initial = curves(largest, size=size).droplevel(size), largest.groupby("seed").initial.first()
    return pd.Series({seed: _excess(part.dropna()) / initial[seed] for seed, part in losses.iterrows()})


def _excess(losses: pd.Series) -> float:
    least = int(np.argmin(losses))
    return float(losses.iloc[max(least - REACH, 0) : least + REACH + 1].mean() - losses.min())


def losses_by_width(runs: pd.DataFrame) -> pd.DataFrame:
    """Training losses of runs at one rate by seed and step (rows) and width (columns, ascending).

    At the steps that the narrowest has logged; infinite where another has ended early or its loss is not finite.
    """
    logged = runs.step[(runs.width == runs.width.min()) & (runs.step > 0)]
    rows = runs[runs.step.isin(logged)]
    return rows.pivot(index=["seed", "step"], columns="width", values="train_loss").fillna(np.inf)


def ordered_shares(losses: pd.DataFrame) -> dict[Hashable, float]:
    """Share of logged steps at which no width is worse than the next smaller by more than 2 standard errors, by seed.

    The standard errors are those over seeds of the difference at each step; a loss that is not finite is worse.
    """
    worse = losses.diff(axis=1).iloc[:, 1:].where(np.isfinite(losses.iloc[:, 1:]), np.inf)
    error = worse.groupby("step").transform("sem").fillna(0.0)
    shares = (worse <= 2 * error).all(axis=1).groupby("seed").mean()
    return {seed: float(share) for seed, share in shares.items()}


def _grids(table: pd.DataFrame, size: str) -> list[tuple[tuple[Hashable, Hashable], pd.Series, pd.Series]]:
    """By seed and size, losses at the rates that there are, and which are clipped: grids may differ between sizes."""
    losses, clipped = _pair(table, size)
    return [
        (cast("tuple[Hashable, Hashable]", row), part.dropna(), flags[part.notna()])
        for (row, part), (_, flags) in zip(losses.iterrows(), clipped.iterrows(), strict=True)
    ]


def bootstrap(table: pd.DataFrame, *, size: str, draws: int = 500, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap of the drift over seeds: an interval for the drift of the curves averaged over seeds.

    The seeds of each size are drawn anew, independently, since sizes share no initial weights. Beside the t interval
    of `drift`, which decides: with five seeds a percentile bootstrap covers about 85 % instead of 95 %.
    """
    sizes = sorted(table[size].unique())
    parts = [[_of_size(found, size, which).dropna(axis=1) for found in _pair(table, size)] for which in sizes]
    source = np.random.default_rng(0)
    slopes = [
        log_log_slopes(sizes, {0: [_resampled(losses, clipped, source) for losses, clipped in parts]})[0]
        for _ in range(draws)
    ]
    low, high = np.quantile(slopes, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _pair(table: pd.DataFrame, size: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Losses, and which of them are clipped."""
    return curves(table, size=size), curves(table, size=size, of="diverged")


def _resampled(losses: pd.DataFrame, clipped: pd.DataFrame, source: np.random.Generator) -> float:
    """Best rate of the mean over seeds drawn with replacement, clipped where one of them is."""
    drawn: NDArray[np.int64] = source.integers(len(losses), size=len(losses))
    flags = clipped.to_numpy(dtype=bool)[drawn].any(axis=0)
    return best_rate(losses.columns, losses.to_numpy()[drawn].mean(axis=0), flags)
