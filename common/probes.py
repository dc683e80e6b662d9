"""Measurements of the model in training (layer 1): each kind is a function from the model to named numbers."""

from collections.abc import Callable

import torch
from torch import nn


def norms(model: nn.Module) -> dict[str, float]:
    """Euclidean norm of all weights together, and the largest absolute weight."""
    flat = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return {"weight_norm": float(flat.norm()), "weight_max": float(flat.abs().max())}


KINDS: dict[str, Callable[[nn.Module], dict[str, float]]] = {"norms": norms}
COLUMNS = {"norms": ("weight_norm", "weight_max")}
"""What each kind measures, in the order of its columns."""
