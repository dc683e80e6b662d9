"""What rarer evaluation would have seen of runs that were evaluated after every update."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from common.continual import metrics
from common.continual.metrics import Record

PERIODS: tuple[int | None, ...] = (1, 2, 5, 10, 25, 50, 100, None)
"""Updates between evaluations, counted from each switch; None is at task ends only."""

Records = Mapping[tuple[str, int], Record]
"""Densely evaluated records by run and seed."""


def depths(
    records: Records, *, switches: Sequence[int] | None = None, periods: Iterable[int | None] = PERIODS
) -> pd.DataFrame:
    """Depth of the gap that evaluation at each period sees: of the task just left, mean over switches.

    Args:
        records: of two tasks or more, evaluated as often as the shortest period asks.
        switches: the tasks whose beginnings count, from 1; all if left out.
        periods: in updates, None for task ends.
    Returns: columns run, seed, period (NaN for task ends) and depth, in units of the records.
    Source: the periods of De Lange et al. 2022 (arXiv:2205.13452), figure 2; the depth is derived here.
    """
    rows = []
    for (run, seed), record in records.items():
        for period in periods:
            seen = record.every(period)
            found = [metrics.depth(seen, task=k - 1, during=k) for k in switches or range(1, seen.tasks)]
            rows.append({"run": run, "seed": seed, "period": _number(period), "depth": float(np.mean(found))})
    return pd.DataFrame(rows)


def averages(records: Records, *, periods: Iterable[int | None]) -> pd.DataFrame:
    """Every metric of `metrics.averages` as evaluation at each period would give it.

    Windows of WF and WP and the first evaluations of LCA count evaluations, so that a longer period spreads them over
    more updates.

    Returns: columns run, seed, period (NaN for task ends), metric and value, in units of the records.
    Source: the tables of De Lange et al. 2022 (arXiv:2205.13452).
    """
    rows = [
        {"run": run, "seed": seed, "period": _number(period), "metric": metric, "value": value}
        for (run, seed), record in records.items()
        for period in periods
        for metric, value in metrics.averages(record.every(period)).items()
    ]
    return pd.DataFrame(rows)


def _number(period: int | None) -> float:
    return np.nan if period is None else float(period)
