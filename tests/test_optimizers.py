"""Optimizers against formulas written out, torch's plain loops, and the schedulefree package; exact continuation."""

import math
from itertools import pairwise

import numpy as np
import pytest
import schedulefree
import torch
from safetensors.torch import load, save

from common import config, optimizers, schedules
from common.config import Optimizer, Schedule

CASES = {
    "sgd": Optimizer(kind="sgd"),
    "sgd, decay": Optimizer(kind="sgd", weight_decay=0.1),
    "momentum": Optimizer(kind="sgd", momentum=0.9, weight_decay=0.1),
    "nesterov": Optimizer(kind="sgd", momentum=0.8, nesterov=True, weight_decay=0.1),
    "adam": Optimizer(kind="adam"),
    "adam, all set": Optimizer(kind="adam", beta1=0.8, beta2=0.99, epsilon=1e-3, weight_decay=0.1),
    "adamw": Optimizer(kind="adamw", weight_decay=0.1),
    "adamw, all set": Optimizer(kind="adamw", beta1=0.0, beta2=0.9, epsilon=1e-4, weight_decay=0.3),
    "schedule_free": Optimizer(kind="schedule_free"),
    "schedule_free, all set": Optimizer(kind="schedule_free", beta1=0.95, beta2=0.99, epsilon=1e-4, weight_decay=0.1),
    "schedule_free, beta1 = 0": Optimizer(kind="schedule_free", beta1=0.0, weight_decay=0.1),
}


every_case = pytest.mark.parametrize("description", CASES.values(), ids=CASES.keys())
FACTORS = [0.25, 0.5, 0.75, *[1.0] * 11, *[1 - j / 7 for j in range(1, 7)]]
"""Learning rate factors of 20 updates: warm-up, peak, decay."""


def start(dtype=torch.float64):
    """Named parameters: a matrix and a vector."""
    numbers = np.random.default_rng(0).normal(size=16)
    return {
        "layer.weight": torch.nn.Parameter(torch.tensor(numbers[:12].reshape(3, 4), dtype=dtype)),
        "layer.bias": torch.nn.Parameter(torch.tensor(numbers[12:], dtype=dtype)),
    }


def gradient(w, k):
    """A gradient that depends on place and update, for numpy arrays and tensors; ill-conditioned, never 0."""
    return w**3 + (2 + k % 3) * w + 0.1 * (k + 1)


def train(optimizer, parameters, factors, lr, first=0):
    for k, factor in enumerate(factors, start=first):
        for parameter in parameters.values():
            parameter.grad = gradient(parameter.detach(), k)
        optimizers.set_lr(optimizer, lr * factor)
        optimizer.step()


# Slow twins: one array at a time, the formulas as they stand in the papers


def twin_sgd(w, rates, *, decay, momentum=0.0, nesterov=False):
    buffer = None
    for k, rate in enumerate(rates):
        g = gradient(w, k) + decay * w
        buffer = g if buffer is None else momentum * buffer + g
        w = w - rate * (g + momentum * buffer if nesterov else buffer)
    return w


def twin_adam(w, rates, *, decay, beta1=0.9, beta2=0.95, epsilon=1e-8, decoupled=False):
    m = v = 0.0
    for k, rate in enumerate(rates):
        g = gradient(w, k) + (0 if decoupled else decay * w)
        w = w * (1 - rate * decay) if decoupled else w
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        w = w - rate * (m / (1 - beta1 ** (k + 1))) / (np.sqrt(v / (1 - beta2 ** (k + 1))) + epsilon)
    return w


def twin_adamw(w, rates, **settings):
    return twin_adam(w, rates, decoupled=True, **settings)


def twin_schedule_free(w, rates, *, decay, beta1=0.9, beta2=0.95, epsilon=1e-8, average=False):
    """The average x from its definition: the mean of all z, each with the weight (largest rate so far)**2."""
    z, y, v, iterates, weights = w, w, 0.0, [], []
    for k, rate in enumerate(rates):
        g = gradient(y, k)
        v = beta2 * v + (1 - beta2) * g**2
        z = z - rate * (g / (np.sqrt(v / (1 - beta2 ** (k + 1))) + epsilon) + decay * y)
        iterates.append(z)
        weights.append(max(rates[: k + 1]) ** 2)
        x = np.average(iterates, axis=0, weights=weights)
        y = (1 - beta1) * z + beta1 * x
    return x if average else y


TWINS = {"sgd": twin_sgd, "adam": twin_adam, "adamw": twin_adamw, "schedule_free": twin_schedule_free}


def twin(description, w, rates, **more):
    fields = config.to_dict(description)
    kind, decay = fields.pop("kind"), fields.pop("weight_decay")
    return TWINS[kind](w, rates, decay=decay if w.ndim >= 2 else 0.0, **fields, **more)


@every_case
def test_twenty_updates_against_the_formulas(description):
    parameters, lr = start(), 0.05
    optimizer = optimizers.build(description, parameters.items(), lr=lr)
    train(optimizer, parameters, FACTORS, lr)
    for name, first in start().items():
        expected = twin(description, first.detach().numpy(), [lr * factor for factor in FACTORS])
        np.testing.assert_allclose(parameters[name].detach().numpy(), expected, rtol=1e-11, err_msg=name)


@every_case
def test_evaluation_shows_the_average_of_schedule_free_and_the_weights_of_the_others(description):
    parameters, lr = start(), 0.05
    optimizer = optimizers.build(description, parameters.items(), lr=lr)
    train(optimizer, parameters, FACTORS, lr)
    trained = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    average = {"average": True} if description.kind == "schedule_free" else {}
    with optimizers.evaluation(optimizer):
        for name, first in start().items():
            expected = twin(description, first.detach().numpy(), [lr * factor for factor in FACTORS], **average)
            np.testing.assert_allclose(parameters[name].detach().numpy(), expected, rtol=1e-11, err_msg=name)
    assert all(torch.equal(parameters[name], trained[name]) for name in trained)


PLAIN = {
    "sgd": lambda groups, lr, o: torch.optim.SGD(
        groups, lr, momentum=o.momentum or 0, nesterov=bool(o.nesterov), fused=False, foreach=False
    ),
    "adam": lambda groups, lr, o: torch.optim.Adam(
        groups, lr, (0.9 if o.beta1 is None else o.beta1, o.beta2 or 0.95), o.epsilon or 1e-8, foreach=False
    ),
    "adamw": lambda groups, lr, o: torch.optim.AdamW(
        groups, lr, (0.9 if o.beta1 is None else o.beta1, o.beta2 or 0.95), o.epsilon or 1e-8, foreach=False
    ),
}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.kind in PLAIN])
def test_fused_and_plain_torch_agree_in_single_precision(name):
    description, lr = CASES[name], 0.05
    ours, plain = start(torch.float32), start(torch.float32)
    fast = optimizers.build(description, ours.items(), lr=lr)
    groups = [
        {"params": [plain["layer.weight"]], "weight_decay": description.weight_decay, "lr_factor": 1.0},
        {"params": [plain["layer.bias"]], "weight_decay": 0.0, "lr_factor": 1.0},
    ]
    assert all(group["fused"] for group in fast.param_groups)
    train(fast, ours, FACTORS, lr)
    train(PLAIN[description.kind](groups, lr, description), plain, FACTORS, lr)
    for key, parameter in plain.items():
        torch.testing.assert_close(ours[key], parameter, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("name", ["schedule_free", "schedule_free, all set"])
def test_schedule_free_equals_the_authors_package(name, dtype, tolerance):
    """The package does its own warm-up; ours comes from the schedule. It cannot do beta1 = 0."""
    description, lr, warmup = CASES[name], 0.01, 5
    ours, theirs = start(dtype), start(dtype)
    optimizer = optimizers.build(description, ours.items(), lr=lr)
    package = schedulefree.AdamWScheduleFree(
        [
            {"params": [theirs["layer.weight"]], "weight_decay": description.weight_decay, "lr_factor": 1.0},
            {"params": [theirs["layer.bias"]], "weight_decay": 0.0, "lr_factor": 1.0},
        ],
        lr=lr,
        betas=(description.beta1 or 0.9, description.beta2 or 0.95),
        eps=description.epsilon or 1e-8,
        warmup_steps=warmup,
    )
    package.train()
    factor = schedules.constant(steps=20, warmup_steps=warmup)
    train(optimizer, ours, [factor(t) for t in range(20)], lr)
    train(package, theirs, [1.0] * 20, lr)
    for key, parameter in theirs.items():
        torch.testing.assert_close(ours[key], parameter, rtol=tolerance, atol=tolerance)
    package.eval()
    with optimizers.evaluation(optimizer):
        for key, parameter in theirs.items():
            torch.testing.assert_close(ours[key], parameter, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "schedule_free"])
def test_equal_numbers_in_equal_bits_out_whatever_the_number_of_threads(name):
    ends = []
    for count in (1, 1, 2):
        torch.set_num_threads(count)
        parameters = {"weight": torch.nn.Parameter(torch.linspace(-1, 1, 90_000).view(300, 300))}
        optimizer = optimizers.build(CASES[name], parameters.items(), lr=0.01)
        train(optimizer, parameters, FACTORS[:4], 0.01)
        ends.append(parameters["weight"])
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])


def test_gradient_descent_on_a_quadratic_diverges_exactly_beyond_two_over_lambda():
    """w <- (1 - lr lambda) w, so after n updates |w| = |1 - lr lambda|**n."""
    curvature = 8.0
    for lr, growth in ((1.9 / curvature, 0.9), (2.0 / curvature, 1.0), (2.1 / curvature, 1.1), (1.0 / curvature, 0.0)):
        w = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        optimizer = optimizers.build(Optimizer(kind="sgd"), [("w", w)], lr=lr)
        for _ in range(100):
            w.grad = curvature * w.detach()
            optimizer.step()
        assert abs(w.item()) == pytest.approx(growth**100, rel=1e-9)


# Groups, learning rate, clipping


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw", "schedule_free"])
def test_weight_decay_acts_on_matrices_only(kind):
    parameters = start()
    optimizer = optimizers.build(Optimizer(kind=kind, weight_decay=0.1), parameters.items(), lr=0.01)
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    first = start()
    assert torch.equal(parameters["layer.bias"], first["layer.bias"])
    size = first["layer.weight"].abs()
    shrunk = size - 0.01 if kind == "adam" else size * (1 - 0.01 * 0.1)
    torch.testing.assert_close(parameters["layer.weight"].detach().abs(), shrunk.detach().abs(), rtol=1e-5, atol=1e-8)


def test_frozen_parameters_are_left_out_and_none_left_is_an_error():
    parameters = start()
    parameters["layer.bias"].requires_grad_(False)
    optimizer = optimizers.build(Optimizer(), parameters.items(), lr=0.1)
    assert [group["param_names"] for group in optimizer.param_groups] == [["layer.weight"]]
    parameters["layer.weight"].requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        optimizers.build(Optimizer(), parameters.items(), lr=0.1)


def test_set_lr_multiplies_by_the_factor_of_each_group():
    optimizer = optimizers.build(Optimizer(), start().items(), lr=0.1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]
    optimizer.param_groups[1]["lr_factor"] = 0.5
    optimizers.set_lr(optimizer, 0.3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.3, 0.15]


def gradients_of_norm_13():
    parameters = start()
    for parameter, value in zip(parameters.values(), (5 / math.sqrt(12), 12 / math.sqrt(4)), strict=True):
        parameter.grad = torch.full_like(parameter, value)
    return parameters


@pytest.mark.parametrize(("max_norm", "after"), [(None, 13.0), (20.0, 13.0), (13.0, 13.0), (1.3, 1.3)])
def test_clip_returns_the_norm_before_and_scales_to_the_largest_norm(max_norm, after):
    parameters = gradients_of_norm_13()
    before = {name: parameter.grad.clone() for name, parameter in parameters.items()}
    norm = optimizers.clip(parameters.values(), max_norm)
    assert (norm.shape, norm.item()) == ((), pytest.approx(13.0, rel=1e-14))
    gradients = torch.cat([parameter.grad.flatten() for parameter in parameters.values()])
    assert gradients.norm().item() == pytest.approx(after, rel=1e-14)
    if max_norm is None or max_norm > 13:
        assert all(torch.equal(parameters[name].grad, before[name]) for name in before)


def test_clip_agrees_with_torch():
    ours, theirs = gradients_of_norm_13(), gradients_of_norm_13()
    norm = optimizers.clip(ours.values(), 2.0)
    torch.testing.assert_close(norm, torch.nn.utils.clip_grad_norm_(theirs.values(), 2.0))
    for name, parameter in theirs.items():  # torch adds 1e-6 to the norm
        torch.testing.assert_close(ours[name].grad, parameter.grad, rtol=2e-7, atol=0)


def test_clip_passes_over_missing_gradients_and_shows_a_gradient_that_is_not_finite():
    parameters = gradients_of_norm_13()
    parameters["layer.weight"].grad = None
    assert optimizers.clip(parameters.values(), 1.0).item() == pytest.approx(12.0, rel=1e-14)
    parameters["layer.bias"].grad[0] = math.nan
    assert math.isnan(optimizers.clip(parameters.values(), 1.0))
    parameters["layer.bias"].grad = None
    with pytest.raises(ValueError, match="no gradient"):
        optimizers.clip(parameters.values(), 1.0)


def test_a_gradient_of_zero_is_not_changed_by_clipping():
    parameters = start()
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    assert optimizers.clip(parameters.values(), 1.0).item() == 0.0
    assert all(torch.equal(parameter.grad, torch.zeros_like(parameter)) for parameter in parameters.values())


# Continuing


STEPS = 12
SCHEDULES = {
    "constant": Schedule(kind="constant", warmup_steps=3),
    "linear": Schedule(kind="linear", warmup_steps=3),
    "cosine": Schedule(kind="cosine", warmup_steps=3),
    "wsd": Schedule(kind="wsd", warmup_steps=3, decay_steps=4, decay_shape="inverse"),
    "wsd_s": Schedule(kind="wsd_s", warmup_steps=2, decay_steps=2, decay_ends=(5, 12)),
    "cyclic_cosine": Schedule(kind="cyclic_cosine", warmup_steps=2, cycle_ends=(5, 12), rewarm_steps=2),
    "infinite": Schedule(kind="infinite", warmup_steps=2, cooldown_steps=4, level=0.5, decay_steps=3),
    "rewarm": Schedule(kind="rewarm", warmup_steps=3, start=0.1),
}


class Training:
    """A tiny model in single precision and its optimizer."""

    def __init__(self, description):
        generator = torch.Generator().manual_seed(1)
        self.model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.LayerNorm(7), torch.nn.Linear(7, 3))
        for parameter in self.model.parameters():
            torch.nn.init.normal_(parameter, generator=generator)
        self.optimizer = optimizers.build(description, self.model.named_parameters(), lr=0.1)

    def run(self, rates, first, end, *, evaluate=False):
        for t in range(first, end):
            inputs = torch.randn(8, 5, generator=torch.Generator().manual_seed(t))
            self.optimizer.zero_grad()
            self.model(inputs).tanh().square().mean().backward()
            optimizers.clip(self.model.parameters(), 0.5)
            optimizers.set_lr(self.optimizer, rates[t])
            self.optimizer.step()
            if evaluate:
                with optimizers.evaluation(self.optimizer), torch.no_grad():
                    self.model(inputs)

    def saved(self):
        with optimizers.evaluation(self.optimizer):
            return save(self.model.state_dict()), save(optimizers.state_tensors(self.optimizer))

    def restore(self, saved):
        self.model.load_state_dict(load(saved[0]))
        optimizers.load_state_tensors(self.optimizer, load(saved[1]))

    def bits(self):
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= optimizers.state_tensors(self.optimizer)
        return {name: (tensor.dtype, tensor.numpy().tobytes()) for name, tensor in tensors.items()}


def test_the_table_of_schedules_is_complete():
    assert {schedule.kind for schedule in SCHEDULES.values()} == set(schedules.KINDS)
    assert {description.kind for description in CASES.values()} == set(optimizers.KINDS)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
@every_case
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(description, schedule):
    rates = schedules.rates(schedule, steps=STEPS, lr=0.1)
    whole, resumed = Training(description), []
    for stop, end in pairwise((0, 1, 5, STEPS - 1, STEPS)):
        resumed.append(Training(description))
        resumed[-1].restore(whole.saved())
        resumed[-1].run(rates, stop, STEPS)
        whole.run(rates, stop, end)
    for training in resumed:
        assert training.bits() == whole.bits()


@every_case
def test_evaluating_and_saving_change_no_bit_of_the_training(description):
    rates = schedules.rates(SCHEDULES["cosine"], steps=STEPS, lr=0.1)
    plain, watched = Training(description), Training(description)
    plain.run(rates, 0, STEPS)
    watched.run(rates, 0, STEPS, evaluate=True)
    watched.saved()
    assert watched.bits() == plain.bits()


def test_the_saved_state_is_a_copy_and_not_a_view():
    training = Training(CASES["adamw"])
    training.run([0.1] * 4, 0, 2)
    saved = optimizers.state_tensors(training.optimizer)
    kept = {name: tensor.clone() for name, tensor in saved.items()}
    other = Training(CASES["adamw"])
    optimizers.load_state_tensors(other.optimizer, saved)
    training.run([0.1] * 4, 2, 4)
    other.run([0.1] * 4, 2, 4)
    assert all(torch.equal(saved[name], kept[name]) for name in kept)


@every_case
def test_loading_leaves_nothing_of_the_state_before(description):
    """A run that has trained and then loads a state from before the first update starts afresh."""
    fresh, used = Training(description), Training(description)
    saved = fresh.saved()
    used.run([0.1] * 6, 0, 3)
    used.restore(saved)
    for training in (fresh, used):
        training.run([0.1] * 6, 3, 6)
    assert used.bits() == fresh.bits()


def test_names_of_the_state():
    training = Training(CASES["schedule_free"])
    assert set(optimizers.state_tensors(training.optimizer)) == {
        f"group/{index}/{key}" for index in (0, 1) for key in ("updates", "rate_max", "weight_sum")
    }
    training.run([0.1], 0, 1)
    tensors = optimizers.state_tensors(training.optimizer)
    assert tensors["group/0/weight_sum"].dtype == torch.float64
    assert tensors["group/0/weight_sum"].item() == 0.1**2
    assert tensors["parameter/0.weight/z"].shape == (7, 5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("parameter/0.weight/exp_avg"), ["lacks 'parameter/0.weight/exp_avg'", "AdamW"]),
        (lambda tensors: tensors.update({"parameter/9.weight/step": torch.tensor(1.0)}), ["has 'parameter/9.weight/"]),
        (lambda tensors: tensors.update({"group/0/updates": torch.tensor(1.0)}), ["has 'group/0/updates'"]),
        (
            lambda tensors: tensors.update({"parameter/0.weight/exp_avg": torch.zeros(5, 7)}),
            ["'parameter/0.weight/exp_avg'", "(5, 7)", "(7, 5)"],
        ),
    ],
)
def test_a_state_of_another_optimizer_or_model_is_refused_and_changes_nothing(change, words):
    training = Training(CASES["adamw"])
    training.run([0.1] * 2, 0, 2)
    before, tensors = training.bits(), optimizers.state_tensors(training.optimizer)
    change(tensors)
    with pytest.raises(ValueError) as caught:
        optimizers.load_state_tensors(training.optimizer, tensors)
    assert [word for word in words if word not in str(caught.value)] == []
    assert training.bits() == before


def test_a_state_of_another_kind_is_refused():
    training = Training(CASES["adamw"])
    training.run([0.1] * 2, 0, 2)
    for name in ("sgd", "momentum", "schedule_free"):
        with pytest.raises(ValueError, match=r"saved state (lacks|has)"):
            optimizers.load_state_tensors(Training(CASES[name]).optimizer, optimizers.state_tensors(training.optimizer))


def test_schedule_free_refuses_an_update_in_eval_mode():
    training = Training(CASES["schedule_free"])
    with optimizers.evaluation(training.optimizer), pytest.raises(RuntimeError, match="call train"):
        training.run([0.1], 0, 1)


def test_schedule_free_survives_a_first_update_at_rate_zero():
    training = Training(CASES["schedule_free"])
    training.run([0.0, 0.1], 0, 2)
    assert all(torch.isfinite(parameter).all() for parameter in training.model.parameters())
