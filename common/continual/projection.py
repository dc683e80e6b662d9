"""Gradients that do not raise the loss of past tasks, to first order.

A gradient g of an update is corrected against the gradients r_1 ... r_k of past tasks' losses. Where it agrees with
them already it is returned itself, not a copy, so that `is` tells whether anything was done.
"""

import numpy as np
import torch
from torch import Tensor


def agem(gradient: Tensor, references: Tensor, *, margin: float = 0.0) -> Tensor:  # noqa: ARG001
    """The gradient g, or g - (g.r / r.r) r if g.r < 0, with r the mean of the references.

    Args:
        gradient: float64 (size,).
        references: gradients of past tasks, float64 (k, size).
        margin: not used.
    Returns: float64 (size,), whose product with r is 0 where it was negative.
    Source: Chaudhry et al. 2019 (arXiv:1812.00420), equation 11.
    """
    reference = references.mean(0)
    product = gradient @ reference
    return gradient if product >= 0 else gradient - (product / (reference @ reference)) * reference


def gem(gradient: Tensor, references: Tensor, *, margin: float = 0.0) -> Tensor:
    """The gradient g, or the shortest g + sum_i v_i r_i with v_i >= margin if g.r_i < 0 for any i.

    Without margin it is the vector nearest to g whose products with all references are at least 0, found in the dual,
    a quadratic programme in k variables. A margin biases updates towards past tasks. It is solved as non-negative
    least squares: with v = u + margin and references' = QR, minimise |R u + Q'(g + margin sum_i r_i)| over u >= 0.

    Args:
        gradient: float64 (size,).
        references: gradients of past tasks, float64 (k, size).
        margin: at least 0, dimensionless.
    Returns: float64 (size,). Gradients that are not finite are left to whoever ends a diverged run.
    Source: Lopez-Paz and Ranzato 2017 (arXiv:1706.08840), equations 8-12; the margin as a bound on v, and only where a
        constraint is violated, as in the authors' code.
    """
    from scipy.optimize import nnls

    products = references @ gradient
    if not (products < 0).any() or not products.isfinite().all():
        return gradient
    past, vector = references.cpu().numpy(), gradient.cpu().numpy()
    directions, triangle = np.linalg.qr(past.T)
    extra, _ = nnls(triangle, -directions.T @ (vector + margin * past.sum(0)), maxiter=100 * len(past))
    return gradient + torch.from_numpy((extra + margin) @ past).to(gradient.device)
