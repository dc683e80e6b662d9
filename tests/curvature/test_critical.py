"""Critical sharpness: the curvature along the update of a quadratic, and the first rise of any other loss."""

import numpy as np
import pytest
import torch
from torch import nn

from common.curvature.critical import critical_sharpness
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective
from common.curvature.operators import Hessian
from common.data.losses import half_squared_error
from tests.curvature.cases import case, dense, drawn, regression


@pytest.mark.parametrize("guess", [1e-3, 0.1, 1.0, 30.0])
def test_the_curvature_along_the_gradient_of_a_quadratic(guess):
    objective = Objective(drawn(nn.Linear(4, 3).double(), 1), half_squared_error, [regression()])
    gradient = objective.gradient()
    along = gradient @ dense(objective) @ gradient / (gradient @ gradient)
    objective.forwards = 0
    found = critical_sharpness(objective, -gradient, guess=guess)
    assert found.converged
    assert found.sharpness == pytest.approx(along, rel=1e-6)
    assert found.lower < 2 / along <= found.upper <= 1.1 * found.lower
    assert found.passes == objective.forwards
    assert found.passes <= 7


def test_the_top_eigenvalue_along_its_eigenvector():
    objective = Objective(drawn(nn.Linear(4, 3).double(), 1), half_squared_error, [regression()])
    found = extremes(Hessian(objective), tolerance=1e-8)
    vector = found.largest.vectors[:, 0]
    downhill = -vector * np.sign(vector @ objective.gradient())
    step = 2 * abs(vector @ objective.gradient()) / found.value
    measured = critical_sharpness(objective, downhill, guess=1.0)
    assert measured.step == pytest.approx(step, rel=1e-6)


@pytest.mark.parametrize("name", ["mlp-cross-entropy", "mlp-squared", "transformer"])
@pytest.mark.parametrize("guess", [0.1, 0.5, 3.0, 100.0])
def test_a_network_is_enclosed_within_ten_passes(name, guess):
    objective = case(name)
    weights, gradient = objective.weights(), objective.gradient()
    found = critical_sharpness(objective, -gradient, guess=guess)
    assert found.converged
    assert found.passes < 10 or guess == 100
    assert found.lower <= found.step <= found.upper <= 1.1 * found.lower
    assert (
        objective.loss(weights - found.lower * gradient)
        <= objective.loss()
        < objective.loss(weights - found.upper * gradient)
    )
    assert np.array_equal(objective.weights(), weights)


def test_no_rise_and_no_fall_are_said():
    network = nn.Linear(2, 1, bias=False).double()
    line = Objective(network, lambda z, _: z.mean(), [(torch.ones(3, 2, dtype=torch.float64), torch.zeros(3))])
    falling = critical_sharpness(line, -line.gradient(), guess=1.0)
    assert (falling.converged, falling.upper, falling.passes) == (False, np.inf, 10)
    assert falling.step == falling.lower > 1
    rising = critical_sharpness(line, line.gradient(), guess=1.0)
    assert (rising.converged, rising.lower) == (False, 0)
    assert rising.step == rising.upper < 1


def test_a_loss_that_is_infinite_beyond():
    network = nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        network.weight.fill_(1.0)
    wall = Objective(
        network, lambda z, _: (-torch.log(z) + 3 * z).mean(), [(torch.ones(1, 1).double(), torch.zeros(1))]
    )
    found = critical_sharpness(wall, -wall.gradient(), guess=10.0, limit=30)
    assert found.converged
    assert found.upper < 0.5


def test_errors():
    objective = case("mlp-squared")
    with pytest.raises(ValueError, match="guess=0"):
        critical_sharpness(objective, objective.gradient(), guess=0)
    with pytest.raises(ValueError, match=r"update of shape \(2,\)"):
        critical_sharpness(objective, np.ones(2), guess=1.0)
    with torch.no_grad():
        objective.parameters[0].fill_(float("inf"))
    with pytest.raises(ArithmeticError, match="loss at the present weights"):
        critical_sharpness(objective, np.ones(objective.size), guess=1.0)
