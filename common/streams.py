"""Named random streams: what one purpose draws never shifts what another one draws."""

from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    import torch


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Independent generator for one purpose, e.g. `stream(3, "data", epoch)`.

    Args:
        seed: the run's seed, at least 0.
        names: words and whole numbers (at least 0) that say what is drawn.
    """
    return np.random.default_rng(_entropy(seed, *names))


def torch_stream(seed: int, *names: str | int) -> "torch.Generator":
    """The same for torch, on the CPU: draw there and move the numbers, so that every device sees the same ones."""
    import torch

    state = np.random.SeedSequence(_entropy(seed, *names)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def _entropy(seed: int, *names: str | int) -> list[int]:
    return [seed, *(crc32(name.encode()) if isinstance(name, str) else name for name in names)]
