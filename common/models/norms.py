"""Norms: each is a function named like the word of `config.Model.norm`."""

from torch import Tensor
from torch.nn import functional

EPSILON = 1e-5
"""Added to the variance, or the mean square, inside every norm."""


def layernorm(x: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the last axis (Ba et al. 2016, arXiv:1607.06450), without gain and bias."""
    return functional.layer_norm(x, x.shape[-1:], eps=EPSILON)


def rmsnorm(x: Tensor) -> Tensor:
    """Mean square 1 over the last axis (Zhang & Sennrich 2019, arXiv:1910.07467), without gain."""
    return functional.rms_norm(x, x.shape[-1:], eps=EPSILON)


def batchnorm(x: Tensor) -> Tensor:
    """Mean 0 and variance 1 of each feature over the batch (Ioffe & Szegedy 2015, arXiv:1502.03167); no gain, no bias.

    The statistics are those of the batch at hand, in training, evaluation and curvature alike: (count, width).
    """
    return functional.batch_norm(x, None, None, training=True, eps=EPSILON)


def none(x: Tensor) -> Tensor:
    """No norm."""
    return x
