"""Excess loss of the transformer on bigrams by kind of context, at each kept state."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from common.config import Bigram
from common.runs.place import Place
from common.runs.snapshots import Trained
from common.training.evaluation import token_losses
from studies.wsd.states import at, kept_steps


def kept_states(path: Path) -> dict[int, list[Trained]]:
    """Every kept state of a run in order, by seed; before those of a decay the one that it continues."""
    ends, place = at(path), Place.of(path)
    last = next(iter(ends.values()))
    found = [at(path, step, dataset=last.dataset) for step in kept_steps(path)]
    if last.run.parent:
        parent = Place.named(last.run.parent, study=place.study, results=place.results)
        found.insert(0, at(parent.state, last.run.parent_step, dataset=last.dataset))
    return {seed: [*(states[seed] for states in found), end] for seed, end in ends.items()}


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
        for seed, models in kept_states(path).items():
            about = {"arm": models[-1].run.arm, "lr": models[-1].run.lr, "seed": seed}
            rows += [{**about, "step": model.state.step, **excess(model)} for model in models]
    return pd.DataFrame(rows)
