"""The vision transformer against its definition, pixel by pixel; what it is blind to; that it learns."""

import math
import re

import pytest
import torch
from torch.nn import functional

from common import data
from common.config import MLP, DescriptionError, Digits, Run, Transformer, ViT
from common.models import build
from common.models.roles import named_roles
from common.models.roles import readout as readout_of
from common.training.loop import Training

SIDE, OUTPUTS, WIDTH = 6, 3, 8
ACTIVATIONS = {
    "relu": lambda x: x.clamp(min=0),
    "relu2": lambda x: x.clamp(min=0) ** 2,
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
}
OPTIONS = [
    {},
    {"heads": 1, "depth": 1},
    {"heads": 8},
    {"patch": 1},
    {"patch": 3},
    {"patch": 6},
    {"expansion": 2},
    *({"activation": name} for name in ACTIVATIONS),
    *({"norm": norm, "norm_place": place} for norm in ("layernorm", "rmsnorm", "none") for place in ("pre", "post")),
    {"qk_norm": True},
    {"init_gain": 0.5},
    {"embedding_factor": 2.0, "readout_factor": 0.5},
    {"parametrization": "mup", "base_width": 4},
    {"parametrization": "mup", "base_width": 4, "base_heads": 1},
    {"depth_rule": "completep", "base_depth": 1},
]


def model(*, inputs=SIDE**2, outputs=OUTPUTS, seed=0, **options):
    description = ViT(**({"width": WIDTH, "depth": 2, "heads": 2} | options))
    generator = torch.Generator().manual_seed(seed)
    return build(description, inputs=inputs, outputs=outputs, context=None, generator=generator)


def images(count):
    return torch.randn(count, SIDE**2, generator=torch.Generator().manual_seed(1))


def moved(network):
    """The same network with biases that are not 0."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(
                0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    return network


def normalised(x, kind):
    if kind == "none":
        return x
    centred = x - x.mean(-1, keepdim=True) if kind == "layernorm" else x
    return centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)


def attention(x, affine, *, heads, qk_norm, scale):
    """Attention of each patch to all patches of one image, patch by patch and head by head."""
    size = x.shape[1] // heads
    q, k, v = affine("qkv", x).chunk(3, dim=1)
    mixed = torch.zeros_like(x)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for t in range(len(x)):
            query, keys = q[t, part], k[:, part]
            if qk_norm:
                query, keys = normalised(query, "layernorm"), normalised(keys, "layernorm")
            scores = torch.exp(scale * (keys @ query))
            mixed[t, part] = (scores / scores.sum()) @ v[:, part]
    return affine("out", mixed)


def twin(
    network,
    image,
    *,
    norm="layernorm",
    norm_place="pre",
    activation="relu2",
    heads=2,
    patch=2,
    qk_norm=False,
    embedding_factor=1.0,
    readout_factor=1.0,
    **sizes,
):
    """Outputs of one image from the parameters, by the definition."""
    before, after = (norm, "none") if norm_place == "pre" else ("none", norm)
    base = sizes.get("base_width", WIDTH)
    head, base_head = WIDTH / heads, base / sizes.get("base_heads", heads)
    scale = math.sqrt(base_head) / head
    branch = sizes["base_depth"] / 2 if "base_depth" in sizes else 1
    weights = dict(network.named_parameters())
    square = image.view(SIDE, SIDE)
    tiles = [
        square[row : row + patch, column : column + patch].flatten()
        for row in range(0, SIDE, patch)
        for column in range(0, SIDE, patch)
    ]
    x = torch.stack([embedding_factor * weights["embedding.weight"] @ tile for tile in tiles])
    x = x + weights["embedding.bias"] + embedding_factor * weights["positions"]
    for i in range(len(network.blocks)):

        def affine(name, x, i=i):
            return x @ weights[f"blocks.{i}.{name}.weight"].t() + weights[f"blocks.{i}.{name}.bias"]

        mixed = attention(normalised(x, before), affine, heads=heads, qk_norm=qk_norm, scale=scale)
        x = normalised(x + branch * mixed, after)
        inner = ACTIVATIONS[activation](affine("up", normalised(x, before)))
        x = normalised(x + branch * affine("down", inner), after)
    features = normalised(x, before).mean(0)
    return readout_factor * base / WIDTH * weights["readout.weight"] @ features + weights["readout.bias"]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_outputs_equal_the_definition(options):
    network, x = moved(model(**options).double()), images(3).double()
    outputs = network(x)
    assert outputs.shape == (3, OUTPUTS)
    expected = torch.stack([twin(network, image, **options) for image in x])
    torch.testing.assert_close(outputs, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_gradient_reaches_every_weight(options):
    network, targets = moved(model(**options)), torch.tensor([0, 1, 2, 0, 1, 2])
    functional.cross_entropy(network(images(6)), targets).backward()
    untouched = [name for name, parameter in network.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert untouched == []


def test_roles_tell_the_embeddings_from_the_hidden_matrices():
    roles = {name: str(role) for name, role in named_roles(model(depth=1)).items()}
    hidden = {f"blocks.0.{name}.{part}" for name in ("qkv", "out", "up", "down") for part in ("weight", "bias")}
    assert {name for name, role in roles.items() if role == "embedding"} == {"embedding.weight", "positions"}
    assert {name: roles[name] for name in hidden} == {
        name: "hidden" if name.endswith("weight") else "vector" for name in hidden
    }
    assert (roles["readout.weight"], roles["readout.bias"]) == ("readout", "finite")


def tiles_of(x, patch):
    across = SIDE // patch
    return x.view(-1, across, patch, across, patch).transpose(2, 3).reshape(len(x), -1, patch**2)


def image_of(tiles, patch):
    across = SIDE // patch
    return tiles.view(len(tiles), across, across, patch, patch).transpose(2, 3).reshape(len(tiles), -1)


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_patches_may_change_places_if_their_positions_go_with_them(patch):
    network, x = moved(model(patch=patch).double()), images(4).double()
    assert torch.equal(image_of(tiles_of(x, patch), patch), x)
    order = torch.randperm((SIDE // patch) ** 2, generator=torch.Generator().manual_seed(2))
    shuffled = image_of(tiles_of(x, patch)[:, order], patch)
    before = network(x)
    assert (network(shuffled) - before).abs().max() > 1e-3
    with torch.no_grad():
        network.positions.copy_(network.positions[order])
    torch.testing.assert_close(network(shuffled), before, rtol=1e-10, atol=1e-10)


def test_every_patch_attends_to_every_other():
    network, x = moved(model(depth=1).double()), images(1).double()
    stream = []
    network.blocks[0].register_forward_hook(lambda _module, given, made: stream.append((given[0], made)))
    network(x)
    given, made = stream[0]
    for patch in range(made.shape[1]):
        (influence,) = torch.autograd.grad(made[0, patch].square().sum(), given, retain_graph=True)
        assert (influence[0].abs().sum(-1) > 0).all()


def test_an_image_is_judged_by_itself():
    network, x = model().double(), images(4).double()
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-12, atol=1e-12)


def test_the_readout_sees_the_mean_over_patches():
    network, seen = model(), []
    readout_of(network).register_forward_pre_hook(lambda _module, given: seen.append(given[0].shape))
    network(images(5))
    assert seen == [(5, WIDTH)]


def test_autocast_keeps_the_stream_in_full_precision():
    network, seen = model(), []
    for block in network.blocks:
        block.register_forward_hook(lambda _module, _given, made: seen.append(made.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        network(images(2))
    assert seen == [torch.float32] * 2


def test_equal_generators_give_equal_models():
    first, second, third = (list(model(seed=seed).parameters()) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, third, strict=True))


@pytest.mark.parametrize(("options", "inputs"), [({"patch": 4}, 36), ({"patch": 7}, 36), ({"patch": 1}, 35)])
def test_images_that_cannot_be_cut_into_the_patches_are_one_clear_error(options, inputs):
    patch = options["patch"]
    message = f"patch={patch} pixels a side, but inputs={inputs} is no square of a multiple of {patch}; choose another"
    with pytest.raises(ValueError, match=re.escape(message)):
        model(inputs=inputs, **options)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"heads": 3}, "heads=3 must divide width=64"),
        ({"heads": 4, "base_width": 32, "base_heads": 5}, "base_heads=5 must divide base_width=32"),
        ({"heads": 4, "patch": 0}, "patch=0 must be at least 1"),
        ({"heads": 4, "norm": "batchnorm"}, "norm='batchnorm' belongs to MLP"),
        ({"heads": 4, "tied": True}, "it belongs to Transformer"),
    ],
)
def test_faulty_descriptions_are_refused(fields, message):
    with pytest.raises(DescriptionError, match=re.escape(message)):
        ViT(**fields)


def test_heads_of_an_odd_size_are_refused_only_where_positions_turn_pairs():
    assert model(width=6).blocks[0].heads == 2
    with pytest.raises(DescriptionError, match="heads=2 gives heads of 3 features; pairs need an even number"):
        Transformer(width=6, heads=2)
    with pytest.raises(DescriptionError, match="heads=2 gives heads of 5 features"):
        Transformer(width=8, heads=2, base_width=10)


def test_cost_follows_the_number_of_patches():
    small, large = ViT(width=8, heads=2, patch=2), ViT(width=8, heads=2, patch=4)
    assert small.work.products == 16 * Transformer(width=8, heads=2).work.products == 4 * large.work.products
    assert small.work.products > MLP(width=8).work.products


def test_it_learns_the_digits():
    run = Run(
        model=ViT(width=24, depth=2, heads=4, activation="gelu"),
        data=Digits(),
        lr=5e-3,
        steps=200,
        batch_size=64,
        seed=0,
    )
    rows = list(Training(run, data.load(run.data, corpora=None)))
    assert rows[0]["val_accuracy"] < 0.3
    assert rows[-1]["val_accuracy"] > 0.85
