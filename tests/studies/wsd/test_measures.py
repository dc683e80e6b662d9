"""Measurements on trained states, against sums over all tokens and the closed form of the language's entropy."""

import dataclasses
import math

import numpy as np
import pytest

from common.config import WSD, Bigram, Constant, Transformer
from common.runs import snapshots
from common.runs.job import Job, train
from common.runs.place import Place
from common.training.evaluation import evaluate, token_losses
from studies.wsd import measure_bigram, measure_entropy, measure_interpolation

BUDGETS = (4, 8, 16)


def trained_runs(folder, runs):
    """Train runs by name; returns the paths of their states."""
    for name, run in runs.items():
        train(Job(Place("wsd", name, folder), run, "code", "default", save_seconds=1e9))
    return {name: Place("wsd", name, folder).state for name in runs}


def trunk_and_decays(run, *, seed):
    """A trunk of 16 updates with a decay of 2 updates before each budget."""
    trunk = dataclasses.replace(
        run,
        steps=16,
        schedule=Constant(warmup_steps=2),
        keep_steps=tuple(b - 2 for b in BUDGETS),
        seed=seed,
        arm="stable",
    )
    child = dataclasses.replace(run, steps=2, schedule=WSD(decay_steps=2), seed=seed, arm="wsd")
    decays = {
        f"wsd-{budget}-s{seed}": dataclasses.replace(child, parent=f"trunk-s{seed}", parent_step=budget - 2)
        for budget in BUDGETS
    }
    return {f"trunk-s{seed}": trunk, **decays}


@pytest.fixture
def paths(tmp_path, text_run):
    runs = trunk_and_decays(text_run, seed=1) | trunk_and_decays(text_run, seed=2)
    found = trained_runs(tmp_path, runs)
    trunks = [path for name, path in found.items() if name.startswith("trunk")]
    return trunks, [path for path in found.values() if path not in trunks]


def test_lines_join_the_checkpoints_that_they_name(paths):
    table = measure_interpolation.measure(*paths)
    lines = table.groupby(["seed", "kind", "start", "end"]).size()
    expected = {
        ("stable", 6, 14),
        ("stable", 14, 16),
        ("decay", 6, 8),
        ("decay", 14, 16),
        ("decayed", 4, 8),
        ("decayed", 8, 16),
    }
    assert {line[1:] for line in lines.index} == expected
    assert (lines == 11).all() and set(table.seed) == {1, 2}
    dataset = measure_interpolation.probe_set(paths[0][0])
    for kind, label in (("stable", "6"), ("stable", "14")):
        rows = table[(table.seed == 1) & (table.kind == kind) & (table.start == int(label)) & (table.share == 0)]
        model = snapshots.read(paths[0][0], label, dataset=dataset).model
        assert rows.loss.item() == pytest.approx(evaluate(model, dataset)["val_loss"])


def test_gains_by_entropy_add_up_to_the_fall_of_the_loss(paths):
    table = measure_entropy.measure(*paths)
    assert table.groupby(["seed", "phase"]).bucket.nunique().eq(measure_entropy.BUCKETS).all()
    for path in paths[0]:
        hot, end = (snapshots.read(path, label) for label in ("6", "14"))
        fall = float(token_losses(hot.model, hot.dataset).mean() - token_losses(end.model, end.dataset).mean())
        rows = table[(table.seed == hot.run.seed) & (table.phase == "stable")]
        assert rows.gain.sum() == pytest.approx(fall, abs=1e-6)
        assert rows.entropy.is_monotonic_increasing


def test_buckets_are_equal_and_sorted():
    entropies = np.array([[0.3, 0.1, 0.9, 0.5], [0.2, 0.8, 0.7, 0.4], [1.0, 1.1, 0.0, 0.6]])
    buckets = measure_entropy.buckets_of(entropies)
    assert np.array_equal(np.argsort(buckets, axis=None, kind="stable"), np.argsort(entropies, axis=None))
    assert np.array_equal(np.bincount(buckets.ravel()), np.ones(measure_entropy.BUCKETS))


def test_excess_by_kind_adds_up_to_the_excess_over_the_entropy(tmp_path, text_run):
    run = dataclasses.replace(
        text_run,
        model=Transformer(width=8, depth=1, heads=2),
        data=Bigram(vocabulary=8, successors=4, context=6, validation_windows=32),
    )
    named = trunk_and_decays(run, seed=3)
    found = trained_runs(tmp_path, {name: named[name] for name in ("trunk-s3", "wsd-8-s3")})
    table = measure_bigram.measure(list(found.values()))
    assert table[table.arm == "stable"].step.to_list() == [2, 6, 14, 16]
    assert table[table.arm == "wsd"].step.to_list() == [6, 8]
    kinds = ["certain", "uncertain"]
    assert table[table.arm == "wsd"].iloc[0][kinds].to_list() == table[table.step == 6].iloc[0][kinds].to_list()
    last = snapshots.read(found["wsd-8-s3"])
    whole = evaluate(last.model, last.dataset)["val_loss"] - math.log(4) / 2
    assert table.iloc[-1][kinds].sum() == pytest.approx(whole, abs=1e-6)
