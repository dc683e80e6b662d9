"""Measurements of the model in training (layer 1): each kind is a function from a subject to named numbers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from common.config import Probe, Run
from common.curvature.lanczos import Extremes, extremes
from common.curvature.objective import Block, Objective
from common.curvature.operators import Hessian
from common.curvature.sharpness import PRECONDITIONED
from common.curvature.sharpness import sharpness as rule_sharpness
from common.data import Dataset

Memory = dict[str, Tensor]
"""What a probe keeps from one measurement for the next; saved with the run, so that a resumed run measures alike."""


@dataclass(frozen=True)
class Subject:
    """A training between two updates, as a probe sees it; only `memory` may be changed."""

    model: nn.Module
    """With the weights to be measured (of Schedule-Free, the average)."""
    dataset: Dataset
    past: Sequence[Dataset]
    """Data sets of the past tasks, in their order."""
    optimizer: torch.optim.Optimizer
    """At the rate of the next update."""
    learning_rate: float
    """Of the next update; at the end of the run, of the last one."""
    run: Run
    probe: Probe
    memory: Memory


def norms(subject: Subject) -> dict[str, float]:
    """Euclidean norm of all weights together, and the largest absolute weight."""
    flat = torch.cat([parameter.detach().flatten() for parameter in subject.model.parameters()])
    return {"weight_norm": float(flat.norm()), "weight_max": float(flat.abs().max())}


def sharpness(subject: Subject) -> dict[str, float]:
    """Largest eigenvalue of the Hessian of the mean training loss, over the first `examples` of a fixed order.

    Beside it: its residual bound, the second eigenvalue, the Hessian-vector products that it took from the last
    measurement's vectors on, and 1 if it converged (see `lanczos.extremes`). In units of loss per squared weight. The
    model is in train mode; with batch normalisation the whole probe set is one batch. Nothing where a training is about
    to diverge and its Hessian has left the range of the numbers.
    """
    objective = Objective.of_dataset(subject.model, subject.dataset, examples=subject.probe.examples)
    try:
        with objective.held():
            found = extremes(Hessian(objective), start=_remembered(subject))
    except ArithmeticError:
        return {}
    return _named("sharpness", _remember(subject, found))


def effective_sharpness(subject: Subject) -> dict[str, float]:
    """Largest eigenvalue of D^(1/2) H D^(1/2), with D the rates and preconditioner of the update rule, and its place.

    As `sharpness` otherwise, with `normalised_sharpness`: the eigenvalue over the rule's threshold at the rate of the
    next update, 1 at the edge of stability (see common/curvature/sharpness.py). Nothing before the first update of a
    rule that divides by its second moment, which it does not have yet.
    """
    if subject.run.optimizer.kind in PRECONDITIONED and not subject.optimizer.state:
        return {}
    try:
        measured = rule_sharpness(
            Objective.of_dataset(subject.model, subject.dataset, examples=subject.probe.examples),
            subject.run.optimizer,
            lr=subject.learning_rate,
            rule=subject.optimizer,
            start=_remembered(subject),
        )
    except ArithmeticError:
        return {}
    found = _remember(subject, measured.found)
    return _named("effective_sharpness", found) | {"normalised_sharpness": measured.normalised}


def gradients(subject: Subject) -> dict[str, float]:
    """The gradient of the joint loss, in which all k tasks weigh 1/k, and its parts, over the probe set of each task.

    Euclidean norms of the part of the past tasks (stability), of that of the new one (plasticity) and of their sum, in
    units of loss per unit of weight, and the cosine of the two parts, which a part of norm 0 does not have.
    Source: De Lange et al. 2022 (arXiv:2205.13452), who weigh the two parts by their ratio of replay.
    """
    plasticity, *past = (
        Objective.of_dataset(subject.model, task, examples=subject.probe.examples).gradient() / (len(subject.past) + 1)
        for task in (subject.dataset, *subject.past)
    )
    stability = np.sum(past, axis=0)
    norms = [math.sqrt(float(part @ part)) for part in (stability, plasticity, stability + plasticity)]
    found = dict(zip(COLUMNS["gradients"], norms, strict=False))
    if norms[0] * norms[1] > 0:
        found["gradient_cosine"] = float(stability @ plasticity) / (norms[0] * norms[1])
    return found


def _remembered(subject: Subject) -> Block | None:
    """Vectors of the last measurement."""
    start = subject.memory.get("start")
    return None if start is None else start.numpy()


def _remember(subject: Subject, found: Extremes) -> Extremes:
    subject.memory["start"] = torch.from_numpy(found.start).contiguous()
    return found


def _named(kind: str, found: Extremes) -> dict[str, float]:
    values = (found.value, found.bound, found.second, found.products, int(found.converged))
    return dict(zip(_eigenvalue_columns(kind), values, strict=True))


def _eigenvalue_columns(kind: str) -> tuple[str, ...]:
    return (kind, *(f"{kind}_{part}" for part in ("bound", "second", "products", "converged")))


KINDS: dict[str, Callable[[Subject], dict[str, float]]] = {
    "norms": norms,
    "sharpness": sharpness,
    "effective_sharpness": effective_sharpness,
    "gradients": gradients,
}
COLUMNS = {
    "norms": ("weight_norm", "weight_max"),
    "sharpness": _eigenvalue_columns("sharpness"),
    "effective_sharpness": (*_eigenvalue_columns("effective_sharpness"), "normalised_sharpness"),
    "gradients": ("stability_gradient", "plasticity_gradient", "joint_gradient", "gradient_cosine"),
}
"""What each kind measures, in the order of its columns."""
