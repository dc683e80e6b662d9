"""The files of a run: written while it trains, complete or absent, and read back as one table."""

import csv
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import config
from common.runs import damage
from common.runs.damage import Damaged
from common.runs.place import FILES, LOCK, PROGRESS, Place

if TYPE_CHECKING:
    import pandas as pd  # imported where tables are read: who only writes records does not wait for it


@contextmanager
def exclusive(place: Place) -> Iterator[None]:
    """Hold a run's folder for this process; wait while another process (an orphan that is being ended) holds it."""
    lock = place.progress / LOCK
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not lock.exists() or lock.stat().st_ino != os.fstat(file.fileno()).st_ino:
                continue  # the holder before us finished the run and removed the folder
            yield
            return


def write_json(path: Path, value: Any) -> None:
    """Write JSON, complete or not at all."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


class Rows:
    """The growing metrics.csv of a run in training.

    Args:
        path: the file; begun anew unless `size` is given.
        columns: names of all columns; a row may leave any of them out.
        size: length in bytes up to which an earlier process had written when it last saved its state; the rest goes.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, size: int | None = None) -> None:
        self.columns = list(columns)
        if size is None:
            path.write_text("", encoding="utf-8")
        else:
            os.truncate(path, size)
        self.file = path.open("a", encoding="utf-8", newline="")
        self.writer = csv.DictWriter(self.file, self.columns, restval="", lineterminator="\n")
        if size is None:
            self.writer.writeheader()

    def append(self, row: Mapping[str, float | int]) -> None:
        """Add one row; numbers are written so that they read back exactly."""
        self.writer.writerow({name: _exact(value) for name, value in row.items()})
        self.file.flush()

    def size(self) -> int:
        """Bytes written so far, safely on disk."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return self.file.tell()

    def close(self) -> None:
        """Release the file."""
        self.file.close()


def check_size(metrics: Path, size: int) -> None:
    """Compare the rows of a run in training with what was on disk when its state was saved.

    Raises: Damaged if some are gone.
    """
    if not metrics.exists() or metrics.stat().st_size < size:
        raise Damaged(f"{metrics} has lost rows")


def _exact(value: float | int) -> str:
    return repr(value)


def publish(place: Place) -> None:
    """Move the finished files of a run from its progress folder to their places; run.json comes last."""
    for name in reversed(FILES):
        (place.progress / name).replace(place.folder / name)
    shutil.rmtree(place.progress)


def read_record(path: Path) -> dict[str, Any]:
    """The run.json of a run, by the path of any of its files, checked; a damaged one is set aside with all of the run.

    Raises: FileNotFoundError if the run has not been trained; Damaged if run.json is not what was written, or gone.
    """
    file = path.parent / FILES[0]
    if path.parent.name == PROGRESS:
        return _parsed(file)
    if not file.exists() and not any((path.parent / name).exists() for name in FILES):
        raise FileNotFoundError(f"{file} is missing: the run has not been trained; ask Snakemake for it")
    with damage.set_aside(Place.of(file)):
        return _parsed(file)


def _parsed(file: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Damaged(f"{file} is missing") from None
    except ValueError as problem:
        raise Damaged(f"{file} is cut or altered ({problem})") from None
    damage.check_record(record, file)
    return record


def evaluated(path: Path, *, step: int, member: int | None = None) -> dict[str, float]:
    """What a run, or a member of a sweep, has in its columns val_... and average_val_... at a step; {} if nothing."""
    with path.open(encoding="utf-8", newline="") as file:
        table = (row for row in csv.DictReader(file) if member is None or int(row["member"]) == member)
        rows = [row for row in table if int(row["step"]) == step]
    kept = ("val_", "average_val_")
    return {name: float(value) for row in rows for name, value in row.items() if name.startswith(kept) and value}


def read_runs(paths: Iterable[str | Path], *, lineage: bool = False) -> "pd.DataFrame":
    """Rows of several runs in one table: what was measured, and columns that say what the run was.

    Args:
        paths: metrics.csv of each run.
        lineage: put the rows of a run's parents, up to where it left them, before its own.

    Returns:
        One row for each row of the files. Besides the metrics: study, run, arm, rung, status, parent, start_step, and
        from the description seed, lr, steps, batch_size, schedule, optimizer, model, parametrization, width, depth,
        data. A swept field holds the member's own value. Not measured is NaN.
    """
    import pandas as pd

    tables = [_read_run(Path(path), lineage=lineage) for path in paths]
    if not tables:
        raise ValueError("no runs to read: the rule's input is empty")
    return pd.concat(tables, ignore_index=True)


def _read_run(path: Path, *, lineage: bool) -> "pd.DataFrame":
    import pandas as pd

    record = read_record(path)
    with damage.set_aside(Place.of(path)):
        damage.check_rows(path, record)
    table = pd.read_csv(path)
    if lineage and record["description"].get("parent"):
        table = pd.concat([_ancestors(path, record, table), table], ignore_index=True)
    labels = _labels(record)
    swept = [name for name in labels if name in table]
    return table.assign(**{name: value for name, value in labels.items() if name not in swept})


def _ancestors(path: Path, record: Mapping[str, Any], table: "pd.DataFrame") -> "pd.DataFrame":
    """Rows of a run's parents up to where it, or each member of its sweep, left them, with the member's own labels."""
    import pandas as pd

    run, place = config.run_from_dict(record["description"]), Place.of(path)
    file = Place.named(str(run.parent), study=place.study, results=place.results).metrics
    rows = _read_run(file, lineage=True)
    before = rows[rows["step"] <= record["start_step"]]
    parent = config.run_from_dict(read_record(file)["description"])
    measured = [column for column in pd.read_csv(file, nrows=0) if column not in ("member", *(parent.sweep or {}))]
    parts = []
    for index, member in enumerate(config.members(run)):
        kept = before[before["member"] == config.continued(member, parent)] if parent.sweep else before
        own = {"member": index, **{field: getattr(member, field) for field in run.sweep}} if run.sweep else {}
        parts.append(kept[measured].assign(**own))
    found: pd.DataFrame = pd.concat(parts)
    return found[[column for column in table if column in found]]


def _labels(record: Mapping[str, Any]) -> dict[str, Any]:
    run = config.run_from_dict(record["description"])
    return {
        "study": record["study"],
        "run": record["name"],
        "arm": run.arm,
        "rung": run.rung,
        "status": record["status"],
        "reason": record["reason"],
        "parent": run.parent,
        "start_step": record["start_step"],
        "seed": run.seed,
        "lr": run.lr,
        "steps": run.steps,
        "batch_size": run.batch_size,
        "schedule": run.schedule.kind,
        "optimizer": run.optimizer.kind,
        "model": run.model.kind,
        "parametrization": run.model.parametrization,
        "width": run.model.width,
        "depth": run.model.depth,
        "data": run.data.label,
    }
