"""Whether the complete files of a run are those that a training would give."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import config
from common.config import DescriptionError
from common.runs import checkpoint, damage
from common.runs.damage import Damaged
from common.runs.place import FILES, Place

DECIDING = ("code", "start_step", "data", "other_data", "parent_states")
"""What decides the bytes of a run beside its description, by its field in run.json."""


def is_of(place: Place, facts: Mapping[str, Any]) -> bool:
    """Whether a run is published, sound, and of the training that these facts, run.json as it is at first, begin."""
    record = read(place.record)
    if record is None or record.get("status") not in ("complete", "diverged"):
        return False
    try:
        damage.check_record(record, place.record)
        damage.check_rows(place.metrics, record)
        checkpoint.labels(place.state)
    except (Damaged, OSError):
        return False
    return damage.ROWS in record and identity(record) == identity(facts)


def read(file: Path) -> dict[str, Any] | None:
    """A record as it stands; None if there is none that can be read."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def identity(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What tells the training of a record from any other; None if its description is of another version."""
    try:
        described = config.identity(config.run_from_dict(record["description"]))
    except (DescriptionError, TypeError, KeyError):
        return None
    return {"description": described} | {name: record.get(name) for name in DECIDING}


def keep(place: Place) -> None:
    """Leave what is published as it is, but newer than all that it depends on."""
    shutil.rmtree(place.progress)
    for name in reversed(FILES):
        (place.folder / name).touch()
