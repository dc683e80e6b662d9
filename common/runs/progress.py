"""Lines that tell a person how a training is going."""

import math
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from common.runs import origin

ATTEMPT = "-- another attempt: "
"""Begins the line of a log under which the output of a further attempt stands."""


@contextmanager
def logged(path: str | Path, *, what: str, further: bool | None = None) -> Iterator[TextIO]:
    """Send all output of this process to a log file; yields a stream that still reaches the terminal.

    A failure within is told there in one line, and ends the process.

    Args:
        path: the log.
        what: whose it is, as a person knows it: a run, a figure.
        further: whether this goes on with what an earlier process had begun, whose output stays in the log; None of
            what always begins anew.
    Raises: SystemExit if anything was raised within.
    """
    file, mode = Path(path) if further is None else _kept(Path(path)), "a" if further else "w"
    with os.fdopen(os.dup(2), "w") as terminal, file.open(mode, encoding="utf-8", buffering=1) as log:
        if further:
            where = "".join(f", {name} {value}" for name, value in origin.scheduled().items())
            print(f"{ATTEMPT}process {os.getpid()}{where.replace('_', ' ')}", file=log)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield terminal
        except BaseException as problem:
            if isinstance(problem, SystemExit) and not problem.code:
                raise
            line = f"{what}: {reason(problem)}"
            print(f"{line} (log: {path})", file=terminal, flush=True)
            with suppress(OSError):  # the disk of the log may be full
                if not isinstance(problem, SystemExit):
                    traceback.print_exc(file=log)
                print(line, file=log)
            raise SystemExit(1) from None


def _kept(path: Path) -> Path:
    """Where all attempts of a job write; its log leads there, since Snakemake removes a log before each attempt."""
    kept = path.with_name(f".{path.name}")
    path.unlink(missing_ok=True)
    path.symlink_to(kept.name)
    return kept


def reason(problem: BaseException) -> str:
    r"""Why a job has failed, in one line.

    >>> reason(ValueError("no rows\nat all")), reason(MemoryError()), reason(SystemExit("stopped"))
    ('ValueError: no rows', 'MemoryError', 'stopped')
    """
    text = str(problem).strip().partition("\n")[0]
    if not isinstance(problem, SystemExit):
        text = f"{type(problem).__name__}: {text}" if text else type(problem).__name__
        if isinstance(problem, ModuleNotFoundError):
            text += "; install it (make .venv has what the studies need)"
    elif isinstance(problem.code, int):
        text = f"ended with status {text}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


LONGEST = 300
"""Most characters of a reason."""

SHOWN = "TRAINING_SHOWN"
"""Environment variable that is set where a build shows how its runs are going, by the rows that they write."""


class Progress:
    """Prints a line about one run now and then: step, loss, speed, time left.

    Args:
        label: the run's full name.
        steps: updates in all.
        tokens_per_step: examples, times the context for text, in one update.
        every_seconds: shortest time between two lines; there are none where a build shows its runs itself.
        unit: what is counted, "tok" or "ex".
        to: where the lines go.
    """

    def __init__(
        self,
        label: str,
        *,
        steps: int,
        tokens_per_step: int,
        every_seconds: float = 10.0,
        unit: str = "tok",
        to: TextIO | None = None,
    ) -> None:
        self.label, self.steps, self.tokens_per_step, self.unit = label, steps, tokens_per_step, unit
        self.every_seconds = math.inf if os.environ.get(SHOWN) else every_seconds
        self.to = to or sys.stderr
        self.began = self.printed = time.monotonic()
        self.first: int | None = None

    def update(self, step: int, loss: float | None) -> None:
        """Tell that `step` updates are done; a line appears if the last one is old enough."""
        if self.first is None:
            self.first = step
        now = time.monotonic()
        if now - self.printed >= self.every_seconds and step > self.first:
            self.printed = now
            print(self.line(step, loss, now - self.began), file=self.to, flush=True)

    def line(self, step: int, loss: float | None, seconds: float) -> str:
        """One line of progress.

        >>> progress = Progress("wsd/cosine-s0", steps=1600, tokens_per_step=1024)
        >>> progress.first = 0
        >>> progress.line(400, 2.13, seconds=10.0)
        'wsd/cosine-s0  step 400/1600  loss 2.130  41.0k tok/s  30 s left'
        """
        rate = (step - (self.first or 0)) / seconds
        shown = "" if loss is None else f"  loss {loss:.3f}"
        left = (self.steps - step) / rate
        return (
            f"{self.label}  step {step}/{self.steps}{shown}  {rate * self.tokens_per_step / 1000:.1f}k {self.unit}/s"
            f"  {left:.0f} s left"
        )
