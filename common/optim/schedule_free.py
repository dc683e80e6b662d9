"""Schedule-Free AdamW: our own, so that evaluating a model never changes the bits of its training."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from common import config
from common.optim.optimizers import Groups, Weight, evaluated, groups, with_epsilon


def schedule_free(rule: config.ScheduleFree, weights: Sequence[Weight], *, lr: float) -> Optimizer:
    """Schedule-Free AdamW (see `ScheduleFree`)."""
    parts = groups(rule, weights, keeps=("z", "x", "exp_avg_sq"), counts=("updates", "rate_max", "weight_sum"))
    settings = {"beta1": rule.beta1, "beta2": rule.beta2, "epsilon": rule.epsilon}
    return ScheduleFree(with_epsilon(parts, "epsilon", rule.epsilon), lr=lr, **settings)


class ScheduleFree(Optimizer):
    """Schedule-Free AdamW: an average x of the iterates z takes the place of a decaying learning rate.

    At update k = 1, 2, ... with rate r_k, gradient g at y, and v the average of g**2:
        z -= r_k (g / (sqrt(v/(1 - beta2**k)) + epsilon) + L y),    L the weight decay
        x += c (z - x),    c = R_k**2 / (R_1**2 + ... + R_k**2),    R_k = max(r_1, ..., r_k)
        y = (1 - beta1) z + beta1 x
    so a warm-up counts little in the average. The parameters hold y while training; `eval` sets them to x, `train`
    back to y. Both z and x are kept, so that y returns in the same bits and beta1 = 0 is allowed. Which of the two they
    hold is kept in the groups, and so in torch's `state_dict`.

    k counts the updates of a group, also for a tensor whose first gradient comes later: its v is then corrected as if
    it had been there from the start, and its first step is larger than the rate. A group without any gradient stands
    still.

    Raises: ValueError if a weight is float16, in which epsilon vanishes.
    Source: Defazio et al. 2024 (arXiv:2405.15682), in the form of the authors' package schedulefree 1.4: R_k, and the
    bias correction in v, which algorithm 1 of the paper puts into the rate instead.
    """

    def __init__(self, groups: Groups, *, lr: float, beta1: float, beta2: float, epsilon: float) -> None:
        rates = {"lr": lr, "beta1": beta1, "beta2": beta2, "epsilon": epsilon, "weight_decay": 0.0}
        super().__init__(groups, rates | {"updates": 0.0, "rate_max": 0.0, "weight_sum": 0.0, "training": True})
        if any(tensor.dtype == torch.float16 for group in self.param_groups for tensor in group["params"]):
            raise ValueError(
                f"ScheduleFree cannot add epsilon={epsilon} to a float16 tensor; keep the weights in float32, and "
                "compute in half precision under autocast"
            )

    @property
    def training(self) -> bool:
        """Whether the parameters hold y, where gradients are taken."""
        return all(group["training"] for group in self.param_groups)

    def _hold(self, *, iterate: bool) -> None:
        for group in self.param_groups:
            group["training"] = iterate

    @torch.no_grad()
    def train(self) -> None:
        """Set the parameters to y, where gradients are taken."""
        for group in self.param_groups:
            parameters, states = self._started(group)
            _interpolate(parameters, [s["z"] for s in states], [s["x"] for s in states], group["beta1"])
        self._hold(iterate=True)

    @torch.no_grad()
    def eval(self) -> None:
        """Set the parameters to x, the average: the model to evaluate and to keep."""
        for group in self.param_groups:
            for parameter, state in zip(*self._started(group), strict=True):
                parameter.copy_(state["x"])
        self._hold(iterate=False)

    def second_moment(self, group: dict[str, Any]) -> tuple[float, float, float]:
        """Decay, epsilon and number of updates behind the `exp_avg_sq` of a group, as its gradients are divided."""
        return group["beta2"], group["epsilon"], group["updates"]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update from the gradients at y.

        Args: closure: computes the loss and fills the gradients; called first, with gradients enabled.
        Returns: what the closure returns.
        Raises: RuntimeError in eval mode, because the gradients would belong to x.
        """
        if not self.training:
            raise RuntimeError("step() in eval mode: the parameters hold the average x; call train() before the update")
        loss = evaluated(closure)
        for group in self.param_groups:
            if any(parameter.grad is not None for parameter in group["params"]):
                self._update(group)
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        y = [parameter for parameter in group["params"] if parameter.grad is not None]
        states = [self._state(parameter) for parameter in y]
        z, x, v = ([state[key] for state in states] for key in ("z", "x", "exp_avg_sq"))
        gradients = [parameter.grad for parameter in y]
        share = _advance(group)

        torch._foreach_mul_(v, group["beta2"])
        torch._foreach_addcmul_(v, gradients, gradients, value=1 - group["beta2"])
        scale = torch._foreach_div(v, 1 - group["beta2"] ** group["updates"])
        torch._foreach_sqrt_(scale)
        torch._foreach_add_(scale, group["epsilon"])
        if group["weight_decay"]:
            torch._foreach_add_(z, y, alpha=-group["lr"] * group["weight_decay"])
        torch._foreach_addcdiv_(z, gradients, scale, value=-group["lr"])
        torch._foreach_lerp_(x, z, share)
        _interpolate(y, z, x, group["beta1"])

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state |= {"z": parameter.clone(), "x": parameter.clone(), "exp_avg_sq": torch.zeros_like(parameter)}
        return state

    def _started(self, group: dict[str, Any]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        """The parameters of a group that have been updated at least once, and their states."""
        parameters = [parameter for parameter in group["params"] if self.state[parameter]]
        return parameters, [self.state[parameter] for parameter in parameters]


def _advance(group: dict[str, Any]) -> float:
    """Count one update of a group; the share c that its z takes in the average x."""
    group["updates"] += 1
    group["rate_max"] = max(group["rate_max"], group["lr"])
    weight: float = group["rate_max"] ** 2
    group["weight_sum"] += weight
    return weight / group["weight_sum"] if weight else 1.0


def _interpolate(target: list[Tensor], z: list[Tensor], x: list[Tensor], beta1: float) -> None:
    if target:
        torch._foreach_copy_(target, z)
        torch._foreach_lerp_(target, x, beta1)
