"""Sharpness of the losses of random batches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import nn

from common.curvature.lanczos import Extremes, extremes
from common.curvature.objective import Block, Objective, Vector
from common.curvature.operators import Hessian
from common.data import Dataset
from common.data.losses import LOSSES


@dataclass(frozen=True)
class BatchSharpness:
    """Largest Hessian eigenvalue of each batch's own loss."""

    each: list[Extremes]
    along_gradients: Vector
    """Curvature of each batch's loss along its own gradient, float64 (batches,); nan for a gradient of zero."""

    @property
    def mean(self) -> float:
        """Mean of the largest eigenvalues. It exceeds that of the whole data, the more the smaller the batches are."""
        return float(np.mean([found.value for found in self.each]))

    @property
    def error(self) -> float:
        """Standard error of the mean over batches; nan for one batch."""
        values = [found.value for found in self.each]
        return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan

    @property
    def converged(self) -> bool:
        """Whether every eigenvalue is within the tolerance."""
        return all(found.converged for found in self.each)

    @property
    def products(self) -> int:
        """Products for the eigenvalues, and one for each gradient."""
        return sum(found.products + 1 for found in self.each)


def batch_sharpness(
    objectives: Iterable[Objective], *, start: Block | None = None, seed: int = 0, tolerance: float = 1e-3
) -> BatchSharpness:
    """Largest eigenvalue and curvature along the gradient for each of several objectives.

    Args:
        objectives: one for each batch, for example from `random_batches`.
        start: directions to begin every search with, for example `Extremes.start` of the whole data.
        seed: of the random starts.
        tolerance: see `extremes`.
    Raises: ValueError without any objective.
    Source: Granziol et al. 2022 (arXiv:2006.09092) for the eigenvalue of a batch; Andreyev and Beneventano 2024
        (arXiv:2412.20553), whose batch sharpness is the mean of `along_gradients`.
    """
    each, along = [], []
    for objective in objectives:
        operator = Hessian(objective)
        with objective.cached_graphs():
            each.append(extremes(operator, start=start, seed=seed, tolerance=tolerance))
            gradient = objective.gradient()
            square = float(gradient @ gradient)
            image = operator(gradient[:, None])[:, 0]
        along.append(float(gradient @ image) / square if square else np.nan)
    if not each:
        raise ValueError("objectives is empty; give one for each batch")
    return BatchSharpness(each, np.array(along))


def random_batches(
    model: nn.Module, dataset: Dataset, *, batch_size: int, batches: int, seed: int = 0
) -> Iterator[Objective]:
    """The loss of each of the first batches in the training order of `seed`; without overlap within an epoch."""
    for number in range(batches):
        batch = dataset.batch(seed=seed, position=number * batch_size, count=batch_size)
        yield Objective(model, LOSSES[dataset.loss], [batch])
