"""Lines that tell a person how a training is going."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def logged(path: str | Path) -> Iterator[TextIO]:
    """Send all output of this process to a log file; yields a stream that still reaches the terminal."""
    with os.fdopen(os.dup(2), "w") as terminal, Path(path).open("w", encoding="utf-8", buffering=1) as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        yield terminal


class Progress:
    """Prints a line about one run now and then: step, loss, speed, time left.

    Args:
        label: the run's full name.
        steps: updates in all.
        tokens_per_step: examples, times the context for text, in one update.
        every_seconds: shortest time between two lines.
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
        self.every_seconds, self.to = every_seconds, to or sys.stderr
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
