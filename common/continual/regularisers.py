"""Parts of a loss that hold a network to what it was: in its outputs, or in its weights."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn import functional

from common.config import Loss
from common.data.losses import half_squared_error

CHUNK = 8
"""Examples whose derivatives lie in memory together: of each, as many numbers as outputs times weights."""

Tensors = dict[str, Tensor]


def distillation(
    outputs: Tensor, taught: Tensor, *, loss: Loss, temperature: float = 1.0, classes: Tensor | None = None
) -> Tensor:
    """Distance of outputs from those of a teacher, shape ().

    Cross-entropy: T**2 KL(softmax(taught / T) || softmax(outputs / T)) per target, in nats; T**2 keeps the size of the
    gradient. Squared error: half the squared difference, summed over outputs.

    Args:
        outputs: of the network, (..., outputs).
        taught: of the teacher, the same shape.
        loss: of the data.
        temperature: T, greater than 0.
        classes: indices of the outputs that are compared, int64; all if left out. The teacher of a network that meets
            new classes knows only the old ones.
    Source: Hinton et al. 2015 (arXiv:1503.02531), section 2; Li and Hoiem 2016 (arXiv:1606.09282), without T**2.
    """
    if loss == "mse":
        return half_squared_error(outputs, taught)
    pair = (outputs, taught) if classes is None else (outputs[..., classes], taught[..., classes])
    student, teacher = ((part.flatten(0, -2) / temperature).log_softmax(-1) for part in pair)
    return temperature**2 * functional.kl_div(student, teacher, log_target=True, reduction="batchmean")


def fisher(model: nn.Module, inputs: Tensor, *, loss: Loss) -> Tensors:
    """Diagonal of the Fisher information of a network's own predictions: by weight, of the weight's shape.

    Exact, without sampling of labels: the mean over inputs of sum_c p_c (d log p_c / dw)**2, which is
    sum_c p_c J_c**2 - (sum_c p_c J_c)**2 with the Jacobian J of the logits; for the squared error, whose prediction is
    a Gaussian of variance 1, sum_c J_c**2.

    Args:
        model: maps (count, inputs) to (count, outputs), each example for itself.
        inputs: float32 (count, inputs).
        loss: of the data.
    Source: Martens 2020 (arXiv:1412.1193), sections 5 and 9, for the definition; the exact sum as in van de Ven 2025
        (arXiv:2502.11756).
    """
    weights = {name: weight.detach() for name, weight in model.named_parameters()}

    def outputs(weights: Tensors, example: Tensor) -> Tensor:
        found: Tensor = functional_call(model, weights, (example[None],))[0]
        return found

    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for part in torch.split(inputs, CHUNK):
        with torch.no_grad():
            shares = model(part).softmax(-1) if loss == "cross_entropy" else None
        for name, jacobian in vmap(jacrev(outputs), in_dims=(None, 0))(weights, part).items():
            total[name] += _squares(jacobian.flatten(2), shares).view_as(total[name])
    return {name: sums / len(inputs) for name, sums in total.items()}


def _squares(jacobian: Tensor, shares: Tensor | None) -> Tensor:
    """Sum over examples of the Fisher information: (size,), of a Jacobian (count, outputs, size)."""
    if shares is None:
        return jacobian.square().sum((0, 1))
    centred = jacobian - torch.einsum("nc,ncw->nw", shares, jacobian)[:, None]
    return torch.einsum("nc,ncw->w", shares, centred.square())


def consolidation(model: nn.Module, *, anchor: Tensors, importance: Tensors) -> Tensor:
    """sum_i F_i (w_i - a_i)**2 / 2 over all weights, shape ().

    Args:
        model: with the weights w.
        anchor: a, by name.
        importance: F, by name.
    Source: Kirkpatrick et al. 2017 (arXiv:1612.00796), equation 3.
    """
    parts = [(importance[name] * (weight - anchor[name]).square()).sum() for name, weight in model.named_parameters()]
    return 0.5 * torch.stack(parts).sum()
