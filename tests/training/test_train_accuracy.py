"""The probe of the training accuracy: answers counted one by one, for classes and for scored tokens."""

import dataclasses

import pytest
import torch

from common import data
from common.config import (
    DescriptionError,
    Digits,
    ModularAddition,
    Run,
    ScheduleFree,
    Teacher,
    TrainAccuracy,
    Transformer,
)
from common.data import DataError
from common.data.losses import IGNORED
from common.optim import optimizers
from common.training import probes
from common.training.loop import Training, columns

SUMS = ModularAddition(modulus=7, train_share=0.5)


def load(described):
    return data.load(described, corpora=None)


@pytest.fixture
def sums_run():
    """Thirty updates of a small transformer on sums."""
    return Run(
        model=Transformer(width=16, depth=1, heads=2),
        data=SUMS,
        lr=1e-2,
        steps=30,
        seed=0,
        log_every=30,
        probes=(TrainAccuracy(steps=(0, 30)),),
    )


def subject(training, *, examples=None):
    probe = TrainAccuracy(every=1, examples=examples)
    return dataclasses.replace(training._subject(training.run.probes[0]), probe=probe)


def trained(run, *, updates):
    if not run.probes:
        run = dataclasses.replace(run, probes=(TrainAccuracy(every=1),))
    training = Training(run, load(run.data))
    for _ in range(updates):
        training.step(training.backward())
    return training


def counted(training, batch):
    """The share of right answers, one example and one target at a time."""
    right = []
    with torch.no_grad():
        for inputs, targets in zip(*batch, strict=True):
            logits = training.model(inputs[None])[0].view(-1, training.dataset.outputs)
            for scores, target in zip(logits.tolist(), targets.view(-1).tolist(), strict=True):
                if target != IGNORED:
                    right.append(scores.index(max(scores)) == target)
    return sum(right) / len(right)


@pytest.mark.parametrize("updates", [0, 10])
@pytest.mark.parametrize("name", ["digits_run", "sums_run"])
def test_right_answers_are_counted_one_by_one(name, updates, request):
    training = trained(request.getfixturevalue(name), updates=updates)
    whole = training.dataset.batch(seed=0, position=0, count=None)
    found = probes.train_accuracy(subject(training))
    assert found == {"train_accuracy": pytest.approx(counted(training, whole), abs=1e-12)}


@pytest.mark.parametrize("name", ["digits_run", "sums_run"])
def test_some_examples_are_the_first_of_an_order_that_no_seed_changes(name, request):
    run = request.getfixturevalue(name)
    for seed in (0, 5):
        training = trained(dataclasses.replace(run, seed=seed), updates=5)
        some = training.dataset.batch(seed=0, position=0, count=20)
        assert probes.train_accuracy(subject(training, examples=20))["train_accuracy"] == counted(training, some)


@pytest.mark.parametrize("name", ["digits_run", "sums_run"])
def test_chunks_change_nothing(name, request, monkeypatch):
    training = trained(request.getfixturevalue(name), updates=5)
    whole = probes.train_accuracy(subject(training))
    sizes = []
    training.model.register_forward_hook(lambda _module, given, _made: sizes.append(len(given[0])))
    monkeypatch.setattr(probes, "MANY", 10)
    assert probes.train_accuracy(subject(training)) == whole
    assert sum(sizes) == training.dataset.size
    assert set(sizes[:-1]) == {10}


def test_only_targets_that_are_scored_count(text_run):
    """On text all targets are scored: as many as examples times context."""
    run = dataclasses.replace(text_run, probes=(TrainAccuracy(every=1, examples=7),))
    training = Training(run, load(run.data))
    some = training.dataset.batch(seed=0, position=0, count=7)
    share = probes.train_accuracy(subject(training, examples=7))["train_accuracy"]
    assert share == counted(training, some)
    assert share * 7 * 16 == pytest.approx(round(share * 7 * 16))


def test_a_network_that_knows_all_sums_by_heart(sums_run):
    rows = list(Training(dataclasses.replace(sums_run, steps=100, probes=(TrainAccuracy(every=100),)), load(SUMS)))
    assert [("train_accuracy" in row) for row in rows] == [row["step"] in (0, 100) for row in rows]
    assert rows[0]["train_accuracy"] < 0.5
    assert rows[-1]["train_accuracy"] == 1


def test_it_has_its_column_and_changes_no_training(sums_run):
    assert columns(sums_run, load(SUMS))[-1] == "train_accuracy"
    ends = [
        list(Training(dataclasses.replace(sums_run, probes=probes), load(SUMS)))[-1]["val_loss"]
        for probes in ((), (TrainAccuracy(every=3),))
    ]
    assert ends[0] == ends[1]


def test_the_weights_are_those_to_be_evaluated(digits_run):
    training = trained(dataclasses.replace(digits_run, optimizer=ScheduleFree(), lr=0.01), updates=10)
    training.done = training.run.steps
    row = training._row()
    whole = training.dataset.batch(seed=0, position=0, count=None)
    with optimizers.evaluation(training.optimizer):
        assert row["train_accuracy"] == pytest.approx(counted(training, whole), abs=1e-12)


@pytest.mark.parametrize("name", ["digits_run", "sums_run"])
def test_more_examples_than_there_are_is_an_error(name, request):
    training = trained(request.getfixturevalue(name), updates=0)
    size = training.dataset.size
    assert probes.train_accuracy(subject(training, examples=size)) == probes.train_accuracy(subject(training))
    with pytest.raises(DataError, match=f"examples={size + 1} of probe 'train_accuracy' must be at most {size}"):
        probes.train_accuracy(subject(training, examples=size + 1))


@pytest.mark.parametrize("described", [Digits(loss="mse"), Teacher(inputs=4, samples=8, exponent=1.0)])
def test_targets_that_are_no_answers_are_an_error(described, digits_run):
    with pytest.raises(DescriptionError, match=r"'train_accuracy' needs answers .* and loss='mse' has none"):
        dataclasses.replace(digits_run, data=described, batch_size=None, probes=(TrainAccuracy(every=1),))


def test_text_without_an_end_needs_a_number_of_examples(text_run):
    with pytest.raises(DescriptionError, match="'train_accuracy' needs examples, how many to read"):
        dataclasses.replace(text_run, probes=(TrainAccuracy(every=1),))
