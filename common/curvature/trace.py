"""Trace of a symmetric operator from random products, with its standard error."""

from dataclasses import dataclass

import numpy as np

from common.curvature.lanczos import Progress
from common.curvature.objective import Block, Vector
from common.curvature.operators import Operator
from common.streams import stream

COLUMNS = 8
"""Vectors multiplied together: they share the forward passes."""


@dataclass(frozen=True)
class Trace:
    """An estimate of the sum of all eigenvalues."""

    value: float
    error: float
    """Standard error of `value` over the random vectors."""
    products: int
    """Products that the estimate took."""


def hutchinson(operator: Operator, *, draws: int, seed: int = 0, progress: Progress | None = None) -> Trace:
    """Mean of z'Az over random signs z; its variance is twice the sum of A's squared entries off the diagonal.

    Args:
        operator: A.
        draws: products, at least 2.
        seed: of the signs.
        progress: told after each few products, with the present standard error.
    Raises: ValueError for fewer than two draws.
    Source: Hutchinson 1990 (Commun. Stat. Simul. Comput. 19).

    >>> from common.curvature.operators import Dense
    >>> hutchinson(Dense(np.diag([1.0, 2.0, 3.0])), draws=2)
    Trace(value=6.0, error=0.0, products=2)
    """
    if draws < 2:
        raise ValueError(f"draws={draws} must be at least 2: one draw has no standard error")
    signs = _signs(seed, "hutchinson", operator.size, draws)
    return _estimate(operator, signs, exact=0.0, before=operator.products, progress=progress)


def hutch_plus_plus(operator: Operator, *, products: int, seed: int = 0, progress: Progress | None = None) -> Trace:
    """Trace within a random third of the products' span exactly, Hutchinson's mean for the rest.

    Exact for operators of rank up to products // 3, and much better than Hutchinson where few eigenvalues are large.
    The standard error is that of the rest.

    Args:
        operator: A.
        products: how many to spend, at least 6.
        seed: of the random vectors.
        progress: told after each few products, with the present standard error.
    Raises: ValueError for fewer than six products.
    Source: Meyer et al. 2021 (arXiv:2010.09649, algorithm 1).
    """
    if products < 6:
        raise ValueError(f"products={products} must be at least 6: two for each of the three parts; use hutchinson")
    before, third = operator.products, products // 3
    sketch = operator(_signs(seed, "sketch", operator.size, min(third, operator.size)))
    basis, _ = np.linalg.qr(sketch)
    exact = float(np.sum(basis * operator(basis)))
    signs = _signs(seed, "rest", operator.size, products - 2 * third)
    return _estimate(operator, signs - basis @ (basis.T @ signs), exact=exact, before=before, progress=progress)


def _estimate(operator: Operator, block: Block, *, exact: float, before: int, progress: Progress | None) -> Trace:
    parts: Vector = np.empty(0)
    for first in range(0, block.shape[1], COLUMNS):
        columns = block[:, first : first + COLUMNS]
        parts = np.append(parts, np.sum(columns * operator(columns), axis=0))
        if progress:
            progress(operator.products - before, _error(parts))
    return Trace(value=exact + float(parts.mean()), error=_error(parts), products=operator.products - before)


def _error(parts: Vector) -> float:
    return float(parts.std(ddof=1) / np.sqrt(len(parts))) if len(parts) > 1 else np.inf


def _signs(seed: int, name: str, size: int, count: int) -> Block:
    signs: Block = stream(seed, "trace", name).choice([-1.0, 1.0], size=(size, count))
    return signs
