"""Loss of both tasks on the straight line from before a switch to the end of the new task.

Whatever training does in between, the line tells whether the end could have been reached without losing the old task.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from torch import nn

from common.curvature.line import distance, losses_along
from common.data import Dataset
from common.runs import checkpoint, snapshots
from common.runs.snapshots import Trained
from common.training.evaluation import evaluate

SHARES = tuple(i / 20 for i in range(21))
"""Positions on a line, from the weights before the switch to those at the end."""


def finals(path: Path) -> dict[int, Trained]:
    """The last state of each seed of a run."""
    labels = [label for label in checkpoint.labels(path) if label.endswith("final")]
    found = (snapshots.read(path, label) for label in labels)
    return {state.run.seed: state for state in found}


def validation_loss(model: nn.Module, dataset: Dataset) -> float:
    """Mean over the validation set of a task, in nats for classes."""
    return evaluate(model, dataset)["val_loss"]


def above_chord(losses: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Loss at each position minus that of the straight line through the losses at both ends.

    Zero at the ends; negative throughout of a convex loss.

    Args:
        losses: at each position; the first and the last belong to the shares 0 and 1.
        shares: positions from 0 to 1.
    """
    first, last = losses[0], losses[-1]
    return [loss - ((1 - share) * first + share * last) for loss, share in zip(losses, shares, strict=True)]


def measure_line(start: Trained, end: Trained, *, shares: Sequence[float] = SHARES) -> Iterator[dict[str, object]]:
    """Rows of one seed's line: the end's arm and learning rate, seed, length, task, share, loss, above.

    The length is Euclidean. Task 0 is what `start` was trained on and task 1 what `end` was; the loss is the mean over
    that task's validation set in nats, and `above` that minus the loss on the chord (see `above_chord`).
    """
    about = {"arm": end.run.arm, "lr": end.run.lr, "seed": end.run.seed}
    length = distance(start.weights, end.weights)
    for task, dataset in enumerate((start.dataset, end.dataset)):
        of_task = partial(validation_loss, dataset=dataset)
        losses = losses_along(end.model, of_task, start=start.weights, end=end.weights, shares=shares)
        for share, loss, above in zip(shares, losses, above_chord(losses, shares), strict=True):
            yield {**about, "length": length, "task": task, "share": share, "loss": loss, "above": above}


def measure(starts: Sequence[Path], ends: Sequence[Path], *, shares: Sequence[float] = SHARES) -> pd.DataFrame:
    """The lines of all seeds of several runs: columns as in `measure_line`.

    Args:
        starts: states of runs on the first task; each is the parent of one of `ends`.
        ends: states of runs on the second task.
        shares: positions on each line, from 0 to 1.
    Raises: LookupError if the parent of one of `ends` is not among `starts`, or lacks a seed.
    """
    parents = {path.parent.name: path for path in starts}
    rows: list[dict[str, object]] = []
    for path in ends:
        children = finals(path)
        parent = next(iter(children.values())).run.parent
        if parent not in parents:
            raise LookupError(f"{path.parent.name} continues {parent!r}, which is not in {sorted(parents)}: add it")
        before = finals(parents[parent])
        if lonely := children.keys() - before.keys():
            raise LookupError(f"{parent} has no seed {min(lonely)} of {path.parent.name}: train both with equal seeds")
        rows += [row for seed, end in children.items() for row in measure_line(before[seed], end, shares=shares)]
    return pd.DataFrame(rows)
