"""MetaInit: its quotient against the dense Hessian, and what it does to a start that is too sharp."""

import torch
from torch import nn
from torch.nn import functional

from common.config import MLP
from common.models import build
from common.models.metainit import EPSILON, gradient_quotient, metainit


def network(gain):
    model = MLP(width=6, depth=3, norm="none", activation="tanh", init_gain=gain)
    return build(model, inputs=4, outputs=3, context=None, generator=torch.Generator().manual_seed(0)).double()


INPUTS = torch.randn(20, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
TARGETS = torch.arange(20) % 3


def loss_of(model):
    return functional.cross_entropy(model(INPUTS), TARGETS)


def matrices(model):
    return [parameter for parameter in model.parameters() if parameter.ndim >= 2]


def test_quotient_against_the_dense_hessian():
    model = network(1.0)
    weights = matrices(model)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss_of(model), weights, create_graph=True)])
    hessian = torch.stack(
        [torch.cat([h.flatten() for h in torch.autograd.grad(g, weights, retain_graph=True)]) for g in gradient]
    )
    g = gradient.detach()
    expected = ((g - hessian @ g) / (g + EPSILON * torch.where(g >= 0, 1.0, -1.0)) - 1).abs().mean()
    torch.testing.assert_close(gradient_quotient(loss_of(model), weights), expected)


def test_a_linear_loss_has_the_quotient_of_epsilon_alone():
    weight = nn.Parameter(torch.tensor([[0.5, 0.25]], dtype=torch.float64))
    quotient = gradient_quotient((weight * torch.tensor([[2.0, -4.0]])).sum() + 0 * weight.square().sum(), [weight])
    assert float(quotient.detach()) < EPSILON


def test_a_sharp_start_becomes_flatter_along_its_directions():
    model = network(4.0)
    before = [weight.detach().clone() for weight in matrices(model)]
    quotients = metainit(model, lambda _: loss_of(model), steps=40)
    assert quotients[-1] < 0.75 * quotients[0]
    ratios = [float(new.norm() / old.norm()) for old, new in zip(before, matrices(model), strict=True)]
    for old, new, ratio in zip(before, matrices(model), ratios, strict=True):
        torch.testing.assert_close(new, ratio * old)
    assert max(abs(ratio - 1) for ratio in ratios) > 0.1
    assert all(float(parameter.abs().sum()) == 0 for parameter in model.parameters() if parameter.ndim == 1)
