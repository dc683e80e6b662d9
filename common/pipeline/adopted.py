"""Results that Snakemake's memory tells nothing true of: told by run.json from what the studies describe now.

They were copied here without that memory, or a training in their place has failed. Snakemake takes such files for up to
date, and asks for no missing one while what is made of it stands. So they stay where they are, marked as it marks what
it is making itself, and `rerun-incomplete` of the profiles makes them again, and all that is made of them.
"""

import contextlib
import io
import os
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from common import config
from common.config import Data, Run
from common.pipeline.studies import Studies
from common.runs import identity
from common.runs.place import Place

OURS = "{}"
"""Content of our marks; Snakemake's own name a job."""


def check(studies: Studies, *, executing: bool) -> None:
    """Mark the runs that have to be trained again although Snakemake does not see it, so that plans tell it as well.

    What is of the very run stays, and is not trained again.
    """
    found = [(place, is_described(studies, place)) for place in _doubtful(studies)]
    if copied := [place.label for place, described in found if not described and not _known(place.record)]:
        names = ", ".join(copied[:3]) + ", ..." * (len(copied) > 3)
        what = "copied results of another description, code or text"
        print(f"{what}: {len(copied)}, to be trained again ({names})", file=sys.stderr)
    try:
        for place, described in found:
            (_unmark if described else _mark)(place.record)
    except OSError as problem:
        if executing:
            sys.exit(f"{problem.filename}: {problem.strerror}; a build has to mark there what it will train again")


def _doubtful(studies: Studies) -> Iterator[Place]:
    """Runs with a record that Snakemake has not made, or beside which a training has not come to its end.

    Snakemake puts the files of a run back where the job that was to replace them failed, and takes them for its work.
    """
    for study in studies:
        for name in studies[study].runs:
            place = Place(study, name)
            if place.record.exists() and (place.progress.exists() or not _known(place.record)):
                yield place


def _known(file: Path) -> bool:
    return _memory("metadata", file).exists()


def _mark(file: Path) -> None:
    mark = _memory("incomplete", file)
    if not mark.exists():
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(OURS, encoding="utf-8")


def _unmark(file: Path) -> None:
    """Take back a mark of ours, of a description that was changed back."""
    mark = _memory("incomplete", file)
    if mark.exists() and mark.read_text(encoding="utf-8") == OURS:
        mark.unlink()


def _memory(kind: Literal["metadata", "incomplete"], file: Path) -> Path:
    """Where Snakemake keeps what it knows of a file, or that it is being made: under its name in base 64, in pieces."""
    name = urlsafe_b64encode(str(file).encode()).decode()
    longest = (os.pathconf(".", "PC_NAME_MAX") or 255) - 1
    *folders, last = (name[first : first + longest] for first in range(0, len(name), longest))
    return Path(".snakemake", kind, *(f"@{folder}" for folder in folders), last)


def is_described(studies: Studies, place: Place) -> bool:
    """Whether the record of a run is of its description, its code and its own text as they are now."""
    record = identity.read(place.record) or {}
    wanted = studies.describe(place.study, place.run), studies.code(place.study, place.run)
    if (identity.description(record), record.get("code")) != wanted:
        return False
    return _has_read(studies.run(place.study, place.run), record, corpora=place.corpora)


def _has_read(run: Run, record: Mapping[str, Any], *, corpora: Path) -> bool:
    """Whether the user's own text that a record of this run was trained on is what stands there now."""
    said = [record.get("data"), *(record.get("other_data") or [])]
    read = config.datasets_of(run)
    return len(said) == len(read) and all(
        isinstance(one, Mapping) and one.get("digest", "") == _digest(described, corpora)
        for one, described in zip(said, read, strict=True)
        if any(isinstance(part, config.Files) for part in described.parts)
    )


@cache
def _digest(described: Data, corpora: Path) -> str | None:
    """Digest of a data set as it is now; None if it cannot be read."""
    from common import data  # imports torch, which no other start of Snakemake waits for
    from common.data.corpora import CorpusError

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a training tells what it leaves out
            return data.load(described, corpora=corpora).digest
    except (data.DataError, CorpusError, OSError):
        return None
