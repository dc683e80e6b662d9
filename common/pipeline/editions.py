"""Results of the first edition: recognised, and set aside before they are mixed with new ones."""

import json
import sys
from pathlib import Path

from common.runs.place import FILES, RESULTS

ASIDE = Path("first_edition")
MOVED = (f"{RESULTS}/*/*/{FILES[0]}", f"{RESULTS}/*/*.csv", f"{RESULTS}/*/claims.json", f"{RESULTS}/claims.md")
BESIDE = ("figures/*.*", "logs/*", "mlflow.db*", "mlartifacts")
"""What lies beside results in the folder of a build; byte corpora stay, since they are the same."""


def set_aside(folder: Path = Path()) -> None:
    """Move results, figures and the local MLflow store of the first edition to `first_edition/`, with one line.

    They are told by run.json, which has no "format" there. Nothing is deleted, and nothing moves a second time.
    """
    record = next(folder.glob(MOVED[0]), None)
    if record is None or "format" in _read(record):
        return
    runs = [file.parent for file in folder.glob(MOVED[0])]
    files = [file for pattern in (*MOVED[1:], *BESIDE) for file in folder.glob(pattern) if file.name != "README.md"]
    for path in (*runs, *files):
        target = folder / ASIDE / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    print(f"{len(runs)} runs of the first edition, their figures and mlflow.db: moved to {ASIDE}/", file=sys.stderr)


def _read(record: Path) -> dict[str, object]:
    try:
        found: dict[str, object] = json.loads(record.read_text(encoding="utf-8"))
    except ValueError:
        return {"format": None}
    return found
