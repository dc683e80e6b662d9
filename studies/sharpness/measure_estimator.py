"""The Lanczos estimate against the whole Hessian of small random networks.

The estimate is of the largest eigenvalue. Every network is measured twice: with products in float64, and in float32 as
the trainings are measured. The reference is the Hessian by its columns, at the same weights in float64.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from common import models
from common.config import MLP
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective
from common.curvature.operators import Hessian, matrix
from common.data.losses import LOSSES
from common.streams import stream, torch_stream

NETWORKS = 100
FIRST = 1000
"""Seed of the first network; on those of seeds 0 to 99 the estimator itself was improved."""
INPUTS, OUTPUTS, EXAMPLES = 8, 4, 64
PRECISIONS = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True)
class Case:
    """A network at its start, with its loss and its data."""

    model: MLP
    loss: str
    inputs: Tensor
    """Standard normal, float32 (EXAMPLES, INPUTS)."""
    targets: Tensor
    """Random classes, or standard normal values."""
    seed: int

    def objective(self, precision: torch.dtype) -> Objective:
        """The mean loss with weights, data and products in a precision; the weights are drawn in float32."""
        generator = torch_stream(self.seed, "weights")
        network = models.build(self.model, inputs=INPUTS, outputs=OUTPUTS, context=None, generator=generator)
        targets = self.targets.to(precision) if self.targets.is_floating_point() else self.targets
        return Objective(network.to(precision), LOSSES[self.loss], [(self.inputs.to(precision), targets)])


def draw(seed: int) -> Case:
    """A random network of 56 to 756 weights on random data."""
    source, numbers = stream(seed, "estimator"), torch_stream(seed, "estimator data")
    loss = str(source.choice(["cross_entropy", "mse"]))
    model = MLP(
        width=int(source.integers(4, 17)),
        depth=int(source.integers(1, 4)),
        activation=source.choice(["tanh", "relu", "gelu"]).item(),
        norm=source.choice(["none", "layernorm", "batchnorm"]).item(),
        init_gain=float(np.exp(source.uniform(np.log(0.5), np.log(3)))),
    )
    inputs = torch.randn(EXAMPLES, INPUTS, generator=numbers)
    classes = torch.randint(OUTPUTS, (EXAMPLES,), generator=numbers)
    targets = classes if loss == "cross_entropy" else torch.randn(EXAMPLES, OUTPUTS, generator=numbers)
    return Case(model=model, loss=loss, inputs=inputs, targets=targets, seed=seed)


def estimates(case: Case) -> Iterator[dict[str, float | str]]:
    """The largest eigenvalue, its estimate and bound in each precision, and the estimate's distance to the spectrum."""
    reference = case.objective(torch.float64)
    with reference.cached_graphs():
        spectrum = np.linalg.eigvalsh(matrix(Hessian(reference)))
    for name, precision in PRECISIONS.items():
        objective = case.objective(precision)
        with objective.cached_graphs():
            found = extremes(Hessian(objective), seed=case.seed)
        yield {
            "precision": name,
            "size": objective.size,
            "exact": spectrum[-1],
            "estimate": found.value,
            "bound": found.bound,
            "distance": np.abs(spectrum - found.value).min(),
            "products": found.products,
            "converged": int(found.converged),
        }


def measure(networks: int = NETWORKS) -> pd.DataFrame:
    """Columns network, activation, norm, loss, precision, size, exact, estimate, bound, distance, products, converged.

    `distance` is from the estimate to the nearest eigenvalue of the Hessian, which `bound` must not be below.
    """
    torch.set_num_threads(1)
    rows = []
    for seed in range(FIRST, FIRST + networks):
        case = draw(seed)
        about = {"network": seed, "activation": case.model.activation, "norm": case.model.norm, "loss": case.loss}
        rows += [{**about, **row} for row in estimates(case)]
    return pd.DataFrame(rows)
