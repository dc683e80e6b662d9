"""Critical sharpness: curvature from a few forward passes along an update."""

import math
from dataclasses import dataclass

import numpy as np

from common.curvature.objective import Objective, Vector

STRIDE = 3.0
"""Factor of the second step, when one loss is all that is known."""
LEAST = 2.0
"""Smallest factor by which the search goes on while it has not enclosed the step."""
REACH = 30.0
"""Largest factor by which it may go on then."""
WIDE = 9.0
"""Ratio of the enclosing steps above which their middle is tried: a straight line says little over such a range."""


@dataclass(frozen=True)
class Critical:
    """The smallest step along an update that raises the loss, as far as it was found."""

    step: float
    """Estimate of that step, in units of the update."""
    lower: float
    """A step that does not raise the loss; 0 if none was found."""
    upper: float
    """A step that raises it; infinite if none was found."""
    passes: int
    """Losses evaluated; each is a forward pass over the probe set."""
    converged: bool
    """Whether `upper` is within the tolerance of `lower`."""

    @property
    def sharpness(self) -> float:
        """2 / step: on a quadratic, with minus the gradient as update, the curvature along it."""
        return 2 / self.step


def critical_sharpness(
    objective: Objective, update: Vector, *, guess: float, tolerance: float = 0.1, limit: int = 10
) -> Critical:
    """Search for the smallest step that raises the loss, in fewer than ten forward passes from a fair guess.

    On a quadratic (loss at a step - loss) / step is a straight line in the step, so its zero is predicted from two
    losses and then enclosed from both sides: five passes in all.

    ASSUME: the loss falls for all smaller steps; an earlier rise between two evaluated steps is not seen.

    Args:
        objective: loss and probe set.
        update: direction in which the weights move, float64 (size,): minus the gradient for gradient descent, the
            rule's own step over its rate otherwise.
        guess: first step to try, above 0: the present rate, or the step found before.
        tolerance: stop when the enclosing steps differ by at most this share.
        limit: forward passes after which to stop, at least 3.
    Raises: ValueError for a guess or limit out of range, or an update of another shape;
        ArithmeticError if the present loss is not finite.
    Source: 2 / step and the bound of ten passes: Kalra et al. 2026 (arXiv:2601.16979); the search is our own.
    """
    if not guess > 0 or limit < 3:
        raise ValueError(f"guess={guess} must be above 0 and limit={limit} at least 3: two losses besides the present")
    if update.shape != (objective.size,):
        raise ValueError(f"update of shape {update.shape} must have shape ({objective.size},), as the weights")
    weights, base = objective.weights(), objective.loss()
    if not math.isfinite(base):
        raise ArithmeticError(f"the loss at the present weights is {base}; measure before the training diverges")
    lower, upper, step = 0.0, math.inf, guess
    slopes: dict[float, float] = {}
    while upper > (1 + tolerance) * lower and len(slopes) + 1 < limit:
        loss = objective.loss(weights + step * update)
        slopes[step] = (loss - base) / step if math.isfinite(loss) else math.inf
        lower, upper = (lower, step) if slopes[step] > 0 else (step, upper)
        step = _next(slopes, lower, upper, tolerance)
    return Critical(
        step=_best(slopes, lower, upper),
        lower=lower,
        upper=upper,
        passes=len(slopes) + 1,
        converged=upper <= (1 + tolerance) * lower,
    )


def _next(slopes: dict[float, float], lower: float, upper: float, tolerance: float) -> float:
    """A step between the enclosing ones, a little beyond the predicted zero on the side that is less well known."""
    root, margin = _root(slopes, lower, upper), tolerance / 3
    if upper == math.inf:
        return STRIDE * lower if root is None else float(np.clip(root * (1 + margin), LEAST * lower, REACH * lower))
    if lower == 0:
        return upper / STRIDE if root is None else float(np.clip(root * (1 - margin), upper / REACH, upper / LEAST))
    middle = math.sqrt(lower * upper)
    if root is None or upper > WIDE * lower:
        return middle
    aim = root * (1 + margin) if root < middle else root * (1 - margin)
    return aim if lower < aim < upper else middle


def _root(slopes: dict[float, float], lower: float, upper: float) -> float | None:
    """Zero of the straight line through the enclosing points, or the last two; None if it says nothing."""
    pair = [lower, upper] if lower > 0 and upper < math.inf else [*slopes][-2:]
    if len(pair) < 2 or not all(math.isfinite(slopes[step]) for step in pair):
        return None
    first, second = pair
    rise = slopes[second] - slopes[first]
    root = first - slopes[first] * (second - first) / rise if rise else math.nan
    return root if 0 < root < math.inf else None


def _best(slopes: dict[float, float], lower: float, upper: float) -> float:
    """The predicted zero if it lies within; else a step inside, or the only known end."""
    if lower == 0 or upper == math.inf:
        return upper if lower == 0 else lower
    return _root(slopes, lower, upper) or math.sqrt(lower * upper)
