"""Operators against their matrices, and the effective sharpness that no rescaling of a layer changes."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from common.curvature.objective import Objective
from common.curvature.operators import Dense, GaussNewton, Hessian, Remainder, Scaled, matrix
from common.data.losses import cross_entropy
from tests.curvature.cases import CASES, case, classes, dense, mlp

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("name", CASES)
def test_hessian_is_gauss_newton_and_remainder(name):
    objective = case(name)
    whole, part, rest = (matrix(kind(objective)) for kind in (Hessian, GaussNewton, Remainder))
    assert np.allclose(whole, dense(objective), rtol=0, atol=1e-12 * np.abs(whole).max())
    assert np.allclose(whole, part + rest, rtol=0, atol=1e-12 * np.abs(whole).max())
    assert np.linalg.eigvalsh(part)[0] > -1e-12
    assert np.linalg.norm(rest) > 1e-3 * np.linalg.norm(whole)


def test_scaled_and_shifted():
    a = RNG.standard_normal((6, 6))
    diagonal, shift = RNG.uniform(0, 3, 6), RNG.standard_normal(6)
    inner = Dense(a)
    operator = Scaled(inner, diagonal, shift=shift)
    root = np.diag(np.sqrt(diagonal))
    assert np.allclose(matrix(operator), root @ (a + a.T) / 2 @ root + np.diag(shift))
    assert (operator.products, inner.products) == (6, 6)
    gradient, direction = RNG.standard_normal((2, 6))
    assert operator.gradient(gradient) @ direction == pytest.approx(gradient @ operator.direction(direction))


def rescaled(network, theta):
    """The same function with the first layer's weight divided by theta and a factor theta in front of it."""

    class Factor(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return theta * (x @ self.layer.weight.T) + self.layer.bias

    other = copy.deepcopy(network)
    with torch.no_grad():
        other[0].weight.div_(theta)
    other[0] = Factor(other[0])
    return other


@pytest.mark.parametrize("theta", [0.1, 7.0])
def test_effective_sharpness_is_invariant_under_layer_rescaling(theta):
    network = mlp()
    plain, other = (Objective(net, cross_entropy, [classes()]) for net in (network, rescaled(network, theta)))
    assert other.loss() == pytest.approx(plain.loss(), rel=1e-12)
    rates = np.ones(plain.size)
    rates[: network[0].weight.numel()] = theta**-2
    top = [np.linalg.eigvalsh(matrix(Hessian(one)))[-1] for one in (plain, other)]
    effective = np.linalg.eigvalsh(matrix(Scaled(Hessian(other), rates)))[-1]
    assert effective == pytest.approx(top[0], rel=1e-9)
    assert abs(top[1] / top[0] - 1) > 0.01


def test_shapes_and_values_are_checked():
    operator = Dense(np.eye(3))
    with pytest.raises(ValueError, match=r"shape \(3,\) must have shape \(3, k\)"):
        operator(np.ones(3))
    with pytest.raises(ValueError, match=r"diagonal of shape \(2,\) must have shape \(3,\)"):
        Scaled(operator, np.ones(2))
    with pytest.raises(ValueError, match=r"value -1\.0"):
        Scaled(operator, np.array([1.0, -1.0, 2.0]))
    with pytest.raises(ValueError, match="shift holds a value that is not finite"):
        Scaled(operator, np.ones(3), shift=np.array([0.0, np.inf, 0.0]))


def test_a_product_that_is_not_finite_is_an_error():
    network = mlp()
    with torch.no_grad():
        network[0].weight[0, 0] = float("nan")
    operator = Hessian(Objective(network, cross_entropy, [classes()]))
    with pytest.raises(ArithmeticError, match="product 1 of Hessian is not finite"):
        operator(np.ones((operator.size, 1)))


def test_products_keep_the_type_of_the_block():
    """Float32 vectors stay so where nothing is lost, and their products are those of float64 ones."""
    network, (x, y) = mlp(dtype=torch.float32), classes(dtype=torch.float32)
    halves = Objective(network, cross_entropy, list(zip(x.split((5, 7)), y.split((5, 7)), strict=True)))
    for objective in (Objective(network, cross_entropy, [(x, y)]), halves):
        for operator in (Hessian(objective), Scaled(GaussNewton(objective), np.linspace(0, 2, objective.size))):
            block = RNG.standard_normal((operator.size, 2)).astype(np.float32)
            image = operator(block)
            assert operator.dtype == image.dtype == np.float32
            assert image == pytest.approx(operator(block.astype(float)), abs=1e-6)
    assert Hessian(case("mlp-squared")).dtype == Dense(np.eye(2)).dtype == np.float64


def test_finite_numbers_whose_square_is_not_are_no_error():
    operator = Scaled(Dense(np.eye(2)), np.ones(2))
    huge = np.full((2, 1), 1e308)
    assert np.array_equal(operator(huge), huge)
    with pytest.raises(ArithmeticError):
        operator(np.array([[np.inf], [-np.inf]]))
