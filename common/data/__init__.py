"""What the training loop sees of the data: examples by position, and a fixed validation set.

This module imports no torch, so that the corpora can be built without it.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from common.config import Data, Loss, Run, datasets_of, identity, implementation
from common.streams import stream

if TYPE_CHECKING:
    from torch import Tensor

CACHED_EPOCHS = 16
"""Permutations kept in memory: two for each member of a sweep over eight seeds."""


class Batch(NamedTuple):
    """Examples side by side.

    Tokens: inputs and targets int64 (count, context), the targets one token later, -100 where one is not scored.
    Otherwise inputs float32 (count, inputs), and targets int64 (count,) for cross-entropy or float32 (count, outputs)
    for the squared error.
    """

    inputs: "Tensor"
    targets: "Tensor"


class Dataset(Protocol):
    """Training examples by position in a run, and validation examples that are the same for every run."""

    name: str
    digest: str
    """SHA-256 (hexadecimal) of what decides the content."""
    loss: Loss
    """Cross-entropy in nats, or the squared error, of which the engine takes half the sum over outputs."""
    inputs: int
    """Vocabulary size for tokens, otherwise the dimension of an input."""
    outputs: int
    """Vocabulary size, number of classes, or dimension of a target."""
    context: int | None
    """Length of a window of tokens, otherwise None."""
    size: int
    """Number of training examples."""

    def batch(self, *, seed: int, position: int, count: int | None) -> Batch:
        """Examples `position` to `position + count - 1` of the run with this seed.

        An epoch is a fresh permutation of all training examples, drawn from the seed; a batch may cross from one epoch
        to the next. Any way to cut positions into batches gives the same examples.

        Args:
            seed: the run's seed; it decides the order.
            position: number of examples consumed before.
            count: number of examples; None for the whole training set in its fixed order.
        """

    def validation(self, *, chunk: int) -> Iterator[Batch]:
        """The validation examples in their fixed order, at most `chunk` at a time."""


def load(data: Data, *, corpora: Path) -> Dataset:
    """The data set of a description.

    Args:
        data: the description.
        corpora: folder with one folder for each corpus, which a rule of the workflow builds; streamed data sets are
            kept there too.
    Raises: DataError or CorpusError if the data is missing, damaged or too small.
    """
    found: Dataset = implementation(data)(data, corpora=corpora)
    return found


def load_all(run: Run, *, corpora: Path) -> dict[Data, Dataset]:
    """Every data set that a run reads, by description, its own first; as `load`."""
    return {data: load(data, corpora=corpora) for data in datasets_of(run)}


class DataError(ValueError):
    """The data does not allow what the description asks of it."""


def indices(*, seed: int, position: int, count: int, size: int) -> NDArray[np.int64]:
    """Which of `size` examples stand at `position` to `position + count - 1` of a run: int64 (count,)."""
    if position < 0 or count < 1:
        raise ValueError(f"position={position} must be at least 0 and count={count} at least 1")
    parts = []
    while count:
        epoch, offset = divmod(position, size)
        parts.append(_permutation(seed, epoch, size)[offset : offset + count])
        position += len(parts[-1])
        count -= len(parts[-1])
    return np.concatenate(parts)


@lru_cache(maxsize=CACHED_EPOCHS)
def _permutation(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    order = stream(seed, "data", epoch).permutation(size)
    order.setflags(write=False)
    return order


@dataclass(kw_only=True)
class Arrays:
    """A data set that lies in memory as a whole; `train` and `held_out` hold all of its examples."""

    name: str
    digest: str
    loss: Loss
    outputs: int
    train: Batch
    held_out: Batch
    context: int | None = None
    inputs: int = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size, self.inputs = self.train.inputs.shape

    def batch(self, *, seed: int, position: int, count: int | None) -> Batch:
        """See `Dataset.batch`."""
        if count is None:
            return self.train
        chosen = indices(seed=seed, position=position, count=count, size=self.size)
        return Batch(self.train.inputs[chosen], self.train.targets[chosen])

    def validation(self, *, chunk: int) -> Iterator[Batch]:
        """See `Dataset.validation`."""
        for first in range(0, len(self.held_out.inputs), chunk):
            yield Batch(*(part[first : first + chunk] for part in self.held_out))


def description_digest(data: Data, *, content: Any = b"") -> str:
    """SHA-256 of a description, and of the raw content that it is applied to: equal on every machine."""
    return hashlib.sha256(json.dumps(identity(data), sort_keys=True).encode() + bytes(content)).hexdigest()
