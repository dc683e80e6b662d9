"""What a build will cost before it starts: updates, and minutes from measured or assumed speed."""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from common.config import DescriptionError, Model, Run, identity, members, run_from_dict, validation_sets
from common.runs.place import FILES

FULL_BATCH = 1024
"""ASSUME: examples in a training set that is used as a whole; the description does not say."""

ASSUMED_GFLOPS = 20.0
"""ASSUME: one core sustains this many GFLOP/s in training a small model, until a run of its kind has been measured."""

FORWARD_SHARE = 1 / 3
"""ASSUME: evaluating a token costs this part of training on it."""

START_SECONDS = 1.0
"""ASSUME: seconds to start one job."""


def work(run: Run) -> float:
    """Tokens (or examples) that all members of a run train on, and those that they evaluate at their share."""
    context = run.data.context or 1
    trained = sum(member.steps for member in members(run)) * (run.batch_size or FULL_BATCH) * context * _batches(run)
    windows = run.data.validation_windows or FULL_BATCH
    evaluations = sum(
        2 + len(run.keep_steps) + member.steps // (run.evaluate_every or member.steps) for member in members(run)
    )
    evaluated = len(set(validation_sets(run).values())) * (1 if run.average is None else 2)
    return trained + FORWARD_SHARE * evaluations * evaluated * windows * context


def _batches(run: Run) -> int:
    """Batches that an update reads: its own, and one of each past task if it heeds them."""
    heeds = run.continual is not None and (run.continual.replay != "none" or run.continual.projection is not None)
    return 1 + len(run.continual.past) if run.continual and heeds else 1


def seconds(run: Run, speed: dict[str, float]) -> float:
    """Estimated seconds of one job: at the measured speed of an equal model if there is one, else 6 FLOP per weight."""
    rate = speed.get(_key(run.model)) or ASSUMED_GFLOPS * 1e9 / (6 * run.model.products + 1)
    return START_SECONDS + work(run) / rate


def measured(results: Path) -> dict[str, float]:
    """Work per second by model, over all runs that are recorded in a results folder."""
    done: dict[str, float] = defaultdict(float)
    spent: dict[str, float] = defaultdict(float)
    for file in sorted(results.glob(f"*/*/{FILES[0]}")):
        record = json.loads(file.read_text(encoding="utf-8"))
        try:
            run = run_from_dict(record["description"])
        except (DescriptionError, TypeError):
            continue  # recorded by a version with other fields; it is trained again anyway
        if record["status"] == "complete" and record["seconds"] > 0:
            done[_key(run.model)] += work(run)
            spent[_key(run.model)] += record["seconds"]
    return {model: done[model] / spent[model] for model in done}


def _key(model: Model) -> str:
    return json.dumps(identity(model), sort_keys=True)


def estimate(runs: Iterable[Run], *, cores: int, results: Path) -> str:
    """One line that says what training these runs will take on so many cores."""
    todo = list(runs)
    speed = measured(results)
    updates = own_updates(todo)
    total = sum(seconds(run, speed) for run in todo)
    known = "from measured speed" if any(_key(run.model) in speed for run in todo) else "a first guess"
    share = max(total / max(cores, 1), max((seconds(run, speed) for run in todo), default=0.0))
    return f"{len(todo)} runs to train, {updates:,} updates: about {share / 60:.1f} min on {cores} cores ({known})"


def own_updates(runs: Iterable[Run]) -> int:
    """Updates that the jobs of these runs make, all members of a sweep together."""
    return sum(member.steps for run in runs for member in members(run))


def saving(runs: Iterable[Run], *, alone: int) -> str:
    """One line that says what shared trunks save.

    Args:
        runs: the runs to train.
        alone: updates behind the ends of all of them, parents included: what they would take one by one from scratch.
    """
    return f"each from scratch would take {alone:,} updates: shared trunks save {1 - own_updates(runs) / alone:.0%}"
