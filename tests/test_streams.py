"""Named random streams."""

import subprocess
import sys

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.streams import stream, torch_stream

names = st.lists(st.text(max_size=8) | st.integers(0, 2**40), max_size=3)


def test_golden_values():
    """Equal numbers on every machine and in every version of this repository."""
    assert stream(3, "data").integers(1000, size=3).tolist() == [772, 73, 375]
    assert torch_stream(3, "data").initial_seed() == 6898333990354536650


@given(seed=st.integers(0, 2**32), names=names)
def test_equal_names_give_equal_numbers(seed, names):
    np.testing.assert_array_equal(stream(seed, *names).random(4), stream(seed, *names).random(4))
    draws = [torch.rand(4, generator=torch_stream(seed, *names)) for _ in range(2)]
    assert torch.equal(*draws)


@given(seed=st.integers(0, 2**32), one=names, other=names)
def test_other_names_or_seeds_give_other_numbers(seed, one, other):
    if one != other:
        assert stream(seed, *one).random() != stream(seed, *other).random()
    assert stream(seed, *one).random() != stream(seed + 1, *one).random()


def test_names_are_never_padded():
    """numpy seeds [0], [0, 0] and [0, 0, 0] alike."""
    draws = {stream(0, *[0] * count).random() for count in range(4)} | {
        stream(1, 2**35).random(),
        stream(1, 0, 8).random(),
    }
    assert len(draws) == 6


def test_streams_are_uncorrelated():
    first, second = (stream(0, "data", epoch).standard_normal(20_000) for epoch in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(20_000)


def test_numpy_streams_need_no_torch():
    code = "import sys, common.streams; common.streams.stream(0); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
