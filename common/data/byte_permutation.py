"""Bytes that change their meaning: the same text in another alphabet."""

import numpy as np
from numpy.typing import NDArray

from common.config import EXCHANGEABLE
from common.streams import stream

Table = NDArray[np.uint8]


def table(share: float) -> Table:
    """What each byte becomes, uint8 (256,): a permutation, under which every entropy of the text stays what it is.

    round(share * 96) of the printable ASCII characters and the newline change places in one cycle, so none of them
    keeps its own; all other bytes, which are rare in English and code, stay. Which ones, and their order in the cycle,
    is the same for every run and blind to how frequent they are; a larger share exchanges those of a smaller one too.

    Args:
        share: above 0 and at most 1; of `EXCHANGEABLE`.
    """
    alphabet = np.frombuffer(EXCHANGEABLE, np.uint8)
    chosen = stream(0, "exchange").permutation(alphabet)[: round(share * len(alphabet))]
    result = np.arange(256, dtype=np.uint8)
    result[chosen] = np.roll(chosen, -1)
    return result
