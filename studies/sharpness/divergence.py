"""Which trainings fail, from which learning rate on, and the range of rates that train well.

The rule, derived here from Gilmer et al. 2021 and one look at pilot runs. A training fails if

* its loss stops being finite at any update,
* or its loss at the end, the mean over the last tenth of its updates, is not below that of the start,
* or it classifies at the end no better than twice chance: networks whose ReLUs all died have a finite loss, ln 10, and
  seen from a sharp start of loss 1000 that is an improvement.

A loss that rises far above the start and comes back is not a failure: sharp networks can survive by such catapults.

ASSUME: the loss of the start is that on the held-out examples; an untrained network has seen no example of either set.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from common.evidence.statistics import log_log_slope
from studies.sharpness.study import MODELS, NOISE, PHASE_LRS, WARMUP

CHANCE = 0.1
LATE = 0.9
"""Share of the updates after which the loss counts as that of the end."""
USEFUL = -(1 - NOISE) * np.log(1 - NOISE) - NOISE * np.log(NOISE / 9)
"""Nats: the loss of a perfect guess of the true digits, of which a tenth is given as one of the nine others."""


@dataclass(frozen=True)
class Arm:
    """What the phase runs of one arm share."""

    case: str
    """Kind of network and its gain in units of He's."""
    warmup: int = 0
    """Updates of linear warm-up."""
    rule: str = "plain"
    """plain, clip or momentum."""


CASES = tuple(MODELS)
ARMS = (
    {f"{case}_w{warmup}": Arm(case, warmup) for case, warmup in PHASE_LRS}
    | {"plain3_clip": Arm("plain3", rule="clip")}
    | {f"{case}_momentum": Arm(case, rule="momentum") for case in ("plain1", "plain3")}
)
"""Arms of the phase diagram by the word that names them in the runs."""
EDGE = {"plain": 2.0, "clip": 2.0, "momentum": 3.8}
"""Learning rate times sharpness at which the rule loses its stability on a quadratic; heavy ball has 2 + 2 * 0.9."""


def starts(runs: pd.DataFrame) -> pd.Series:
    """Sharpness before the first update, by case and seed."""
    rows = runs[(runs.arm.isin([f"{case}_quiet" for case in CASES])) & (runs.step == 0)]
    return rows.assign(case=rows.arm.str.removesuffix("_quiet")).set_index(["case", "seed"]).sharpness


def outcomes(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each training: arm, seed and lr; its losses, accuracy, peak; what failed, if anything.

    Args:
        rows: those of some runs. Each training has its loss of the start and its accuracy of the end, if it got there.
    Returns: the losses are `initial` (held-out), `final` (training) and `validation` (held-out, at the end); besides,
        `failed`, and `failure`: "not finite", "no gain", "chance" or "".
    """
    return pd.DataFrame(
        [
            {"arm": arm, "seed": seed, "lr": lr, **_outcome(group.sort_values("step"))}
            for (arm, seed, lr), group in rows.groupby(["arm", "seed", "lr"])
        ]
    )


def _outcome(rows: pd.DataFrame) -> dict[str, float | str | bool]:
    last = rows.iloc[-1]
    losses = rows[rows.step > 0].train_loss
    ended = last.step - last.start_step >= last.steps and bool(np.isfinite(losses).all())
    initial = rows.val_loss.iloc[0]
    final = losses[rows.step > LATE * last.steps].mean() if ended else np.nan
    failure = "not finite"
    if ended:
        failure = "no gain" if final >= initial else "chance" if last.val_accuracy < 2 * CHANCE else ""
    return {
        "initial": initial,
        "final": final,
        "validation": last.val_loss if ended else np.nan,
        "accuracy": last.val_accuracy if ended else np.nan,
        "peak": losses.max(),
        "failed": bool(failure),
        "failure": failure,
    }


def phase(runs: pd.DataFrame) -> pd.DataFrame:
    """Every training of the phase diagram, as `outcomes` has it, with where it started and where it was halfway.

    Columns besides: case, warmup, rule; `start`, the sharpness at initialisation; `excess` = lr start over the rule's
    threshold; `middle`, the sharpness at the last step where it was measured; `edge` = lr middle over the threshold;
    and `warmed`, the same at the end of the warm-up. Sharpness is missing after a failure.
    """
    rows = runs[runs.arm.isin(ARMS)]
    table = outcomes(rows)
    for name in ("case", "warmup", "rule"):
        table[name] = [getattr(ARMS[arm], name) for arm in table.arm]
    table = table.join(starts(runs).rename("start"), on=["case", "seed"])
    edge = table.rule.map(EDGE)
    measured = rows[rows.sharpness.notna() & (rows.step > 0)].sort_values("step").groupby(["arm", "seed", "lr"])
    table = table.join(measured.sharpness.last().rename("middle"), on=["arm", "seed", "lr"])
    table = table.join(measured.sharpness.first().rename("warmed"), on=["arm", "seed", "lr"])
    warmed = table.lr * table.warmed / edge
    return table.assign(
        excess=table.lr * table.start / edge,
        edge=table.lr * table.middle / edge,
        warmed=warmed.where(table.warmup > 0),
    )


def limits(table: pd.DataFrame) -> pd.DataFrame:
    """The divergence rate of each arm and seed: the smallest rate of the grid from which on every rate fails.

    Columns arm, seed, `limit`, `strays` (failures below it, which a survivor at a higher rate overrules) and `open`:
    the largest rate of the grid survived, so that `limit` is the next rate of the grid, a lower bound.
    """
    return pd.DataFrame(
        [{"arm": arm, "seed": seed, **_limit(group)} for (arm, seed), group in table.groupby(["arm", "seed"])]
    )


def _limit(group: pd.DataFrame) -> dict[str, float | int | bool]:
    group = group.sort_values("lr")
    survived = group[~group.failed].lr
    least = -np.inf if survived.empty else survived.max()
    failing = group[group.lr > least].lr
    return {
        "limit": failing.min() if len(failing) else least * np.sqrt(2),
        "strays": int((group.failed & (group.lr < least)).sum()),
        "open": failing.empty,
    }


def limit(table: pd.DataFrame, arm: str) -> pd.Series:
    """Divergence rates of one arm, by seed."""
    return limits(table[table.arm == arm]).set_index("seed").limit


def best(table: pd.DataFrame, arm: str, *, of: str = "final") -> pd.Series:
    """Smallest final (or validation) loss over all rates that survive, by seed; where none does, that of the start."""
    rows = table[table.arm == arm]
    return rows[of].where(~rows.failed, rows.initial).groupby(rows.seed).min()


def useful_octaves(table: pd.DataFrame, arm: str) -> pd.Series:
    """Octaves from the smallest to the largest rate that ends at or below `USEFUL` nats, by seed; 0 without any."""
    rows = table[table.arm == arm]
    good = rows.lr.where(~rows.failed & (rows.final <= USEFUL)).groupby(rows.seed)
    return pd.Series(np.log2(good.max() / good.min())).fillna(0.0)


def useful_rates(table: pd.DataFrame, arm: str) -> pd.Series:
    """Largest rate that ends at or below `USEFUL` nats, by seed; missing without any."""
    rows = table[table.arm == arm]
    return rows.lr.where(~rows.failed & (rows.final <= USEFUL)).groupby(rows.seed).max()


def counted(table: pd.DataFrame) -> str:
    """How many of the trainings failed, and how, for the reader of a figure."""
    counts = table.failure[table.failed].value_counts()
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return f"{int(table.failed.sum())} of {len(table)} trainings fail" + (f" ({kinds})" if kinds else "")


def limit_over_line(table: pd.DataFrame, arm: str) -> pd.Series:
    """Divergence rate of an arm as a multiple of the rate edge/start at which the sharpness at the start is stable."""
    rows = table[table.arm == arm]
    return limit(table, arm) * (rows.excess / rows.lr).groupby(rows.seed).first()


def limit_slopes(runs: pd.DataFrame, table: pd.DataFrame, cases: Sequence[str]) -> dict[Hashable, float]:
    """Log-log slope of the divergence rate against the sharpness at the start over some cases, by seed."""
    start = {seed: list(row) for seed, row in starts(runs).unstack("case")[list(cases)].iterrows()}
    rates = pd.DataFrame({case: limit(table, f"{case}_w0") for case in cases})
    return {seed: log_log_slope(start[seed], list(row)) for seed, row in rates.iterrows()}


def useful_slopes(runs: pd.DataFrame, table: pd.DataFrame, cases: Sequence[str]) -> dict[Hashable, float]:
    """As `limit_slopes`, of the largest useful rate, over the cases that have one; of seeds with two such or more."""
    start = starts(runs).to_dict()
    rates = pd.DataFrame({case: useful_rates(table, f"{case}_w0") for case in cases})
    known = {seed: row.dropna() for seed, row in rates.iterrows()}
    return {
        seed: log_log_slope([float(start[case, seed]) for case in row.index], list(row))
        for seed, row in known.items()
        if len(row) > 1
    }


def nearest(table: pd.DataFrame, rate: pd.Series, *, value: str) -> pd.Series:
    """A column at the rate of each seed that is nearest, as a ratio, to the one wanted in each row; by seed."""
    distance = pd.Series(np.log(table.lr / rate)).abs()
    return table.loc[distance.groupby(table.seed).idxmin()].set_index("seed")[value]


def halfway(runs: pd.DataFrame) -> pd.DataFrame:
    """Survivors among trainings with one measurement or more in their second half: median there of lr sharpness / 2.

    Columns run, seed, lr and edge.
    """
    rows = runs[runs.sharpness.notna() & (runs.step >= runs.steps / 2)]
    ends = runs.groupby(["run", "seed", "lr"]).agg(step=("step", "max"), steps=("steps", "first"))
    edges = rows.assign(edge=rows.lr * rows.sharpness / 2).groupby(["run", "seed", "lr"]).edge.median()
    return edges[ends.step >= ends.steps].reset_index()


def fallen(runs: pd.DataFrame, arm: str, *, steps: int = WARMUP) -> pd.Series:
    """Change of the sharpness from the start to the last measurement up to so many updates, in octaves, by seed."""
    rows = runs[(runs.arm == arm) & runs.sharpness.notna() & (runs.step <= steps)].sort_values("step")
    sharpness = rows.groupby("seed").sharpness
    return pd.Series(np.log2(sharpness.last() / sharpness.first()))
