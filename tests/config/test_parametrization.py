"""The table against the literature, against mup, and by what it promises: equal at the base, equal in every form."""

import math
import typing

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from common.config import MLP, SGD, Adam, AdamW, Convnet, ScheduleFree, Transformer, chosen
from common.config.parametrization import (
    DepthRule,
    Factors,
    Parametrization,
    Role,
    Scaling,
    can_tie,
    defined_for,
    mup,
    ntp,
    rows,
    sp_layerwise,
)
from common.curvature.objective import Objective
from common.curvature.sharpness import sharpness
from common.data.losses import half_squared_error
from common.models import build
from common.models.layers import Layer
from common.models.roles import named_factors
from common.optim import optimizers
from common.pipeline import describe
from common.runs.origin import ROOT

DOCUMENT = ROOT / "docs" / "parametrization.md"
INPUTS, OUTPUTS = 12, 3
X = torch.randn(20, INPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
Y = torch.randn(20, OUTPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
TOKENS = torch.randint(11, (4, 6), generator=torch.Generator().manual_seed(3))


def network(kind=MLP, *, seed=0, inputs=INPUTS, outputs=OUTPUTS, context=None, **fields):
    model = kind(**({"width": 16, "depth": 3, "activation": "tanh", "norm": "none"} | fields))
    generator = torch.Generator().manual_seed(seed)
    return build(model, inputs=inputs, outputs=outputs, context=context, generator=generator)


def loss_of(net):
    return half_squared_error(net(X), Y)


def rule_of(net, optimizer, *, lr, factors=None):
    factors = factors or named_factors(net)
    return optimizers.build(optimizer, net.named_parameters(), lr=lr, factors=factors)


def descend(net, rule, *, loss=loss_of, steps):
    losses = []
    for _ in range(steps):
        rule.zero_grad()
        value = loss(net)
        value.backward()
        rule.step()
        losses.append(value.item())
    return losses


# The table

M = 4.0
PUBLISHED = {
    # Jacot et al. 2018 by the switching rule; mup 1.0.0: factors of std, product, sgd's rate and Adam's at m = 4
    "ntp": {
        Role.EMBEDDING: (1, 1, 1, 1),
        Role.HIDDEN: (1, 1, 1 / M, M**-0.5),
        Role.READOUT: (1, 1, 1 / M, M**-0.5),
        Role.VECTOR: (1, 1, 1, 1),
        Role.FINITE: (1, 1, 1, 1),
    },
    "mup": {
        Role.EMBEDDING: (1, 1, M, 1),
        Role.HIDDEN: (1, 1, 1, 1 / M),
        Role.READOUT: (M**0.5, 1 / M, M, 1),
        Role.VECTOR: (1, 1, M, 1),
        Role.FINITE: (1, 1, 1, 1),
    },
}


@pytest.mark.parametrize(("name", "role"), [(name, role) for name, roles in PUBLISHED.items() for role in roles])
def test_factors_of_the_literature(name, role):
    assert Scaling(parametrization=name, width=M).factors(role)[:4] == PUBLISHED[name][role]


def test_ntp_is_one_rate_on_unit_weights():
    """From weights N(0, 1) with products over sqrt(fan-in) and the factors 1, the switching rule gives the table."""
    for role in (Role.HIDDEN, Role.READOUT):
        unit = Factors(std=M**0.5, forward=M**-0.5, coupled_decay=M**-0.5)  # relative to the standard form at the base
        assert unit.absorbed() == Scaling(parametrization="ntp", width=M).factors(role)


def test_every_role_has_a_rule_and_every_name_a_source():
    for row in rows(Parametrization).values():
        assert set(row.rules) == set(Role)
        assert row.source
    assert all(rule.source for rule in rows(DepthRule).values())


def test_rows_are_the_words_of_the_descriptions():
    """A description chooses a row by its word, where `config.chosen` finds it too."""
    for field, kind in (("parametrization", Parametrization), ("depth_rule", DepthRule)):
        words = typing.get_args(typing.get_type_hints(MLP)[field])
        assert set(words) == set(rows(kind))
        for word in words:
            model = MLP(residual=True, block_layers=1, base_width=4, base_depth=1, **{field: word})
            assert chosen(model, field) is rows(kind)[word]
    assert rows(Parametrization)["mup"] is mup


def test_sp_changes_nothing_at_any_width():
    assert all(Scaling(width=7.3).factors(role) == Factors() for role in Role)
    assert Scaling(width=7.3, head=7.3, depth=5).attention == Scaling(depth=5).branch == 1


@pytest.mark.parametrize("depth_rule", rows(DepthRule))
@pytest.mark.parametrize("name", rows(Parametrization))
def test_all_are_equal_at_the_base(name, depth_rule):
    base = Scaling(parametrization=name, depth_rule=depth_rule)
    for role in Role:
        found = base.factors(role, inside=True)
        assert [getattr(found, field) for field in ("std", "forward", "adam", "epsilon")] == [1.0] * 4
        assert found.sgd == 1 or not defined_for(rows(Parametrization)[name], "sgd")
    assert base.attention == base.branch == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"parametrization": "mpu"}, "parametrization='mpu' must be one of sp, ntp, mup"),
        ({"depth_rule": "deep"}, "depth_rule='deep' must be one of none, depth_mup"),
        ({"width": 0}, "width=0 must be above 0"),
    ],
)
def test_senseless_scalings(wrong, message):
    with pytest.raises(ValueError, match=message):
        Scaling(**wrong)


def test_a_layerwise_rule_is_for_adam():
    factors = Scaling(parametrization="sp_layerwise", width=M).factors(Role.READOUT)
    assert factors.rate(ScheduleFree.sizes) == 1 / M
    with pytest.raises(ValueError, match="has no rate for sgd; choose Adam, AdamW or ScheduleFree"):
        factors.rate(SGD.sizes)


def test_a_rule_that_no_table_knows_has_rates_only_where_no_rate_depends_on_the_size():
    assert Factors().rate(None) == Factors().weight_decay(None) == 1
    for row in rows(Parametrization).values():
        assert defined_for(row, None) == (row is rows(Parametrization)["sp"])
    assert [name for name, rule in rows(DepthRule).items() if defined_for(rule, None)] == ["none"]
    with pytest.raises(ValueError, match="no rate for this update rule, which its table does not know"):
        Scaling(parametrization="mup", width=M).factors(Role.HIDDEN).rate(None)


def test_a_rule_is_defined_where_every_role_has_a_rate():
    assert defined_for(mup, "sgd") and defined_for(ntp, "sgd") and not defined_for(sp_layerwise, "sgd")
    assert all(defined_for(row, "adam") for row in rows(Parametrization).values())
    assert all(defined_for(rule, sizes) for rule in rows(DepthRule).values() for sizes in ("sgd", "adam"))


def test_the_document_shows_the_table():
    assert describe.parametrizations() in DOCUMENT.read_text(encoding="utf-8")


# Networks at the base

KINDS = {
    "mlp": {"embedding_factor": 2.0, "readout_factor": 0.5},
    "residual": {"residual": True, "block_layers": 2, "depth": 2, "gated": True},
    "convnet": {"kind": Convnet, "inputs": 16},
    "transformer": {
        "kind": Transformer, "heads": 2, "inputs": 11, "outputs": 11, "context": 6, "tied": False, "depth": 2,
    },
}  # fmt: skip


def inputs_of(kind):
    return TOKENS if kind == "transformer" else X[:, :16] if kind != "convnet" else torch.randn(5, 16)


@pytest.mark.parametrize("optimizer", [SGD(), AdamW(weight_decay=0.1)], ids=lambda value: value.kind)
@pytest.mark.parametrize("name", [name for name in rows(Parametrization) if name != "sp"])
@pytest.mark.parametrize("kind", KINDS)
def test_trainings_at_the_base_have_the_same_bits(kind, name, optimizer):
    if not defined_for(rows(Parametrization)[name], optimizer.sizes):
        return
    ends = []
    for fields in ({}, {"parametrization": name, "base_width": 16}):
        net = network(**KINDS[kind], **fields)
        x = (
            inputs_of(kind)
            if kind == "transformer"
            else torch.linspace(-1, 1, 5 * 16).view(5, 16)[:, : net_inputs(kind)]
        )
        descend(net, rule_of(net, optimizer, lr=0.02), loss=lambda net, x=x: net(x).square().mean(), steps=3)
        ends.append(list(net.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def net_inputs(kind):
    return 16 if kind == "convnet" else INPUTS


@pytest.mark.parametrize("rule", ["depth_mup", "completep"])
def test_depth_rules_at_the_base_have_the_same_bits(rule):
    fields = {"residual": True, "block_layers": 1, "depth": 4}
    ends = []
    for more in ({}, {"depth_rule": rule, "base_depth": 4}):
        net = network(**fields, **more).double()
        descend(net, rule_of(net, Adam(), lr=0.02), steps=3)
        ends.append(list(net.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


# Equivalent forms

THETAS = {"embedding.weight": 3.0, "hidden.0.weight": 0.25, "hidden.1.weight": 1.7, "readout.weight": 0.1}


def switched(net):
    """The same network with other factors on its products; its factors."""
    factors = named_factors(net)
    layers = {f"{place}.weight": layer for place, layer in net.named_modules() if isinstance(layer, Layer)}
    for name, theta in THETAS.items():
        factors[name] = factors[name].switched(theta)
        layers[name].factor *= theta
        layers[name].weight.data /= theta
    return factors


def both_forms(**fields):
    plain, other = (network(parametrization="mup", width=32, base_width=8, **fields).double() for _ in range(2))
    return (plain, named_factors(plain)), (other, switched(other))


RULES = [
    (SGD(momentum=0.9, weight_decay=0.01), 0.05),
    (Adam(epsilon=1e-3), 0.01),
    (Adam(epsilon=1e-300), 0.01),
    (AdamW(weight_decay=0.1), 0.01),
    (ScheduleFree(weight_decay=0.1), 0.01),
]


@pytest.mark.parametrize(("optimizer", "lr"), RULES, ids=lambda value: getattr(value, "kind", None))
def test_equivalent_forms_train_alike(optimizer, lr):
    (plain, factors), (other, others) = both_forms()
    first = descend(plain, rule_of(plain, optimizer, lr=lr, factors=factors), steps=30)
    second = descend(other, rule_of(other, optimizer, lr=lr, factors=others), steps=30)
    assert first[-1] < 0.9 * first[0]
    assert second == pytest.approx(first, rel=1e-10)
    for (name, a), b in zip(plain.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(b * THETAS.get(name, 1.0), a, rtol=1e-10, atol=1e-10)


def test_forms_with_the_rates_of_the_other_differ():
    (plain, factors), (other, _) = both_forms()
    first = descend(plain, rule_of(plain, RULES[0][0], lr=0.05, factors=factors), steps=5)
    assert descend(other, rule_of(other, RULES[0][0], lr=0.05, factors=factors), steps=5) != pytest.approx(first, 1e-3)


@pytest.mark.parametrize("optimizer", [SGD(), Adam(epsilon=1e-4)], ids=lambda o: o.kind)
def test_effective_sharpness_does_not_see_the_form_but_the_hessian_does(optimizer):
    effective, raw = [], []
    for net, factors in both_forms():
        rule = rule_of(net, optimizer, lr=0.01, factors=factors)
        descend(net, rule, steps=5)
        rule.zero_grad()
        objective = Objective(net, half_squared_error, [(X, Y)])
        effective.append(sharpness(objective, optimizer, lr=0.01, rule=rule, tolerance=1e-9).found.value)
        raw.append(sharpness(objective, SGD(), lr=0.01, tolerance=1e-6).found.value)
    assert effective[1] == pytest.approx(effective[0], rel=1e-8)
    assert abs(math.log(raw[1] / raw[0])) > 0.5


# Size of what is learnt

FEATURES = torch.randn(64, 32, generator=torch.Generator().manual_seed(5))
TARGETS = torch.randn(64, 4, generator=torch.Generator().manual_seed(6))
WIDTHS = (64, 128, 256, 512, 1024)
COORDINATES = {"activation": "relu", "init_gain": 2**0.5, "readout_gain": 0.1, "inputs": 32, "outputs": 4}
STEPS = {"adam": (Adam(epsilon=1e-12), 0.001), "sgd": (SGD(), 0.03)}


def outputs_by_layer(net):
    found = {}
    layers = {name: layer for name, layer in net.named_modules() if isinstance(layer, Layer)}
    hooks = [
        layer.register_forward_hook(lambda _module, _inputs, out, name=name: found.update({name: out.detach()}))
        for name, layer in layers.items()
    ]
    net(FEATURES)
    for hook in hooks:
        hook.remove()
    return found


def change(net, kind, *, steps):
    """Root mean square by which the outputs of each layer move in some updates."""
    optimizer, lr = STEPS[kind]
    before = outputs_by_layer(net)
    loss = lambda net: functional.mse_loss(net(FEATURES), TARGETS)  # noqa: E731
    descend(net, rule_of(net, optimizer, lr=lr), loss=loss, steps=steps)
    after = outputs_by_layer(net)
    return {name: (after[name] - before[name]).square().mean().sqrt().item() for name in before}


def slopes(sizes, kind, *, steps=3, seeds=2, **fields):
    """Exponents of each layer's change in the size, by a straight line through logarithms of means over seeds."""
    moved = [
        [change(network(seed=seed, **(COORDINATES | fields | size)), kind, steps=steps) for seed in range(seeds)]
        for size in sizes.values()
    ]
    common = set.intersection(*(set(at_size[0]) for at_size in moved))
    means = {name: [np.log2(np.mean([one[name] for one in at_size])) for at_size in moved] for name in common}
    return {name: np.polyfit(np.log2(list(sizes)), values, 1)[0] for name, values in means.items()}


def wide(name):
    return {width: {"width": width, "parametrization": name, "base_width": 64} for width in WIDTHS}


@pytest.mark.parametrize("kind", STEPS)
def test_under_mup_every_layer_learns_as_much_at_any_width(kind):
    assert all(abs(slope) <= 0.1 for slope in slopes(wide("mup"), kind).values())


def test_under_sp_outputs_move_more_in_wide_networks():
    narrow = {width: size for width, size in wide("sp").items() if width <= 512}
    assert slopes(narrow, "adam")["readout"] >= 0.5
    assert slopes(narrow, "sgd", steps=1)["readout"] >= 0.5


def test_under_ntp_wide_hidden_layers_stop_learning():
    found = slopes(wide("ntp"), "sgd")
    assert abs(found.pop("readout")) <= 0.15
    assert all(-0.6 <= slope <= -0.4 for slope in found.values())


def test_layerwise_rates_keep_hidden_layers_learning():
    found = slopes(wide("sp_layerwise"), "adam", steps=1)
    assert all(abs(found[name]) <= 0.1 for name in ("embedding", "hidden.0", "hidden.1"))


OTHERS = {
    "convnet": {"kind": Convnet, "inputs": 64, "outputs": 4, "activation": "relu", "init_gain": 2**0.5},
    "larger heads": {"kind": Transformer, "heads": 2},
    "more heads": {"kind": Transformer, "base_heads": 2},
}
IMAGES = torch.randn(32, 64, generator=torch.Generator().manual_seed(5))
NEXT = torch.randint(11, (4, 6), generator=torch.Generator().manual_seed(8))
LANGUAGE = {"norm": "layernorm", "tied": False, "depth": 2, "inputs": 11, "outputs": 11, "context": 6}


def loss_and_inputs(fields):
    if fields["kind"] is Convnet:
        return lambda net: half_squared_error(net(IMAGES), TARGETS[:32]), IMAGES
    return lambda net: functional.cross_entropy(net(TOKENS).flatten(0, 1), NEXT.flatten()), TOKENS


def other_slope(fields, kind, name):
    """Exponent in the width of the change of the outputs after three updates; two seeds."""
    optimizer, lr = STEPS[kind]
    loss, x = loss_and_inputs(fields)
    means = []
    for width in (16, 32, 64, 128):
        size = {"width": width, "parametrization": name, "base_width": 16, "readout_gain": 0.1}
        size |= LANGUAGE if fields["kind"] is Transformer else {}
        size |= {"heads": width // 8} if "base_heads" in fields else {}
        moved = []
        for seed in range(2):
            net = network(seed=seed, **(fields | size))
            before = net(x).detach()
            descend(net, rule_of(net, optimizer, lr=lr), loss=loss, steps=3)
            moved.append((net(x) - before).square().mean().sqrt().item())
        means.append(np.log2(np.mean(moved)))
    return np.polyfit([4, 5, 6, 7], means, 1)[0]


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("fields", OTHERS.values(), ids=OTHERS)
def test_under_mup_convnets_and_transformers_learn_as_much_at_any_width(fields, kind):
    assert abs(other_slope(fields, kind, "mup")) <= 0.15
    assert other_slope(fields, kind, "sp") >= 0.25


def gradient_sizes(**fields):
    """Root mean square of the gradient of each tensor at the start, mean over two seeds."""
    sizes = []
    for seed in range(2):
        net = network(seed=seed, **(COORDINATES | fields))
        functional.mse_loss(net(FEATURES), TARGETS).backward()
        sizes.append({name: p.grad.square().mean().sqrt().item() for name, p in net.named_parameters()})
    return {name: np.mean([one[name] for one in sizes]) for name in sizes[0]}


@pytest.mark.parametrize("name", ["mup", "sp_layerwise"])
def test_epsilon_follows_the_size_of_the_gradients(name):
    base, wide = (gradient_sizes(width=width, parametrization=name, base_width=64) for width in (64, 1024))
    factors = named_factors(network(width=1024, parametrization=name, base_width=64, **COORDINATES))
    for tensor, factor in factors.items():
        grown = math.log(wide[tensor] / base[tensor], 16)
        assert grown == pytest.approx(math.log(factor.epsilon, 16), abs=0.2), tensor


@pytest.mark.parametrize("rule", ["depth_mup", "completep"])
def test_epsilon_follows_the_size_of_the_gradients_in_branches(rule):
    fields = {"residual": True, "block_layers": 1, "width": 64, "depth_rule": rule, "base_depth": 1}
    fields |= {"activation": "tanh", "init_gain": 1.0}
    base, deep = (gradient_sizes(**fields, depth=depth) for depth in (16, 128))
    shallow, factors = (named_factors(network(**(COORDINATES | fields), depth=depth)) for depth in (16, 128))
    for name in ("blocks.0.layers.0.weight", "blocks.0.layers.0.bias"):
        grown, expected = deep[name] / base[name], factors[name].epsilon / shallow[name].epsilon
        assert math.log(grown, 8) == pytest.approx(math.log(expected, 8), abs=0.2), name


def deep_slope(kind, *, rule, factors_of=named_factors, **fields):
    """Exponent in the depth of the change of the outputs when only the branches learn."""
    optimizer, lr = STEPS[kind]
    moved = []
    for depth in (8, 16, 32, 64):
        options = COORDINATES | {"activation": "tanh", "init_gain": 1.0, "residual": True} | fields
        net = network(width=64, depth=depth, depth_rule=rule, base_depth=1, **options)
        net.embedding.requires_grad_(False)
        net.readout.requires_grad_(False)
        before = net(FEATURES).detach()
        loss = lambda net: functional.mse_loss(net(FEATURES), TARGETS)  # noqa: E731
        descend(net, rule_of(net, optimizer, lr=lr, factors=factors_of(net)), loss=loss, steps=1)
        moved.append(np.log2((net(FEATURES) - before).square().mean().sqrt().item()))
    return np.polyfit([3, 4, 5, 6], moved, 1)[0]


@pytest.mark.parametrize("block_layers", [1, 2])
@pytest.mark.parametrize("rule", ["depth_mup", "completep"])
@pytest.mark.parametrize("kind", STEPS)
def test_under_a_depth_rule_branches_move_the_outputs_as_much_at_any_depth(kind, rule, block_layers):
    assert abs(deep_slope(kind, rule=rule, block_layers=block_layers)) <= 0.15


def test_branches_without_the_rates_of_their_rule_do_not():
    def ones(net):
        return {name: Factors() for name, _ in net.named_parameters()}

    assert deep_slope("adam", rule="depth_mup", block_layers=1, factors_of=ones) >= 0.35
    assert deep_slope("sgd", rule="completep", block_layers=1, factors_of=ones) <= -0.75
    assert deep_slope("adam", rule="none", block_layers=1) >= 0.35


# The library of the authors


@pytest.mark.parametrize("rule", [SGD, Adam, AdamW])
def test_factors_are_those_of_mup(rule):
    """With `pip install --no-deps mup==1.0.0`."""
    library = pytest.importorskip("mup")

    def theirs(width):
        layers = {
            "embedding": nn.Linear(INPUTS, width),
            "hidden": nn.Linear(width, width),
            "readout": library.MuReadout(width, OUTPUTS),
        }
        return nn.ModuleDict(layers)

    module = theirs(32)
    drawn = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    library.set_base_shapes(module, theirs(8), delta=theirs(9))
    build_rule = {SGD: library.MuSGD, Adam: library.MuAdam, AdamW: library.MuAdamW}[rule]
    groups = build_rule(module.parameters(), lr=0.1, weight_decay=0.01).param_groups
    group_of = {id(parameter): group for group in groups for parameter in group["params"]}

    ours = network(width=32, depth=2, parametrization="mup", base_width=8)
    factors = {name.replace("hidden.0", "hidden"): factor for name, factor in named_factors(ours).items()}
    for name, parameter in module.named_parameters():
        group, factor = group_of[id(parameter)], factors[name]
        assert group["lr"] == pytest.approx(0.1 * factor.rate(rule.sizes)), name
        assert group["weight_decay"] == pytest.approx(0.01 * factor.weight_decay(rule.sizes)), name
        if name.endswith("weight"):
            torch.testing.assert_close(parameter.detach(), drawn[name] * factor.std)
    x = torch.randn(5, 32)
    readout = module["readout"]
    torch.testing.assert_close(readout(x), functional.linear(x, readout.weight * ours.readout.factor, readout.bias))


# Tied tensors


def test_config_refuses_to_tie_what_the_table_treats_differently():
    for name, row in rows(Parametrization).items():
        fields = {"width": 8, "heads": 2, "parametrization": name, "base_width": 4}
        if can_tie(row):
            Transformer(**fields)
        else:
            with pytest.raises(ValueError, match="set tied=False"):
                Transformer(**fields)


def test_a_tied_readout_is_rescaled_once():
    fields = {"kind": Transformer, "heads": 2, "inputs": 300, "outputs": 300, "context": 6, "base_width": 16}
    fields |= {"width": 64, "parametrization": "mup"}
    tied, untied = (network(tied=tied, **fields) for tied in (True, False))
    assert tied.embedding.std().item() == pytest.approx(16**-0.5, rel=0.05)
    assert untied.readout.std().item() == pytest.approx(16**-0.5, rel=0.05)
    with torch.no_grad():
        untied.load_state_dict({**untied.state_dict(), **tied.state_dict(), "readout": tied.embedding})
    assert torch.equal(tied(TOKENS), untied(TOKENS))
    assert named_factors(tied)["embedding"] == Scaling(parametrization="mup", width=4).factors(Role.TOKENS)
