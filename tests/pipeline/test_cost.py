"""The price tag of a build: counts that are exact, and minutes that follow a measured speed where there is one."""

import dataclasses
import json
import re

import pytest

from common.config import (
    MLP,
    Continual,
    Convnet,
    Corpus,
    Digits,
    Mixture,
    Model,
    ModularAddition,
    Run,
    Transformer,
    ViT,
    identity,
    to_dict,
)
from common.pipeline import cost

RUN = Run(
    model=Transformer(width=64, depth=3, heads=2),
    data=Corpus("prose", context=128),
    batch_size=8,
    lr=0.1,
    steps=1500,
    seed=0,
)
SWEEP = Run(
    model=MLP(width=16, depth=2),
    data=Digits(),
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


PRODUCTS = {
    RUN.model: 3 * (4 * 64 * 64 + 2 * 64 * 256),
    Transformer(width=8, depth=2, heads=2, expansion=1): 2 * (4 * 8 * 8 + 2 * 8 * 8),
    ViT(width=8, depth=2, heads=2, patch=4): 4 * 2 * (4 * 8 * 8 + 2 * 8 * 32),
    SWEEP.model: 2 * 16 * 16,
    MLP(width=16, depth=2, residual=True, block_layers=3): 2 * 3 * 16 * 16,
    Convnet(width=4, depth=3, activation="relu"): 3 * 64 * 9 * 4 * 4,
}


@pytest.mark.parametrize("model", PRODUCTS, ids=lambda model: model.kind)
def test_products_count_the_matrices_of_the_blocks(model):
    assert model.products == PRODUCTS[model]


def test_every_kind_of_model_says_what_an_example_costs():
    assert {type(model) for model in PRODUCTS} == set(Model.kinds().values())
    for kind in Model.kinds().values():
        assert kind.products is not Model.products, kind


def test_a_kind_that_does_not_say_it_is_told_to(monkeypatch):
    monkeypatch.delattr(MLP, "products")
    with pytest.raises(NotImplementedError, match="MLP must say what an example costs: give it `products`"):
        cost.seconds(SWEEP, {})


def test_work_counts_every_member_and_its_evaluations():
    assert cost.work(RUN) == pytest.approx(1500 * 8 * 128 + 3 * 1024 * 128 / 3)
    assert cost.work(SWEEP) == pytest.approx((3 * (10 + 30) + 6 * 3 / 3) * cost.FULL_BATCH)


def test_work_follows_the_first_part_of_a_mixture_and_windows_without_a_count():
    mixed = dataclasses.replace(RUN, data=Mixture(RUN.data, Corpus("cpp", context=128), share=0.5))
    assert cost.work(mixed) == cost.work(RUN)
    sums = dataclasses.replace(RUN, data=ModularAddition(modulus=7, train_share=0.5), batch_size=None, steps=10)
    assert cost.work(sums) == pytest.approx((10 + 3 / 3) * cost.FULL_BATCH * 3)


def test_work_counts_the_batches_of_past_tasks_and_the_watched_sets():
    old, older = (Digits(rotation=angle) for angle in (80, 160))
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


def test_a_record_shows_its_speed_however_much_of_the_description_it_holds(tmp_path):
    """A field that is added with a neutral default does not hide what was measured before."""
    record(tmp_path, "a", description=identity(RUN), seconds=600)
    assert len(identity(RUN.model)) < len(to_dict(RUN.model))
    assert minutes(cost.estimate([RUN], cores=1, results=tmp_path)) == pytest.approx(10.0, abs=0.1)


def test_speed_of_another_model_does_not_count(tmp_path):
    record(tmp_path, "a", description=to_dict(SWEEP), seconds=1.0)
    assert "a first guess" in cost.estimate([RUN], cores=2, results=tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"cells": 3},
        {"model": to_dict(RUN.model) | {"cells": 3}},
        {"model": to_dict(RUN.model) | {"kind": "rnn"}},
        {"model": {"width": 64}},
        {"data": {"source": "corpus", "name": "prose", "context": 128}},
    ],
)
def test_records_of_an_older_description_do_no_harm(tmp_path, changes):
    record(tmp_path, "a", description=to_dict(RUN) | changes, seconds=1.0)
    assert "a first guess" in cost.estimate([RUN], cores=2, results=tmp_path)


def test_a_build_takes_at_least_its_longest_job(tmp_path):
    record(tmp_path, "a", description=to_dict(RUN), seconds=600)
    assert minutes(cost.estimate([RUN], cores=64, results=tmp_path)) == pytest.approx(10.0, abs=0.1)


def test_nothing_to_train_costs_nothing(tmp_path):
    assert cost.estimate([], cores=2, results=tmp_path).startswith("0 runs to train, 0 updates: about 0.0 min")


def test_saving_is_the_share_of_updates_that_shared_trunks_spare():
    assert cost.saving([RUN], alone=4 * RUN.steps).endswith("shared trunks save 75%")
