"""The n-gram model against counts by hand, and what it says of a text."""

from collections import Counter

import numpy as np
import pytest

from studies.wsd.ngram import BYTES, NGram

TEXT = np.random.default_rng(0).integers(3, size=(40, 9)) + 97


def slow(windows, context):
    """The distribution after a context, by counting all that follows it and its ends."""
    found = np.full(BYTES, 1 / BYTES)
    for k in range(len(context) + 1):
        end = tuple(context[len(context) - k :])
        follows = Counter(row[i + k] for row in windows for i in range(len(row) - k) if tuple(row[i : i + k]) == end)
        if follows:
            counts = np.zeros(BYTES)
            counts[list(follows)] = list(follows.values())
            found = (counts + len(follows) * found) / (counts.sum() + len(follows))
    return found


@pytest.mark.parametrize("order", [0, 1, 3])
def test_distributions_are_the_counts_by_hand(order):
    asked = np.array([[97, 98, 97, 99, 98], [97, 97, 97, 120, 97]])
    found = np.concatenate(list(NGram(TEXT, order=order).distributions(asked)))
    expected = [slow(TEXT, row[max(0, i + 1 - order) : i + 1]) for row in asked for i in range(4)]
    assert found == pytest.approx(np.array(expected))
    assert found.sum(axis=1) == pytest.approx(np.ones(8))


def test_a_text_that_repeats_itself_is_certain():
    repeated = np.tile(np.arange(8) + 65, (20, 4))
    model = NGram(repeated, order=3)
    entropies = model.entropies(repeated)
    assert entropies.shape == (20, 31) and entropies[:, 3:].max() < 0.5
    assert model.loss(repeated) < 0.3 < NGram(TEXT, order=3).loss(TEXT)


def test_more_context_tells_more_of_a_text_with_structure():
    pairs = np.repeat(np.random.default_rng(1).integers(4, size=(200, 8)) + 65, 2, axis=1)
    losses = [NGram(pairs[:150], order=order).loss(pairs[150:]) for order in (0, 2)]
    assert losses[1] < losses[0] - 0.2


def test_longer_contexts_than_fit_are_refused():
    with pytest.raises(ValueError, match=r"order=8 must be 0 \.\. 7"):
        NGram(TEXT, order=8)
