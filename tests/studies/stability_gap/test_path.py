"""The measured straight line, against the closed form of a quadratic and evaluations of the states that it joins."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from common.config import Continual, Digits
from common.data import Batch
from common.runs import snapshots
from common.runs.job import Job, train
from common.runs.place import Place
from common.training.evaluation import evaluate
from studies.stability_gap import measure_path

INPUTS, OUTPUTS, EXAMPLES = 3, 2, 7


class Regression:
    """A validation set of a linear map: half the squared error is a quadratic in the weights."""

    loss, context = "mse", None

    def __init__(self, seed):
        draw = torch.Generator().manual_seed(seed)
        self.inputs, self.targets = (torch.randn(EXAMPLES, size, generator=draw) for size in (INPUTS, OUTPUTS))

    def validation(self, *, chunk):
        yield Batch(self.inputs, self.targets)

    def loss_at(self, weights):
        rest = self.inputs.double() @ weights.double().T - self.targets.double()
        return float(rest.square().sum() / 2 / EXAMPLES)


def linear_state(seed, *, run):
    model = nn.Linear(INPUTS, OUTPUTS, bias=False)
    nn.init.normal_(model.weight, generator=torch.Generator().manual_seed(seed))
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return SimpleNamespace(model=model, weights=weights, dataset=Regression(seed), run=run)


def test_a_quadratic_lies_below_its_chord_by_its_curvature():
    """Along a line of direction v, above = -share (1 - share) v'Hv / 2, and the loss is exact at every share."""
    run = SimpleNamespace(arm="a", lr=0.1, seed=4)
    start, end = linear_state(1, run=run), linear_state(2, run=run)
    one, other = start.weights["weight"], end.weights["weight"]
    rows = list(measure_path.measure_line(start, end))
    assert len(rows) == 2 * len(measure_path.SHARES) == 42
    for row in rows:
        data, share = (start, end)[row["task"]].dataset, row["share"]
        assert row["loss"] == pytest.approx(data.loss_at((1 - share) * one + share * other), rel=1e-5)
        curved = (data.inputs @ (other - one).T).square().sum() / EXAMPLES
        assert row["above"] == pytest.approx(-share * (1 - share) * float(curved) / 2, abs=1e-5)
        assert row["length"] == pytest.approx(float((other - one).norm()))
        assert (row["arm"], row["lr"], row["seed"]) == ("a", 0.1, 4)
    assert torch.equal(end.model.weight, other)
    few = list(measure_path.measure_line(start, end, shares=[0.0, 0.25, 1.0]))
    assert few == [row for row in rows if row["share"] in (0.0, 0.25, 1.0)]


def test_a_hill_stands_above_the_chord_of_unequal_ends():
    shares = np.linspace(0, 1, 5)
    above = measure_path.above_chord(list(1 + 2 * shares + np.sin(np.pi * shares)), list(shares))
    assert above == pytest.approx(list(np.sin(np.pi * shares)), abs=1e-12)


@pytest.fixture
def paths(tmp_path, digits_run):
    """Two seeds of a first task and of a second one; the latter's seeds in another order."""
    new = Digits(rotation=80.0)
    first = dataclasses.replace(digits_run, sweep={"seed": (1, 2)}, seed=1)
    second = dataclasses.replace(
        first, data=new, parent="first", continual=Continual(past=(first.data,), replay="all"), arm="joint"
    )
    for name, run in (("first", first), ("second", second)):
        place = Place("gap", name, tmp_path)
        train(Job(place=place, run=run, code="code", scale="default", save_seconds=1e9))
    return [tmp_path / "gap" / name / "state.safetensors" for name in ("first", "second")]


def test_lines_join_each_seeds_own_states_and_show_both_tasks(paths):
    first, second = paths
    table = measure_path.measure([first], [second])
    assert table.groupby(["seed", "task"]).size().eq(21).all() and set(table.seed) == {1, 2}
    for member, seed in enumerate((1, 2)):
        start, end = (snapshots.read(path, f"{member}/final") for path in paths)
        assert (start.run.seed, end.run.seed) == (seed, seed)
        for task, dataset in enumerate((start.dataset, end.dataset)):
            line = table[(table.seed == seed) & (table.task == task)].set_index("share").loss
            assert line[0.0] == pytest.approx(evaluate(start.model, dataset)["val_loss"])
            assert line[1.0] == pytest.approx(evaluate(end.model, dataset)["val_loss"])


def test_a_line_without_its_start_is_refused(paths):
    second = paths[1]
    with pytest.raises(LookupError, match=r"second continues 'first', which is not in \['second'\]"):
        measure_path.measure([second], [second])
