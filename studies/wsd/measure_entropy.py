"""Fall of the loss in the stable phase and in the decay, by the entropy of the next byte.

After Wen et al. 2024. How uncertain a byte is, a strong model of the text says that is no network: one that counts
what follows up to six bytes in the training text (see `ngram`).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from common.data import Dataset
from common.runs.snapshots import Trained
from common.training.evaluation import token_losses
from studies.wsd.ngram import NGram
from studies.wsd.states import at, branches

ORDER = 6
"""Longest context of the n-gram model, in bytes."""
WINDOWS = 150_000
"""Training windows that it has counted."""

BUCKETS = 12
"""Equal shares of the validation bytes, from the most certain to the most uncertain."""


def buckets_of(entropies: np.ndarray) -> np.ndarray:
    """Bucket of each position by the rank of its entropy, int64 of the same shape; equal sizes up to one."""
    ranks = np.empty(entropies.size, dtype=np.int64)
    ranks[np.argsort(entropies, axis=None, kind="stable")] = np.arange(entropies.size)
    return (ranks * BUCKETS // entropies.size).reshape(entropies.shape)


def gains(before: Trained, after: Trained, *, entropies: np.ndarray) -> pd.DataFrame:
    """Fall of the loss from one checkpoint to another: columns bucket, entropy (mean, nats), gain.

    Gains are parts of the fall of the mean loss, in nats/byte; they add up to it.
    """
    fall = token_losses(before.model, before.dataset) - token_losses(after.model, after.dataset)
    table = pd.DataFrame(
        {
            "bucket": buckets_of(entropies).ravel(),
            "entropy": entropies.ravel(),
            "gain": fall.double().numpy().ravel() / fall.numel(),
        }
    )
    return table.groupby("bucket", as_index=False).agg({"entropy": "mean", "gain": "sum"})


def reference(dataset: Dataset, *, windows: int) -> np.ndarray:
    """Entropy before each validation target by an n-gram model of the training text, float64 (windows, context)."""
    batch = dataset.batch(seed=0, position=0, count=windows)
    model = NGram(_whole(batch.inputs.numpy(), batch.targets.numpy()), order=ORDER)
    parts = [_whole(part.inputs.numpy(), part.targets.numpy()) for part in dataset.validation(chunk=len(batch.inputs))]
    return model.entropies(np.concatenate(parts))


def _whole(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Windows with their last byte."""
    return np.concatenate([inputs, targets[:, -1:]], axis=1)


def measure(trunks: Sequence[Path], decays: Sequence[Path], windows: int = WINDOWS) -> pd.DataFrame:
    """Gains by entropy: columns seed, phase, start, end, bucket, entropy, gain.

    Phases: `stable` is the constant phase between the branch points of the last two budgets, `decay` the decay of the
    last budget.

    Args:
        trunks: states of the constant run of one peak, a sweep over seeds.
        decays: states of the runs that branch off it.
        windows: of the training text that the n-gram model counts.
    """
    [trunk] = trunks
    dataset = next(iter(at(trunk).values())).dataset
    entropies = reference(dataset, windows=windows)
    tables = []
    for seed, pairs in branches(trunk, decays, dataset=dataset).items():
        (earlier, _), (later, end) = pairs[-2:]
        for phase, before, after in (("stable", earlier, later), ("decay", later, end)):
            about: dict[str, int | str] = {
                "seed": seed,
                "phase": phase,
                "start": before.state.step,
                "end": after.state.step,
            }
            tables.append(gains(before, after, entropies=entropies).assign(**about))
    columns = ["seed", "phase", "start", "end", "bucket", "entropy", "gain"]
    return pd.concat(tables, ignore_index=True)[columns]
