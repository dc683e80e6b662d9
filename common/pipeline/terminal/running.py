"""How a run in training is going, read from the rows that it writes anyway."""

from dataclasses import dataclass
from pathlib import Path

from common import config
from common.config import Run
from common.runs import identity
from common.runs.place import FILES, Place

TAIL = 8192
"""Bytes at the end of the rows in which the last ones are looked for."""


@dataclass(frozen=True)
class Progress:
    """What is known of a run in training."""

    done: int
    """Updates of all its members."""
    steps: int
    """Those it will have made at its end."""
    loss: float | None
    pace: float | None
    """Updates in a second; None until two looks apart in time have seen it move."""
    rate: str
    """Tokens, or examples, in a second."""

    @property
    def left(self) -> float | None:
        """Seconds until its last update, at this pace."""
        return max(self.steps - self.done, 0) / self.pace if self.pace else None


class Watch:
    """Looks at the rows of one run now and then."""

    def __init__(self, run: Run, place: Place) -> None:
        self.place, self.stacked = place, run.stacked
        self.steps = [member.steps for member in config.members(run)]
        self.unit = "tok" if run.data.context else "ex"
        self.examples = (run.batch_size or getattr(run.data, "samples", None) or 0) * (run.data.context or 1)
        self.columns: list[str] = []
        self.start: int | None = None
        self.first: tuple[float, int] | None = None

    def look(self, now: float) -> Progress | None:
        """How far the run is at a time of a clock in seconds; None before its first row."""
        rows = self._last()
        if not rows:
            return None
        done = self._done(rows[-1])
        if self.first is None or done < self.first[1]:
            self.first = (now, done)
        shown = [row["train_loss"] for row in rows if row.get("train_loss")]
        loss = float(shown[-1]) if shown else None
        pace = self._pace(now, done)
        rate = f"{pace * self.examples / 1000:.1f}k {self.unit}/s" if pace and self.examples else ""
        return Progress(done, sum(self.steps), loss, pace, rate)

    def _last(self) -> list[dict[str, str]]:
        """The last whole rows."""
        file = self.place.progress / FILES[1]
        try:
            if not self.columns:
                self.columns = _head(file)
                record = identity.read(self.place.progress / FILES[0]) or {}
                self.start = int(record.get("start_step") or 0)
            lines = _tail(file)
        except OSError:
            return []
        cells = (line.split(",") for line in lines)
        return [dict(zip(self.columns, row, strict=True)) for row in cells if len(row) == len(self.columns)]

    def _done(self, row: dict[str, str]) -> int:
        own = int(row["step"]) - (self.start or 0)
        if self.stacked:
            return own * len(self.steps)
        return sum(self.steps[: int(row.get("member") or 0)]) + own

    def _pace(self, now: float, done: int) -> float | None:
        began, before = self.first or (now, done)
        return (done - before) / (now - began) if now - began >= 1 and done > before else None


def _head(file: Path) -> list[str]:
    """Names of the columns; none before the first row is begun."""
    with file.open(encoding="utf-8") as stream:
        line = stream.readline()
    return line.strip().split(",") if line.endswith("\n") else []


def _tail(file: Path) -> list[str]:
    """The last whole lines of a file without its first line."""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - TAIL))
        text = stream.read()
    lines = text[: text.rfind(b"\n") + 1].decode(errors="replace").splitlines()
    return lines[1:]
