"""Curvature of networks as others write them, against the same network written plainly."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from common.curvature.objective import Objective
from common.data.losses import cross_entropy
from tests.curvature.cases import Within, classes, cube, dense, drawn, mlp


def compiled(part):
    return torch.compile(part, backend="aot_eager")


def compiled_within(network):
    network[2].compile(backend="aot_eager")
    return nn.Sequential(compiled(network[0]), *network[1:])


COMPILED = {
    "whole": lambda: (compiled(mlp()), cross_entropy),
    "parts": lambda: (compiled_within(mlp()), cross_entropy),
    "loss": lambda: (mlp(), compiled(cross_entropy)),
    "loss, a module": lambda: (mlp(), compiled(nn.CrossEntropyLoss())),
}


@pytest.mark.parametrize("case", COMPILED.values(), ids=COMPILED.keys())
def test_what_is_compiled_is_measured_as_it_was_written(case):
    network, loss = case()
    found, wanted = Objective(network, loss, [classes()]), Objective(mlp(), cross_entropy, [classes()])
    block = np.eye(wanted.size)
    for name in ("hessian_products", "gauss_newton_products"):
        assert np.array_equal(getattr(found, name)(block), getattr(wanted, name)(block))
    assert found.loss() == wanted.loss()


class Joined(nn.Linear):
    """Takes its features in two parts, by name."""

    def forward(self, given):
        return super().forward(given["left"] @ torch.eye(1, 4).double()) + given["others"][0] @ self.weight[:, 1:].T


class Recurrent(nn.LSTM):
    """The last outputs of an LSTM."""

    def forward(self, x):
        return super().forward(x[:, :, None])[0][:, -1]


class Filters(nn.Conv2d):
    """Filters over features as an image, and the mean over their places."""

    def forward(self, x):
        return super().forward(x.view(-1, 2, 2, 1).tanh()).square().mean((2, 3))


class Length(nn.Module):
    """`weight_norm` as a parametrization written out: a length for each index of one side, and the direction."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, length, direction):
        return length * direction / direction.square().sum(1 - self.dim, keepdim=True).sqrt()

    def right_inverse(self, weight):
        return weight.square().sum(1 - self.dim, keepdim=True).sqrt(), weight


def length_of(layer, dim=0):
    parametrize.register_parametrization(layer, "weight", Length(dim))
    return layer


def normed(norm):
    return nn.Sequential(norm(nn.Linear(4, 5)), nn.Tanh(), norm(nn.Linear(5, 3), dim=1))


def channels_last(network):
    return network.to(memory_format=torch.channels_last)


def measured(network, batch):
    """Gradient, and the matrices of the products."""
    objective = Objective(network, cross_entropy, [batch])
    block = np.eye(objective.size)
    return [objective.gradient(), objective.hessian_products(block), objective.gauss_newton_products(block)]


def same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert other.any()
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "make", [lambda: normed(length_of), lambda: Recurrent(1, 3, batch_first=True), lambda: Filters(2, 3, (2, 1))]
)
def test_any_network_has_the_products_of_its_dense_hessian(make):
    objective = Objective(drawn(make().double(), 3), cross_entropy, [classes()])
    block = np.eye(objective.size)
    expected = dense(objective)
    same([objective.hessian_products(block)], [expected])
    same([objective.gauss_newton_products(block) + objective.remainder_products(block)], [expected])


def test_weight_norm_is_measured_as_it_is_defined():
    """torch's own second derivative of it is another matrix, and not symmetric."""
    found, wanted = (drawn(normed(norm).double(), 3) for norm in (weight_norm, length_of))
    same(measured(found, classes()), measured(wanted, classes()))


def test_weights_in_another_memory_order_have_the_same_curvature():
    plain = drawn(Filters(2, 3, (2, 1)).double(), 3)
    other = channels_last(copy.deepcopy(plain))
    assert not other.weight.is_contiguous()
    same(measured(other, classes()), measured(plain, classes()))


def test_inputs_may_be_dictionaries_also_of_inference_mode():
    x, y = classes()
    network = drawn(Joined(4, 3).double(), 3)
    with torch.inference_mode():
        inputs = {"left": x[:, :1].clone(), "others": [x[:, 1:].clone()]}
    same(measured(network, (inputs, y)), measured(drawn(nn.Linear(4, 3).double(), 3), (x, y)))


def test_functions_of_ones_own_are_measured_like_torchs():
    same(measured(Within(cube(lambda step: step)), classes()), measured(Within(lambda x: x**3), classes()))
