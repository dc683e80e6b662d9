"""What each domain of text goes through after a switch: one number for each run and seed."""

from collections.abc import Hashable

import pandas as pd

from common.continual import metrics
from studies.stability_gap.study import DOMAINS

TASKS = tuple(DOMAINS)
"""Old task, new task, and a set that is no task: English inside code."""
TOLERANCE = 0.02
"""Nats per byte: a loss this close to its value before the switch has come back."""
LOSS = "val_loss"

Values = dict[Hashable, float]


def of_text(runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of the runs that continue the pre-training."""
    return runs[runs.arm.str.startswith("text_") & runs.parent.notna()]


def since_switch(runs: pd.DataFrame, domain: str) -> pd.DataFrame:
    """Loss of a domain less that before the switch, in nats per byte, and updates since.

    Returns: columns run, arm, seed, step (updates since the switch) and excess.
    """
    rows = of_text(runs).dropna(subset=[f"{LOSS}_{domain}"])
    losses = rows.set_index(["run", "seed"])[f"{LOSS}_{domain}"]
    before = losses.groupby(level=[0, 1]).first()
    excess = losses - before.reindex(losses.index)
    return rows[["run", "arm", "seed"]].assign(step=rows.step - rows.start_step, excess=excess.to_numpy())


def at_end(runs: pd.DataFrame, run: str, domain: str) -> Values:
    """Loss of a domain at the end of a run less that before the switch, by seed, in nats per byte."""
    rows = since_switch(runs[runs.run == run], domain)
    return rows.groupby("seed").excess.last().to_dict()


def rises(runs: pd.DataFrame, domain: str) -> pd.DataFrame:
    """The gap in the loss of a domain that is not trained: one row for each run and seed.

    Columns: run, arm, seed, before, rise (the largest excess), highest_steps, recovery_steps, censored and residual, as
    `metrics.gap` has them with a tolerance of 0.02 nats per byte.
    """
    rows = []
    for (run, _), own in of_text(runs).groupby(["run", "seed"], sort=False):
        steps = own.dropna(subset=[f"{LOSS}_{domain}"]).step
        record = metrics.task_record(own, tasks=TASKS, value=LOSS, ends=(int(steps.min()), int(steps.max())))
        found = metrics.gap(record, task=TASKS.index(domain), during=1, tolerance=TOLERANCE)
        rows.append(
            {
                "run": run,
                "arm": own.arm.iloc[0],
                "seed": int(own.seed.iloc[0]),
                "before": found.before,
                "rise": found.depth,
                "highest_steps": found.lowest_steps,
                "recovery_steps": found.recovery.length_steps,
                "censored": found.recovery.censored,
                "residual": found.residual,
            }
        )
    return pd.DataFrame(rows)


def learning(runs: pd.DataFrame, run: str, *, shots_steps: int = 50, share: float = 0.9) -> pd.DataFrame:
    """Old and new domain of a run in the words of `gaps.gaps`, a row for each seed, in nats per byte.

    Columns: seed; before, depth (the rise) and residual of prose; reach_steps, updates until the loss on code has
    fallen by a share of all that it falls; area_new, how far it has fallen in the mean over the first updates; and
    mean, how far both losses have fallen at the end.
    """
    new = since_switch(runs[runs.run == run], "python")
    table = rises(runs[runs.run == run], "prose").rename(columns={"rise": "depth"}).set_index("seed")
    found = {}
    for seed, own in new[new.step > 0].groupby("seed"):
        fall = -own.excess.to_numpy()
        found[seed] = {
            "reach_steps": int(own.step.to_numpy()[(fall >= share * fall[-1]).argmax()]),
            "area_new": float(fall[own.step <= shots_steps].mean()),
            "mean": float(fall[-1] - table.residual[seed]) / 2,
        }
    return table.join(pd.DataFrame.from_dict(found, orient="index")).rename_axis("seed").reset_index()


def of_run(table: pd.DataFrame, run: str, column: str) -> Values:
    """One column of `rises` by seed.

    Raises: LookupError if the table has no such run.
    """
    chosen = table[table.run == run]
    if chosen.empty:
        raise LookupError(f"no run {run!r}: check the runs that study.py selects")
    return {int(seed): float(number) for seed, number in zip(chosen.seed, chosen[column], strict=True)}
