"""Loss along straight lines between checkpoints of the constant phase, their decayed children, and decayed ones."""

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd

from common import data, trained
from common.curvature.line import distance, losses_along
from common.data import Dataset
from common.data.text import VALIDATION_WINDOWS
from common.evaluation import evaluate
from common.trained import Trained

SHARES = tuple(i / 10 for i in range(11))
"""Positions on a line, from its start to its end."""


def probe_set(trunk: Path) -> Dataset:
    """Half as many validation windows as the training used; the same for every line."""
    whole = trained.read(trunk).run.data
    half = dataclasses.replace(whole, validation_windows=(whole.validation_windows or VALIDATION_WINDOWS) // 2)
    return data.load(half, corpora=trunk.parent.parent.parent / "data")


def lines(trunk: Path, decays: Sequence[Path], dataset: Dataset) -> Iterator[tuple[str, Trained, Trained]]:
    """Kind, start and end of each line of one seed.

    `stable` joins branch points that follow each other, and the last one with the end of the trunk; `decay` joins a
    branch point with the end of its decay; `decayed` joins the ends of decays that follow each other.
    """
    ends = sorted((trained.read(path, dataset=dataset) for path in decays), key=lambda end: end.state.step)
    branches = [trained.read(trunk, str(end.run.parent_step), dataset=dataset) for end in ends]
    stable = [*branches, trained.read(trunk, dataset=dataset)]
    yield from (("stable", *pair) for pair in list(pairwise(stable))[1:])
    yield from (("decay", *pair) for pair in list(zip(branches, ends, strict=True))[1:])
    yield from (("decayed", *pair) for pair in pairwise(ends))


def measure_line(kind: str, start: Trained, end: Trained) -> list[dict[str, object]]:
    """Rows of one line: updates behind its start and end, their Euclidean distance, share, loss in nats/byte."""
    losses = losses_along(
        start.model,
        lambda model: evaluate(model, start.dataset)["val_loss"],
        start=start.weights,
        end=end.weights,
        shares=SHARES,
    )
    about = {"seed": start.run.seed, "kind": kind, "start": start.state.step, "end": end.state.step}
    length = distance(start.weights, end.weights)
    return [
        {**about, "distance": length, "share": share, "loss": loss} for share, loss in zip(SHARES, losses, strict=True)
    ]


def measure(trunks: Sequence[Path], decays: Sequence[Path]) -> pd.DataFrame:
    """Every line of every seed: columns seed, kind, start, end, distance, share, loss.

    Args:
        trunks: states of constant runs of one peak, one for each seed.
        decays: states of the runs that branch off them.
    """
    dataset = probe_set(trunks[0])
    children = [(path, trained.read(path, dataset=dataset).run) for path in decays]
    rows = []
    for trunk in trunks:
        seed = trained.read(trunk, dataset=dataset).run.seed
        for line in lines(trunk, [path for path, run in children if run.seed == seed], dataset):
            rows += measure_line(*line)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    table = measure([Path(path) for path in snakemake.input.trunks], [Path(path) for path in snakemake.input.decays])
    table.to_csv(snakemake.output[0], index=False, lineterminator="\n")
