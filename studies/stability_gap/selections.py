"""What the claims compare: columns of gaps by seed, for some arms, rates and angles."""

from collections.abc import Hashable, Iterable

import pandas as pd

from common.continual import metrics
from studies.stability_gap.cures import common_seeds
from studies.stability_gap.gaps import POINTS, Values, by_seed, gaps, recorded
from studies.stability_gap.study import ANGLE_OF, LR, OPTIMIZER_ARMS

SPARSE = 50
"""Updates between evaluations that count as sparse."""
HALF_AN_IMAGE = POINTS / 360 / 2
"""Points of accuracy that a depth counts with where it is smaller, in ratios."""

Setting = tuple[str, float]
"""Arm and learning rate."""


def at_rate(runs: pd.DataFrame, *arms: str) -> pd.DataFrame:
    """Rows of some arms at the learning rate of the comparisons."""
    return runs[runs.arm.isin(arms) & (runs.lr == LR)]


def of_gap(runs: pd.DataFrame, method: str, column: str) -> Values:
    """One number of the first task's gap during the second, by seed (see `gaps.gaps`)."""
    return by_seed(gaps(at_rate(runs, f"rotation_{method}")), column)


def hidden_depth(runs: pd.DataFrame, *, scenario: str, method: str, times: float) -> Values:
    """Depth seen after every update less `times` that seen every `SPARSE` updates, in points by seed."""
    found: Values = {}
    for (_, seed), record in recorded(at_rate(runs, f"{scenario}_{method}")).items():
        dense, sparse = (metrics.depth(record.every(period), task=0, during=1) for period in (1, SPARSE))
        found[seed] = POINTS * (dense - times * sparse)
    return found


def with_angle(table: pd.DataFrame) -> pd.DataFrame:
    """`gaps` with a column angle, the degrees by which the second task is turned."""
    return table.assign(angle=[ANGLE_OF[run] for run in table.run])


def by_angle(runs: pd.DataFrame, method: str, column: str) -> pd.DataFrame:
    """A column of `gaps` by seed (rows) and angle between the tasks (columns), of the seeds that have every angle."""
    table = with_angle(gaps(at_rate(runs, f"angle_{method}", f"rotation_{method}")))
    return table.pivot(index="seed", columns="angle", values=column).dropna()


def rank_correlation(runs: pd.DataFrame, method: str, column: str) -> pd.Series:
    """Spearman's correlation of a column of `gaps` with the angle, null control left out, by seed."""
    table = by_angle(runs, method, column).drop(columns=0)
    return table.corrwith(pd.Series(table.columns, index=table.columns), axis=1, method="spearman")


def of_seeds(values: Values, seeds: Iterable[Hashable]) -> Values:
    """The values of some seeds: a comparison has those of its smaller part."""
    return {seed: values[seed] for seed in seeds}


def projected_and_plain(table: pd.DataFrame, column: str, arm: str, lr: float) -> tuple[Values, Values]:
    """A column of `gaps` of a method with a projection and without, over the seeds of the former."""
    projected = by_seed(table, column, arm=arm, lr=lr)
    plain = by_seed(table, column, arm=arm.rpartition("_")[0], lr=lr)
    return projected, of_seeds(plain, projected)


def own_excess(runs: pd.DataFrame, arm: str) -> Values:
    """Peak of the old task's loss in training on the new one, above the higher of its two ends, by seed."""
    rows = at_rate(runs, arm)
    rows = rows[rows.step >= rows.start_step].sort_values("step")
    losses = rows.groupby("seed").val_loss_task0
    above = losses.max() - losses.agg(["first", "last"]).max(axis=1)
    return above.to_dict()


def line_excess(path: pd.DataFrame, arm: str) -> Values:
    """Largest loss of the old task on the straight line above its chord, by seed."""
    rows = path[(path.arm == arm) & (path.task == 0)]
    return rows.groupby("seed").above.max().to_dict()


def null_depth(runs: pd.DataFrame) -> Values:
    """Depth of joint training on the old task once more, by seed: what chance and the order of the data give."""
    return by_seed(gaps(runs[runs.run == "angle0-joint"]), "depth")


def factors(first: Values, second: Values) -> Values:
    """Depth over depth by seed; one below half an image counts as half an image."""
    return {seed: max(first[seed], HALF_AN_IMAGE) / max(second[seed], HALF_AN_IMAGE) for seed in first}


def optimizer_gaps(runs: pd.DataFrame) -> pd.DataFrame:
    """`gaps` of joint training at several rates and momenta, and of Adam."""
    return gaps(runs[runs.arm.isin(OPTIMIZER_ARMS)])


def settings(table: pd.DataFrame, column: str, *chosen: Setting) -> list[Values]:
    """A column of `gaps` by seed for each arm and rate, of the seeds that all of these have."""
    found = (table[(table.arm == arm) & (table.lr == lr)] for arm, lr in chosen)
    table = common_seeds(pd.concat(found))
    return [by_seed(table, column, arm=arm, lr=lr) for arm, lr in chosen]
