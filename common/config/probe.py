"""Measurements in training."""

from collections.abc import Iterator
from typing import Literal

from common.description import at_least, description, fits_kind

CURVATURE = ("sharpness", "effective_sharpness")
"""Kinds of probe that take products with the Hessian."""

PROBE_SET = (*CURVATURE, "gradients")
"""Kinds of probe that take derivatives over some training examples."""

READING = (*PROBE_SET, "nearest_mean")
"""Kinds of probe that read training examples."""


@description
class Probe:
    """A measurement of the model in training, called at its steps (see common/probes.py)."""

    kind: Literal["norms", "sharpness", "effective_sharpness", "gradients", "nearest_mean"]
    every: int | None = None
    """Measure after every so many updates, at the start and at the end."""
    steps: tuple[int, ...] | None = None
    """Measure after these many updates of the run (0 is the start)."""
    examples: int | None = None
    """All kinds but norms: training examples (of each task) that are read, the first of a fixed order; all if left
    out."""

    def _rules(self) -> Iterator[str]:
        if (self.every is None) == (self.steps is None):
            yield f"every={self.every!r}, steps={self.steps!r}: give exactly one of the two"
        yield from at_least(1, self, "every")
        yield from fits_kind(self, self.kind, {"norms": (), **dict.fromkeys(READING, ("examples?",))})
        yield from at_least(1, self, "examples")
        if self.steps is not None and any(step < 0 for step in self.steps):
            yield f"steps={self.steps} must not be negative"
