"""The convex bound on the last iterate, for any sequence of learning-rate factors: a loss curve without a model.

For a convex function whose subgradients are at most G long, started at the distance D from a minimum, subgradient steps
with the rates base * f_t, t = 0 .. T - 1, keep the excess of the last iterate below

    (D^2 + sum (base f_t)^2 G^2) / (2 sum base f_t)
        + 1/2 sum_{k < T-1} base f_k / R_{k+1} * sum_{t >= k} (base f_t)^2 G^2 / R_k,     R_k = sum_{t >= k} base f_t

(Defazio et al. 2023, arXiv:2310.07831, theorem 10, in the form of Schaipp et al. 2025, arXiv:2501.18965). Because
f_k / (R_k R_{k+1}) = 1/R_{k+1} - 1/R_k, summation by parts leaves (derived here)

    D^2 / (2 base sum f_t) + base G^2 / 2 * (f_{T-1} + sum_{k < T-1} f_k^2 / sum_{t > k} f_t):

the disturbance of update k is divided by the distance that the later updates cover. Everything here is in units of D
and G: base rates in D/G, values in D G. The theorem is about the iterate where the last of the T gradients is taken.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from common.config import WSD, DecayShape
from common.optim.schedules import rates

Factors = Sequence[float] | np.ndarray


class Bound(NamedTuple):
    """The bound as a function of the base rate: start / base + noise * base."""

    start: float
    """Cost of the distance from the start, in D^2."""
    noise: float
    """Cost of the size of the steps, in G^2."""

    def value(self, base: float) -> float:
        """The bound at one base rate."""
        return self.start / base + self.noise * base

    @property
    def best_base(self) -> float:
        """Base rate with the smallest bound."""
        return math.sqrt(self.start / self.noise)

    @property
    def best_value(self) -> float:
        """The bound at the best base rate."""
        return 2 * math.sqrt(self.start * self.noise)


def bound(factors: Factors) -> Bound:
    """The bound after all updates of a schedule.

    Args:
        factors: learning rate of each update by the base rate, positive, of shape (T,).
    Raises: ValueError if there is no factor, or one is not positive.
    """
    factor = _checked(factors)
    rest = np.cumsum(factor[::-1])[::-1]
    noise = factor[-1] + np.sum(factor[:-1] ** 2 / rest[1:])
    return Bound(start=float(0.5 / rest[0]), noise=float(0.5 * noise))


def bound_curve(factors: Factors, *, base: float) -> np.ndarray:
    """The bound after 1, 2, ..., T updates of one schedule that is cut off there, of shape (T,).

    Args:
        factors: as for `bound`.
        base: the base rate, the same for the whole curve.
    Raises: ValueError if there is no factor, or one is not positive.
    """
    factor = _checked(factors)
    clock = np.cumsum(factor)
    disturbed = [np.sum(factor[:t] ** 2 / (clock[t] - clock[:t])) for t in range(len(factor))]
    curve: np.ndarray = 0.5 / (base * clock) + 0.5 * base * (factor + disturbed)
    return curve


def _checked(factors: Factors) -> np.ndarray:
    factor = np.asarray(factors, dtype=float)
    if factor.size == 0 or not np.all(factor > 0):
        lowest = factor.min() if factor.size else "none"
        raise ValueError(
            f"factors must be positive, the lowest is {lowest}: the bound divides by the last rate; leave out "
            "updates at rate 0, they move nothing"
        )
    return factor


def decayed(*, steps: int, decay_steps: int, shape: DecayShape = "linear") -> np.ndarray:
    """Factors of a constant rate whose last updates decay to 0, with 0 on the update after the last.

    The linear ones are 1 - j/decay_steps for j = 0 .. decay_steps - 1, so the last factor is 1/decay_steps: the
    convention of Schaipp et al. 2025, and that of `common.optim.schedules` for a run with one more update, which the
    bound leaves out because it would be at rate 0. `decay_steps=steps` decays from the first update on.

    Raises: ValueError if the decay does not fit into the updates, or the shape is unknown.
    """
    schedule = WSD(decay_steps=decay_steps, decay_shape=shape, floor=0.0)
    return np.array(rates(schedule, steps=steps + 1, lr=1.0)[:steps])


REFERENCES = {
    "constant": 0.13754,
    "linear decay, last 10 %": 0.1161,
    "linear decay, last 20 %": 0.1093,
    "linear decay, last 40 %": 0.1038,
    "linear decay, last 60 %": 0.1016,
    "linear decay, last 80 %": 0.1008,
    "linear decay, all": 0.1006,
    "1-sqrt decay, last 20 %": 0.1073,
    "cosine": 0.1034,
    "best base rate of the linear decay, last 20 % of 200": 0.0355,
    "best base rate of the linear decay, last 20 % of 400": 0.0254,
    "best base rate of the linear decay, last 20 % of 800": 0.0180,
}
"""Known numbers by name: the bound at the best base rate for 400 updates, and best base rates for three budgets.

They were computed from the double sum as published, apart from the code above, and rounded to the digits shown.
"""


class Case(NamedTuple):
    """A known number of the bound and ours; they agree if they differ by at most 1e-4."""

    name: str
    value: float
    reference: float


def reference_cases() -> list[Case]:
    """Our number beside each of `REFERENCES`."""
    linear = {"last 10 %": 40, "last 20 %": 80, "last 40 %": 160, "last 60 %": 240, "last 80 %": 320, "all": 400}
    schedules: dict[str, tuple[int, DecayShape]] = {"constant": (0, "linear")}
    schedules |= {f"linear decay, {name}": (n, "linear") for name, n in linear.items()}
    schedules |= {"1-sqrt decay, last 20 %": (80, "sqrt"), "cosine": (400, "cosine")}
    ours = {
        name: bound(decayed(steps=400, decay_steps=count, shape=shape)).best_value
        for name, (count, shape) in schedules.items()
    }
    for steps in (200, 400, 800):
        base = bound(decayed(steps=steps, decay_steps=steps // 5)).best_base
        ours[f"best base rate of the linear decay, last 20 % of {steps}"] = base
    return [Case(name, ours[name], reference) for name, reference in REFERENCES.items()]
