"""New-task versus old-task gradient, at the switch and where accuracy on the old task is lowest."""

import pandas as pd

STABILITY, PLASTICITY, JOINT = "stability_gradient", "plasticity_gradient", "joint_gradient"
COSINE = "gradient_cosine"
OLD = "val_accuracy_task0"


def since_switch(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows at which the gradients were measured, with `step` counted from the switch."""
    measured = runs[runs[STABILITY].notna()]
    return measured.assign(step=measured.step - measured.start_step)


def ratios(rows: pd.DataFrame) -> dict[int, float]:
    """Norm of the plasticity over that of the stability gradient by seed, of rows with one update of each seed.

    Raises: ValueError if a seed has several rows.
    """
    if rows.seed.duplicated().any():
        twice = rows.seed[rows.seed.duplicated()].iloc[0]
        raise ValueError(f"seed {twice} has several rows: a ratio is of one update, choose it before")
    found = rows[PLASTICITY] / rows[STABILITY]
    return {int(seed): float(ratio) for seed, ratio in zip(rows.seed, found, strict=True)}


def at_switch(rows: pd.DataFrame) -> pd.DataFrame:
    """The row of each seed before the first update on the new task, of `since_switch`."""
    return rows[rows.step == 0]


def at_lowest(rows: pd.DataFrame) -> pd.DataFrame:
    """The row of each seed with the lowest accuracy on the old task after the switch, the last of several equal ones.

    Args:
        rows: from `since_switch`, of one run.
    """
    after = rows[rows.step > 0].sort_values("step")
    lowest = after.groupby("seed")[OLD].transform("min")
    return after[after[OLD] == lowest].groupby("seed").tail(1)
