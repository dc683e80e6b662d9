"""MetaInit: rescale initial weights so that the gradient changes little along itself, a flat start.

Dauphin and Schoenholz 2019, "MetaInit: Initializing learning by learning to initialize" (NeurIPS 32). The norm of each
weight matrix is learnt, its direction stays. Constants as in the library of Gilmer et al. 2021 (arXiv:2110.04369).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

LEARNING_RATE = 0.1
MOMENTUM = 0.5
EPSILON = 1e-5
"""Added to the size of a gradient entry that is divided by."""


def gradient_quotient(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Mean over all parameters of |(g - H g) / (g + epsilon sign(g)) - 1|, which is 0 where H g = 0: shape ().

    g is the gradient of the loss and H its Hessian. The sign of 0 counts as +1, and no derivative goes through it.

    Args:
        loss: shape (), with its graph.
        parameters: the tensors by which to derive; each must have an influence on the loss.
    """
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    half_square = sum((gradient.square().sum() / 2 for gradient in gradients), torch.zeros(()))
    products = torch.autograd.grad(half_square, parameters, create_graph=True)
    total = torch.zeros(())
    for gradient, product in zip(gradients, products, strict=True):
        sign = torch.where(gradient.detach() >= 0, 1.0, -1.0)
        total = total + ((gradient - product) / (gradient + EPSILON * sign) - 1).abs().sum()
    return total / sum(parameter.numel() for parameter in parameters)


def metainit(model: nn.Module, loss: Callable[[int], Tensor], *, steps: int) -> list[float]:
    """Learn the norms of a model's weight matrices by signed descent with momentum on the gradient quotient.

    Args:
        model: its tensors of two or more dimensions are rescaled in place; the others stay, and are no part of the
            quotient.
        loss: from the number of the update to the loss of a batch, shape (), with its graph.
        steps: number of updates.
    Returns: the gradient quotient before each update.
    """
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    speeds = [0.0] * len(matrices)
    quotients = []
    for step in range(steps):
        quotient = gradient_quotient(loss(step), matrices)
        slopes = torch.autograd.grad(quotient, matrices)
        quotients.append(float(quotient.detach()))
        for i, (matrix, slope) in enumerate(zip(matrices, slopes, strict=True)):
            speeds[i] = MOMENTUM * speeds[i] - LEARNING_RATE * float(torch.sign((slope * matrix).sum()))
            _set_norm(matrix, speeds[i])
    return quotients


@torch.no_grad()
def _set_norm(matrix: Tensor, change: float) -> None:
    """Scale a matrix so that its Euclidean norm grows by `change`, but never below a hundredth of itself."""
    norm = float(matrix.norm())
    matrix.mul_(max(norm + change, norm / 100) / norm)
