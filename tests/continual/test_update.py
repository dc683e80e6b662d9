"""Parts of continual learning put together in the loop: what equals what in bits, and each update by hand."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn import functional

from common import data
from common.config import MLP, SGD, Bigram, Continual, Digits, Run, ScheduleFree, Transformer, chosen
from common.continual.memory import Past, class_balanced, reservoir
from common.continual.projection import agem, gem
from common.continual.regularisers import distillation, fisher
from common.continual.update import Retention, new_weight
from common.data import DataError
from common.pipeline import provenance
from common.pipeline.studies import _mismatch
from common.training.loop import Training, columns

OLD, OLDER, NEW = Digits(samples=80), Digits(rotation=30), Digits(rotation=80)


@pytest.fixture(scope="module")
def base():
    """The first task, trained."""
    run = Run(
        model=MLP(width=12, depth=2, activation="tanh"),
        data=OLD,
        optimizer=SGD(momentum=0.9),
        lr=0.1,
        steps=30,
        batch_size=16,
        seed=3,
        log_every=1,
    )
    training = Training(run, data.load(OLD, corpora=None))
    list(training)
    return run, training.state()


def branch(base, *, past=(OLD,), **parts):
    """The run of the second task, with some parts of continual learning; plain without any."""
    fields = {"data": NEW, "steps": 6, "parent": "base"}
    continual = Continual(past=past, **parts) if parts or past != (OLD,) else None
    return dataclasses.replace(base[0], **fields, continual=continual)


def trained(run, state, *, updates=None):
    """The training after its updates, or after some, and its rows."""
    datasets = data.load_all(run, corpora=None)
    training = Training(run, datasets[run.data], others=datasets, parent=state)
    rows = []
    for row in training:
        rows.append(row)
        if training.done == updates:
            break
    return training, rows


def same_bits(left, right):
    a, b = left.state().tensors, right.state().tensors
    return a.keys() == b.keys() and all(a[name].numpy().tobytes() == b[name].numpy().tobytes() for name in a)


def without(rows, *names):
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


SAME_AS_FINE_TUNING = {
    "no options": {"replay": "none"},
    "replay without weight": {"replay": "memory", "memory": 20, "new_weight": 1},
    "joint without weight": {"replay": "all", "new_weight": 1},
    "ramp of one update": {"replay": "all", "new_weight": 1, "ramp_steps": 1},
}


@pytest.mark.parametrize("parts", SAME_AS_FINE_TUNING.values(), ids=SAME_AS_FINE_TUNING)
def test_fine_tuning_in_bits(base, parts, monkeypatch):
    monkeypatch.setattr(Retention, "_past_losses", None)  # not even read
    plain, plain_rows = trained(branch(base), base[1])
    run = branch(base, **parts)
    training, rows = trained(run, base[1])
    assert same_bits(plain, training)
    assert without(rows, "new_weight") == plain_rows
    assert set().union(*rows) <= set(columns(run, training.dataset))


@pytest.mark.parametrize("kind", ["agem", "gem"])
def test_a_projection_that_has_nothing_to_do_changes_no_bit(base, kind):
    """The past task is the new one, all of it at once: its gradient is the update's."""
    parts = {"past": (NEW,), "projection": kind}
    runs = [dataclasses.replace(branch(base, **more), batch_size=None) for more in ({}, parts)]
    (plain, _), (training, rows) = (trained(run, base[1]) for run in runs)
    assert same_bits(plain, training)
    assert [row["projected"] for row in rows[1:]] == [0.0] * 6


def gradients_of(training, weights, run):
    """Gradients of the new batch and of each past one at some weights, float64 (size,)."""
    past = Past.of(run.continual, training.past, seed=run.seed)
    batches = [training.next_batch(), *past.batches(position=training.position, count=run.batch_size)]
    return [gradient(training, weights, batch) for batch in batches], batches


def gradient(training, weights, batch):
    leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    loss = functional.cross_entropy(functional_call(training.model, leaves, (batch.inputs,)), batch.targets)
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(leaves.values()))]).double()


def now(training):
    return {name: weight.detach().clone() for name, weight in training.model.named_parameters()}


def filled(training):
    """The gradient that the engine makes of the upcoming batch."""
    loss = training.backward()
    return torch.cat([weight.grad.flatten() for weight in training.model.parameters()]).double(), float(loss.detach())


@pytest.mark.parametrize("past", [(OLD,), (OLD, OLDER)], ids=["two tasks", "three tasks"])
@pytest.mark.parametrize("parts", [{"replay": "all"}, {"replay": "memory", "memory": 20, "new_weight": 0.3}])
def test_replay_weighs_the_gradients(base, past, parts):
    run = branch(base, past=past, **parts)
    training, _ = trained(run, base[1], updates=2)
    (new, *old), _ = gradients_of(training, now(training), run)
    w = parts.get("new_weight", 1 / (len(past) + 1))
    torch.testing.assert_close(filled(training)[0], w * new + (1 - w) * sum(old) / len(old), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", ["agem", "gem"])
@pytest.mark.parametrize("parts", [{}, {"memory": 10}, {"replay": "all", "new_weight": 0.9}])
def test_what_is_projected_is_the_gradient_of_the_whole_loss(base, kind, parts):
    run = branch(base, past=(OLD, OLDER), projection=kind, **parts, **({"margin": 0.2} if kind == "gem" else {}))
    training, _ = trained(run, base[1], updates=3)
    (new, *old), _ = gradients_of(training, now(training), run)
    w = parts.get("new_weight", 1.0)
    whole = w * new + (1 - w) * sum(old) / 2
    wanted = agem(whole, torch.stack(old)) if kind == "agem" else gem(whole, torch.stack(old), margin=0.2)
    torch.testing.assert_close(filled(training)[0], wanted, rtol=1e-4, atol=1e-6)


def test_fine_tuning_on_a_turned_task_is_projected_now_and_then(base):
    shares = {}
    for every in (1, 6):
        run = dataclasses.replace(branch(base, projection="agem"), log_every=every)
        shares[every] = [row["projected"] for row in trained(run, base[1])[1] if "projected" in row]
    assert set(shares[1]) <= {0.0, 1.0} and sum(shares[1]) > 0
    assert shares[6] == [pytest.approx(np.mean(shares[1]))]


def test_a_teacher_is_the_starting_network(base):
    run = branch(base, distillation=0.7, temperature=2.0)
    training, _ = trained(run, base[1], updates=3)
    start = {name.removeprefix("model."): t for name, t in base[1].tensors.items() if name.startswith("model.")}
    batch = training.next_batch()
    outputs = training.model(batch.inputs)
    taught = functional_call(training.model, start, (batch.inputs,)).detach()
    loss = functional.cross_entropy(outputs, batch.targets)
    loss = loss + 0.7 * distillation(outputs, taught, loss="cross_entropy", temperature=2.0)
    assert filled(training)[1] == pytest.approx(float(loss.detach()), rel=1e-6)


def test_a_teacher_teaches_the_classes_that_it_knows(base):
    first, second = Digits(classes=(0, 1)), Digits(classes=(2, 3))
    run = dataclasses.replace(
        base[0], data=second, parent="base", steps=3, continual=Continual(past=(first,), distillation=1.0)
    )
    training, _ = trained(run, base[1], updates=2)
    start = {name.removeprefix("model."): t for name, t in base[1].tensors.items() if name.startswith("model.")}
    batch = training.next_batch()
    outputs = training.model(batch.inputs)
    taught = functional_call(training.model, start, (batch.inputs,)).detach()
    assert outputs.shape == (16, 10)
    loss = functional.cross_entropy(outputs, batch.targets)
    loss = loss + distillation(outputs[:, :2], taught[:, :2], loss="cross_entropy")
    assert filled(training)[1] == pytest.approx(float(loss.detach()), rel=1e-6)


def test_consolidation_pulls_to_the_start_by_the_fisher_of_all_past_tasks(base):
    run = branch(base, past=(OLD, OLDER), consolidation=50.0, fisher_examples=40)
    training, _ = trained(run, base[1], updates=3)
    datasets = data.load_all(run, corpora=None)
    start, _ = trained(branch(base), base[1], updates=0)
    each = [
        fisher(start.model, datasets[past].batch(seed=run.seed, position=0, count=40).inputs, loss="cross_entropy")
        for past in (OLD, OLDER)
    ]
    weights, anchors = now(training), now(start)
    pull = [50 * (each[0][name] + each[1][name]) * (weights[name] - anchors[name]) for name in weights]
    wanted = gradient(training, weights, training.next_batch()) + torch.cat([p.flatten() for p in pull]).double()
    torch.testing.assert_close(filled(training)[0], wanted, rtol=1e-3, atol=1e-6)


def test_a_strong_pull_keeps_the_weights(base):
    moved = {}
    for strength in (None, 1e3):
        parts = {"consolidation": strength} if strength else {}
        run = dataclasses.replace(branch(base, **parts), optimizer=SGD(), lr=1e-3, steps=60, reset=("optimizer",))
        training, _ = trained(run, base[1])
        start = {name.removeprefix("model."): t for name, t in base[1].tensors.items() if name.startswith("model.")}
        moved[strength] = sum(float((now(training)[name] - start[name]).square().sum()) for name in start)
    assert moved[1e3] < 0.5 * moved[None]


def test_weights_of_the_new_task_as_golden_values():
    past = (OLD,)
    assert new_weight(Continual(past=past), 0) == 1
    assert [new_weight(Continual(past=past * k, replay="all"), 7) for k in (1, 2, 4)] == [1 / 2, 1 / 3, 1 / 5]
    ramp = Continual(past=past, replay="all", ramp_steps=4)
    assert [new_weight(ramp, t) for t in range(6)] == [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    lwf = Continual(past=past, distillation=1.0, ramp_steps=2)
    assert [new_weight(lwf, t) for t in range(3)] == [0.5, 1, 1]


def test_a_row_tells_the_weight_of_its_update(base):
    run = dataclasses.replace(branch(base, replay="all", ramp_steps=4), log_every=2)
    rows = trained(run, base[1])[1]
    assert [row.get("new_weight") for row in rows] == [None, 0.25, 0.5, 0.5]


def test_a_batch_grows_by_its_size_for_each_task(base):
    run = branch(base, past=(OLD, OLDER), replay="all")
    training, _ = trained(run, base[1], updates=1)
    _, batches = gradients_of(training, now(training), run)
    assert [len(batch.inputs) for batch in batches] == [16, 16, 16]
    whole = dataclasses.replace(run, batch_size=None)
    training, _ = trained(whole, base[1], updates=1)
    assert [len(batch.inputs) for batch in gradients_of(training, now(training), whole)[1]] == [1437, 80, 1437]


ALL_PARTS = {
    "joint and agem": {"replay": "all", "projection": "agem"},
    "memory and gem": {"replay": "memory", "memory": 20, "selection": "class_balanced", "projection": "gem"},
    "lwf": {"distillation": 1.0, "temperature": 2.0, "ramp_steps": 4},
    "ewc": {"consolidation": 5.0, "fisher_examples": 30},
    "everything": {"replay": "all", "projection": "gem", "margin": 0.5, "distillation": 1.0, "consolidation": 5.0},
}


@pytest.mark.parametrize("kind", ["sgd", "schedule_free"])
@pytest.mark.parametrize("parts", ALL_PARTS.values(), ids=ALL_PARTS)
def test_resuming_equals_uninterrupted_bit_for_bit(base, parts, kind):
    run = branch(base, **parts)
    if kind != "sgd":
        run = dataclasses.replace(run, optimizer=ScheduleFree(), lr=0.01, reset=("optimizer",))
    whole, whole_rows = trained(run, base[1])
    first, rows = trained(run, base[1], updates=3)
    second = Training(
        run, first.dataset, others=first.others, parent=base[1],
        resumed=first.state(resumable=True), start_step=base[1].step,
    )  # fmt: skip
    assert rows + list(second) == whole_rows
    assert same_bits(whole, second)
    assert not [name for name in whole.state().tensors if name.startswith("retention.")]


TOKENS = {
    "joint and gem": {"replay": "all", "projection": "gem"},
    "memory and teacher": {"replay": "memory", "memory": 6, "distillation": 1.0, "temperature": 2.0},
}


@pytest.mark.parametrize("parts", TOKENS.values(), ids=TOKENS)
def test_tokens_have_past_tasks_too(parts):
    old, new = (Bigram(vocabulary=8, successors=s, context=6, validation_windows=9) for s in (2, 4))
    model = Transformer(width=8, depth=1, heads=2)
    first = Run(model=model, data=old, lr=0.01, steps=60, batch_size=4, seed=0, watched={"new": new})
    state = trained(first, None)[0].state()
    ends = {}
    for name, more in {"plain": {}, "parts": parts}.items():
        fields = {"data": new, "watched": {"old": old}, "parent": "first"}
        run = dataclasses.replace(first, **fields, continual=Continual(past=(old,), **more))
        ends[name] = trained(run, state)[1][-1]["val_loss_old"]
    assert ends["parts"] < ends["plain"]


@pytest.mark.parametrize(
    ("field", "definition"),
    [("projection", agem), ("projection", gem), ("selection", reservoir), ("selection", class_balanced)],
)
def test_words_of_a_description_name_their_definitions(field, definition):
    fields = {"past": (OLD,), "replay": "memory", "memory": 20, field: definition.__name__}
    assert chosen(Continual(**fields), field) is definition


def test_the_example_of_the_documentation_is_sound():
    text = (provenance.ROOT / "docs/continual.md").read_text().partition("## Methods")[2]
    scope = {}
    exec(text.partition("```python")[2].partition("```")[0], scope)
    runs = {run.name: run for run in scope["RUNS"]}
    assert all(run.parent is None or not _mismatch(run, runs[run.parent]) for run in runs.values())
    assert {run.arm for run in runs.values()} == {"first", *scope["ARMS"]}


def test_bf16_stays_close_to_fp32(base):
    run = branch(base, **ALL_PARTS["everything"])
    plain, same = trained(run, base[1])[1], trained(dataclasses.replace(run, precision="bf16"), base[1])[1]
    assert same[-1]["val_loss"] == pytest.approx(plain[-1]["val_loss"], abs=0.05)


@pytest.mark.parametrize("projection", ["agem", "gem"])
def test_divergence_is_a_result(base, projection):
    run = dataclasses.replace(branch(base, replay="all", projection=projection), lr=1e20, steps=30)
    training, _ = trained(run, base[1])
    assert "training loss" in training.reason


def test_more_fisher_examples_than_there_are_is_refused(base):
    with pytest.raises(DataError, match="fisher_examples=81 must be at most 80"):
        trained(branch(base, consolidation=1.0, fisher_examples=81), base[1])


def test_replay_keeps_the_old_task_and_fine_tuning_does_not(base):
    """The smallest stability gap: the old task, watched after every update of a new one."""
    curves = {}
    for name, parts in {"fine-tuning": {}, "joint": {"replay": "all"}}.items():
        run = dataclasses.replace(branch(base, **parts), steps=40, evaluate_every=1, watched={"old": OLD})
        curves[name] = [row["val_accuracy_old"] for row in trained(run, base[1])[1]]
    assert curves["joint"][0] == curves["fine-tuning"][0]
    assert curves["joint"][-1] > curves["fine-tuning"][-1] + 0.2
