"""The ledger of a study: which seeds were trained for what, written down as a build begins.

`studies/<study>/ledger.json` only grows, and each entry has the digest of the one before, so that a seed that was seen
cannot be forgotten quietly.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from common.evidence.registration import digest_of
from common.evidence.seeds import CONFIRMATORY
from common.runs import records

NAME = "ledger.json"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Seeds that were trained."""

    block: str
    """See `common.evidence.seeds`."""
    seeds: list[int]
    scale: str
    claims: list[str]
    """Ids of the claims that the study had."""
    commit: str
    machine: str
    date: str
    previous: str = ""
    """Digest of the entry before; empty for the first."""

    @property
    def what(self) -> tuple[str, str, str, tuple[int, ...]]:
        """What tells it from another entry: the same on the same machine again is a build that went on."""
        return self.block, self.scale, self.machine, tuple(self.seeds)


def read(folder: Path) -> list[Entry]:
    """The ledger of the study in a folder, oldest entry first; empty if there is none.

    Raises: ValueError if the file is damaged, or an entry is not the one that the next has the digest of.
    """
    path = folder / NAME
    if not path.is_file():
        return []
    try:
        entries = [Entry(**plain) for plain in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is no ledger or is damaged ({error!r}); take it from the history") from None
    for place, entry in enumerate(entries):
        if entry.previous != _digest(entries[:place]):
            raise ValueError(f"{path}: entry {place + 1} does not follow from those before it; a ledger only grows")
    return entries


def _digest(entries: Sequence[Entry]) -> str:
    return digest_of(asdict(entries[-1])) if entries else ""


def note(entry: Entry, folder: Path) -> None:
    """Write an entry down, unless it stands there already."""
    entries = read(folder)
    if entry.what not in {known.what for known in entries}:
        entries.append(replace(entry, previous=_digest(entries)))
        records.write_json(folder / NAME, [asdict(each) for each in entries])


def seen(folder: Path) -> bool:
    """Whether confirmatory seeds of the study in a folder have been trained."""
    return any(entry.block == CONFIRMATORY for entry in read(folder))
