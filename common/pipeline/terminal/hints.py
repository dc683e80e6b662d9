"""What a person may have meant who asked for what there is not."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from common.pipeline.studies import Studies
from common.runs.place import FILES, Place
from common.runs.progress import ATTEMPT

MISSING_RULE = re.compile(r"No rule to produce (.+?) \(if you use input functions")
LOOKUP = re.compile(r"^\s*LookupError: (.+)$", re.MULTILINE)


def unknown(target: str, studies: Studies, known: Iterable[str]) -> str:
    """One line for a target that nothing makes.

    Args:
        target: what was asked for.
        studies: all of them.
        known: all that may be asked for.
    """
    if owner := next((study for study in sorted(_faulty(studies)) if _is_of(target, study)), None):
        return f"no target {target}: the study {owner} has problems, told below"
    near = {name.rpartition(".")[0] or name: name for name in reversed(get_close_matches(target, set(known), n=3))}
    if near:
        return f"no target {target}; did you mean {' or '.join(reversed(near.values()))}?"
    return f"no target {target}; studies are {', '.join(studies)}, and `snakemake --list` has all that can be made"


def _faulty(studies: Studies) -> set[str]:
    return {problem.study for problem in studies.problems}


def _is_of(target: str, study: str) -> bool:
    """Whether a target belongs to a study by the law of names."""
    return target == study or target.startswith((f"{study}_", f"figures/{study}_", f"results/{study}/"))


def targets(workflow: Any, studies: Studies) -> Iterator[str]:
    """All that may be asked for: rules, files that have one place, and files of runs."""
    for rule in workflow.rules:
        if not rule.has_wildcards():
            yield rule.name
        yield from (str(file) for file in rule.output if "{" not in str(file))
    for study in studies:
        yield f"results/{study}/claims.json"
        yield from (str(Place(study, run).folder / file) for run in studies[study].runs for file in FILES)


def told(text: str, workflow: Any, studies: Studies) -> str | None:
    """A line in place of Snakemake's own words on what it cannot make; None where they stay."""
    if found := MISSING_RULE.search(text):
        return unknown(found[1], studies, targets(workflow, studies))
    if found := LOOKUP.search(text):
        return found[1]
    return None


def reason(log: str, name: str, *, since: float) -> tuple[str, bool]:
    """Why a job has failed by the last line of its log, and whether the job has told that itself.

    Args:
        log: its path.
        name: what its own lines begin with.
        since: when it began, in seconds since 1970; an older log is that of another job.
    """
    try:
        file = Path(log)
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n") if log else []
        old = bool(log) and file.stat().st_mtime < since - 1
    except OSError:
        lines, old = [], True
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if old or not last or last.startswith(ATTEMPT):
        return "ended without a word; perhaps it was killed", False
    own = last.startswith(f"{name}: ")
    return last.removeprefix(f"{name}: "), own
