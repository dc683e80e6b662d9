"""The price tag of a build: counts that are exact, and minutes that follow a measured speed where there is one."""

import dataclasses
import json
import re

import pytest

from common import cost
from common.config import Continual, Data, Model, Run, to_dict

RUN = Run(
    model=Model(width=64, depth=3, heads=2),
    data=Data(name="prose", context=128),
    batch_size=8,
    lr=0.1,
    steps=1500,
    seed=0,
)
SWEEP = Run(
    model=Model(kind="mlp", width=16, depth=2),
    data=Data(source="digits"),
    lr=0.1,
    steps=10,
    seed=0,
    sweep={"seed": (0, 1, 2), "steps": (10, 30)},
)


def record(results, name, *, description, seconds) -> None:
    folder = results / "study" / name
    folder.mkdir(parents=True)
    written = {"description": description, "seconds": seconds, "status": "complete"}
    (folder / "run.json").write_text(json.dumps(written))


def minutes(line: str) -> float:
    return float(re.search(r"about ([\d.]+) min", line)[1])


def test_parameters_count_the_matrices_of_the_blocks():
    assert cost.parameters(RUN.model) == 3 * (4 * 64 * 64 + 2 * 64 * 256)
    assert cost.parameters(SWEEP.model) == 2 * 16 * 16


def test_work_counts_every_member_and_its_evaluations():
    assert cost.work(RUN) == pytest.approx(1500 * 8 * 128 + 3 * 1024 * 128 / 3)
    assert cost.work(SWEEP) == pytest.approx((3 * (10 + 30) + 6 * 3 / 3) * cost.FULL_BATCH)


def test_work_counts_the_batches_of_past_tasks_and_the_watched_sets():
    old, older = (Data(source="digits", rotation=angle) for angle in (80, 160))
    plain = dataclasses.replace(SWEEP, sweep=None)
    watched = dataclasses.replace(plain, watched={"old": old, "older": older}, evaluate_every=1)
    assert cost.work(watched) == pytest.approx((10 + 3 * (2 + 10) / 3) * cost.FULL_BATCH)
    assert cost.work(dataclasses.replace(watched, watched={"own": plain.data, "old": old})) == pytest.approx(
        (10 + 2 * (2 + 10) / 3) * cost.FULL_BATCH
    )
    averaged = dataclasses.replace(watched, average=0.9)
    assert cost.work(averaged) == pytest.approx((10 + 2 * 3 * (2 + 10) / 3) * cost.FULL_BATCH)
    for parts, batches in (({}, 1), ({"replay": "all"}, 3), ({"projection": "agem"}, 3)):
        run = dataclasses.replace(plain, continual=Continual(past=(old, older), **parts))
        assert cost.work(run) - cost.work(plain) == pytest.approx((batches - 1) * 10 * cost.FULL_BATCH)


def test_the_line_of_a_first_guess(tmp_path):
    line = cost.estimate([RUN, SWEEP], cores=2, results=tmp_path / "missing")
    assert re.fullmatch(r"2 runs to train, 1,620 updates: about \d+\.\d min on 2 cores \(a first guess\)", line)


def test_measured_speed_is_preferred(tmp_path):
    record(tmp_path, "a", description=to_dict(RUN), seconds=600)
    line = cost.estimate([RUN] * 4, cores=2, results=tmp_path)
    assert line.endswith("on 2 cores (from measured speed)")
    assert minutes(line) == pytest.approx(2 * (600 + cost.START_SECONDS) / 60, abs=0.06)


def test_speed_of_another_model_does_not_count(tmp_path):
    record(tmp_path, "a", description=to_dict(SWEEP), seconds=1.0)
    assert "a first guess" in cost.estimate([RUN], cores=2, results=tmp_path)


def test_records_of_an_older_description_do_no_harm(tmp_path):
    record(tmp_path, "a", description=to_dict(RUN) | {"cells": 3}, seconds=1.0)
    assert "a first guess" in cost.estimate([RUN], cores=2, results=tmp_path)


def test_a_build_takes_at_least_its_longest_job(tmp_path):
    record(tmp_path, "a", description=to_dict(RUN), seconds=600)
    assert minutes(cost.estimate([RUN], cores=64, results=tmp_path)) == pytest.approx(10.0, abs=0.1)


def test_nothing_to_train_costs_nothing(tmp_path):
    assert cost.estimate([], cores=2, results=tmp_path).startswith("0 runs to train, 0 updates: about 0.0 min")


def test_saving_is_the_share_of_updates_that_shared_trunks_spare():
    assert cost.saving([RUN], alone=4 * RUN.steps).endswith("shared trunks save 75%")
