"""What a build will cost before it starts: updates, and minutes from measured or assumed speed (layer 0)."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.config import Model, Run, members, to_dict

FULL_BATCH = 1024
"""ASSUME: examples in a training set that is used as a whole; the description does not say."""

ASSUMED_GFLOPS = 30.0
"""ASSUME: one core sustains this many GFLOP/s in training a small model, until a run of its kind has been measured."""

START_SECONDS = 2.5
"""ASSUME: seconds to start one job (interpreter and torch)."""


def parameters(model: Model) -> int:
    """Weights in the matrices of the blocks; what the cost of a token follows."""
    per_block = (4 + 2 * (model.expansion or 4)) if model.kind == "transformer" else 1
    return model.depth * per_block * model.width**2


def tokens(run: Run) -> int:
    """Examples, times the length of a window for text, that all members of a run train on."""
    each = (run.batch_size or FULL_BATCH) * (run.data.context or 1)
    return sum(member.steps * each for member in members(run))


def seconds(run: Run, speed: dict[str, float]) -> float:
    """Estimated seconds of one job: measured tokens/s of an equal model if there is one, else 6 FLOP per weight."""
    rate = speed.get(_key(to_dict(run.model))) or ASSUMED_GFLOPS * 1e9 / (6 * parameters(run.model) + 1)
    return START_SECONDS + tokens(run) / rate


def measured(results: Path) -> dict[str, float]:
    """Tokens per second by model, from the runs that are recorded in a results folder."""
    records = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(results.glob("*/*/run.json"))]
    timed = [record for record in records if record.get("tokens_per_second")]
    return {_key(record["description"]["model"]): record["tokens_per_second"] for record in timed}


def _key(model: dict[str, Any]) -> str:
    return json.dumps(model, sort_keys=True)


def estimate(runs: Iterable[Run], *, cores: int, results: Path) -> str:
    """One line that says what training these runs will take on so many cores."""
    todo = list(runs)
    speed = measured(results)
    updates = sum(member.steps for run in todo for member in members(run))
    total = sum(seconds(run, speed) for run in todo)
    known = "from measured speed" if any(_key(to_dict(run.model)) in speed for run in todo) else "a first guess"
    share = max(total / max(cores, 1), max((seconds(run, speed) for run in todo), default=0.0))
    return f"{len(todo)} runs to train, {updates:,} updates: about {share / 60:.1f} min on {cores} cores ({known})"
