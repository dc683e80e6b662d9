"""Measurements of the model in training: each kind is a function from a subject to named numbers, in its columns.

One function for each kind of `config.Probe`, named like its word; `measure` finds it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from common.config import Probe, Run, implementation
from common.curvature.lanczos import Extremes, extremes
from common.curvature.objective import Block, Objective
from common.curvature.operators import Hessian
from common.curvature.sharpness import sharpness as rule_sharpness
from common.data import Batch, DataError, Dataset
from common.data.losses import count_targets
from common.models.roles import readout
from common.training.evaluation import MANY

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


def measure(subject: Subject) -> dict[str, float]:
    """What the probe of a subject measures."""
    found: dict[str, float] = implementation(subject.probe)(subject)
    return found


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
    objective = Objective.of_dataset(subject.model, subject.dataset, examples=_examples(subject))
    try:
        with objective.cached_graphs():
            found = extremes(Hessian(objective), start=_remembered(subject))
    except ArithmeticError:
        return {}
    return _named(subject, _remember(subject, found))


def effective_sharpness(subject: Subject) -> dict[str, float]:
    """Largest eigenvalue of D^(1/2) H D^(1/2), with D the rates and preconditioner of the update rule, and its place.

    As `sharpness` otherwise, with `normalised_sharpness`: the eigenvalue over the rule's threshold at the rate of the
    next update, 1 at the edge of stability (see common/curvature/sharpness.py). Nothing before the first update of a
    rule that divides by its second moment, which it does not have yet.
    """
    if subject.run.optimizer.preconditioned and not any(subject.optimizer.state.values()):
        return {}
    try:
        measured = rule_sharpness(
            Objective.of_dataset(subject.model, subject.dataset, examples=_examples(subject)),
            subject.run.optimizer,
            lr=subject.learning_rate,
            rule=subject.optimizer,
            start=_remembered(subject),
        )
    except ArithmeticError:
        return {}
    found = _remember(subject, measured.found)
    return _named(subject, found) | {"normalised_sharpness": measured.normalised}


def gradients(subject: Subject) -> dict[str, float]:
    """The gradient of the joint loss, in which all k tasks weigh 1/k, and its parts, over the probe set of each task.

    Euclidean norms of the part of the past tasks (stability), of that of the new one (plasticity) and of their sum, in
    units of loss per unit of weight, and the cosine of the two parts, which a part of norm 0 does not have.
    Source: De Lange et al. 2022 (arXiv:2205.13452), who weigh the two parts by their ratio of replay.
    """
    plasticity, *past = (
        Objective.of_dataset(subject.model, task, examples=_examples(subject)).gradient() / (len(subject.past) + 1)
        for task in (subject.dataset, *subject.past)
    )
    stability = np.sum(past, axis=0)
    norms = [math.sqrt(float(part @ part)) for part in (stability, plasticity, stability + plasticity)]
    found = dict(zip(subject.probe.columns, norms, strict=False))
    if norms[0] * norms[1] > 0:
        found["gradient_cosine"] = float(stability @ plasticity) / (norms[0] * norms[1])
    return found


def nearest_mean(subject: Subject) -> dict[str, float]:
    """Accuracy of the nearest class mean of the features, in the place of the readout, whose inputs the features are.

    An example gets the class whose mean feature is nearest in Euclidean distance. Means are over the training examples
    of all tasks of the run, pooled by class: all examples of each task, or the first `examples` of a fixed order. All
    is the most favourable case, since it reads past tasks in full whatever the run itself keeps of them. Measured on
    the own validation set, and as the mean over those of the past tasks, which a first task does not have. With batch
    normalisation the examples of a task are one batch.

    Raises: DataError if a task has fewer training examples than `examples`.
    Source: Lapacz et al. 2025 (arXiv:2411.04723).
    """
    tasks = (subject.dataset, *subject.past)
    examples = [_training_examples(task, _examples(subject), subject.probe.kind) for task in tasks]
    with torch.inference_mode():
        labels, means = _class_means(subject.model, examples, classes=subject.dataset.outputs)
        own, *past = (_accuracy_of_means(subject.model, task, labels=labels, means=means) for task in tasks)
    values = (own, sum(past) / len(past)) if past else (own,)
    return dict(zip(subject.probe.columns, values, strict=False))


def train_accuracy(subject: Subject) -> dict[str, float]:
    """Share of right answers on the training examples: all of them, or the first `examples` of a fixed order.

    An answer is the largest logit. Classes are asked once for each example, tokens at each scored target. Where this
    share reaches 1 long before that of the validation examples begins to rise, a network has learnt by heart first
    and understood late. With batch normalisation every `evaluation.MANY` examples are one batch.

    Raises: DataError if there are fewer training examples than `examples`.
    Source: Power et al. 2022 (arXiv:2201.02177), whose grokking is the distance of the two curves.
    """
    task, kind = subject.dataset, subject.probe.kind
    inputs, targets = _training_examples(task, _examples(subject), kind)
    device = next(subject.model.parameters()).device
    right = 0
    with torch.inference_mode():
        for some, answers in zip(torch.split(inputs, MANY), torch.split(targets, MANY), strict=True):
            right += int((subject.model(some.to(device)).argmax(-1) == answers.to(device)).sum())
    return {"train_accuracy": right / count_targets(targets)}


def _examples(subject: Subject) -> int | None:
    """Training examples that the probe reads; None for all."""
    count: int | None = getattr(subject.probe, "examples", None)
    return count


def _training_examples(task: Dataset, count: int | None, kind: str) -> Batch:
    """The first training examples of an order that is the same for all runs; all of them for None."""
    if count is not None and count > task.size:
        raise DataError(
            f"examples={count} of probe {kind!r} must be at most {task.size}, the training examples of data "
            f"{task.name!r}; read fewer, or leave it out for all"
        )
    return task.batch(seed=0, position=0, count=count)


def _class_means(model: nn.Module, examples: Sequence[Batch], *, classes: int) -> tuple[Tensor, Tensor]:
    """Classes that have examples, int64 (present,), and their mean features, float32 (present, width)."""
    targets = torch.cat([batch.targets for batch in examples])
    seen = torch.cat([_features(model, batch.inputs) for batch in examples])
    members = functional.one_hot(targets, classes).t().to(seen)  # a product, since index_add has no fixed order on GPUs
    counts = members.sum(1)
    labels = counts.nonzero()[:, 0]
    return labels, (members @ seen)[labels] / counts[labels, None]


def _accuracy_of_means(model: nn.Module, task: Dataset, *, labels: Tensor, means: Tensor) -> float:
    """Share of the validation examples whose class has the nearest mean."""
    right = count = 0
    squares = means.square().sum(1)
    for batch in task.validation(chunk=MANY):
        seen = _features(model, batch.inputs)
        nearest = labels[torch.addmm(squares, seen, means.t(), alpha=-2).argmin(1)]
        right += int((nearest == batch.targets.to(nearest)).sum())
        count += len(batch.targets)
    return right / count


def _features(model: nn.Module, inputs: Tensor) -> Tensor:
    """What the readout of a network sees, (count, width)."""
    seen: list[Tensor] = []
    hook = readout(model).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        model(inputs.to(next(model.parameters()).device))
    finally:
        hook.remove()
    return seen[0]


def _remembered(subject: Subject) -> Block | None:
    """Vectors of the last measurement."""
    start = subject.memory.get("start")
    return None if start is None else start.numpy()


def _remember(subject: Subject, found: Extremes) -> Extremes:
    subject.memory["start"] = torch.from_numpy(found.start).contiguous()
    return found


def _named(subject: Subject, found: Extremes) -> dict[str, float]:
    values = (found.value, found.bound, found.second, found.products, int(found.converged))
    return dict(zip(subject.probe.columns, values, strict=False))
