"""MLflow as a mirror of the files in results/ (layer 3; the only module that imports mlflow).

Nothing is ever read back from MLflow: the files decide, and `mirror` brings the store to what they say, however often
it is called and wherever it was killed. A point's timestamp is the start of its run plus its step, so that sending it
twice leaves one point; the tag `mirrored` is written last and says which bytes have arrived.

The default store is `mlflow.db` with `mlartifacts/` beside the results folder, one for each `--directory`: there
`mlflow ui` finds them without options, scales keep apart, and removing both loses nothing. The environment variable
MLFLOW_TRACKING_URI names another store.
"""

import argparse
import ast
import csv
import fcntl
import hashlib
import io
import itertools
import json
import logging
import math
import os
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import provenance

if TYPE_CHECKING:
    from mlflow.entities import Run

CURSOR = "mirrored"
"""Tag with what has arrived: bytes of metrics.csv, their digest, digest of run.json, status."""

BATCH = 1000
"""Most metrics in one call (limit of MLflow's REST interface)."""

BATCH_LABELS = 100
"""Most parameters, or tags, in one call."""

CPU_SHARE = 0.015
"""Part of one core that `watch` may use on average while training goes on."""

PATIENCE = 10
"""Most intervals between two passes of `watch`: after a dear one, and after a store has failed."""

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",  # no connection outlives its use, so a removed file is noticed
}
"""What MLflow is told through the environment before it is imported, unless the user has said otherwise."""

VIEW = "overview"
COLUMNS = (
    *(f"metrics.`{name}`" for name in ("val_loss",)),
    *(f"params.`{name}`" for name in ("schedule.kind", "lr", "steps")),
    *(f"tags.`{name}`" for name in ("arm", "seed", "parent", "status")),
)
"""Columns of the run table in the shared view `overview` that every experiment gets; MLflow's own show no number."""

NEVER_MS = 1
"""Time of a study without runs: the earliest that MLflow does not take for "now"."""

FIGURES = ("pdf", "png", "csv", "json")
UI_PORT = 5050
UI_MODE = "workflowType=machine_learning"


EXPERIMENT_NOTE = """**{question}**

**Step** is the number of updates behind the model, those of the runs it continues included. `train_loss` (minibatch)
and `val_loss` (fixed examples) are mean losses: nats per token for text (a token is a byte), else nats per example, or
mean squared error. `learning_rate` is the rate of the last update, `gradient_norm` is taken before clipping.

**Tags**: `arm` names the group that a run belongs to in comparisons, `seed` its random numbers, `parent` the run that
it continues; `status` is running, complete, diverged (a result; the reason is in `diverged`) or interrupted (the same
command resumes it). **Parameters** are the run's description, flattened.

The verdicts and figures are in the run **{study} figures and claims**. This is a mirror: all of it is read from
`results/`, and `snakemake mlflow` builds it again.
"""


class RecordError(ValueError):
    """The files of a run cannot be read as a record."""


@dataclass(frozen=True)
class Record:
    """The files of one run as they stood at one moment."""

    folder: Path
    facts: dict[str, Any]
    """Contents of run.json."""
    facts_digest: str
    metrics: bytes
    """metrics.csv up to the end of its last complete line."""
    status: str
    """MLflow's word for the run's state: RUNNING, FINISHED (also diverged: that is a result) or KILLED."""

    @classmethod
    def read(cls, run_dir: Path, *, live: bool) -> "Record | None":
        """What a run's folder says now, or None if there is nothing to tell yet.

        Args:
            run_dir: results/<study>/<run>.
            live: whether a run that is not complete is training; otherwise it was interrupted.
        """
        folder = _folder(run_dir)
        try:
            text, rows = (folder / "run.json").read_bytes(), (folder / "metrics.csv").read_bytes()
        except FileNotFoundError:
            return None  # not begun, or just moving from the progress folder to its place
        try:
            facts = json.loads(text)
            facts["study"], facts["name"], facts["started_ms"], facts["description"]
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{folder / 'run.json'} is no record of a run ({error!r}); train the run again") from None
        unfinished = "RUNNING" if live else "KILLED"
        status = "FINISHED" if folder == run_dir else unfinished
        return cls(folder, facts, _digest(text), rows[: rows.rfind(b"\n") + 1], status)

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.facts["name"])

    @property
    def experiment(self) -> str:
        """Name of the experiment: the study, and its scale if it is not the default one, so that a shared store keeps
        the scales apart.
        """
        scale = self.facts.get("scale", "default")
        return str(self.facts["study"]) + ("" if scale == "default" else f" ({scale})")

    @property
    def identity(self) -> dict[str, str]:
        """Tags that tell this training of the run from an earlier one."""
        return {"study": self.facts["study"], "code": self.facts["code"], "started_ms": str(self.facts["started_ms"])}

    @property
    def started_ms(self) -> int:
        """Unix milliseconds at which the run first started."""
        return int(self.facts["started_ms"])

    @property
    def ended_ms(self) -> int:
        """Unix milliseconds after the seconds that the run has trained."""
        return self.started_ms + round(1000 * (self.facts.get("seconds") or 0))

    @cached_property
    def cursor(self) -> str:
        """Value of the tag `mirrored` once all of this has arrived."""
        return f"{len(self.metrics)} {_digest(self.metrics)} {self.facts_digest} {self.status}"

    def arrived(self, cursor: str) -> int | None:
        """Bytes of `metrics` that a store with this cursor already has; None if it has other bytes."""
        size, digest, *_ = cursor.split() if cursor else ("0", _digest(b""))
        return int(size) if _digest(self.metrics[: int(size)]) == digest else None

    def points(self, *, after: int) -> dict[int | None, list[tuple[str, float, int]]]:
        """Finite values (name, value, step) of the rows behind byte `after`, by member (None if there is no sweep)."""
        first = self.metrics.find(b"\n") + 1
        text = self.metrics[:first] + self.metrics[max(after, first) :]
        rows = csv.DictReader(io.StringIO(text.decode("utf-8")))
        columns = list(rows.fieldnames or ["step"])
        measured = columns[columns.index("step") + 1 :]
        found: dict[int | None, list[tuple[str, float, int]]] = defaultdict(list)
        for row in rows:
            member = int(row["member"]) if "member" in columns else None
            values = ((name, float(row[name])) for name in measured if row[name])
            found[member] += [(name, value, int(row["step"])) for name, value in values if math.isfinite(value)]
        return found

    @property
    def sweep(self) -> list[dict[str, Any]]:
        """The swept fields and their values, for each member in order; empty without a sweep."""
        swept = self.facts["description"].get("sweep") or {}
        return [dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values()) if swept]


def _folder(run_dir: Path) -> Path:
    """Where the files of a run are: its folder once complete, before that its progress folder."""
    from common import records

    complete = (run_dir / "run.json").exists() and (run_dir / "metrics.csv").exists()
    return run_dir if complete else records.progress_dir(run_dir)


def _stamp(run_dir: Path) -> tuple[int, ...] | None:
    """Changes whenever one of the two files of a run does; None while one is missing. It begins with: is complete."""
    from common import records

    for complete, folder in ((True, f"{run_dir}"), (False, f"{run_dir}/{records.PROGRESS}")):
        try:
            facts, rows = os.stat(f"{folder}/run.json"), os.stat(f"{folder}/metrics.csv")  # noqa: PTH116
        except FileNotFoundError:
            continue
        return complete, facts.st_mtime_ns, facts.st_ino, rows.st_mtime_ns, rows.st_ino, rows.st_size
    return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _folders(path: Path) -> list[Path]:
    """The folders in a folder, in order."""
    if not path.exists():
        return []
    with os.scandir(path) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir())


def flatten(plain: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A description as MLflow parameters; what is empty is left out.

    >>> flatten({"lr": 0.1, "model": {"kind": "mlp"}, "reset": [], "probes": [{"kind": "norms", "steps": [1, 2]}]})
    {'lr': '0.1', 'model.kind': 'mlp', 'probes.0.kind': 'norms', 'probes.0.steps': '[1, 2]'}
    """
    flat: dict[str, str] = {}
    for key, value in plain.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            flat |= flatten(dict(enumerate(value)), f"{name}.")  # type: ignore[arg-type]
        elif value is not None and value != []:
            flat[name] = str(value)
    return flat


def _tags(record: Record, description: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, str]:
    """Tags of a run, or of one member of a sweep with its own description and outcome."""
    facts = record.facts
    status = {"KILLED": "interrupted", "RUNNING": "running"}.get(record.status, outcome["status"])
    git, versions, data = (facts.get(name) or {} for name in ("git", "versions", "data"))
    found = {
        **record.identity,
        "arm": description.get("arm"),
        "seed": None if "seed" in (description.get("sweep") or {}) else description.get("seed"),
        "parent": description.get("parent"),
        "scale": facts.get("scale"),
        "status": status,
        "diverged": outcome.get("reason") if status == "diverged" else None,
        "updates": outcome.get("updates"),
        "start_step": facts.get("start_step"),
        "tokens_per_second": facts.get("tokens_per_second"),
        "data.digest": data.get("digest"),
        "git.commit": git.get("commit"),
        "git.dirty": git.get("dirty"),
        "torch": versions.get("torch"),
        "device": facts.get("device"),
        "cpu": facts.get("cpu"),
        "mlflow.source.name": f"studies/{facts['study']}/study.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git.get("commit"),
        "mlflow.note.content": _run_note(record, description),
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def _run_note(record: Record, description: Mapping[str, Any]) -> str:
    study, parent = record.facts["study"], description.get("parent")
    lines = [f"One training of the study **{study}**, written by `results/{study}/{record.name}/`."]
    if parent:
        lines.append(
            f"It continues **{parent}** after update {record.facts.get('start_step', 0)}; its curves begin there."
        )
    if description.get("sweep"):
        lines.append("It is a sweep: open the row to see one nested run for each member, which hold the metrics.")
    return "\n\n".join(lines)


def _experiment_note(study: str) -> str:
    return EXPERIMENT_NOTE.format(study=study, question=_question(study))


def _question(study: str) -> str:
    """First paragraph of the docstring of a study's study.py."""
    file = provenance.ROOT / "studies" / study / "study.py"
    if not file.exists():
        return f"Study {study}"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or f"Study {study}"
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


@dataclass(frozen=True)
class Summary:
    """Figures and claims of a study, which MLflow shows as one more run."""

    study: str
    files: tuple[tuple[str, Path], ...]
    """Artifact folder and file."""
    claims: tuple[dict[str, Any], ...]
    ended_ms: int
    """Unix milliseconds at which the last of the study's runs ended."""

    @classmethod
    def read(cls, results: Path, study: str, *, ended_ms: int) -> "Summary | None":
        """What a study has to show, or None if there is no figure and no claim yet."""
        claims = results / study / "claims.json"
        files = [("figures", file) for file in _figures(results, study)]
        files += [("claims", file) for file in (claims, results / "claims.md") if file.exists()]
        if not claims.exists() and not any(folder == "figures" for folder, _ in files):
            return None
        found = json.loads(claims.read_text(encoding="utf-8"))["claims"] if claims.exists() else []
        return cls(study, tuple(files), tuple(found), ended_ms)

    @property
    def name(self) -> str:
        """Name of the MLflow run."""
        return f"{self.study} figures and claims"

    @cached_property
    def digest(self) -> str:
        """Changes with any of the files."""
        parts = [f"{folder}/{file.name} {_digest(file.read_bytes())}" for folder, file in self.files]
        return _digest("\n".join([str(self.ended_ms), *parts]).encode())

    @property
    def numbers(self) -> dict[str, float]:
        """Metrics: estimate and ends of the interval of each claim."""
        values = {
            f"verdicts/{c['id']}.{end}": c["verdict"][end] for c in self.claims for end in ("estimate", "low", "high")
        }
        return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}

    @property
    def tags(self) -> dict[str, str]:
        """Verdict of each claim, and where all this comes from."""
        verdicts = {f"{claim['id']}.verdict": claim["verdict"]["verdict"] for claim in self.claims}
        source = {"mlflow.source.name": f"studies/{self.study}", "mlflow.source.type": "LOCAL"}
        return {"study": self.study, "status": "complete", **verdicts, **source, "mlflow.note.content": self.note}

    @property
    def note(self) -> str:
        """The claims in words."""
        lines = ["Figures (artifacts) and verdicts of this study. The metrics are the claims' estimates and intervals."]
        for claim in self.claims:
            verdict = claim["verdict"]
            low, high = ("open" if verdict[end] is None else f"{verdict[end]:.3g}" for end in ("low", "high"))
            ours = f"{verdict['estimate']:.3g} [{low}, {high}] {verdict['unit']}"
            lines.append(f"* {claim['id']} **{verdict['verdict']}**: {claim['statement']}. Ours: {ours}.")
        return "\n".join([lines[0], "", *lines[1:]])


def _figures(results: Path, study: str) -> list[Path]:
    """Files figures/<study>_*, without those of a study whose name begins with this one's name and an underscore."""
    longer = [path.name for path in results.glob(f"{study}_*/") if path.is_dir()]
    found = (file for end in FIGURES for file in (results.parent / "figures").glob(f"{study}_*.{end}"))
    return sorted(file for file in found if not any(file.name.startswith(f"{name}_") for name in longer))


def store_uri(folder: Path) -> str:
    """The tracking store of a working directory: MLFLOW_TRACKING_URI if it is set, else `mlflow.db` in that folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve() / 'mlflow.db'}"


def prepare_store(uri: str) -> None:
    """Create the tables of a store that has none, once, however many processes ask at the same time.

    Left alone, several processes that start on a missing database all create it, and all but one fail. A server
    (http://...) looks after its own tables.
    """
    if uri.startswith("http"):
        return
    _settings()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with _locked(uri):
        file = _database(uri)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
        SqlAlchemyStore(uri, _artifacts(uri) or "mlartifacts")  # type: ignore[no-untyped-call]
        if file:
            with closing(sqlite3.connect(file)) as database:
                database.execute("PRAGMA journal_mode=wal")


def _settings() -> None:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _database(uri: str) -> Path | None:
    """The file of an SQLite store; None for a server."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def _artifacts(uri: str) -> str | None:
    """Where the artifacts of an SQLite store go; a server decides that itself."""
    file = _database(uri)
    return (file.resolve().parent / "mlartifacts").as_uri() if file else None


@contextmanager
def _locked(uri: str) -> Iterator[None]:
    """Hold a store for this process among those of this machine; the lock goes with the process."""
    file = _database(uri)
    elsewhere = Path(tempfile.gettempdir()) / f"mlflow-{os.getuid()}-{_digest(uri.encode())}.lock"
    lock = file.with_name(f"{file.name}.lock") if file else elsewhere
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Store:
    """A tracking store that is brought to what the files say."""

    def __init__(self, uri: str) -> None:
        prepare_store(uri)
        _settings()
        from mlflow import MlflowClient

        self.uri = uri
        self.client = MlflowClient(uri)
        self._born = self._birth()
        self._experiments: dict[str, str] = {}

    def gone(self) -> bool:
        """Whether the database was removed or replaced since it was opened."""
        return self._birth() != self._born

    def _birth(self) -> int | None:
        """When the database was prepared; None for a server. (Inode numbers do not tell: they are used again.)"""
        file = _database(self.uri)
        if file is None or not file.exists():
            return None
        with closing(sqlite3.connect(file)) as database:
            found = database.execute("SELECT min(creation_time) FROM experiments").fetchone()
        return int(found[0])

    def run(self, run_dir: Path, *, live: bool) -> None:
        """Bring one run, and the members of its sweep, to what its folder says."""
        with _locked(self.uri):
            record = Record.read(run_dir, live=live)
            if record is None:
                return
            experiment = self._experiment(record.experiment, str(record.facts["study"]))
            run = self._only(experiment, record.name, record.identity, started_ms=record.started_ms)
            cursor = run.data.tags.get(CURSOR, "")
            if cursor == record.cursor:
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
        return {str(run.info.run_name): run.data.tags.get(CURSOR, "") for run in runs}

    def summary(self, summary: Summary, *, experiment: str) -> None:
        """Bring the run with a study's figures and claims to what the files say; one with other files is replaced."""
        with _locked(self.uri):
            place = self._experiment(experiment, summary.study)
            identity = {"study": summary.study, "files": summary.digest}
            run = self._only(place, summary.name, identity, started_ms=summary.ended_ms)
            if run.data.tags.get(CURSOR) == summary.digest:
                return
            for folder, file in summary.files:
                self.client.log_artifact(run.info.run_id, str(file), folder)
            self._finish(run, "FINISHED", summary.ended_ms)
            points = [(name, value, 0) for name, value in summary.numbers.items()]
            self._log(run, points, summary.ended_ms, summary.tags | {CURSOR: summary.digest})

    def _send(self, run: "Run", record: Record, points: Mapping[int | None, list[tuple[str, float, int]]]) -> None:
        """All that is not yet in the store; the cursor, which says so, comes last."""
        description = record.facts["description"]
        self._describe(run, record, description)
        if record.sweep:
            self._members(run, record, points)
        if record.status != "RUNNING":
            for name in ("run.json", "metrics.csv"):
                self.client.log_artifact(run.info.run_id, str(record.folder / name))
        self._finish(run, record.status, record.ended_ms)
        tags = _tags(record, description, record.facts)
        self._log(run, points.get(None, []), record.started_ms, tags | {CURSOR: record.cursor})

    def _members(self, run: "Run", record: Record, points: Mapping[int | None, list[tuple[str, float, int]]]) -> None:
        """One nested run for each member of a sweep that has begun."""
        nested = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
        known = {child.data.tags["member"]: child for child in self._search(run.info.experiment_id, nested)}
        outcomes = record.facts.get("members") or []
        for index, swept in enumerate(record.sweep):
            if index not in points and index >= len(outcomes):
                continue
            outcome = outcomes[index] if index < len(outcomes) else {"status": "running"}
            description = {key: value for key, value in record.facts["description"].items() if key != "sweep"} | swept
            labels = {"mlflow.parentRunId": run.info.run_id, "member": str(index), **record.identity}
            child = known.get(str(index)) or self.client.create_run(
                run.info.experiment_id,
                start_time=record.started_ms,
                run_name=f"{record.name}/" + ",".join(f"{name}={value}" for name, value in swept.items()),
                tags=labels,
            )
            self._describe(child, record, description)
            self._finish(child, record.status, record.ended_ms)
            self._log(child, points.get(index, []), record.started_ms, labels | _tags(record, description, outcome))

    def _describe(self, run: "Run", record: Record, description: Mapping[str, Any]) -> None:
        """Parameters and data set, which never change."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        missing = [Param(*item) for item in flatten(description).items() if item[0] not in run.data.params]
        for some in _chunks(missing, BATCH_LABELS):
            self.client.log_batch(run.info.run_id, params=some)
        data = record.facts.get("data")
        if data and not (run.inputs and run.inputs.dataset_inputs):
            about = json.dumps(description.get("data", {}))
            # MLflow takes at most 36 characters of a digest and shows them all; the tag data.digest has the whole.
            dataset = Dataset(data["name"], data["digest"][:16], "local", about, profile=json.dumps(data))
            tags = [InputTag("mlflow.data.context", "training")]
            self.client.log_inputs(run.info.run_id, [DatasetInput(dataset, tags)])

    def _log(self, run: "Run", points: list[tuple[str, float, int]], since_ms: int, tags: Mapping[str, str]) -> None:
        """Points, then those tags that are new; a point's timestamp is `since_ms` plus its step."""
        from mlflow.entities import Metric, RunTag

        metrics = [Metric(name, value, since_ms + step, step) for name, value, step in points]
        changed = [RunTag(*item) for item in tags.items() if run.data.tags.get(item[0]) != item[1]]
        *first, last = [*_chunks(metrics, BATCH)] or [[]]
        for some in first:
            self.client.log_batch(run.info.run_id, metrics=some)
        if last or changed:
            self.client.log_batch(run.info.run_id, metrics=last, tags=changed)

    def _finish(self, run: "Run", status: str, ended_ms: int) -> None:
        if status == "RUNNING" != run.info.status:
            self.client.update_run(run.info.run_id, status=status)
        elif status != "RUNNING":
            self.client.set_terminated(run.info.run_id, status, end_time=ended_ms)

    def _only(self, experiment: str, name: str, identity: Mapping[str, str], *, started_ms: int) -> "Run":
        """The one active run of that name: the one with this identity, or a new one in the place of all others."""
        found = self._search(experiment, f"attributes.run_name = '{name}'")
        same = [run for run in found if identity.items() <= run.data.tags.items()]
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
        token: str | None = ""
        while token is not None:
            page = self.client.search_runs([experiment], query, max_results=BATCH, page_token=token or None)
            found += page
            token = page.token or None
        return found

    def _experiment(self, name: str, study: str) -> str:
        """Identifier of an experiment, which is made if it is missing."""
        if name in self._experiments:
            return self._experiments[name]
        found = self.client.get_experiment_by_name(name)
        if found is None:
            identifier = self.client.create_experiment(name, _artifacts(self.uri))
        else:
            identifier = found.experiment_id
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(identifier)
        tags = {
            "mlflow.experimentKind": "custom_model_development",
            "mlflow.note.content": _experiment_note(study),
            f"mlflow.sharedViewState.{VIEW}": json.dumps({"selectedColumns": COLUMNS}),
        }
        for key, value in tags.items():
            if found is None or found.tags.get(key) != value:
                self.client.set_experiment_tag(identifier, key, value)
        self._experiments[name] = str(identifier)
        return self._experiments[name]


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def mirror(run_dir: Path, *, uri: str | None = None) -> None:
    """Bring MLflow to what the files of one run say: those of the complete run, else those of its progress.

    Any number of processes may do this at once and may be killed while they do it: one active run of that name, each
    finite metric once. A run that was trained anew (other code, other start) replaces the earlier one.

    Args:
        run_dir: results/<study>/<run>.
        uri: the store; that of the folder that holds `results` if left out (see `store_uri`).
    Raises: RecordError if run.json is damaged; whatever MLflow raises if the store fails.
    """
    Store(uri or store_uri(run_dir.resolve().parents[2])).run(run_dir, live=True)


def rebuild(results: Path, *, uri: str | None = None) -> str:
    """Bring the whole store to what results/ and figures/ say; a store that is up to date is left as it is.

    A run that is not complete is shown as interrupted.

    Returns: one line that says what was mirrored, and to where.
    """
    follower = Follower(results, uri)
    follower.update(live=False)
    follower.summarise()
    return f"mirrored {len(follower.seen)} runs in {results} to {follower.uri}"


class Follower:
    """Keeps a store up to date with a results folder and remembers which files have not changed."""

    def __init__(self, results: Path, uri: str | None = None) -> None:
        self.results = results
        self.uri = uri or store_uri(results.resolve().parent)
        self.seen: dict[Path, tuple[int, ...]] = {}
        self.store: Store | None = None
        self._cursors: dict[str, dict[str, str]] = {}
        self._damaged: set[str] = set()

    def forget(self) -> None:
        """Begin anew: the store has to be opened and asked again."""
        self.store = None
        self.seen.clear()
        self._cursors.clear()

    def update(self, *, live: bool) -> None:
        """Mirror every run whose files have changed. A damaged run.json costs one warning and only its own run."""
        store = self.open()
        for run_dir in (run_dir for study in _folders(self.results) for run_dir in _folders(study)):
            stamp = _stamp(run_dir)
            if stamp is None or (self.seen.get(run_dir) == stamp and (live or stamp[0])):
                continue
            try:
                if not self._has(store, run_dir, live=live):
                    store.run(run_dir, live=live)
            except RecordError as error:
                if str(error) not in self._damaged:
                    self._damaged.add(str(error))
                    _warn(str(error))
            self.seen[run_dir] = stamp

    def summarise(self) -> None:
        """Mirror the figures and claims of every study."""
        store = self.open()
        for study in _folders(self.results):
            found = (Record.read(run_dir, live=False) for run_dir in _folders(study) if _stamp(run_dir))
            runs = [record for record in found if record]
            ended_ms = max((run.ended_ms for run in runs), default=NEVER_MS)
            summary = Summary.read(self.results, study.name, ended_ms=ended_ms)
            if summary:
                store.summary(summary, experiment=runs[0].experiment if runs else study.name)

    def open(self) -> Store:
        """The store, opened anew if its database was removed or replaced."""
        if self.store is None or self.store.gone():
            self.forget()
            self.store = Store(self.uri)
        return self.store

    def _has(self, store: Store, run_dir: Path, *, live: bool) -> bool:
        """Whether the store had all of a run when it was opened; asked once for a whole experiment."""
        if run_dir in self.seen:
            return False
        record = Record.read(run_dir, live=live)
        if record is None:
            return False
        if record.experiment not in self._cursors:
            self._cursors[record.experiment] = store.cursors(record.experiment)
        return self._cursors[record.experiment].get(record.name) == record.cursor


def watch(
    results: Path,
    *,
    owner: int,
    every_seconds: float = 3.0,
    uri: str | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Mirror every run that changes, until the process `owner` is gone or `stop` is set; then all of it once more.

    A store that fails costs one line on stderr, is tried again later, and never raises. The intervals grow so that on
    average no more than a small part of a core is used (CPU_SHARE), up to PATIENCE times.

    Args:
        results: the results folder; it need not exist yet.
        owner: process id of the Snakemake that trains.
        every_seconds: shortest time between two looks at the files.
        uri: the store; that of the folder that holds `results` if left out.
        stop: ends the watch; runs that are not complete are then shown as interrupted.
    """
    stop = stop or threading.Event()
    follower = Follower(results, uri)
    warned = False
    due = 0.0
    while True:
        last = stop.is_set() or not _alive(owner)
        if last or time.monotonic() >= due:
            failure, spent = _update(follower, last=last)
            if failure and not warned:
                warned = True
                _warn(f"MLflow store {follower.uri} failed, training goes on, `snakemake mlflow` fills it: {failure}")
            longest = every_seconds * PATIENCE
            rest = longest if failure else min(spent / CPU_SHARE, longest)
            due = time.monotonic() + max(every_seconds, rest)
        if last:
            return
        stop.wait(min(every_seconds, 1.0))


def _update(follower: Follower, *, last: bool) -> tuple[str | None, float]:
    """One pass over the files: what went wrong, in one line, or None; and CPU seconds, without those of opening."""
    try:
        follower.open()
        before = time.process_time()
        follower.update(live=not last)
        if last:
            follower.summarise()
    except Exception as error:  # whatever the store does, training goes on
        follower.forget()
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", 0.0
    return None, time.process_time() - before


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


def _alive(process: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    state = Path(f"/proc/{process}/stat")
    try:
        return state.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists()


def ui(folder: Path, *, port: int) -> None:
    """Become the MLflow server of a working directory's store, for this machine only."""
    uri = store_uri(folder)
    if uri.startswith("http"):
        sys.exit(f"MLFLOW_TRACKING_URI names a server: open {uri}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            sys.exit(f"port {port} is in use: choose another one with --port")
    address = f"http://127.0.0.1:{port}/#/experiments"
    print(f"MLflow shows {uri} at {address}?{UI_MODE} (end with Ctrl-C)")
    for experiment in Store(uri).client.search_experiments(filter_string="name != 'Default'"):
        view = f"{experiment.experiment_id}/runs?{UI_MODE}&viewStateShareKey={VIEW}"
        print(f"  {experiment.name}: {address}/{view}")
    print('If a page opens in the "GenAI" view, choose "Model training" at the top left, once.', flush=True)
    environment = {**SETTINGS, **os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    options = ["--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    os.chdir(folder)
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", "server", *options], environment)


def main(arguments: Iterable[str] | None = None) -> None:
    """Command line: watch, rebuild, mirror, ui."""
    parser = argparse.ArgumentParser(prog="python -m common.tracking", description="MLflow as a mirror of results/.")
    commands = parser.add_subparsers(dest="command", required=True)
    watching = commands.add_parser("watch", help="mirror what changes while a process trains")
    watching.add_argument("--owner", type=int, required=True, help="process id of the Snakemake that trains")
    watching.add_argument("--every", type=float, default=3.0, metavar="SECONDS", help="shortest interval (3)")
    rebuilding = commands.add_parser("rebuild", help="bring the whole store to what results/ says")
    for command in (watching, rebuilding):
        command.add_argument("--results", type=Path, default=Path("results"), help="results folder (results)")
    one = commands.add_parser("mirror", help="bring one run to what its folder says")
    one.add_argument("run_dir", type=Path, help="results/<study>/<run>")
    serving = commands.add_parser("ui", help="browse the runs on localhost")
    serving.add_argument("--port", type=int, default=UI_PORT, help=f"port ({UI_PORT})")
    serving.add_argument("--directory", type=Path, default=Path(), help="working directory with the store (.)")
    given = parser.parse_args(None if arguments is None else list(arguments))
    match given.command:
        case "watch":
            os.nice(5)
            watch(given.results, owner=given.owner, every_seconds=given.every, stop=_stop_flag())
        case "rebuild":
            print(rebuild(given.results))
        case "mirror":
            mirror(given.run_dir)
        case "ui":
            ui(given.directory, port=given.port)


def _stop_flag() -> threading.Event:
    """Set by SIGTERM and SIGHUP. SIGINT is left to the owner, whose end is noticed."""
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop


if __name__ == "__main__":
    main()
