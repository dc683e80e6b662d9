"""Parts that the networks share: affine maps, activations and norms."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.config import Model, chosen
from common.config.parametrization import Role
from common.models.norms import none
from common.models.roles import Initializer

Map = Callable[[Tensor], Tensor]


def activation(model: Model) -> Map:
    """What acts on each feature."""
    found: Map = chosen(model, "activation")
    return found


def norms(model: Model) -> tuple[Map, Map]:
    """What acts before and what acts after a branch or an activation; one of the two is the identity."""
    norm: Map = chosen(model, "norm")
    return (norm, none) if model.norm_place == "pre" else (none, norm)


def scaled(tensor: Tensor, factor: float) -> Tensor:
    """`factor` times the tensor; the tensor itself for a factor of 1."""
    return tensor if factor == 1 else tensor * factor


def attention(q: Tensor, k: Tensor, v: Tensor, *, scale: float, causal: bool) -> Tensor:
    """Softmax attention of every head, (count, heads, length, size) each, in the type of the values.

    Under autocast it is computed in float32 on the processor, where the gradient of torch's fused kernel takes several
    times as long in bfloat16, most of a step.
    """
    device = v.device.type
    if device == "cpu" and torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return attention(q.float(), k.float(), v.float(), scale=scale, causal=causal).to(v.dtype)
    q, k = q.to(v.dtype), k.to(v.dtype)
    return functional.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale)


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
