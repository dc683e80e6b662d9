"""The normalised sharpness of every rule, against dense matrices and against training itself."""

import numpy as np
import pytest
import torch

from common.config import SGD, Adam, AdamW
from common.curvature.objective import Objective
from common.curvature.sharpness import sharpness
from common.curvature.stability import diagonal
from common.data.losses import cross_entropy, half_squared_error
from common.optim import optimizers
from tests.curvature.cases import case, classes, dense, drawn, mlp, regression


@pytest.mark.parametrize(
    ("optimizer", "factor"),
    [
        (SGD(), 2),
        (SGD(momentum=0.9), 3.8),
        (SGD(momentum=0.9, nesterov=True), 3.8 / 2.8),
    ],
)
def test_gradient_rules(optimizer, factor):
    objective = case("mlp-cross-entropy")
    measured = sharpness(objective, optimizer, lr=0.3, smallest=1, tolerance=1e-6)
    top = np.linalg.eigvalsh(dense(objective))
    assert measured.normalised == pytest.approx(0.3 * top[-1] / factor, rel=1e-9)
    assert measured.found.smallest.values[0] == pytest.approx(top[0], rel=1e-6)
    assert (measured.mode, measured.targets) == ("train", 12)
    assert objective.forwards == 1


@pytest.mark.parametrize(("kind", "shifted"), [(SGD, True), (Adam, True), (AdamW, False)])
def test_preconditioner_and_coupled_decay(kind, shifted):
    network = mlp()
    objective = Objective(network, cross_entropy, [classes()])
    optimizer = kind(weight_decay=0.2)
    rule = optimizers.build(optimizer, network.named_parameters(), lr=0.01)
    for _ in range(4):
        cross_entropy(network(classes()[0]), classes()[1]).backward()
        rule.step()
        rule.zero_grad()
    measured = sharpness(objective, optimizer, lr=0.01, rule=rule, tolerance=1e-6)
    decays = np.concatenate([np.full(one.numel(), 0.2 * (one.ndim == 2)) for one in objective.parameters])
    seen = dense(objective) + np.diag(decays) * shifted
    top = np.linalg.eigvals(diagonal(rule, objective.named, lr=0.01)[:, None] * seen).real.max()
    assert measured.normalised == pytest.approx(0.01 * top / (2 if kind is SGD else 38), rel=1e-8)


def test_gradient_descent_leaves_a_quadratic_exactly_above_1():
    x, y = regression()
    for normalised, stays in ((0.99, True), (1.01, False)):
        network = drawn(torch.nn.Linear(4, 3, bias=False).double(), 2)
        objective = Objective(network, half_squared_error, [(x, y)])
        first = sharpness(objective, SGD(), lr=1.0).normalised
        rule = torch.optim.SGD(network.parameters(), lr=normalised / first)
        start = objective.loss()
        for _ in range(1000):
            rule.zero_grad()
            half_squared_error(network(x), y).backward()
            rule.step()
        assert (objective.loss() < start) == stays


def test_warm_start_and_rate_zero():
    objective = case("mlp-cross-entropy")
    sgd = SGD()
    cold = sharpness(objective, sgd, lr=0.1)
    warm = sharpness(objective, sgd, lr=0.1, start=cold.found.start)
    assert warm.found.value == pytest.approx(cold.found.value, rel=1e-5)
    assert warm.found.products < cold.found.products
    assert sharpness(objective, sgd, lr=0.0).normalised == 0


def test_adam_needs_its_state():
    with pytest.raises(ValueError, match="kind='adam' divides by its second moment"):
        sharpness(case("mlp-cross-entropy"), Adam(), lr=0.1)
