"""The loss along a line: its ends exactly, its middle in closed form, and the network as it was."""

import pytest
import torch
from torch import nn

from common.curvature.line import distance, losses_along, point


def drawn(seed):
    generator = torch.Generator().manual_seed(seed)
    return {"weight": torch.randn(2, 3, generator=generator), "bias": torch.randn(2, generator=generator)}


@torch.no_grad()
def squared_norm(model):
    return float(sum(parameter.double().square().sum() for parameter in model.parameters()))


def test_the_ends_are_exact():
    start, end = drawn(0), drawn(1)
    for share, expected in ((0, start), (1, end)):
        assert all(torch.equal(tensor, expected[name]) for name, tensor in point(start, end, share).items())


def test_a_quadratic_along_the_line():
    """|(1 - s) a + s b|^2 = (1 - s) |a|^2 + s |b|^2 - s (1 - s) |b - a|^2."""
    start, end, model = drawn(0), drawn(1), nn.Linear(3, 2)
    shares = [0.0, 0.25, 0.5, 1.0, 1.5]
    losses = losses_along(model, squared_norm, start=start, end=end, shares=shares)
    a, b, gap = losses[0], losses[3], distance(start, end) ** 2
    assert losses == pytest.approx([(1 - s) * a + s * b - s * (1 - s) * gap for s in shares], rel=1e-5)


def test_the_network_keeps_its_weights_also_after_an_error():
    model = nn.Linear(3, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def fail(_):
        raise ArithmeticError

    losses_along(model, squared_norm, start=drawn(0), end=drawn(1), shares=[0.5])
    with pytest.raises(ArithmeticError):
        losses_along(model, fail, start=drawn(0), end=drawn(1), shares=[0.5])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_different_networks_have_no_line():
    with pytest.raises(ValueError, match="'bias' is not in both"):
        point(drawn(0), {**drawn(1), "bias": torch.zeros(4)}, 0.5)
