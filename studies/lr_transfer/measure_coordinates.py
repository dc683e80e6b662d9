"""Sizes of activations and of their change in the first updates, by width and parametrization.

The coordinate check of Yang et al. 2022 (arXiv:2203.03466, appendix D.1): where the parametrization fits, each layer's
outputs change alike at every width. One batch of random inputs, with the targets of a fixed random network.

The readout starts nearly at 0. A larger one adds initial outputs that shrink with the width under muP, and the residual
with them, which bends the lines; tanh has no large response along constant functions that alone would bound the rate.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from common import models
from common.config import MLP, SGD, Adam, Model, Optimizer
from common.config.parametrization import Parametrization, defined_for, rows
from common.data import Batch
from common.data.losses import half_squared_error
from common.models.layers import Layer
from common.models.roles import named_factors
from common.optim import optimizers
from common.streams import torch_stream
from studies.lr_transfer.study import BASE_WIDTH, SEEDS

WIDTHS = (64, 128, 256, 512, 1024, 2048)
DEPTH = 3
READOUT_GAIN = 0.01
STEPS = 3
INPUTS, OUTPUTS = 64, 10
EXAMPLES = 32
"""Fewer than the narrowest network has units: with more, chance overlaps of their features count at small widths."""

OPTIMIZERS: dict[str, tuple[Optimizer, float]] = {"sgd": (SGD(), 0.1), "adam": (Adam(epsilon=1e-12), 0.002)}
"""With a rate: a quarter of the largest, of powers of two, at which muP's loss fell in all updates of the pilot."""


def build(description: Model, generator: torch.Generator) -> nn.Module:
    """A network at its start, float32 (count, INPUTS) to (count, OUTPUTS)."""
    return models.build(description, inputs=INPUTS, outputs=OUTPUTS, context=None, generator=generator)


def student(parametrization: str, *, width: int, seed: int) -> nn.Module:
    """The network whose layers are measured."""
    description = MLP(
        width=width,
        depth=DEPTH,
        activation="tanh",
        norm="none",
        readout_gain=READOUT_GAIN,
        parametrization=parametrization,  # type: ignore[arg-type]
        base_width=BASE_WIDTH,
    )
    return build(description, torch_stream(seed, "weights"))


@torch.no_grad()
def batch(seed: int) -> Batch:
    """Standard normal inputs, and the outputs of the teacher, which is the same for all seeds."""
    description = MLP(width=INPUTS, depth=1, activation="tanh", norm="none")
    teacher = build(description, torch_stream(0, "teacher"))
    inputs = torch.randn(EXAMPLES, INPUTS, generator=torch_stream(seed, "inputs"))
    return Batch(inputs, teacher(inputs))


def watch(network: nn.Module) -> dict[str, Tensor]:
    """A dictionary into which every forward pass writes the outputs of each affine map, by its name."""
    latest: dict[str, Tensor] = {}
    for name, layer in network.named_modules():
        if isinstance(layer, Layer):
            layer.register_forward_hook(
                lambda _layer, _inputs, outputs, name=name: latest.__setitem__(name, outputs.detach())
            )
    return latest


def activations(network: nn.Module, rule: torch.optim.Optimizer, examples: Batch) -> Iterator[dict[str, Tensor]]:
    """Outputs of each affine map, float32 (examples, units), at the start and after each of STEPS updates."""
    latest = watch(network)
    for _ in range(STEPS):
        loss = half_squared_error(network(examples.inputs), examples.targets)
        yield dict(latest)
        rule.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        rule.step()
    network(examples.inputs)
    yield dict(latest)


def root_mean_square(values: Tensor) -> float:
    """Over all entries."""
    return float(values.square().mean().sqrt())


def coordinates(network: nn.Module, rule: torch.optim.Optimizer, examples: Batch) -> Iterator[dict[str, Any]]:
    """The rows of one network: the size of each layer's outputs at the start, and of their change since then."""
    start, *later = activations(network, rule, examples)
    for layer, outputs in start.items():
        yield {"step": 0, "layer": layer, "quantity": "size", "value": root_mean_square(outputs)}
    for step, now in enumerate(later, start=1):
        for layer, outputs in now.items():
            value = root_mean_square(outputs - start[layer])
            yield {"step": step, "layer": layer, "quantity": "change", "value": value}


def measure(seeds: Sequence[int] = SEEDS, widths: Sequence[int] = WIDTHS) -> pd.DataFrame:
    """Columns optimizer, parametrization, width, seed, step, layer, quantity (size or change), value.

    The value is a root mean square over examples and units; a change is since the start. Parametrizations without
    rates for an optimizer are left out.
    """
    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []
    for seed in seeds:
        examples = batch(seed)
        for kind, (optimizer, lr) in OPTIMIZERS.items():
            for name in (name for name, row in rows(Parametrization).items() if defined_for(row, optimizer.sizes)):
                for width in widths:
                    network = student(name, width=width, seed=seed)
                    factors = named_factors(network)
                    rule = optimizers.build(optimizer, network.named_parameters(), lr=lr, factors=factors)
                    about = {"optimizer": kind, "parametrization": name, "width": width, "seed": seed}
                    found += [{**about, **row} for row in coordinates(network, rule, examples)]
    return pd.DataFrame(found)
