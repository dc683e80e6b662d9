"""Trained models read back: the same weights, the same loss, whichever state is asked for."""

import csv
import dataclasses

import pytest
import torch

from common import trained
from common.config import Schedule
from common.evaluation import evaluate
from common.job import Job, train


def finished(folder, run, name="run"):
    train(Job("study", name, run, "code", folder, "default", save_seconds=1e9))
    return folder / "study" / name / "state.safetensors"


def measured(path):
    with (path.parent / "metrics.csv").open() as file:
        return {int(row["step"]): float(row["val_loss"]) for row in csv.DictReader(file) if row["val_loss"]}


def test_each_state_has_the_loss_that_its_training_recorded(tmp_path, text_run):
    run = dataclasses.replace(text_run, keep_steps=(5, 8))
    path = finished(tmp_path, run)
    recorded = measured(path)
    for label, step in (("5", 5), ("8", 8), ("final", 12)):
        model = trained.read(path, label)
        assert (model.study, model.name, model.run, model.state.step) == ("study", "run", run, step)
        assert evaluate(model.model, model.dataset)["val_loss"] == pytest.approx(recorded[step], rel=1e-6)


def test_schedule_free_is_read_at_its_average(tmp_path, text_run):
    run = dataclasses.replace(
        text_run,
        optimizer=dataclasses.replace(text_run.optimizer, kind="schedule_free"),
        schedule=Schedule(warmup_steps=2),
    )
    path = finished(tmp_path, run)
    model = trained.read(path)
    assert evaluate(model.model, model.dataset)["val_loss"] == pytest.approx(measured(path)[12], rel=1e-6)


def test_a_member_of_a_sweep_has_its_own_description(tmp_path, digits_run):
    path = finished(tmp_path, dataclasses.replace(digits_run, sweep={"lr": (0.01, 0.1)}))
    first, second = (trained.read(path, f"{member}/final") for member in (0, 1))
    assert (first.run.lr, second.run.lr) == (0.01, 0.1)
    assert any(not torch.equal(tensor, second.weights[name]) for name, tensor in first.weights.items())


def test_a_loaded_data_set_is_used_again(tmp_path, text_run):
    path = finished(tmp_path, text_run)
    first = trained.read(path)
    assert trained.read(path, dataset=first.dataset).dataset is first.dataset


def test_a_state_that_was_not_kept_is_refused(tmp_path, text_run):
    with pytest.raises(LookupError, match="has no state '7'; it has final"):
        trained.read(finished(tmp_path, text_run), "7")
