"""Losses of a batch: from a network's outputs and the targets to their mean, with its graph (layer 1)."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional

Loss = Callable[[Any, Tensor], Tensor]
"""From a network's outputs and the targets to the mean loss over the targets, shape ()."""


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats per target: logits (..., classes) and int64 targets (...)."""
    return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())


def half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Half the squared error summed over outputs, per example: both (count, outputs)."""
    return 0.5 * (outputs - targets).square().sum(-1).mean()


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "mse": half_squared_error}
"""The losses of the repository's data sets, by `Dataset.loss`."""
