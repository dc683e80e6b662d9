"""Final losses of schedules as laws predict them that were fitted to one constant run and one decay.

For each seed the laws see the trunk of the headline peak and its decay over the last tenth. All other schedules of the
headline size are held out. Losses are those on the part of the validation set that curves are drawn of.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from common.config import Run
from studies.wsd.histories import lineage_rates
from studies.wsd.laws import LAWS, Point, bound_fit, bound_value
from studies.wsd.losses import CURVE
from studies.wsd.study import PEAK

FITTED = ("stable", "wsd")
BEGIN = 0.1
"""Share of the longest budget before which the constant run is not fitted."""
FREE = "schedule_free"
"""Arm that no law is about."""


def fitted_runs(records: Mapping[str, Run]) -> list[str]:
    """Names of the trunk of the headline peak and of its decay before the longest budget."""
    runs = {name: run for name, run in records.items() if run.lr == PEAK and run.arm in FITTED}
    trunk = next(name for name, run in runs.items() if run.arm == "stable")
    last = max(run.parent_step or 0 for run in runs.values() if run.arm == "wsd")
    return [trunk, *(name for name, run in runs.items() if run.arm == "wsd" and run.parent_step == last)]


def factors_of(records: Mapping[str, Run]) -> dict[str, np.ndarray]:
    """Rates behind the end of each run in units of the headline peak, by name."""
    return {name: lineage_rates(run, records) / PEAK for name, run in records.items()}


def points_of(rows: pd.DataFrame, factors: np.ndarray, *, begin: int) -> list[Point]:
    """Evaluations of one training from an update on."""
    seen = rows[rows[CURVE].notna() & (rows.step >= begin)]
    return [Point(factors[: int(step)], float(loss)) for step, loss in zip(seen.step, seen[CURVE], strict=True)]


def ends_of(rows: pd.DataFrame) -> dict[str, float]:
    """Last loss of each run of one seed."""
    last = rows[rows[CURVE].notna()].sort_values("step").groupby("run").tail(1)
    return {str(run): float(loss) for run, loss in zip(last.run, last[CURVE], strict=True)}


def measure(runs: pd.DataFrame, records: Mapping[str, Run]) -> pd.DataFrame:
    """Columns seed, law, run, arm, lr, measured, predicted, held_out; one row for each end of a schedule.

    Of the seeds that all runs have.
    """
    known, factors = fitted_runs(records), factors_of(records)
    begin = round(BEGIN * len(factors[known[0]]))
    tables, trained = [], runs.groupby("seed").run.nunique()
    for seed, rows in runs[runs.seed.isin(trained.index[trained == trained.max()])].groupby("seed"):
        points = [point for name in known for point in points_of(rows[rows.run == name], factors[name], begin=begin)]
        ends = {name: loss for name, loss in ends_of(rows).items() if records[name].arm != FREE}
        for law, predicted in predictions(points, {name: factors[name] for name in ends}).items():
            tables += [
                {
                    "seed": seed,
                    "law": law,
                    "run": name,
                    "arm": records[name].arm,
                    "lr": records[name].lr,
                    "measured": loss,
                    "predicted": predicted[name],
                    "held_out": name not in known,
                }
                for name, loss in ends.items()
            ]
    return pd.DataFrame(tables)


def predictions(points: list[Point], histories: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """By law and run, the loss that the law predicts after it was fitted to the points."""
    found = {}
    for name, law in LAWS.items():
        constants = law.fit(points)
        found[name] = {run: law.value(constants, factors) for run, factors in histories.items()}
    constants = bound_fit(points)
    found["bound"] = {run: bound_value(constants, factors) for run, factors in histories.items()}
    return found
