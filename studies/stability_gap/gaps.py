"""From the rows of runs to their gaps: one number for each run and seed."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from common.continual import metrics
from common.continual.metrics import Record

TOLERANCE = 0.01
"""One point of accuracy: a task this close to its value before the switch has come back."""
SHOTS = 50
"""Evaluations of the new task, after its first updates, whose mean is its learning-curve area."""
POINTS = 100
"""Per unit of accuracy."""

Values = dict[Hashable, float]


def tasks_of(rows: pd.DataFrame, value: str) -> list[str]:
    """Words of the tasks that were evaluated, in their order."""
    found = (f"task{i}" for i in range(rows.shape[1]))
    return [word for word in found if f"{value}_{word}" in rows and rows[f"{value}_{word}"].notna().any()]


def recorded(runs: pd.DataFrame, *, value: str = "val_accuracy") -> dict[tuple[str, int], Record]:
    """The evaluations of each run, with its parents' if `runs` has their rows, by run and seed.

    Args:
        runs: from `records.read_runs`.
        value: column of the evaluations without the task's word, such as "val_loss" or "average_val_accuracy".
    """
    return {
        (str(run), int(rows.seed.iloc[0])): metrics.task_record(rows, tasks=tasks_of(rows, value), value=value)
        for (run, _), rows in runs.groupby(["run", "seed"], sort=False)
    }


def gaps(runs: pd.DataFrame, *, value: str = "val_accuracy", tolerance: float = TOLERANCE) -> pd.DataFrame:
    """What the first task goes through while the second is trained: one row for each run and seed.

    Columns: run, arm, lr, seed; before, depth, lowest_steps, recovery_steps, censored, area and residual as in
    `metrics.Gap`; final and new (the tasks at the end), their mean, worst_case, and area_new, the learning-curve area
    of the new task over `SHOTS` evaluations. Accuracies are in points.
    """
    scale = POINTS if "accuracy" in value else 1
    about = runs.groupby("run", sort=False)[["arm", "lr"]].first()
    rows = []
    for (run, seed), record in recorded(runs, value=value).items():
        found = metrics.gap(record, task=0, during=1, tolerance=tolerance)
        final, new = (float(each) for each in metrics.final(record))
        rows.append(
            {
                "run": run,
                "arm": about.arm[run],
                "lr": about.lr[run],
                "seed": seed,
                "before": scale * found.before,
                "depth": scale * found.depth,
                "lowest_steps": found.lowest_steps,
                "recovery_steps": found.recovery.length_steps,
                "censored": found.recovery.censored,
                "area": scale * found.area,
                "residual": scale * found.residual,
                "final": scale * final,
                "new": scale * new,
                "mean": scale * (final + new) / 2,
                "worst_case": scale * metrics.worst_case(record),
                "area_new": scale * float(metrics.learning_curve_area(record, evaluations=SHOTS)[1]),
            }
        )
    return pd.DataFrame(rows)


def by_seed(table: pd.DataFrame, column: str, **where: object) -> Values:
    """One column of `gaps` by seed, of the rows that have the given values.

    Raises: LookupError if no row has them; ValueError if two rows of a seed have.
    """
    for name, wanted in where.items():
        table = table[table[name] == wanted]
    if table.empty:
        raise LookupError(f"no run with {where}: check the runs that study.py selects")
    if table.seed.duplicated().any():
        raise ValueError(f"several runs with {where}: {', '.join(sorted(set(table.run)))}; ask for one of them")
    return {int(seed): float(number) for seed, number in zip(table.seed, table[column], strict=True)}


def unless_censored(values: Values, censored: Values, *, label: str) -> dict[str, Any]:
    """Arguments of a verdict on times. One that was not reached is only a bound: then no number of seeds decides.

    Args:
        values: what is judged, by seed.
        censored: not 0 for a seed whose time was not reached.
        label: of the part.
    """
    count = sum(number > 0 for number in censored.values())
    if not count:
        return {"label": label}
    return {"label": f"{label} ({count} of {len(values)} not reached)", "minimum": len(values) + 1}
