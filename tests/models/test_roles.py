"""Roles: of the repository's networks, and of any other module, which then trains like ours."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from common.config import MLP, SGD, Adam, AdamW, Convnet, ScheduleFree, Transformer
from common.config.parametrization import Role, Scaling
from common.data.losses import half_squared_error
from common.models import build
from common.models.roles import Initializer, apply, named_factors, named_roles, readout, roles_by_growth
from common.optim import optimizers

MUP = Scaling(parametrization="mup", width=4)


def transformer(**options):
    model = Transformer(width=64, depth=2, heads=2, **options)
    return build(model, inputs=256, outputs=256, context=32, generator=torch.Generator().manual_seed(0))


def mlp(kind=MLP, **options):
    model = kind(**({"width": 128, "depth": 3} | options))
    return build(model, inputs=64, outputs=100, context=None, generator=torch.Generator().manual_seed(0))


def convnet(**options):
    return mlp(Convnet, **options)


def residual(**options):
    return mlp(residual=True, block_layers=2, gated=True, **options)


NETWORKS = [transformer, mlp, convnet, residual]


@pytest.mark.parametrize("build_network", NETWORKS)
def test_every_parameter_has_a_role_and_factors(build_network):
    network = build_network(parametrization="mup", base_width=32)
    names = [name for name, _ in network.named_parameters()]
    assert list(named_roles(network)) == list(named_factors(network)) == names


def test_roles_of_the_networks():
    roles = named_roles(transformer(tied=False))
    assert {name: str(role) for name, role in roles.items() if role is not Role.HIDDEN} == {
        "embedding": "tokens", "readout": "readout",
    }  # fmt: skip
    layers = ["embedding", "vector", "hidden", "vector", "hidden", "vector", "readout", "finite"]
    assert [str(role) for role in named_roles(mlp()).values()] == layers
    assert [str(role) for role in named_roles(convnet()).values()] == layers
    assert {name for name, role in named_roles(residual()).items() if role is Role.FINITE} == {
        "readout.bias", "blocks.0.gate.value", "blocks.1.gate.value", "blocks.2.gate.value",
    }  # fmt: skip


@pytest.mark.parametrize("build_network", NETWORKS)
def test_growth_finds_the_roles_of_our_networks(build_network):
    known = {"embedding": "tokens"} if build_network is transformer else {}  # no nn.Embedding tells it apart
    found = roles_by_growth(build_network(), build_network_at_half(build_network), known=known)
    assert found == named_roles(build_network())


def build_network_at_half(build_network):
    if build_network is transformer:
        model = Transformer(width=32, depth=2, heads=2)
        return build(model, inputs=256, outputs=256, context=32, generator=torch.Generator())
    return build_network(width=64)


@pytest.mark.parametrize("fields", [{}, {"init_gain": 3.0}, {"parametrization": "mup", "base_width": 16}], ids=str)
@pytest.mark.parametrize("build_network", [transformer, mlp, convnet])
def test_standard_deviations_follow_the_table(build_network, fields):
    network = build_network(**fields)
    roles, factors = named_roles(network), named_factors(network)
    for name, value in network.named_parameters():
        fan_in = value[0].numel()
        starts_at_zero = roles[name] in (Role.VECTOR, Role.FINITE)
        expected = 0 if starts_at_zero else fields.get("init_gain", 1.0) * fan_in**-0.5 * factors[name].std
        assert value.std().item() == pytest.approx(expected, rel=0.1), name


def test_tuned_numbers_act_on_embedding_and_readout():
    x = torch.randn(3, 64)
    fields = {"activation": "linear", "norm": "none", "depth": 1}
    plain = mlp(**fields)(x)
    torch.testing.assert_close(mlp(**fields, readout_factor=3.0)(x), 3 * plain)
    torch.testing.assert_close(mlp(**fields, embedding_factor=0.5)(x), plain / 2)
    torch.testing.assert_close(mlp(**fields, readout_gain=0.1)(x), plain / 10)
    assert not mlp(readout_gain=0.0)(x).any()
    assert not transformer(tied=False, readout_gain=0.0)(torch.zeros(1, 4, dtype=torch.int64)).any()
    tokens = torch.randint(256, (2, 8))
    torch.testing.assert_close(transformer(readout_factor=0.25)(tokens), transformer()(tokens) / 4)
    torch.testing.assert_close(
        transformer(norm="none", activation="linear", embedding_factor=1 / 2, depth_rule="none")(tokens)[:, :1],
        transformer(norm="none", activation="linear")(tokens)[:, :1] / 2,
    )


def test_a_parameter_without_role_is_named():
    network = nn.Module()
    initial = Initializer(torch.Generator(), MLP())
    initial.parameter(network, "known", Role.HIDDEN, 2, 2, fan_in=2)
    network.stray = nn.Parameter(torch.zeros(1))
    with pytest.raises(LookupError, match="stray"):
        named_roles(network)


# Other modules


class Plain(nn.Sequential):
    """The three-layer network as anyone writes it."""

    def __init__(self, width):
        super().__init__(nn.Linear(5, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))


ROLES = {"0.weight": "embedding", "2.weight": "hidden", "4.weight": "readout", "4.bias": "finite", "*.bias": "vector"}


@pytest.mark.parametrize("name", ["sp", "ntp", "mup"])
@pytest.mark.parametrize(
    ("optimizer", "lr"),
    [(SGD(weight_decay=0.01), 0.1), (AdamW(weight_decay=0.1), 0.01), (Adam(weight_decay=0.1), 0.01)],
    ids=["sgd", "adamw", "adam"],
)
def test_any_module_trains_like_ours(name, optimizer, lr):
    """Our network with a factor on the readout, a plain one with the factor in its weights: the same losses."""
    fields = {"width": 32, "depth": 2, "activation": "tanh", "norm": "none"}
    sizes = {"inputs": 5, "outputs": 2, "context": None}
    standard = build(MLP(**fields), **sizes, generator=torch.Generator().manual_seed(0)).double()
    ours = build(
        MLP(**fields, parametrization=name, base_width=8), **sizes, generator=torch.Generator().manual_seed(0)
    ).double()
    plain = Plain(32).double()
    for parameter, value in zip(plain.parameters(), standard.parameters(), strict=True):
        parameter.data = value.detach().clone()
    factors = apply(plain, ROLES, Scaling(parametrization=name, width=4))
    x, y = torch.randn(16, 5, dtype=torch.float64), torch.randn(16, 2, dtype=torch.float64)
    losses = [
        trained(network, optimizers.build(optimizer, network.named_parameters(), lr=lr, factors=given), x, y)
        for network, given in ((ours, named_factors(ours)), (plain, factors))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)  # initial values were drawn in float32
    assert losses[0][-1] < 0.95 * losses[0][0]


def trained(network, rule, x, y, steps=20):
    losses = []
    for _ in range(steps):
        rule.zero_grad()
        loss = half_squared_error(network(x), y)
        loss.backward()
        rule.step()
        losses.append(loss.item())
    return losses


def test_roles_by_growth_name_the_roles():
    found = roles_by_growth(Plain(8), Plain(4))
    by_pattern = {name: next(role for pattern, role in ROLES.items() if matches(name, pattern)) for name in found}
    assert found == by_pattern
    norm = roles_by_growth(nn.ModuleList([nn.LayerNorm(8)]), nn.ModuleList([nn.LayerNorm(4)]))
    assert set(norm.values()) == {Role.VECTOR}


def told(layer):
    """Roles, in order, of the tensors of a layer that is made at the width given to it."""
    return [str(role) for role in roles_by_growth(nn.Sequential(layer(8)), nn.Sequential(layer(4))).values()]


LAYERS = {
    "one output": (lambda w: nn.Linear(w, 1, bias=False), "readout"),
    "one input": (lambda w: nn.Linear(1, w, bias=False), "embedding"),
    "one channel out": (lambda w: nn.Conv2d(w, 1, 3, bias=False), "readout"),
    "by channel": (lambda w: nn.Conv2d(w, w, 3, groups=w, bias=False), "embedding"),
    "two groups": (lambda w: nn.Conv2d(w, w, 3, groups=2, bias=False), "hidden"),
    "up": (lambda w: nn.ConvTranspose2d(w, w, 3, bias=False), "hidden"),
    "up, out": (lambda w: nn.ConvTranspose2d(w, 3, 3, bias=False), "readout"),
    "up, one channel out": (lambda w: nn.ConvTranspose1d(w, 1, 3, bias=False), "readout"),
    "up, one channel in": (lambda w: nn.ConvTranspose3d(1, w, 3, bias=False), "embedding"),
    "up, by channel": (lambda w: nn.ConvTranspose2d(w, w, 3, groups=w, bias=False), "embedding"),
    "up, by pairs": (lambda w: nn.ConvTranspose2d(w, w, 3, groups=w // 2, bias=False), "embedding"),
    "up, two groups": (lambda w: nn.ConvTranspose2d(w, w, 3, groups=2, bias=False), "hidden"),
    "table": (lambda w: nn.Embedding(7, w), "embedding"),
    "bag": (lambda w: nn.EmbeddingBag(7, w), "embedding"),
    "one row": (lambda w: nn.Embedding(1, w), "embedding"),
    "gains of two sides": (lambda w: nn.LayerNorm((17, w), bias=False), "vector"),
    "recurrent": (lambda w: nn.LSTM(3, w, bias=False), "embedding hidden"),
    "attention": (lambda w: nn.MultiheadAttention(w, 2, bias=False, add_bias_kv=True), "hidden vector vector hidden"),
    "weight_norm, up, out": (lambda w: weight_norm(nn.ConvTranspose2d(w, 3, 3, bias=False)), "vector readout"),
    "weight_norm": (lambda w: weight_norm(nn.Linear(w, w, bias=False)), "vector hidden"),
    "spectral_norm, up, out": (lambda w: spectral_norm(nn.ConvTranspose2d(w, 3, 3, bias=False)), "readout"),
    "spectral_norm, table": (lambda w: spectral_norm(nn.Embedding(7, w)), "embedding"),
}


@pytest.mark.parametrize(("layer", "roles"), LAYERS.values(), ids=LAYERS)
def test_the_weights_of_torchs_layers_are_known_whatever_sides_of_length_one(layer, roles):
    assert told(layer) == roles.split()


def test_a_network_with_one_output_has_a_readout():
    wide, small = (
        build(MLP(width=width, depth=1), inputs=5, outputs=1, context=None, generator=torch.Generator())
        for width in (8, 4)
    )
    assert roles_by_growth(wide, small) == named_roles(wide)


class Bare(nn.Module):
    """A tensor that no layer of torch holds."""

    def __init__(self, shape, name="tensor"):
        super().__init__()
        self.register_parameter(name, nn.Parameter(torch.zeros(shape)))


BARE = {
    "vector": (lambda w: (1, w, 1, 1), lambda w: (w, 1, 1), lambda w: (1, 1, w)),
    "embedding": (lambda w: (1, 7, w), lambda w: (1, 7, 7, w)),
    "hidden": (lambda w: (w, w), lambda w: (w, 3 * w, 5)),
}


@pytest.mark.parametrize(("role", "shape"), [(role, shape) for role, shapes in BARE.items() for shape in shapes])
def test_some_shapes_tell_what_a_bare_tensor_does(role, shape):
    assert told(lambda w: Bare(shape(w))) == [role]


@pytest.mark.parametrize(
    "shape", [(17, "w"), ("w", 17), (1, "w"), ("w", 1), (1, "w", 7, 7), (1, "w", 5), (2, "w", "w")]
)
def test_a_bare_tensor_that_could_be_several_things_is_refused_unless_named(shape):
    wide, small = (Bare([width if side == "w" else side for side in shape]) for width in (8, 4))
    with pytest.raises(ValueError, match=r"'tensor' grows from .*no layer of torch says .*: name its role in known"):
        roles_by_growth(wide, small)
    assert roles_by_growth(wide, small, known={"ten*": "embedding"}) == {"tensor": Role.EMBEDDING}


def test_a_weight_of_ones_own_layer_has_its_outputs_first():
    assert told(lambda w: Bare((1, w), "weight")) == told(lambda w: Bare((17, w), "weight")) == ["readout"]


def test_patterns_that_fit_nothing_are_named():
    with pytest.raises(LookupError, match=r"known has '\*\.gtae', which fits no parameter; the module has 0\.weight"):
        roles_by_growth(Plain(8), Plain(4), known={"*.gtae": "finite"})
    with pytest.raises(LookupError, match="inside has 'blokcs', which fits no parameter"):
        apply(Plain(8), ROLES, MUP, inside=(name for name in ("2.*", "blokcs")))


class Patches(nn.Module):
    """The tensors of a vision transformer that are added to every example."""

    def __init__(self, width):
        super().__init__()
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 17, width))
        self.scale = nn.Parameter(torch.ones(1, 1, 1))
        self.mixer = nn.Parameter(torch.zeros(width, width, width))


def test_sides_of_length_one_are_passed_over_and_what_shapes_do_not_tell_can_be_named():
    with pytest.raises(ValueError, match=r"'mixer' grows from .*: name its role in known"):
        roles_by_growth(Patches(8), Patches(4))
    assert roles_by_growth(Patches(8), Patches(4), known={"mix*": "hidden"}) == {
        "cls": Role.VECTOR,
        "positions": Role.EMBEDDING,
        "scale": Role.FINITE,
        "mixer": Role.HIDDEN,
    }


def test_a_base_of_equal_width_tells_nothing_and_is_refused():
    with pytest.raises(ValueError, match="no parameter of module is larger than that of base: build base at another"):
        roles_by_growth(Plain(8), Plain(8))


def test_weights_are_rescaled_once():
    network = Plain(32)
    factors = apply(network, ROLES, MUP)
    weights = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    with pytest.raises(ValueError, match="Plain has been rescaled before; for its factors alone say rescale=False"):
        apply(network, ROLES, MUP)
    loaded = Plain(32)
    loaded.load_state_dict(network.state_dict())
    for one in (network, loaded):
        assert apply(one, ROLES, MUP, rescale=False) == factors
        assert all(torch.equal(weight, weights[name]) for name, weight in one.named_parameters())


def test_what_holds_or_shares_rescaled_parts_is_not_rescaled_again():
    activation = nn.Tanh()
    inner = nn.Sequential(nn.Linear(8, 8, bias=False), activation)
    apply(inner, {"*": "readout"}, MUP)
    whole = nn.Sequential(nn.Linear(8, 8, bias=False), inner)
    before = [weight.detach().clone() for weight in whole.parameters()]
    with pytest.raises(ValueError, match=r"'1\.0' in Sequential has been rescaled before, which other parts have not"):
        apply(whole, {"*": "readout"}, MUP)
    assert all(torch.equal(*pair) for pair in zip(whole.parameters(), before, strict=True))
    apply(nn.Sequential(nn.Linear(8, 8), activation), {"*": "vector"}, MUP)
    outer = Plain(8)
    apply(outer, ROLES, MUP)
    for part in (outer[2], nn.Sequential(outer)):
        with pytest.raises(ValueError, match="has been rescaled before; for its factors alone say rescale=False"):
            apply(part, {"*": "hidden"}, MUP)


def test_a_rescaling_that_a_parametrization_may_undo_is_refused():
    drawn = nn.Linear(8, 3, bias=False)
    rescaled = weight_norm(copy.deepcopy(drawn))
    roles = {"*original0": "finite", "*": "readout"}
    with pytest.raises(ValueError, match=r"'.*original1' is made into a weight .* undo the factor 0\.5; apply to the"):
        apply(rescaled, roles, MUP)
    apply(drawn, {"*": "readout"}, MUP)
    assert [*apply(weight_norm(drawn), roles, MUP, rescale=False)] == [name for name, _ in drawn.named_parameters()]
    torch.testing.assert_close(drawn.weight, rescaled.weight / 2)


def matches(name, pattern):
    return name == pattern or (pattern.startswith("*") and name.endswith(pattern[1:]))


def test_tensors_inside_branches_have_the_rates_of_the_depth_rule():
    scaling = Scaling(parametrization="mup", width=4, depth_rule="depth_mup", depth=4)
    factors = apply(Plain(8), ROLES, scaling, inside=["2.*"])
    assert (factors["2.weight"].adam, factors["2.bias"].adam, factors["0.bias"].adam) == (1 / 8, 1 / 2, 1)


class Tied(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.embedding = nn.Embedding(5, width)
        self.readout = nn.Linear(width, 5, bias=False)
        self.readout.weight = self.embedding.weight


def test_one_tensor_in_two_roles_is_refused():
    drawn = Tied()
    before = drawn.embedding.weight.detach().clone()
    with pytest.raises(ValueError, match=r"'embedding\.weight' and 'readout\.weight' are one tensor"):
        apply(drawn, {"embedding.weight": "embedding", "readout.weight": "readout"}, MUP)
    assert torch.equal(drawn.embedding.weight, before)
    assert list(apply(drawn, {"*": "embedding"}, MUP)) == ["embedding.weight"]
    assert torch.equal(drawn.embedding.weight, before)


@pytest.mark.parametrize(
    ("roles", "error", "message"),
    [
        ({"*.weight": "hidden"}, LookupError, r"without a role: 0\.bias, 2\.bias"),
        (ROLES | {"*.wieght": "hidden"}, LookupError, r"roles has '\*\.wieght', which fits no parameter"),
        ({"*": "hiden"}, ValueError, "hiden"),
    ],
)
def test_wrong_roles_are_named(roles, error, message):
    with pytest.raises(error, match=message):
        apply(Plain(4), roles, MUP)


def test_growth_that_is_no_role():
    with pytest.raises(ValueError, match=r"'0\.weight' grows from .* only its first two sides may"):
        roles_by_growth(nn.Sequential(nn.Conv2d(1, 2, 5)), nn.Sequential(nn.Conv2d(1, 2, 3)))
    with pytest.raises(ValueError, match=r"differ in '0\.bias'"):
        roles_by_growth(nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2, bias=False)))


def test_factors_must_name_every_parameter():
    network = Plain(4)
    factors = apply(network, ROLES, MUP)
    del factors["2.bias"]
    with pytest.raises(ValueError, match=r"factors say nothing of 2\.bias"):
        optimizers.build(SGD(), network.named_parameters(), lr=0.1, factors=factors)


@pytest.mark.parametrize("optimizer", [Adam(weight_decay=0.1), ScheduleFree(weight_decay=0.1)])
def test_rates_epsilon_and_decay_of_each_tensor(optimizer):
    network = Plain(8)
    rule = optimizers.build(optimizer, network.named_parameters(), lr=0.5, factors=apply(network, ROLES, MUP))
    optimizers.set_lr(rule, 0.2)
    found = {name: group for group in rule.param_groups for name in group["param_names"]}
    epsilon = "eps" if optimizer.kind == "adam" else "epsilon"
    assert {name: group["lr"] for name, group in found.items()} == {
        "0.weight": 0.2, "0.bias": 0.2, "2.weight": 0.05, "2.bias": 0.2, "4.weight": 0.05, "4.bias": 0.2,
    }  # fmt: skip
    assert found["2.weight"]["weight_decay"] == pytest.approx(0.4)
    assert found["0.bias"]["weight_decay"] == 0
    assert (found["2.weight"][epsilon], found["4.weight"][epsilon]) == pytest.approx((1e-8 / 4, 1e-8))
    assert math.isclose(found["0.weight"][epsilon], 1e-8 / 4)


LAYOUTS = {
    "mlp": MLP(width=6, depth=2),
    "residual": MLP(width=6, depth=2, residual=True, block_layers=1),
    "convnet": Convnet(width=6, depth=2),
}


@pytest.mark.parametrize("model", LAYOUTS.values(), ids=LAYOUTS)
def test_the_readout_of_a_network_is_what_gives_its_outputs(model):
    network = build(model, inputs=64, outputs=10, context=None, generator=torch.Generator())
    outputs = []
    readout(network).register_forward_hook(lambda _layer, _given, made: outputs.append(made))
    assert network(torch.randn(3, 64)) is outputs[0]


@pytest.mark.parametrize("tied", [True, False])
def test_a_transformer_has_no_layer_for_its_readout(tied):
    model = Transformer(width=8, depth=1, heads=2, tied=tied)
    network = build(model, inputs=9, outputs=9, context=4, generator=torch.Generator())
    with pytest.raises(LookupError, match="Transformer has 0 layers with a weight of role readout, not one"):
        readout(network)
