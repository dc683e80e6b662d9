"""Laws of a loss curve for any sequence of learning rates, and their fit to a few curves.

Rates are in units of a peak, so that areas are numbers of updates at the peak. With S the sum of all rates:

* annealing (Tissue et al. 2024, arXiv:2408.11029): L0 + A S**-alpha - C S2, where S2 is the sum of a momentum that
  gathers the falls of the rate and forgets them within some updates;
* multi-power (Luo et al. 2025, arXiv:2503.12811): L0 + A S**-alpha - B sum_k (f_{k-1} - f_k) G(f_k**-gamma S_k), where
  S_k is the sum of the rates from update k on and G(x) = 1 - (1 + C x)**-beta;
* functional (Li et al. 2025, arXiv:2509.19189, the form for our use): L0 + A S**-alpha + N sum_k f_k**2
  (1 + c (S - S_k))**-kappa, noise that the later updates forget;
* bound (Schaipp et al. 2025, arXiv:2501.18965): L0 + the convex bound, with its two constants fitted.

A warm-up counts in S, and as the peak where falls of the rate are meant.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares, nnls
from scipy.signal import lfilter

BLOCK = 8
"""Updates that the noise of the functional law takes together."""
THOUSAND = 1000.0
"""Areas are in thousands of updates, for the fit's sake."""
TINY = 1e-6
"""Factor that stands for a rate of zero."""

Array = np.ndarray[Any, np.dtype[np.float64]]


class Point(NamedTuple):
    """A place on a curve: all rates that led there, in units of the peak, and the loss."""

    factors: Array
    loss: float


@dataclass(frozen=True)
class Law:
    """A law whose constants are fitted."""

    value: Callable[[Array, Array], float]
    """Loss from the constants and the factors."""
    starts: Sequence[Sequence[float]]
    """Constants from which fits begin; the best fit is taken."""
    low: Sequence[float]
    high: Sequence[float]

    def fit(self, points: Sequence[Point]) -> Array:
        """Constants with the least squares of the errors."""
        losses = np.array([point.loss for point in points])

        def errors(constants: Array) -> Array:
            found: Array = np.array([self.value(constants, point.factors) for point in points]) - losses
            return found

        fits = [least_squares(errors, start, bounds=(self.low, self.high), x_scale="jac") for start in self.starts]
        best: Array = min(fits, key=lambda one: one.cost).x
        return best


def held(factors: Array) -> Array:
    """The factors with the warm-up at its end's height."""
    top = int(np.argmax(factors >= factors.max() * (1 - 1e-9)))
    return np.append(np.full(top, factors[top]), factors[top:])


def _power(level: float, size: float, exponent: float, factors: Array) -> float:
    return float(level + size * (factors.sum() / THOUSAND) ** -exponent)


def annealing(constants: Array, factors: Array) -> float:
    """L0, A, alpha, C, logarithm of the memory in updates."""
    level, size, exponent, gain, memory = constants
    falls = -np.diff(held(factors), prepend=held(factors)[0])
    momentum = lfilter([1.0], [1.0, -np.exp(-1 / np.exp(memory))], falls)
    return float(_power(level, size, exponent, factors) - gain * momentum.sum() / THOUSAND)


def multi_power(constants: Array, factors: Array) -> float:
    """L0, A, alpha, B, C, beta, gamma."""
    level, size, exponent, gain, scale, beta, gamma = constants
    flat = held(factors)
    falls = -np.diff(flat, prepend=flat[0])
    moved = np.flatnonzero(falls)
    left = np.cumsum(factors[::-1])[::-1][moved] / THOUSAND
    reach = np.maximum(factors[moved], TINY) ** -gamma * left
    drop = np.sum(falls[moved] * (1 - (1 + scale * reach) ** -beta))
    return float(_power(level, size, exponent, factors) - gain * drop)


def functional(constants: Array, factors: Array) -> float:
    """L0, A, alpha, N, c, kappa."""
    level, size, exponent, noise, scale, kappa = constants
    edges = np.arange(0, len(factors), BLOCK)
    squares = np.add.reduceat(factors**2, edges)
    later = (factors.sum() - np.cumsum(np.add.reduceat(factors, edges))) / THOUSAND
    kept = np.sum(squares * (1 + scale * later) ** -kappa) / THOUSAND
    return float(_power(level, size, exponent, factors) + noise * kept)


LAWS = {
    "annealing": Law(
        annealing,
        starts=[(1.5, 0.5, 0.4, 0.5, np.log(tau)) for tau in (30.0, 150.0, 700.0)],
        low=(0, 0, 0.05, 0, np.log(5)),
        high=(5, 10, 2, 50, np.log(5e3)),
    ),
    "multi-power": Law(
        multi_power,
        starts=[(1.5, 0.5, 0.4, 0.2, scale, 0.5, 0.5) for scale in (2.0, 30.0)],
        low=(0, 0, 0.05, 0, 1e-3, 0.05, 0),
        high=(5, 10, 2, 10, 1e4, 5, 1.5),
    ),
    "functional": Law(
        functional,
        starts=[(1.5, 0.5, 0.4, 2.0, scale, 1.5) for scale in (10.0, 60.0)],
        low=(0, 0, 0.05, 0, 0.1, 1.01),
        high=(5, 10, 2, 500, 1e4, 4),
    ),
}


def bound_terms(factors: Array) -> tuple[float, float]:
    """What the convex bound multiplies with D**2 / G and with G, at base rate 1: see `bound.bound`."""
    positive = factors[factors > 0]
    rest = np.cumsum(positive[::-1])[::-1]
    noise = positive[-1] + np.sum(positive[:-1] ** 2 / rest[1:])
    return float(THOUSAND * 0.5 / rest[0]), float(0.5 * noise)


def bound_fit(points: Sequence[Point]) -> Array:
    """Level and the two constants of the bound, none below 0."""
    rows = np.array([(1.0, *bound_terms(point.factors)) for point in points])
    found: Array = nnls(rows, np.array([point.loss for point in points]))[0]
    return found


def bound_value(constants: Array, factors: Array) -> float:
    """The fitted bound after these updates."""
    return float(constants @ (1.0, *bound_terms(factors)))
