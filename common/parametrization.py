"""Parametrization: how a tensor's role decides its initial scale, its forward factor and its learning rate.

Every initial value of every model is drawn here. `TABLE` has one column today, the standard parametrization (SP).
"""

import math
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import nn


class Role(StrEnum):
    """What a tensor does; the table has one rule for each role."""

    EMBEDDING = "embedding"
    """Maps tokens, positions or features to the width."""
    HIDDEN = "hidden"
    """Maps the width, or a multiple of it, to the width, or a multiple of it."""
    READOUT = "readout"
    """Maps the width to the outputs."""
    BIAS = "bias"
    GATE = "gate"
    """One number that multiplies a branch."""


class Rule(NamedTuple):
    """How one role is treated."""

    std: float
    """Exponent of the fan-in in the initial standard deviation; minus infinity starts at zero."""
    forward: float
    """Factor on the tensor's product. The models apply that of the readout; the other roles must have 1."""
    learning_rate: float
    """Factor on the run's learning rate."""


TABLE = {
    Role.EMBEDDING: Rule(std=-0.5, forward=1.0, learning_rate=1.0),
    Role.HIDDEN: Rule(std=-0.5, forward=1.0, learning_rate=1.0),
    Role.READOUT: Rule(std=-0.5, forward=1.0, learning_rate=1.0),
    Role.BIAS: Rule(std=-math.inf, forward=1.0, learning_rate=1.0),
    Role.GATE: Rule(std=-math.inf, forward=1.0, learning_rate=1.0),
}
"""SP: weights of variance 1 / fan-in (LeCun et al. 1998, "Efficient BackProp", eq. 16), the others 0; one rate."""


class Initializer:
    """Draws the parameters of one model from one generator, in the order in which the model asks for them.

    Args:
        generator: source of every initial value; equal generators give equal models.
        gain: factor on every initial standard deviation (`config.Model.init_gain`).
    """

    def __init__(self, generator: torch.Generator, *, gain: float) -> None:
        self._generator = generator
        self._gain = gain

    def parameter(self, module: nn.Module, name: str, role: Role, *shape: int, fan_in: int) -> None:
        """Give `module` the parameter `name` and note its role.

        Args:
            module: owner of the parameter.
            name: attribute under which it is reached.
            role: decides the initial scale.
            shape: of the tensor.
            fan_in: number of terms that each of its outputs sums.
        """
        std = 0.0 if TABLE[role].std == -math.inf else self._gain * float(fan_in) ** TABLE[role].std
        value = torch.empty(shape).normal_(generator=self._generator).mul_(std)
        module.register_parameter(name, nn.Parameter(value))
        module.__dict__.setdefault("roles", {})[name] = role


def named_roles(module: nn.Module) -> dict[str, Role]:
    """The role of every parameter, under its name and in the order of `module.named_parameters()`.

    Raises: LookupError if a parameter was not made by an `Initializer`.
    """
    noted = dict(_noted(module))
    names = [name for name, _ in module.named_parameters()]
    if unknown := [name for name in names if name not in noted]:
        raise LookupError(f"parameters without a role: {', '.join(unknown)}; make them with Initializer.parameter")
    return {name: noted[name] for name in names}


def learning_rate_factors(module: nn.Module) -> dict[str, float]:
    """The factor on the run's learning rate for every parameter, under the names of `named_roles`."""
    return {name: TABLE[role].learning_rate for name, role in named_roles(module).items()}


def _noted(module: nn.Module) -> Iterator[tuple[str, Role]]:
    for place, inner in module.named_modules():
        roles: dict[str, Role] = inner.__dict__.get("roles", {})
        yield from ((f"{place}.{name}" if place else name, role) for name, role in roles.items())
