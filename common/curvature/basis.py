"""Orthonormal rows of weight space, long and few: every pass over them goes piece by piece, in the cache.

Rows may be float32 or float64. Sums of a piece are in the rows' own precision and those over pieces in float64: one
float32 sum over ten million weights is off by 3e-5 of itself, the length of a unit vector with it.
"""

from collections.abc import Iterator

import numpy as np

from common.curvature.objective import Block, Vector

PIECE = 16_384
"""Numbers of each row in a piece. Twenty float32 rows take 1.3 MB, and at 1 M weights 10 rows are made orthogonal in
5.1 ms; pieces of 8,192 and 65,536 take 5.3 and 6.4."""
PASSES = 4
"""Most repetitions; two make a vector orthogonal to rounding if more than that is left of it (Giraud et al. 2005)."""
ROUNDING = 10.0
"""What rounding may leave of a vector, or move an eigenvalue by, in units of the precision times the largest length."""


def deflate(rows: Block, vector: Vector) -> tuple[Vector, float]:
    """Take from a vector, in place, what lies in the span of orthonormal rows (k, size) of the same type.

    Returns: its products with the rows, float64 (k,), and the length of what is left; 0 if that is rounding.
    """
    if not len(rows):
        return np.zeros(0), _length(vector)
    epsilon = np.finfo(rows.dtype).eps
    whole, square = np.zeros(len(rows)), 0.0
    for piece in _pieces(rows):
        part = vector[piece]
        whole += rows[:, piece] @ part
        square += float(part @ part)
    missing, length = whole.astype(rows.dtype), square**0.5
    rest = length
    for _ in range(PASSES):
        again, square = np.zeros(len(rows)), 0.0
        for piece in _pieces(rows):
            within, part = rows[:, piece], vector[piece]
            part -= missing @ within
            again += within @ part
            square += float(part @ part)
        rest = square**0.5
        whole += again
        if rest <= ROUNDING * epsilon * length:
            return whole, 0.0
        if np.linalg.norm(again) <= epsilon * rest:
            break
        missing = again.astype(rows.dtype)
    return whole, rest


def combine(weights: Block, rows: Block, out: Block) -> Block:
    """Weights (j, k) times rows (k, size) into `out` (j, size), which may be among the rows; returned."""
    factor = weights.astype(rows.dtype)
    for piece in _pieces(rows):
        out[:, piece] = factor @ rows[:, piece]
    return out


def _length(vector: Vector) -> float:
    return float(np.sqrt(sum(float(vector[piece] @ vector[piece]) for piece in _pieces(vector))))


def _pieces(rows: Block | Vector) -> Iterator[slice]:
    return (slice(start, start + PIECE) for start in range(0, rows.shape[-1], PIECE))
