"""Train one run as a job: lock, resume, rows, state, progress, record (layer 3).

Whatever happens to the process, the same job started again continues from the last saved state and ends with the same
bytes. All files of a run in training live in its `progress` folder and move to their places when it is complete.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import torch

from common import checkpoint, config, data, provenance, records
from common.checkpoint import DamagedState
from common.config import Data, Run
from common.data import Dataset
from common.engine import Row, State, Training, columns, evaluated
from common.progress import Progress
from common.stack import together
from common.workflow import OWNER, alive


@dataclass(frozen=True)
class Job:
    """What one job trains and where its files are."""

    study: str
    name: str
    run: Run
    code: str
    """Digest of the code that decides the run's numbers."""
    results: Path
    scale: str
    save_seconds: float
    """Seconds of training between two saved states."""
    terminal: TextIO | None = None
    """Where progress is shown."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], *, terminal: TextIO | None = None) -> "Job":
        """A job from plain values, with the run as `config.to_dict` gives it."""
        run = config.run_from_dict(plain["run"])
        return cls(**{**plain, "run": run, "results": Path(plain["results"])}, terminal=terminal)

    @property
    def label(self) -> str:
        """Full name of the run."""
        return f"{self.study}/{self.name}"

    @property
    def folder(self) -> Path:
        """Folder of the run's outputs."""
        return self.results / self.study / self.name

    @property
    def progress(self) -> Path:
        """Folder of all that is not complete."""
        return records.progress_dir(self.folder)

    @cached_property
    def members(self) -> list[Run]:
        """The single runs of a sweep, or the run."""
        return config.members(self.run)

    def swept(self, index: int) -> dict[str, int | float]:
        """Fields and values that tell member `index` of a sweep from the others; empty without a sweep."""
        return {name: getattr(self.members[index], name) for name in self.run.sweep or {}}


Datasets = Mapping[Data, Dataset]
"""The data sets of a run by description, its own first."""

CURRENT = "current/"
"""Begins the label of a state at which a member was interrupted."""


class Interrupted(SystemExit):
    """The job was asked to end; its state is saved."""


def train(job: Job) -> None:
    """Train a run, from its saved state if there is one, and publish its record, rows and state.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the state is saved.
        DamagedState: the parent's state is not what was written.
    """
    stop = _stop_flag()
    _end_with_owner()
    with records.exclusive(job.folder):
        session = _Session(job, stop)
        for group in session.groups():
            session.train_group(group)
        session.finish()


class _Session:
    """A job in progress: what its members have done so far, in this process and in earlier ones."""

    def __init__(self, job: Job, stop: threading.Event) -> None:
        self.job, self.stop = job, stop
        self.datasets = data.load_all(job.run, corpora=job.results / "data")
        self.dataset = self.datasets[job.run.data]
        self.outcomes: list[dict[str, Any]] = []
        self.states: dict[str, State] = {}
        self.current: dict[int, State] = {}
        self.reasons: dict[int, str | None] = {}
        self.seconds = 0.0
        saved = _saved(job, self.datasets)
        if saved:
            self._restore(saved)
        else:
            self._begin()

    def _begin(self) -> None:
        _empty(self.job.progress)
        self.record = _record(self.job, self.datasets, start_step=_start_step(self.job))
        records.write_json(self.job.progress / "run.json", self.record)
        self.rows = records.Rows(self.job.progress / "metrics.csv", self._columns())

    def _restore(self, saved: dict[str, Any]) -> None:
        file = self.job.progress / "state.safetensors"
        self.record = records.read_record(file)
        self.outcomes, self.seconds = saved["outcomes"], saved["seconds"]
        self.states = {label: checkpoint.load(file, label) for label in checkpoint.labels(file)}
        self.current = {
            index: self.states.pop(label)
            for index in range(len(self.job.members))
            if (label := f"{CURRENT}{index}") in self.states
        }
        self.reasons = dict(zip(self.current, saved["reasons"], strict=True))
        self.rows = records.Rows(self.job.progress / "metrics.csv", self._columns(), size=saved["rows_size"])

    def _columns(self) -> list[str]:
        swept = ["member", *self.job.run.sweep] if self.job.run.sweep else []
        return [*swept, *columns(self.job.members[0], self.dataset)]

    def groups(self) -> list[list[int]]:
        """Members that train together, and have not yet: all at once if the run stacks them, else each alone."""
        left = list(range(len(self.outcomes), len(self.job.members)))
        return [left] if self.job.run.stacked and left else [[index] for index in left]

    def train_group(self, group: list[int]) -> None:
        """Train some members to their end; one whose parent diverged has nothing to begin with."""
        orphaned = {index: reason for index in group if (reason := _orphaned(self.job, index))}
        trainings = {index: self._training(index) for index in group if index not in orphaned}
        if trainings:
            self._train(trainings)
        for index in group:
            outcome = {"status": "diverged", "reason": orphaned.get(index), "updates": 0}
            if index in trainings:
                outcome = self._outcome(index, trainings[index])
            self.outcomes.append({"member": index, "swept": self.job.swept(index), **outcome})

    def _train(self, members: Mapping[int, Training]) -> None:
        """Train members side by side, with their rows and now and then their states saved."""
        places, trainings = list(members), list(members.values())
        progress = _progress(self.job, trainings)
        before, began = self.seconds, time.monotonic()
        saved = began
        for rows in _rows(self.job, trainings):
            for place, row in rows.items():
                self._take(places[place], trainings[place], row)
            done = max(training.done for training in trainings)
            progress.update(done, next(iter(rows.values())).get("train_loss"))
            now = time.monotonic()
            self.seconds = before + now - began
            if self.stop.is_set() or now - saved >= self.job.save_seconds:
                self._save(members)
                saved = now
            if self.stop.is_set():
                raise Interrupted(f"{self.job.label}: stopped after update {done}; its state is saved")

    def _take(self, index: int, training: Training, row: Row) -> None:
        """Keep a row of a member, and the states that it has come by."""
        swept = self.job.swept(index)
        self.rows.append(({"member": index, **swept} if swept else {}) | row)
        self.states |= {f"{self._prefix(index)}{step}": state for step, state in training.kept.items()}

    def _outcome(self, index: int, training: Training) -> dict[str, Any]:
        """Keep the last state of a member; what became of it."""
        self.states[f"{self._prefix(index)}final"] = training.state()
        status = "diverged" if training.reason else "complete"
        return {"status": status, "reason": training.reason, "updates": training.done}

    def _prefix(self, index: int) -> str:
        """What the labels of a member's states begin with."""
        return f"{index}/" if self.job.run.sweep else ""

    def _training(self, index: int) -> Training:
        return Training(
            self.job.members[index],
            self.dataset,
            others=self.datasets,
            parent=_parent_state(self.job, index),
            resumed=self.current.pop(index, None),
            start_step=self.record["start_step"],
            inherited=_inherited(self.job, self.datasets, index),
            reason=self.reasons.get(index),
        )

    def _save(self, trainings: Mapping[int, Training]) -> None:
        about = {
            "identity": _identity(self.job, self.datasets),
            "rows_size": self.rows.size(),
            "seconds": self.seconds,
            "outcomes": self.outcomes,
            "reasons": [training.reason for training in trainings.values()],
        }
        current = {f"{CURRENT}{index}": training.state(resumable=True) for index, training in trainings.items()}
        checkpoint.save(self.job.progress / "state.safetensors", self.states | current, about=about)

    def finish(self) -> None:
        """Write the complete files and move them to their places."""
        self.rows.close()
        updates = sum(outcome["updates"] for outcome in self.outcomes)
        diverged = [outcome for outcome in self.outcomes if outcome["status"] == "diverged"]
        each = (self.job.run.batch_size or self.dataset.size) * (self.job.run.data.context or 1)
        record = self.record | {
            "status": "diverged" if len(diverged) == len(self.outcomes) else "complete",
            "reason": diverged[0]["reason"] if diverged else None,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(updates * each / self.seconds, 1) if updates else None,
            "updates": updates,
            "lineage_updates": self.record["start_step"] * len(self.outcomes) + updates,
        }
        if self.job.run.sweep:
            record["members"] = self.outcomes
        records.write_json(self.job.progress / "run.json", record)
        checkpoint.save(self.job.progress / "state.safetensors", self.states)
        records.publish(self.job.folder)


def _identity(job: Job, datasets: Datasets) -> dict[str, Any]:
    """What must be equal for a saved state to belong to this job."""
    digests = [dataset.digest for dataset in datasets.values()]
    return {"description": config.to_dict(job.run), "code": job.code, "data": digests}


def _saved(job: Job, datasets: Datasets) -> dict[str, Any] | None:
    """What an earlier process kept beside its state, if that state belongs to this job and is sound."""
    file = job.progress / "state.safetensors"
    if not file.exists():
        return None
    try:
        saved = checkpoint.about(file)
        for label in checkpoint.labels(file):
            checkpoint.load(file, label)
    except DamagedState as error:
        print(f"{job.label}: {error}; training starts from the beginning", file=job.terminal, flush=True)
        return None
    return saved if saved["identity"] == _identity(job, datasets) else None


def _empty(folder: Path) -> None:
    """Remove what an abandoned attempt left, but not the lock that this process holds."""
    for file in folder.iterdir():
        if file.name != "lock":
            file.unlink()


def _parent_file(job: Job) -> Path | None:
    """The states of the run that a job continues, if it continues one."""
    if job.run.parent is None:
        return None
    study, _, name = job.run.parent.rpartition("/")
    return job.results / (study or job.study) / name / "state.safetensors"


def _described(file: Path) -> Run:
    """The description by which a run was trained, by the path of any of its files."""
    return config.run_from_dict(records.read_record(file)["description"])


def _start_step(job: Job) -> int:
    """Updates behind the state that a job continues, 0 without a parent."""
    file = _parent_file(job)
    if file is None:
        return 0
    behind: int = records.read_record(file)["start_step"]
    return behind + (job.run.parent_step or _described(file).steps)


def _continued(job: Job, index: int, file: Path) -> int:
    """Which member of its parent a member continues."""
    return config.continued(job.members[index], _described(file))


def _orphaned(job: Job, index: int) -> str | None:
    """Why a member has no state to continue although it has a parent: that one diverged."""
    file = _parent_file(job)
    if file is None:
        return None
    record = records.read_record(file)
    outcome = record["members"][_continued(job, index, file)] if "members" in record else record
    return f"its parent {job.run.parent} diverged: {outcome['reason']}" if outcome["status"] == "diverged" else None


def _parent_state(job: Job, index: int) -> State | None:
    """The state that a member continues, if it continues one."""
    file = _parent_file(job)
    if file is None:
        return None
    prefix = f"{_continued(job, index, file)}/" if _described(file).sweep else ""
    return checkpoint.load(file, prefix + ("final" if job.run.parent_step is None else str(job.run.parent_step)))


def _inherited(job: Job, datasets: Datasets, index: int) -> Row:
    """What the parent's own evaluation of the state to continue gave; nothing where this run's would differ."""
    file = _parent_file(job)
    if file is None or "weights" in job.run.reset:
        return {}
    record, before = records.read_record(file), _described(file)
    same = (before.data, before.watched, before.precision) == (job.run.data, job.run.watched, job.run.precision)
    if not same or not _contents(datasets).items() <= record.items():
        return {}
    member = _continued(job, index, file) if before.sweep else None
    found = records.evaluated(file.with_name("metrics.csv"), step=_start_step(job), member=member)
    names = evaluated(job.members[index], datasets[job.run.data])
    return {name: found[name] for name in names} if found.keys() >= set(names) else {}


def _contents(datasets: Datasets) -> dict[str, Any]:
    """What a record says of the content of a run's data sets."""
    own, *others = ({"name": dataset.name, "digest": dataset.digest} for dataset in datasets.values())
    return {"data": own, "other_data": others} if others else {"data": own}


def _record(job: Job, datasets: Datasets, *, start_step: int) -> dict[str, Any]:
    """The run.json of a run that begins."""
    return {
        "study": job.study,
        "name": job.name,
        "scale": job.scale,
        "status": "running",
        "reason": None,
        "description": config.to_dict(job.run),
        "code": job.code,
        "started_ms": time.time_ns() // 1_000_000,
        "start_step": start_step,
        **_contents(datasets),
        "git": provenance.git_state(),
        "versions": provenance.versions(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": job.run.threads,
    }


def _rows(job: Job, trainings: list[Training]) -> Iterator[dict[int, Row]]:
    """Rows of trainings as they come, by place in the list."""
    if job.run.stacked:
        return together(trainings)
    (alone,) = trainings
    return ({0: row} for row in alone)


def _progress(job: Job, trainings: list[Training]) -> Progress:
    run, dataset = trainings[0].run, trainings[0].dataset
    each = (run.batch_size or dataset.size) * (dataset.context or 1) * len(trainings)
    return Progress(
        job.label, steps=run.steps, tokens_per_step=each, unit="tok" if dataset.context else "ex", to=job.terminal
    )


def _stop_flag() -> threading.Event:
    """Set by SIGINT and SIGTERM: the training then saves its state and ends."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _end_with_owner() -> None:
    """End this process when the Snakemake that started it is gone, so that no orphan writes on."""
    if OWNER not in os.environ:
        return

    def watch() -> None:
        while alive(int(os.environ[OWNER])):
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
