"""Some of the windows of a text: which, and how fast."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.data import DataError, subset


def content(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def slow_comment_bytes(text: str, context: int) -> list[int]:
    """Byte by byte."""
    inside, flags = False, []
    for character in text:
        inside = inside and character != "\n"
        flags.append(inside)
        inside = inside or character == "#"
    count = (len(text) - 1) // context
    return [sum(flags[i * context + 1 : (i + 1) * context + 1]) for i in range(count)]


@given(text=st.text(alphabet="a#\n", min_size=2, max_size=80), context=st.integers(1, 9))
def test_comment_bytes_against_a_loop(text, context):
    assert subset.comment_bytes(content(text), context=context).tolist() == slow_comment_bytes(text, context)


def test_most_comments_first_and_of_equal_ones_the_earlier():
    text = "_" + "aaaa" + "#bbb" + "\n#cc" + "\naaa" + "#bb\n" + "#bbb"
    assert subset.comment_bytes(content(text), context=4).tolist() == [0, 3, 2, 0, 2, 3]
    best = {1: [1], 2: [1, 5], 3: [1, 2, 5], 4: [1, 2, 4, 5], 5: [0, 1, 2, 4, 5]}
    for samples, wanted in best.items():
        found = subset.commented(np.arange(6), samples=samples, content=content(text), context=4)
        assert found.tolist() == wanted
    found = subset.commented(np.array([0, 2, 4]), samples=1, content=content(text), context=4)
    assert found.tolist() == [2]


@given(windows=st.integers(1, 60), samples=st.integers(1, 60))
def test_a_spread_sample_takes_as_much_of_every_stretch(windows, samples):
    samples = min(samples, windows)
    found = subset.spread(np.arange(windows), samples=samples)
    assert len(set(found.tolist())) == samples
    gaps = np.diff(found, append=windows)
    assert gaps.max() - gaps.min() <= 1
    for part in np.array_split(np.arange(windows), 3):
        share = len(part) * samples / windows
        assert abs(np.isin(part, found).sum() - share) <= 1


@pytest.mark.parametrize("ranked", [None, "comments"])
def test_more_samples_than_windows_are_refused(ranked):
    more = {"ranked": ranked, "content": content("ab#c\n"), "context": 2}
    assert subset.choose(np.arange(2), samples=2, **more).tolist() == [0, 1]
    with pytest.raises(DataError, match=r"samples=3 must be at most 2, the training windows of context=2"):
        subset.choose(np.arange(2), samples=3, **more)


def test_a_ranking_is_quick():
    """A tenth of the Python corpus; the whole takes 0.25 s on one core."""
    line = b"x = f(y)\n" * 12 + b"    # A comment of some length\n"
    text = np.frombuffer(line * (5_500_000 // len(line)), np.uint8)
    start = time.perf_counter()
    subset.comment_bytes(text, context=64)
    assert time.perf_counter() - start < 0.5
