"""What a text's own statistics say of the next byte: an n-gram model with interpolated orders.

The distribution after a context of k bytes mixes what followed it with the distribution after its last k - 1 bytes,
which has the weight of as many observations as there were different bytes (Witten and Bell 1991):
p_k = (c + T p_{k-1}) / (n + T), and p_{-1} is uniform.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

BYTES = 256
CHUNK = 4096
"""Positions that are predicted at once."""


class _Order(NamedTuple):
    """Sorted keys of contexts with their next byte, as one number, and how often each occurred."""

    keys: np.ndarray
    counts: np.ndarray


class NGram:
    """Counts of the windows of a text.

    Args:
        windows: bytes, integers of shape (windows, length); no context crosses the edge of a window.
        order: longest context, at most 7 bytes.
    """

    def __init__(self, windows: np.ndarray, *, order: int) -> None:
        if not 0 <= order <= 7:
            raise ValueError(f"order={order} must be 0 .. 7: a context and its next byte are kept in 64 bits")
        self.orders = [_Order(*np.unique(keys, return_counts=True)) for keys in _keys(windows, order)]

    def distributions(self, windows: np.ndarray) -> Iterator[np.ndarray]:
        """Probability of each byte at every position but the first of each window, (up to CHUNK, 256) at a time."""
        length = windows.shape[1]
        places = np.arange(windows.shape[0] * (length - 1))
        for chunk in np.split(places, range(CHUNK, len(places), CHUNK)):
            rows, columns = chunk // (length - 1), chunk % (length - 1)
            found = np.full((len(chunk), BYTES), 1 / BYTES)
            context = np.zeros(len(chunk), dtype=np.uint64)
            for k, order in enumerate(self.orders):
                known = columns + 1 >= k
                if k:
                    older = windows[rows, np.maximum(columns + 1 - k, 0)].astype(np.uint64)
                    context = context + (older << np.uint64(8 * (k - 1)))
                found[known] = _mixed(order, context[known], found[known])
            yield found

    def entropies(self, windows: np.ndarray) -> np.ndarray:
        """Entropy in nats before every byte but the first of each window: (windows, length - 1)."""
        parts = [-(p * np.log(p)).sum(axis=1) for p in self.distributions(windows)]
        return np.concatenate(parts).reshape(len(windows), -1)

    def loss(self, windows: np.ndarray) -> float:
        """Mean cross-entropy of these bytes in nats."""
        nexts = windows[:, 1:].ravel()
        total, done = 0.0, 0
        for p in self.distributions(windows):
            total -= np.log(p[np.arange(len(p)), nexts[done : done + len(p)]]).sum()
            done += len(p)
        return float(total / done)


def _keys(windows: np.ndarray, order: int) -> Iterator[np.ndarray]:
    """For each length of context, the number of context and next byte at every place that has so long a context."""
    values = windows.astype(np.uint64)
    for k in range(order + 1):
        length = values.shape[1] - k
        keys = np.zeros((len(values), length), dtype=np.uint64)
        for place in range(k + 1):
            keys = (keys << np.uint64(8)) | values[:, place : place + length]
        yield keys.ravel()


def _mixed(order: _Order, contexts: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """The distribution after each context, given that after contexts one byte shorter."""
    first = np.searchsorted(order.keys, contexts << np.uint64(8))
    last = np.searchsorted(order.keys, (contexts << np.uint64(8)) | np.uint64(BYTES - 1), side="right")
    kinds = last - first
    rows = np.repeat(np.arange(len(contexts)), kinds)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(kinds) - kinds, kinds) + np.repeat(first, kinds)
    counts = np.zeros_like(lower)
    counts[rows, (order.keys[places] & np.uint64(BYTES - 1)).astype(np.int64)] = order.counts[places]
    seen = counts.sum(axis=1, keepdims=True)
    weight = np.where(seen > 0, kinds[:, None], 1)
    mixed: np.ndarray = (counts + weight * lower) / (seen + weight)
    return mixed
