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
    Norms,
    Probe,
    Run,
    Sharpness,
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


def record(results, name, *, description, seconds, memory_mb=None) -> None:
    folder = results / "study" / name
    folder.mkdir(parents=True)
    written = {"description": description, "seconds": seconds, "memory_mb": memory_mb, "status": "complete"}
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
    assert model.work.products == PRODUCTS[model]


def test_every_kind_of_model_says_what_an_example_costs():
    assert {type(model) for model in PRODUCTS} == set(Model.kinds().values())
    for kind in Model.kinds().values():
        assert kind.work is not Model.work, kind


def test_a_kind_that_does_not_say_it_is_told_to(monkeypatch):
    monkeypatch.delattr(MLP, "work")
    with pytest.raises(NotImplementedError, match="MLP must say what an example costs: give it `work`"):
        cost.seconds(SWEEP, {})


def test_updates_of_every_member_count():
    one = cost.updates(dataclasses.replace(SWEEP, sweep=None)) / 10
    assert cost.updates(SWEEP) == pytest.approx(3 * (10 + 30) * one)
    assert cost.updates(dataclasses.replace(RUN, steps=3000)) == pytest.approx(2 * cost.updates(RUN))


def test_the_batch_and_the_context_count_beside_the_calls():
    calls = RUN.steps * 18 * cost.CALL_SECONDS
    twice = dataclasses.replace(RUN, batch_size=16)
    assert cost.updates(twice) - calls == pytest.approx(2 * (cost.updates(RUN) - calls))
    longer = dataclasses.replace(RUN, data=Corpus("prose", context=256))
    assert cost.updates(longer) == pytest.approx(cost.updates(twice))


def test_the_whole_set_is_as_large_as_the_description_says():
    some, all_of_them = (dataclasses.replace(SWEEP, data=Digits(samples=samples)) for samples in (64, None))
    assert cost.updates(some) == pytest.approx(cost.updates(dataclasses.replace(SWEEP, batch_size=64)))
    assert cost.updates(all_of_them) == pytest.approx(
        cost.updates(dataclasses.replace(SWEEP, batch_size=cost.TRAIN_EXAMPLES))
    )


def test_members_side_by_side_share_most_of_the_calls():
    sweep = dataclasses.replace(SWEEP, sweep={"seed": (0, 1, 2)})
    spared = cost.updates(sweep) - cost.updates(dataclasses.replace(sweep, stacked=True))
    assert spared == pytest.approx(10 * 2 * 2 * (cost.CALL_SECONDS - cost.MEMBER_SECONDS))


def test_evaluations_are_counted_where_they_happen():
    each = cost.evaluations(dataclasses.replace(RUN, parent="trunk"))  # at the end alone: the start is the parent's
    assert cost.evaluations(RUN) == pytest.approx(2 * each)
    assert cost.evaluations(dataclasses.replace(RUN, keep_steps=(10, 20))) == pytest.approx(4 * each)
    assert cost.evaluations(dataclasses.replace(RUN, evaluate_every=500)) == pytest.approx(4 * each)
    whole = dataclasses.replace(RUN, evaluate_every=500)
    curve = dataclasses.replace(whole, curve_examples=128)
    assert cost.evaluations(curve) == pytest.approx((2 + 4 * 128 / 1024) * each)


def test_evaluations_follow_the_windows_and_the_sets():
    few = dataclasses.replace(RUN, data=Corpus("prose", context=128, validation_windows=256))
    assert cost.evaluations(RUN) == pytest.approx(4 * cost.evaluations(few))
    mixed = dataclasses.replace(RUN, data=Mixture(RUN.data, Corpus("cpp", context=128), share=0.5))
    assert cost.evaluations(mixed) == cost.evaluations(RUN)
    old, older = (Digits(rotation=angle) for angle in (80, 160))
    plain = dataclasses.replace(SWEEP, sweep=None)
    own, both = ({"own": plain.data, "old": old}, {"old": old, "older": older})
    one, two, three = (
        cost.evaluations(dataclasses.replace(plain, watched=watched)) for watched in ({"own": plain.data}, own, both)
    )
    assert (two, three) == (pytest.approx(2 * one), pytest.approx(3 * one))
    assert cost.evaluations(dataclasses.replace(plain, watched=both, average=0.9)) == pytest.approx(2 * three)


def test_windows_without_a_count_have_one_that_is_assumed():
    sums = dataclasses.replace(RUN, data=ModularAddition(modulus=7, train_share=0.5), batch_size=None, steps=10)
    assert cost.updates(sums) == pytest.approx(cost.updates(dataclasses.replace(sums, batch_size=cost.TRAIN_EXAMPLES)))
    assert cost.evaluations(sums) > 0


def test_batches_of_past_tasks_count_where_an_update_reads_them():
    old, older = (Digits(rotation=angle) for angle in (80, 160))
    plain = dataclasses.replace(SWEEP, sweep=None)
    for parts, batches in (({}, 1), ({"replay": "all"}, 3), ({"projection": "agem"}, 3)):
        run = dataclasses.replace(plain, continual=Continual(past=(old, older), **parts))
        assert cost.updates(run) == pytest.approx(batches * cost.updates(plain))


def test_probes_cost_gradients_of_what_they_read():
    def priced(*probes) -> float:
        return cost.probes(dataclasses.replace(SWEEP, sweep=None, probes=probes))

    assert priced() == priced(Norms(every=1)) == 0
    once = priced(Sharpness(steps=(10,)))
    assert priced(Sharpness(every=5)) == pytest.approx(3 * once)
    assert once == pytest.approx(Sharpness.gradients * cost.updates(SWEEP) / 120)
    assert priced(Sharpness(steps=(10,), examples=64)) < once


def test_every_kind_of_probe_says_what_it_costs():
    free = {kind for kind in Probe.kinds().values() if not kind.gradients}
    assert free == {Norms}


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


def test_another_model_tells_how_fast_the_machine_is(tmp_path):
    record(tmp_path, "a", description=to_dict(SWEEP), seconds=3 * cost.expected(SWEEP))
    line = cost.estimate([RUN], cores=1, results=tmp_path)
    assert line.endswith("(from measured speed)")
    assert minutes(line) == pytest.approx(3 * cost.expected(RUN) / 60, abs=0.1)


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


def test_memory_is_that_of_the_largest_job_on_every_core(tmp_path):
    first = cost.memory([RUN, SWEEP], cores=2, results=tmp_path)
    total = (cost.BUILD_MB + 2 * cost.JOB_MB) / 1000
    assert (
        first == f"memory: about {cost.JOB_MB:.0f} MB for the largest job, {total:.1f} GB for the build (a first guess)"
    )
    for name, megabytes in (("a", 300.0), ("b", 1100.0), ("c", None)):
        record(tmp_path, name, description=to_dict(RUN), seconds=1.0, memory_mb=megabytes)
    line = cost.memory([RUN], cores=2, results=tmp_path)
    build = (cost.BUILD_MB + 1100) / 1000
    assert line == f"memory: about 1100 MB for the largest job, {build:.1f} GB for the build (measured)"


def test_nothing_to_train_costs_nothing(tmp_path):
    assert cost.estimate([], cores=2, results=tmp_path).startswith("0 runs to train, 0 updates: about 0.0 min")


def test_saving_is_the_share_of_updates_that_shared_trunks_spare():
    assert cost.saving([RUN], alone=4 * RUN.steps).endswith("shared trunks save 75%")
