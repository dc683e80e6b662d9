"""Fall of the loss in the stable phase and in the decay, by the entropy of the next byte.

After Wen et al. 2024.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from common.runs.snapshots import Trained
from common.training.evaluation import token_entropies, token_losses
from studies.wsd.states import at, branches

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


def measure(trunks: Sequence[Path], decays: Sequence[Path]) -> pd.DataFrame:
    """Gains by entropy: columns seed, phase, start, end, bucket, entropy, gain.

    Phases: `stable` is the constant phase between the branch points of the last two budgets, `decay` the decay of the
    last budget. The entropy is that which the decayed model of the next seed predicts, so that no model sorts the
    positions on which itself is measured.

    Args:
        trunks: states of the constant run of one peak, a sweep over seeds.
        decays: states of the runs that branch off it.
    """
    [trunk] = trunks
    dataset = next(iter(at(trunk).values())).dataset
    by_seed = branches(trunk, decays, dataset=dataset)
    seeds = sorted(by_seed)
    tables = []
    for seed, following in zip(seeds, [*seeds[1:], seeds[0]], strict=True):
        _, reference = by_seed[following][-1]
        entropies = token_entropies(reference.model, dataset).double().numpy()
        (earlier, _), (later, end) = by_seed[seed][-2:]
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
