"""An exponential moving average of the weights in training, and the network that has it."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

PREFIX = "average."
"""Begins the names of averaged weights in a state."""


class Average:
    """An average of the weights of a network: avg <- decay avg + (1 - decay) w after each update.

    It starts at the weights themselves, so that it needs no correction of its bias, and has a memory of about
    1 / (1 - decay) updates. The training does not depend on it.

    Args:
        model: the network in training, with the weights from which the average starts.
        decay: between 0 and 1.
    Source: Polyak and Juditsky 1992 for averages of iterates; Soutif-Cormerais et al. 2023 (arXiv:2306.16817) for this
        one, evaluated in the place of the weights while a network learns task after task.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.share = 1 - decay
        self._weights: list[Tensor] = list(model.parameters())
        self._averaged: list[Tensor] = list(self.model.parameters())

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an update."""
        torch._foreach_lerp_(self._averaged, self._weights, self.share)

    def tensors(self) -> dict[str, Tensor]:
        """A copy of the averaged weights as they stand in a state, "average.<name>"."""
        return {f"{PREFIX}{name}": tensor.clone() for name, tensor in self.model.named_parameters()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on with the average in a state; if the state has none, with the weights that the average started from."""
        for name, tensor in self.model.named_parameters():
            tensor.copy_(tensors.get(f"{PREFIX}{name}", tensor))
