"""Examples of past tasks: which of them are kept, and the batches that an update reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from common.config import Continual, chosen
from common.data import Batch, DataError, Dataset, indices
from common.streams import stream


class Source(Protocol):
    """Examples by position, as `common.data.Dataset` gives them."""

    def batch(self, *, seed: int, position: int, count: int | None) -> Batch:
        """Examples `position` to `position + count - 1` in the order of the seed; all of them for None."""


@dataclass(frozen=True)
class Memory:
    """Some examples of a task, in the place of all."""

    examples: Batch

    def batch(self, *, seed: int, position: int, count: int | None) -> Batch:
        """See `Source.batch`; every epoch is a fresh permutation, and a batch may cross from one to the next."""
        if count is None:
            return self.examples
        chosen = indices(seed=seed, position=position, count=count, size=len(self.examples.inputs))
        return Batch(*(part[chosen] for part in self.examples))


def reservoir(dataset: Dataset, *, examples: int, seed: int) -> Memory:
    """Any training examples of a task, each set of so many equally likely, as reservoir sampling leaves them.

    Source: Vitter 1985, algorithm R, for its distribution.
    """
    return Memory(dataset.batch(seed=seed, position=0, count=examples))


def class_balanced(dataset: Dataset, *, examples: int, seed: int) -> Memory:
    """Training examples of a task drawn class by class in turn, so that counts differ by at most one.

    A class that is used up leaves its turns to the others.
    """
    whole = dataset.batch(seed=seed, position=0, count=None)
    order = stream(seed, "class_balanced").permutation(len(whole.targets))
    turns = _turns(whole.targets.numpy()[order])
    chosen = torch.from_numpy(order[np.argsort(turns, kind="stable")][:examples])
    return Memory(Batch(*(part[chosen] for part in whole)))


def _turns(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many entries of the same class stand before each: int64 (count,)."""
    turns = np.empty_like(labels)
    for label in np.unique(labels):
        turns[labels == label] = np.arange(np.count_nonzero(labels == label))
    return turns


@dataclass(frozen=True)
class Past:
    """Batches of past tasks, each drawn from a stream of its own: arms of one seed read the same ones.

    Args:
        sources: the tasks in their order.
        seed: the run's.
    """

    sources: Sequence[Source]
    seed: int

    @classmethod
    def of(cls, continual: Continual, tasks: Sequence[Dataset], *, seed: int) -> "Past":
        """The past that a description reads: its memories, drawn from the run's seed, or all training examples.

        Raises: DataError if a task has fewer examples than the memory.
        """
        if continual.memory is None:
            return cls(tasks, seed)
        for task in tasks:
            if continual.memory > task.size:
                raise DataError(
                    f"continual.memory={continual.memory} must be at most {task.size}, the training examples of data "
                    f"{task.name!r}; keep fewer, or use replay='all'"
                )
        keep = chosen(continual, "selection") if continual.selection else reservoir
        kept = [keep(task, examples=continual.memory, seed=_seed(seed, "memory", i)) for i, task in enumerate(tasks)]
        return cls(kept, seed)

    def batches(self, *, position: int, count: int | None) -> list[Batch]:
        """One batch of each task, of the size of the new one.

        Args:
            position: training examples of the new task consumed before.
            count: size of each batch; None for all that there is of each task.
        """
        return [
            source.batch(seed=seed, position=position, count=count)
            for source, seed in zip(self.sources, self._seeds, strict=True)
        ]

    @cached_property
    def _seeds(self) -> list[int]:
        return [_seed(self.seed, "past", i) for i in range(len(self.sources))]


def _seed(seed: int, purpose: str, task: int) -> int:
    """A seed for one purpose and one past task, counted from the first."""
    return int(stream(seed, purpose, task).integers(2**62))
