"""Results that were copied here without Snakemake's memory: told by run.json from what the studies describe now."""

import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

from common.pipeline.studies import Studies
from common.runs import damage, identity
from common.runs.place import Place

MEMORY = Path(".snakemake/metadata")
"""Where Snakemake keeps what it knows of each file that it has made, under the file's name in base 64."""


def check(studies: Studies, *, executing: bool) -> None:
    """Say which results are of other runs than those of the same name, and set them aside if a build is about to begin.

    Snakemake takes a file that it does not know for up to date. What is of the very run stays, and is not trained
    again.
    """
    stale = list(_stale(studies))
    if not stale:
        return
    names = ", ".join(place.label for place in stale[:3]) + ", ..." * (len(stale) > 3)
    what = "set aside, to be trained again" if executing else "a build sets them aside and trains the runs again"
    print(f"copied results of another description or code: {len(stale)}, {what} ({names})", file=sys.stderr)
    if executing:
        for place in stale:
            damage.move_aside(place)


def _stale(studies: Studies) -> Iterator[Place]:
    for study in studies:
        for name in studies[study].runs:
            place = Place(study, name)
            if place.record.exists() and not _known(place.record) and not _is_described(studies, place):
                yield place


def _known(file: Path) -> bool:
    return (MEMORY / urlsafe_b64encode(str(file).encode()).decode()).exists()


def _is_described(studies: Studies, place: Place) -> bool:
    record = identity.read(place.record) or {}
    wanted = studies.describe(place.study, place.run), studies.code(place.study, place.run)
    return (identity.description(record), record.get("code")) == wanted
