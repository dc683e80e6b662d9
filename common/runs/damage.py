"""Files of a run that are not what was written: noticed by their SHA-256, and set aside to be made again."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.runs.place import FILES, Place

ASIDE = "aside"
"""Folder within that of a run to which its files are moved when one is damaged, or when they are of another run."""
SEAL, ROWS = "sha256", "metrics_sha256"
"""Fields of run.json: SHA-256 of all its other fields, and of metrics.csv."""


class Damaged(RuntimeError):
    """A file of a run that is missing, truncated, altered, or of another format."""


def sealed(record: Mapping[str, Any], *, metrics: Path) -> dict[str, Any]:
    """The record of a complete run with the digests of its rows and of itself."""
    whole = {**record, ROWS: hashlib.sha256(metrics.read_bytes()).hexdigest()}
    return whole | {SEAL: _digest(whole)}


def check_record(record: Any, file: Path) -> None:
    """Compare a record with its own digest; one from before there were any has none.

    Raises: Damaged if it is another record than was written.
    """
    if not isinstance(record, dict):
        raise Damaged(f"{file} is no record of a run")
    if SEAL in record and record[SEAL] != _digest({name: value for name, value in record.items() if name != SEAL}):
        raise Damaged(f"{file} does not match its SHA-256")


def check_rows(metrics: Path, record: Mapping[str, Any]) -> None:
    """Compare the rows of a run with the digest in its record.

    Raises: Damaged if they are others than were written.
    """
    if ROWS in record and hashlib.sha256(metrics.read_bytes()).hexdigest() != record[ROWS]:
        raise Damaged(f"{metrics} does not match the SHA-256 in its run.json")


@contextmanager
def set_aside(place: Place) -> Iterator[None]:
    """Where a file of a complete run turns out to be damaged, move all of them away: the same command trains it again.

    Raises: Damaged with the place to which they were moved.
    """
    try:
        yield
    except Damaged as problem:
        aside = move_aside(place)
        raise type(problem)(
            f"{problem}; the files of {place.label} are in {aside} now, and the same command trains the run again"
        ) from None


def move_aside(place: Place) -> Path:
    """Move the files of a run to a folder within its own, which is returned."""
    aside = place.folder / ASIDE
    aside.mkdir(exist_ok=True)
    for name in FILES:
        if (place.folder / name).exists():
            (place.folder / name).replace(aside / name)
    return aside


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
