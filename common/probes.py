"""Measurements of the model in training (layer 1): each kind is a function from a subject to named numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.config import Probe, Run
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective
from common.curvature.operators import Hessian
from common.data import Dataset

Memory = dict[str, Tensor]
"""What a probe keeps from one measurement for the next; saved with the run, so that a resumed run measures alike."""


@dataclass(frozen=True)
class Subject:
    """A training between two updates, as a probe sees it; only `memory` may be changed."""

    model: nn.Module
    """With the weights to be measured (of Schedule-Free, the average)."""
    dataset: Dataset
    optimizer: torch.optim.Optimizer
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
    measurement's vectors on, and 1 if the bound is within a thousandth of it. In units of loss per squared weight. The
    model is in train mode; with batch normalisation the whole probe set is one batch.
    """
    objective = Objective.of_dataset(subject.model, subject.dataset, examples=subject.probe.examples)
    start = subject.memory.get("start")
    with objective.held():
        found = extremes(Hessian(objective), start=None if start is None else start.numpy())
    subject.memory["start"] = torch.from_numpy(found.start).contiguous()
    return {
        "sharpness": found.value,
        "sharpness_bound": found.bound,
        "sharpness_second": found.second,
        "sharpness_products": found.products,
        "sharpness_converged": int(found.converged),
    }


KINDS: dict[str, Callable[[Subject], dict[str, float]]] = {"norms": norms, "sharpness": sharpness}
COLUMNS = {
    "norms": ("weight_norm", "weight_max"),
    "sharpness": (
        "sharpness",
        "sharpness_bound",
        "sharpness_second",
        "sharpness_products",
        "sharpness_converged",
    ),
}
"""What each kind measures, in the order of its columns."""
