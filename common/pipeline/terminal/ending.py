"""What a build has made: figures, verdicts, and which of these have changed."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common.pipeline.studies import Studies
from common.pipeline.terminal import words
from common.pipeline.terminal.board import Board
from common.pipeline.terminal.work import Work
from common.runs import identity
from common.runs.origin import ROOT
from common.runs.place import RESULTS, VERDICTS, Place

KEPT = "verdicts.json"
"""In the folder of a study: the verdicts that are kept in the repository (see `common.evidence.committed`)."""

DOORS = {"ui": "browse the runs", "site": "read the claims"}
"""What can be opened after a build, by the target of the Makefile."""

Verdicts = dict[str, str]
"""Words by id of the claim."""


def verdicts(study: str) -> Verdicts:
    """Those that stand in the results of a study now, whether they are put together already or not."""
    found = ((path.stem, identity.read(path)) for path in sorted((RESULTS / study / VERDICTS).glob("*.json")))
    return {name: word for name, record in found if (word := _word(record))}


def kept(folder: Path) -> Verdicts:
    """Those that the repository keeps of a study."""
    claims = (identity.read(folder / KEPT) or {}).get("claims")
    entries = claims.items() if isinstance(claims, Mapping) else ()
    return {name: str(entry["verdict"]) for name, entry in entries if isinstance(entry, Mapping) and "verdict" in entry}


def _word(record: Mapping[str, Any] | None) -> str:
    try:
        return str((record or {})["verdict"]["verdict"])
    except (KeyError, TypeError):
        return ""


def finished(work: Work, seconds: float | None) -> str:
    """One line for a job that is done."""
    said = {"run": _trained, "judgement": _judged}.get(work.kind, lambda _: "")(work)
    taken = "" if seconds is None else words.time(seconds)
    return "  ".join(part for part in (_title(work), said, taken) if part)


def _title(work: Work) -> str:
    """What a job has made."""
    return f"verdicts of {work.study}" if work.kind == "judgement" else work.label


def _judged(work: Work) -> str:
    """The verdicts of a job."""
    return ", ".join(f"{Path(path).stem} {_word(identity.read(Path(path)))}" for path in work.outputs)


def _trained(work: Work) -> str:
    """How a run has ended: its last loss, or why it has none."""
    place = Place.of(Path(work.output))
    record = identity.read(place.record) or {}
    members = record.get("members") or []
    if record.get("status") == "diverged":
        return f"diverged ({record.get('reason')})"
    updates = f"{record.get('updates', 0):,} updates"
    if members:
        lost = sum(member.get("status") == "diverged" for member in members)
        return f"{words.count(len(members), 'member')}{f', {lost} diverged' if lost else ''}  {updates}"
    loss = _last(place.metrics, "val_loss")
    return f"val_loss {loss}  {updates}" if loss else updates


def _last(file: Path, column: str) -> str:
    """The last value of a column of the rows of a run, to four digits."""
    try:
        head, *rows = file.read_text(encoding="utf-8").splitlines()
        place = head.split(",").index(column)
        return next((f"{float(value):.4g}" for row in reversed(rows) if (value := row.split(",")[place])), "")
    except (OSError, ValueError, IndexError):
        return ""


def summary(board: Board, before: Mapping[str, Verdicts], studies: Studies, *, seconds: float) -> Iterator[str]:
    """Last lines of a build.

    Args:
        board: how far it has come.
        before: verdicts by study before it, or those that are kept where there were none.
        studies: all of them.
        seconds: how long it has taken.
    """
    done = [board.works[number] for number in board.done]
    runs = sum(work.kind == "run" for work in done)
    trained = f", {words.count(runs, 'run')} among them" if runs else ""
    yield f"{len(done)} of {words.count(len(board.works), 'job')} done in {words.time(seconds)}{trained}"
    if figures := [Path(work.output).name for work in done if work.kind == "figure"]:
        yield f"figures: {words.some(figures, most=12)} in {_place(Path('figures'))}"
    judged = list(dict.fromkeys(work.study for work in done if work.kind == "judgement"))
    for study in judged:
        yield from _compared(study, verdicts(study), before.get(study, {}), claims=studies[study].claims)
    for said, numbers in (("failed", board.failed), ("stopped", board.stopped)):
        if numbers:
            yield f"{said}: {words.some(sorted(board.works[number].name for number in numbers), most=8)}"


def _place(folder: Path) -> Path:
    """A folder from the root of the repository, or the whole of its path if it lies elsewhere."""
    whole = folder.resolve()
    return whole.relative_to(ROOT) if whole.is_relative_to(ROOT) else whole


def _compared(study: str, now: Verdicts, before: Verdicts, *, claims: Iterable[str]) -> Iterator[str]:
    current = {name: now[name] for name in claims if name in now}
    counts = ", ".join(f"{number} {word}" for word, number in sorted(Counter(current.values()).items()))
    changed = [
        f"{name} {word} (was {before[name]})" for name, word in current.items() if before.get(name, word) != word
    ]
    known = bool(before.keys() & current.keys())
    yield f"verdicts of {study}: {counts}" + (f"; changed: {'; '.join(changed) or 'none'}" if known else "")


def doors(folder: Path) -> str:
    """One line that says how to look at what a build has made in a folder."""
    makefile = ROOT / "Makefile"
    text = makefile.read_text(encoding="utf-8") if makefile.exists() else ""
    where = os.path.relpath(folder, ROOT)
    place = "" if where == "." else f" SCALE_DIR={where}"
    found = [f"`make {name}{place}` to {what}" for name, what in DOORS.items() if re.search(rf"^{name}:", text, re.M)]
    return ", ".join(found)
