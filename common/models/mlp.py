"""Fully connected networks."""

from torch import Tensor, nn

from common.config import MLP
from common.config.parametrization import Role
from common.models.layers import Layer, activation, norms, scaled
from common.models.roles import Initializer


class Gate(nn.Module):
    """One learnt number, 0 at first, that multiplies a branch (De & Smith 2020, arXiv:2002.10444: SkipInit)."""

    value: Tensor

    def __init__(self, initial: Initializer) -> None:
        super().__init__()
        initial.parameter(self, "value", Role.FINITE, 1, fan_in=1, inside=True)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x * self.value


class PlainMLP(nn.Module):
    """`depth` hidden layers of one width, then a readout; the norm acts before ("pre") or after the activation."""

    def __init__(self, model: MLP, *, inputs: int, outputs: int, initial: Initializer) -> None:
        super().__init__()
        width = model.width
        self.activation = activation(model)
        self.before, self.after = norms(model)
        self.residual = model.residual
        self.embedding = Layer(Role.EMBEDDING, inputs=inputs, outputs=width, initial=initial)
        self.hidden = nn.ModuleList(
            Layer(Role.HIDDEN, inputs=width, outputs=width, initial=initial) for _ in range(model.depth - 1)
        )
        self.gates = nn.ModuleList(Gate(initial) if model.gated else nn.Identity() for _ in self.hidden)
        self.readout = Layer(Role.READOUT, inputs=width, outputs=outputs, initial=initial)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, float32 (count, outputs), of features, float32 (count, inputs)."""
        x = self._activate(self.embedding(x))
        for layer, gate in zip(self.hidden, self.gates, strict=True):
            change = gate(self._activate(layer(x)))
            x = x + change if self.residual else change
        outputs: Tensor = self.readout(x)
        return outputs

    def _activate(self, x: Tensor) -> Tensor:
        return self.after(self.activation(self.before(x)))


class Branch(nn.Module):
    """What a residual block adds: weight layers of one width, each after norm and activation, with a gate if wanted."""

    def __init__(self, model: MLP, *, initial: Initializer) -> None:
        super().__init__()
        width = model.width
        self.activation = activation(model)
        self.before, self.after = norms(model)
        self.layers = nn.ModuleList(
            Layer(Role.HIDDEN, inputs=width, outputs=width, initial=initial, inside=True)
            for _ in range(model.block_layers or 1)
        )
        self.gate = Gate(initial) if model.gated else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        for layer in self.layers:
            x = layer(self.after(self.activation(self.before(x))))
        change: Tensor = self.gate(x)
        return change


class ResidualMLP(nn.Module):
    """`depth` residual blocks around a stream that no activation acts on; the readout sees its activation.

    Each block adds a sum of features of either sign, so that the stream of a deep network does not drift.
    Source: Noci et al. 2024 (arXiv:2402.17457), with `block_layers` weight layers for their k.
    """

    def __init__(self, model: MLP, *, inputs: int, outputs: int, initial: Initializer) -> None:
        super().__init__()
        self.activation = activation(model)
        self.before, self.after = norms(model)
        self.factor = initial.scaling.branch
        self.embedding = Layer(Role.EMBEDDING, inputs=inputs, outputs=model.width, initial=initial)
        self.blocks = nn.ModuleList(Branch(model, initial=initial) for _ in range(model.depth))
        self.readout = Layer(Role.READOUT, inputs=model.width, outputs=outputs, initial=initial)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, float32 (count, outputs), of features, float32 (count, inputs)."""
        x = self.embedding(x)
        for block in self.blocks:
            x = x + scaled(block(x), self.factor)
        outputs: Tensor = self.readout(self.after(self.activation(self.before(x))))
        return outputs


def mlp(
    model: MLP,
    *,
    inputs: int,
    outputs: int,
    context: int | None,  # noqa: ARG001
    initial: Initializer,
) -> PlainMLP | ResidualMLP:
    """The network of a description (see `common.models.build`)."""
    network = ResidualMLP if model.block_layers else PlainMLP
    return network(model, inputs=inputs, outputs=outputs, initial=initial)
