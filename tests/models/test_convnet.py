import pytest
import torch
from torch.nn import functional

from common.config import Convnet, DescriptionError
from common.models import build
from tests.models.test_transformer import ACTIVATIONS, normalised

SIDE, OUTPUTS = 4, 3
OPTIONS = [
    {},
    {"depth": 1},
    {"activation": "tanh", "norm": "none"},
    *({"norm": norm, "norm_place": place} for norm in ("layernorm", "rmsnorm") for place in ("pre", "post")),
    {"readout_factor": 0.5, "embedding_factor": 2.0},
    {"parametrization": "mup", "base_width": 3},
]


def model(*, inputs=SIDE**2, **options):
    description = Convnet(**({"width": 6, "depth": 2} | options))
    generator = torch.Generator().manual_seed(0)
    return build(description, inputs=inputs, outputs=OUTPUTS, context=None, generator=generator)


def images(count):
    return torch.randn(count, SIDE**2, generator=torch.Generator().manual_seed(1))


def twin(network, x, *, norm="layernorm", norm_place="pre", activation="relu2", factors=(1.0, 1.0)):
    """Outputs of one image, pixel by pixel: each sums the filter over its neighbours inside the image."""
    act, weights = ACTIVATIONS[activation], dict(network.named_parameters())
    h = x.view(SIDE, SIDE, 1)
    for layer in ("embedding", *(f"hidden.{i}" for i in range(len(network.hidden)))):
        kernel = weights[f"{layer}.weight"] * (factors[0] if layer == "embedding" else 1)
        new = torch.empty(SIDE, SIDE, len(kernel), dtype=x.dtype)
        for row in range(SIDE):
            for column in range(SIDE):
                z = weights[f"{layer}.bias"].clone()
                for i in range(3):
                    for j in range(3):
                        if 0 <= row + i - 1 < SIDE and 0 <= column + j - 1 < SIDE:
                            z = z + kernel[:, :, i, j] @ h[row + i - 1, column + j - 1]
                new[row, column] = act(normalised(z, norm)) if norm_place == "pre" else normalised(act(z), norm)
        h = new
    return weights["readout.weight"] * factors[1] @ h.mean((0, 1)) + weights["readout.bias"]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_outputs_equal_the_definition(options):
    network, x = model(**options).double(), images(2).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    shape = {name: value for name, value in options.items() if name in ("norm", "norm_place", "activation")}
    factors = (
        options.get("embedding_factor", 1),
        options.get("readout_factor", 1) / (2 if "base_width" in options else 1),
    )
    expected = torch.stack([twin(network, image, **shape, factors=factors) for image in x])
    torch.testing.assert_close(network(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_learns(options):
    network, x, targets = model(**options), images(6), torch.tensor([0, 1, 2, 0, 1, 2])
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


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match="inputs=15 is no square"):
        model(inputs=15)
    with pytest.raises(DescriptionError, match="batchnorm"):
        model(norm="batchnorm")
