"""Fully connected network."""

from torch import Tensor, nn
from torch.nn import functional

from common.config import Model
from common.models.layers import ACTIVATIONS, norms
from common.parametrization import TABLE, Initializer, Role


class Layer(nn.Module):
    """One affine map; the role's forward factor multiplies the weight, not the bias."""

    weight: Tensor
    bias: Tensor

    def __init__(self, role: Role, *, inputs: int, outputs: int, initial: Initializer) -> None:
        super().__init__()
        self.factor = TABLE[role].forward
        initial.parameter(self, "weight", role, outputs, inputs, fan_in=inputs)
        initial.parameter(self, "bias", Role.BIAS, outputs, fan_in=1)

    def forward(self, x: Tensor) -> Tensor:
        """(count, inputs) to (count, outputs)."""
        return functional.linear(x, self.weight * self.factor, self.bias)


class Gate(nn.Module):
    """One learnt number, 0 at first, that multiplies a branch (De & Smith 2020, arXiv:2002.10444: SkipInit)."""

    value: Tensor

    def __init__(self, initial: Initializer) -> None:
        super().__init__()
        initial.parameter(self, "value", Role.GATE, 1, fan_in=1)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x * self.value


class MLP(nn.Module):
    """`depth` hidden layers of one width, then a readout; the norm acts before ("pre") or after the activation."""

    def __init__(self, model: Model, *, inputs: int, outputs: int, initial: Initializer) -> None:
        super().__init__()
        width = model.width
        self.activation = ACTIVATIONS[model.activation]
        self.before, self.after = norms(model)
        self.residual = model.residual is True
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
