"""How a gradient lies in the eigenspaces of the curvature."""

from dataclasses import dataclass

import numpy as np

from common.curvature.lanczos import Pairs
from common.curvature.objective import Vector
from common.curvature.operators import Operator


@dataclass(frozen=True)
class Alignment:
    """A gradient g against an operator A and eigenvectors of it. All are nan for a gradient of zero."""

    curvature: float
    """g'Ag / |g|^2: curvature along the gradient."""
    quotient: float
    """The same over the largest eigenvalue: 1 if the gradient is its eigenvector."""
    shares: Vector
    """Share of |g|^2 along each eigenvector, float64 (k,)."""

    @property
    def share(self) -> float:
        """Share of |g|^2 in the space of all given eigenvectors, between 0 and 1."""
        return float(self.shares.sum())


def alignment(operator: Operator, gradient: Vector, pairs: Pairs) -> Alignment:
    """Alignment of a gradient, for one product.

    Args:
        operator: A; for `Scaled` the gradient must be in its coordinates (`Scaled.gradient`).
        gradient: g, float64 (size,).
        pairs: the largest eigenvalues with their vectors, the very largest first.
    Source: Jastrzebski et al. 2019 (arXiv:1807.05031) for the curvature along the gradient; Gur-Ari et al. 2018
        (arXiv:1812.04754, section 2) for the share of the top space.

    >>> from common.curvature.lanczos import extremes
    >>> from common.curvature.operators import Dense
    >>> operator = Dense(np.diag([4.0, 2.0, 0.0]))
    >>> found = alignment(operator, np.array([1.0, 1.0, 0.0]), extremes(operator, largest=2).largest)
    >>> found.curvature, round(found.quotient, 6), found.shares.round(6).tolist()
    (3.0, 0.75, [0.5, 0.5])
    """
    square = float(gradient @ gradient)
    if square == 0:
        return Alignment(np.nan, np.nan, np.full(len(pairs.values), np.nan))
    curvature = float(gradient @ operator(gradient[:, None])[:, 0]) / square
    top = float(pairs.values[0])
    quotient = curvature / top if top else np.nan
    return Alignment(curvature, quotient, (gradient @ pairs.vectors) ** 2 / square)
