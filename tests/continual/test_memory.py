"""Memories and the batches of past tasks: which examples, how many of each class, and that streams stay apart."""

import numpy as np
import pytest
import torch

from common import data
from common.config import Bigram, Continual, Digits
from common.continual.memory import Memory, Past, class_balanced, reservoir
from common.data import DataError

DIGITS = data.load(Digits(), corpora=None)
TURNED = data.load(Digits(rotation=80), corpora=None)
LANGUAGE = data.load(Bigram(vocabulary=8, successors=4, context=6), corpora=None)


def rows(batch):
    """Examples as hashable rows, with their targets."""
    return [tuple(x.tolist()) + tuple(y.flatten().tolist()) for x, y in zip(*batch, strict=True)]


@pytest.mark.parametrize("keep", [reservoir, class_balanced])
def test_a_memory_holds_different_training_examples_drawn_from_its_seed(keep):
    kept = keep(DIGITS, examples=100, seed=1).examples
    everything = rows(DIGITS.batch(seed=0, position=0, count=None))
    assert len(set(rows(kept))) == 100 and set(rows(kept)) <= set(everything)
    assert rows(keep(DIGITS, examples=100, seed=1).examples) == rows(kept)
    assert rows(keep(DIGITS, examples=100, seed=2).examples) != rows(kept)


@pytest.mark.parametrize("examples", [7, 100, 104])
def test_classes_are_balanced_to_one_example(examples):
    counts = np.bincount(class_balanced(DIGITS, examples=examples, seed=3).examples.targets, minlength=10)
    assert counts.sum() == examples and counts.max() - counts.min() <= 1


def test_a_class_that_is_used_up_leaves_its_turns_to_the_others():
    few = data.load(Digits(samples=60), corpora=None)
    there = np.bincount(few.train.targets, minlength=10)
    kept = np.bincount(class_balanced(few, examples=55, seed=0).examples.targets, minlength=10)
    full = np.sort(there)[::-1]
    level = next(n for n in range(60) if np.minimum(full, n).sum() >= 55)
    assert (kept <= there).all() and ((kept >= level - 1) | (kept == there)).all()


def test_a_reservoir_takes_every_example_equally_often():
    few = data.load(Digits(samples=20), corpora=None)
    places = {row: i for i, row in enumerate(rows(few.batch(seed=0, position=0, count=None)))}
    counts = np.zeros(20)
    for seed in range(400):
        for row in rows(reservoir(few, examples=5, seed=seed).examples):
            counts[places[row]] += 1
    assert (abs(counts - 100) < 4 * np.sqrt(400 * 0.25 * 0.75)).all()


def test_every_epoch_of_a_memory_is_a_permutation_of_it():
    memory = reservoir(DIGITS, examples=10, seed=0)
    whole = [memory.batch(seed=4, position=position, count=5) for position in (0, 5, 10, 15)]
    assert [sorted(rows(a) + rows(b)) for a, b in (whole[:2], whole[2:])] == [sorted(rows(memory.examples))] * 2
    in_order = [row for part in whole for row in rows(part)]
    assert rows(memory.batch(seed=4, position=3, count=9)) == in_order[3:12]
    assert memory.batch(seed=4, position=7, count=None) is memory.examples


@pytest.mark.parametrize("fields", [{"replay": "all"}, {"replay": "memory", "memory": 30}])
def test_past_batches_depend_on_seed_and_position_alone(fields):
    described = Continual(past=(Digits(), Digits(rotation=80)), **fields)
    first, again, other = (Past.of(described, [DIGITS, TURNED], seed=seed) for seed in (0, 0, 1))
    batches = first.batches(position=640, count=64)
    assert [len(batch.inputs) for batch in batches] == [64, 64]
    assert list(map(rows, batches)) == list(map(rows, again.batches(position=640, count=64)))
    assert list(map(rows, batches)) != list(map(rows, other.batches(position=640, count=64)))


def test_tasks_of_one_size_are_not_drawn_in_step():
    past = Past.of(Continual(past=(Digits(),) * 2, replay="all"), [DIGITS, DIGITS], seed=0)
    batches = [rows(DIGITS.batch(seed=0, position=0, count=64)), *map(rows, past.batches(position=0, count=64))]
    assert all(len(set(a) & set(b)) < 20 for a, b in zip(batches, batches[1:] + batches[:1], strict=True))


def test_a_memory_grows_by_the_new_task_and_keeps_the_old_ones():
    described = [Continual(past=(Digits(),) * k, replay="memory", memory=30) for k in (1, 2)]
    one, two = (Past.of(each, [DIGITS, TURNED][: len(each.past)], seed=5) for each in described)
    assert torch.equal(one.sources[0].examples.inputs, two.sources[0].examples.inputs)
    assert one.seed == two.seed and isinstance(two.sources[1], Memory)


def test_a_language_without_end_can_be_remembered():
    kept = reservoir(LANGUAGE, examples=12, seed=0)
    assert kept.examples.inputs.shape == (12, 6)
    assert kept.batch(seed=0, position=0, count=30).targets.shape == (30, 6)


def test_a_memory_larger_than_its_task_is_refused():
    described = Continual(past=(Digits(),), replay="memory", memory=1438)
    with pytest.raises(DataError, match="memory=1438 must be at most 1437, the training examples of data 'digits'"):
        Past.of(described, [DIGITS], seed=0)
