"""Update rules, their learning rates, and their state as named tensors (layer 1).

One constructor for each kind of `config.Optimizer`, with the same name. SGD, Adam and AdamW are torch's, in the fused
form: the same mathematics, one pass over each tensor. Schedule-Free is our own, so that evaluating a model never
changes the bits of its training. Weight decay acts on tensors with two or more dimensions (weight matrices and
embeddings), not on gains and biases.

The state is a flat dictionary of tensors, as safetensors wants it: "parameter/<name>/<key>" and "group/<index>/<key>".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer

from common import config
from common.parametrization import Factors

Groups = list[dict[str, Any]]
"""Parameter groups as torch.optim takes them: params (pairs of name and tensor), weight_decay, and two factors."""


def sgd(groups: Groups, *, lr: float, momentum: float = 0.0, nesterov: bool = False) -> Optimizer:
    """Gradient descent, heavy ball or Nesterov: m = momentum m + g (m = g at first), w -= lr m.

    Nesterov's form steps along g + momentum m instead of m. Weight decay L adds L w to the gradient g.
    Source: Polyak 1964; Sutskever et al. 2013 for Nesterov's form, with the learning rate outside the buffer.
    """
    return SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=True)


def adam(groups: Groups, *, lr: float, beta1: float = 0.9, beta2: float = 0.95, epsilon: float = 1e-8) -> Optimizer:
    """Adam: m and v average g and g**2, w -= lr (m/(1 - beta1**k)) / (sqrt(v/(1 - beta2**k)) + epsilon), k = 1, 2, ...

    Weight decay L adds L w to the gradient g. Source: Kingma and Ba 2015 (arXiv:1412.6980, algorithm 1).
    """
    return Adam(_with_epsilon(groups, "eps", epsilon), lr=lr, betas=(beta1, beta2), fused=True)


def adamw(groups: Groups, *, lr: float, beta1: float = 0.9, beta2: float = 0.95, epsilon: float = 1e-8) -> Optimizer:
    """Adam with decoupled weight decay L: w *= 1 - lr L before each step of `adam` without decay.

    Source: Loshchilov and Hutter 2019 (arXiv:1711.05101, algorithm 2; L is multiplied by the scheduled rate, as in
    torch, not only by the schedule's factor).
    """
    return AdamW(_with_epsilon(groups, "eps", epsilon), lr=lr, betas=(beta1, beta2), fused=True)


def schedule_free(
    groups: Groups, *, lr: float, beta1: float = 0.9, beta2: float = 0.95, epsilon: float = 1e-8
) -> Optimizer:
    """Schedule-Free AdamW (see `ScheduleFree`)."""
    return ScheduleFree(_with_epsilon(groups, "epsilon", epsilon), lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon)


def _with_epsilon(groups: Groups, key: str, epsilon: float) -> Groups:
    return [group | {key: epsilon * group["epsilon_factor"]} for group in groups]


class ScheduleFree(Optimizer):
    """Schedule-Free AdamW: an average x of the iterates z takes the place of a decaying learning rate.

    At update k = 1, 2, ... with rate r_k, gradient g at y, and v the average of g**2:
        z -= r_k (g / (sqrt(v/(1 - beta2**k)) + epsilon) + L y),    L the weight decay
        x += c (z - x),    c = R_k**2 / (R_1**2 + ... + R_k**2),    R_k = max(r_1, ..., r_k)
        y = (1 - beta1) z + beta1 x
    so a warm-up counts little in the average. The parameters hold y while training; `eval` sets them to x, `train`
    back to y. Both z and x are kept, so that y returns in the same bits and beta1 = 0 is allowed.

    Source: Defazio et al. 2024 (arXiv:2405.15682), in the form of the authors' package schedulefree 1.4: R_k, and the
    bias correction in v, which algorithm 1 of the paper puts into the rate instead.
    """

    def __init__(self, groups: Groups, *, lr: float, beta1: float, beta2: float, epsilon: float) -> None:
        rates = {"lr": lr, "beta1": beta1, "beta2": beta2, "epsilon": epsilon, "weight_decay": 0.0}
        super().__init__(groups, rates | {"updates": 0.0, "rate_max": 0.0, "weight_sum": 0.0})
        self.training = True

    @torch.no_grad()
    def train(self) -> None:
        """Set the parameters to y, where gradients are taken."""
        for group in self.param_groups:
            parameters, states = self._started(group)
            _interpolate(parameters, [s["z"] for s in states], [s["x"] for s in states], group["beta1"])
        self.training = True

    @torch.no_grad()
    def eval(self) -> None:
        """Set the parameters to x, the average: the model to evaluate and to keep."""
        for group in self.param_groups:
            for parameter, state in zip(*self._started(group), strict=True):
                parameter.copy_(state["x"])
        self.training = False

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One update from the gradients at y.

        Raises: RuntimeError in eval mode, because the gradients would belong to x.
        """
        if not self.training:
            raise RuntimeError("step() in eval mode: the parameters hold the average x; call train() before the update")
        for group in self.param_groups:
            self._update(group)

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


KINDS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
    "schedule_free": schedule_free,
}


def build(
    optimizer: config.Optimizer,
    named_parameters: Iterable[tuple[str, Parameter]],
    *,
    lr: float,
    factors: Mapping[str, Factors] | None = None,
) -> Optimizer:
    """The update rule that a description means, over the parameters that take gradients.

    Fields that the description leaves out take the defaults in the signature of the kind's constructor; `clip` is left
    to the caller (see `clip`).

    Args:
        optimizer: the description.
        named_parameters: as from `module.named_parameters()`; the names are those of the state.
        lr: learning rate until `set_lr` is called.
        factors: of each parameter's rate, epsilon and weight decay, by name (see common/parametrization.py); all 1 if
            left out.
    Raises: ValueError if no parameter takes a gradient, one has no factors, or they are not made for this kind.
    """
    given = config.to_dict(optimizer)
    rule = {name: value for name, value in given.items() if name not in ("kind", "weight_decay", "clip")}
    built = KINDS[optimizer.kind](groups(optimizer, named_parameters, factors=factors), lr=lr, **rule)
    set_lr(built, lr)
    return built


def groups(
    optimizer: config.Optimizer,
    named_parameters: Iterable[tuple[str, Parameter]],
    *,
    factors: Mapping[str, Factors] | None = None,
) -> Groups:
    """Parameter groups of equal settings: first tensors of two or more dimensions, with weight decay, then the others.

    Args and Raises: as `build`.
    """
    trained = [(name, parameter) for name, parameter in named_parameters if parameter.requires_grad]
    if not trained:
        raise ValueError("named_parameters holds no tensor with requires_grad=True; there is nothing to train")
    if factors is not None and (missing := [name for name, _ in trained if name not in factors]):
        raise ValueError(f"factors say nothing of {', '.join(missing)}; give those of every parameter, or none at all")
    split: dict[tuple[bool, float, float, float], list[tuple[str, Parameter]]] = {}
    for matrix in (True, False):
        for name, parameter in trained:
            if (parameter.ndim >= 2) == matrix:
                own = Factors() if factors is None else factors[name]
                decay = optimizer.weight_decay * own.weight_decay(optimizer.kind) if matrix else 0.0
                split.setdefault((matrix, own.rate(optimizer.kind), own.epsilon, decay), []).append((name, parameter))
    return [
        {"params": part, "weight_decay": decay, "lr_factor": rate, "epsilon_factor": epsilon}
        for (_, rate, epsilon, decay), part in split.items()
    ]


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of the next update: `lr` times the `lr_factor` of each group."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]


@contextmanager
def evaluation(optimizer: Optimizer) -> Iterator[None]:
    """Within this context the parameters are those to evaluate and to keep: schedule_free's average, else unchanged."""
    if not isinstance(optimizer, ScheduleFree):
        yield
        return
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()


@torch.no_grad()
def clip(parameters: Iterable[Parameter], max_norm: float | None) -> Tensor:
    """Scale all gradients by min(1, max_norm / norm) in place, where norm is the Euclidean norm of the whole gradient.

    Args:
        parameters: those without a gradient are passed over.
        max_norm: greater than 0; None measures without scaling.
    Returns: the norm before clipping, shape (), on the parameters' device. If it is not finite the run has diverged.
    Raises: ValueError if no parameter has a gradient.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        raise ValueError("parameters hold no gradient; call clip between backward() and step()")
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if max_norm is not None:
        torch._foreach_mul_(gradients, (max_norm / norm).clamp(max=1.0))
    return norm


def state_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """A copy of the optimizer's state that decides its future updates, without learning rates and other settings.

    Before the first update there is nothing for any parameter. Scalars have shape (), and float64 where Python holds
    them. Which weights belong to it is up to `evaluation`: schedule_free carries its own (z and x).
    """
    tensors = {
        f"parameter/{name}/{key}": value.detach().clone()
        for name, parameter in _named(optimizer)
        for key, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }
    for index, group in enumerate(optimizer.param_groups):
        for key in _group_keys(optimizer):
            tensors[f"group/{index}/{key}"] = torch.tensor(group[key], dtype=torch.float64)
    return tensors


@torch.no_grad()
def load_state_tensors(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Continue where `state_tensors` was taken: the next updates are those of the uninterrupted run, bit for bit.

    The optimizer must have been built from the same description over parameters of the same names and shapes, whose
    values the caller restores; schedule_free sets them itself, to its y.

    Raises: ValueError if names or shapes differ from this optimizer's; it is unchanged then.
    """
    _check_fits(optimizer, tensors)
    optimizer.state.clear()
    for name, parameter in _named(optimizer):
        for key in _parameter_keys(optimizer):
            if (tensor := tensors.get(f"parameter/{name}/{key}")) is not None:
                optimizer.state[parameter][key] = tensor.to(parameter.device, copy=True)
    for index, group in enumerate(optimizer.param_groups):
        group.update({key: tensors[f"group/{index}/{key}"].item() for key in _group_keys(optimizer)})
    if isinstance(optimizer, ScheduleFree):
        optimizer.train()


def _named(optimizer: Optimizer) -> Iterator[tuple[str, Parameter]]:
    for group in optimizer.param_groups:
        yield from zip(group["param_names"], group["params"], strict=True)


def _parameter_keys(optimizer: Optimizer) -> tuple[str, ...]:
    if isinstance(optimizer, SGD):
        return ("momentum_buffer",) if optimizer.defaults["momentum"] else ()
    return ("z", "x", "exp_avg_sq") if isinstance(optimizer, ScheduleFree) else ("step", "exp_avg", "exp_avg_sq")


def _group_keys(optimizer: Optimizer) -> tuple[str, ...]:
    return ("updates", "rate_max", "weight_sum") if isinstance(optimizer, ScheduleFree) else ()


def _check_fits(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    shapes = {
        f"parameter/{name}/{key}": torch.Size() if key == "step" else parameter.shape
        for name, parameter in _named(optimizer)
        for key in _parameter_keys(optimizer)
    }
    started = any(name.startswith("parameter/") for name in tensors)
    scalars = [f"group/{i}/{key}" for i in range(len(optimizer.param_groups)) for key in _group_keys(optimizer)]
    expected = (shapes if started else {}) | dict.fromkeys(scalars, torch.Size())
    kind = type(optimizer).__name__
    for problem, names in (("lacks", expected.keys() - tensors.keys()), ("has", tensors.keys() - expected.keys())):
        if names:
            raise ValueError(
                f"saved state {problem} {min(names)!r}"
                + (f" and {len(names) - 1} more" if len(names) > 1 else "")
                + f", unlike {kind} over these parameters; load it into the optimizer and model that it was saved from"
            )
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise ValueError(
                f"saved state {name!r} has shape {tuple(tensors[name].shape)}, {kind} needs {tuple(shape)}; "
                "load it into the optimizer and model that it was saved from"
            )
