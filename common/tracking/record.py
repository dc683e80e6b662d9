"""One run as MLflow is to show it: its files at one moment, its points, parameters and tags."""

import csv
import hashlib
import io
import json
import math
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from common import config
from common.runs.place import PROGRESS
from common.tracking import links

STARTED = "mlflow.started_ms"
"""Tag with the start of a training; MLflow shows no tag that begins like this."""

EDITION = "3"
"""Word of the cursor that changes with what is made of the files, so that older stores get it as well."""

Points = dict[int | None, list[tuple[str, float, int]]]
"""Measured values (name, value, step) by member of a sweep; all under None if there is no sweep."""


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
    figures: str = ""
    """The figures that it feeds, as far as they are drawn (see `views.figures_of`)."""

    @classmethod
    def read(cls, run_dir: Path, *, live: bool, figures: str = "") -> "Record | None":
        """What a run's folder says now, or None if there is nothing to tell yet.

        Args:
            run_dir: results/<study>/<run>.
            live: whether a run that is not complete is training; otherwise it was interrupted.
            figures: those that it feeds.
        """
        for folder in (run_dir, run_dir / PROGRESS):
            try:
                text, rows = (folder / "run.json").read_bytes(), (folder / "metrics.csv").read_bytes()
            except FileNotFoundError:
                continue  # not begun, not complete, or just moving from the one place to the other
            unfinished = "RUNNING" if live else "KILLED"
            status = "FINISHED" if folder == run_dir else unfinished
            return cls(folder, _facts(folder, text), digest(text), rows[: rows.rfind(b"\n") + 1], status, figures)
        return None

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.facts["name"])

    @property
    def study(self) -> str:
        """Name of the study."""
        return str(self.facts["study"])

    @property
    def experiment(self) -> str:
        """Name of the experiment: the study, and its scale if it is not the default one, so that a shared store keeps
        the scales apart.
        """
        scale = self.facts.get("scale", "default")
        return self.study if scale == "default" else f"{self.study} ({scale})"

    @property
    def identity(self) -> dict[str, str]:
        """Tags that tell this training of the run from an earlier one."""
        return {"study": self.study, "code": self.facts["code"], STARTED: str(self.started_ms)}

    @property
    def description(self) -> dict[str, Any]:
        """The run as `config.to_dict` gives it."""
        described: dict[str, Any] = self.facts["description"]
        return described

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
        """Value of the tag `mlflow.mirrored` once all of this has arrived."""
        fed = digest(self.figures.encode())[:8] if self.figures else "-"
        return f"{len(self.metrics)} {digest(self.metrics)} {self.facts_digest} {self.status} {EDITION} {fed}"

    def arrived(self, cursor: str) -> int | None:
        """Bytes of `metrics` that a store with this cursor already has; None if it has other bytes."""
        size, content, *_ = cursor.split() if cursor else ("0", digest(b""))
        return int(size) if digest(self.metrics[: int(size)]) == content else None

    def lacks_figures_only(self, cursor: str) -> bool:
        """Whether a store with this cursor has all but the figures that the run feeds."""
        return bool(cursor) and cursor.split()[:-1] == self.cursor.split()[:-1]

    def finals(self, metric: str) -> list[float]:
        """The last finite values of a metric: of the run, or of each member of its sweep that is not diverged."""
        header, _, rows = self.metrics.decode("utf-8").partition("\n")
        columns = header.split(",")
        if metric not in columns:
            return []
        place, member = columns.index(metric), columns.index("member") if "member" in columns else None
        last: dict[str, float] = {}
        for row in reversed(rows.splitlines()):
            values = row.split(",")
            key = values[member] if member is not None else ""
            if key not in last and values[place]:
                last[key] = float(values[place])
                if len(last) == max(1, len(self.sweep)):
                    break
        outcomes = self.facts.get("members") or []
        ill = {str(index) for index, outcome in enumerate(outcomes) if outcome["status"] == "diverged"}
        return [last[key] for key in sorted(last) if math.isfinite(last[key]) and key not in ill]

    @property
    def best_and_mean(self) -> list[tuple[str, float, int]]:
        """What a sweep shows of the ends of its members, as points; nothing while it trains, or without a sweep."""
        finals = self.finals("val_loss") if self.sweep and self.status == "FINISHED" else []
        if not finals:
            return []
        step = self.budget
        return [("best_val_loss", min(finals), step), ("mean_val_loss", math.fsum(finals) / len(finals), step)]

    @property
    def budget(self) -> int:
        """Updates behind the end of the run, those of the runs that it continues included."""
        return int(self.facts.get("start_step") or 0) + int(self.description["steps"])

    @property
    def parameters(self) -> dict[str, Any]:
        """The description without the fields that a sweep varies, which its members have."""
        return {
            key: value for key, value in self.description.items() if key not in (self.description.get("sweep") or {})
        }

    def points(self, *, after: int) -> Points:
        """Finite values of the rows behind byte `after` that are shown."""
        first = self.metrics.find(b"\n") + 1
        text = self.metrics[:first] + self.metrics[max(after, first) :]
        rows = csv.DictReader(io.StringIO(text.decode("utf-8")))
        columns = list(rows.fieldnames or ["step"])
        measured = columns[columns.index("step") + 1 :]
        found: Points = defaultdict(list)
        for row in filter(self._shown, rows):
            member = int(row["member"]) if "member" in columns else None
            values = ((name, float(row[name])) for name in measured if row[name])
            found[member] += [(name, value, int(row["step"])) for name, value in values if math.isfinite(value)]
        return found

    def _shown(self, row: Mapping[str, str]) -> bool:
        """Whether a row goes to the store: all but evaluations between two rows that are logged anyway.

        A run that is evaluated after every update has more values than a store takes in while others train. The
        artifact metrics.csv has them all.
        """
        every = int(self.description["log_every"])
        if int(self.description.get("evaluate_every") or every) >= every:
            return True
        done = int(row["step"]) - int(self.facts.get("start_step", 0))
        return done % every == 0 or done == int(row.get("steps") or self.description["steps"])

    @property
    def sweep(self) -> list[dict[str, Any]]:
        """The swept fields and their values, for each member in order; empty without a sweep."""
        swept = self.description.get("sweep")
        return config.combinations(swept) if swept else []

    def tags(
        self, description: Mapping[str, Any], outcome: Mapping[str, Any], *, place: tuple[str, str | None]
    ) -> dict[str, str]:
        """Tags of the run, or of one member of its sweep with its own description and outcome.

        Args:
            description: the run's own, or that of a member.
            outcome: its status and what belongs to that.
            place: experiment's identifier and checkout, for the links of the note.
        """
        facts = self.facts
        status = {"KILLED": "interrupted", "RUNNING": "running"}.get(self.status, outcome["status"])
        git, versions, data = (facts.get(name) or {} for name in ("git", "versions", "data"))
        found = {
            **self.identity,
            "arm": description.get("arm"),
            "seed": None if "seed" in (description.get("sweep") or {}) else description.get("seed"),
            "parent": description.get("parent"),
            "budget": int(facts.get("start_step") or 0) + int(description["steps"]),
            "figures": self.figures or None,
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
            "mlflow.source.name": f"studies/{self.study}/study.py",
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": git.get("commit"),
            "mlflow.runColor": links.color(str(description.get("arm"))),
            "mlflow.note.content": self._note(description, *place),
        }
        return {name: str(value) for name, value in found.items() if value is not None}

    def fed(self, description: Mapping[str, Any], place: tuple[str, str | None]) -> dict[str, str]:
        """Those tags that a figure changes."""
        figures = {"figures": self.figures} if self.figures else {}
        return figures | {"mlflow.note.content": self._note(description, *place)}

    def _note(self, description: Mapping[str, Any], experiment: str, checkout: str | None) -> str:
        parent, start = description.get("parent"), self.facts.get("start_step", 0)
        lines = [f"One training of the study **{self.study}**, written by `results/{self.study}/{self.name}/`."]
        if commit := (self.facts.get("git") or {}).get("commit"):
            shown = f"`python -m common.pipeline.describe {self.study}/{self.name}`"
            lines.append(f"Its code: `git show {commit}:studies/{self.study}/study.py`; all of its fields: {shown}.")
        if parent:
            # A parent of another study is in another experiment, which only its name tells.
            trunk = f"**{parent}**" if "/" in parent else links.link(parent, links.search(experiment, parent))
            lines.append(f"It continues {trunk} after update {start}; its curves begin there.")
        own = [name.strip() for name in self.figures.split(";") if name.strip().startswith(f"{self.study}_")]
        if own:
            views = [links.link(name, links.address_of(experiment, links.owner_of(checkout) + name)) for name in own]
            lines.append(f"It feeds {', '.join(views)}: each opens the view with the runs of that figure.")
        if description.get("sweep"):
            lines.append(
                "It is a sweep: open the row to see one nested run for each member, which have the curves; "
                "`best_val_loss` and `mean_val_loss` are of their ends."
            )
        return "\n\n".join(lines)


def _facts(folder: Path, text: bytes) -> dict[str, Any]:
    """Contents of run.json, with all that the mirror cannot do without."""
    try:
        facts: dict[str, Any] = json.loads(text)
        facts["study"], facts["name"], facts["code"], facts["started_ms"], facts["description"]
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{folder / 'run.json'} is no record of a run ({error!r}); train the run again") from None
    return facts


def stamp(run_dir: Path) -> tuple[int, ...] | None:
    """Changes whenever one of the two files of a run does; None while one is missing. It begins with: is complete."""
    for complete, folder in ((True, f"{run_dir}"), (False, f"{run_dir}/{PROGRESS}")):
        try:  # for every run at every pass: strings take a third of the time of paths
            facts, rows = os.stat(f"{folder}/run.json"), os.stat(f"{folder}/metrics.csv")  # noqa: PTH116
        except FileNotFoundError:
            continue
        return complete, facts.st_mtime_ns, facts.st_ino, rows.st_mtime_ns, rows.st_ino, rows.st_size
    return None


def digest(content: bytes) -> str:
    """Sixteen hexadecimal digits that tell contents apart."""
    return hashlib.sha256(content).hexdigest()[:16]


def member_name(swept: Mapping[str, Any], run: str) -> str:
    """What a member of a sweep is called: what varies first, and its seed, which many have in common, last.

    >>> member_name({"lr": 0.1, "seed": 0}, "grid"), member_name({"seed": 0}, "cosine-400")
    ('lr 0.1 of grid, seed 0', 'cosine-400, seed 0')
    """
    varied = ", ".join(f"{field} {value}" for field, value in swept.items() if field != "seed")
    seed = f", seed {swept['seed']}" if "seed" in swept else ""
    return (f"{varied} of {run}" if varied else run) + seed


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
            flat |= flatten({str(index): entry for index, entry in enumerate(value)}, f"{name}.")
        elif value is not None and value != []:
            flat[name] = str(value)
    return flat
