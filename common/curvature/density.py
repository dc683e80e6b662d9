"""Density of a symmetric operator's eigenvalues by stochastic Lanczos quadrature."""

from dataclasses import dataclass

import numpy as np

from common.curvature.basis import deflate
from common.curvature.lanczos import Progress
from common.curvature.objective import Vector
from common.curvature.operators import Operator
from common.streams import stream

INVARIANT = 1e-10
"""A remaining length, in units of the largest image, at which a Krylov space counts as invariant."""


@dataclass(frozen=True)
class Density:
    """For each random vector the nodes and weights of its quadrature; their mean over draws is the density."""

    nodes: list[Vector]
    """Ritz values in ascending order, float64 (steps,) for each draw; fewer where the space was exhausted."""
    weights: list[Vector]
    """Share of the eigenvalues at each node, float64 (steps,) for each draw, with sum 1."""
    size: int
    """Number of eigenvalues."""
    products: int
    """Products that the measurement took."""

    def moments(self, power: int) -> Vector:
        """Mean of the eigenvalues to a power as each draw sees it, float64 (draws,): exact in expectation."""
        pairs = zip(self.nodes, self.weights, strict=True)
        return np.array([weights @ nodes**power for nodes, weights in pairs])

    def smoothed(self, grid: Vector, *, width: float) -> Vector:
        """Density at the points of `grid`, float64 (points,), per unit of the eigenvalue and with integral 1.

        Args:
            grid: eigenvalues, float64 (points,).
            width: standard deviation of the Gaussian that stands for each node, above 0; finer structure is not shown.
        """
        if not width > 0:
            raise ValueError(f"width={width} must be above 0: it is the kernel's standard deviation")
        total = np.zeros(len(grid))
        for nodes, weights in zip(self.nodes, self.weights, strict=True):
            total += np.exp(-0.5 * ((grid[:, None] - nodes) / width) ** 2) @ weights
        density: Vector = total / (len(self.nodes) * width * np.sqrt(2 * np.pi))
        return density

    def grid(self, *, width: float, points: int = 1000) -> Vector:
        """Equally spaced points that hold all nodes and five widths beyond, float64 (points,)."""
        ends = min(nodes[0] for nodes in self.nodes), max(nodes[-1] for nodes in self.nodes)
        return np.linspace(ends[0] - 5 * width, ends[1] + 5 * width, points)


def density(
    operator: Operator, *, steps: int = 80, draws: int = 10, seed: int = 0, progress: Progress | None = None
) -> Density:
    """Nodes and weights from `draws` random directions, each with `steps` products and full reorthogonalisation.

    One draw is exact for polynomials of degree up to 2 steps - 1 along its own direction; between draws the moments
    scatter as 1 / sqrt(size). The memory is 8 * steps * size bytes.

    Args:
        operator: what is multiplied.
        steps: products of each draw, at least 1; no more than the size are made.
        draws: random directions, at least 1.
        seed: of the directions.
        progress: told after each product; its second argument is nan.
    Raises: ValueError for fewer than one step or draw.
    Source: Lin, Saad and Yang 2016 (SIAM Review 58, section 3.2); Ghorbani et al. 2019 (arXiv:1901.10159, algorithm 1).

    >>> from common.curvature.operators import Dense
    >>> measured = density(Dense(np.diag([1.0, 2.0, 6.0])), steps=3, draws=4)
    >>> measured.nodes[0].round(6).tolist(), round(float(measured.weights[0].sum()), 6)
    ([1.0, 2.0, 6.0], 1.0)
    """
    if min(steps, draws) < 1:
        raise ValueError(f"steps={steps} and draws={draws} must be at least 1")
    before = operator.products
    source = stream(seed, "density")
    rules = []
    for _ in range(draws):
        start = source.standard_normal(operator.size)
        rules.append(_quadrature(operator, start, min(steps, operator.size), before, progress))
    return Density(
        nodes=[nodes for nodes, _ in rules],
        weights=[weights for _, weights in rules],
        size=operator.size,
        products=operator.products - before,
    )


def _quadrature(
    operator: Operator, start: Vector, steps: int, before: int, progress: Progress | None
) -> tuple[Vector, Vector]:
    """Gauss rule of the spectral measure along `start`: eigenvalues and first components of the tridiagonal matrix."""
    basis = np.empty((steps, operator.size), operator.dtype)
    inner = np.zeros((steps, steps))
    basis[0] = start / np.linalg.norm(start)
    scale, count = 0.0, 0
    while True:
        image = operator(basis[count][:, None])[:, 0]
        if progress:
            progress(operator.products - before, np.nan)
        count += 1
        known, rest = deflate(basis[:count], image)
        inner[count - 1, :count] = inner[:count, count - 1] = known
        scale = max(scale, float(np.hypot(np.linalg.norm(known), rest)))
        if count == steps or rest <= INVARIANT * scale:
            break
        basis[count] = image / rest
    values, vectors = np.linalg.eigh(inner[:count, :count])
    return values, vectors[0] ** 2
