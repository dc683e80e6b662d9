"""Train one run as a job: lock, resume, rows, state, progress, record.

Whatever happens to the process, the same job started again continues from the last saved state and ends with the same
bytes. All files of a run in training live in its `progress` folder and move to their places when it is complete.
"""

import dataclasses
import resource
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import torch

from common import config, data
from common.config import Data, Run
from common.data import Dataset
from common.optim import optimizers
from common.runs import checkpoint, damage, gpus, origin, published, ranks, records
from common.runs.damage import Damaged
from common.runs.owner import end_with_owner
from common.runs.parent import Parent, contents
from common.runs.place import FILES, LOCK, Place
from common.runs.progress import Progress
from common.runs.stop import Stop
from common.training import process
from common.training.loop import Row, State, Training, columns
from common.training.vectorised import together

KILOBYTES = 1.024 if sys.platform != "darwin" else 0.001
"""Unit in which a process is told its largest resident set: KiB on Linux, bytes on macOS."""

FORMAT = 2
"""Of run.json: 1, or none, was written by the first edition."""


@dataclass(frozen=True)
class Job:
    """What one job trains and where its files are."""

    place: Place
    run: Run
    code: str
    """Digest of the code that decides the run's numbers."""
    scale: str
    save_seconds: float
    """Seconds of training between two saved states."""
    terminal: TextIO | None = None
    """Where progress is shown."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], *, terminal: TextIO | None = None) -> "Job":
        """A job from plain values: study, name and results folder, with the run as `config.identity` gives it."""
        rest = {name: plain[name] for name in ("code", "scale", "save_seconds")}
        place = Place(plain["study"], plain["name"], Path(plain["results"]))
        run = dataclasses.replace(config.run_from_dict(plain["run"]), name=place.run)
        return cls(place=place, run=run, **rest, terminal=terminal)

    @cached_property
    def parent(self) -> Parent | None:
        """The run that it continues."""
        return Parent.of(self.run, self.place)

    @cached_property
    def members(self) -> list[Run]:
        """The single runs of a sweep, or the run."""
        return config.members(self.run)

    def swept(self, index: int) -> dict[str, int | float]:
        """Fields and values that tell member `index` of a sweep from the others; empty without a sweep."""
        return {name: getattr(self.members[index], name) for name in self.run.sweep or {}}


def preload() -> None:
    """Import what trainings need; torch loads much of it only when the first optimizer is made."""
    origin.here()
    for family in (config.Model, config.Data, config.Optimizer, config.Schedule, config.Probe):
        for kind in family.kinds().values():
            config.named(kind.code)
    optimizers.build(config.AdamW(), [("weight", torch.nn.Parameter(torch.zeros(1, 1)))], lr=1.0)


def run(job: Mapping[str, Any], *, terminal: TextIO) -> None:
    """Train the job that plain values describe (see `Job.from_plain`), with its progress on the terminal."""
    made = Job.from_plain(job, terminal=terminal)
    if made.run.device == "cuda":
        gpus.lease(ranks.on_each_node(made.run.ranks))
        gpus.repeatable()
    if made.run.ranks > 1:
        ranks.launch(job, count=made.run.ranks, terminal=terminal)
    else:
        train(made)


Datasets = Mapping[Data, Dataset]
"""The data sets of a run by description, its own first."""

CURRENT = "current/"
"""Begins the label of a state at which a member was interrupted."""


class Interrupted(SystemExit):
    """The job was asked to end; its state is saved."""


class Session:
    """A job in progress: what its members have done so far, in this process and in earlier ones."""

    training = Training

    def __init__(self, job: Job, stop: Stop, datasets: Datasets, record: dict[str, Any]) -> None:
        self.job, self.stop = job, stop
        self.datasets, self.record = datasets, record
        self.dataset = self.datasets[job.run.data]
        self.outcomes: list[dict[str, Any]] = []
        self.states: dict[str, State] = {}
        self.current: dict[int, State] = {}
        self.reasons: dict[int, str | None] = {}
        self.seconds = 0.0
        saved = _saved(job, self.datasets)
        self._meet()
        if saved:
            self._restore(saved)
        else:
            self._begin()

    def train(self) -> None:
        """Train the members that have not been trained yet, and publish what they gave."""
        for group in self.groups():
            self.train_group(group)
        self.finish()

    def _begin(self) -> None:
        _remove_all(self.job.place.progress, but=(LOCK,))
        self._write_record()
        self._open()

    def _write_record(self) -> None:
        records.write_json(self.job.place.progress / "run.json", self.record)

    def _open(self, size: int | None = None) -> None:
        """Begin metrics.csv, or go on at a size, with nothing beside it that an earlier process was writing."""
        _remove_all(self.job.place.progress, but=(LOCK, *FILES))
        self.rows = records.Rows(self.job.place.progress / "metrics.csv", self._columns(), size=size)

    def _restore(self, saved: dict[str, Any]) -> None:
        file = self.job.place.progress / "state.safetensors"
        self.record = records.read_record(file)
        self.outcomes, self.seconds = saved["outcomes"], saved["seconds"]
        self.states = {label: checkpoint.load(file, label) for label in checkpoint.labels(file)}
        self.current = {
            index: self.states.pop(label)
            for index in range(len(self.job.members))
            if (label := f"{CURRENT}{index}") in self.states
        }
        self.reasons = dict(zip(self.current, saved["reasons"], strict=True))
        if here := origin.scheduled():
            self.record["attempts"] = [*self.record.get("attempts", []), here]
            self._write_record()
        self._open(saved["rows_size"])

    def _columns(self) -> list[str]:
        swept = ["member", *self.job.run.sweep] if self.job.run.sweep else []
        return [*swept, *columns(self.job.members[0], self.dataset)]

    def groups(self) -> list[list[int]]:
        """Members that train together, and have not yet: all at once if the run stacks them, else each alone."""
        left = list(range(len(self.outcomes), len(self.job.members)))
        return [left] if self.job.run.stacked and left else [[index] for index in left]

    def train_group(self, group: list[int]) -> None:
        """Train some members to their end; one whose parent diverged has nothing to begin with."""
        orphaned = {index: reason for index in group if (reason := self._orphaned(index))}
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
            stopping = self._stopping()
            if stopping or now - saved >= self.job.save_seconds:
                self._save(members)
                saved = now
            if stopping:
                raise Interrupted(f"stopped after update {done}; its state is saved")

    def _take(self, index: int, training: Training, row: Row) -> None:
        """Keep a row of a member, and the checkpoints it reached."""
        swept = self.job.swept(index)
        self._write(({"member": index, **swept} if swept else {}) | row)
        self.states |= {f"{self._prefix(index)}{step}": state for step, state in training.kept.items()}

    def _write(self, row: Row) -> None:
        self.rows.append(row)

    def _outcome(self, index: int, training: Training) -> dict[str, Any]:
        """Keep the last state of a member; what became of it."""
        self.states[f"{self._prefix(index)}final"] = training.state()
        status = "diverged" if training.reason else "complete"
        return {"status": status, "reason": training.reason, "updates": training.done}

    def _prefix(self, index: int) -> str:
        """What the labels of a member's states begin with."""
        return f"{index}/" if self.job.run.sweep else ""

    def _orphaned(self, index: int) -> str | None:
        """Why a member has no state to continue although it has a parent."""
        return self.job.parent.reason(self.job.members[index]) if self.job.parent else None

    def _training(self, index: int) -> Training:
        member, parent = self.job.members[index], self.job.parent
        return self.training(
            member,
            self.dataset,
            others=self.datasets,
            parent=parent.state(member) if parent else None,
            resumed=self.current.pop(index, None),
            start_step=self.record["start_step"],
            inherited=parent.inherited(member, self.datasets) if parent else {},
            reason=self.reasons.get(index),
        )

    def _meet(self) -> None:
        """Wait for the other processes of the run before its files change."""

    def _stopping(self) -> bool:
        """Whether this process was asked to end."""
        return self.stop.is_set()

    def _save(self, trainings: Mapping[int, Training]) -> None:
        about = {
            "identity": _identity(self.job, self.datasets),
            "rows_size": self.rows.size(),
            "seconds": self.seconds,
            "outcomes": self.outcomes,
            "reasons": [training.reason for training in trainings.values()],
        }
        current = {f"{CURRENT}{index}": training.state(resumable=True) for index, training in trainings.items()}
        checkpoint.save(self.job.place.progress / "state.safetensors", self.states | current, about=about)

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
            "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTES / 1000, 1),
            "tokens_per_second": round(updates * each / self.seconds, 1) if updates else None,
            "updates": updates,
            "lineage_updates": self.record["start_step"] * len(self.outcomes) + updates,
        }
        if self.job.run.sweep:
            record["members"] = self.outcomes
        whole = damage.sealed(record, metrics=self.job.place.progress / "metrics.csv")
        records.write_json(self.job.place.progress / "run.json", whole)
        checkpoint.save(self.job.place.progress / "state.safetensors", self.states)
        records.publish(self.job.place)


def train(job: Job, *, session: type[Session] = Session, told: Callable[[bool], bool] = bool) -> None:
    """Train a run, from its saved state if there is one, and publish its record, rows and state.

    What is published already, of the same description, code, data and parent, stays, whatever made Snakemake ask for it
    again: results that were copied from elsewhere, or files that were touched.

    Args:
        job: what to train.
        session: how.
        told: is given whether the run is published already, and gives it back, once it has been passed on.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the state is saved.
        DamagedState: the parent's state is not what was written.
    """
    stop = Stop(signal.SIGINT, signal.SIGTERM)
    end_with_owner()
    with records.exclusive(job.place):
        datasets = data.load_all(job.run, corpora=job.place.corpora)
        facts = facts_of(job, datasets)
        if told(published.is_of(job.place, facts)):
            published.keep(job.place)
            tell(job, "trained before, and kept")
            return
        if job.run.compile and not facts["compiled"]:
            tell(job, "compile=True needs a C++ compiler (g++, or CXX); it trains as with compile=False")
        session(job, stop, datasets, facts).train()


def tell(job: Job, message: str) -> None:
    """Say something of a job on its terminal."""
    print(f"{job.place.label}: {message}", file=job.terminal or sys.stderr, flush=True)


def _identity(job: Job, datasets: Datasets) -> dict[str, Any]:
    """What must be equal for a saved state to belong to this job."""
    digests = [dataset.digest for dataset in datasets.values()]
    return {"description": config.identity(job.run), "code": job.code, "data": digests}


def _saved(job: Job, datasets: Datasets) -> dict[str, Any] | None:
    """What an earlier process kept beside its state, if that belongs to this job and all that goes with it is sound."""
    file = job.place.progress / "state.safetensors"
    if not file.exists():
        return None
    try:
        saved = checkpoint.about(file)
        for label in checkpoint.labels(file):
            checkpoint.load(file, label)
        records.read_record(file)
        records.check_size(file.with_name("metrics.csv"), saved.get("rows_size", 0))
    except Damaged as error:
        tell(job, f"{error}; training starts from the beginning")
        return None
    return saved if saved.get("identity") == _identity(job, datasets) else None


def _remove_all(folder: Path, *, but: Collection[str]) -> None:
    """Remove what an earlier process left, such as the half of a state that it was writing when it was killed."""
    for file in folder.iterdir():
        if file.name not in but:
            file.unlink()


def facts_of(job: Job, datasets: Datasets) -> dict[str, Any]:
    """The run.json of a run that begins."""
    parent = job.parent
    return {
        "format": FORMAT,
        "study": job.place.study,
        "name": job.place.run,
        "scale": job.scale,
        "status": "running",
        "reason": None,
        "description": config.to_dict(job.run),
        "code": job.code,
        "started_ms": time.time_ns() // 1_000_000,
        "start_step": parent.start_step if parent else 0,
        **({"parent_states": parent.digests(job.members)} if parent else {}),
        **contents(datasets),
        **origin.here(),
        **({"attempts": [here]} if (here := origin.scheduled()) else {}),
        "device": torch.cuda.get_device_name() if job.run.device == "cuda" else "cpu",
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": job.run.threads,
        **({"compiled": process.compiles(job.run)} if job.run.compile else {}),
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
        job.place.label, steps=run.steps, tokens_per_step=each, unit="tok" if dataset.context else "ex", to=job.terminal
    )
