"""Digests that an earlier start has taken, kept in a file as long as no source of this repository has changed."""

import atexit
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("common", "studies")
"""Packages whose sources a digest may be taken from; one that leads elsewhere, also by a link, is not kept."""


class Taken(NamedTuple):
    """A digest and the files that it was taken from."""

    digest: str
    files: Iterable[Path]


class Memory:
    """Digests by the place where they begin. What is new is written when the process ends.

    Args:
        file: where they are kept; it need not exist, and only time is lost without it.
        root: the repository.
    """

    def __init__(self, file: Path, root: Path) -> None:
        self.file, self.root = file.absolute(), root  # the working directory is another one at the end
        self.sources = self._sources()
        self.digests = self._kept()
        self.new: dict[str, str] = {}
        atexit.register(self.write)

    def recall(self, start: str, take: Callable[[], Taken]) -> str:
        """The digest that begins at a place, taken anew if it is not known."""
        if (known := self.digests.get(start) or self.new.get(start)) is not None:
            return known
        taken = take()
        packages = [(self.root / package).resolve() for package in PACKAGES]
        if all(any(path.resolve().is_relative_to(package) for package in packages) for path in taken.files):
            self.new[start] = taken.digest
        return taken.digest

    def write(self) -> None:
        """Keep what is new, unless a source has changed since the start or the file cannot be written."""
        if not self.new or self.sources != self._sources():
            return
        kept = {"sources": self.sources, "digests": self._kept() | self.digests | self.new}
        fresh = self.file.with_name(f"{self.file.name}.tmp")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(kept, indent=0, sort_keys=True), encoding="utf-8")
            fresh.replace(self.file)
        except OSError:
            return

    def _kept(self) -> dict[str, str]:
        try:
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            return dict(kept["digests"]) if kept["sources"] == self.sources else {}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def _sources(self) -> str:
        """Digest of every source, its name included, and of the Python that reads them."""
        total = hashlib.sha256(sys.version.encode())
        for package in PACKAGES:
            for path in sorted(path for path in (self.root / package).rglob("*.py") if path.is_file()):
                content = path.read_bytes()
                total.update(os.fsencode(path.relative_to(self.root)) + f" {len(content)}\n".encode() + content)
        return total.hexdigest()
