"""What is published stays, if and only if the training would give it again."""

import dataclasses
import json
import os
import shutil

import pytest

from common.config import MLP, Digits, Run
from common.runs import identity, job, published
from common.runs.place import FILES, Place

TRUNK = Run(model=MLP(width=8), data=Digits(), lr=0.1, steps=4, seed=3, keep_steps=(2,))
BRANCH = dataclasses.replace(TRUNK, steps=2, keep_steps=(), parent="trunk", parent_step=2)


def train(results, name, run, *, code="c"):
    place = Place("study", name, results)
    job.train(job.Job(place=place, run=run, code=code, scale="default", save_seconds=60))
    return place


def inodes(place):
    return [(place.folder / name).stat().st_ino for name in FILES]


def test_a_second_training_keeps_what_is_there_and_makes_it_newer(tmp_path, capsys):
    train(tmp_path, "trunk", TRUNK)
    place = train(tmp_path, "branch", BRANCH)
    before = inodes(place)
    for name in FILES:
        os.utime(place.folder / name, (1, 1))
    train(tmp_path, "branch", BRANCH)
    assert inodes(place) == before and not place.progress.exists()
    assert min((place.folder / name).stat().st_mtime for name in FILES) > 1
    assert "study/branch: trained before, and kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        lambda results: train(results, "branch", dataclasses.replace(BRANCH, lr=0.2)),
        lambda results: train(results, "branch", BRANCH, code="d"),
        lambda results: train(results, "branch", dataclasses.replace(BRANCH, data=Digits(samples=100))),
    ],
    ids=["description", "code", "data"],
)
def test_another_training_takes_its_place(tmp_path, change):
    train(tmp_path, "trunk", TRUNK)
    before = inodes(train(tmp_path, "branch", BRANCH))
    change(tmp_path)
    assert inodes(Place("study", "branch", tmp_path)) != before


def test_another_state_of_the_parent_makes_another_run(tmp_path):
    train(tmp_path, "trunk", TRUNK)
    before = inodes(train(tmp_path, "branch", BRANCH))
    shutil.rmtree(tmp_path / "study/trunk")
    train(tmp_path, "trunk", TRUNK)
    assert inodes(train(tmp_path, "branch", BRANCH)) == before, "the same state again"
    train(tmp_path, "trunk", dataclasses.replace(TRUNK, lr=0.2))
    assert inodes(train(tmp_path, "branch", BRANCH)) != before


@pytest.mark.parametrize("name", FILES)
def test_what_is_damaged_does_not_stay(tmp_path, name):
    place = train(tmp_path, "trunk", TRUNK)
    rows = place.metrics.read_bytes()
    (place.folder / name).write_bytes((place.folder / name).read_bytes()[:-40])
    train(tmp_path, "trunk", TRUNK)
    assert place.metrics.read_bytes() == rows
    assert published.is_of(place, json.loads(place.record.read_text()))


def test_a_record_without_digests_does_not_stay(tmp_path):
    place = train(tmp_path, "trunk", TRUNK)
    record = json.loads(place.record.read_text())
    assert published.is_of(place, record)
    place.record.write_text(json.dumps({name: record[name] for name in record if not name.endswith("sha256")}))
    assert not published.is_of(place, record)


def test_nothing_that_can_be_read_is_nothing(tmp_path):
    assert identity.read(tmp_path / "run.json") is None
    (tmp_path / "run.json").write_text("[]")
    assert identity.read(tmp_path / "run.json") is None
    assert identity.identity({"description": {"cells": 3}}) is None
