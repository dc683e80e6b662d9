"""Update rules, their learning rates, and their state as named tensors.

One constructor for each kind of `config.Optimizer`, named like its word; it is given the description and the weights,
and `build` finds it. SGD, Adam and AdamW are torch's, in the fused form (see `fused`): the same mathematics, one pass
over each tensor. Weight decay acts on tensors with two or more dimensions (weight matrices and embeddings), not on
gains and biases.

The state is a flat dictionary of tensors, as safetensors wants it: "parameter/<name>/<key>" and "group/<index>/<key>".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from common import config
from common.config import implementation
from common.config.parametrization import Factors, Role
from common.optim import fused
from common.optim.fused import laid_out

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What torch's Adam and AdamW keep of a parameter."""


class Weight(NamedTuple):
    """A parameter in training."""

    name: str
    tensor: Parameter
    factors: Factors = Factors()
    role: Role | None = None
    """What the tensor does in its network, where that is known."""

    @property
    def is_matrix(self) -> bool:
        """Whether weight decay acts on it."""
        return self.tensor.ndim >= 2


Groups = list[dict[str, Any]]
"""Parameter groups as torch.optim takes them: params (pairs of name and tensor), weight_decay, and what is ours: two
factors, and the names of the tensors ("keeps") and numbers ("counts") that the rule's state has."""


def sgd(rule: config.SGD, weights: Sequence[Weight], *, lr: float) -> Optimizer:
    """Gradient descent, heavy ball or Nesterov: m = momentum m + g (m = g at first), w -= lr m.

    Nesterov's form steps along g + momentum m instead of m. Weight decay L adds L w to the gradient g.
    Source: Polyak 1964; Sutskever et al. 2013 for Nesterov's form, with the learning rate outside the buffer.
    """
    parts = groups(rule, weights, keeps=("momentum_buffer",) if rule.momentum else ())
    return fused.SGD(parts, lr=lr, momentum=rule.momentum, nesterov=rule.nesterov)


def adam(rule: config.Adam, weights: Sequence[Weight], *, lr: float) -> Optimizer:
    """Adam: m and v average g and g**2, w -= lr (m/(1 - beta1**k)) / (sqrt(v/(1 - beta2**k)) + epsilon), k = 1, 2, ...

    Weight decay L adds L w to the gradient g. Source: Kingma and Ba 2015 (arXiv:1412.6980, algorithm 1).
    """
    parts = with_epsilon(groups(rule, weights, keeps=MOMENTS), "eps", rule.epsilon)
    return fused.Adam(parts, lr=lr, betas=(rule.beta1, rule.beta2))


def adamw(rule: config.AdamW, weights: Sequence[Weight], *, lr: float) -> Optimizer:
    """Adam with decoupled weight decay L: w *= 1 - lr L before each step of `adam` without decay.

    Source: Loshchilov and Hutter 2019 (arXiv:1711.05101, algorithm 2; L is multiplied by the scheduled rate, as in
    torch, not only by the schedule's factor).
    """
    parts = with_epsilon(groups(rule, weights, keeps=MOMENTS), "eps", rule.epsilon)
    return fused.AdamW(parts, lr=lr, betas=(rule.beta1, rule.beta2))


def build(
    rule: config.Optimizer,
    named_parameters: Iterable[tuple[str, Parameter]],
    *,
    lr: float,
    factors: Mapping[str, Factors] | None = None,
    roles: Mapping[str, Role] | None = None,
) -> Optimizer:
    """The update rule that a description means, over the parameters that take gradients; clipping is left to `clip`.

    Args:
        rule: the description.
        named_parameters: as from `module.named_parameters()`; the names are those of the state.
        lr: learning rate until `set_lr` is called.
        factors: of each parameter's rate, epsilon and weight decay, by name (see common/config/parametrization.py); all
            1 if left out.
        roles: what each parameter does, by name, for the rules that ask; unknown if left out.
    Raises: ValueError if no parameter takes a gradient, one has no factors, they are not made for this kind, the rule
        needs a role that is not known, or it is fused and a parameter has gaps in memory.
    """
    trained = [(name, parameter) for name, parameter in named_parameters if parameter.requires_grad]
    if not trained:
        raise ValueError("named_parameters holds no tensor with requires_grad=True; there is nothing to train")
    if factors is not None and (missing := [name for name, _ in trained if name not in factors]):
        raise ValueError(f"factors say nothing of {', '.join(missing)}; give those of every parameter, or none at all")
    weights = [
        Weight(name, tensor, Factors() if factors is None else factors[name], (roles or {}).get(name))
        for name, tensor in trained
    ]
    built: Optimizer = implementation(rule)(rule, weights, lr=float(lr))
    set_lr(built, lr)
    return built


def groups(
    rule: config.Optimizer, weights: Sequence[Weight], *, keeps: Sequence[str] = (), counts: Sequence[str] = ()
) -> Groups:
    """Parameter groups of equal settings: first tensors of two or more dimensions, with weight decay, then the others.

    Args:
        rule: its weight decay, and the column of the parametrization that its rates follow.
        weights: the parameters.
        keeps: names of the tensors that the rule keeps of each parameter.
        counts: names of the numbers that it keeps in each group.
    Raises: ValueError if the weights' factors are not made for this kind.
    """
    split: dict[tuple[bool, float, float, float], list[tuple[str, Parameter]]] = {}
    for matrix in (True, False):
        for name, tensor, factors, _ in (weight for weight in weights if weight.is_matrix == matrix):
            follows = factors.weight_decay(rule.sizes, couples=rule.couples_decay)
            decay = rule.weight_decay * follows if matrix else 0.0
            split.setdefault((matrix, factors.rate(rule.sizes), factors.epsilon, decay), []).append((name, tensor))
    state = {"keeps": tuple(keeps), "counts": tuple(counts)}
    return [
        {"params": part, "weight_decay": decay, "lr_factor": rate, "epsilon_factor": epsilon, **state}
        for (_, rate, epsilon, decay), part in split.items()
    ]


def with_epsilon(parts: Groups, key: str, epsilon: float) -> Groups:
    """Groups with their own epsilon under the name that a rule has for it."""
    return [part | {key: epsilon * part["epsilon_factor"]} for part in parts]


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of the next update: `lr` times the `lr_factor` of each group."""
    for group in optimizer.param_groups:
        group["lr"] = float(lr) * group["lr_factor"]


def evaluated(closure: Callable[[], Any] | None) -> Any:
    """What a closure for `step` returns, called with gradients enabled; None without one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


@contextmanager
def evaluation(optimizer: Optimizer) -> Iterator[None]:
    """Within this context the parameters are those to evaluate and to keep: where a rule tells them from those that it
    trains by methods `eval` and `train`, as Schedule-Free does, the former; else unchanged.
    """
    if not _has_average(optimizer):
        yield
        return
    optimizer.eval()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        optimizer.train()  # type: ignore[attr-defined]


def _has_average(optimizer: Optimizer) -> bool:
    return hasattr(optimizer, "eval") and hasattr(optimizer, "train")


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

    There is nothing for a parameter that no gradient has reached yet. Scalars have shape (), and float64 where Python
    holds them. Which weights belong to it is up to `evaluation`: schedule_free carries its own (z and x).
    """
    tensors = {
        f"parameter/{name}/{key}": value.detach().clone()
        for name, parameter, _ in _kept(optimizer)
        for key, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }
    for index, group in enumerate(optimizer.param_groups):
        for key in group["counts"]:
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
    for name, parameter, keeps in _kept(optimizer):
        for key in keeps:
            if (tensor := tensors.get(f"parameter/{name}/{key}")) is not None:
                optimizer.state[parameter][key] = laid_out(tensor, parameter)
    for index, group in enumerate(optimizer.param_groups):
        group.update({key: tensors[f"group/{index}/{key}"].item() for key in group["counts"]})
    if _has_average(optimizer):
        optimizer.train()  # type: ignore[attr-defined]


def _kept(optimizer: Optimizer) -> Iterator[tuple[str, Parameter, tuple[str, ...]]]:
    """Name, tensor and what the rule keeps of it, for each parameter."""
    for group in optimizer.param_groups:
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            yield name, parameter, group["keeps"]


def _check_fits(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    shapes = {
        f"parameter/{name}/{key}": torch.Size() if key == "step" else parameter.shape
        for name, parameter, keeps in _kept(optimizer)
        if any(f"parameter/{name}/{key}" in tensors for key in keeps)
        for key in keeps
    }
    scalars = [f"group/{i}/{key}" for i, group in enumerate(optimizer.param_groups) for key in group["counts"]]
    expected = shapes | dict.fromkeys(scalars, torch.Size())
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
