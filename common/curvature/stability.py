"""The largest curvature at which an update rule is stable, on a quadratic and with its preconditioner frozen.

A rule with learning rate lr contracts along an eigenvector of the curvature A iff the eigenvalue is below
`threshold(optimizer, lr=lr)`. A is the Hessian, or `operators.Scaled` with `diagonal` where weights have rates of their
own. The normalised sharpness, largest eigenvalue / threshold, is 1 at the edge of stability for every rule.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from common import config
from common.config import named
from common.curvature.objective import Vector


def threshold(optimizer: config.Optimizer, *, lr: float) -> float:
    """Largest curvature at which the rule is stable, in units of loss per squared weight (preconditioned for Adam).

    The rule's own unit (`sgd`, `adam`, `schedule_free` below) over lr; infinite for lr = 0.

    ASSUME: the quadratic model; a preconditioner that stands still; adamw's decoupled decay and clipping left out; for
    schedule_free an average that stands still while its iterate moves.

    Args:
        optimizer: the description.
        lr: the rate of the update, schedule included, at least 0.
    Raises: ValueError for a rate below 0, or a kind whose threshold is not known.
    Source: Cohen et al. 2021 (arXiv:2103.00065, appendix B) for momentum; Cohen et al. 2022 (arXiv:2207.14484,
        section 3) for Adam; the last follows from w -= lr A ((1 - b1) w + b1 x) with x fixed.

    >>> [round(threshold(config.SGD(momentum=b), lr=0.1), 3) for b in (0.0, 0.9)]
    [20.0, 38.0]
    >>> round(threshold(config.Adam(), lr=0.1), 3)
    380.0
    """
    if not lr >= 0:
        raise ValueError(f"lr={lr} must be at least 0: it is the rate of one update")
    if optimizer.threshold is None:
        raise ValueError(
            f"optimizer.kind={optimizer.kind!r} has no known threshold; a kind names its own in `threshold`"
        )
    unit: float = named(optimizer.threshold)(optimizer)
    return np.inf if lr == 0 else unit / lr


def sgd(optimizer: config.SGD) -> float:
    """The threshold at rate 1: 2, of a heavy ball with momentum b 2 + 2b, of Nesterov's form (2 + 2b) / (1 + 2b)."""
    return (2 + 2 * optimizer.momentum) / (1 + 2 * optimizer.momentum if optimizer.nesterov else 1)


def adam(optimizer: config.Adam) -> float:
    """The threshold of Adam and AdamW at rate 1: (2 + 2 b1) / (1 - b1)."""
    return (2 + 2 * optimizer.beta1) / (1 - optimizer.beta1)


def schedule_free(optimizer: config.ScheduleFree) -> float:
    """The threshold at rate 1: 2 / (1 - b1)."""
    return 2 / (1 - optimizer.beta1)


def diagonal(rule: Optimizer, parameters: Mapping[str, nn.Parameter], *, lr: float) -> Vector:
    """What the rule multiplies each weight's gradient with, relative to `lr`: D of `operators.Scaled`.

    The rate of the weight's group over `lr`; with Adam's second moment v after k updates (of AMSGrad, the largest so
    far), also divided by sqrt(v / (1 - beta2**k)) + epsilon.

    ASSUME: the first moment's correction 1 / (1 - beta1**k) is left out; at 0.9 it is below 1.01 from update 44 on.

    Args:
        rule: the optimizer, with its state.
        parameters: the weights in order, as `Objective.named`.
        lr: the rate that the threshold is taken at, above 0; the group of a rate `lr` has D = 1 without preconditioner.
    Returns: float64 (size,).
    Raises: ValueError if the rule has no such parameter, Adam has made no update yet, or the kind is unknown.
    """
    if not lr > 0:
        raise ValueError(f"lr={lr} must be above 0: the groups' rates are taken relative to it")
    groups = {id(parameter): group for group in rule.param_groups for parameter in group["params"]}
    if missing := [name for name, parameter in parameters.items() if id(parameter) not in groups]:
        raise ValueError(f"the optimizer does not train {missing[0]!r}; build it over the objective's parameters")
    parts = []
    for name, parameter in parameters.items():
        group = groups[id(parameter)]
        scale = _scale(rule, name, parameter).reshape(-1).numpy()
        parts.append(float(group["lr"]) / lr / scale)
    return np.concatenate(parts)


def decay(rule: Optimizer, parameters: Mapping[str, nn.Parameter]) -> Vector:
    """Weight decay of each weight, float64 (size,): the diagonal that it adds to the Hessian where it is coupled.

    For sgd, `Scaled(Hessian(objective), ones, shift=decay(...))` is the curvature that the rule sees.
    """
    groups = {id(parameter): group for group in rule.param_groups for parameter in group["params"]}
    return np.concatenate([np.full(one.numel(), float(groups[id(one)]["weight_decay"])) for one in parameters.values()])


@torch.no_grad()
def _scale(rule: Optimizer, name: str, parameter: nn.Parameter) -> Tensor:
    """The root of the second moment as the rule divides by it; 1 for rules without one."""
    if isinstance(rule, torch.optim.SGD):
        return torch.ones(parameter.shape, dtype=torch.float64)
    group = next(group for group in rule.param_groups if any(one is parameter for one in group["params"]))
    if hasattr(rule, "second_moment"):
        beta2, epsilon, updates = rule.second_moment(group)
    elif isinstance(rule, torch.optim.Adam | torch.optim.AdamW):
        beta2, epsilon, updates = group["betas"][1], group["eps"], float(rule.state[parameter].get("step", 0))
    else:
        raise ValueError(f"{type(rule).__name__} has no known preconditioner; known are SGD, Adam, AdamW, ScheduleFree")
    if not updates:
        raise ValueError(f"the optimizer has no second moment for {name!r} yet; measure after its first update")
    moment: Tensor = rule.state[parameter]["max_exp_avg_sq" if group.get("amsgrad") else "exp_avg_sq"]
    corrected = moment.to("cpu", torch.float64) / (1 - beta2**updates)
    return torch.sqrt(corrected).add(float(epsilon))
