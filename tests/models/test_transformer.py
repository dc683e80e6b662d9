import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from common.config import Transformer
from common.models import build

VOCABULARY, CONTEXT = 11, 6
ACTIVATIONS = {
    "relu": lambda x: x.clamp(min=0),
    "relu2": lambda x: x.clamp(min=0) ** 2,
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "tanh": lambda x: (torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1),
    "linear": lambda x: x,
}
OPTIONS = [
    {},
    {"heads": 1, "depth": 1},
    {"expansion": 2},
    *({"activation": name} for name in ACTIVATIONS),
    *({"norm": norm, "norm_place": place} for norm in ("layernorm", "rmsnorm", "none") for place in ("pre", "post")),
    {"qk_norm": True},
    {"tied": False},
    {"init_gain": 0.5},
    {"embedding_factor": 2.0, "readout_factor": 0.5, "tied": False},
    {"parametrization": "mup", "base_width": 4},
    {"parametrization": "mup", "base_width": 4, "base_heads": 1, "tied": False},
    {"depth_rule": "completep", "base_depth": 1},
]


def model(*, seed=0, width=8, vocabulary=VOCABULARY, context=CONTEXT, **options):
    description = Transformer(**({"width": width, "depth": 2, "heads": 2} | options))
    generator = torch.Generator().manual_seed(seed)
    return build(description, inputs=vocabulary, outputs=vocabulary, context=context, generator=generator)


def tokens(count, *, context=CONTEXT, vocabulary=VOCABULARY, seed=1):
    return torch.randint(vocabulary, (count, context), generator=torch.Generator().manual_seed(seed))


def normalised(x, kind):
    if kind == "none":
        return x
    centred = x - x.mean(-1, keepdim=True) if kind == "layernorm" else x
    return centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)


def turned(x, t):
    """Each pair of neighbours turned in its plane, by hand."""
    out = torch.empty_like(x)
    for j in range(len(x) // 2):
        angle = t * 10000 ** (-2 * j / len(x))
        out[2 * j] = x[2 * j] * math.cos(angle) - x[2 * j + 1] * math.sin(angle)
        out[2 * j + 1] = x[2 * j] * math.sin(angle) + x[2 * j + 1] * math.cos(angle)
    return out


def attention(x, weights, *, heads, qk_norm, scale):
    """Causal attention of one window (context, width), position by position and head by head."""
    context, width = x.shape
    size = width // heads
    scale = size**-0.5 if scale is None else scale
    q, k, v = (torch.einsum("tw,ow->to", x, part) for part in weights["qkv"].chunk(3))
    mixed = torch.zeros_like(x)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for t in range(context):
            query, keys = q[t, part], k[: t + 1, part]
            if qk_norm:
                query, keys = normalised(query, "layernorm"), normalised(keys, "layernorm")
            query = turned(query, t)
            keys = torch.stack([turned(key, s) for s, key in enumerate(keys)])
            scores = torch.exp(scale * torch.einsum("d,sd->s", query, keys))
            mixed[t, part] = torch.einsum("s,sd->d", scores / scores.sum(), v[: t + 1, part])
    return torch.einsum("tw,ow->to", mixed, weights["out"])


def twin(
    network,
    window,
    *,
    norm="layernorm",
    norm_place="pre",
    activation="relu2",
    heads=2,
    qk_norm=False,
    embedding_factor=1.0,
    readout_factor=1.0,
    **sizes,
):
    """Logits of one window from the parameters, by the definition."""
    before, after = (norm, "none") if norm_place == "pre" else ("none", norm)
    scale = math.sqrt(sizes["base_width"] / sizes.get("base_heads", 2)) / (8 / heads) if "base_width" in sizes else None
    outputs = readout_factor * sizes.get("base_width", 8) / 8
    branch = sizes.get("base_depth", 2) / 2
    parameters = dict(network.named_parameters())
    x = torch.stack([embedding_factor * network.embedding[token] for token in window])
    for i in range(len(network.blocks)):
        weights = {name: parameters[f"blocks.{i}.{name}"] for name in ("qkv", "out", "up", "down")}
        mixed = attention(normalised(x, before), weights, heads=heads, qk_norm=qk_norm, scale=scale)
        x = normalised(x + branch * mixed, after)
        inner = ACTIVATIONS[activation](torch.einsum("tw,ow->to", normalised(x, before), weights["up"]))
        x = normalised(x + branch * torch.einsum("ti,wi->tw", inner, weights["down"]), after)
    readout = parameters.get("readout", network.embedding)
    return outputs * torch.einsum("tw,vw->tv", normalised(x, before), readout)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_logits_equal_the_definition(options):
    network, inputs = model(**options).double(), tokens(3)
    logits = network(inputs)
    assert logits.shape == (3, CONTEXT, VOCABULARY)
    for window, found in zip(inputs, logits, strict=True):
        torch.testing.assert_close(found, twin(network, window, **options), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_learns(options):
    network, inputs = model(**options), tokens(4)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(4):
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(network(inputs[:, :-1]).view(-1, VOCABULARY), inputs[:, 1:].reshape(-1))
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("options", [{}, {"norm_place": "post"}, {"qk_norm": True}], ids=str)
def test_logits_depend_on_the_past_only(options, monkeypatch):
    network = model(**options)
    embedded = []

    def recorded(inputs, weight, embed=functional.embedding):
        embedded.append(embed(inputs, weight).detach().requires_grad_())
        return embedded[-1]

    monkeypatch.setattr(functional, "embedding", recorded)
    logits = network(tokens(1))
    for t in range(CONTEXT):
        (gradient,) = torch.autograd.grad(logits[0, t].square().sum(), embedded[0], retain_graph=True)
        influence = gradient[0].abs().sum(-1)
        assert (influence[: t + 1] > 0).all()
        assert (influence[t + 1 :] == 0).all()


def test_shorter_windows_are_prefixes():
    network, inputs = model().double(), tokens(2)
    torch.testing.assert_close(network(inputs[:, :4]), network(inputs)[:, :4], rtol=1e-12, atol=1e-12)


def test_tied_weights_are_one_parameter():
    tied, untied = model(), model(tied=False)
    extra = set(dict(untied.named_parameters())) - set(dict(tied.named_parameters()))
    assert extra == {"readout"}
    with torch.no_grad():
        tied.embedding[3] = 0
    assert (tied(tokens(1))[..., 3] == 0).all()


@pytest.mark.parametrize("options", [{}, {"tied": False}, {"norm_place": "post"}, {"norm": "rmsnorm"}], ids=str)
def test_initial_loss_is_that_of_a_guess(options):
    network = model(width=64, depth=3, vocabulary=256, context=32, **options)
    inputs, targets = (tokens(8, context=32, vocabulary=256, seed=seed) for seed in (1, 2))
    loss = functional.cross_entropy(network(inputs).view(-1, 256), targets.view(-1)).item()
    assert loss == pytest.approx(math.log(256), rel=0.12)


def test_equal_generators_give_equal_models():
    first, second, third = (list(model(seed=seed).parameters()) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, third, strict=True))


def test_autocast_keeps_the_stream_in_full_precision():
    network, seen = model(), []
    for block in network.blocks:
        block.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        network(tokens(2))
    assert seen == [torch.float32] * 2


def test_curvature_is_measurable_with_plain_attention():
    network, inputs = model().double(), tokens(2)
    parameters = list(network.parameters())
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        gradients = torch.autograd.grad(network(inputs).square().sum(), parameters, create_graph=True)
        curvature = torch.autograd.grad(sum(g.square().sum() for g in gradients), parameters)
    assert all(torch.isfinite(part).all() and part.abs().sum() > 0 for part in curvature)
