"""Measurements of the model in training (layer 1): each kind is a function from a subject to named numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.config import Probe, Run
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


KINDS: dict[str, Callable[[Subject], dict[str, float]]] = {"norms": norms}
COLUMNS = {"norms": ("weight_norm", "weight_max")}
"""What each kind measures, in the order of its columns."""
