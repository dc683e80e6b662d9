"""What Snakemake would do now: by study, why, and what that costs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from common.pipeline import cost
from common.pipeline.studies import Studies
from common.pipeline.terminal import words
from common.pipeline.terminal.work import Kind, Work, works

REASONS = {
    "forced": "asked for anew",
    "missing_output": "not made yet",
    "incomplete_output": "not finished, or of another description",
    "params_changed": "",
    "code_changed": "its script has changed",
    "input_changed": "reads other files",
    "updated_input": "what it reads has changed",
    "updated_input_run": "what it reads is made again",
    "software_stack_changed": "its environment has changed",
}
"""Why a job is due, by the attribute in which Snakemake keeps it, the deepest reason first."""

VERBS: dict[Kind, tuple[str, str, str]] = {
    "corpus": ("build", "corpus", "corpora"),
    "run": ("train", "run", "runs"),
    "measurement": ("measure", "table", "tables"),
    "judgement": ("judge", "group of claims", "groups of claims"),
    "summary": ("put together", "list of verdicts", "lists of verdicts"),
    "figure": ("draw", "figure", "figures"),
    "store": ("fill", "MLflow store", "MLflow stores"),
}
"""What is done to what, one or many, in the order of the work."""

FIRST = list(VERBS)


@dataclass(frozen=True)
class Due:
    """One job that would run."""

    work: Work
    why: str


def due(workflow: Any, studies: Studies) -> list[Due]:
    """All that would run, in the order in which it is told."""
    jobs = {job.jobid: job for job in workflow.dag.needrun_jobs()}
    found = [Due(work, why(workflow.dag.reason(jobs[work.id]), work.kind)) for work in works(jobs.values(), studies)]
    return sorted(found, key=lambda one: (one.work.study, FIRST.index(one.work.kind), one.why, one.work.label))


def why(reason: Any, kind: Kind) -> str:
    """Why a job is due, in words.

    Args:
        reason: Snakemake's.
        kind: of the job.
    """
    for name, text in REASONS.items():
        if found := getattr(reason, name, None):
            return text or _changed(found, kind)
    return "asked for"


def _changed(params: Any, kind: Kind) -> str:
    """What has changed of the parameters of a job; Snakemake keeps their values in words, without their names."""
    if kind != "run":
        return "its code or its settings have changed"
    new = [str(value) for value in params.only_new]
    if any("'model'" in value for value in new):
        return "its description has changed"
    return "its own text has changed" if any(value.startswith("{") for value in new) else "its code has changed"


def lines(found: Iterable[Due], studies: Studies, *, cores: int, results: Path, whole: bool = False) -> Iterator[str]:
    """What would be done, as lines for people.

    Args:
        found: all that would run.
        studies: all studies.
        cores: so many jobs run at once.
        results: folder with the runs that tell the speed of this machine.
        whole: name every run, not the first ones alone.
    """
    everything = list(found)
    speed = cost.measured(results)
    prices: list[tuple[float, int]] = []
    for study, group in groupby(everything, key=lambda one: one.work.study):
        todo = list(group)
        runs = [one.work.run for one in todo if one.work.run is not None]
        own = [(cost.seconds(run, speed), cost.own_updates([run])) for run in runs]
        prices += own
        yield _head(study, own, studies, cores=cores)
        yield from _jobs(todo, whole=whole)
    if prices:
        seconds, updates = zip(*prices, strict=True)
        yield cost.priced(seconds, sum(updates), cores=cores, known=bool(speed))
        trained = [one.work.run for one in everything if one.work.run is not None]
        yield cost.memory(trained, cores=cores, results=results)


def _head(study: str, prices: list[tuple[float, int]], studies: Studies, *, cores: int) -> str:
    """A study, and what its trainings cost: seconds and updates of each."""
    if not prices:
        return f"{study}:"
    seconds, updates = zip(*prices, strict=True)
    trained = f"{len(prices)} of {words.count(len(studies[study].runs), 'run')}"
    return f"{study}: train {trained}, {sum(updates):,} updates, about {words.time(cost.shared(seconds, cores=cores))}"


def _jobs(found: list[Due], *, whole: bool) -> Iterator[str]:
    """The jobs of a study, those with equal reasons together."""
    for (kind, reason), group in groupby(found, key=lambda one: (one.work.kind, one.why)):
        names = [_short(one.work) for one in group]
        verb, single, many = VERBS[kind]
        noun = single if len(names) == 1 else many
        yield f"  {verb} {len(names)} {noun}, {reason}: {words.some(names, most=len(names) if whole else 4)}"


def _short(work: Work) -> str:
    """The name of a job within its study."""
    if work.kind in ("run", "corpus"):
        return work.name.removeprefix(f"{work.study}/").removeprefix("corpus ")
    return work.name.removeprefix(f"{work.study}_").removeprefix("verdicts_") if work.kind != "summary" else work.output


def as_json(found: Iterable[Due]) -> str:
    """The same for programs: by label of the job, why it would run."""
    plain: Mapping[str, str] = {one.work.label: one.why for one in found}
    return json.dumps(plain)
