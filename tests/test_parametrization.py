import pytest
import torch
from torch import nn

from common import parametrization
from common.config import Model
from common.models import build
from common.parametrization import TABLE, Initializer, Role, Rule, learning_rate_factors, named_roles


def transformer(**options):
    model = Model(width=64, depth=2, heads=2, **options)
    return build(model, inputs=256, outputs=256, context=32, generator=torch.Generator().manual_seed(0))


def mlp(**options):
    model = Model(kind="mlp", width=128, depth=3, **options)
    return build(model, inputs=64, outputs=100, context=None, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("network", [transformer(), transformer(tied=False), mlp()])
def test_every_parameter_has_a_role_and_a_rule(network):
    roles = named_roles(network)
    assert list(roles) == [name for name, _ in network.named_parameters()]
    assert learning_rate_factors(network) == {name: TABLE[role].learning_rate for name, role in roles.items()}
    assert set(TABLE) == set(Role)


def test_roles_of_the_networks():
    roles = named_roles(transformer(tied=False))
    assert {name for name, role in roles.items() if role is not Role.HIDDEN} == {"embedding", "readout"}
    assert roles["readout"] is Role.READOUT
    assert [str(role) for role in named_roles(mlp()).values()] == [
        "embedding", "bias", "hidden", "bias", "hidden", "bias", "readout", "bias",
    ]  # fmt: skip


@pytest.mark.parametrize("gain", [1.0, 3.0])
@pytest.mark.parametrize("build_network", [transformer, mlp])
def test_standard_deviations_follow_the_table(build_network, gain):
    network = build_network(init_gain=gain)
    for (name, value), role in zip(network.named_parameters(), named_roles(network).values(), strict=True):
        fan_in = value.shape[-1]
        expected = 0 if role is Role.BIAS else gain * fan_in**-0.5
        assert value.std().item() == pytest.approx(expected, rel=0.1), name


def test_the_readout_factor_scales_the_logits_only_there(monkeypatch):
    tokens = torch.zeros(1, 4, dtype=torch.int64)
    plain = transformer(tied=False)(tokens)
    monkeypatch.setitem(parametrization.TABLE, Role.READOUT, Rule(std=-0.5, forward=0.25, learning_rate=1.0))
    torch.testing.assert_close(transformer(tied=False)(tokens), plain / 4)
    assert all(rule.forward == 1 for role, rule in TABLE.items() if role is not Role.READOUT)


def test_a_parameter_without_role_is_named():
    network = nn.Module()
    Initializer(torch.Generator(), gain=1.0).parameter(network, "known", Role.HIDDEN, 2, 2, fan_in=2)
    network.stray = nn.Parameter(torch.zeros(1))
    with pytest.raises(LookupError, match="stray"):
        named_roles(network)
