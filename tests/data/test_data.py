"""Order of the examples, data sets in memory, and the choice of a source."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common import config, data
from common.config import Bigram, Corpus, Data, DescriptionError, Digits, Files, HuggingFace, TanhTeacher, Teacher
from common.data import Arrays, Batch, indices

sizes = st.integers(1, 40)


@given(size=sizes, seed=st.integers(0, 5), position=st.integers(0, 200), count=st.integers(1, 130))
def test_positions_can_be_cut_into_batches_in_any_way(size, seed, position, count):
    whole = indices(seed=seed, position=position, count=count, size=size)
    singles = [indices(seed=seed, position=position + i, count=1, size=size)[0] for i in range(count)]
    assert whole.tolist() == singles


@given(size=sizes, seed=st.integers(0, 5), epoch=st.integers(0, 9))
def test_an_epoch_holds_each_example_once(size, seed, epoch):
    order = indices(seed=seed, position=epoch * size, count=size, size=size)
    assert sorted(order) == list(range(size))


def test_epochs_and_seeds_have_different_orders():
    orders = [indices(seed=seed, position=50 * epoch, count=50, size=50) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_the_cached_order_cannot_be_changed_by_a_caller():
    before = indices(seed=0, position=0, count=5, size=9)
    before += 1
    assert (indices(seed=0, position=0, count=5, size=9) == before - 1).all()


@pytest.mark.parametrize(("position", "count"), [(-1, 2), (0, 0)])
def test_senseless_positions_are_refused(position, count):
    with pytest.raises(ValueError, match=f"position={position} .* count={count}"):
        indices(seed=0, position=position, count=count, size=9)


def arrays(count: int) -> Arrays:
    train = Batch(torch.arange(2.0 * count).reshape(count, 2), torch.arange(count))
    return Arrays(name="a", digest="d", loss="cross_entropy", outputs=count, train=train, held_out=train)


def test_arrays_give_inputs_with_their_own_targets():
    found = arrays(7)
    batch = found.batch(seed=3, position=5, count=11)
    assert (found.size, found.inputs, found.context) == (7, 2, None)
    assert torch.equal(batch.inputs[:, 0], 2.0 * batch.targets)
    assert batch.targets.tolist() == indices(seed=3, position=5, count=11, size=7).tolist()


def test_no_count_gives_the_whole_training_set_in_order():
    assert arrays(7).batch(seed=3, position=5, count=None).targets.tolist() == list(range(7))


@given(chunk=st.integers(1, 9))
def test_validation_chunks_put_together_are_the_validation_set(chunk):
    chunks = list(arrays(7).validation(chunk=chunk))
    assert torch.equal(torch.cat([part.inputs for part in chunks]), arrays(7).held_out.inputs)
    assert max(len(part.targets) for part in chunks) == min(chunk, 7)


TEACHER = Teacher(inputs=4, samples=8, exponent=1.0)
KINDS = {
    "digits": Digits(),
    "teacher": TEACHER,
    "tanh_teacher": TanhTeacher(inputs=4, hidden=3, outputs=2, samples=8, exponent=1.0),
    "bigram": Bigram(vocabulary=8, successors=2, context=6, validation_windows=4),
    "files": Files("common/data", context=8, validation_windows=4),
    "mixture": config.Mixture(TEACHER, dataclasses.replace(TEACHER, samples=9), share=0.5),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_names_what_loads_it_and_tells_beforehand_what_it_will_be(kind, tmp_path):
    described = KINDS[kind]
    found = data.load(described, corpora=tmp_path)
    batch = found.batch(seed=0, position=0, count=3)
    assert described.kind == kind and Data.kinds()[kind] is type(described)
    assert (found.loss, found.context) == (described.loss, described.context)
    assert ("tokens" in described.gives) == (found.context is not None)
    assert described.classes_as_targets == (found.context is None and batch.targets.dtype == torch.int64)
    if described.validation_windows is not None:
        assert sum(len(part.inputs) for part in found.validation(chunk=3)) == described.validation_windows
    if kind in ("bigram", "mixture"):
        assert described.endless
        with pytest.raises(data.DataError, match="no full batch"):
            found.batch(seed=0, position=0, count=None)


def test_every_kind_has_its_loader():
    found = {word: kind for word, kind in Data.kinds().items() if kind.__module__.startswith("common.")}
    assert KINDS.keys() | {"corpus", "huggingface"} <= found.keys()
    for kind in found.values():
        assert callable(config.named(kind.code))


def test_a_digest_knows_what_decides_and_the_content_and_no_more():
    plain = data.description_digest(Digits())
    assert plain == data.description_digest(Digits(rotation=0, label_noise=0.0, standardised=False, samples=None))
    others = [Digits(rotation=5), Digits(standardised=True), Digits(loss="mse"), TEACHER]
    assert len({plain, data.description_digest(Digits(), content=b"a"), *map(data.description_digest, others)}) == 6


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Data(source="corpus", name="prose", context=64), r"Corpus\('prose', context=64\)"),
        (lambda: Data(source="digits", rotation=5.0), r"Digits\(rotation=5.0\)"),
        (lambda: Files("a.txt", context=4, permuted=0.5), "permuted=0.5 is no field of Files; it belongs to Corpus"),
        (lambda: HuggingFace("a/b", context=4, bytes_limit=9, samples=2), "no field of HuggingFace; it belongs to"),
        (
            lambda: Digits(context=4),
            "context=4 is no field of Digits; it belongs to Corpus, Files, HuggingFace, Bigram",
        ),
        (lambda: Corpus("prse", context=4), "did you mean 'prose'"),
        (lambda: Corpus("prose"), "context is missing"),
    ],
)
def test_a_description_of_another_kind_or_edition_is_refused(build, words):
    with pytest.raises(DescriptionError, match=words):
        build()


def test_the_corpora_are_built_without_torch():
    code = "import sys, common.data.corpora; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_indices_are_a_uniform_draw():
    """Each example comes first in about equally many epochs: chi-square with 4 degrees of freedom, 99.9 % quantile."""
    first = [indices(seed=seed, position=0, count=1, size=5)[0] for seed in range(500)]
    counts = np.bincount(first, minlength=5)
    assert ((counts - 100) ** 2 / 100).sum() < 18.47
