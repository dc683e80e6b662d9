"""Muon against its formulas written out; which weights it takes; exact continuation."""

import dataclasses
import math

import pytest
import torch
from safetensors.torch import load, save

from common import config, data
from common.config import MLP, Convnet, DescriptionError, Digits, EffectiveSharpness, Run, Transformer, ViT
from common.config.parametrization import Factors, Role
from common.models import build
from common.models.roles import named_factors, named_roles
from common.optim import optimizers
from common.training.loop import Training

SHAPES = {
    "tokens": ((5, 4), Role.TOKENS),
    "wide": ((4, 6), Role.HIDDEN),
    "bias": ((6,), Role.VECTOR),
    "tall": ((7, 4), Role.HIDDEN),
    "filter": ((2, 2, 3, 3), Role.HIDDEN),
    "readout": ((3, 4), Role.READOUT),
}
ROLES = {name: role for name, (_, role) in SHAPES.items()}
HIDDEN = ("wide", "tall")
CASES = {
    "as it stands": config.Muon(),
    "as Jordan et al.": config.Muon(adjust="original", adam_lr_factor=0.015, weight_decay=0.1),
    "all set": config.Muon(
        momentum=0.8, nesterov=False, ns_steps=3, beta1=0.8, beta2=0.9, epsilon=1e-4, adam_lr_factor=2, weight_decay=0.3
    ),
}
FACTORS = [0.25, 0.5, 0.75, *[1.0] * 11, *[1 - j / 7 for j in range(1, 7)]]
"""Learning rate factors of 20 updates: warm-up, peak, decay."""

every_case = pytest.mark.parametrize("rule", CASES.values(), ids=CASES)


def start(dtype=torch.float32):
    source = torch.Generator().manual_seed(0)
    return {
        name: torch.nn.Parameter(torch.randn(shape, generator=source, dtype=torch.float64).to(dtype))
        for name, (shape, _) in SHAPES.items()
    }


def gradient(w, k):
    """A gradient that depends on place and update, ill-conditioned and never 0."""
    return w**3 + (2 + k % 3) * w + 0.1 * (k + 1)


def train(optimizer, parameters, rates, first=0):
    for k, rate in enumerate(rates, start=first):
        for parameter in parameters.values():
            parameter.grad = gradient(parameter.detach(), k)
        optimizers.set_lr(optimizer, rate)
        optimizer.step()


def orthogonalised(matrix, steps, dtype):
    """Newton-Schulz on the wide form of a matrix; sums in the order in which torch rounds them."""
    if len(matrix) > matrix.shape[1]:
        return orthogonalised(matrix.T, steps, dtype).T
    x = matrix.to(dtype)
    x = x / x.norm()
    for _ in range(steps):
        gram = x @ x.T
        polynomial = torch.addmm(gram, gram, gram, beta=-4.775, alpha=2.0315)
        x = torch.addmm(x, polynomial, x, beta=3.4445)
    return x


def twin_hidden(w, rates, rule, *, dtype):
    m = torch.zeros_like(w)
    rows, columns = w.shape
    factor = math.sqrt(max(1, rows / columns)) if rule.adjust == "original" else 0.2 * math.sqrt(max(rows, columns))
    for k, rate in enumerate(rates):
        g = gradient(w, k)
        m = rule.momentum * m + (1 - rule.momentum) * g
        step = rule.momentum * m + (1 - rule.momentum) * g if rule.nesterov else m
        w = (1 - rate * rule.weight_decay) * w - rate * factor * orthogonalised(step, rule.ns_steps, dtype).to(w)
    return w


def twin_adamw(w, rates, rule):
    m = v = torch.zeros_like(w)
    for k, rate in enumerate(rule.adam_lr_factor * rate for rate in rates):
        g = gradient(w, k)
        w = w * (1 - rate * (rule.weight_decay if w.ndim >= 2 else 0))
        m, v = rule.beta1 * m + (1 - rule.beta1) * g, rule.beta2 * v + (1 - rule.beta2) * g**2
        w = w - rate * (m / (1 - rule.beta1 ** (k + 1))) / ((v / (1 - rule.beta2 ** (k + 1))).sqrt() + rule.epsilon)
    return w


@every_case
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 1e-9), (torch.float64, 0.02)])
def test_twenty_updates_against_the_formulas(rule, dtype, tolerance):
    """Exactly with the orthogonalisation in bfloat16; about so with the exact one."""
    parameters, rates = start(torch.float64), [0.05 * factor for factor in FACTORS]
    train(optimizers.build(rule, parameters.items(), lr=0.05, roles=ROLES), parameters, rates)
    for name, first in start(torch.float64).items():
        w = first.detach()
        exact = twin_hidden(w, rates, rule, dtype=dtype) if name in HIDDEN else twin_adamw(w, rates, rule)
        torch.testing.assert_close(parameters[name].detach(), exact, rtol=tolerance, atol=tolerance, msg=name)


def update(rule, *, size=32, rows=1, scale=1.0):
    """The first update of a hidden matrix of (rows * size, size) at rate 1, and its gradient."""
    weight = torch.nn.Parameter(torch.zeros(rows * size, size))
    optimizer = optimizers.build(rule, [("weight", weight)], lr=1.0, roles={"weight": Role.HIDDEN})
    weight.grad = scale * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    optimizer.step()
    return -weight.detach(), weight.grad


@pytest.mark.parametrize("rows", [2, 4])
def test_an_update_has_almost_equal_singular_values_and_the_directions_of_the_gradient(rows):
    moved, slope = update(config.Muon(adjust="original"), rows=rows)
    orthogonal = moved / math.sqrt(rows)
    gram = orthogonal.T @ orthogonal
    assert (torch.linalg.eigvalsh(gram) - 1).abs().max() < 0.6
    left, values, right = torch.linalg.svd(slope, full_matrices=False)
    assert (torch.linalg.eigvalsh(slope.T @ slope) / values.square().mean() - 1).abs().max() > 1
    aligned = left.T @ orthogonal @ right.T
    assert (aligned - aligned.diagonal().diag()).abs().max() < 0.03
    assert aligned.diagonal().min() > 0.6


@pytest.mark.parametrize("rows", [1, 3])
def test_updates_have_the_root_mean_square_of_those_of_adamw(rows):
    moved, _ = update(config.Muon(), rows=rows)
    assert moved.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.2)


def test_the_size_of_the_gradient_does_not_matter():
    small, large = (update(config.Muon(), scale=scale)[0] for scale in (1e-3, 1e3))
    torch.testing.assert_close(small, large, rtol=0, atol=0.02)


@every_case
def test_weight_decay_shrinks_matrices_beside_the_update(rule):
    parameters, rate = start(), 0.1
    optimizer = optimizers.build(rule, parameters.items(), lr=rate, roles=ROLES)
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, first in start().items():
        factor = 1 if name in HIDDEN else rule.adam_lr_factor
        decay = rule.weight_decay if first.ndim >= 2 else 0.0
        torch.testing.assert_close(parameters[name], first * (1 - rate * factor * decay), msg=name)


# Which weights go where


def network(model):
    tokens = model.reads == "tokens"
    sizes = {"inputs": 11 if tokens else 64, "outputs": 11 if tokens else 10, "context": 6 if tokens else None}
    return build(model, **sizes, generator=torch.Generator().manual_seed(0))


def orthogonalised_names(optimizer):
    groups = [group for group in optimizer.param_groups if group["keeps"] == ("momentum_buffer",)]
    return {name for group in groups for name in group["param_names"]}


@pytest.mark.parametrize(
    ("model", "hidden"),
    [
        (Transformer(width=8, depth=1, heads=2), {f"blocks.0.{name}" for name in ("qkv", "out", "up", "down")}),
        (Transformer(width=8, depth=1, heads=2, tied=False), {f"blocks.0.{n}" for n in ("qkv", "out", "up", "down")}),
        (ViT(width=8, depth=1, heads=2), {f"blocks.0.{name}.weight" for name in ("qkv", "out", "up", "down")}),
        (MLP(width=8, depth=3), {"hidden.0.weight", "hidden.1.weight"}),
    ],
)
def test_hidden_matrices_are_orthogonalised_and_all_else_is_left_to_adamw(model, hidden):
    module = network(model)
    roles, factors = named_roles(module), named_factors(module)
    optimizer = optimizers.build(config.Muon(), module.named_parameters(), lr=0.1, roles=roles, factors=factors)
    assert orthogonalised_names(optimizer) == hidden
    named = [name for group in optimizer.param_groups for name in group["param_names"]]
    assert sorted(named) == sorted(roles)


def test_a_schedule_moves_both_parts_at_their_ratio():
    optimizer = optimizers.build(config.Muon(adam_lr_factor=0.25), start().items(), lr=0.1, roles=ROLES)
    for rate in (0.1, 0.3):
        optimizers.set_lr(optimizer, rate)
        found = {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}
        assert found == {name: rate * (1 if name in HIDDEN else 0.25) for name in SHAPES}


def test_gradients_of_both_parts_are_forgotten_together():
    parameters = start()
    optimizer = optimizers.build(config.Muon(), parameters.items(), lr=0.1, roles=ROLES)
    train(optimizer, parameters, [0.1])
    optimizer.zero_grad(set_to_none=True)
    assert all(parameter.grad is None for parameter in parameters.values())


def test_unknown_roles_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"nothing says what bias, readout do; give roles, from named_roles or"):
        known = {name: role for name, role in ROLES.items() if name not in ("bias", "readout")}
        optimizers.build(config.Muon(), start().items(), lr=0.1, roles=known)


@pytest.mark.parametrize("model", [MLP(width=8, depth=1), Convnet(width=8, depth=2)])
def test_a_network_without_hidden_matrices_is_refused(model):
    module = network(model)
    with pytest.raises(ValueError, match=r"none is among embedding\.weight, .*; use AdamW"):
        optimizers.build(config.Muon(), module.named_parameters(), lr=0.1, roles=named_roles(module))


@pytest.mark.parametrize("row", ["mup", "ntp"])
def test_a_parametrization_without_rates_for_it_is_refused(row):
    model = MLP(width=8, parametrization=row, base_width=4)
    with pytest.raises(
        DescriptionError, match=rf"'{row}' has no rates for optimizer\.kind='muon'; it has some for SGD"
    ):
        Run(model=model, data=Digits(), optimizer=config.Muon(), lr=0.1, steps=1, seed=0)
    factors = {name: Factors(adam=0.5) for name in SHAPES}
    with pytest.raises(ValueError, match="no rate for this update rule"):
        optimizers.build(config.Muon(), start().items(), lr=0.1, roles=ROLES, factors=factors)


def test_its_edge_of_stability_is_not_known(digits_run):
    with pytest.raises(DescriptionError, match=r"not known for optimizer\.kind='muon'"):
        dataclasses.replace(digits_run, optimizer=config.Muon(), probes=(EffectiveSharpness(every=1),))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"momentum": 1.0}, r"momentum=1\.0 must lie in \[0, 1\)"),
        ({"ns_steps": 0}, r"ns_steps=0 must lie in \[1, 100\)"),
        ({"adam_lr_factor": 0}, r"adam_lr_factor=0\.0 must be greater than 0"),
        ({"adjust": "orignal"}, "did you mean 'original'"),
        ({"beta2": 1.0}, r"beta2=1\.0 must lie in"),
    ],
)
def test_faulty_descriptions_are_refused(fields, message):
    with pytest.raises(DescriptionError, match=message):
        config.Muon(**fields)


# Continuing


@every_case
def test_a_state_saved_and_loaded_gives_the_same_updates_bit_for_bit(rule):
    rates = [0.05 * factor for factor in FACTORS]
    whole, half, other = start(), start(), start()
    train(optimizers.build(rule, whole.items(), lr=0.05, roles=ROLES), whole, rates)
    first = optimizers.build(rule, half.items(), lr=0.05, roles=ROLES)
    train(first, half, rates[:8])
    saved = load(save(optimizers.state_tensors(first)))
    second = optimizers.build(rule, other.items(), lr=0.05, roles=ROLES)
    train(second, other, rates[:3])  # of which loading leaves nothing
    with torch.no_grad():
        for name, parameter in other.items():
            parameter.copy_(half[name])
    optimizers.load_state_tensors(second, saved)
    train(second, other, rates[8:], first=8)
    assert all(torch.equal(other[name], whole[name]) for name in SHAPES)


def test_names_of_the_state():
    parameters = start()
    optimizer = optimizers.build(config.Muon(), parameters.items(), lr=0.1, roles=ROLES)
    assert optimizers.state_tensors(optimizer) == {}
    train(optimizer, parameters, [0.1])
    assert set(optimizers.state_tensors(optimizer)) == {
        *(f"parameter/{name}/momentum_buffer" for name in HIDDEN),
        *(f"parameter/{name}/{key}" for name in SHAPES if name not in HIDDEN for key in optimizers.MOMENTS),
    }


def test_a_state_of_adamw_is_refused():
    parameters = start()
    adamw = optimizers.build(config.AdamW(), parameters.items(), lr=0.1)
    train(adamw, parameters, [0.1])
    muon = optimizers.build(config.Muon(), parameters.items(), lr=0.1, roles=ROLES)
    with pytest.raises(ValueError, match=r"has 'parameter/tall/exp_avg' and 5 more, unlike Muon"):
        optimizers.load_state_tensors(muon, optimizers.state_tensors(adamw))


# In the loop


def test_a_transformer_learns_and_an_interrupted_run_ends_in_the_same_bits(text_run):
    run = dataclasses.replace(text_run, optimizer=config.Muon(weight_decay=0.1, clip=1.0), steps=40)
    dataset = data.load(run.data, corpora=None)
    whole = Training(run, dataset)
    rows = list(whole)
    assert rows[-1]["val_loss"] < 0.8 * rows[0]["val_loss"]
    begun = Training(run, dataset)
    while begun.done < 17:
        begun.step(begun.backward())
    resumed = Training(run, dataset, resumed=begun.state(resumable=True))
    assert list(resumed)[-1]["val_loss"] == rows[-1]["val_loss"]
    ends = [training.state().tensors for training in (whole, resumed)]
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())
