"""The average of the weights: by hand on a quadratic, against a slow loop, and through states and lineages."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from common import data
from common.config import MLP, SGD, AdamW, Constant, Digits
from common.optim.average import Average
from common.training import evaluation
from common.training.loop import Training, columns

NOWHERE = Path("no corpora")


def prepared(run, **given):
    datasets = data.load_all(run, corpora=NOWHERE)
    return Training(run, datasets[run.data], others=datasets, **given)


def trained(run, **given):
    training = prepared(run, **given)
    return training, list(training)


def part(training, prefix):
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in training.state().tensors.items()
        if name.startswith(prefix)
    }


def same_bits(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture
def run(digits_run):
    """Ten updates with an average, evaluated after each, on two sets."""
    watched = {"far": Digits(rotation=40)}
    return dataclasses.replace(digits_run, average=0.7, evaluate_every=1, watched=watched)


@pytest.mark.parametrize(("decay", "lr"), [(0.9, 0.3), (0.5, 1.5), (0.99, 0.02)])
def test_gradient_descent_on_a_quadratic_by_hand(decay, lr):
    """w_k = r**k w_0 with r = 1 - lr; the average is a geometric series of its powers."""
    model = nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        model.weight.fill_(2.0)
    average, r, a = Average(model, decay=decay), 1 - lr, decay
    for k in range(1, 30):
        with torch.no_grad():
            model.weight.sub_(lr * model.weight)
        average.update()
        wanted = 2 * (a**k + (1 - a) * r * (r**k - a**k) / (r - a))
        assert average.model.weight.item() == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert model.weight.item() == pytest.approx(2 * r**29)


def test_the_loop_averages_after_each_update(run):
    training = prepared(run)
    slow = {name: tensor.double() for name, tensor in part(training, "model.").items()}
    assert same_bits(part(training, "average."), part(training, "model."))
    for row in training:
        if training.done:
            slow = {name: 0.7 * slow[name] + 0.3 * tensor for name, tensor in part(training, "model.").items()}
        for name, tensor in part(training, "average.").items():
            torch.testing.assert_close(tensor.double(), slow[name], rtol=1e-5, atol=1e-7)
        twin = prepared(dataclasses.replace(run, average=None)).model
        twin.load_state_dict(part(training, "average."))
        for end, described in (("", run.data), ("_far", run.watched["far"])):
            dataset = data.load(described, corpora=NOWHERE)
            for name, value in evaluation.evaluate(twin, dataset, chunk=evaluation.MANY).items():
                assert row[f"average_{name}{end}"] == value
    assert training.done == 10 and row["average_val_loss"] != row["val_loss"]


def test_an_average_changes_nothing_else(run):
    (with_it, rows), (plain, wanted) = trained(run), trained(dataclasses.replace(run, average=None))
    assert [{name: v for name, v in row.items() if not name.startswith("average_")} for row in rows] == wanted
    assert same_bits(part(with_it, "model."), part(plain, "model."))
    assert same_bits(part(with_it, "optimizer."), part(plain, "optimizer."))
    names = columns(run, with_it.dataset)
    assert [name for name in names if name.startswith("average_")] == [
        f"average_{name}" for name in names if name.startswith("val_")
    ]
    assert {*columns(run, with_it.dataset)} >= {*rows[-1]}


@pytest.mark.parametrize("rule", [SGD(), AdamW()], ids=["sgd", "adamw"])
@pytest.mark.parametrize("stop", [1, 6])
def test_resuming_equals_uninterrupted_bit_for_bit(run, stop, rule):
    run = dataclasses.replace(run, optimizer=rule, evaluate_every=3)
    whole, whole_rows = trained(run)
    first, rows = prepared(run), []
    for row in first:
        rows.append(row)
        if first.done == stop:
            break
    second = prepared(run, resumed=first.state(), start_step=0)
    assert rows + list(second) == whole_rows
    assert same_bits(whole.state().tensors, second.state().tensors)


def test_a_branch_goes_on_with_the_average_of_its_parent(run):
    trunk = dataclasses.replace(run, keep_steps=(6,))
    whole, whole_rows = trained(trunk)
    kept = whole.kept[6]
    branch = dataclasses.replace(run, steps=4, parent="trunk", parent_step=6)
    child, rows = trained(branch, parent=kept)
    assert same_bits(whole.state().tensors, child.state().tensors)
    assert rows[0]["average_val_loss"] == whole_rows[6]["average_val_loss"] != rows[0]["val_loss"]
    afresh = prepared(dataclasses.replace(branch, reset=("optimizer",)), parent=kept)
    assert same_bits(part(afresh, "average."), part(prepared(branch, parent=kept), "average."))


@pytest.mark.parametrize("reset", [(), ("weights", "optimizer")])
def test_otherwise_it_starts_at_the_weights(run, reset):
    kept = trained(dataclasses.replace(run, average=0.5 if reset else None))[0].state()
    training, rows = trained(dataclasses.replace(run, parent="x", reset=reset), parent=kept)
    for name in ("loss", "accuracy", "loss_far", "accuracy_far"):
        assert rows[0][f"average_val_{name}"] == rows[0][f"val_{name}"]
    assert rows[-1]["average_val_loss"] != rows[-1]["val_loss"]
    without = dataclasses.replace(run, average=None, parent="x")
    assert not part(prepared(without, parent=training.state()), "average.")


def test_batch_normalisation_has_nothing_else_to_average(run):
    run = dataclasses.replace(run, model=MLP(width=8, depth=2, norm="batchnorm"))
    training, rows = trained(run)
    assert part(training, "average.").keys() == part(training, "model.").keys()
    assert abs(rows[-1]["average_val_loss"] - rows[-1]["val_loss"]) < 1


def test_text_has_an_average_too(text_run):
    run = dataclasses.replace(text_run, average=0.5, schedule=Constant())
    rows = trained(run)[1]
    assert rows[0]["average_val_loss"] == rows[0]["val_loss"] > rows[-1]["average_val_loss"] > rows[-1]["val_loss"]
