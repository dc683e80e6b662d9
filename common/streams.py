"""Named random streams: what one purpose draws never shifts what another one draws."""

from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Independent generator for one purpose, e.g. `stream(3, "data", epoch)`.

    Args:
        seed: the run's seed.
        names: words and whole numbers that say what is drawn.
    """
    return np.random.default_rng(_entropy(seed, *names))


def torch_stream(seed: int, *names: str | int) -> "torch.Generator":
    """The same for torch, on the CPU: draw there and move the numbers, so that every device sees the same ones."""
    import torch

    return torch.Generator().manual_seed(_entropy(seed, *names) % 2**64)


def _entropy(seed: int, *names: str | int) -> int:
    """128 bits for a seed with names. A hash, since numpy gives [0, 1] and [0, 1, 0] the same generator."""
    words = (int(seed), *(name if isinstance(name, str) else int(name) for name in names))
    return int.from_bytes(sha256(repr(words).encode()).digest()[:16])
