"""Kept states of runs that are sweeps over seeds."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from common.data import Dataset
from common.runs import checkpoint, snapshots
from common.runs.snapshots import Trained


def at(path: Path, step: int | None = None, *, dataset: Dataset | None = None) -> dict[int, Trained]:
    """The state of each seed of a run at one of the steps that it kept, or at its end.

    Args:
        path: state.safetensors of the run.
        step: update of the run; its end if left out.
        dataset: what the states are measured on; the run's own data if left out.
    """
    name = "final" if step is None else str(step)
    found = {}
    for label in checkpoint.labels(path):
        if label.rpartition("/")[2] == name:
            state = snapshots.read(path, label, dataset=dataset)
            found[state.run.seed], dataset = state, state.dataset
    return found


def kept_steps(path: Path) -> list[int]:
    """Updates of a run at which it kept its states, besides its end."""
    names = {label.rpartition("/")[2] for label in checkpoint.labels(path)}
    return sorted(int(name) for name in names - {"final"})


def branches(trunk: Path, decays: Sequence[Path], *, dataset: Dataset) -> dict[int, list[tuple[Trained, Trained]]]:
    """The state of a trunk that each decay continues, and the decay's end, by seed of all decays: the earliest first.

    Args:
        trunk: states of the constant run.
        decays: states of the runs that continue its kept states.
        dataset: what the states are measured on.
    """
    found = defaultdict(list)
    for path in decays:
        ends = at(path, dataset=dataset)
        starts = at(trunk, next(iter(ends.values())).run.parent_step, dataset=dataset)
        for seed, end in ends.items():
            found[seed].append((starts[seed], end))
    whole = {seed: pairs for seed, pairs in found.items() if len(pairs) == len(decays)}
    return {seed: sorted(pairs, key=lambda pair: pair[1].state.step) for seed, pairs in whole.items()}
