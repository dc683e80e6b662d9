"""Parts that the networks share: affine maps, activations and norms."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.config import Model
from common.parametrization import Role
from common.roles import Initializer

EPSILON = 1e-5
"""Added to the variance, or the mean square, inside every norm."""


class _SquaredReLU(torch.autograd.Function):
    """Two passes over memory fewer than autograd's chain of relu and square; differentiable twice."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        positive = torch.relu(x)
        return positive.mul_(positive)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], _output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return (torch.relu(x) * upstream[0]).mul_(2)


def relu2(x: Tensor) -> Tensor:
    """Squared ReLU (So et al. 2021, arXiv:2109.08668)."""
    squared: Tensor = _SquaredReLU.apply(x)  # type: ignore[no-untyped-call]
    return squared


def linear(x: Tensor) -> Tensor:
    """The identity: a deep linear network, or no norm."""
    return x


Map = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Map] = {
    "relu": torch.relu,
    "relu2": relu2,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "linear": linear,
}


def layernorm(x: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the last axis (Ba et al. 2016, arXiv:1607.06450), without gain and bias."""
    return functional.layer_norm(x, x.shape[-1:], eps=EPSILON)


def rmsnorm(x: Tensor) -> Tensor:
    """Mean square 1 over the last axis (Zhang & Sennrich 2019, arXiv:1910.07467), without gain."""
    return functional.rms_norm(x, x.shape[-1:], eps=EPSILON)


def batchnorm(x: Tensor) -> Tensor:
    """Mean 0 and variance 1 of each feature over the batch (Ioffe & Szegedy 2015, arXiv:1502.03167); no gain, no bias.

    The statistics are those of the batch at hand, in training, evaluation and curvature alike: (count, width).
    """
    return functional.batch_norm(x, None, None, training=True, eps=EPSILON)


NORMS: dict[str, Map] = {"layernorm": layernorm, "rmsnorm": rmsnorm, "batchnorm": batchnorm, "none": linear}


def norms(model: Model) -> tuple[Map, Map]:
    """What acts before and what acts after a branch or an activation; one of the two is the identity."""
    norm = NORMS[model.norm]
    return (norm, linear) if model.norm_place == "pre" else (linear, norm)


def scaled(tensor: Tensor, factor: float) -> Tensor:
    """`factor` times the tensor; the tensor itself for a factor of 1."""
    return tensor if factor == 1 else tensor * factor


class Layer(nn.Module):
    """One affine map; the role's forward factor multiplies the weight, not the bias."""

    weight: Tensor
    bias: Tensor

    def __init__(self, role: Role, *, inputs: int, outputs: int, initial: Initializer, inside: bool = False) -> None:
        super().__init__()
        self.factor = initial.forward_factor(role)
        bias = Role.FINITE if role is Role.READOUT else Role.VECTOR
        initial.parameter(self, "weight", role, outputs, inputs, fan_in=inputs, inside=inside)
        initial.parameter(self, "bias", bias, outputs, fan_in=1, inside=inside)

    def forward(self, x: Tensor) -> Tensor:
        """(count, inputs) to (count, outputs)."""
        return functional.linear(x, scaled(self.weight, self.factor), self.bias)
