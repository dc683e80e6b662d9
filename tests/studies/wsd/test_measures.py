"""Measurements on trained states, against sums over all tokens and the closed form of the language's entropy."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from common.config import WSD, Bigram, Constant, Transformer
from common.curvature.objective import Objective
from common.curvature.operators import Hessian, matrix
from common.runs import snapshots
from common.runs.job import Job, train
from common.runs.place import Place
from common.training.evaluation import evaluate, token_losses
from studies.wsd import (
    measure_averaging,
    measure_bigram,
    measure_entropy,
    measure_interpolation,
    measure_landscape,
    states,
)

BUDGETS = (4, 8, 16)
STEPS = {"stable": (2, 6, 14, 16), "decayed": BUDGETS}
"""Updates at which the landscape is measured."""


def trained_runs(folder, runs):
    """Train runs by name; returns the paths of their states."""
    for name, run in runs.items():
        train(Job(Place("wsd", name, folder), run, "code", "default", save_seconds=1e9))
    return {name: Place("wsd", name, folder).state for name in runs}


def trunk_and_decays(run, *, seeds):
    """A trunk of 16 updates with a decay of 2 updates before each budget, each a sweep over seeds."""
    run = dataclasses.replace(run, seed=seeds[0], sweep={"seed": seeds})
    trunk = dataclasses.replace(
        run,
        steps=16,
        schedule=Constant(warmup_steps=2),
        keep_steps=tuple(b - 2 for b in BUDGETS),
        arm="stable",
    )
    child = dataclasses.replace(run, steps=2, schedule=WSD(decay_steps=2), arm="wsd")
    decays = {f"wsd-{budget}": dataclasses.replace(child, parent="trunk", parent_step=budget - 2) for budget in BUDGETS}
    return {"trunk": trunk, **decays}


@pytest.fixture
def paths(tmp_path, text_run):
    """The trunk and its decays, the longest first: no measurement counts on their order."""
    trunk, *decays = trained_runs(tmp_path, trunk_and_decays(text_run, seeds=(1, 2))).values()
    return [trunk], decays[::-1]


def test_states_are_found_by_seed(paths):
    [trunk], decays = paths
    assert states.kept_steps(trunk) == [2, 6, 14] and states.kept_steps(decays[0]) == []
    assert {seed: (state.run.seed, state.state.step) for seed, state in states.at(trunk, 6).items()} == {
        1: (1, 6),
        2: (2, 6),
    }
    first, second = states.at(trunk).values()
    assert not all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert first.dataset is second.dataset and states.at(trunk, 7) == {}
    for seed, pairs in states.branches(trunk, decays, dataset=first.dataset).items():
        assert [(start.state.step, end.state.step) for start, end in pairs] == [(2, 4), (6, 8), (14, 16)]
        assert {state.run.seed for pair in pairs for state in pair} == {seed}


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
    for member, seed, step in ((0, 1, 6), (0, 1, 14), (1, 2, 6)):
        rows = table[(table.seed == seed) & (table.kind == "stable") & (table.start == step) & (table.share == 0)]
        model = snapshots.read(paths[0][0], f"{member}/{step}", dataset=dataset).model
        assert rows.loss.item() == pytest.approx(evaluate(model, dataset)["val_loss"])


def test_gains_by_entropy_add_up_to_the_fall_of_the_loss(paths):
    table = measure_entropy.measure(*paths, windows=50)
    assert table.groupby(["seed", "phase"]).bucket.nunique().eq(measure_entropy.BUCKETS).all()
    for member in range(2):
        hot, end = (snapshots.read(paths[0][0], f"{member}/{step}") for step in (6, 14))
        fall = float(token_losses(hot.model, hot.dataset).mean() - token_losses(end.model, end.dataset).mean())
        rows = table[(table.seed == hot.run.seed) & (table.phase == "stable")]
        assert rows.gain.sum() == pytest.approx(fall, abs=1e-6)
        assert rows.entropy.is_monotonic_increasing


def test_equal_weights_are_the_mean_and_stand_for_a_linear_decay():
    assert measure_averaging.weights_of("linear", 5) == pytest.approx([0.2] * 5)
    falling = measure_averaging.weights_of("sqrt", 4)
    assert falling.sum() == pytest.approx(1) and falling[0] == pytest.approx(0.5) and (np.diff(falling) < 0).all()


def test_averages_are_of_the_last_states(paths):
    [trunk], _ = paths
    table = measure_averaging.measure([trunk])
    assert set(table.seed) == {1, 2} and set(table.share) == set(measure_averaging.SHARES)
    assert table.groupby("share").states.unique().map(list).to_dict() == {0.1: [1], 0.2: [2], 0.4: [2]}
    last = snapshots.read(trunk, "0/final")
    rows = table[(table.seed == last.run.seed) & (table.weights == "uniform")].set_index("share")
    assert rows.loss[0.1] == pytest.approx(evaluate(last.model, last.dataset)["val_loss"])
    before = snapshots.read(trunk, "0/14")
    middle = {name: (before.weights[name] + tensor) / 2 for name, tensor in last.weights.items()}
    last.model.load_state_dict(middle)
    assert rows.loss[0.2] == pytest.approx(evaluate(last.model, last.dataset)["val_loss"], rel=1e-6)


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
    named = trunk_and_decays(run, seeds=(3, 4))
    found = trained_runs(tmp_path, {name: named[name] for name in ("trunk", "wsd-8")})
    whole = measure_bigram.measure(list(found.values()))
    assert set(whole.seed) == {3, 4}
    for member, seed in enumerate((3, 4)):
        table = whole[whole.seed == seed]
        assert table[table.arm == "stable"].step.to_list() == [2, 6, 14, 16]
        assert table[table.arm == "wsd"].step.to_list() == [6, 8]
        kinds = ["certain", "uncertain"]
        assert table[table.arm == "wsd"].iloc[0][kinds].to_list() == table[table.step == 6].iloc[0][kinds].to_list()
        last = snapshots.read(found["wsd-8"], f"{member}/final")
        excess = evaluate(last.model, last.dataset)["val_loss"] - math.log(4) / 2
        assert table.iloc[-1][kinds].sum() == pytest.approx(excess, abs=1e-6)


def test_hills_and_river_against_the_whole_hessian(paths, monkeypatch):
    monkeypatch.setattr(measure_landscape, "TOP", 3)
    monkeypatch.setattr(measure_landscape, "TOLERANCE", 1e-4)
    found = measure_landscape.measure(*paths, windows=4, gradient_windows=8)
    shares, lines = (found[found.kind == kind].dropna(axis=1, how="all") for kind in ("share", "line"))
    assert shares.groupby(["seed", "phase", "step"]).size().to_dict() == {
        (seed, phase, step): 3 for seed in (1, 2) for phase in ("stable", "decayed") for step in STEPS[phase]
    }
    [trunk], decays = paths
    [(start, end)] = [
        pair
        for pair in states.branches(trunk, decays, dataset=states.at(trunk)[1].dataset)[1]
        if pair[1].state.step == 16
    ]
    objective = Objective.of_dataset(start.model, start.dataset, examples=4)
    values, vectors = np.linalg.eigh(matrix(Hessian(objective)))
    gradient = Objective.of_dataset(start.model, start.dataset, examples=8, part="validation").gradient()
    way = Objective.of_dataset(end.model, end.dataset, examples=1).weights() - objective.weights()
    rows = shares[(shares.seed == 1) & (shares.phase == "stable") & (shares.step == 14)]
    assert rows.eigenvalue.to_numpy() == pytest.approx(values[:-4:-1], rel=1e-3)
    for name, vector in (("gradient", gradient), ("way", way)):
        parts = np.cumsum((vectors[:, :-4:-1].T @ vector) ** 2) / (vector @ vector)
        assert rows[name].to_numpy() == pytest.approx(parts, rel=0.01)
    at_start = lines[(lines.seed == 1) & (lines.phase == "stable") & (lines.distance == 0)]
    loss = Objective.of_dataset(start.model, start.dataset, examples=8, part="validation").loss()
    assert at_start.direction.tolist() == ["hill", "river"] and at_start.loss.to_numpy() == pytest.approx(loss)


def test_a_whole_vector_lies_in_a_whole_basis():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    shares = measure_landscape.share_within(basis, np.arange(1.0, 6.0))
    assert shares[-1] == pytest.approx(1) and (np.diff(shares) >= 0).all()
