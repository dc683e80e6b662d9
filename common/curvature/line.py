"""The loss along straight lines in weight space."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

Weights = Mapping[str, Tensor]
"""Tensors by name, as in a module's state dictionary."""


def point(start: Weights, end: Weights, share: float) -> dict[str, Tensor]:
    """Weights (1 - share) start + share end; exactly `start` at 0 and `end` at 1, extrapolated outside [0, 1].

    Raises: ValueError if the two are not weights of the same network.
    """
    shapes = [{name: tensor.shape for name, tensor in weights.items()} for weights in (start, end)]
    if shapes[0] != shapes[1]:
        different = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))
        raise ValueError(f"tensor {different[0][0]!r} is not in both with equal shape: a line needs equal networks")
    return {name: (1 - share) * tensor + share * end[name] for name, tensor in start.items()}


def losses_along(
    model: nn.Module, loss: Callable[[nn.Module], float], *, start: Weights, end: Weights, shares: Sequence[float]
) -> list[float]:
    """Loss at each point of the line from `start` to `end`.

    Args:
        model: a network of that shape; it lends its computation, and has its own weights again afterwards.
        loss: from a network to a number, for example its mean validation loss.
        start: weights at share 0.
        end: weights at share 1.
        shares: positions on the line.
    Source: Goodfellow, Vinyals and Saxe 2015 (arXiv:1412.6544).
    """
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    losses = []
    try:
        for share in shares:
            model.load_state_dict(point(start, end, share))
            losses.append(loss(model))
    finally:
        model.load_state_dict(own)
    return losses


def distance(start: Weights, end: Weights) -> float:
    """Euclidean distance between two sets of weights."""
    parts = [(end[name].double() - tensor.double()).square().sum() for name, tensor in start.items()]
    return float(torch.stack(parts).sum().sqrt())
