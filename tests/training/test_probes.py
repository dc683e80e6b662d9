import dataclasses

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid
from torch.nn import functional

from common import data
from common.config import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Constant,
    Continual,
    Digits,
    EffectiveSharpness,
    Gradients,
    NearestMean,
    Norms,
    Probe,
    Run,
    ScheduleFree,
    Sharpness,
)
from common.models.roles import named_factors
from common.training.loop import Training
from common.training.probes import Subject, measure

RUN = Run(model=MLP(width=4, depth=1), data=Digits(), lr=0.1, steps=3, seed=0)
SHARPNESS = Sharpness(every=1)


def subject(probe, **fields):
    """A subject whose model is one layer with the weights 3, -4 and the bias 12."""
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -4.0]]))
        model.bias.copy_(torch.tensor([12.0]))
    whole = Subject(
        model=model,
        dataset=data.load(RUN.data, corpora=None),
        past=[],
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        learning_rate=0.1,
        run=RUN,
        probe=probe,
        memory={},
    )
    return dataclasses.replace(whole, **fields)


def test_norms_are_those_of_all_weights_together():
    assert measure(subject(Norms(every=1))) == pytest.approx({"weight_norm": 13.0, "weight_max": 12.0})


@dataclasses.dataclass
class Two:
    """Two examples of a linear task."""

    inputs: torch.Tensor
    targets: torch.Tensor
    loss = "mse"
    size = 2

    def batch(self, *, seed, position, count):
        return data.Batch(self.inputs[:count], self.targets[:count])


def test_gradients_of_a_linear_model_by_hand():
    """Residuals r give the gradient mean r x to the weights, mean r to the bias."""
    new = Two(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[13.0], [8.0]]))  # residuals 2 and 0
    old = Two(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), torch.tensor([[8.0], [15.0]]))  # residuals 0 and -4
    found = measure(subject(Gradients(every=1), dataset=new, past=[old]))
    plasticity, stability = [0.5, 0.0, 0.5], [-1.0, -1.0, -1.0]  # halves of (1, 0, 1) and (-2, -2, -2)
    assert found == pytest.approx(
        {
            "stability_gradient": 3**0.5,
            "plasticity_gradient": 0.5**0.5,
            "joint_gradient": (0.25 + 1 + 0.25) ** 0.5,
            "gradient_cosine": -1 / (3**0.5 * 0.5**0.5),
        }
    )
    assert sum((a + b) ** 2 for a, b in zip(plasticity, stability, strict=True)) ** 0.5 == found["joint_gradient"]
    three = measure(subject(Gradients(every=1), dataset=new, past=[old, old]))
    assert three["stability_gradient"] == pytest.approx(found["stability_gradient"] * 4 / 3)
    assert three["plasticity_gradient"] == pytest.approx(found["plasticity_gradient"] * 2 / 3)


def test_gradients_over_some_examples():
    new = Two(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[13.0], [8.0]]))
    some = subject(Gradients(every=1, examples=1), dataset=new, past=[new])
    assert measure(some)["plasticity_gradient"] == pytest.approx(2 * 2**0.5 / 2)


def test_a_task_that_is_solved_has_no_direction():
    solved = Two(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[15.0], [8.0]]))
    found = measure(subject(Gradients(every=1), dataset=solved, past=[solved]))
    assert found == {"stability_gradient": 0.0, "plasticity_gradient": 0.0, "joint_gradient": 0.0}


def trained(run, *, updates, probe=SHARPNESS):
    """A subject after some updates of a run."""
    training = Training(run, data.load(run.data, corpora=None))
    for _ in range(updates):
        training.loss(training.next_batch()).backward()
        training.step(torch.zeros(()))
        training.optimizer.zero_grad()
    return subject(probe, model=training.model, dataset=training.dataset, optimizer=training.optimizer, run=run)


SMALL = dataclasses.replace(RUN, model=MLP(width=3, depth=1, activation="tanh"), data=Digits(samples=60))


def dense_top(subject, *, rates=None):
    """Largest eigenvalue of the Hessian, column by column; with rates, of D^(1/2) H D^(1/2)."""
    parameters = list(subject.model.parameters())
    batch = subject.dataset.batch(seed=0, position=0, count=None)
    loss = torch.nn.functional.cross_entropy(subject.model(batch.inputs), batch.targets)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, create_graph=True)])
    columns = [
        torch.cat([h.flatten() for h in torch.autograd.grad(entry, parameters, retain_graph=True)])
        for entry in gradient
    ]
    root = torch.ones(len(columns)) if rates is None else torch.sqrt(rates)
    return float(torch.linalg.eigvalsh((root[:, None] * torch.stack(columns) * root).double())[-1])


def test_sharpness_is_the_top_of_the_dense_hessian():
    for updates in (0, 3):
        measured = trained(SMALL, updates=updates)
        found = measure(measured)
        assert found["sharpness"] == pytest.approx(dense_top(measured), rel=2e-3)
        assert found["sharpness_converged"] == 1 and found["sharpness_bound"] <= 1e-3 * found["sharpness"]


def test_a_second_measurement_starts_from_the_first():
    measured = trained(SMALL, updates=2)
    cold, warm = measure(measured), measure(measured)
    assert warm["sharpness"] == pytest.approx(cold["sharpness"], rel=2e-3)
    assert warm["sharpness_products"] < cold["sharpness_products"] / 2


def test_a_probe_set_of_some_examples():
    whole, part = (
        measure(trained(SMALL, updates=0, probe=Sharpness(every=1, examples=examples))) for examples in (None, 20)
    )
    assert whole["sharpness"] != pytest.approx(part["sharpness"], rel=1e-2)


@pytest.mark.parametrize("kind", Probe.kinds().values(), ids=Probe.kinds())
def test_every_kind_measures_its_columns(kind):
    about = trained(SMALL, updates=1, probe=kind(every=1))
    assert tuple(measure(dataclasses.replace(about, past=[data.load(RUN.data, corpora=None)]))) == kind.columns


def test_effective_sharpness_of_plain_gradient_descent_is_sharpness_over_its_edge():
    run = dataclasses.replace(SMALL, optimizer=SGD())
    about = trained(run, updates=3)
    for group in about.optimizer.param_groups:
        group["lr"] = about.learning_rate
    plain, effective = (
        measure(dataclasses.replace(about, memory={}, probe=probe))
        for probe in (SHARPNESS, EffectiveSharpness(every=1))
    )
    assert effective["effective_sharpness"] == pytest.approx(plain["sharpness"], rel=1e-6)
    assert effective["normalised_sharpness"] == pytest.approx(about.learning_rate * plain["sharpness"] / 2, rel=1e-6)


def test_effective_sharpness_knows_the_rate_of_each_tensor():
    model = MLP(width=3, depth=2, activation="tanh", parametrization="mup", base_width=1)
    run = dataclasses.replace(SMALL, model=model, optimizer=SGD())
    about = trained(run, updates=3, probe=EffectiveSharpness(every=1))
    factors = named_factors(about.model)
    rates = torch.cat([torch.full((p.numel(),), factors[name].sgd) for name, p in about.model.named_parameters()])
    assert set(rates.tolist()) == {1.0, 3.0}
    found = measure(about)["effective_sharpness"]
    assert found == pytest.approx(dense_top(about, rates=rates), rel=2e-3)
    assert found > 1.2 * dense_top(about)


@pytest.mark.parametrize("rule", [Adam(), AdamW(), ScheduleFree()], ids=lambda rule: rule.kind)
def test_a_preconditioned_rule_has_no_effective_sharpness_before_its_first_update(rule):
    run = dataclasses.replace(SMALL, optimizer=rule, steps=4, probes=(EffectiveSharpness(every=2),))
    rows = [row for row in Training(run, data.load(run.data, corpora=None)) if row["step"] in (0, 2, 4)]
    assert "normalised_sharpness" not in rows[0]
    assert all(row["normalised_sharpness"] > 0 for row in rows[1:])


def test_normalised_sharpness_is_taken_at_the_rate_of_the_next_update():
    """The weights' rates follow the schedule together with the threshold, so the eigenvalue itself does not."""
    warm, whole = (
        dataclasses.replace(
            SMALL,
            optimizer=SGD(),
            schedule=schedule,
            steps=4,
            probes=(EffectiveSharpness(steps=(0,)),),
        )
        for schedule in (Constant(warmup_steps=4), Constant())
    )
    slow, fast = (next(iter(Training(run, data.load(run.data, corpora=None)))) for run in (warm, whole))
    assert slow["effective_sharpness"] == pytest.approx(fast["effective_sharpness"], rel=1e-6)
    assert slow["normalised_sharpness"] == pytest.approx(fast["normalised_sharpness"] / 4, rel=1e-6)


def features_of(model, inputs):
    """What the readout of a trained MLP sees, layer by layer."""
    for layer in (model.embedding, *model.hidden):
        inputs = torch.tanh(functional.layer_norm(inputs @ layer.weight.t() + layer.bias, layer.bias.shape))
    return inputs.detach().numpy()


def first(task, examples):
    """Training examples of a task, as the probe takes them."""
    return task.batch(seed=0, position=0, count=examples)


TASKS = {
    "domains": [{"rotation": 80}, {}, {"rotation": 30}],
    "classes": [{"classes": (4, 5)}, {"classes": (0, 1)}, {"classes": (2, 3)}],
    "alone": [{"classes": (7, 8, 9)}],
}


@pytest.mark.parametrize("examples", [None, 50])
@pytest.mark.parametrize("tasks", TASKS.values(), ids=TASKS)
def test_nearest_mean_is_that_of_scikit_learn_on_the_pooled_tasks(tasks, examples):
    own, *past = (data.load(Digits(**fields), corpora=None) for fields in tasks)
    run = dataclasses.replace(RUN, model=MLP(width=20, depth=2, activation="tanh"), batch_size=32)
    about = trained(run, updates=3, probe=NearestMean(every=1, examples=examples))
    found = measure(dataclasses.replace(about, dataset=own, past=past))
    batches = [first(task, examples) for task in (own, *past)]
    pooled = np.concatenate([features_of(about.model, batch.inputs) for batch in batches])
    twin = NearestCentroid().fit(pooled, np.concatenate([batch.targets for batch in batches]))
    accuracies = [
        twin.score(features_of(about.model, task.held_out.inputs), task.held_out.targets) for task in (own, *past)
    ]
    wanted = {"nearest_mean_accuracy": accuracies[0]}
    wanted |= {"nearest_mean_accuracy_past": np.mean(accuracies[1:])} if past else {}
    assert found == pytest.approx(wanted, abs=1e-9)
    assert 0.2 < found["nearest_mean_accuracy"] < 1


def test_nearest_mean_does_not_read_the_readout():
    own, old = (data.load(Digits(classes=kept), corpora=None) for kept in ((4, 5), (0, 1)))
    about = dataclasses.replace(trained(SMALL, updates=3, probe=NearestMean(every=1)), dataset=own, past=[old])
    before = measure(about)
    with torch.no_grad():
        about.model.readout.bias[4:] += 1e6
        about.model.readout.weight.mul_(-1)
    assert measure(about) == before
    assert not about.model.readout._forward_pre_hooks


def test_nearest_mean_of_more_examples_than_there_are_is_refused():
    about = trained(SMALL, updates=0, probe=NearestMean(every=1, examples=61))
    with pytest.raises(data.DataError, match="examples=61 of probe 'nearest_mean' must be at most 60"):
        measure(about)


def test_a_run_with_past_tasks_measures_the_nearest_mean(digits_run):
    old = Digits(rotation=30)
    fields = {"parent": "x", "continual": Continual(past=(old,)), "steps": 3}
    run = dataclasses.replace(digits_run, probes=(NearestMean(every=1),), **fields)
    datasets = data.load_all(run, corpora=None)
    rows = list(Training(run, datasets[run.data], others=datasets))
    plain = list(Training(dataclasses.replace(run, probes=()), datasets[run.data], others=datasets))
    assert all(set(NearestMean.columns) < row.keys() for row in rows)
    assert [row["train_loss"] for row in rows[1:]] == [row["train_loss"] for row in plain[1:]]


@pytest.mark.parametrize("kind", [Sharpness, EffectiveSharpness])
def test_a_hessian_out_of_range_is_not_measured(kind):
    about = trained(dataclasses.replace(SMALL, optimizer=SGD()), updates=1, probe=kind(every=1))
    with torch.no_grad():
        for parameter in about.model.parameters():
            parameter.fill_(torch.inf)
    assert measure(about) == {}
