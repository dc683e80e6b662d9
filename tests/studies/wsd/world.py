"""A world in which the river-valley picture holds exactly: tables of the study's runs without any training.

The loss is a river that falls with the sum of learning rates, plus a hill that relaxes towards a height proportional to
the learning rate; seeds differ by a common shift and a little noise at each evaluation.
"""

import numpy as np
import pandas as pd

from common.config import Run, members
from common.optim import schedules
from common.pipeline.studies import Studies
from common.streams import stream

RIVER, HILL, RELAXATION = 0.6, 40.0, 30.0
NOISE = 1e-4


def runs_of(study: str = "wsd", *, hill: float = HILL, noise: float = NOISE) -> pd.DataFrame:
    """Rows as `records.read_runs` gives them for all text runs of a study, measured in this world."""
    runs = Studies.load(block="written")[study].runs
    tables = [
        rows(name, runs, member=member, hill=hill, noise=noise)
        for name, run in runs.items()
        if run.data.kind == "corpus"
        for member in range(len(members(run)))
    ]
    return pd.concat(tables, ignore_index=True)


def lineage_rates(name: str, runs: dict[str, Run]) -> list[float]:
    """Learning rate of each update behind the end of a run, the same for each member."""
    run = runs[name]
    own = schedules.rates(run.schedule, steps=run.steps, lr=run.lr)
    if run.parent is None:
        return own
    parent = runs[run.parent]
    before = lineage_rates(run.parent, runs)
    return before[: len(before) - parent.steps + (run.parent_step or parent.steps)] + own


def rows(name: str, runs: dict[str, Run], *, member: int, hill: float, noise: float) -> pd.DataFrame:
    """Rows of one member of a run at its start, its end, its kept steps and its evaluations."""
    run = members(runs[name])[member]
    rates = lineage_rates(name, runs)
    start = len(rates) - run.steps
    clock, height, losses = 0.0, 0.0, {}
    for step, rate in enumerate(rates, start=1):
        clock += rate
        height += min(1.0, RELAXATION * rate) * (hill * rate - height)
        losses[step] = 1.2 + RIVER * (clock + 0.05) ** -0.3 + height
    losses[0] = losses[1]
    judged = {0, *run.keep_steps, run.steps}
    measured = {*judged, *range(0, run.steps, run.evaluate_every or run.steps)}
    logged = {*range(10, run.steps + 1, 10), *measured} - {0}
    random = stream(run.seed, "world", name)
    shift = 0.02 * stream(run.seed, "world").standard_normal()
    return pd.DataFrame(
        {
            "run": name,
            "member": member,
            "arm": run.arm,
            "rung": run.rung,
            "parent": run.parent,
            "start_step": start,
            "seed": run.seed,
            "lr": run.lr,
            "steps": run.steps,
            "step": start + step,
            "learning_rate": rates[start + step - 1] if step in logged else np.nan,
            "val_loss": losses[start + step] + shift + noise * random.standard_normal() if step in judged else np.nan,
            "average_val_loss": losses[start + step] - height / 2 if step in judged and run.average else np.nan,
            "curve_val_loss": losses[start + step] + shift if step in measured else np.nan,
        }
        for step in sorted(measured | logged)
    )
