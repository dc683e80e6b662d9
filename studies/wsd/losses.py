"""Losses of the study's runs, picked from the table of all rows: by arm, budget, peak and seed.

A run is a sweep over seeds: one training is told from the others by its run and its seed.
"""

import numpy as np
import pandas as pd

from studies.wsd.study import DECAY_SHARE

CURVE = "curve_val_loss"
"""What curves are drawn of: the loss on the first part of the validation set. Claims are judged on all of it."""
BEFORE_DECAY = 1 - DECAY_SHARE
"""Share of a budget after which the decay begins."""


def last_loss(runs: pd.DataFrame, *arms: str) -> pd.DataFrame:
    """Last validation loss of each training of some arms, with run, budget (updates behind), steps, arm, lr, seed."""
    rows = runs[runs.arm.isin(arms) & runs.val_loss.notna()].sort_values("step")
    last = rows.groupby(["run", "seed"]).tail(1)
    return last.rename(columns={"step": "budget"})[["run", "budget", "steps", "arm", "lr", "seed", "val_loss"]]


def final(runs: pd.DataFrame, arm: str, *, budget: int, lr: float) -> pd.Series:
    """Final validation loss by seed of the runs of an arm with this budget and peak."""
    losses = last_loss(runs, arm)
    chosen = losses[(losses.budget == budget) & (losses.lr == lr)]
    if chosen.empty:
        raise LookupError(f"arm {arm!r} has no run with budget {budget} and lr={lr:g}; see RUNS in study.py")
    return chosen.set_index("seed").val_loss


def stable_loss(runs: pd.DataFrame, *, step: float, lr: float) -> pd.Series:
    """Validation loss by seed of the constant run of one peak after `step` updates."""
    rows = runs[(runs.arm == "stable") & (runs.lr == lr) & (runs.step == round(step)) & runs.val_loss.notna()]
    if rows.empty:
        raise LookupError(
            f"the constant runs of lr={lr:g} were not evaluated at step {step:g}; see keep_steps in study.py"
        )
    return rows.set_index("seed").val_loss


def late_stable_loss(runs: pd.DataFrame, *, share: float) -> pd.DataFrame:
    """Validation loss of the constant runs by seed (rows) and peak (columns): mean over the last `share` of them."""
    rows = runs[(runs.arm == "stable") & runs.val_loss.notna()]
    late = rows[rows.step >= round((1 - share) * rows.step.max())]
    table: pd.DataFrame = late.groupby(["seed", "lr"]).val_loss.mean().unstack("lr")
    return table


def budgets_of(runs: pd.DataFrame) -> list[int]:
    """The budgets of the study, from the shortest to the longest."""
    return sorted(map(int, last_loss(runs, "wsd").budget.unique()))


def headline_peak(runs: pd.DataFrame) -> float:
    """The peak at which the headline runs were trained: the largest of the constant ones, not always the best one."""
    return float(runs[runs.arm == "stable"].lr.max())


def best(losses: pd.DataFrame, budget: int) -> tuple[float, pd.Series]:
    """Peak with the lowest mean loss at a budget, and its losses by seed."""
    table = losses[losses.budget == budget].pivot(index="seed", columns="lr", values="val_loss")
    lr = float(table.columns[int(table.mean().argmin())])
    return lr, table[lr]


def at_each_budget(runs: pd.DataFrame, arm: str) -> list[pd.Series]:
    """Losses by seed of an arm at each of its budgets, from the shortest on, at the best peak of each."""
    losses = last_loss(runs, arm)
    return [best(losses, budget)[1] for budget in sorted(losses.budget.unique())]


def best_peaks(losses: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Best peak by seed at a budget: columns peak (logarithm to base 2) and inside.

    The minimum of the parabola through the best of the trained peaks and its neighbours on the logarithmic axis. At an
    edge of the grid it is that edge, and not `inside`: the best peak may lie beyond.
    """
    table = losses[losses.budget == budget].pivot(index="seed", columns="lr", values="val_loss")
    peaks, rows = np.log2(table.columns.to_numpy(dtype=float)), {}
    for seed, row in table.iterrows():
        values = row.to_numpy()
        lowest = int(values.argmin())
        inside = 0 < lowest < len(peaks) - 1
        near = slice(lowest - 1, lowest + 2)
        rows[seed] = {"peak": vertex(peaks[near], values[near]) if inside else peaks[lowest], "inside": inside}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"peak": float, "inside": bool})


def vertex(x: np.ndarray, y: np.ndarray) -> float:
    """Where the parabola through three points, the middle of which is not above the others, is lowest."""
    second, first, _ = np.polyfit(x - x[1], y, 2)
    return float(x[1] - first / (2 * second)) if second > 0 else float(x[1])


def notches(runs: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Factors of 2 between the best peak of the cosine and that of WSD by seed: columns notches and inside (both)."""
    cosine, wsd = (best_peaks(last_loss(runs, arm), budget) for arm in ("cosine", "wsd"))
    return pd.DataFrame({"notches": cosine.peak - wsd.peak, "inside": cosine.inside & wsd.inside})


def falls(runs: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Fall of the loss in the decay before a budget, by seed (rows) and peak (columns)."""
    peaks = sorted(runs[runs.arm == "wsd"].lr.unique())
    return pd.DataFrame(
        {
            lr: stable_loss(runs, step=BEFORE_DECAY * budget, lr=lr) - final(runs, "wsd", budget=budget, lr=lr)
            for lr in peaks
        }
    )


def lr_sums(runs: pd.DataFrame) -> pd.Series:
    """Sum of learning rates behind the end of each WSD run and seed: its trunk's up to the branch, and its own.

    ASSUME: a row's rate holds for all updates since the row before. In the warm-up and the decay, where the rate
    changes within these ten updates, this is off by less than 1 % of the whole sum.
    """
    logged = runs[runs.arm.isin(["stable", "wsd"])].dropna(subset="learning_rate").sort_values("step")
    spans = logged.step - logged.groupby(["run", "seed"]).step.shift().fillna(logged.start_step)
    spent = logged.assign(spent=logged.learning_rate * spans)
    ends = (
        spent[spent.arm == "wsd"]
        .groupby(["run", "seed"])
        .agg(parent=("parent", "first"), seed=("seed", "first"), start=("start_step", "first"), spent=("spent", "sum"))
    )
    sums = {}
    for training, end in ends.iterrows():
        trunk = spent[(spent.run == end.parent) & (spent.seed == end.seed) & (spent.step <= end.start)]
        sums[training] = end.spent + trunk.spent.sum()
    return pd.Series(sums).rename_axis(ends.index.names)


def at_equal_sum(runs: pd.DataFrame, *, budget: int, lr: float, other: float) -> dict[int, float]:
    """Decayed loss at one peak minus that at another with the same sum of learning rates, by seed.

    The other peak's loss is interpolated between its budgets, linearly in the logarithm of the sum.

    Raises: LookupError if the sum lies outside those of the other peak's budgets.
    """
    losses = last_loss(runs, "wsd")
    table = losses.join(lr_sums(runs).rename("lr_sum"), on=["run", "seed"])
    differences = {}
    for _, group in table.groupby("seed"):
        here = group[(group.lr == lr) & (group.budget == budget)].iloc[0]
        there = group[group.lr == other].sort_values("lr_sum")
        if not there.lr_sum.min() <= here.lr_sum <= there.lr_sum.max():
            raise LookupError(
                f"lr={lr:g} has the sum {here.lr_sum:.3g} after {budget} updates; the budgets of lr={other:g} reach "
                f"from {there.lr_sum.min():.3g} to {there.lr_sum.max():.3g}: choose another budget or peak"
            )
        same = np.interp(np.log(here.lr_sum), np.log(there.lr_sum), there.val_loss)
        differences[int(here.seed)] = float(here.val_loss - same)
    return differences


def cooldowns(runs: pd.DataFrame) -> pd.DataFrame:
    """Every decay before the longest budget: columns shape, share (of the budget), lr, seed, val_loss.

    The inverse decays over a tenth are the WSD runs themselves.
    """
    arms = [arm for arm in runs.arm.unique() if arm.startswith("cooldown_")]
    losses = last_loss(runs, "wsd", *arms)
    losses = losses[losses.budget == losses.budget.max()]
    shapes = losses.arm.str.removeprefix("cooldown_").replace("wsd", "inverse")
    table: pd.DataFrame = losses.assign(shape=shapes, share=(losses.steps / losses.budget).round(3))
    return table


def cooldown_gains(runs: pd.DataFrame, *, shape: str, lr: float) -> pd.DataFrame:
    """Constant loss minus decayed loss at the longest budget, by seed (rows) and share of the decay (columns)."""
    table = cooldowns(runs)
    table = table[(table["shape"] == shape) & (table.lr == lr)]
    losses = table.pivot(index="seed", columns="share", values="val_loss")
    return -losses.sub(stable_loss(runs, step=table.budget.max(), lr=lr), axis=0)
