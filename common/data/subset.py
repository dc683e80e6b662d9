"""Some of the training windows of a text, the same for every run."""

import numpy as np
from numpy.typing import NDArray

from common.data import DataError

Bytes = NDArray[np.uint8]
Windows = NDArray[np.int64]
"""Numbers of windows: window i predicts the bytes i * context + 1 to (i + 1) * context."""

HASH, NEWLINE = b"#\n"


def choose(windows: Windows, *, samples: int, ranked: str | None, content: Bytes, context: int) -> Windows:
    """So many of some windows: the best by a ranking, or without one evenly apart.

    Args:
        windows: those to choose from, increasing.
        samples: how many to take.
        ranked: "comments" (see `commented`), or None (see `spread`).
        content: the bytes of the text.
        context: predictions of a window.
    Raises: DataError if there are fewer.
    """
    if samples > len(windows):
        raise DataError(
            f"samples={samples} must be at most {len(windows)}, the training windows of context={context} in this text"
        )
    if ranked == "comments":
        return commented(windows, samples=samples, content=content, context=context)
    return spread(windows, samples=samples)


def spread(windows: Windows, *, samples: int) -> Windows:
    """So many of some windows, evenly apart.

    Every stretch of the text gives its share, so files and packages keep theirs up to a window each: a sample of the
    distribution of the whole with less chance in it than a random draw.
    """
    return windows[np.arange(samples) * len(windows) // samples]


def commented(windows: Windows, *, samples: int, content: Bytes, context: int) -> Windows:
    """The windows that predict most bytes of comments, in the order of the text; of equal ones the earlier.

    ASSUME: code that is explained is good code. This is a stand-in for the learnt judge of quality with which Guo et
    al. 2024 (arXiv:2406.14833) choose the subset on which to go on; it reads nothing but the share of comments. A `#`
    in a string counts like any other.
    """
    counts = comment_bytes(content, context=context)[windows]
    return np.sort(windows[np.argsort(-counts, kind="stable")[:samples]])


def comment_bytes(content: Bytes, *, context: int) -> Windows:
    """How many of the bytes that each window predicts lie after a `#` and before the end of its line: (windows,)."""
    ends = np.append(np.flatnonzero(content == NEWLINE), len(content))
    hashes = np.flatnonzero(content == HASH)
    lines, first = np.unique(np.searchsorted(ends, hashes), return_index=True)
    starts, ends = hashes[first] + 1, ends[lines]
    before = np.append(0, np.cumsum(ends - starts))
    edges = np.arange((len(content) - 1) // context + 1) * context + 1
    begun = np.searchsorted(starts, edges)
    overhang = np.maximum(0, np.append(0, ends)[begun] - edges)
    return np.diff(before[begun] - overhang)
