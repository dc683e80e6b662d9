"""Measurements of the study, against closed forms of linear regression and slow twins."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian
from torch.nn import functional

from common import data
from common.config import Digits
from common.curvature.density import density
from common.curvature.operators import Dense, Hessian, matrix
from common.data import Batch
from common.data.losses import LOSSES
from common.runs import snapshots
from common.runs.job import Job, train
from common.runs.place import Place
from common.training.loop import Training
from studies.sharpness import measure_batches, measure_critical, measure_estimator, measure_layers, measure_spectrum

SAMPLES = 64


@pytest.fixture
def regression():
    """A linear map of the digits to one-hot targets: its loss is a quadratic with the Hessian X'X / n for each row."""
    dataset = data.load(Digits(samples=SAMPLES, standardised=True, loss="mse"), corpora=Path("unused"))
    model = nn.Linear(dataset.inputs, dataset.outputs, bias=False)
    nn.init.normal_(model.weight, generator=torch.Generator().manual_seed(0))
    return model, dataset


def top_eigenvalue(inputs: torch.Tensor) -> float:
    rows = inputs.double()
    return float(torch.linalg.eigvalsh(rows.T @ rows / len(rows))[-1])


def test_sharpness_of_batches_is_that_of_their_inputs(regression):
    model, dataset = regression
    rows = list(measure_batches.compare(model, dataset, seed=3))
    assert [row["batch_size"] for row in rows] == list(measure_batches.BATCH_SIZES)
    for row in rows:
        size = row["batch_size"]
        batches = (
            dataset.batch(seed=3, position=number * size, count=size).inputs
            for number in range(measure_batches.BATCHES)
        )
        assert row["sharpness"] == pytest.approx(np.mean([top_eigenvalue(inputs) for inputs in batches]), rel=1e-3)
        assert row["whole"] == pytest.approx(top_eigenvalue(dataset.train.inputs), rel=1e-3)
    assert rows[0]["sharpness"] > rows[0]["whole"]


def test_the_initial_network_is_that_of_the_training(digits_run):
    dataset = data.load(digits_run.data, corpora=Path("unused"))
    model = measure_batches.initial(SimpleNamespace(run=digits_run, dataset=dataset))
    start = Training(run=digits_run, dataset=dataset).model
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), start.parameters(), strict=True))


def test_every_seed_of_a_sweep_is_measured(tmp_path, digits_run, monkeypatch):
    monkeypatch.setattr(measure_batches, "BATCH_SIZES", (16, 32))
    run = dataclasses.replace(digits_run, sweep={"seed": (1, 2)}, keep_steps=(4, 7))
    train(Job(Place("sharpness", "swept", tmp_path), run, "code", "default", save_seconds=1e9))
    path = tmp_path / "sharpness" / "swept" / "state.safetensors"
    batches, critical = measure_batches.measure([path], batches=2), measure_critical.measure([path])
    assert batches.groupby(["seed", "state", "batch_size"]).size().eq(1).all() and len(batches) == 8
    assert critical[["seed", "step"]].to_numpy().tolist() == [[1, 4], [1, 7], [2, 4], [2, 7]]
    some = measure_critical.measure([path], every=3)
    assert some.reset_index(drop=True).equals(critical.iloc[[0, 3]].reset_index(drop=True))
    assert snapshots.read(path, "0/final").run.seed == 1


def test_critical_sharpness_of_a_quadratic_is_the_curvature_along_the_gradient(regression):
    model, dataset = regression
    row = measure_critical.compare(SimpleNamespace(model=model, dataset=dataset, run=SimpleNamespace(lr=0.01)))
    inputs, targets = (part.double() for part in dataset.train)
    gradient = (inputs @ model.weight.detach().double().T - targets).T @ inputs / SAMPLES
    curved = gradient @ (inputs.T @ inputs / SAMPLES)
    along = float((gradient * curved).sum() / gradient.square().sum())
    assert row["along_gradient"] == pytest.approx(along, rel=1e-5)
    assert row["critical"] == pytest.approx(along, rel=0.02)
    assert row["sharpness"] == pytest.approx(top_eigenvalue(dataset.train.inputs), rel=1e-3)
    assert row["converged"] and row["passes"] < 10


def test_percentile_of_a_known_spectrum():
    values = np.concatenate([np.linspace(0, 1, 500) ** 3, [5.0, 9.0]])
    measured = density(Dense(np.diag(values)), steps=80, draws=4)
    assert measure_spectrum.percentile(measured, 0.95) == pytest.approx(np.quantile(values, 0.95), rel=0.1)
    assert measure_spectrum.percentile(measured, 0.5) == pytest.approx(np.quantile(values, 0.5), abs=0.02)


@pytest.mark.parametrize("norm", ["none", "batchnorm"])
def test_batch_normalisation_is_measured_batch_by_batch(digits_run, norm):
    run = dataclasses.replace(digits_run, model=dataclasses.replace(digits_run.model, norm=norm), batch_size=500)
    dataset = data.load(run.data, corpora=Path("unused"))
    model = Training(run=run, dataset=dataset).model
    objective = measure_spectrum.objective_of(SimpleNamespace(run=run, dataset=dataset, model=model))
    batches = [dataset.batch(seed=0, position=start, count=500) for start in (0, 500)]
    whole = Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
    with torch.no_grad():
        by_hand = [float(functional.cross_entropy(model(batch.inputs), batch.targets)) for batch in batches]
        together = float(functional.cross_entropy(model(whole.inputs), whole.targets))
    assert objective.loss() == pytest.approx(np.mean(by_hand), rel=1e-5)
    assert (objective.loss() == pytest.approx(together, rel=1e-5)) == (norm == "none")


def test_the_spectrum_may_be_that_of_fewer_examples(digits_run):
    run = dataclasses.replace(digits_run, batch_size=32)
    dataset = data.load(run.data, corpora=Path("unused"))
    after = SimpleNamespace(run=run, dataset=dataset, model=Training(run=run, dataset=dataset).model)
    first = dataset.batch(seed=0, position=0, count=96)
    with torch.no_grad():
        by_hand = float(functional.cross_entropy(after.model(first.inputs), first.targets))
    assert measure_spectrum.objective_of(after, examples=100).loss() == pytest.approx(by_hand, rel=1e-5)


def test_spectrum_of_a_small_network(digits_run):
    run = dataclasses.replace(digits_run, model=dataclasses.replace(digits_run.model, width=4))
    dataset = data.load(run.data, corpora=Path("unused"))
    after = SimpleNamespace(run=run, dataset=dataset, model=Training(run=run, dataset=dataset).model)
    rows = list(measure_spectrum.spectrum(after, draws=20))
    exact = np.linalg.eigvalsh(matrix(Hessian(measure_spectrum.objective_of(after))))
    top = [row["eigenvalue"] for row in rows if row["quantity"] == "top"]
    assert top == pytest.approx(exact[: -measure_spectrum.TOP - 1 : -1], rel=1e-3)
    curve = [(row["eigenvalue"], row["density"]) for row in rows if row["quantity"] == "density"]
    assert np.trapezoid([value for _, value in curve], [at for at, _ in curve]) == pytest.approx(1, abs=0.01)
    percentile = next(row["eigenvalue"] for row in rows if row["quantity"] == "percentile")
    assert percentile == pytest.approx(np.quantile(exact, measure_spectrum.SHARE), rel=0.15)


def test_estimates_are_compared_with_the_whole_hessian():
    case = measure_estimator.draw(2)
    rows = list(measure_estimator.estimates(case))
    objective = case.objective(torch.float64)
    names = list(objective.named)
    loss, ((inputs, targets),) = LOSSES[case.loss], objective._batches

    def of_flat(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([parameter.numel() for parameter in objective.parameters])
        weights = {
            name: part.view_as(parameter)
            for name, part, parameter in zip(names, parts, objective.parameters, strict=True)
        }
        return loss(functional_call(objective.model, weights, (inputs,)), targets)

    spectrum = torch.linalg.eigvalsh(hessian(of_flat)(torch.from_numpy(objective.weights())))
    assert [row["precision"] for row in rows] == ["float64", "float32"]
    for row in rows:
        assert row["exact"] == pytest.approx(float(spectrum[-1]), rel=1e-9)
        assert row["distance"] == pytest.approx(float((spectrum - row["estimate"]).abs().min()), abs=1e-9)
        assert row["distance"] <= row["bound"]
    assert rows[0]["estimate"] != rows[1]["estimate"]


def test_random_networks_differ_and_are_reproducible():
    cases = [measure_estimator.draw(seed) for seed in range(30)]
    assert {case.model.norm for case in cases} == {"none", "layernorm", "batchnorm"}
    assert {case.loss for case in cases} == {"cross_entropy", "mse"}
    assert measure_estimator.draw(4).model == cases[4].model


def test_sequence_losses_are_means_over_all_positions():
    network = measure_layers.build("pre", depth=1, seed=0)
    tokens = torch.randint(measure_layers.TOKENS, (4, 9), generator=torch.Generator().manual_seed(1))
    scores = network(tokens[:, :-1]).detach().log_softmax(2)
    by_hand = [-sum(float(scores[i, j, tokens[i, j + 1]]) for j in range(8)) / 8 for i in range(4)]
    assert measure_layers.sequence_losses(network, tokens).tolist() == pytest.approx(by_hand, rel=1e-5)


def test_gradient_norms_are_root_mean_squares_over_losses():
    weight, other = (torch.ones(3, requires_grad=True) for _ in range(2))
    rows = torch.tensor([[3.0, 0.0, 4.0], [1.0, 0.0, 0.0]])
    norms = measure_layers.gradient_norms(rows @ weight + 2 * other.sum(), [weight, other])
    assert norms == pytest.approx([np.sqrt((25 + 1) / 2), np.sqrt(12)])


@pytest.mark.parametrize("place", measure_layers.PLACES)
def test_places_of_the_norms(place):
    network = measure_layers.build(place, depth=2, seed=0)
    tokens = torch.arange(8)[None]
    stream = network.blocks[0](network.embedding[tokens[0]], network.turns[:8])
    normalised = torch.allclose(stream.var(1, unbiased=False), torch.ones(8), atol=1e-3)
    assert normalised == (place == "post")


def test_layers_of_two_seeds(monkeypatch):
    monkeypatch.setattr(measure_layers, "DEPTHS", (2, 3))
    table = measure_layers.measure(seeds=(0, 1))
    assert table.groupby(["place", "depth"]).block.unique().map(list).to_dict() == {
        (place, depth): blocks for place in ("post", "pre") for depth, blocks in ((2, [2]), (3, [1, 2, 3]))
    }
    assert (table.gradient_norm > 0).all()
