"""Trained models read back: the same weights, the same loss, whichever state is asked for."""

import csv
import dataclasses

import pytest
import torch

from common.config import Constant, ScheduleFree
from common.runs import snapshots
from common.runs.job import Job, train
from common.runs.place import Place
from common.training.evaluation import evaluate


def finished(folder, run, name="run"):
    place = Place("study", name, folder)
    train(Job(place=place, run=run, code="code", scale="default", save_seconds=1e9))
    return place.state


def measured(path):
    with Place.of(path).metrics.open() as file:
        return {int(row["step"]): float(row["val_loss"]) for row in csv.DictReader(file) if row["val_loss"]}


def test_each_state_has_the_loss_that_its_training_recorded(tmp_path, text_run):
    run = dataclasses.replace(text_run, keep_steps=(5, 8))
    path = finished(tmp_path, run)
    recorded = measured(path)
    for label, step in (("5", 5), ("8", 8), ("final", 12)):
        model = snapshots.read(path, label)
        assert (model.study, model.name, model.run, model.state.step) == ("study", "run", run, step)
        assert evaluate(model.model, model.dataset)["val_loss"] == pytest.approx(recorded[step], rel=1e-6)


def test_schedule_free_is_read_at_its_average(tmp_path, text_run):
    run = dataclasses.replace(
        text_run,
        optimizer=ScheduleFree(weight_decay=0.1, clip=1.0),
        schedule=Constant(warmup_steps=2),
    )
    path = finished(tmp_path, run)
    model = snapshots.read(path)
    assert evaluate(model.model, model.dataset)["val_loss"] == pytest.approx(measured(path)[12], rel=1e-6)


def test_a_member_of_a_sweep_has_its_own_description(tmp_path, digits_run):
    path = finished(tmp_path, dataclasses.replace(digits_run, sweep={"lr": (0.01, 0.1)}))
    first, second = (snapshots.read(path, f"{member}/final") for member in (0, 1))
    assert (first.run.lr, second.run.lr) == (0.01, 0.1)
    assert any(not torch.equal(tensor, second.weights[name]) for name, tensor in first.weights.items())


def test_a_model_is_on_the_device_of_its_run_whatever_torch_sees(tmp_path, digits_run, monkeypatch):
    read = snapshots.read(finished(tmp_path, digits_run))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert {parameter.device for parameter in read.model.parameters()} == {torch.device("cpu")}


def test_a_loaded_data_set_is_used_again(tmp_path, text_run):
    path = finished(tmp_path, text_run)
    first = snapshots.read(path)
    assert snapshots.read(path, dataset=first.dataset).dataset is first.dataset


def test_a_state_that_was_not_kept_is_refused(tmp_path, text_run):
    with pytest.raises(LookupError, match="has no state '7'; it has final"):
        snapshots.read(finished(tmp_path, text_run), "7")
