"""Gradient norms of feed-forward weights at the start of transformers of several depths.

With the norms before and after the branches, as in Xiong et al. 2020 (arXiv:2002.04745): one head, ReLU, and the loss
of whole sequences, of which their theorem 1 speaks. Tokens are uniformly random.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from common import config, models
from common.models.transformer import Transformer
from common.streams import torch_stream

SEEDS = tuple(range(20))
Place = Literal["post", "pre"]
PLACES: tuple[Place, ...] = ("post", "pre")
DEPTHS = (2, 4, 8, 16)
WIDTH = 64
TOKENS = 256
CONTEXT = 32
SEQUENCES = 8
"""Each gives a loss and a gradient of its own."""


def build(place: Place, *, depth: int, seed: int) -> Transformer:
    """A network at its start, with the norms before ("pre") or after ("post") each branch."""
    description = config.Transformer(
        width=WIDTH,
        depth=depth,
        heads=1,
        activation="relu",
        norm="layernorm",
        norm_place=place,
        tied=False,
    )
    generator = torch_stream(seed, "weights")
    network = models.build(description, inputs=TOKENS, outputs=TOKENS, context=CONTEXT, generator=generator)
    assert isinstance(network, Transformer)
    return network


def sequence_losses(network: nn.Module, tokens: Tensor) -> Tensor:
    """Mean cross-entropy of each sequence over its positions, (count,), of tokens, int64 (count, context + 1)."""
    logits = network(tokens[:, :-1]).transpose(1, 2)
    return functional.cross_entropy(logits, tokens[:, 1:], reduction="none").mean(1)


def gradient_norms(losses: Tensor, weights: Sequence[Tensor]) -> NDArray[np.float64]:
    """Root mean square over losses of the Frobenius norm of each weight's gradient, float64 (weights,)."""
    gradients = (torch.autograd.grad(loss, weights, retain_graph=True) for loss in losses)
    squares = [[float(part.square().sum()) for part in gradient] for gradient in gradients]
    norms: NDArray[np.float64] = np.sqrt(np.mean(squares, axis=0))
    return norms


def measure(seeds: Sequence[int] = SEEDS) -> pd.DataFrame:
    """Columns place, depth, seed, block (1 at the input), gradient_norm.

    The norm is of the matrix that ends the block's feed-forward layer: of every block of the deepest networks, of the
    last one of the others.
    """
    torch.set_num_threads(1)
    rows = []
    for seed in seeds:
        tokens = torch.randint(TOKENS, (SEQUENCES, CONTEXT + 1), generator=torch_stream(seed, "tokens"))
        for place in PLACES:
            for depth in DEPTHS:
                network = build(place, depth=depth, seed=seed)
                first = 1 if depth == max(DEPTHS) else depth
                blocks = range(first, depth + 1)
                weights = [network.blocks[block - 1].get_parameter("down") for block in blocks]
                norms = gradient_norms(sequence_losses(network, tokens), weights)
                about = {"place": place, "depth": depth, "seed": seed}
                rows += [
                    {**about, "block": block, "gradient_norm": norm} for block, norm in zip(blocks, norms, strict=True)
                ]
    return pd.DataFrame(rows)
