"""Largest eigenvalues, spectral density and a percentile, with and without batch normalisation.

All are of the Hessian of the training loss. With batch normalisation that loss is the mean over batches of the
training's size, each of which normalises itself.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from common.curvature.density import Density, density
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective
from common.curvature.operators import Hessian
from common.runs import checkpoint, snapshots
from common.runs.snapshots import Trained

TOP = 20
"""Largest eigenvalues measured: twice the number of classes."""
TOLERANCE = 1e-2
STEPS = 80
DRAWS = 2
WIDTH = 0.06
"""Standard deviation of the kernel that smooths the density, as an eigenvalue."""
POINTS = 400
SHARE = 0.95


def percentile(measured: Density, share: float) -> float:
    """Eigenvalue below which this share of the spectrum lies, mean over draws.

    ASSUME: the spectrum's distribution function is a straight line between the middles of the quadrature's steps.
    """
    draws = zip(measured.nodes, measured.weights, strict=True)
    return float(np.mean([np.interp(share, np.cumsum(part) - part / 2, nodes) for nodes, part in draws]))


def objective_of(after: Trained, *, examples: int | None = None) -> Objective:
    """The training loss over whole batches; of a network with batch normalisation batch by batch.

    Args:
        after: a state.
        examples: of the training set, at most; all if left out.
    """
    size, batch = examples or after.dataset.size, after.run.batch_size or after.dataset.size
    chunk = batch if after.run.model.norm == "batchnorm" else None
    return Objective.of_dataset(after.model, after.dataset, examples=size // batch * batch, chunk=chunk)


def spectrum(
    after: Trained, *, examples: int | None = None, steps: int = STEPS, draws: int = DRAWS
) -> Iterator[dict[str, float | str]]:
    """The rows of one state: `top` by rank, `density` on a grid, and the `percentile`."""
    objective = objective_of(after, examples=examples)
    with objective.cached_graphs(chunks=after.dataset.size):
        operator = Hessian(objective)
        top = extremes(operator, largest=TOP, basis=3 * TOP, tolerance=TOLERANCE, seed=after.run.seed)
        measured = density(operator, steps=steps, draws=draws, seed=after.run.seed)
    for rank, value in enumerate(top.largest.values, start=1):
        yield {"quantity": "top", "rank": rank, "eigenvalue": value}
    grid = measured.grid(width=WIDTH, points=POINTS)
    for eigenvalue, value in zip(grid, measured.smoothed(grid, width=WIDTH), strict=True):
        yield {"quantity": "density", "eigenvalue": eigenvalue, "density": value}
    yield {"quantity": "percentile", "eigenvalue": percentile(measured, SHARE)}


def measure(
    states: Sequence[Path], *, examples: int | None = None, steps: int = STEPS, draws: int = DRAWS
) -> pd.DataFrame:
    """Columns norm, seed, quantity (top, density or percentile), rank (of top), eigenvalue, density (of density).

    Args:
        states: of the runs.
        examples: of the training set, over which the loss is taken; all if left out.
        steps: of the quadrature of the density.
        draws: random vectors of the same.
    """
    rows = []
    for path in states:
        for label in checkpoint.labels(path):
            after = snapshots.read(path, label)
            about = {"norm": after.run.model.norm, "seed": after.run.seed}
            rows += [{**about, **row} for row in spectrum(after, examples=examples, steps=steps, draws=draws)]
    return pd.DataFrame(rows).astype({"rank": "Int64"})
