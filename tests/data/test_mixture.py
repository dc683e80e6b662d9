"""Two data sets by turns: counts, places and order against a slow twin."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from common.config import Data
from common.data import DataError, load
from common.data.mixture import Mixture
from common.description import DescriptionError

NEW = {"source": "tanh_teacher", "inputs": 3, "hidden": 2, "outputs": 2, "samples": 50, "exponent": 1.0}
OLD = Data(**{**NEW, "samples": 40})


def mixed(share: float = 0.25) -> Mixture:
    return load(Data(**NEW, mixed_with=OLD, mixed_share=share), corpora=None)


def slow(share: float, count: int) -> list[bool]:
    """Whether each place holds an example of the second part, one after the other in exact arithmetic."""
    exact, places = Fraction(str(share)), []
    for place in range(count):
        places.append(sum(places) + 1 <= exact * (place + 1))
    return places


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.25, 0.29, 0.5, 0.9])
def test_every_place_is_that_of_the_slow_twin(share):
    data, count = mixed(share), 300
    second = np.diff(data.behind(np.arange(count + 1))) > 0
    assert second.tolist() == slow(share, count)
    gaps = np.diff(np.flatnonzero(second))
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_each_part_is_read_in_its_own_order(share):
    data, count = mixed(share), 130
    batch = data.batch(seed=3, position=0, count=count)
    second = torch.tensor(slow(share, count))
    for part, where in ((data.first, ~second), (data.second, second)):
        alone = part.batch(seed=3, position=0, count=int(where.sum()))
        for whole, wanted in zip(batch, alone, strict=True):
            assert torch.equal(whole[where], wanted)


@pytest.mark.parametrize("share", [0.05, 0.25, 0.9])
def test_any_cut_gives_the_same_examples(share):
    data = mixed(share)
    whole = data.batch(seed=1, position=7, count=60)
    cuts = [data.batch(seed=1, position=7 + first, count=6) for first in range(0, 60, 6)]
    for place, wanted in enumerate(whole):
        assert torch.equal(torch.cat([cut[place] for cut in cuts]), wanted)


def test_validation_is_that_of_the_first_part():
    data = mixed()
    for batch, wanted in zip(
        data.validation(chunk=100), load(Data(**NEW), corpora=None).validation(chunk=100), strict=True
    ):
        assert torch.equal(batch.inputs, wanted.inputs)
    assert (data.size, data.outputs, data.loss) == (50, 2, "mse")


def test_the_digest_knows_both_contents_and_the_share():
    other = load(Data(**NEW, mixed_with=Data(**{**NEW, "samples": 41}), mixed_share=0.25), corpora=None)
    assert len({mixed().digest, mixed(0.5).digest, other.digest, load(Data(**NEW), corpora=None).digest}) == 4


@pytest.mark.parametrize("share", [2 / 3, 0.1 + 0.2])
def test_shares_of_many_digits_hold_far_into_a_run(share):
    places = np.arange(10**9, 10**9 + 300)
    behind = mixed(share).behind(places)
    assert behind[0] == pytest.approx(share * 10**9, abs=1)
    assert set(np.diff(behind)) <= {0, 1}


def test_there_is_no_full_batch():
    with pytest.raises(DataError, match="batch_size"):
        mixed().batch(seed=0, position=0, count=None)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mixed_with": OLD}, "give both or none"),
        ({"mixed_share": 0.5}, "give both or none"),
        ({"mixed_with": OLD, "mixed_share": 1.0}, "must lie between 0 and 1"),
        ({"mixed_with": Data(source="digits"), "mixed_share": 0.5}, "make them equal"),
        ({"mixed_with": Data(**{**NEW, "outputs": 3}), "mixed_share": 0.5}, "outputs=3, but data has 2"),
    ],
)
def test_what_cannot_be_mixed_is_refused(fields, words):
    with pytest.raises(DescriptionError, match=words):
        Data(**NEW, **fields)


def test_parts_are_single_data_sets():
    nested = Data(**NEW, mixed_with=Data(**NEW, mixed_with=OLD, mixed_share=0.5), mixed_share=0.5)
    assert nested.parts == [Data(**NEW), Data(**NEW), OLD]
