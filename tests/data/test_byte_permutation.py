"""Exchanged bytes: a permutation of the characters, without fixed points among those it names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import EXCHANGEABLE
from common.data import byte_permutation

SHARES = st.floats(0.02, 1)


def moved(share) -> set[int]:
    return set(np.flatnonzero(byte_permutation.table(share) != np.arange(256)).tolist())


@given(SHARES)
def test_it_is_one_cycle_of_the_rounded_share(share):
    table = byte_permutation.table(share)
    assert sorted(table.tolist()) == list(range(256))
    assert len(moved(share)) == round(share * 96)
    place = start = min(moved(share))
    cycle = []
    while not cycle or place != start:
        cycle.append(place)
        place = int(table[place])
    assert set(cycle) == moved(share)


def test_all_printable_characters_and_the_newline_and_no_others():
    assert moved(1.0) == {10, *range(32, 127)} == set(EXCHANGEABLE)


@given(SHARES, SHARES)
def test_a_larger_share_exchanges_those_of_a_smaller_one_too(one, other):
    assert moved(min(one, other)) <= moved(max(one, other))


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_inverse_restores_a_text_and_its_histogram_is_permuted(share):
    text = np.frombuffer(b"Words, and more words: \xce\xbb\tand so on.\n" * 9, np.uint8)
    table = byte_permutation.table(share)
    changed = table[text]
    assert (changed != text).any()
    assert np.array_equal(np.argsort(table).astype(np.uint8)[changed], text)
    before, after = (np.bincount(part, minlength=256) for part in (text, changed))
    assert np.array_equal(after[table], before)
    assert not np.array_equal(after, before)
