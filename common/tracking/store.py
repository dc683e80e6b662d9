"""A tracking store that is brought to what the files say (the only module that imports mlflow)."""

import fcntl
import json
import logging
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.tracking import address, links, views
from common.tracking.record import STARTED, Points, Record, digest, flatten, member_name
from common.tracking.summary import Summary, experiment_note

if TYPE_CHECKING:
    from mlflow.entities import Run

CHECKOUT = "checkout"
"""Tag of a shared store with the working directory that a run was mirrored from (see `address.checkout`)."""

CURSOR = "mlflow.mirrored"
"""Tag with what has arrived: bytes of metrics.csv, their digest, digest of run.json, status, edition, figures."""

FILES = "mlflow.files"
"""Tag with the digest of what the run of a study's figures and claims shows."""

FORMER = {"mirrored": CURSOR, "started_ms": STARTED, "files": FILES}
"""Tags of stores that were made before, by which everybody saw them, and what they are called now."""

BATCH_LABELS = 100
"""Most parameters, or tags, in one call (limits of MLflow's REST interface)."""

BATCH = 1000 - 2 * BATCH_LABELS
"""Most metrics in one call, so that all together are at most a thousand."""

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # it writes a traceback for an error that it raises as well
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the mirror tries again itself
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "6",  # a build never waits ten seconds for a silent server
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",  # no connection outlives its use, so a removed file is noticed
}
"""What MLflow is told through the environment before it is imported, unless the user has said otherwise."""


def prepare_store(uri: str) -> None:
    """Create the tables of a store that has none, once, however many processes ask at the same time.

    Left alone, several processes that start on a missing database all create it, and all but one fail. A server
    (http://...) looks after its own tables.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    address.check(uri)
    file = address.database(uri)
    if file is None:
        return
    with _locked(uri):
        if file.exists() and _is_half(file):
            _put_away(file)
        if not file.exists():
            _make(file, artifacts=str(address.artifacts(uri)))
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(uri, address.artifacts(uri))  # type: ignore[no-untyped-call]


def _make(file: Path, *, artifacts: str) -> None:
    """Make a store under another name, and give it its own when it is whole: a kill leaves no half of one."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    _remove(file.parent.glob(f"{file.name}.new*"))
    fresh = file.with_name(f"{file.name}.new")
    file.parent.mkdir(parents=True, exist_ok=True)
    SqlAlchemyStore(f"sqlite:///{fresh}", artifacts)  # type: ignore[no-untyped-call]
    with closing(sqlite3.connect(fresh)) as database:
        database.execute("PRAGMA journal_mode=wal")
        database.execute("PRAGMA wal_checkpoint(truncate)")
    fresh.replace(file)
    _remove(file.parent.glob(f"{file.name}.new*"))


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _is_half(file: Path) -> bool:
    """Whether a store was begun and not made to its end, as a kill left it in earlier versions; no other file is."""
    try:
        with closing(sqlite3.connect(file)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError:
        return False
    begun = not tables or bool({"alembic_version", "experiments"} & tables)
    whole = {"alembic_version", "experiments", "runs"} <= tables
    return begun and (not whole or any(name.startswith("_alembic_tmp") for name in tables))


def _put_away(file: Path) -> None:
    print(f"warning: {file} is no whole MLflow store; it is {file.name}.broken now, and made anew", file=sys.stderr)
    file.replace(file.with_name(f"{file.name}.broken"))
    _remove(file.with_name(file.name + end) for end in ("-wal", "-shm"))


@contextmanager
def _locked(uri: str) -> Iterator[None]:
    """Hold a store for this process among those of this machine; the lock goes with the process."""
    file = address.database(uri)
    elsewhere = Path(tempfile.gettempdir()) / f"mlflow-{os.getuid()}-{digest(uri.encode())}.lock"
    lock = file.with_name(f"{file.name}.lock") if file else elsewhere
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Store:
    """A tracking store that is brought to what the files say.

    Args:
        uri: its address.
        folder: the working directory whose runs are mirrored; runs of others are neither touched nor taken for these.
    """

    def __init__(self, uri: str, folder: Path) -> None:
        prepare_store(uri)
        from mlflow import MlflowClient

        self.uri = uri
        self.checkout = address.checkout(uri, folder)
        self.client = MlflowClient(uri)
        self._born = self._birth()
        self._experiments: dict[str, str] = {}

    def gone(self) -> bool:
        """Whether the database was removed or replaced since it was opened."""
        return self._birth() != self._born

    def _birth(self) -> int | None:
        """When the database was prepared; None for a server. (Inode numbers do not tell: they are used again.)"""
        file = address.database(self.uri)
        if file is None or not file.exists():
            return None
        with closing(sqlite3.connect(file)) as database:
            found = database.execute("SELECT min(creation_time) FROM experiments").fetchone()
        return int(found[0])

    def run(self, run_dir: Path, *, live: bool, figures: str = "") -> None:
        """Bring one run, and the members of its sweep, to what its folder says, and which figures it feeds."""
        with _locked(self.uri):
            record = Record.read(run_dir, live=live, figures=figures)
            if record is None:
                return
            experiment = self._experiment(record.experiment, record.study)
            run = self._only(experiment, record.name, record.identity, started_ms=record.started_ms)
            cursor = _tags(run).get(CURSOR, "")
            if cursor == record.cursor:
                return
            if record.lacks_figures_only(cursor):
                self._feed(run, record)
                return
            if record.status == "RUNNING" and cursor and int(cursor.split()[0]) > len(record.metrics):
                return  # resumed from an older state: it will write the same rows again
            arrived = record.arrived(cursor)
            if arrived is None:
                self._delete(run)
                run = self._only(experiment, record.name, record.identity, started_ms=record.started_ms)
            self._send(run, record, record.points(after=arrived or 0))

    def cursors(self, experiment: str) -> dict[str, str]:
        """What has arrived of each run of an experiment, by the run's name."""
        found = self.client.get_experiment_by_name(experiment)
        if found is None:
            return {}
        runs = self._search(found.experiment_id, "")
        return {str(run.info.run_name): _tags(run).get(CURSOR, "") for run in runs if self._is_own(run)}

    def summary(self, summary: Summary) -> None:
        """Bring the run with a study's figures and claims to what the files say; one with other files is replaced."""
        with _locked(self.uri):
            experiment = self._experiment(summary.experiment, summary.study)
            identity = {"study": summary.study, FILES: summary.digest}
            self._views(experiment, summary)
            run = self._only(experiment, summary.name, identity, started_ms=summary.ended_ms)
            if run.data.tags.get(CURSOR) == summary.digest:
                return
            for folder, file in summary.files:
                self.client.log_artifact(run.info.run_id, str(file), folder)
            self._finish(run, "FINISHED", summary.ended_ms)
            tags = summary.tags | {"mlflow.note.content": summary.note + summary.links(*self._place(experiment))}
            self._log(run, [], summary.ended_ms, tags | {CURSOR: summary.digest}, {})

    def summaries(self, experiment: str) -> list[str]:
        """Identifiers of the runs from here that show the figures and claims of an experiment's study."""
        found = self._search(experiment, "attributes.run_name LIKE '% figures and claims'")
        return [str(run.info.run_id) for run in found if self._is_own(run)]

    def _place(self, experiment: str) -> tuple[str, str | None]:
        return experiment, self.checkout

    def _views(self, experiment: str, summary: Summary) -> None:
        """The saved views of a study's figures, without those of figures that are gone, and the note that lists them.

        In a shared store the note is nobody's, and lists none.
        """
        wanted = dict(view.tag for view in summary.views(self.checkout))
        own = views.prefix(f"{links.owner_of(self.checkout)}{summary.study}_")
        found = self.client.get_experiment(experiment).tags
        for key in found:
            if key.startswith(own) and key not in wanted:
                self.client.delete_experiment_tag(experiment, key)
        if self.checkout is None:
            wanted["mlflow.note.content"] = experiment_note(summary.study) + summary.links(experiment)
        for key, value in wanted.items():
            if found.get(key) != value:
                self.client.set_experiment_tag(experiment, key, value)

    def _feed(self, run: "Run", record: Record) -> None:
        """The tags that a figure changes, of a run of which all else has arrived; the cursor last."""
        children = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
        place = self._place(run.info.experiment_id)
        for child in self._search(run.info.experiment_id, children) if record.sweep else []:
            swept = record.sweep[int(child.data.tags["member"])]
            self._log(child, [], 0, record.fed(_member(record, swept), place), {})
            if not record.figures:
                self.client.delete_tag(child.info.run_id, "figures")
        if not record.figures:
            self.client.delete_tag(run.info.run_id, "figures")
        self._log(run, [], 0, record.fed(record.description, place) | {CURSOR: record.cursor}, {})

    def _send(self, run: "Run", record: Record, points: Points) -> None:
        """All that is not yet in the store; the cursor, which says so, comes last."""
        self._show_data(run, record, record.description)
        if record.sweep:
            self._members(run, record, points)
        if record.status != "RUNNING":
            for name in ("run.json", "metrics.csv"):
                self.client.log_artifact(run.info.run_id, str(record.folder / name))
        self._finish(run, record.status, record.ended_ms)
        place = self._place(run.info.experiment_id)
        tags = record.tags(record.description, record.facts, place=place) | {CURSOR: record.cursor}
        sent = points.get(None, []) + record.best_and_mean
        self._log(run, sent, record.started_ms, tags, record.parameters)

    def _members(self, run: "Run", record: Record, points: Points) -> None:
        """One nested run for each member of a sweep that has begun."""
        nested = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
        known = {child.data.tags["member"]: child for child in self._search(run.info.experiment_id, nested)}
        outcomes = record.facts.get("members") or []
        for index, swept in enumerate(record.sweep):
            if index not in points and index >= len(outcomes):
                continue
            outcome = outcomes[index] if index < len(outcomes) else {"status": "running"}
            description = _member(record, swept)
            labels = {"mlflow.parentRunId": run.info.run_id, "member": str(index)}
            tags = labels | record.tags(description, outcome, place=self._place(run.info.experiment_id))
            name = member_name(swept, record.name)
            child = known.get(str(index)) or self.client.create_run(
                run.info.experiment_id, start_time=record.started_ms, run_name=name, tags=tags
            )
            if child.info.run_name != name:
                self.client.update_run(child.info.run_id, name=name)
            self._show_data(child, record, description)
            self._finish(child, record.status, record.ended_ms)
            self._log(child, points.get(index, []), record.started_ms, tags, description)

    def _show_data(self, run: "Run", record: Record, description: Mapping[str, Any]) -> None:
        """The data set, which never changes."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = record.facts.get("data")
        if data and not (run.inputs and run.inputs.dataset_inputs):
            about = json.dumps(description.get("data", {}))
            # MLflow takes at most 36 characters of a digest and shows them all; the tag data.digest has the whole.
            dataset = Dataset(data["name"], data["digest"][:16], "local", about, profile=json.dumps(data))
            tags = [InputTag("mlflow.data.context", "training")]
            self.client.log_inputs(run.info.run_id, [DatasetInput(dataset, tags)])

    def _log(
        self,
        run: "Run",
        points: list[tuple[str, float, int]],
        since_ms: int,
        tags: Mapping[str, str],
        description: Mapping[str, Any],
    ) -> None:
        """Parameters that are missing, points, and those tags that are new, in as few calls as MLflow's limits allow.

        Tags come last. A point's timestamp is `since_ms` plus its step.
        """
        from mlflow.entities import Metric, Param, RunTag

        parameters = [Param(*item) for item in flatten(description).items() if item[0] not in run.data.params]
        metrics = [Metric(name, value, since_ms + step, step) for name, value, step in points]
        changed = [RunTag(*item) for item in tags.items() if run.data.tags.get(item[0]) != item[1]]
        chunks = _chunks(metrics, BATCH), _chunks(parameters, BATCH_LABELS)
        pairs: list[tuple[list[Any], list[Any]]] = list(zip_longest(*chunks, fillvalue=[]))
        *first, (last, rest) = pairs or [([], [])]
        for some, few in first:
            self.client.log_batch(run.info.run_id, metrics=some, params=few)
        if last or rest or changed:
            self.client.log_batch(run.info.run_id, metrics=last, params=rest, tags=changed)
        for name in FORMER.keys() & run.data.tags.keys():
            self.client.delete_tag(run.info.run_id, name)

    def _finish(self, run: "Run", status: str, ended_ms: int) -> None:
        if status == "RUNNING" != run.info.status:
            self.client.update_run(run.info.run_id, status=status)
        elif status != "RUNNING":
            self.client.set_terminated(run.info.run_id, status, end_time=ended_ms)

    def _is_own(self, run: "Run") -> bool:
        """Whether a run was mirrored from this working directory."""
        return self.checkout is None or run.data.tags.get(CHECKOUT) == self.checkout

    def _only(self, experiment: str, name: str, identity: dict[str, str], *, started_ms: int) -> "Run":
        """The one active run of that name from here: that with this identity, or a new one in place of the others."""
        identity = identity | ({CHECKOUT: self.checkout} if self.checkout else {})
        found = [run for run in self._search(experiment, f"attributes.run_name = '{name}'") if self._is_own(run)]
        same = [run for run in found if identity.items() <= _tags(run).items()]
        for run in found:
            if run not in same[:1]:
                self._delete(run)
        return same[0] if same else self.client.create_run(experiment, started_ms, dict(identity), name)

    def _delete(self, run: "Run") -> None:
        for child in self._search(run.info.experiment_id, f"tags.mlflow.parentRunId = '{run.info.run_id}'"):
            self.client.delete_run(child.info.run_id)
        self.client.delete_run(run.info.run_id)

    def _search(self, experiment: str, query: str) -> "list[Run]":
        """All active runs that a query finds."""
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs([experiment], query, max_results=BATCH, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _experiment(self, name: str, study: str) -> str:
        """Identifier of an experiment, which is made if it is missing."""
        if name in self._experiments:
            return self._experiments[name]
        found = self.client.get_experiment_by_name(name)
        if found is None:
            identifier = self.client.create_experiment(name, address.artifacts(self.uri))
        else:
            identifier = found.experiment_id
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(identifier)
        tags = {
            "mlflow.experimentKind": "custom_model_development",
            **dict([views.overview().tag]),
        }
        if found is None or not found.tags.get("mlflow.note.content", "").startswith(experiment_note(study)):
            tags["mlflow.note.content"] = experiment_note(study)  # the links behind it come with the figures
        for key, value in tags.items():
            if found is None or found.tags.get(key) != value:
                self.client.set_experiment_tag(identifier, key, value)
        self._experiments[name] = str(identifier)
        return self._experiments[name]


def _tags(run: "Run") -> dict[str, str]:
    """Tags of a run, those of earlier stores under the names of today."""
    return {new: run.data.tags[old] for old, new in FORMER.items() if old in run.data.tags} | run.data.tags


def _member(record: Record, swept: Mapping[str, Any]) -> dict[str, Any]:
    """Description of one member of a sweep."""
    return {key: value for key, value in record.description.items() if key != "sweep"} | dict(swept)


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
