"""Parts that the networks share: activations and norms."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5
"""Added to the mean square inside every norm."""


def relu2(x: Tensor) -> Tensor:
    """Squared ReLU (So et al. 2021, arXiv:2109.08668)."""
    return F.relu(x).square()


def linear(x: Tensor) -> Tensor:
    """The identity: a deep linear network."""
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu2": relu2,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "linear": linear,
}


def layernorm(x: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the last axis (Ba et al. 2016, arXiv:1607.06450)."""
    return F.layer_norm(x, x.shape[-1:], eps=EPSILON)


def rmsnorm(x: Tensor) -> Tensor:
    """Mean square 1 over the last axis (Zhang & Sennrich 2019, arXiv:1910.07467)."""
    return F.rms_norm(x, x.shape[-1:], eps=EPSILON)


NORMS: dict[str, Callable[[Tensor], Tensor]] = {"layernorm": layernorm, "rmsnorm": rmsnorm, "none": linear}
