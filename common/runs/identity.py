"""What tells the training behind a record from any other; read at every start, so without torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import config
from common.config import DescriptionError

DECIDING = ("code", "start_step", "data", "other_data", "parent_states")
"""What decides the bytes of a run beside its description, by its field in run.json."""


def read(file: Path) -> dict[str, Any] | None:
    """A record as it stands; None if there is none that can be read."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def identity(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What tells the training of a record from any other; None if its description is of another version."""
    described = description(record)
    return described and {"description": described} | {name: record.get(name) for name in DECIDING}


def description(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The identity of the description in a record; None if it is of another version."""
    try:
        found: dict[str, Any] = config.identity(config.run_from_dict(record["description"]))
    except (DescriptionError, TypeError, KeyError):
        return None
    return found
