"""The update rule. The learning rate is `Run.lr` times the schedule."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from common.config.description import Kind, above, at_least, between, description, field

__all__ = ["SGD", "Adam", "AdamW", "Muon", "Optimizer", "ScheduleFree"]


@description
class Optimizer(Kind):
    """What all update rules have."""

    formerly = "adamw"

    weight_decay: float = field(default=0.0, neutral=0.0)
    """Acts on weight matrices and embeddings, not on gains and biases."""
    clip: float | None = None
    """Largest Euclidean norm of the whole gradient; no clipping if left out."""

    sizes: ClassVar[Literal["sgd", "adam"] | None] = None
    """Column of the parametrizations' tables that the rule's learning rates follow; None where no table knows it."""
    threshold: ClassVar[str | None] = None
    """"module:name" of the largest curvature at which the rule is stable; None where no closed form is known."""
    preconditioned: ClassVar[bool] = False
    """Whether it divides by a second moment, which it has from its first update on."""
    couples_decay: ClassVar[bool] = False
    """Whether weight decay is added to the gradient, instead of shrinking the weights beside it."""

    def _rules(self) -> Iterator[str]:
        yield from at_least(0, self, "weight_decay")
        yield from above(0, self, "clip")


@description
class SGD(Optimizer):
    """Gradient descent, heavy ball, or Nesterov's form of it."""

    kind = "sgd"
    code = "common.optim.optimizers:sgd"
    sizes = "sgd"
    threshold = "common.curvature.stability:sgd"
    couples_decay = True

    momentum: float = field(default=0.0, neutral=0.0)
    """Heavy-ball coefficient."""
    nesterov: bool = False
    """Nesterov's form of the momentum."""

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from between(0, 1, self, "momentum")
        if self.nesterov and not self.momentum:
            yield "nesterov=True needs a momentum greater than 0"


@description
class Adam(Optimizer):
    """Adam; its weight decay is coupled to the gradient."""

    kind = "adam"
    code = "common.optim.optimizers:adam"
    sizes = "adam"
    threshold = "common.curvature.stability:adam"
    preconditioned = True
    couples_decay = True

    beta1: float = 0.9
    """Average of the gradient."""
    beta2: float = 0.95
    """Average of the squared gradient."""
    epsilon: float = 1e-8
    """Added to the root of the second moment."""

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from between(0, 1, self, "beta1", "beta2")
        yield from above(0, self, "epsilon")


@description
class AdamW(Adam):
    """Adam with decoupled weight decay."""

    kind = "adamw"
    code = "common.optim.optimizers:adamw"
    couples_decay = False


@description
class Muon(AdamW):
    """Orthogonalised momentum on the hidden matrices, AdamW on all other weights.

    By default both parts make updates of the size that AdamW's have, so that they share a rate, and one tuned for AdamW
    will do. Jordan et al. 2024 have adjust="original", adam_lr_factor=0.015 and a rate of 0.02 instead.
    """

    kind = "muon"
    code = "common.optim.muon:muon"
    sizes = None  # type: ignore[assignment]
    threshold = None  # type: ignore[assignment]

    momentum: float = 0.95
    """Average of a hidden matrix's gradient."""
    nesterov: bool = True
    """Nesterov's form: orthogonalise the average of that average and the gradient, with the same shares."""
    ns_steps: int = 5
    """Newton-Schulz steps of the orthogonalisation."""
    adjust: Literal["original", "match_rms_adamw"] = "match_rms_adamw"
    """Factor on the orthogonalised update of a rows and b columns: sqrt(max(1, a / b)) (Jordan et al. 2024), or
    0.2 sqrt(max(a, b)), with which its root mean square is 0.2, about that of AdamW's (Liu et al. 2025,
    arXiv:2502.16982)."""
    adam_lr_factor: float = 1.0
    """Rate of the AdamW part over that of the hidden matrices."""

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from between(0, 1, self, "momentum")
        yield from between(1, 100, self, "ns_steps")
        yield from above(0, self, "adam_lr_factor")


@description
class ScheduleFree(Adam):
    """Schedule-Free AdamW; `beta1` interpolates towards the average, at which the model is evaluated."""

    kind = "schedule_free"
    code = "common.optim.schedule_free:schedule_free"
    threshold = "common.curvature.stability:schedule_free"
    couples_decay = False
