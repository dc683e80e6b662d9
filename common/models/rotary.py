"""Rotary positions of queries and keys (Su et al. 2021, arXiv:2104.09864)."""

import torch
from torch import Tensor


def rotations(*, context: int, size: int) -> Tensor:
    """Cosine and sine of the turn of each pair of features at each position, float64 (context, 1, size / 2, 2).

    Pair j turns by t * 10000**(-2 j / size) at position t, so that a product of query and key depends on their distance
    alone. An odd `size` leaves no pair for its last feature, so `size` must be even.
    Source: Su et al. 2021 (eq. 15 and 34).
    """
    angles = torch.arange(context)[:, None] * 10000.0 ** (-2 * torch.arange(size // 2, dtype=torch.float64) / size)
    return torch.stack((angles.cos(), angles.sin()), dim=-1)[:, None]


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """Features (count, context, heads, size), neighbours as pairs, turned; in the precision of the turns.

    Args:
        x: features.
        turns: as from `rotations`, for these positions, in the precision to turn in.
    """
    pairs = x.to(turns.dtype).view(*x.shape[:-1], -1, 2)
    if torch.compiler.is_compiling():  # which joins these steps into one, and has no code for complex numbers
        (a, b), (cosine, sine) = pairs.unbind(-1), turns.unbind(-1)
        both = torch.stack((a * cosine - b * sine, a * sine + b * cosine), dim=-1)
    else:
        both = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turns))
    return both.flatten(-2)
