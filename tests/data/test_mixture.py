"""Two interleaved data sets: counts, places and order against a slow twin."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch

from common import config
from common.config import DescriptionError, Digits, TanhTeacher
from common.data import DataError, load
from common.data.mixture import Mixture

NEW = TanhTeacher(inputs=3, hidden=2, outputs=2, samples=50, exponent=1.0)
OLD = dataclasses.replace(NEW, samples=40)


def mixed(share: float = 0.25) -> Mixture:
    return load(config.Mixture(NEW, OLD, share=share), corpora=None)


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
    for batch, wanted in zip(data.validation(chunk=100), load(NEW, corpora=None).validation(chunk=100), strict=True):
        assert torch.equal(batch.inputs, wanted.inputs)
    assert (data.size, data.outputs, data.loss) == (50, 2, "mse")


def test_the_digest_knows_both_contents_and_the_share():
    other = load(config.Mixture(NEW, dataclasses.replace(NEW, samples=41), share=0.25), corpora=None)
    assert len({mixed().digest, mixed(0.5).digest, other.digest, load(NEW, corpora=None).digest}) == 4


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
    ("parts", "fields", "words"),
    [
        ((NEW,), {"share": 0.5}, "second is missing"),
        ((NEW, OLD), {}, "share is missing"),
        ((NEW, OLD), {"share": 0.0}, r"share=0\.0 must be greater than 0"),
        ((NEW, OLD), {"share": 1.0}, r"share=1\.0 must be below 1"),
        ((NEW, Digits()), {"share": 0.5}, "second has kind='digits'.*make them equal"),
        ((NEW, dataclasses.replace(NEW, outputs=3)), {"share": 0.5}, "second has outputs=3, but data has 2"),
    ],
)
def test_what_cannot_be_mixed_is_refused(parts, fields, words):
    with pytest.raises(DescriptionError, match=words):
        config.Mixture(*parts, **fields)


def test_parts_are_single_data_sets():
    nested = config.Mixture(NEW, config.Mixture(NEW, OLD, share=0.5), share=0.5)
    assert nested.parts == [NEW, NEW, OLD]


def test_the_first_part_of_a_mixture_may_be_mixed_too():
    """Half of the places hold the first part, and of these a quarter the old data."""
    inner = config.Mixture(NEW, OLD, share=0.25)
    data = load(config.Mixture(inner, OLD, share=0.5), corpora=None)
    batch = data.batch(seed=3, position=0, count=80)
    second = torch.tensor(slow(0.5, 80))
    for wanted, whole in zip(mixed(0.25).batch(seed=3, position=0, count=40), batch, strict=True):
        assert torch.equal(whole[~second], wanted)


def test_a_mixture_is_to_a_network_what_its_first_part_is():
    described = config.Mixture(NEW, OLD, share=0.5)
    assert described.interface() == NEW.interface() and described.misfit(NEW) is None
    assert (described.gives, described.label, described.held_out) == (NEW.gives, NEW.label, NEW.held_out)
    assert (described.loss, described.context, described.validation_windows) == ("mse", None, None)
    assert described.endless and not NEW.endless
