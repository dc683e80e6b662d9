"""Networks under torch.compile: one graph without a break, and the function that they are without it."""

import pytest
import torch

from common.config import MLP, Convnet, Transformer, ViT
from common.models import build

NETWORKS = {
    "transformer": Transformer(width=16, depth=2, heads=2),
    "transformer, all options": Transformer(width=16, depth=2, heads=2, qk_norm=True, tied=False, norm="rmsnorm"),
    "vit": ViT(width=16, depth=1, heads=2),
    "mlp": MLP(width=8, depth=2, activation="relu2", norm="batchnorm"),
    "convnet": Convnet(width=4),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_every_network_is_one_graph_and_keeps_its_gradients(name, precision):
    tokens = name.startswith("transformer")
    network = build(
        NETWORKS[name],
        inputs=64,
        outputs=64 if tokens else 10,
        context=12 if tokens else None,
        generator=torch.Generator().manual_seed(0),
    )
    x = torch.randint(64, (3, 12)) if tokens else torch.rand(3, 64)
    torch.compiler.reset()
    found = []
    for forward in (network, torch.compile(network, backend="aot_eager", fullgraph=True)):
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            loss = torch.logsumexp(forward(x).float(), -1).mean()
        found.append(torch.autograd.grad(loss, list(network.parameters())))
    for eager, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=0, atol=1e-5 if precision == torch.float32 else 0.02)
