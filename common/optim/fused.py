"""torch's fused rules, which walk through a weight, its gradient and its moments as they lie in memory, given all of
them in one order: elsewhere they would step each number along the gradient of another, without a word.
"""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

MOMENTS = ("momentum_buffer", "exp_avg", "exp_avg_sq")
"""What the rules keep of a weight, number by number."""


class _InOrder(Optimizer):
    """A fused rule of torch, over weights without gaps in memory.

    A gradient in another order than its weight (one that was assigned, as from `torch.autograd.grad`) is laid out anew
    before it is used. ASSUME: a weight keeps its own order once it has been updated.

    Args:
        groups: as `torch.optim` takes them, with the names of the weights.
        settings: of the rule.
    Raises: ValueError if a weight has gaps in memory or uses a place twice.
    """

    def __init__(self, groups: list[dict[str, Any]], **settings: Any) -> None:
        super().__init__(groups, fused=True, **settings)  # type: ignore[call-arg]
        for group in self.param_groups:
            for name, weight in zip(group["param_names"], group["params"], strict=True):
                if not torch.ops.aten.is_non_overlapping_and_dense(weight):
                    raise ValueError(
                        f"weight {name!r} is a part of another tensor, of shape {tuple(weight.shape)} with strides "
                        f"{weight.stride()}, and torch's fused rules would update what lies between its numbers; give "
                        "it memory of its own, nn.Parameter(weight.clone())"
                    )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's; what has been kept in another order than that of these weights is laid out anew."""
        super().load_state_dict(state_dict)
        lay_out_moments(self)

    def _init_group(self, group: dict[str, Any], *collected: list[Any]) -> Any:
        """What torch calls in each step, after the closure, to collect the tensors of a group."""
        for weight in group["params"]:
            gradient = weight.grad
            if gradient is not None and gradient.stride() != weight.stride() and not gradient.is_sparse:
                weight.grad = laid_out(gradient, weight)
        return super()._init_group(group, *collected)  # type: ignore[misc]


def lay_out_moments(rule: Optimizer) -> None:
    """Give what a rule keeps of each weight the weight's order in memory."""
    for weight, state in rule.state.items():
        state.update({key: laid_out(state[key], weight) for key in MOMENTS if state.get(key) is not None})


def laid_out(tensor: Tensor, weight: Tensor) -> Tensor:
    """A copy beside a weight, in the same memory order; of another shape, in its own."""
    if tensor.shape != weight.shape:
        return tensor.to(weight.device, copy=True)
    return torch.empty_like(weight, dtype=tensor.dtype, requires_grad=False).copy_(tensor)


class SGD(_InOrder, torch.optim.SGD):
    """`torch.optim.SGD`."""


class Adam(_InOrder, torch.optim.Adam):
    """`torch.optim.Adam`."""


class AdamW(_InOrder, torch.optim.AdamW):
    """`torch.optim.AdamW`."""
