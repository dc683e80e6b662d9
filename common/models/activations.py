"""Activations: each is a function named like the word of `config.Model.activation`."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, silu

__all__ = ["gelu", "linear", "relu", "relu2", "silu", "tanh"]

relu = torch.relu
tanh = torch.tanh


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
        return torch.addcmul(x.new_zeros(()), torch.relu(x), upstream[0], value=2)


def relu2(x: Tensor) -> Tensor:
    """Squared ReLU (So et al. 2021, arXiv:2109.08668)."""
    squared: Tensor = _SquaredReLU.apply(x)  # type: ignore[no-untyped-call]
    return squared


def linear(x: Tensor) -> Tensor:
    """The identity: a deep linear network."""
    return x
