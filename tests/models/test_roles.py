"""Roles: of the repository's networks, and of any other module, which then trains like ours."""

import math

import pytest
import torch
from torch import nn

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
    found = roles_by_growth(build_network(), build_network_at_half(build_network))
    expected = named_roles(build_network())
    expected |= {"embedding": Role.READOUT} if build_network is transformer else {}  # no nn.Embedding tells it apart
    assert found == expected


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
    table = roles_by_growth(nn.ModuleList([nn.Embedding(7, 8)]), nn.ModuleList([nn.Embedding(7, 4)]))
    assert table == {"0.weight": Role.EMBEDDING}
    norm = roles_by_growth(nn.ModuleList([nn.LayerNorm(8)]), nn.ModuleList([nn.LayerNorm(4)]))
    assert set(norm.values()) == {Role.VECTOR}


def test_transposed_layers_have_their_inputs_first():
    def decoder(width):
        return nn.Sequential(nn.Linear(5, width), nn.ConvTranspose2d(width, width, 3), nn.ConvTranspose2d(width, 3, 3))

    found = roles_by_growth(decoder(8), decoder(4))
    assert [found[f"{place}.weight"] for place in range(3)] == [Role.EMBEDDING, Role.HIDDEN, Role.READOUT]
    bag = roles_by_growth(nn.ModuleList([nn.EmbeddingBag(7, 8)]), nn.ModuleList([nn.EmbeddingBag(7, 4)]))
    assert bag == {"0.weight": Role.EMBEDDING}


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
        (ROLES | {"*.wieght": "hidden"}, LookupError, r"roles\['\*\.wieght'\] fits no parameter"),
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
