"""Learning rates behind a state, from the first update of its first ancestor on."""

from collections.abc import Mapping

import numpy as np

from common.config import Run
from common.optim.schedules import rates


def lineage_rates(run: Run, records: Mapping[str, Run]) -> np.ndarray:
    """Learning rate of every update behind a run's last state, those of its parents included."""
    own = np.array(rates(run.schedule, steps=run.steps, lr=run.lr))
    if run.parent is None:
        return own
    parent = records[run.parent]
    before = lineage_rates(parent, records)
    shared = len(before) - parent.steps + (run.parent_step or parent.steps)
    return np.append(before[:shared], own)
