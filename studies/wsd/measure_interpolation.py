"""Loss along straight lines between checkpoints of the headline peak.

Between those of the constant phase, from these to their decayed children, and between decayed ones.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd

from common import data
from common.config import Corpus, Files, run_from_dict
from common.curvature.line import distance, losses_along
from common.data import Dataset
from common.runs import records
from common.runs.place import Place
from common.runs.snapshots import Trained
from common.training.evaluation import evaluate
from studies.wsd.states import at, branches

SHARES = tuple(i / 10 for i in range(11))
"""Positions on a line, from its start to its end."""


def probe_set(trunk: Path) -> Dataset:
    """Half as many validation windows as the training used; the same for every line."""
    whole = run_from_dict(records.read_record(trunk)["description"]).data
    assert isinstance(whole, Corpus | Files)
    half = dataclasses.replace(whole, validation_windows=whole.validation_windows // 2)
    return data.load(half, corpora=Place.of(trunk).corpora)


def lines(decays: Sequence[tuple[Trained, Trained]], last: Trained) -> Iterator[tuple[str, Trained, Trained]]:
    """Kind, start and end of each line of one seed.

    `stable` joins branch points that follow each other, and the last one with the end of the trunk; `decay` joins a
    branch point with the end of its decay; `decayed` joins the ends of decays that follow each other.

    Args:
        decays: branch point and end of each decay, the earliest first.
        last: end of the trunk.
    """
    stable = [*(branch for branch, _ in decays), last]
    yield from (("stable", *pair) for pair in list(pairwise(stable))[1:])
    yield from (("decay", *pair) for pair in decays[1:])
    yield from (("decayed", *pair) for pair in pairwise(end for _, end in decays))


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
        trunks: states of the constant run of one peak, a sweep over seeds.
        decays: states of the runs that branch off it.
    """
    [trunk] = trunks
    dataset = probe_set(trunk)
    lasts, by_seed = at(trunk, dataset=dataset), branches(trunk, decays, dataset=dataset)
    rows = []
    for seed, pairs in by_seed.items():
        for line in lines(pairs, lasts[seed]):
            rows += measure_line(*line)
    return pd.DataFrame(rows)
