"""Schedule-Free against its definition written out, the authors' package, and its two sets of weights."""

import numpy as np
import pytest
import schedulefree
import torch

from common.config import Constant, ScheduleFree
from common.optim import optimizers, schedules
from tests.optim.cases import FACTORS, SCHEDULE_FREE, Training, gradient, start, train

every_case = pytest.mark.parametrize("description", SCHEDULE_FREE.values(), ids=SCHEDULE_FREE.keys())


def twin(w, rates, *, decay, beta1, beta2, epsilon):
    """The iterate y and the average x from its definition: the mean of all z, weighted by (largest rate so far)**2."""
    z, y, v, iterates, weights = w, w, 0.0, [], []
    for k, rate in enumerate(rates):
        g = gradient(y, k)
        v = beta2 * v + (1 - beta2) * g**2
        z = z - rate * (g / (np.sqrt(v / (1 - beta2 ** (k + 1))) + epsilon) + decay * y)
        iterates.append(z)
        weights.append(max(rates[: k + 1]) ** 2)
        x = np.average(iterates, axis=0, weights=weights)
        y = (1 - beta1) * z + beta1 * x
    return y, x


@every_case
def test_twenty_updates_against_the_formulas_and_evaluation_at_the_average(description):
    parameters, lr = start(), 0.05
    optimizer = optimizers.build(description, parameters.items(), lr=lr)
    train(optimizer, parameters, FACTORS, lr)
    trained = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    with optimizers.evaluation(optimizer):
        averages = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    settings = {name: getattr(description, name) for name in ("beta1", "beta2", "epsilon")}
    for name, first in start().items():
        w, decay = first.detach().numpy(), description.weight_decay if first.ndim >= 2 else 0.0
        y, x = twin(w, [lr * factor for factor in FACTORS], decay=decay, **settings)
        np.testing.assert_allclose(trained[name].numpy(), y, rtol=1e-11, err_msg=name)
        np.testing.assert_allclose(averages[name].numpy(), x, rtol=1e-11, err_msg=name)
        assert torch.equal(parameters[name], trained[name])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("name", ["schedule_free", "schedule_free, all set"])
def test_it_equals_the_authors_package(name, dtype, tolerance):
    """The package does its own warm-up; ours comes from the schedule. It cannot do beta1 = 0."""
    description, lr, warmup = SCHEDULE_FREE[name], 0.01, 5
    ours, theirs = start(dtype), start(dtype)
    optimizer = optimizers.build(description, ours.items(), lr=lr)
    package = schedulefree.AdamWScheduleFree(
        [
            {"params": [theirs["layer.weight"]], "weight_decay": description.weight_decay, "lr_factor": 1.0},
            {"params": [theirs["layer.bias"]], "weight_decay": 0.0, "lr_factor": 1.0},
        ],
        lr=lr,
        betas=(description.beta1, description.beta2),
        eps=description.epsilon,
        warmup_steps=warmup,
    )
    package.train()
    factor = schedules.constant(Constant(warmup_steps=warmup), steps=20)
    train(optimizer, ours, [factor(t) for t in range(20)], lr)
    train(package, theirs, [1.0] * 20, lr)
    for key, parameter in theirs.items():
        torch.testing.assert_close(ours[key], parameter, rtol=tolerance, atol=tolerance)
    package.eval()
    with optimizers.evaluation(optimizer):
        for key, parameter in theirs.items():
            torch.testing.assert_close(ours[key], parameter, rtol=tolerance, atol=tolerance)


def test_names_of_the_state():
    training = Training(SCHEDULE_FREE["schedule_free"])
    assert set(optimizers.state_tensors(training.optimizer)) == {
        f"group/{index}/{key}" for index in (0, 1) for key in ("updates", "rate_max", "weight_sum")
    }
    training.run([0.1], 0, 1)
    tensors = optimizers.state_tensors(training.optimizer)
    assert tensors["group/0/weight_sum"].dtype == torch.float64
    assert tensors["group/0/weight_sum"].item() == 0.1**2
    assert tensors["parameter/0.weight/z"].shape == (7, 5)


@every_case
def test_loading_a_state_sets_the_parameters_to_the_iterate(description):
    """Whatever the caller has put there: the average, as it is kept in a file."""
    training, other = Training(description), Training(description)
    training.run([0.1] * 3, 0, 3)
    optimizers.load_state_tensors(other.optimizer, optimizers.state_tensors(training.optimizer))
    assert other.bits() == training.bits()


def test_an_update_in_eval_mode_is_refused():
    training = Training(SCHEDULE_FREE["schedule_free"])
    with optimizers.evaluation(training.optimizer), pytest.raises(RuntimeError, match="call train"):
        training.run([0.1], 0, 1)


def test_it_survives_a_first_update_at_rate_zero():
    training = Training(SCHEDULE_FREE["schedule_free"])
    training.run([0.0, 0.1], 0, 2)
    assert all(torch.isfinite(parameter).all() for parameter in training.model.parameters())


def test_the_first_step_of_a_late_gradient_is_larger_than_the_rate():
    """The updates of its group count for it: its second moment is corrected as if it had been averaged from then on."""
    weights = {name: torch.nn.Parameter(torch.ones(2, dtype=torch.float64)) for name in ("early", "late")}
    optimizer = optimizers.build(ScheduleFree(beta1=0.0, beta2=0.9, epsilon=1e-30), weights.items(), lr=0.1)
    for late in (None, None, torch.tensor([2.0, -0.5], dtype=torch.float64)):
        weights["early"].grad, weights["late"].grad = torch.ones(2, dtype=torch.float64), late
        optimizer.step()
    step = 0.1 * ((1 - 0.9**3) / (1 - 0.9)) ** 0.5
    assert step > 0.16
    assert (weights["late"] - 1).tolist() == pytest.approx([-step, step])
    assert (weights["early"] - 1).tolist() == pytest.approx([-0.3, -0.3])
