"""The update rule."""

from collections.abc import Iterator
from typing import Literal

from common.description import at_least, between, description, fits_kind


@description
class Optimizer:
    """An update rule. The learning rate is `Run.lr` times the schedule."""

    kind: Literal["sgd", "adam", "adamw", "schedule_free"] = "adamw"
    """adam couples its weight decay to the gradient, adamw and schedule_free (on AdamW) decouple it."""
    momentum: float | None = None
    """sgd: heavy-ball coefficient; 0 if left out."""
    nesterov: bool | None = None
    """sgd: Nesterov's form of the momentum; off if left out."""
    beta1: float | None = None
    """Average of the gradient (adam, adamw; 0.9 if left out), interpolation towards x (schedule_free; 0.9)."""
    beta2: float | None = None
    """Average of the squared gradient; 0.95 if left out."""
    epsilon: float | None = None
    """Added to the root of the second moment; 1e-8 if left out."""
    weight_decay: float = 0.0
    """Acts on weight matrices and embeddings, not on gains and biases."""
    clip: float | None = None
    """Largest Euclidean norm of the whole gradient; no clipping if left out."""

    def _rules(self) -> Iterator[str]:
        moments = ("beta1?", "beta2?", "epsilon?")
        fields = {"sgd": ("momentum?", "nesterov?"), "adam": moments, "adamw": moments, "schedule_free": moments}
        yield from fits_kind(self, self.kind, fields)
        yield from between(0, 1, self, "momentum", "beta1", "beta2")
        yield from at_least(0, self, "weight_decay")
        for name in ("clip", "epsilon"):
            number = getattr(self, name)
            if number is not None and number <= 0:
                yield f"{name}={number} must be greater than 0; leave it out for none"
        if self.nesterov and not self.momentum:
            yield "nesterov=True needs a momentum greater than 0"
