"""Interleave two data sets in a fixed share: compute-equivalent replay, and joint training."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from common import config, data
from common.data import Batch, DataError, Dataset, description_digest

LARGEST_PERIOD = 10**6
"""Places after which an interleave repeats itself at the latest; a share is rounded to such a fraction."""

Places = NDArray[np.int64]


def mixture(described: config.Mixture, *, corpora: Path) -> "Mixture":
    """The data set of a description."""
    first, second = (data.load(part, corpora=corpora) for part in (described.first, described.second))
    digest = description_digest(described, content=f"{first.digest} {second.digest}".encode())
    return Mixture(first, second, share=described.share, digest=digest)


class Mixture:
    """Interleaved examples of two data sets; implements `common.data.Dataset`.

    The place p of a run, from 0, holds an example of the second part if floor(s (p + 1)) > floor(s p), s its share:
    after any number of examples it has its share of them, rounded down, and its places are as evenly apart as whole
    numbers allow. So replay costs no updates: it takes the place of new data. Each part is read in its own order by the
    run's seed, from its own beginning: the examples replayed are those with which a run of this seed on the second part
    alone began. A run that continues another goes on at its parent's place unless it resets "data".

    Size and validation examples are those of the first part. The share is one of examples: where only some targets of a
    part are scored (see `common.data.text.Text`), its weight in a batch's mean loss is smaller.

    Args:
        first: the new data, if the second is replayed.
        second: the old data, with inputs and targets like those of the first.
        share: of the second part, between 0 and 1.
        digest: SHA-256 of the description and both contents.
    Source: compute-equivalent replay, Ibrahim et al. 2024 (arXiv:2403.08763); the even interleave is ours.
    """

    def __init__(self, first: Dataset, second: Dataset, *, share: float, digest: str) -> None:
        self.first, self.second, self.share = first, second, share
        self.name = f"{first.name}+{second.name}"
        self.digest = digest
        self.loss, self.inputs, self.outputs, self.context = first.loss, first.inputs, first.outputs, first.context
        self.size = first.size

    def behind(self, places: Places) -> Places:
        """How many examples of the second part lie before each place, int64 (count,)."""
        above, below = Fraction(str(self.share)).limit_denominator(LARGEST_PERIOD).as_integer_ratio()
        counts: Places = places * above // below
        return counts

    def batch(self, *, seed: int, position: int, count: int | None) -> Batch:
        """See `Dataset.batch`; there is no full batch.

        Raises: DataError for count None.
        """
        if count is None:
            raise DataError("mixed data has no full batch; give batch_size")
        places = np.arange(position, position + count + 1)
        before = self.behind(places)
        second = np.diff(before) > 0
        taken = int(second.sum())
        parts = (
            (self.first, ~second, position - int(before[0]), count - taken),
            (self.second, second, int(before[0]), taken),
        )
        filled = [
            (np.flatnonzero(where), part.batch(seed=seed, position=start, count=number))
            for part, where, start, number in parts
            if number > 0
        ]
        order = torch.from_numpy(np.argsort(np.concatenate([where for where, _ in filled])))
        return Batch(*(torch.cat(pieces)[order] for pieces in zip(*(batch for _, batch in filled), strict=True)))

    def validation(self, *, chunk: int) -> Iterator[Batch]:
        """See `Dataset.validation`: that of the first part."""
        return self.first.validation(chunk=chunk)
