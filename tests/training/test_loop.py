import dataclasses
import math
import shutil

import numpy as np
import pytest
import torch
from torch.nn import functional

from common import config, data, models
from common.config import MLP, SGD, WSD, Adam, AdamW, Constant, Continual, Digits, Mixture, Norms, ScheduleFree
from common.optim import schedules
from common.streams import torch_stream
from common.training import evaluation
from common.training.loop import Training, columns
from common.training.vectorised import together


def rows_of(run, **given):
    training = Training(run, data.load(run.data, corpora=None), **given)
    return training, list(training)


def weights(training):
    return {name: tensor for name, tensor in training.state().tensors.items() if name.startswith("model.")}


def equal(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def plain_loop(run):
    """The same training written with nothing but PyTorch: losses before each update, and the final weights."""
    dataset = data.load(run.data, corpora=None)
    shapes = {"inputs": dataset.inputs, "outputs": dataset.outputs, "context": dataset.context}
    model = models.build(run.model, **shapes, generator=torch_stream(run.seed, "weights"))
    factor = schedules.build(run.schedule, steps=run.steps)
    if run.optimizer.kind == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=run.optimizer.momentum)
    else:
        matrices = [p for p in model.parameters() if p.ndim >= 2]
        rest = [p for p in model.parameters() if p.ndim < 2]
        groups = [{"params": matrices}, {"params": rest, "weight_decay": 0.0}]
        decay = run.optimizer.weight_decay
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=1.0, betas=(0.9, 0.95), weight_decay=decay)
    losses = []
    for step in range(run.steps):
        x, y = dataset.batch(seed=run.seed, position=step * run.batch_size, count=run.batch_size)
        for group in optimizer.param_groups:
            group["lr"] = run.lr * factor(step)
        optimizer.zero_grad()
        logits = model(x)
        loss = functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        if run.optimizer.clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), run.optimizer.clip)
        optimizer.step()
        losses.append(loss.item())
    return losses, model.state_dict()


@pytest.mark.parametrize("which", ["text_run", "digits_run"])
def test_the_loop_equals_a_plain_pytorch_loop(which, request):
    run = dataclasses.replace(request.getfixturevalue(which), steps=10)
    training, rows = rows_of(run)
    losses, final = plain_loop(run)
    np.testing.assert_allclose([row["train_loss"] for row in rows[1:]], losses, rtol=2e-6)
    for name, tensor in final.items():
        torch.testing.assert_close(weights(training)[f"model.{name}"], tensor, rtol=1e-4, atol=1e-6)


def test_a_row_tells_what_led_to_it(text_run):
    run = dataclasses.replace(text_run, log_every=5, evaluate_every=6)
    _, rows = rows_of(run)
    assert [row["step"] for row in rows] == [0, 5, 6, 10, 12]
    assert [("val_loss" in row) for row in rows] == [True, False, True, False, True]
    factor = schedules.build(run.schedule, steps=run.steps)
    assert rows[-1]["learning_rate"] == run.lr * factor(11) == pytest.approx(run.lr * 0.1)
    every_update = rows_of(text_run)[1]
    mean = np.mean([row["train_loss"] for row in every_update[1:6]])
    assert rows[1]["train_loss"] == pytest.approx(mean, rel=1e-12)
    assert set().union(*rows) <= set(columns(run, data.load(run.data, corpora=None)))


def test_a_curve_reads_few_examples_and_its_marked_steps_all(text_run):
    run = dataclasses.replace(text_run, log_every=5, evaluate_every=3, keep_steps=(5,), average=0.5)
    whole = {row["step"]: row for row in rows_of(run)[1]}
    training, rows = rows_of(dataclasses.replace(run, curve_examples=3))
    found = {row["step"]: row for row in rows}
    assert [step for step, row in found.items() if "val_loss" in row] == [0, 5, 12]
    assert [step for step, row in found.items() if "curve_val_loss" in row] == [0, 3, 5, 6, 9, 12]
    for step, row in found.items():
        assert all(value == whole[step][name] for name, value in row.items() if not name.startswith("curve_"))
    few = evaluation.evaluate(training.model, training.dataset, examples=3)
    assert found[12]["curve_val_loss"] == few["val_loss"] != found[12]["val_loss"]
    assert found[12]["curve_average_val_loss"] != found[12]["curve_val_loss"]
    assert set().union(*rows) == set(columns(training.run, training.dataset))


def branches(text_run):
    """A constant trunk whose kept state a decay continues, against the run that does both in one go."""
    trunk = dataclasses.replace(text_run, schedule=Constant(warmup_steps=2), keep_steps=(8,), evaluate_every=3)
    branch = dataclasses.replace(text_run, steps=4, schedule=WSD(decay_steps=4), parent="trunk", parent_step=8)
    return trunk, branch


@pytest.mark.parametrize(
    "rule", [SGD(momentum=0.9, clip=1.0), Adam(clip=1.0), AdamW(clip=1.0), ScheduleFree(clip=1.0)], ids=lambda r: r.kind
)
def test_branch_and_continue_equals_uninterrupted_bit_for_bit(text_run, rule):
    text_run = dataclasses.replace(text_run, optimizer=rule)
    trunk, branch = branches(text_run)
    whole, whole_rows = rows_of(text_run)
    kept = rows_of(trunk)[0].kept[8]
    child, child_rows = rows_of(branch, parent=kept)
    assert equal(whole.state().tensors, child.state().tensors)
    assert [row["train_loss"] for row in child_rows[1:]] == [row["train_loss"] for row in whole_rows[9:]]
    assert child_rows[0]["step"] == 8 and child_rows[-1]["step"] == 12
    assert child_rows[-1]["val_loss"] == whole_rows[-1]["val_loss"]


def test_kept_steps_are_updates_of_the_run_itself(text_run):
    trunk, branch = branches(text_run)
    child, rows = rows_of(dataclasses.replace(branch, keep_steps=(2,)), parent=rows_of(trunk)[0].kept[8])
    assert {done: state.step for done, state in child.kept.items()} == {2: 10}
    assert [row["step"] for row in rows if "val_loss" in row] == [8, 10, 12]


@pytest.mark.parametrize("stop", [1, 5, 9])
def test_resuming_equals_uninterrupted_bit_for_bit(text_run, stop):
    trunk, branch = branches(text_run)
    kept = rows_of(trunk)[0].kept[8]
    for run, parent in ((trunk, None), (branch, kept)):
        stop_at = min(stop, run.steps - 1)
        whole, whole_rows = rows_of(run, parent=parent)
        first = Training(run, whole.dataset, parent=parent)
        rows = []
        for row in first:
            rows.append(row)
            if first.done == stop_at:
                break
        start = parent.step if parent else 0
        second = Training(run, whole.dataset, parent=parent, resumed=first.state(), start_step=start)
        assert rows + list(second) == whole_rows
        assert equal(whole.state().tensors, second.state().tensors)


def test_resets_start_afresh_what_they_name(text_run):
    trunk, branch = branches(text_run)
    kept = rows_of(trunk)[0].kept[8]
    fresh = Training(
        dataclasses.replace(branch, reset=("optimizer",)), data.load(branch.data, corpora=None), parent=kept
    )
    assert equal(weights(fresh), {name: t for name, t in kept.tensors.items() if name.startswith("model.")})
    assert fresh.position == kept.position == 8 * 4
    moments = [t for name, t in fresh.state().tensors.items() if name.startswith("optimizer.")]
    assert all(tensor.abs().sum() == 0 for tensor in moments)
    restarted = dataclasses.replace(branch, reset=("weights", "optimizer", "data"))
    again = Training(restarted, fresh.dataset, parent=kept)
    assert again.position == 0 and again.start_step == 8
    assert not equal(weights(again), weights(fresh))


def test_divergence_is_a_result(digits_run):
    run = dataclasses.replace(digits_run, lr=1e20, optimizer=SGD(), log_every=3, steps=30)
    training, rows = rows_of(run)
    assert training.reason and "training loss" in training.reason
    assert 0 < training.done < 30
    assert rows[-1]["step"] == training.done and not math.isfinite(rows[-1]["train_loss"])
    assert "val_loss" not in rows[-1]


def test_divergence_in_the_last_update_is_divergence(digits_run):
    """No training loss comes after it: the evaluation tells."""
    wild = dataclasses.replace(digits_run, lr=1e38, optimizer=SGD(), log_every=1, steps=1, probes=(Norms(every=1),))
    training, rows = rows_of(wild)
    assert training.done == 1 and "val_loss nan after the last update" in training.reason
    assert math.isfinite(rows[-1]["train_loss"])
    assert not {"val_loss", "weight_norm"} & rows[-1].keys()
    stacked = dataclasses.replace(wild, probes=(), sweep={"lr": (1e38, 0.1)}, stacked=True)
    members = [Training(member, training.dataset) for member in config.members(stacked)]
    for _ in together(members):
        pass
    assert [bool(member.reason) for member in members] == [True, False]


def test_full_batch_is_gradient_descent_on_the_mean_loss(digits_run):
    run = dataclasses.replace(digits_run, batch_size=None, steps=3, optimizer=SGD(), lr=0.1)
    training, rows = rows_of(run)
    dataset = training.dataset
    assert training.position == 3 * dataset.size
    model = models.build(
        run.model,
        inputs=dataset.inputs,
        outputs=dataset.outputs,
        context=None,
        generator=torch_stream(run.seed, "weights"),
    )
    batch = dataset.batch(seed=9, position=123, count=None)
    for row in rows[1:]:
        loss = functional.cross_entropy(model(batch.inputs), batch.targets)
        assert row["train_loss"] == pytest.approx(loss.item(), rel=1e-6)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter.sub_(0.1 * gradient)


def test_clipping_bounds_the_step_and_the_norm_is_that_before_it(digits_run):
    free = dataclasses.replace(digits_run, optimizer=SGD(), steps=1, lr=1.0)
    clipped = dataclasses.replace(free, optimizer=SGD(clip=1e-3))
    (start, norm), (end, same_norm) = [
        (weights(training), rows[-1]["gradient_norm"]) for training, rows in (rows_of(free), rows_of(clipped))
    ]
    assert norm == pytest.approx(same_norm, rel=1e-6)
    before = weights(Training(free, data.load(free.data, corpora=None)))
    moved = math.sqrt(sum(float((end[name] - before[name]).square().sum()) for name in end))
    assert moved == pytest.approx(1e-3, rel=1e-3)
    assert math.sqrt(sum(float((start[name] - before[name]).square().sum()) for name in start)) == pytest.approx(
        norm, rel=1e-4
    )


def test_probes_are_called_at_their_steps(digits_run):
    run = dataclasses.replace(digits_run, log_every=100, probes=(Norms(steps=(0, 4)),))
    _, rows = rows_of(run)
    assert [row["step"] for row in rows if "weight_norm" in row] == [0, 4]


def test_a_measurement_does_not_change_the_training(text_run):
    plain = rows_of(text_run)[0]
    probed = dataclasses.replace(text_run, evaluate_every=1, probes=(Norms(every=1),), log_every=7)
    assert equal(plain.state().tensors, rows_of(probed)[0].state().tensors)


def watching(run, *words):
    """A run that watches turned digits, by words."""
    watched = {word: Digits(rotation=10.0 * (i + 1)) for i, word in enumerate(words)}
    run = dataclasses.replace(run, watched=watched)
    return run, data.load_all(run, corpora=None)


def test_watched_sets_are_evaluated_with_the_own_one(digits_run):
    run, datasets = watching(dataclasses.replace(digits_run, evaluate_every=4, keep_steps=(5,)), "near", "far")
    training = Training(run, datasets[run.data], others=datasets)
    rows = list(training)
    names = [name for name in columns(run, training.dataset) if name.startswith("val_")]
    assert names == [f"val_{what}{word}" for word in ("", "_near", "_far") for what in ("loss", "accuracy")]
    assert [row["step"] for row in rows if "val_loss_far" in row] == [0, 4, 5, 8, 10]
    assert all(({*names} & row.keys()) in (set(), {*names}) for row in rows)
    for word, watched in run.watched.items():
        twin = evaluation.evaluate(training.model, datasets[watched])
        for name, value in twin.items():
            assert rows[-1][f"{name}_{word}"] == pytest.approx(value, rel=1e-6)
    assert len({rows[-1][name] for name in names if "loss" in name}) == 3


MIXED = Mixture(Digits(), Digits(rotation=30), share=0.5)


@pytest.mark.parametrize("own", [Digits(), Digits(rotation=5), MIXED])
def test_the_own_set_is_watched_by_any_word_and_evaluated_once(digits_run, own, monkeypatch):
    """Runs of a chain can watch all of its tasks by the same words."""
    tasks = {"first": Digits(), "second": Digits(rotation=5)}
    run = dataclasses.replace(digits_run, data=own, watched=tasks, steps=2)
    datasets = data.load_all(run, corpora=None)
    calls, evaluate = [], evaluation.evaluate
    monkeypatch.setattr(evaluation, "evaluate", lambda *args, **given: calls.append(1) or evaluate(*args, **given))
    rows = list(Training(run, datasets[own], others=datasets))
    word, other = ("second", "first") if own == tasks["second"] else ("first", "second")
    for row in (rows[0], rows[-1]):
        assert row["val_loss"] == row[f"val_loss_{word}"] != row[f"val_loss_{other}"]
        assert row["val_accuracy"] == row[f"val_accuracy_{word}"]
    assert len(calls) == 2 * 2


def test_the_own_text_with_other_windows_is_another_set(text_run):
    windows = {"own": 8, "few": 3}
    watched = {word: dataclasses.replace(text_run.data, validation_windows=n) for word, n in windows.items()}
    run = dataclasses.replace(text_run, watched=watched)
    datasets = data.load_all(run, corpora=None)
    row = list(Training(run, datasets[run.data], others=datasets))[-1]
    assert row["val_loss"] == row["val_loss_own"] != row["val_loss_few"]


@pytest.mark.parametrize("part", [Digits(split=(1, 3)), Digits(split=(0, 2), rotation=20)])
def test_parts_of_a_training_set_are_validated_once(digits_run, part):
    whole = dataclasses.replace(part, split=None)
    run = dataclasses.replace(digits_run, data=part, watched={"whole": whole}, steps=2)
    datasets = data.load_all(run, corpora=None)
    training = Training(run, datasets[part], others=datasets)
    assert list(training.validated) == [whole]
    row = list(training)[-1]
    assert row["val_loss"] == row["val_loss_whole"]
    for own, wanted in zip(*(datasets[each].validation(chunk=10**6) for each in (part, whole)), strict=True):
        assert equal(own._asdict(), wanted._asdict())


FOUR, SIX = Digits(classes=(0, 1, 2, 3)), Digits(classes=(4, 5, 6, 7, 8, 9))


@pytest.mark.parametrize(
    "fields",
    [{"data": FOUR}, {"watched": {"old": FOUR}}, {"data": SIX, "continual": Continual(past=(FOUR,)), "parent": "x"}],
)
def test_where_any_data_set_has_fewer_classes_all_tell_the_accuracy_within(digits_run, fields):
    run = dataclasses.replace(digits_run, **fields, steps=4)
    datasets = data.load_all(run, corpora=None)
    training = Training(run, datasets[run.data], others=datasets)
    rows = list(training)
    assert {name for name in columns(run, training.dataset) if name.startswith("val_")} == {
        name for name in rows[-1] if name.startswith("val_")
    }
    for end, described in config.validation_sets(run).items():
        batch = next(iter(datasets[described].validation(chunk=10**6)))
        rest = [label for label in range(10) if label not in (described.classes or range(10))]
        outputs = training.model(batch.inputs)
        outputs[:, rest] = -torch.inf
        assert rows[-1][f"val_accuracy_within{end}"] == float((outputs.argmax(1) == batch.targets).double().mean())


def test_squared_errors_and_all_classes_have_no_accuracy_within(digits_run):
    for described in (Digits(classes=(0, 1), loss="mse"), Digits()):
        run = dataclasses.replace(digits_run, data=described, steps=1)
        training, rows = rows_of(run)
        assert not [n for n in {*rows[-1], *columns(run, training.dataset)} if "within" in n]


def test_watching_does_not_change_the_training(digits_run):
    run, datasets = watching(dataclasses.replace(digits_run, evaluate_every=1), "near")
    plain, plain_rows = rows_of(dataclasses.replace(digits_run, evaluate_every=1))
    watched, rows = rows_of(run, others=datasets)
    assert equal(plain.state().tensors, watched.state().tensors)
    for row, wanted in zip(rows, plain_rows, strict=True):
        assert {name: row[name] for name in wanted} == pytest.approx(wanted, rel=1e-6)


def test_batch_normalisation_keeps_its_batches_when_watching(digits_run):
    run = dataclasses.replace(digits_run, model=MLP(width=8, depth=2, norm="batchnorm"), steps=2)
    watched, datasets = watching(run, "near")
    assert [row["val_loss"] for row in rows_of(run)[1] if "val_loss" in row] == [
        row["val_loss"] for row in rows_of(watched, others=datasets)[1] if "val_loss" in row
    ]


def test_members_of_a_stack_watch_too(digits_run):
    run, datasets = watching(dataclasses.replace(digits_run, steps=3, sweep={"seed": (0, 1)}, stacked=True), "near")
    singles = config.members(run)
    trainings = [Training(one, datasets[run.data], others=datasets) for one in singles]
    stacked = [row for rows in together(trainings) for place, row in rows.items() if place == 1]
    for row, wanted in zip(stacked, rows_of(singles[1], others=datasets)[1], strict=True):
        assert row == pytest.approx(wanted, rel=2e-5)


def test_bf16_stays_close_to_fp32(text_run):
    plain, same = rows_of(text_run)[1], rows_of(dataclasses.replace(text_run, precision="bf16"))[1]
    assert same[-1]["val_loss"] == pytest.approx(plain[-1]["val_loss"], abs=0.05)
    assert config.to_dict(text_run)["precision"] == "fp32"


def test_a_compiled_run_stays_close_to_one_that_is_not(digits_run):
    if not shutil.which("g++"):
        pytest.skip("torch.compile needs a C++ compiler")
    plain, same = rows_of(digits_run)[1], rows_of(dataclasses.replace(digits_run, compile=True))[1]
    assert same[-1]["val_loss"] == pytest.approx(plain[-1]["val_loss"], abs=0.05)


def test_a_run_trains_where_it_says_whatever_torch_sees(digits_run, monkeypatch):
    dataset = data.load(digits_run.data, corpora=None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Training(digits_run, dataset).device == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="device='cuda' needs a GPU, which torch does not see here"):
        Training(dataclasses.replace(digits_run, device="cuda"), dataset)
