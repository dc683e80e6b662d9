"""Hills and river, measured: the sharpest directions of the loss along the constant phase and after its decays.

At each branch point of the headline peak, at the end of the trunk and at the end of each decay: the largest eigenvalues
of the Hessian of the training loss on a few windows; what share of the gradient, taken on other windows, lies along
their eigenvectors; and what share of the way from a branch point to the end of its decay. From the last branch point
and the last decayed state also the loss along the sharpest direction and along the river, which here is the way from
the decayed state before to the last one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from common import data
from common.config import run_from_dict
from common.curvature.lanczos import Pairs, extremes
from common.curvature.objective import Objective, Vector
from common.curvature.operators import Hessian
from common.runs import records
from common.runs.place import Place
from common.runs.snapshots import Trained
from studies.wsd.states import at, branches

TOP = 10
"""Largest eigenvalues measured."""
WINDOWS = 64
"""Training windows whose loss has the Hessian."""
GRADIENT_WINDOWS = 1024
"""Validation windows whose loss has the gradient, and along lines the loss."""
CHUNK = 64
"""Windows in one forward pass."""
TOLERANCE = 0.03
REACH = tuple(i / 4 for i in range(-4, 5))
"""Places on a line, in lengths of the way into the last decay."""


@dataclass(frozen=True)
class Point:
    """A state in the landscape."""

    phase: str
    """`stable` or `decayed`."""
    after: Trained
    way: Vector | None = None
    """From here to the end of its decay, for a branch point."""

    def about(self, kind: str) -> dict[str, object]:
        """What its rows of a kind begin with."""
        return {"kind": kind, "seed": self.after.run.seed, "phase": self.phase, "step": self.after.state.step}


def flat(after: Trained) -> Vector:
    """The weights as one vector."""
    return Objective.of_dataset(after.model, after.dataset, examples=1, part="validation").weights()


def points(pairs: Sequence[tuple[Trained, Trained]], last: Trained) -> Iterator[Point]:
    """The states of one seed: branch points, the end of the trunk, ends of decays."""
    for branch, end in pairs:
        yield Point("stable", branch, flat(end) - flat(branch))
        yield Point("decayed", end)
    yield Point("stable", last)


def share_within(vectors: np.ndarray, vector: Vector) -> Vector:
    """Share of a vector's squared length along the first 1, 2, ... of some orthonormal columns.

    >>> share_within(np.eye(3)[:, :2], np.array([3.0, 0.0, 4.0])).tolist()
    [0.36, 0.36]
    """
    return np.cumsum((vectors.T @ vector) ** 2) / (vector @ vector)


def sharpest(after: Trained, *, windows: int) -> Pairs:
    """The largest eigenvalues with their vectors; the same windows for all states."""
    objective = Objective.of_dataset(after.model, after.dataset, examples=windows, chunk=CHUNK)
    with objective.cached_graphs(chunks=-(-windows // CHUNK)):
        found = extremes(Hessian(objective), largest=TOP, basis=3 * TOP, tolerance=TOLERANCE, seed=after.run.seed)
    return found.largest


def measure_point(point: Point, pairs: Pairs, smooth: Objective) -> list[dict[str, object]]:
    """Rows of one state, by rank of the eigenvalue."""
    gradient = smooth.gradient()
    along = share_within(pairs.vectors, gradient)
    way = share_within(pairs.vectors, point.way) if point.way is not None else np.full(TOP, np.nan)
    return [
        {**point.about("share"), "rank": rank, "eigenvalue": value, "gradient": part, "way": of_way}
        for rank, (value, part, of_way) in enumerate(zip(pairs.values, along, way, strict=True), start=1)
    ]


def measure_line(
    point: Point, smooth: Objective, direction: Vector, name: str, length: float
) -> list[dict[str, object]]:
    """Rows of a line through a state: how far, in units of `length`, and the loss there."""
    start, unit = smooth.weights(), direction / np.linalg.norm(direction)
    return [
        {
            **point.about("line"),
            "direction": name,
            "distance": reach,
            "loss": smooth.loss(start + reach * length * unit),
        }
        for reach in REACH
    ]


def measure_seed(
    pairs: Sequence[tuple[Trained, Trained]], last: Trained, *, windows: int, gradient_windows: int
) -> list[dict[str, object]]:
    """All rows of one seed."""
    (_, before), (branch, end) = pairs[-2:]
    river, length = flat(end) - flat(before), float(np.linalg.norm(flat(end) - flat(branch)))
    rows = []
    for point in points(pairs, last):
        after, found = point.after, sharpest(point.after, windows=windows)
        smooth = Objective.of_dataset(
            after.model, after.dataset, examples=gradient_windows, part="validation", chunk=CHUNK
        )
        rows += measure_point(point, found, smooth)
        if after is branch or after is end:
            rows += measure_line(point, smooth, found.vectors[:, 0], "hill", length)
            rows += measure_line(point, smooth, river, "river", length)
    return rows


def measure(
    trunks: Sequence[Path], decays: Sequence[Path], *, windows: int = WINDOWS, gradient_windows: int = GRADIENT_WINDOWS
) -> pd.DataFrame:
    """Rows of kind `share`: seed, phase, step, rank, eigenvalue, gradient and way (shares within the first ranks).

    And of kind `line`: seed, phase, step, direction (`hill` or `river`), distance (1: as far as the last decay goes),
    loss in nats/byte.

    Args:
        trunks: states of the constant run of one peak, a sweep over seeds.
        decays: states of the runs that branch off it.
        windows: of the training data, for the Hessian.
        gradient_windows: of the validation set, for gradients and losses.
    """
    [trunk] = trunks
    description = run_from_dict(records.read_record(trunk)["description"]).data
    dataset = data.load(description, corpora=Place.of(trunk).corpora)
    lasts = at(trunk, dataset=dataset)
    rows = []
    for seed, pairs in branches(trunk, decays, dataset=dataset).items():
        rows += measure_seed(pairs, lasts[seed], windows=windows, gradient_windows=gradient_windows)
    return pd.DataFrame(rows)
