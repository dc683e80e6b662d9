"""What a build will cost before it starts: updates, minutes, and how these were found.

The seconds of a pass follow from what the blocks of a network do (`config.Work`), at the speed of one core of the
machine of benchmarks/README.md. Runs that are recorded in the results folder say how much faster or slower this machine
is, for their own model first, else on the whole.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common.config import Data, DescriptionError, Model, Run, identity, members, run_from_dict, validation_sets
from common.runs import identity as identities
from common.runs.place import FILES

CALL_SECONDS = 1.4e-4
"""ASSUME: a weight matrix costs this in a forward and backward pass and its update, however small it is."""
MEMBER_SECONDS = 0.5e-4
"""ASSUME: the same for each further member that trains side by side."""
ACTIVATION_SECONDS = 4.3e-9
"""ASSUME: reading and writing a number between two operations, forward and backward."""
PRODUCTS_PER_SECOND = 130e9 / 2
"""ASSUME: multiplications with additions that one core sustains."""
FORWARD = 1 / 3
"""ASSUME: a forward pass costs this part of one with its backward pass."""
TRAIN_EXAMPLES, VALIDATION_EXAMPLES = 1024, 360
"""ASSUME: examples of a set that is used as a whole, where the description does not say."""
CHUNK, LARGE_CHUNK = 32, 1024
"""Examples that are evaluated in one pass (see common/training/evaluation.py)."""
START_SECONDS = 1.0
"""ASSUME: seconds to start one job."""

JOB_MB, BUILD_MB = 450.0, 1000.0
"""ASSUME: largest resident set of a job until one is recorded; of Snakemake, the servers and the mirror together."""

Speed = dict[str, float]
"""Seconds that were measured over those expected, by model; of all runs together under the empty name."""


def _pass(model: Model, examples: float, *, passes: float = 1, stacked: int = 1) -> float:
    """Seconds of forward and backward passes through a network, each with a part of the examples (tokens, for text)."""
    work = model.work
    calls = work.matrices * passes * (CALL_SECONDS + (stacked - 1) * MEMBER_SECONDS)
    each = work.activations * ACTIVATION_SECONDS + 3 * work.products / PRODUCTS_PER_SECOND
    return calls + stacked * examples * each


def updates(run: Run) -> float:
    """Seconds that all members of a run are expected to spend on their updates."""
    batches = _batches(run)
    examples = (run.batch_size or _train_examples(run.data)) * (run.data.context or 1) * batches
    each = members(run)
    if run.stacked:
        return run.steps * _pass(run.model, examples, passes=batches, stacked=len(each))
    return sum(member.steps for member in each) * _pass(run.model, examples, passes=batches)


def evaluations(run: Run) -> float:
    """The same for their evaluations."""
    return sum(_evaluations(member) for member in members(run))


def probes(run: Run) -> float:
    """The same for their probes."""
    return sum(_probes(member) for member in members(run))


def _batches(run: Run) -> int:
    """Batches that an update reads: its own, and one of each past task if it heeds them."""
    heeds = run.continual is not None and (run.continual.replay != "none" or run.continual.projection is not None)
    return 1 + len(run.continual.past) if run.continual and heeds else 1


def _train_examples(data: Data) -> int:
    return getattr(data, "samples", None) or TRAIN_EXAMPLES


def _evaluations(run: Run) -> float:
    between = run.steps // run.evaluate_every if run.evaluate_every else 1
    marked = int(run.parent is None) + len(run.keep_steps) + 1  # what the parent has evaluated is taken over
    curve = marked + between - 1
    if run.curve_examples is None:
        return curve * _evaluation(run)
    return marked * _evaluation(run) + curve * _evaluation(run, examples=run.curve_examples)


def _evaluation(run: Run, examples: int | None = None) -> float:
    """Seconds of one evaluation, of all sets or their first examples."""
    sets = list(set(validation_sets(run).values())) * (1 if run.average is None else 2)
    chunk = LARGE_CHUNK if run.watched and run.data.context is None else CHUNK
    total = 0.0
    for data in sets:
        count = data.validation_windows or VALIDATION_EXAMPLES
        count = min(count, examples or count)
        total += FORWARD * _pass(run.model, count * (data.context or 1), passes=max(1, count / chunk))
    return total


def _probes(run: Run) -> float:
    total = 0.0
    for probe in run.probes:
        times = len(probe.steps) if probe.steps is not None else run.steps // (probe.every or run.steps) + 1
        read = (getattr(probe, "examples", None) or _train_examples(run.data)) * (run.data.context or 1)
        total += times * probe.gradients * _pass(run.model, read)
    return total


def expected(run: Run) -> float:
    """Seconds of one job without its start, on the machine that the constants are from."""
    return updates(run) + evaluations(run) + probes(run)


def seconds(run: Run, speed: Speed) -> float:
    """Seconds of one job on this machine, as far as its speed is known."""
    return START_SECONDS + expected(run) * speed.get(key(run.model), speed.get("", 1.0))


def measured(results: Path) -> Speed:
    """Measured over expected seconds, from all complete runs that are recorded in a results folder."""
    spent: dict[str, float] = defaultdict(float)
    guessed: dict[str, float] = defaultdict(float)
    for run, record in recorded(results):
        for name in (key(run.model), ""):
            spent[name] += record["seconds"]
            guessed[name] += expected(run)
    return {name: spent[name] / guessed[name] for name in spent}


def recorded(results: Path) -> Iterator[tuple[Run, dict[str, Any]]]:
    """Complete runs of a results folder with what their records say."""
    for file in sorted(results.glob(f"*/*/{FILES[0]}")):
        record = identities.read(file) or {}
        try:
            run = run_from_dict(record["description"])
        except (DescriptionError, TypeError, KeyError):
            continue  # damaged, or recorded by a version with other fields; it is trained again anyway
        if record["status"] == "complete" and record["seconds"] > 0:
            yield run, record


def key(model: Model) -> str:
    """What tells a model from others in `Speed`."""
    return json.dumps(identity(model), sort_keys=True)


def estimate(runs: Iterable[Run], *, cores: int, results: Path) -> str:
    """One line that says what training these runs will take on so many cores."""
    todo = list(runs)
    speed = measured(results)
    return priced([seconds(run, speed) for run in todo], own_updates(todo), cores=cores, known=bool(speed))


def priced(each: Sequence[float], updates: int, *, cores: int, known: bool) -> str:
    """One line that says what jobs of so many seconds and so many updates in all will take on so many cores.

    Args:
        each: seconds of each job.
        updates: those of all of them.
        cores: so many jobs run at once.
        known: whether the speed of this machine was measured.
    """
    count = f"{len(each)} run{'s' * (len(each) != 1)} to train, {updates:,} updates"
    how = "from measured speed" if known else "a first guess"
    return f"{count}: about {shared(each, cores=cores) / 60:.1f} min on {cores} core{'s' * (cores != 1)} ({how})"


def shared(each: Sequence[float], *, cores: int) -> float:
    """Seconds that jobs of so many seconds each take on so many cores."""
    return max(sum(each) / max(cores, 1), max(each, default=0.0))


def memory(runs: Sequence[Run], *, cores: int, results: Path) -> str:
    """One line that says what a build of these runs needs in memory, from what the jobs before it needed."""
    needed = [float(record["memory_mb"]) for _, record in recorded(results) if record.get("memory_mb")]
    job = max(needed, default=JOB_MB)
    total = BUILD_MB + job * min(cores, len(runs))
    known = "measured" if needed else "a first guess"
    return f"memory: about {job:.0f} MB for the largest job, {total / 1000:.1f} GB for the build ({known})"


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
