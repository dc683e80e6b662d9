"""Sharpness of random batches beside that of the whole training set.

Of the initial networks and of those trained with the full batch; batches have the sizes of the trainings with batches.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from torch import nn

from common import models
from common.curvature.batches import batch_sharpness, random_batches
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective
from common.curvature.operators import Hessian
from common.data import Dataset
from common.runs import checkpoint, snapshots
from common.runs.snapshots import Trained
from common.streams import torch_stream
from studies.sharpness.study import BATCH_SIZES

BATCHES = 20
"""Random batches of each size."""


def initial(after: Trained) -> nn.Module:
    """The network with which the training of a state began."""
    dataset = after.dataset
    return models.build(
        after.run.model,
        inputs=dataset.inputs,
        outputs=dataset.outputs,
        context=dataset.context,
        generator=torch_stream(after.run.seed, "weights"),
    )


def whole(model: nn.Module, dataset: Dataset) -> float:
    """Largest eigenvalue of the Hessian of the mean loss over all training examples."""
    objective = Objective.of_dataset(model, dataset)
    with objective.cached_graphs():
        return extremes(Hessian(objective)).value


def compare(model: nn.Module, dataset: Dataset, *, seed: int, batches: int = BATCHES) -> Iterator[dict[str, float]]:
    """For each size: mean over random batches, its standard error, and the sharpness of the whole training set."""
    full = whole(model, dataset)
    for size in BATCH_SIZES:
        found = batch_sharpness(random_batches(model, dataset, batch_size=size, batches=batches, seed=seed))
        yield {"batch_size": size, "sharpness": found.mean, "error": found.error, "whole": full}


def measure(states: Sequence[Path], *, batches: int = BATCHES) -> pd.DataFrame:
    """Columns seed, state (initial or trained), batch_size, sharpness (mean over batches), error, whole."""
    rows = []
    for path in states:
        for label in checkpoint.labels(path):
            if not label.endswith("final"):
                continue
            after = snapshots.read(path, label)
            seed = after.run.seed
            for state, model in (("initial", initial(after)), ("trained", after.model)):
                found = compare(model, after.dataset, seed=seed, batches=batches)
                rows += [{"seed": seed, "state": state, **row} for row in found]
    return pd.DataFrame(rows)
