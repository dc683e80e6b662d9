"""What a run sees of the run that it continues."""

import dataclasses

import pytest

from common import config, data
from common.runs.job import Job, train
from common.runs.parent import Parent
from common.runs.place import Place
from common.training.loop import Training


@pytest.fixture
def child(tmp_path, digits_run) -> tuple[config.Run, Place]:
    """A run, with its place, that continues the second of three members of a sweep at a kept step."""
    trunk = dataclasses.replace(digits_run, steps=4, keep_steps=(3,), sweep={"seed": (5, 2, 7)})
    train(Job(place=Place("study", "trunk", tmp_path), run=trunk, code="code", scale="default", save_seconds=1e9))
    run = dataclasses.replace(digits_run, parent="trunk", parent_step=3)
    return run, Place("study", "child", tmp_path)


def test_a_run_that_starts_afresh_has_no_parent(digits_run, tmp_path):
    assert Parent.of(digits_run, Place("study", "run", tmp_path)) is None


def test_a_parent_may_be_of_another_study(digits_run, tmp_path):
    run = dataclasses.replace(digits_run, parent="other/trunk")
    assert Parent.of(run, Place("study", "child", tmp_path)).place == Place("other", "trunk", tmp_path)


def test_a_child_continues_the_member_with_its_values(child):
    run, place = child
    parent = Parent.of(run, place)
    single = config.members(parent.run)[1]
    assert single.seed == run.seed == 2
    alone = Training(single, data.load(run.data, corpora=None))
    list(alone)
    found = parent.state(run)
    assert (found.step, parent.start_step) == (3, 3)
    assert all((found.tensors[name] == tensor).all() for name, tensor in alone.kept[3].tensors.items())
    assert parent.reason(run) is None
    with pytest.raises(LookupError, match="has no member with seed=3 to continue"):
        parent.state(dataclasses.replace(run, seed=3))


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "bf16"},
        {"device": "cuda"},
        {"threads": 2},
        {"reset": ("weights",)},
        {"watched": {"own": config.Digits()}},
    ],
    ids=str,
)
def test_what_the_parent_measured_is_inherited_only_where_the_child_would_measure_the_same(child, change):
    run, place = child
    datasets = data.load_all(run, corpora=None)
    found = Parent.of(run, place).inherited(run, datasets)
    assert found.keys() == {"val_loss", "val_accuracy"}
    other = dataclasses.replace(run, **change)
    assert Parent.of(other, place).inherited(other, datasets) == {}


def test_what_is_watched_under_exchanged_words_is_measured_again(tmp_path, digits_run):
    """Both runs read the same data sets and have the same columns."""
    own, turned = digits_run.data, config.Digits(rotation=30)
    trunk = dataclasses.replace(digits_run, steps=2, watched={"a": own, "b": turned})
    train(Job(place=Place("study", "trunk", tmp_path), run=trunk, code="code", scale="default", save_seconds=1e9))
    for watched, count in (({"a": own, "b": turned}, 6), ({"a": turned, "b": own}, 0)):
        run = dataclasses.replace(digits_run, parent="trunk", watched=watched)
        parent = Parent.of(run, Place("study", "child", tmp_path))
        assert len(parent.inherited(run, data.load_all(run, corpora=None))) == count
