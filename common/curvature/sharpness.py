"""Preconditioned sharpness: the largest eigenvalue that an update rule sees, with its threshold."""

from dataclasses import dataclass

import torch

from common import config
from common.curvature.lanczos import Extremes, Progress, extremes
from common.curvature.objective import Block, Mode, Objective
from common.curvature.operators import Hessian, Operator, Scaled
from common.curvature.stability import decay, diagonal, threshold


@dataclass(frozen=True)
class Sharpness:
    """One measurement, with what it was measured on."""

    found: Extremes
    """Eigenvalues, bounds, products and convergence; of the scaled Hessian if the rule scales it."""
    threshold: float
    """Largest eigenvalue at which the rule is stable."""
    mode: Mode
    """Mode of the model, which decides what its batch normalisation means."""
    targets: int
    """Targets in the probe set; a small one is biased upwards."""

    @property
    def normalised(self) -> float:
        """Largest eigenvalue over threshold: 1 at the edge of stability of any rule, 0 at rate 0."""
        return self.found.value / self.threshold


def sharpness(
    objective: Objective,
    optimizer: config.Optimizer,
    *,
    lr: float,
    rule: torch.optim.Optimizer | None = None,
    smallest: int = 0,
    start: Block | None = None,
    seed: int = 0,
    tolerance: float = 1e-3,
    floor: float = 0.0,
    progress: Progress | None = None,
) -> Sharpness:
    """Largest eigenvalue of what the update rule multiplies the weights with, and its stability threshold.

    Args:
        objective: loss and probe set; the graph of its first batch is held during the measurement.
        optimizer: description of the rule.
        lr: rate of the update, above 0; the schedule's factor included.
        rule: the optimizer itself, for rates of single tensors, weight decay (of sgd and adam, which couple it) and
            the second moment of adam, adamw and schedule_free; if left out all weights have the rate `lr`.
        smallest: how many of the smallest eigenvalues to find as well.
        start: `found.start` of the measurement before.
        seed: of a random start.
        tolerance: see `extremes`.
        floor: see `extremes`.
        progress: told after each product.
    Raises: ValueError for a preconditioned kind without its `rule`; else as `extremes`, `threshold` and `diagonal`.

    >>> from torch import nn
    >>> from common.data.losses import half_squared_error
    >>> model = nn.Linear(2, 1, bias=False)
    >>> batch = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> objective = Objective(model, half_squared_error, [batch])  # its Hessian is diag(0.5, 2)
    >>> sgd = config.SGD(momentum=0.9)
    >>> round(sharpness(objective, sgd, lr=0.95).normalised, 4)
    0.5
    """
    operator = _seen(objective, optimizer, lr=lr, rule=rule)
    with objective.cached_graphs():
        found = extremes(
            operator,
            smallest=smallest,
            start=start,
            seed=seed,
            tolerance=tolerance,
            floor=floor,
            progress=progress,
        )
    return Sharpness(found, threshold(optimizer, lr=lr), objective.mode, objective.targets)


def _seen(
    objective: Objective, optimizer: config.Optimizer, *, lr: float, rule: torch.optim.Optimizer | None
) -> Operator:
    """The Hessian, or D^(1/2) (H + decay) D^(1/2)."""
    if rule is None:
        if optimizer.preconditioned:
            raise ValueError(f"kind={optimizer.kind!r} divides by its second moment: give rule, the optimizer itself")
        return Hessian(objective)
    rates = diagonal(rule, objective.named, lr=lr)
    shift = rates * decay(rule, objective.named) if optimizer.couples_decay else None
    return Scaled(Hessian(objective), rates, shift=shift)
