"""Optimizers against formulas written out and torch's plain loops; rules of one's own; exact continuation."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from common import config
from common.config import (
    SGD,
    WSD,
    WSDS,
    Adam,
    AdamW,
    Constant,
    Cosine,
    CyclicCosine,
    Infinite,
    Linear,
    Optimizer,
    Rewarm,
    Schedule,
    ScheduleFree,
    implementation,
)
from common.config.description import description, field
from common.config.parametrization import Factors, Role
from common.optim import optimizers, schedules
from tests.optim.cases import FACTORS, RULES, Training, gradient, start, train

every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
TORCHS = {name: rule for name, rule in RULES.items() if type(rule) in (SGD, Adam, AdamW)}


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


TWINS = {SGD: twin_sgd, Adam: twin_adam, AdamW: twin_adamw}


def twin(rule, w, rates):
    settings = {name: value for name, value in config.to_dict(rule).items() if name not in ("kind", "clip")}
    decay = settings.pop("weight_decay")
    return TWINS[type(rule)](w, rates, decay=decay if w.ndim >= 2 else 0.0, **settings)


@pytest.mark.parametrize("rule", TORCHS.values(), ids=TORCHS)
def test_twenty_updates_against_the_formulas_and_evaluation_at_the_same_weights(rule):
    parameters, lr = start(), 0.05
    optimizer = optimizers.build(rule, parameters.items(), lr=lr)
    train(optimizer, parameters, FACTORS, lr)
    trained = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    for name, first in start().items():
        expected = twin(rule, first.detach().numpy(), [lr * factor for factor in FACTORS])
        np.testing.assert_allclose(trained[name].numpy(), expected, rtol=1e-11, err_msg=name)
    with optimizers.evaluation(optimizer):
        assert all(torch.equal(parameters[name], trained[name]) for name in trained)
    assert all(torch.equal(parameters[name], trained[name]) for name in trained)


PLAIN = {
    SGD: lambda groups, lr, o: torch.optim.SGD(
        groups, lr, momentum=o.momentum, nesterov=o.nesterov, fused=False, foreach=False
    ),
    Adam: lambda groups, lr, o: torch.optim.Adam(groups, lr, (o.beta1, o.beta2), o.epsilon, foreach=False),
    AdamW: lambda groups, lr, o: torch.optim.AdamW(groups, lr, (o.beta1, o.beta2), o.epsilon, foreach=False),
}


@pytest.mark.parametrize("rule", TORCHS.values(), ids=TORCHS)
def test_fused_and_plain_torch_agree_in_single_precision(rule):
    lr = 0.05
    ours, plain = start(torch.float32), start(torch.float32)
    fast = optimizers.build(rule, ours.items(), lr=lr)
    groups = [
        {"params": [plain["layer.weight"]], "weight_decay": rule.weight_decay, "lr_factor": 1.0},
        {"params": [plain["layer.bias"]], "weight_decay": 0.0, "lr_factor": 1.0},
    ]
    assert all(group["fused"] for group in fast.param_groups)
    train(fast, ours, FACTORS, lr)
    train(PLAIN[type(rule)](groups, lr, rule), plain, FACTORS, lr)
    for key, parameter in plain.items():
        torch.testing.assert_close(ours[key], parameter, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "schedule_free"])
def test_equal_numbers_in_equal_bits_out_whatever_the_number_of_threads(name):
    ends = []
    for count in (1, 1, 2):
        torch.set_num_threads(count)
        parameters = {"weight": torch.nn.Parameter(torch.linspace(-1, 1, 90_000).view(300, 300))}
        optimizer = optimizers.build(RULES[name], parameters.items(), lr=0.01)
        train(optimizer, parameters, FACTORS[:4], 0.01)
        ends.append(parameters["weight"])
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])


def test_gradient_descent_on_a_quadratic_diverges_exactly_beyond_two_over_lambda():
    """w <- (1 - lr lambda) w, so after n updates |w| = |1 - lr lambda|**n."""
    curvature = 8.0
    for lr, growth in ((1.9 / curvature, 0.9), (2.0 / curvature, 1.0), (2.1 / curvature, 1.1), (1.0 / curvature, 0.0)):
        w = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        optimizer = optimizers.build(SGD(), [("w", w)], lr=lr)
        for _ in range(100):
            w.grad = curvature * w.detach()
            optimizer.step()
        assert abs(w.item()) == pytest.approx(growth**100, rel=1e-9)


# Groups, learning rate, clipping


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, ScheduleFree])
def test_weight_decay_acts_on_matrices_only(kind):
    parameters = start()
    optimizer = optimizers.build(kind(weight_decay=0.1), parameters.items(), lr=0.01)
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    first = start()
    assert torch.equal(parameters["layer.bias"], first["layer.bias"])
    size = first["layer.weight"].abs()
    shrunk = size - 0.01 if kind is Adam else size * (1 - 0.01 * 0.1)
    torch.testing.assert_close(parameters["layer.weight"].detach().abs(), shrunk.detach().abs(), rtol=1e-5, atol=1e-8)


def test_frozen_parameters_are_left_out_and_none_left_is_an_error():
    parameters = start()
    parameters["layer.bias"].requires_grad_(False)
    optimizer = optimizers.build(AdamW(), parameters.items(), lr=0.1)
    assert [group["param_names"] for group in optimizer.param_groups] == [["layer.weight"]]
    parameters["layer.weight"].requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        optimizers.build(AdamW(), parameters.items(), lr=0.1)


def test_set_lr_multiplies_by_the_factor_of_each_group():
    optimizer = optimizers.build(AdamW(), start().items(), lr=0.1)
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


# Rules of one's own


@pytest.fixture
def signs():
    """A description of another rule: descent along signs, at a rate that depends on the role, with a counter."""

    @description
    class Signs(Optimizer):
        kind = "signs"
        code = "tests.optim.test_optimizers:signed"

        slow: float = field(default=0.5, neutral=0.5)
        """Factor on the rate of readouts."""

    yield Signs
    del Signs.kind  # leave the family


class Signed(torch.optim.Optimizer):
    """w -= lr sign(g + last g / 2)."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            group["updates"] += 1
            for parameter in group["params"]:
                last = self.state[parameter].setdefault("last", torch.zeros_like(parameter))
                parameter.sub_(group["lr"] * torch.sign(parameter.grad + last / 2))
                last.copy_(parameter.grad)


def signed(rule, weights, *, lr):
    for weight in weights:
        if weight.role is None:
            raise ValueError(f"the role of {weight.name} is not known")
    slowed = [
        weight._replace(factors=Factors(sgd=rule.slow if weight.role is Role.READOUT else 1.0)) for weight in weights
    ]
    known = type("Known", (), {"weight_decay": rule.weight_decay, "sizes": "sgd", "couples_decay": False})
    parts = optimizers.groups(known, slowed, keeps=["last"], counts=["updates"])
    return Signed(parts, {"lr": lr, "updates": 0.0})


def test_a_rule_of_ones_own_is_a_description_and_a_constructor(signs):
    parameters = start()
    roles = {"layer.weight": Role.READOUT, "layer.bias": Role.FINITE}
    optimizer = optimizers.build(signs(slow=0.25), parameters.items(), lr=0.4, roles=roles)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.4]
    train(optimizer, parameters, [1.0] * 3, 0.4)
    tensors = optimizers.state_tensors(optimizer)
    names = {f"parameter/{name}/last" for name in parameters} | {"group/0/updates", "group/1/updates"}
    assert set(tensors) == names
    assert (tensors["group/0/updates"].item(), tensors["parameter/layer.weight/last"].shape) == (3, (3, 4))
    others = {name: torch.nn.Parameter(parameter.detach().clone()) for name, parameter in parameters.items()}
    continued = optimizers.build(signs(slow=0.25), others.items(), lr=0.4, roles=roles)
    optimizers.load_state_tensors(continued, tensors)
    for built, weights in ((optimizer, parameters), (continued, others)):
        train(built, weights, [1.0] * 3, 0.4, first=3)
    assert all(torch.equal(parameters[name], others[name]) for name in parameters)
    with pytest.raises(ValueError, match=r"role of layer\.weight is not known"):
        optimizers.build(signs(), start().items(), lr=0.4)


def test_a_rule_that_no_table_knows_takes_only_factors_of_one(signs):
    weights = [optimizers.Weight(name, tensor) for name, tensor in start().items()]
    assert [group["lr_factor"] for group in optimizers.groups(signs(), weights)] == [1.0, 1.0]
    scaled = [weight._replace(factors=Factors(adam=0.5)) for weight in weights]
    with pytest.raises(ValueError, match="no rate for this update rule"):
        optimizers.groups(signs(), scaled)


# Continuing


STEPS = 12
SCHEDULES = {
    "constant": Constant(warmup_steps=3),
    "linear": Linear(warmup_steps=3),
    "cosine": Cosine(warmup_steps=3),
    "wsd": WSD(warmup_steps=3, decay_steps=4, decay_shape="inverse"),
    "wsd_s": WSDS(warmup_steps=2, decay_steps=2, decay_ends=(5, 12)),
    "cyclic_cosine": CyclicCosine(warmup_steps=2, cycle_ends=(5, 12), rewarm_steps=2),
    "infinite": Infinite(warmup_steps=2, cooldown_steps=4, level=0.5, decay_steps=3),
    "rewarm": Rewarm(warmup_steps=3, start=0.1),
}


def library(family):
    """The kinds of a family that are the library's own."""
    return {kind for kind in family.kinds().values() if kind.__module__ == family.__module__}


def test_the_cases_are_complete_and_each_word_is_carried_out_by_what_is_named_like_it():
    assert {type(schedule) for schedule in SCHEDULES.values()} == library(Schedule)
    assert {type(rule) for rule in RULES.values()} == library(Optimizer)
    assert [implementation(kind).__name__ for kind in library(Optimizer)] == [kind.kind for kind in library(Optimizer)]


@pytest.mark.parametrize(
    ("describe", "words"),
    [
        (lambda: SGD(beta1=0.9), ["beta1=0.9 is no field of SGD", "belongs to Adam, AdamW"]),
        (lambda: AdamW(momentum=0.9), ["momentum=0.9 is no field of AdamW", "belongs to SGD"]),
        (lambda: SGD(nesterov=True), ["nesterov=True needs a momentum"]),
        (lambda: Optimizer(kind="adamw", weight_decay=0.1), ["AdamW(weight_decay=0.1)"]),
    ],
)
def test_a_field_of_another_kind_and_the_first_edition_say_what_to_write(describe, words):
    with pytest.raises(ValueError) as caught:
        describe()
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
@every_rule
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(rule, schedule):
    rates = schedules.rates(schedule, steps=STEPS, lr=0.1)
    whole, resumed = Training(rule), []
    for stop, end in pairwise((0, 1, 5, STEPS - 1, STEPS)):
        resumed.append(Training(rule))
        resumed[-1].restore(whole.saved())
        resumed[-1].run(rates, stop, STEPS)
        whole.run(rates, stop, end)
    for training in resumed:
        assert training.bits() == whole.bits()


@every_rule
def test_evaluating_and_saving_change_no_bit_of_the_training(rule):
    rates = schedules.rates(SCHEDULES["cosine"], steps=STEPS, lr=0.1)
    plain, watched = Training(rule), Training(rule)
    plain.run(rates, 0, STEPS)
    watched.run(rates, 0, STEPS, evaluate=True)
    watched.saved()
    assert watched.bits() == plain.bits()


def test_the_saved_state_is_a_copy_and_not_a_view():
    training = Training(RULES["adamw"])
    training.run([0.1] * 4, 0, 2)
    saved = optimizers.state_tensors(training.optimizer)
    kept = {name: tensor.clone() for name, tensor in saved.items()}
    other = Training(RULES["adamw"])
    optimizers.load_state_tensors(other.optimizer, saved)
    training.run([0.1] * 4, 2, 4)
    other.run([0.1] * 4, 2, 4)
    assert all(torch.equal(saved[name], kept[name]) for name in kept)


@every_rule
def test_loading_leaves_nothing_of_the_state_before(rule):
    """A run that has trained and then loads a state from before the first update starts afresh."""
    fresh, used = Training(rule), Training(rule)
    saved = fresh.saved()
    used.run([0.1] * 6, 0, 3)
    used.restore(saved)
    for training in (fresh, used):
        training.run([0.1] * 6, 3, 6)
    assert used.bits() == fresh.bits()


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
    training = Training(RULES["adamw"])
    training.run([0.1] * 2, 0, 2)
    before, tensors = training.bits(), optimizers.state_tensors(training.optimizer)
    change(tensors)
    with pytest.raises(ValueError) as caught:
        optimizers.load_state_tensors(training.optimizer, tensors)
    assert [word for word in words if word not in str(caught.value)] == []
    assert training.bits() == before


def test_a_state_of_another_kind_is_refused():
    training = Training(RULES["adamw"])
    training.run([0.1] * 2, 0, 2)
    for name in ("sgd", "momentum", "schedule_free"):
        with pytest.raises(ValueError, match=r"saved state (lacks|has)"):
            optimizers.load_state_tensors(Training(RULES[name]).optimizer, optimizers.state_tensors(training.optimizer))
