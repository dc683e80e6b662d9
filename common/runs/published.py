"""Whether the complete files of a run are those that a training would give."""

import shutil
from collections.abc import Mapping
from typing import Any

from common.runs import checkpoint, damage
from common.runs.damage import Damaged
from common.runs.identity import identity, read
from common.runs.place import FILES, Place


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


def keep(place: Place) -> None:
    """Leave what is published as it is, but newer than all that it depends on."""
    shutil.rmtree(place.progress)
    for name in reversed(FILES):
        (place.folder / name).touch()
