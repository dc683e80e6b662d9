"""Parametrization: how each tensor's role decides its initial scale, its forward factor and its learning rate.

Every initial value of every model is drawn here, so a parametrization is one more column of `PARAMETRIZATIONS`.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import nn


class Role(StrEnum):
    """What a tensor does; a parametrization has one rule for each role."""

    EMBEDDING = "embedding"
    """Maps the input (a vocabulary, positions, features) to the width."""
    HIDDEN = "hidden"
    """Maps the width to (a multiple of) the width."""
    READOUT = "readout"
    """Maps the width to the outputs."""
    GAIN = "gain"
    BIAS = "bias"


class Rule(NamedTuple):
    """How one role is treated."""

    std: Callable[[int], float]
    """Initial standard deviation from the fan-in, the number of terms that each output of the tensor sums."""
    mean: float
    forward: float
    """Factor on the tensor wherever it is used."""
    learning_rate: float
    """Factor on the run's learning rate."""


def _fan_in(fan_in: int) -> float:
    return float(fan_in) ** -0.5


def _zero(fan_in: int) -> float:
    return 0.0


PARAMETRIZATIONS = {
    "SP": {
        Role.EMBEDDING: Rule(std=_fan_in, mean=0.0, forward=1.0, learning_rate=1.0),
        Role.HIDDEN: Rule(std=_fan_in, mean=0.0, forward=1.0, learning_rate=1.0),
        Role.READOUT: Rule(std=_fan_in, mean=0.0, forward=1.0, learning_rate=1.0),
        Role.GAIN: Rule(std=_zero, mean=1.0, forward=1.0, learning_rate=1.0),
        Role.BIAS: Rule(std=_zero, mean=0.0, forward=1.0, learning_rate=1.0),
    }
}
"""SP, the standard parametrization: weights of variance 1 / fan-in (LeCun et al. 1998, "Efficient BackProp", eq. 16)."""


class Initializer:
    """Draws the parameters of one model from one generator, in the order in which the model asks for them.

    Args:
        generator: source of every initial value; equal generators give equal models.
        gain: factor on the standard deviation of every weight (`config.Model.init_gain`).
    """

    def __init__(self, generator: torch.Generator, *, gain: float) -> None:
        self._generator = generator
        self._gain = gain

    def parameter(self, module: nn.Module, name: str, role: Role, *shape: int, fan_in: int = 1) -> float:
        """Give `module` the parameter `name` of this role and shape; return the factor that its use must apply."""
        rule = PARAMETRIZATIONS["SP"][role]
        value = torch.empty(shape).normal_(generator=self._generator)
        value.mul_(self._gain * rule.std(fan_in)).add_(rule.mean)
        module.register_parameter(name, nn.Parameter(value))
        module.__dict__.setdefault("roles", {})[name] = role
        return rule.forward


def named_roles(module: nn.Module) -> dict[str, Role]:
    """The role of every parameter of a model, under its name in `module.named_parameters()`, in the same order.

    Raises: LookupError if a parameter was not made by an `Initializer`.
    """
    roles = dict(_noted(module))
    names = [name for name, _ in module.named_parameters()]
    if unknown := [name for name in names if name not in roles]:
        raise LookupError(f"parameters without a role: {', '.join(unknown)}; make them with Initializer.parameter")
    return {name: roles[name] for name in names}


def _noted(module: nn.Module) -> Iterator[tuple[str, Role]]:
    for place, inner in module.named_modules():
        noted: dict[str, Role] = inner.__dict__.get("roles", {})
        yield from ((f"{place}.{name}" if place else name, role) for name, role in noted.items())


def learning_rate_factors(module: nn.Module) -> dict[str, float]:
    """The factor on the learning rate of every parameter, under the names of `named_roles`."""
    return {name: PARAMETRIZATIONS["SP"][role].learning_rate for name, role in named_roles(module).items()}
