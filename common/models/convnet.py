"""Convolutional network for small square images with one channel."""

import math

from torch import Tensor, nn
from torch.nn import functional

from common.config import Convnet
from common.config.parametrization import Role
from common.models.layers import Layer, activation, norms, scaled
from common.models.roles import Initializer

SIDE = 3
"""Rows, and columns, of a filter."""


class Convolution(nn.Module):
    """Filters of 3 x 3 pixels with a bias, zeros around the image; images keep their size."""

    weight: Tensor
    bias: Tensor

    def __init__(self, role: Role, *, inputs: int, outputs: int, initial: Initializer) -> None:
        super().__init__()
        self.factor = initial.forward_factor(role)
        initial.parameter(self, "weight", role, outputs, inputs, SIDE, SIDE, fan_in=inputs * SIDE**2)
        initial.parameter(self, "bias", Role.VECTOR, outputs, fan_in=1)

    def forward(self, x: Tensor) -> Tensor:
        """(count, inputs, rows, columns) to (count, outputs, rows, columns)."""
        return functional.conv2d(x, scaled(self.weight, self.factor), self.bias, padding=SIDE // 2)


class ConvNet(nn.Module):
    """`depth` convolutions of `width` channels, the mean over all pixels, a readout; norms act over the channels."""

    def __init__(self, model: Convnet, *, inputs: int, outputs: int, initial: Initializer) -> None:
        super().__init__()
        self.side = math.isqrt(inputs)
        if self.side**2 != inputs:
            raise ValueError(f"model.kind='convnet' reads square images, but inputs={inputs} is no square; use an MLP")
        self.activation = activation(model)
        self.before, self.after = norms(model)
        self.embedding = Convolution(Role.EMBEDDING, inputs=1, outputs=model.width, initial=initial)
        self.hidden = nn.ModuleList(
            Convolution(Role.HIDDEN, inputs=model.width, outputs=model.width, initial=initial)
            for _ in range(model.depth - 1)
        )
        self.readout = Layer(Role.READOUT, inputs=model.width, outputs=outputs, initial=initial)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, float32 (count, outputs), of images row by row, float32 (count, pixels)."""
        x = self._activate(self.embedding(x.view(-1, 1, self.side, self.side)))
        for layer in self.hidden:
            x = self._activate(layer(x))
        outputs: Tensor = self.readout(x.mean((-2, -1)))
        return outputs

    def _activate(self, x: Tensor) -> Tensor:
        """Norm and activation of images (count, channels, rows, columns), with the channels as features."""
        features = x.movedim(1, -1)
        return self.after(self.activation(self.before(features))).movedim(-1, 1)


def convnet(
    model: Convnet,
    *,
    inputs: int,
    outputs: int,
    context: int | None,  # noqa: ARG001
    initial: Initializer,
) -> ConvNet:
    """The network of a description (see `common.models.build`)."""
    return ConvNet(model, inputs=inputs, outputs=outputs, initial=initial)
