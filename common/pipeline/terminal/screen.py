"""Where lines go: to a file one after another, or above a table that a terminal keeps in place."""

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TextIO

MARKS = {"done": ("✓", "32"), "failed": ("✗", "31"), "bar": ("█", ""), "empty": ("░", "")}
"""Signs, and their colours where a terminal has some."""
PLAIN = {"done": "done", "failed": "FAILED", "bar": "#", "empty": "."}
"""The same where the encoding has no such signs."""


class Pen(Protocol):
    """Something to write lines with."""

    every_seconds: float
    """Time between two looks at what runs."""

    def line(self, text: str, mark: str = "") -> None:
        """Write a line that stays, with a sign before it."""

    def table(self, draw: Callable[[int], Sequence[str]]) -> None:
        """Show what a function of the width gives, in place of what it gave before."""

    def bar(self, part: float, width: int) -> str:
        """A bar of which a part is full."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Signs:
    """The signs that a stream can show."""

    def __init__(self, stream: TextIO, *, coloured: bool) -> None:
        self.coloured = coloured
        text = "".join(sign for sign, _ in MARKS.values())
        try:
            text.encode(stream.encoding or "ascii")
            self.known = True
        except (UnicodeEncodeError, LookupError):
            self.known = False

    def sign(self, name: str) -> str:
        """A sign, without its colour."""
        return MARKS[name][0] if self.known else PLAIN[name]

    def marked(self, text: str, mark: str, width: int | None = None) -> str:
        """A line with a sign before it, cut to a width."""
        if not mark:
            return text[:width]
        sign, colour = self.sign(mark), MARKS[mark][1]
        rest = f" {text}"[: None if width is None else max(width - len(sign), 0)]
        return f"\x1b[{colour}m{sign}\x1b[0m{rest}" if self.coloured else sign + rest

    def bar(self, part: float, width: int) -> str:
        """A bar of which a part is full."""
        full = round(min(max(part, 0.0), 1.0) * width)
        return self.sign("bar") * full + self.sign("empty") * (width - full)


class Paper(Signs):
    """A log: nothing is ever taken back."""

    every_seconds = 5.0

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream, coloured=False)
        self.stream = stream

    def line(self, text: str, mark: str = "") -> None:
        """Write a line."""
        with contextlib.suppress(OSError, ValueError):  # whoever reads it may be gone
            print(self.marked(text, mark), file=self.stream, flush=True)

    def table(self, draw: Callable[[int], Sequence[str]]) -> None:
        """Nothing: a log has no place that could be drawn anew."""

    def close(self) -> None:
        """Nothing is left to do."""


class Screen(Signs):
    """A terminal: lines above, the table below them.

    All that this process and those that it starts write to standard error comes through here, so that nothing which a
    job says is written into the table.
    """

    every_seconds = 0.5

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.number = os.dup(2)
        self.terminal = os.fdopen(self.number, "w", encoding=sys.stderr.encoding, errors="replace")
        super().__init__(self.terminal, coloured=not environment.get("NO_COLOR"))
        self.lock = threading.RLock()
        self.lines: list[str] = []
        self.rest = b""
        self.ended = threading.Event()
        self.read, write = os.pipe()
        sys.stderr.flush()
        os.dup2(write, 2)
        os.close(write)
        self.reader = threading.Thread(target=self._pass_on, daemon=True)
        self.reader.start()

    def line(self, text: str, mark: str = "") -> None:
        """Write a line above the table."""
        with self.lock:
            self._write(f"{self._erased()}{self.marked(text, mark)}\x1b[K\n{_drawn(self.lines)}")

    def table(self, draw: Callable[[int], Sequence[str]]) -> None:
        """Draw the table anew, in one stroke, if it has changed."""
        with self.lock:
            width, height = self._size()
            lines = [line[: width - 1] for line in draw(width - 1)][: max(height - 2, 1)]
            if lines != self.lines:
                self._write(f"{self._home()}{_drawn(lines)}\x1b[J")
                self.lines = lines

    def close(self) -> None:
        """Take the table away and give standard error back."""
        sys.stderr.flush()
        os.dup2(self.number, 2)
        self.ended.set()
        self.reader.join(timeout=2)
        with self.lock:
            self._write(self._erased())
            self.lines = []

    def _home(self) -> str:
        """To the first row of the table, whose lines a terminal that became narrower has broken into several rows."""
        width, _ = self._size()
        rows = sum(max(-(-len(line) // width), 1) for line in self.lines)
        return f"\x1b[{rows}A\r" if rows else "\r"

    def _erased(self) -> str:
        return f"{self._home()}\x1b[J"

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal may be gone
            self.terminal.write(text)
            self.terminal.flush()

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self.number)
        except OSError:
            return 80, 24
        return (size.columns or 80), (size.lines or 24)

    def _pass_on(self) -> None:
        """Write what the processes of the build say as lines above the table, until there is nothing more."""
        while True:
            ready, _, _ = select.select([self.read], [], [], 0.05)
            if text := os.read(self.read, 1 << 16) if ready else b"":
                self._take(text)
            elif ready or self.ended.is_set():  # nobody can write any more, or nobody is to be waited for
                if self.rest:
                    self._take(b"\n")
                return

    def _take(self, text: bytes) -> None:
        *lines, self.rest = (self.rest + text).split(b"\n")
        for line in lines:
            self.line(line.decode(errors="replace").rstrip("\r"))


def _drawn(lines: Sequence[str]) -> str:
    return "".join(f"{line}\x1b[K\n" for line in lines)


def pen(stream: TextIO, environment: Mapping[str, str]) -> Pen:
    """A table on a terminal that can move its cursor, else a log."""
    if stream.isatty() and environment.get("TERM", "dumb") != "dumb" and stream.fileno() == 2:
        return Screen(environment)
    return Paper(stream)
