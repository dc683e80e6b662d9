import pytest
import torch
from torch.nn import functional

from common.config import MLP
from common.models import build
from tests.models.test_transformer import ACTIVATIONS, normalised

INPUTS, OUTPUTS = 5, 3
OPTIONS = [
    {},
    {"depth": 1},
    {"residual": True},
    {"residual": True, "gated": True},
    *({"activation": name} for name in ACTIVATIONS),
    *({"norm": norm, "norm_place": place} for norm in ("layernorm", "rmsnorm", "none") for place in ("pre", "post")),
    {"init_gain": 2.0},
]


def model(*, seed=0, **options):
    description = MLP(**({"width": 7, "depth": 3} | options))
    generator = torch.Generator().manual_seed(seed)
    return build(description, inputs=INPUTS, outputs=OUTPUTS, context=None, generator=generator)


def features(count):
    return torch.randn(count, INPUTS, generator=torch.Generator().manual_seed(1))


def twin(network, x, *, norm="layernorm", norm_place="pre", activation="relu2", residual=False, gated=False, **_):
    """Outputs from the parameters, by the definition, one example at a time."""
    act = ACTIVATIONS[activation]
    weights = dict(network.named_parameters())
    layers = ["embedding", *(f"hidden.{i}" for i in range(len(network.hidden)))]
    rows = []
    for row in x:
        h = row
        for i, layer in enumerate(layers):
            z = torch.einsum("i,oi->o", h, weights[f"{layer}.weight"]) + weights[f"{layer}.bias"]
            z = act(normalised(z, norm)) if norm_place == "pre" else normalised(act(z), norm)
            gate = weights[f"gates.{i - 1}.value"] if gated and i else 1.0
            h = h + gate * z if residual and i else z
        rows.append(torch.einsum("i,oi->o", h, weights["readout.weight"]) + weights["readout.bias"])
    return torch.stack(rows)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_outputs_equal_the_definition(options):
    network, x = model(**options).double(), features(4).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    torch.testing.assert_close(network(x), twin(network, x, **options), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_learns(options):
    network, x, targets = model(**options), features(6), torch.tensor([0, 1, 2, 0, 1, 2])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(4):
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(network(x), targets)
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


BLOCKS = [
    {"block_layers": 1},
    {"block_layers": 2, "norm": "none", "activation": "tanh"},
    {"block_layers": 2, "norm_place": "post", "gated": True},
    {"block_layers": 2, "depth": 4, "depth_rule": "depth_mup", "base_depth": 1, "factor": 1 / 2},
    {"block_layers": 1, "depth": 4, "depth_rule": "completep", "base_depth": 2, "factor": 1 / 2},
    {"block_layers": 1, "depth": 4, "depth_rule": "none", "base_depth": 2},
    {"block_layers": 1, "parametrization": "mup", "width": 8, "base_width": 2, "outputs": 1 / 4},
]


@pytest.mark.parametrize("options", BLOCKS, ids=str)
def test_residual_blocks_equal_the_definition(options):
    options = dict(options)
    factor, outputs = options.pop("factor", 1.0), options.pop("outputs", 1.0)
    network, x = model(residual=True, **options).double(), features(4).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    weights = dict(network.named_parameters())
    act, norm = ACTIVATIONS[options.get("activation", "relu2")], options.get("norm", "layernorm")

    def activated(h):
        return act(normalised(h, norm)) if options.get("norm_place") != "post" else normalised(act(h), norm)

    h = x @ weights["embedding.weight"].T + weights["embedding.bias"]
    for i in range(options.get("depth", 3)):
        branch = h
        for j in range(options["block_layers"]):
            place = f"blocks.{i}.layers.{j}"
            branch = activated(branch) @ weights[f"{place}.weight"].T + weights[f"{place}.bias"]
        h = h + factor * branch * (weights[f"blocks.{i}.gate.value"] if options.get("gated") else 1.0)
    expected = outputs * activated(h) @ weights["readout.weight"].T + weights["readout.bias"]
    torch.testing.assert_close(network(x), expected, rtol=1e-10, atol=1e-10)


def test_equal_generators_give_equal_models():
    first, second = (list(model().parameters()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_batch_norm_is_that_of_the_batch_at_hand_in_either_mode():
    network, x = model(norm="batchnorm", depth=1).double(), features(6).double()
    hidden = x @ network.embedding.weight.T + network.embedding.bias
    normed = (hidden - hidden.mean(0)) / torch.sqrt(hidden.var(0, correction=0) + 1e-5)
    expected = torch.relu(normed) ** 2 @ network.readout.weight.T + network.readout.bias
    for mode in (True, False):
        torch.testing.assert_close(network.train(mode)(x), expected, rtol=1e-10, atol=1e-10)
    assert not list(network.buffers())
