"""Fully connected network."""

import torch.nn.functional as F
from torch import Tensor, nn

from common.config import Model
from common.models.layers import ACTIVATIONS, NORMS
from common.parametrization import Initializer, Role


class Layer(nn.Module):
    """One affine map with its bias."""

    def __init__(self, role: Role, inputs: int, outputs: int, *, initial: Initializer) -> None:
        super().__init__()
        initial.parameter(self, "weight", role, outputs, inputs, fan_in=inputs)
        initial.parameter(self, "bias", Role.BIAS, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(count, inputs) to (count, outputs)."""
        return F.linear(x, self.weight, self.bias)


class MLP(nn.Module):
    """`depth` hidden layers of one width, then a linear readout."""

    def __init__(self, model: Model, *, inputs: int, outputs: int, initial: Initializer) -> None:
        super().__init__()
        width = model.width
        self.activation, self.norm = ACTIVATIONS[model.activation], NORMS[model.norm]
        self.pre, self.residual = model.norm_place == "pre", bool(model.residual)
        self.embedding = Layer(Role.EMBEDDING, inputs, width, initial=initial)
        self.hidden = nn.ModuleList(Layer(Role.HIDDEN, width, width, initial=initial) for _ in range(model.depth - 1))
        self.readout = Layer(Role.READOUT, width, outputs, initial=initial)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, float32 (count, outputs), of features, float32 (count, inputs)."""
        x = self.activate(self.embedding(x))
        for layer in self.hidden:
            x = x + self.activate(layer(x)) if self.residual else self.activate(layer(x))
        return self.readout(x)

    def activate(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(x)) if self.pre else self.norm(self.activation(x))
