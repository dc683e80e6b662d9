"""Linear networks: the reduced forms against whole Hessians and whole networks, and descent against a closed form."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import functional

from common.config.parametrization import Parametrization, Role, Scaling, rows
from common.streams import stream
from studies.lr_transfer import linear, measure_linear
from studies.lr_transfer.linear import Network, Task

SAMPLES, FEATURES, BASE = 12, 4, 16
PARAMETRIZATIONS = ("sp", "ntp", "mup")
TASK = linear.random_task(0, samples=SAMPLES, features=FEATURES)


def network(parametrization="mup", *, width=BASE, seed=0, features=FEATURES, gain=1.0):
    return linear.random_network(
        seed, width=width, features=features, parametrization=parametrization, base_width=BASE, gain=gain
    )


def later(net, task=TASK, *, lr=0.05, steps=3):
    """By the plain recursion, all neurons kept."""
    for _ in range(steps):
        net = linear.descended(net, task, lr=lr)
    return net


def dense(net, task=TASK):
    """Whole Hessian and Gauss-Newton part by automatic differentiation in weights over the roots of their rates."""
    inputs, targets = torch.from_numpy(task.inputs), torch.from_numpy(task.targets)
    roots = net.weights_rate**0.5, net.readout_rate**0.5
    scaled = np.concatenate([net.weights.ravel() / roots[0], net.readout / roots[1]])

    def outputs(flat):
        weights = flat[: net.weights.size].reshape(net.weights.shape) * roots[0]
        return net.forward * inputs @ weights.T @ flat[net.weights.size :] * roots[1]

    at = torch.from_numpy(scaled)
    jacobian = functional.jacobian(outputs, at)
    hessian = functional.hessian(lambda flat: (outputs(flat) - targets).square().mean() / 2, at)
    return hessian.numpy(), (jacobian.T @ jacobian / len(inputs)).numpy()


def top(matrix):
    return np.linalg.eigvalsh(matrix)[-1]


@pytest.mark.parametrize("width", [2, 5, 16, 40])
@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
@pytest.mark.parametrize("steps", [0, 6])
def test_curvature_is_that_of_the_whole_hessian(width, parametrization, steps):
    net = later(network(parametrization, width=width), steps=steps)
    hessian, gauss_newton = dense(net)
    whole = linear.Curvature(top(hessian), top(gauss_newton), top(hessian - gauss_newton))
    assert linear.curvature(net, TASK) == pytest.approx(whole, rel=1e-10)


@pytest.mark.parametrize("width", [3, 30])
def test_residual_eigenvalues_come_in_pairs(width):
    net = network(width=width)
    hessian, gauss_newton = dense(net)
    spectrum, value = np.linalg.eigvalsh(hessian - gauss_newton), linear.curvature(net, TASK).residual
    expected = np.sort([value, -value, 0.0] * width + [0.0] * (width * (FEATURES + 1 - 3)))
    assert spectrum == pytest.approx(expected, abs=1e-10)


def test_invariant_space_holds_all_of_the_hessian_but_residual_pairs():
    net = network(width=30)
    kept, whole = np.linalg.eigvalsh(linear._hessian(linear.reduced(net), TASK)), np.linalg.eigvalsh(dense(net)[0])
    value = linear.curvature(net, TASK).residual
    pairs, zeros = 30 - FEATURES - 1, len(whole) - len(kept) - 2 * (30 - FEATURES - 1)
    rest = [value, -value] * pairs + [0.0] * zeros
    assert len(kept) == 3 * FEATURES + 1
    assert np.sort([*kept, *rest]) == pytest.approx(whole, abs=1e-10)


def test_parts_can_be_told_apart():
    found = linear.curvature(network(gain=0.5), TASK)
    assert found.hessian > 1.05 * found.gauss_newton and found.hessian > 1.05 * found.residual > 0


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
def test_reduced_descent_is_the_whole_descent(parametrization):
    net = network(parametrization, width=64)
    *_, last = linear.trajectory(net, TASK, lr=0.1, steps=20)
    whole = later(net, lr=0.1, steps=20)
    assert last.weights.shape == (1 + FEATURES, FEATURES)
    assert last.coefficients == pytest.approx(whole.coefficients, abs=1e-12)
    assert last.loss(TASK) == pytest.approx(whole.loss(TASK), rel=1e-10)
    assert last.loss(TASK) < 0.5 * net.loss(TASK)


def test_an_update_is_that_of_automatic_differentiation():
    net, lr = network(width=24), 0.1
    weights, readout = (torch.from_numpy(part).requires_grad_() for part in (net.weights, net.readout))
    outputs = net.forward * torch.from_numpy(TASK.inputs) @ weights.T @ readout
    loss = (outputs - torch.from_numpy(TASK.targets)).square().mean() / 2
    loss.backward()
    factors = [Scaling(parametrization="mup", width=24 / BASE).factors(role) for role in (Role.EMBEDDING, Role.READOUT)]
    after = linear.descended(net, TASK, lr=lr)
    assert net.loss(TASK) == pytest.approx(loss.item(), rel=1e-12)
    for new, old, factor in zip((after.weights, after.readout), (weights, readout), factors, strict=True):
        assert new == pytest.approx((old - lr * factor.sgd * old.grad).detach().numpy(), abs=1e-12)


def test_parametrizations_agree_at_the_base_width():
    ends = [later(network(name), steps=20) for name in PARAMETRIZATIONS]
    wider = [later(network(name, width=2 * BASE), steps=20) for name in PARAMETRIZATIONS]
    for nets, agree in ((ends, True), (wider, False)):
        equal = [np.allclose(net.weights, nets[0].weights, rtol=1e-12, atol=0) for net in nets[1:]]
        assert equal == [agree, agree]
    assert {linear.curvature(net, TASK) for net in ends} == {linear.curvature(ends[0], TASK)}


@pytest.mark.parametrize("form", PARAMETRIZATIONS)
def test_curvature_does_not_depend_on_the_form(form):
    net, theta = later(network(form, width=40)), 3.0
    switched = Network(
        weights=net.weights,
        readout=net.readout / theta,
        forward=net.forward * theta,
        weights_rate=net.weights_rate,
        readout_rate=net.readout_rate / theta**2,
    )
    assert linear.curvature(switched, TASK) == pytest.approx(linear.curvature(net, TASK), rel=1e-12)
    assert later(switched).loss(TASK) == pytest.approx(later(net).loss(TASK), rel=1e-12)


@pytest.mark.parametrize("parametrization", ["mup", "ntp"])
def test_wide_networks_approach_the_limit(parametrization):
    def ends(width):
        runs = (
            linear.trajectory(network(parametrization, width=width, seed=k), TASK, lr=0.05, steps=30) for k in range(4)
        )
        return np.mean([linear.curvature(list(run)[-1], TASK) for run in runs], axis=0)

    limit = ends(math.inf)
    narrow, wide = (abs(ends(width) / limit - 1)[1] for width in (64, 16384))
    assert narrow > 4 * wide and wide < 0.02


def test_the_lazy_limit_keeps_its_kernel_and_the_other_does_not():
    curves = {
        name: [
            linear.curvature(net, TASK)
            for net in linear.trajectory(network(name, width=math.inf), TASK, lr=0.05, steps=40)
        ]
        for name in ("ntp", "mup")
    }
    lazy, rich = curves["ntp"], curves["mup"]
    assert lazy[0].gauss_newton == pytest.approx(rich[0].gauss_newton, rel=1e-5)
    assert [curve.hessian for curve in lazy] == pytest.approx([lazy[0].gauss_newton] * 41, rel=1e-5)
    assert rich[0].residual > 0.05 and max(curve.residual for curve in lazy) < 1e-5


def frozen(width, *, parametrization="mup"):
    """One trainable hidden matrix between frozen random ends, as a network on the first end's features."""
    factors = Scaling(parametrization=parametrization, width=width / BASE).factors
    first = stream(1, "first", width).standard_normal((FEATURES, width)) * FEATURES**-0.5 * factors(Role.EMBEDDING).std
    hidden = stream(1, "hidden", width).standard_normal((width, width)) * width**-0.5 * factors(Role.HIDDEN).std
    last = stream(1, "last", width).standard_normal(width) * width**-0.5 * factors(Role.READOUT).std
    net = Network(
        weights=hidden,
        readout=last,
        forward=factors(Role.READOUT).forward,
        weights_rate=factors(Role.HIDDEN).rate("sgd"),
        readout_rate=0.0,
    )
    return net, Task(inputs=TASK.inputs @ first, targets=TASK.targets)


def kernel(net, task):
    """A, (samples, samples): of the one trainable matrix."""
    return net.weights_rate * net.forward**2 * net.readout @ net.readout * task.inputs @ task.inputs.T


def closed_form(net, task, *, lr, steps):
    """chi' (I - lr A / n)^(2 steps) chi / (2 n) with the initial errors chi (Sakai and Imaizumi 2026)."""
    errors, count = task.errors(net.coefficients), len(task.targets)
    left = np.linalg.matrix_power(np.eye(count) - lr * kernel(net, task) / count, steps) @ errors
    return left @ left / (2 * count)


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
@pytest.mark.parametrize("width", [BASE, 64])
def test_one_trainable_matrix_follows_its_closed_form(width, parametrization):
    net, task = frozen(width, parametrization=parametrization)
    edge = 2 * len(task.targets) / top(kernel(net, task))
    for lr in (0.2 * edge, 0.9 * edge, 1.02 * edge):
        expected = closed_form(net, task, lr=lr, steps=25)
        assert later(net, task, lr=lr, steps=25).loss(task) == pytest.approx(expected, rel=1e-8)
    found = linear.curvature(net, task)
    assert found.hessian == pytest.approx(found.gauss_newton) == pytest.approx(2 / edge) and found.residual == 0


def test_best_rate_tends_to_that_between_both_ends_of_the_kernel():
    """From below, by 1 / steps; 40 steps end well above the rounding errors."""
    net, task = frozen(64)
    spectrum = np.linalg.eigvalsh(kernel(net, task))[-FEATURES:]
    limit = 2 * len(task.targets) / (spectrum[-1] + spectrum[0])
    shares = np.linspace(0.8, 1.1, 301)
    short, middle, long = (
        shares[np.argmin([closed_form(net, task, lr=share * limit, steps=steps) for share in shares])]
        for steps in (10, 20, 40)
    )
    assert 0 < 1 - long < 0.02
    assert [1 - short, 1 - middle] == pytest.approx([4 * (1 - long), 2 * (1 - long)], rel=0.2)


def test_measurement_is_tidy(monkeypatch):
    monkeypatch.setattr(measure_linear, "STEPS", 8)
    table = measure_linear.measure(seeds=(0, 1), widths=(64, 128, math.inf))
    assert list(table.columns) == ["parametrization", "width", "seed", "step", "loss", "part", "eigenvalue"]
    assert (
        not table.duplicated(["parametrization", "width", "seed", "step", "part"]).any() and len(table) == 2 * 2 * 3 * 9
    )
    some = measure_linear.measure(seeds=(0, 1), widths=(64, 128, math.inf), every=8)
    assert some.equals(table[table.step % 8 == 0].reset_index(drop=True)) and set(some.step) == {0, 8}
    base = table[table.width == measure_linear.BASE_WIDTH]
    both = [base[base.parametrization == name].drop(columns="parametrization").to_numpy() for name in ("mup", "ntp")]
    assert np.array_equal(*both) and set(table.parametrization) <= set(rows(Parametrization))
