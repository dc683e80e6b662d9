"""The sizes at which the whole graph can run. A profile picks one by `config: scale=...`.

A scale maps the runs of all studies, by their full names `study/run`, to those that are trained. It is told which of
them belong to large rungs of a ladder.
"""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Set
from typing import Any

from common.config import Continual, Data, Mixture, Model, Run, Schedule, full_name
from common.config.description import collecting, problems

SMOKE_SEEDS = 2
SMOKE_FACTORS = (10, 5, 2, 1)
"""By how much durations shrink: the first of these at which every rule still holds."""
LADDER_FACTORS = (40, *SMOKE_FACTORS)
"""The same where runs belong to rungs, which are many."""
SMOKE_EXAMPLES = 16
"""Most windows of a validation set."""
SMOKE_SAMPLES = 1024
"""Most training windows of a text; a quarter of what a run uses may still be more than a smoke corpus has."""

NO_PARENT: dict[str, Any] = {"parent": None, "parent_step": None, "reset": ()}

Runs = dict[str, Run]


def default(runs: Runs, large: Set[str] = frozenset()) -> Runs:
    """As written in `study.py`, without large rungs: minutes for a figure on two cores."""
    return {name: run for name, run in runs.items() if name not in large}


def large(runs: Runs, large: Set[str] = frozenset()) -> Runs:  # noqa: ARG001
    """The default scale with the large rungs: at most an hour for a study on two cores, minutes on a GPU."""
    return runs


def smoke(runs: Runs, large: Set[str] = frozenset()) -> Runs:
    """The same graph in seconds: a tenth of the updates, a quarter of the width, the first two seeds of each run."""
    runs = default(runs, large)
    kept = _with_parents(_first_seeds(runs, SMOKE_SEEDS), runs)
    families: dict[str, Runs] = defaultdict(dict)
    for name in kept:
        families[_family(name, runs)][name] = runs[name]
    small = {name: run for family in families.values() for name, run in _shrunk_family(family).items()}
    return {name: small[name] for name in runs if name in small}


def fewer_seeds(runs: Runs, most: int) -> Runs:
    """The runs of one study with at most some seeds of each, the first ones."""
    return {name: _with_fewer(runs[name], most) for name in _first_seeds(runs, most)}


def _with_fewer(run: Run, most: int) -> Run:
    if not run.sweep or "seed" not in run.sweep:
        return run
    return dataclasses.replace(run, sweep={**run.sweep, "seed": run.sweep["seed"][:most]})


def _first_seeds(runs: Runs, most: int) -> list[str]:
    """Of runs of a study that differ in seed, name and parent only, those with the smallest seeds."""
    apart = {"name", "seed", *NO_PARENT}
    fields = [field.name for field in dataclasses.fields(Run) if field.name not in apart]
    alike = {name: _study(name) + repr([getattr(run, each) for each in fields]) for name, run in runs.items()}
    seeds: dict[str, set[int]] = defaultdict(set)
    for name, run in runs.items():
        seeds[alike[name]].add(run.seed)
    return [name for name, run in runs.items() if run.seed in sorted(seeds[alike[name]])[:most]]


def _study(name: str) -> str:
    return name.rpartition("/")[0]


def _with_parents(names: list[str], runs: Runs) -> set[str]:
    return {ancestor for name in names for ancestor in _lineage(name, runs)}


def _lineage(name: str, runs: Runs) -> list[str]:
    """A run, its parent, the parent's parent, and so on."""
    path = [name]
    while (parent := runs[path[-1]].parent) is not None:
        path.append(full_name(_study(path[-1]), parent))
    return path


def _family(name: str, runs: Runs) -> str:
    """What is shrunk alike: the runs of a rung, which are compared with each other, else those of a lineage."""
    rung = runs[name].rung
    return _lineage(name, runs)[-1] if rung is None else f"{_study(name)}: rung {rung}"


def _shrunk_family(family: Runs) -> Runs:
    """Runs of one family, shrunk alike, so that a run still continues its parent at a step that the parent keeps."""
    for factor in LADDER_FACTORS if any(run.rung for run in family.values()) else SMOKE_FACTORS:
        with collecting():
            small = {name: _shrunk(run, factor) for name, run in family.items()}
        if not any(problems(run) for run in small.values()):
            return small
    raise AssertionError(f"no scale fits the runs {', '.join(family)}")


def _fewer(steps: int, factor: int) -> int:
    """A duration, or a step, divided by a factor; a duration of some updates never becomes none."""
    return max(1, round(steps / factor)) if steps else 0


def _shrunk(run: Run, factor: int) -> Run:
    def fewer(steps: int) -> int:
        return _fewer(steps, factor)

    sweep = run.sweep and {name: values[:SMOKE_SEEDS] for name, values in run.sweep.items()}
    if sweep and "steps" in sweep:
        sweep["steps"] = tuple(fewer(int(steps)) for steps in sweep["steps"])
    return dataclasses.replace(
        run,
        model=_small_model(run.model),
        data=_small_data(run.data),
        watched=run.watched and {name: _small_data(data) for name, data in run.watched.items()},
        continual=run.continual and _small_continual(run.continual, fewer),
        schedule=_short_schedule(run.schedule, fewer),
        steps=fewer(run.steps),
        batch_size=run.batch_size and run.ranks * _quarter(run.batch_size // run.ranks),
        log_every=fewer(run.log_every),
        evaluate_every=run.evaluate_every and fewer(run.evaluate_every),
        curve_examples=run.curve_examples and min(run.curve_examples, SMOKE_EXAMPLES // 2),
        keep_steps=tuple(map(fewer, run.keep_steps)),
        parent_step=run.parent_step and fewer(run.parent_step),
        probes=tuple(
            dataclasses.replace(
                probe,
                every=probe.every and fewer(probe.every),
                steps=probe.steps and tuple(sorted(set(map(fewer, probe.steps)))),
            )
            for probe in run.probes
        ),
        sweep=sweep,
    )


def _quarter(count: int, *, least: int = 1) -> int:
    return max(least, count // 4)


def _small_model(model: Model) -> Model:
    """A quarter of the width and half of the depth; those of the base shrink by the same, so that ratios stay."""
    pair = 2 if model.heads else 1
    size = model.width // (model.heads or 1) // pair
    base_size = model.base_width and model.base_width // (model.base_heads or model.heads or 1) // pair
    unit = math.gcd(size, base_size or size)
    level = math.gcd(model.depth, model.base_depth or model.depth)

    def narrower(width: int) -> int:
        return width // unit * _quarter(unit)

    def shallower(depth: int) -> int:
        return depth // level * max(1, level // 2)

    small: dict[str, Any] = {"width": narrower(model.width), "depth": shallower(model.depth)}
    if model.base_width:
        small["base_width"] = narrower(model.base_width)
    if model.base_depth:
        small["base_depth"] = shallower(model.base_depth)
    return dataclasses.replace(model, **small)


def _small_data(data: Data) -> Data:
    if isinstance(data, Mixture):
        return dataclasses.replace(data, first=_small_data(data.first), second=_small_data(data.second))
    if data.context is None or data.validation_windows is None:
        return data
    small: dict[str, Any] = {
        "context": _quarter(data.context, least=2),
        "validation_windows": min(data.validation_windows, SMOKE_EXAMPLES),
    }
    if samples := getattr(data, "samples", None):
        small["samples"] = min(_quarter(samples, least=2), SMOKE_SAMPLES)
    return dataclasses.replace(data, **small)


def _small_continual(continual: Continual, fewer: Callable[[int], int]) -> Continual:
    return dataclasses.replace(
        continual,
        past=tuple(map(_small_data, continual.past)),
        memory=continual.memory and _quarter(continual.memory),
        ramp_steps=continual.ramp_steps and fewer(continual.ramp_steps),
        fisher_examples=continual.fisher_examples and _quarter(continual.fisher_examples),
    )


def _short_schedule(schedule: Schedule, fewer: Callable[[int], int]) -> Schedule:
    changes: dict[str, Any] = {}
    for name in ("warmup_steps", "decay_steps", "rewarm_steps", "cooldown_steps", "decay_ends", "cycle_ends"):
        if steps := getattr(schedule, name, None):
            changes[name] = tuple(map(fewer, steps)) if isinstance(steps, tuple) else fewer(steps)
    return dataclasses.replace(schedule, **changes)


SCALES: dict[str, Callable[[Runs, Set[str]], Runs]] = {"default": default, "smoke": smoke, "large": large}

SHARED = {"large": "default"}
"""Scales whose results are those of another one and more: they stand in its folder and are recorded under its name."""

REGISTERED = tuple(name for name in SCALES if name != "smoke")
"""Scales at which the runs of a claim are registered."""
