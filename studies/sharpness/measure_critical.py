"""Critical sharpness beside the largest eigenvalue at late states of gradient descent.

Critical sharpness takes a few forward passes along the gradient. Kalra et al. 2026 (arXiv:2601.16979) define it as 2
over the smallest learning rate at which the next update raises the loss.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from common.curvature.alignment import alignment
from common.curvature.critical import critical_sharpness
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective
from common.curvature.operators import Hessian
from common.runs import checkpoint, snapshots
from common.runs.snapshots import Trained


def compare(at: Trained) -> dict[str, float]:
    """Both measures at one state, and the curvature along the gradient that the first one is on a quadratic."""
    objective = Objective.of_dataset(at.model, at.dataset)
    with objective.cached_graphs():
        operator, gradient = Hessian(objective), objective.gradient()
        found = extremes(operator)
        along = alignment(operator, gradient, found.largest).curvature
    critical = critical_sharpness(objective, -gradient, guess=at.run.lr)
    return {
        "sharpness": found.value,
        "along_gradient": along,
        "critical": critical.sharpness,
        "passes": critical.passes,
        "converged": int(critical.converged and found.converged),
    }


def measure(states: Sequence[Path], *, every: int = 1) -> pd.DataFrame:
    """Columns lr, seed, step, sharpness, along_gradient, critical, passes, converged: a row for each state measured.

    Args:
        states: of the runs.
        every: distance, among a run's kept states, from one that is measured to the next.
    """
    rows = []
    for path in states:
        dataset = None
        for label in [label for label in checkpoint.labels(path) if not label.endswith("final")][::every]:
            at = snapshots.read(path, label, dataset=dataset)
            dataset = at.dataset
            rows.append({"lr": at.run.lr, "seed": at.run.seed, "step": at.state.step, **compare(at)})
    return pd.DataFrame(rows).sort_values(["lr", "seed", "step"])
