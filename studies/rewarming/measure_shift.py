"""Divergence of old and new text, differences of cross-entropies, and realised shares of replay.

The Jensen-Shannon divergence is that of pairs of neighbouring bytes, the mean of D(p | m) and D(q | m) with
m = (p + q)/2, in nats: 0 for equal texts, log 2 for texts without a common pair. The difference of cross-entropies is
the loss on the new text of a model of the old one, minus that of a model of the new one with as many updates. For
exchanged characters that model needs no training: it is the base with its characters exchanged.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common import data
from common.config import Data, Mixture, Run
from common.data import mixture

CORPORA = Path("results/data")
"""Where the workflow builds the byte corpora, seen from the folder in which it runs."""
WINDOWS = 32768
"""Training windows of each text whose bytes are counted, two million bytes."""
BYTES = 256

Row = dict[str, str | int | float | None]


def bigrams(windows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shares of the pairs of neighbouring bytes, float64 (65536,), of windows (count, bytes)."""
    pairs = windows[:, :-1] * BYTES + windows[:, 1:]
    counts = np.bincount(pairs.ravel(), minlength=BYTES**2)
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares


def divergence(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Jensen-Shannon divergence of two distributions, in nats, from 0 to log 2 (Lin 1991)."""
    middle = (first + second) / 2

    def relative(shares: NDArray[np.float64]) -> float:
        some = shares > 0
        return float(shares[some] @ np.log(shares[some] / middle[some]))

    return (relative(first) + relative(second)) / 2


def text_of(description: Data, *, corpora: Path) -> NDArray[np.int64]:
    """The first training windows in the order of seed 0, int64 (count, context)."""
    dataset = data.load(description, corpora=corpora)
    found: NDArray[np.int64] = dataset.batch(seed=0, position=0, count=min(WINDOWS, dataset.size)).inputs.numpy()
    return found


def replayed(run: Run, *, corpora: Path) -> float:
    """Share of the run's training windows that are old text, counted by place."""
    dataset = data.load(run.data, corpora=corpora)
    if not isinstance(dataset, mixture.Mixture):
        return 0.0
    seen = run.steps * (run.batch_size or 0)
    return int(dataset.behind(np.array([seen]))[0]) / seen


def divergences(runs: dict[str, Run], *, corpora: Path) -> Iterator[Row]:
    """Divergence of old and new text of each shift, and of the old text from other windows of itself."""
    for arm, run in runs.items():
        shift, _, kind = arm.partition("_")
        if kind == "rewarm" and run.watched and "new" in run.watched:
            old, new = (bigrams(text_of(run.watched[word], corpora=corpora)) for word in ("old", "new"))
            yield {"shift": shift, "quantity": "divergence", "value": divergence(old, new)}
        elif kind == "rewarm":
            halves = np.array_split(text_of(run.data, corpora=corpora), 2)
            yield {"shift": shift, "quantity": "divergence", "value": divergence(*map(bigrams, halves))}


def cross_entropies(runs: pd.DataFrame) -> Iterator[Row]:
    """Loss on the new text of models of the old text minus that of models of the new text, by seed."""
    ends = runs.sort_values("step").groupby(["arm", "seed"]).tail(1).set_index(["arm", "seed"])
    starts = runs.sort_values("step").groupby(["arm", "seed"]).head(1).set_index(["arm", "seed"])
    for arm, seed in ends.index:
        shift, _, kind = str(arm).partition("_")
        about: Row = {"shift": shift, "quantity": "cross_entropy", "seed": int(seed)}
        if kind == "only_old":
            own = ends.val_loss_new[f"{shift}_only_new", seed]
            yield {**about, "value": float(ends.val_loss_new[arm, seed] - own)}
        elif kind == "rewarm" and shift in ("quarter", "permuted"):
            before = starts.loc[[(arm, seed)]]
            yield {**about, "value": float((before.val_loss_new - before.val_loss_old).iloc[0])}


def measure(runs: pd.DataFrame, records: dict[str, Run]) -> pd.DataFrame:
    """Columns shift, quantity (divergence, cross_entropy, replayed), kind (of the run that replays), seed, value."""
    by_arm = {str(run.arm): run for run in records.values()}
    rows = [*divergences(by_arm, corpora=CORPORA), *cross_entropies(runs[runs.val_loss.notna()])]
    for arm, run in by_arm.items():
        shift, _, kind = arm.partition("_")
        if isinstance(run.data, Mixture):
            rows.append({"shift": shift, "quantity": "replayed", "kind": kind, "value": replayed(run, corpora=CORPORA)})
    columns = ["shift", "quantity", "kind", "seed", "value"]
    found = pd.DataFrame(rows, columns=columns).astype({"seed": "Int64"})
    return found.sort_values(columns[:-1], kind="stable", ignore_index=True)
