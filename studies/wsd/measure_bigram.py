"""Excess loss of the transformer on bigrams by kind of context, at each kept state."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from common.config import Bigram
from common.runs import checkpoint, snapshots
from common.runs.place import Place
from common.runs.snapshots import Trained
from common.training.evaluation import token_losses


def kept_states(path: Path) -> Iterator[Trained]:
    """Every kept state of a run in order; before those of a decay the one that it continues."""
    last, place = snapshots.read(path), Place.of(path)
    if last.run.parent:
        parent = Place.named(last.run.parent, study=place.study, results=place.results)
        yield snapshots.read(parent.state, str(last.run.parent_step), dataset=last.dataset)
    kept = (int(label) for label in checkpoint.labels(path) if label != "final")
    yield from (snapshots.read(path, str(step), dataset=last.dataset) for step in sorted(kept))
    yield last


def excess(model: Trained) -> dict[str, float]:
    """Excess over the entropy of the language in nats per token, in parts that add up: certain and uncertain tokens.

    Targets at even positions are certain, those between have the entropy log(successors).
    """
    data = model.run.data
    assert isinstance(data, Bigram)
    losses = token_losses(model.model, model.dataset).double()
    uncertain = losses[:, 1::2] - math.log(data.successors)
    return {
        "certain": float(losses[:, 0::2].sum()) / losses.numel(),
        "uncertain": float(uncertain.sum()) / losses.numel(),
    }


def measure(states: Sequence[Path]) -> pd.DataFrame:
    """Columns arm, lr, seed, step (updates behind the state), certain, uncertain."""
    rows = []
    for path in states:
        run = snapshots.read(path).run
        about = {"arm": run.arm, "lr": run.lr, "seed": run.seed}
        rows += [{**about, "step": model.state.step, **excess(model)} for model in kept_states(path)]
    return pd.DataFrame(rows)
