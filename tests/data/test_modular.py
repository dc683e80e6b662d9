"""Modular addition: every pair once, scored at the equals sign, split alike for all runs; a transformer learns it."""

import math
import re

import pytest
import torch
from torch.nn import functional

from common.config import AdamW, Constant, DescriptionError, Digits, ModularAddition, Run, Transformer
from common.data import load
from common.data.losses import IGNORED
from common.training.evaluation import evaluate, token_losses
from common.training.loop import Training


def modular(modulus=7, train_share=0.5):
    return load(ModularAddition(modulus=modulus, train_share=train_share), corpora=None)


def pairs(batch):
    return [(a, b) for a, b, _ in batch.inputs.tolist()]


def held_out(dataset):
    batches = list(dataset.validation(chunk=5))
    assert all(len(batch.inputs) <= 5 for batch in batches)
    return [pair for batch in batches for pair in pairs(batch)]


@pytest.mark.parametrize(("modulus", "train_share"), [(2, 0.5), (7, 0.3), (13, 0.9)])
def test_every_pair_occurs_once_on_one_of_the_two_sides(modulus, train_share):
    dataset = modular(modulus, train_share)
    assert sorted(pairs(dataset.train) + held_out(dataset)) == [(a, b) for a in range(modulus) for b in range(modulus)]
    assert dataset.size == len(dataset.train.inputs) == round(train_share * modulus**2)


def test_only_the_sum_is_scored():
    dataset = modular()
    for batch in (dataset.train, dataset.held_out):
        assert (batch.inputs.dtype, batch.targets.dtype) == (torch.int64, torch.int64)
        a, b, equals = batch.inputs.t()
        assert (equals == 7).all()
        assert (batch.targets[:, :2] == IGNORED).all()
        assert torch.equal(batch.targets[:, 2], (a + b) % 7)


def test_the_equals_sign_is_one_more_token():
    dataset = modular()
    assert (dataset.inputs, dataset.outputs, dataset.context, dataset.loss) == (8, 8, 3, "cross_entropy")


def test_the_split_is_the_same_for_every_run_and_larger_shares_hold_smaller_ones():
    assert pairs(modular().train) == pairs(modular().train)
    small, large = (set(pairs(modular(train_share=share).train)) for share in (0.3, 0.6))
    assert small < large
    assert modular().digest == modular().digest
    assert len({modular(7, 0.3).digest, modular(7, 0.6).digest, modular(11, 0.3).digest}) == 3


def test_an_epoch_is_a_permutation_by_seed_and_the_whole_set_is_a_batch():
    dataset = modular()
    whole = dataset.batch(seed=0, position=0, count=None)
    epochs = [dataset.batch(seed=seed, position=0, count=dataset.size) for seed in (0, 1)]
    assert pairs(epochs[0]) != pairs(epochs[1])
    assert sorted(pairs(epochs[0])) == sorted(pairs(epochs[1])) == sorted(pairs(whole))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"modulus": 1, "train_share": 0.5}, "modulus=1 must be at least 2"),
        ({"modulus": 7, "train_share": 0.0}, "train_share=0.0 gives 0 of 49 pairs to training"),
        ({"modulus": 7, "train_share": 0.995}, "train_share=0.995 gives 49 of 49 pairs to training"),
        ({"modulus": 7, "train_share": -1}, "some must be trained on, and some left to validate on"),
        ({"modulus": 7, "train_share": 0.5, "context": 8}, "context=8 is no field of ModularAddition"),
    ],
)
def test_faulty_descriptions_are_refused(fields, message):
    with pytest.raises(DescriptionError, match=re.escape(message)):
        ModularAddition(**fields)


def run(data, **fields):
    settings = {"model": Transformer(width=32, depth=1, heads=2), "lr": 1e-2, "steps": 3, "seed": 0}
    return Run(data=data, **(settings | fields))


def test_networks_of_one_modulus_read_any_share():
    data, other = (ModularAddition(modulus=7, train_share=share) for share in (0.3, 0.6))
    assert run(data, watched={"other": other}).watched == {"other": other}
    for different in (ModularAddition(modulus=11, train_share=0.3), Digits()):
        with pytest.raises(DescriptionError, match=r"watched\['other'\] has (modulus|kind)="):
            run(data, watched={"other": different})


def test_the_validation_loss_is_per_sum():
    training = Training(run(ModularAddition(modulus=7, train_share=0.5)), modular())
    found = evaluate(training.model, training.dataset)["val_loss"]
    inputs, targets = training.dataset.held_out
    by_hand = functional.cross_entropy(training.model(inputs)[:, -1], targets[:, -1])
    assert found == pytest.approx(by_hand.item(), rel=1e-6)
    scored = ~token_losses(training.model, training.dataset).isnan()
    assert (scored == torch.tensor([False, False, True])).all()


@pytest.mark.parametrize("batch_size", [None, 8])
def test_a_transformer_trains_on_batches_and_on_the_whole_set(batch_size):
    training = Training(run(ModularAddition(modulus=7, train_share=0.5), batch_size=batch_size, log_every=1), modular())
    rows = list(training)
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    assert training.position == 3 * (batch_size or 24)
    assert all(math.isfinite(row["train_loss"]) for row in rows[1:])


def test_a_transformer_finds_the_rule():
    """From 0.8 of the sums modulo 11 to the others, far below the loss log(11) of a guess among the numbers."""
    described = run(
        ModularAddition(modulus=11, train_share=0.8),
        optimizer=AdamW(beta2=0.98, weight_decay=3.0),
        schedule=Constant(warmup_steps=10),
        steps=400,
        log_every=400,
    )
    rows = list(Training(described, modular(11, 0.8)))
    assert rows[-1]["val_loss"] < 0.7 * math.log(11) < rows[0]["val_loss"]
