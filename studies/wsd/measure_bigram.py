"""Excess loss of the transformer on the bigram language, by kind of context, at each kept state."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from common import checkpoint, trained
from common.evaluation import token_losses
from common.trained import Trained


def states(path: Path) -> Iterator[Trained]:
    """Every kept state of a run in order; before those of a decay the one that it continues."""
    last = trained.read(path)
    if last.run.parent:
        parent = path.parent.parent / last.run.parent / path.name
        yield trained.read(parent, str(last.run.parent_step), dataset=last.dataset)
    kept = (int(label) for label in checkpoint.labels(path) if label != "final")
    yield from (trained.read(path, str(step), dataset=last.dataset) for step in sorted(kept))
    yield last


def excess(model: Trained) -> dict[str, float]:
    """Excess over the entropy of the language in nats per token, in parts that add up: certain and uncertain tokens.

    Targets at even positions are certain, those between have the entropy log(successors).
    """
    losses = token_losses(model.model, model.dataset).double()
    uncertain = losses[:, 1::2] - math.log(model.run.data.successors or 1)
    return {
        "certain": float(losses[:, 0::2].sum()) / losses.numel(),
        "uncertain": float(uncertain.sum()) / losses.numel(),
    }


def measure(paths: Sequence[Path]) -> pd.DataFrame:
    """Columns arm, lr, seed, step (updates behind the state), certain, uncertain."""
    rows = []
    for path in paths:
        run = trained.read(path).run
        about = {"arm": run.arm, "lr": run.lr, "seed": run.seed}
        rows += [{**about, "step": model.state.step, **excess(model)} for model in states(path)]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    measure([Path(path) for path in snakemake.input]).to_csv(snakemake.output[0], index=False, lineterminator="\n")
