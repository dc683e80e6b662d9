"""Thresholds: update rules on quadratics diverge just above them and converge just below."""

import numpy as np
import pytest
import torch
from torch import nn

from common.config import SGD, Adam, AdamW, Optimizer, ScheduleFree, named
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective
from common.curvature.operators import Dense, Hessian, Scaled
from common.curvature.stability import decay, diagonal, threshold
from common.data.losses import cross_entropy
from common.optim import optimizers
from tests.curvature.cases import classes, dense, mlp

GRADIENT_RULES = [
    SGD(),
    SGD(momentum=0.5),
    SGD(momentum=0.9),
    SGD(momentum=0.5, nesterov=True),
    SGD(momentum=0.9, nesterov=True),
]


def trained_on_a_quadratic(optimizer, *, curvature, lr, steps=1500):
    """Size of the only weight after training on curvature / 2 * weight**2 from 1."""
    weight = nn.Parameter(torch.ones((), dtype=torch.float64))
    rule = optimizers.build(optimizer, [("weight", weight)], lr=lr)
    for _ in range(steps):
        rule.zero_grad()
        (0.5 * curvature * weight.square()).backward()
        rule.step()
    return abs(float(weight.detach()))


@pytest.mark.parametrize("optimizer", GRADIENT_RULES, ids=str)
@pytest.mark.parametrize("lr", [0.01, 0.7])
def test_gradient_rules_diverge_exactly_above_their_threshold(optimizer, lr):
    edge = threshold(optimizer, lr=lr)
    assert trained_on_a_quadratic(optimizer, curvature=0.99 * edge, lr=lr) < 1e-3
    assert trained_on_a_quadratic(optimizer, curvature=1.01 * edge, lr=lr) > 1e3


def test_weight_decay_of_sgd_is_a_shift_of_the_curvature():
    optimizer = SGD(weight_decay=5.0)
    weight = nn.Parameter(torch.ones(1, 1, dtype=torch.float64))
    bias = nn.Parameter(torch.ones(1, dtype=torch.float64))
    parameters = {"weight": weight, "bias": bias}
    rule = optimizers.build(optimizer, parameters.items(), lr=0.1)
    shift = decay(rule, parameters)
    seen = extremes(Scaled(Dense(np.eye(2) * 10), diagonal(rule, parameters, lr=0.1), shift=shift))
    assert shift.tolist() == [5.0, 0.0]
    assert seen.value == pytest.approx(15.0)


@pytest.mark.parametrize("beta1", [0.0, 0.5, 0.9])
def test_adam_with_a_frozen_preconditioner(beta1):
    """m averages the gradient, w -= lr m / p for three weights with coupled curvature."""
    draw = np.random.default_rng(0)
    root = draw.standard_normal((3, 3))
    hessian, scale, lr = root @ root.T, draw.uniform(0.1, 3, 3), 0.05
    effective = extremes(Scaled(Dense(hessian), 1 / scale), tolerance=1e-10).value
    edge = threshold(Adam(beta1=beta1), lr=lr)
    for factor, bounded in ((0.99, True), (1.01, False)):
        weights, moment = np.ones(3), np.zeros(3)
        for _ in range(4000):
            moment = beta1 * moment + (1 - beta1) * (factor * edge / effective) * (hessian @ weights)
            weights = weights - lr * moment / scale
        assert (np.abs(weights).max() < 10) == bounded
    if beta1 == 0.9:
        assert edge == pytest.approx(38 / lr)


def test_schedule_free_around_a_fixed_average():
    lr, beta1 = 0.1, 0.9
    edge = threshold(ScheduleFree(), lr=lr)
    for factor, bounded in ((0.99, True), (1.01, False)):
        z, average = 1.0, 0.1
        for _ in range(3000):
            z -= lr * factor * edge * ((1 - beta1) * z + beta1 * average)
        assert (abs(z) < 10) == bounded


@pytest.mark.parametrize("kind", [Adam, AdamW, ScheduleFree])
def test_the_diagonal_is_what_the_rule_divides_by(kind):
    """From a state with this second moment, a gradient along one weight moves that weight by lr times D."""
    network = mlp()
    objective = Objective(network, cross_entropy, [classes()])
    rule = optimizers.build(kind(beta1=0.0, beta2=0.9, epsilon=1e-4), network.named_parameters(), lr=0.02)
    with pytest.raises(ValueError, match=r"no second moment for '0\.weight' yet"):
        diagonal(rule, objective.named, lr=0.02)
    for _ in range(3):
        objective._loss(network(classes()[0]), classes()[1]).backward()
        before = position(rule, objective)
        gradient = np.concatenate([parameter.grad.flatten().numpy() for parameter in objective.parameters])
        rule.step()
        rule.zero_grad()
        moved = position(rule, objective) - before
        rates = diagonal(rule, objective.named, lr=0.02)
        assert moved == pytest.approx(-0.02 * rates * gradient, rel=1e-6)
    assert rates.max() > 2 * rates.min()


def test_the_diagonal_of_amsgrad_is_its_largest_second_moment():
    weight = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    rule = torch.optim.Adam([weight], lr=0.1, betas=(0.0, 0.5), amsgrad=True)
    for gradient in (10.0, 0.1, 0.1, 0.1):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        before = float(weight)
        rule.step()
    assert float(weight) - before == pytest.approx(-0.1 * float(diagonal(rule, {"w": weight}, lr=0.1)[0]) * 0.1)


def position(rule, objective):
    """What the rule adds its steps to: the weights, or schedule_free's z."""
    tensors = [rule.state[parameter].get("z", parameter) for parameter in objective.parameters]
    return np.concatenate([tensor.detach().flatten().numpy().copy() for tensor in tensors])


def test_rates_of_single_tensors():
    network = mlp()
    objective = Objective(network, cross_entropy, [classes()])
    first, rest = list(network[0].parameters()), list(network[2].parameters())
    rule = torch.optim.SGD([{"params": first, "lr": 0.3}, {"params": rest}], lr=0.1)
    rates = diagonal(rule, objective.named, lr=0.1)
    assert rates == pytest.approx([3.0] * 25 + [1.0] * 18)
    found = extremes(Scaled(Hessian(objective), rates), tolerance=1e-8)
    assert found.value == pytest.approx(np.linalg.eigvals(rates[:, None] * dense(objective)).real.max(), rel=1e-8)


def test_numbers_of_the_literature():
    adam = Adam()
    assert threshold(adam, lr=1.0) == pytest.approx(38)
    assert threshold(AdamW(), lr=1.0) == pytest.approx(38)
    assert threshold(GRADIENT_RULES[2], lr=1.0) == pytest.approx(3.8)
    assert threshold(GRADIENT_RULES[4], lr=1.0) == pytest.approx(1.357, abs=1e-3)
    assert threshold(adam, lr=0.0) == np.inf


KNOWN = {word: kind for word, kind in Optimizer.kinds().items() if (kind.threshold or "").startswith("common.")}


@pytest.mark.parametrize("kind", KNOWN.values(), ids=KNOWN)
def test_a_kind_says_what_this_module_must_know_of_it(kind):
    """Its threshold, whether it has a second moment to divide by, and where it puts the weight decay."""
    assert threshold(kind(), lr=0.5) == 2 * named(kind.threshold)(kind())
    network = mlp()
    objective = Objective(network, cross_entropy, [classes()])
    rule = optimizers.build(kind(weight_decay=0.1), network.named_parameters(), lr=0.1)
    if kind.preconditioned:
        with pytest.raises(ValueError, match="no second moment"):
            diagonal(rule, objective.named, lr=0.1)
    else:
        assert diagonal(rule, objective.named, lr=0.1) == pytest.approx(np.ones(objective.size))
    assert kind.couples_decay == (kind in (SGD, Adam))


def test_a_kind_without_a_known_threshold_is_refused(monkeypatch):
    monkeypatch.setattr(SGD, "threshold", None)
    with pytest.raises(ValueError, match=r"optimizer\.kind='sgd' has no known threshold"):
        threshold(SGD(), lr=0.1)


def test_senseless_arguments():
    with pytest.raises(ValueError, match="lr=-1"):
        threshold(GRADIENT_RULES[0], lr=-1)
    network, other = mlp(), mlp()
    objective = Objective(network, cross_entropy, [classes()])
    with pytest.raises(ValueError, match=r"does not train '0\.weight'"):
        diagonal(torch.optim.SGD(other.parameters(), lr=0.1), objective.named, lr=0.1)
    with pytest.raises(ValueError, match="RMSprop has no known"):
        diagonal(torch.optim.RMSprop(network.parameters()), objective.named, lr=0.1)
    with pytest.raises(ValueError, match="lr=0"):
        diagonal(torch.optim.SGD(network.parameters(), lr=0.1), objective.named, lr=0)
