"""What has no curvature, or none that is measured rightly, is refused by one sentence, and is no 0."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from common.config import Teacher
from common.curvature.objective import Objective
from common.data import load
from common.data.losses import cross_entropy
from tests.curvature.cases import Within, classes, cube, mlp


class Severed(nn.Module):
    """A network whose outputs are cut off from its weights."""

    def __init__(self, cut):
        super().__init__()
        self.network, self.cut = mlp(), cut

    def forward(self, x):
        return self.cut(self.network, x)


def without_gradients(network, x):
    with torch.no_grad():
        return network(x)


def in_inference(network, x):
    with torch.inference_mode():
        return network(x)


OTHER = mlp(seed=5)


CUTS = {
    "detached": lambda network, x: network(x).detach(),
    "no_grad": without_gradients,
    "inference": in_inference,
    "another": lambda network, x: OTHER(x),
    "rounded": lambda network, x: torch.from_numpy(network(x).detach().numpy()),
    "inputs": lambda network, x: x.clone().requires_grad_()[:, :3],
}


DERIVATIVES = ["hessian_products", "gauss_newton_products", "remainder_products", "gradient"]


def derivative(objective, name):
    """One of `DERIVATIVES`, of the first column only."""
    return getattr(objective, name)(*() if name == "gradient" else (np.eye(objective.size)[:, :1],))


@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
def test_outputs_that_no_weight_reaches_are_refused(cut, name):
    objective = Objective(Severed(cut), cross_entropy, [classes()])
    with pytest.raises((ValueError, RuntimeError), match=r"depends on none of the weights|[Ii]nference tensor"):
        derivative(objective, name)


def loss_without_gradients(z, y):
    with torch.no_grad():
        return cross_entropy(z, y)


LOSS_CUTS = {
    "detached": lambda z, y: cross_entropy(z.detach(), y),
    "detached again": lambda z, y: cross_entropy(z.detach().requires_grad_(), y),
    "a number": lambda z, y: cross_entropy(z, y).item(),
    "accuracy": lambda z, y: (z.argmax(-1) == y).double().mean(),
    "no_grad": loss_without_gradients,
    "targets alone": lambda z, y: y.double().mean(),
}


@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("loss", LOSS_CUTS.values(), ids=LOSS_CUTS.keys())
def test_losses_that_no_output_reaches_are_refused(loss, name):
    objective = Objective(mlp(), loss, [classes()])
    with pytest.raises(ValueError, match=r"depends on none of the weights .* mend model or loss"):
        derivative(objective, name)


MARKS = {
    "plain": once_differentiable,
    "beneath another": lambda step: functools.wraps(step)(functools.partial(once_differentiable(step))),
    "hidden": lambda step: functools.partial(once_differentiable(step)),
}


@pytest.mark.parametrize("name", DERIVATIVES[:3])
@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS.keys())
def test_functions_that_can_be_differentiated_only_once_are_refused(mark, name):
    objective = Objective(Within(cube(mark)), cross_entropy, [classes()])
    with pytest.raises(ValueError, match=r"marked once_differentiable, .* leave out the mark"):
        derivative(objective, name)
    objective.gradient()


@pytest.mark.parametrize("name", DERIVATIVES[:3])
def test_a_loss_that_can_be_differentiated_only_once_is_refused(name):
    objective = Objective(mlp(), lambda z, _: cube(once_differentiable)(z).mean(), [classes()])
    with pytest.raises(ValueError, match="marked once_differentiable"):
        derivative(objective, name)


def test_one_batch_that_no_weight_reaches_is_refused_too():
    network = mlp()
    x, y = classes()
    cut = Severed(lambda inner, x: inner(x) if len(x) > 4 else inner(x).detach())
    cut.network = network
    objective = Objective(cut, cross_entropy, [(x[:8], y[:8]), (x[8:], y[8:])])
    with pytest.raises(ValueError, match="depends on none of the weights"):
        objective.gradient()


def test_complex_weights_are_refused():
    network = nn.Linear(2, 2, dtype=torch.complex64)
    with pytest.raises(ValueError, match=r"weight 'weight' is complex; .*\(torch\.view_as_real"):
        Objective(network, lambda z, _: z.abs().sum(), [(torch.ones(1, 2), torch.zeros(1))])


def test_senseless_objectives():
    with pytest.raises(ValueError, match="requires_grad"):
        Objective(nn.Tanh(), cross_entropy, [classes()])
    for nothing in ([], iter(())):
        with pytest.raises(ValueError, match="0 targets in 0 batches"):
            Objective(mlp(), cross_entropy, nothing)


def test_a_network_of_inference_mode_is_refused_and_a_copy_of_it_measured():
    with torch.inference_mode():
        network = nn.Linear(4, 3).double()
    with pytest.raises(ValueError, match=r"weight 'weight' was made in torch\.inference_mode, .*copy\.deepcopy"):
        Objective(network, cross_entropy, [classes()])
    objective = Objective(copy.deepcopy(network), cross_entropy, (classes() for _ in range(2)))
    assert objective.hessian_products(np.eye(objective.size)).any()


class Named(nn.Linear):
    def forward(self, x):
        return {"logits": super().forward(x)}


def test_gauss_newton_needs_one_tensor():
    objective = Objective(Named(4, 3).double(), lambda z, y: cross_entropy(z["logits"], y), [classes()])
    objective.hessian_products(np.eye(objective.size))
    with pytest.raises(TypeError, match="returns dict"):
        objective.gauss_newton_products(np.eye(objective.size))


def test_senseless_probe_sets():
    data = load(Teacher(inputs=4, samples=10, exponent=1.0), corpora=None)
    network = nn.Linear(4, 1)
    with pytest.raises(ValueError, match="examples=11 must be between 1 and 10"):
        Objective.of_dataset(network, data, examples=11)
    with pytest.raises(ValueError, match="ask for fewer"):
        Objective.of_dataset(network, data, examples=5000, part="validation")
    assert Objective.of_dataset(network, data).targets == 10


class Functional(nn.Linear):
    def forward(self, x):
        return functional.dropout(super().forward(x), 0.5, training=self.training)


@pytest.mark.parametrize("network", [nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.1)), Functional(4, 3)])
def test_active_dropout_is_refused_and_the_generator_kept(network):
    x, y = classes()
    objective = Objective(network.double(), cross_entropy, [(x, y)])
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=r"draws random numbers.*model\.eval"):
        objective.hessian_products(np.eye(objective.size))
    assert torch.equal(torch.get_rng_state(), before)
    network.eval()
    objective.hessian_products(np.eye(objective.size))


def test_a_part_that_cannot_be_taken():
    whole = Objective(mlp(), cross_entropy, [classes()])
    with pytest.raises(ValueError, match="divisor=0"):
        whole.part(0)
    with pytest.raises(TypeError, match="inputs of a batch are dict"):
        Objective(mlp(), cross_entropy, [({"x": classes()[0]}, classes()[1])]).part(2)
