"""Losses of a batch: from a network's outputs and the targets to their mean, with its graph."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Any, Tensor], Tensor]
"""From a network's outputs and the targets to the mean loss over the targets, shape ()."""

IGNORED = -100
"""A target, of whole numbers, that is not scored: no loss counts it."""


def count_targets(targets: Tensor) -> int:
    """How many losses a batch averages: scored entries of whole numbers (classes, tokens), rows of real ones."""
    return len(targets) if targets.is_floating_point() else int(torch.count_nonzero(targets != IGNORED))


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats per scored target: logits (..., classes) and int64 targets (...); NaN without any."""
    return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())


def half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Half the squared error summed over outputs, per example: both (count, outputs)."""
    return 0.5 * (outputs - targets).square().sum(-1).mean()


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "mse": half_squared_error}
"""The losses of the repository's data sets, by `Dataset.loss`."""
