"""When a store is brought to what the files say: once, for everything, or whenever something changes."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from common.runs.owner import alive
from common.runs.place import VERDICTS, Place
from common.runs.stop import Stop
from common.tracking.address import AddressError, answers, redacted, store_uri
from common.tracking.record import Record, RecordError, stamp
from common.tracking.store import Store
from common.tracking.summary import Summary
from common.tracking.views import figures_of

CPU_SHARE = 0.015
"""Part of one core that `watch` may use on average while training goes on, beside what each finished run costs once."""

PATIENCE = 10
"""Most intervals between two passes of `watch`: after an expensive one, and after a store has failed."""


def mirror(run_dir: Path, *, uri: str | None = None) -> None:
    """Bring MLflow to what the files of one run say: those of the complete run, else those of its progress.

    Any number of processes may do this at once and may be killed while they do it: one active run of that name, each
    finite metric once. A run that was trained anew (other code, other start) replaces the earlier one.

    Args:
        run_dir: results/<study>/<run>.
        uri: the store; that of the folder that holds `results` if left out (see `store_uri`).

    Raises:
        RecordError: run.json is damaged. Besides, whatever MLflow raises if the store fails.
    """
    folder = run_dir.absolute().parents[2]
    uri = uri or store_uri(folder)
    with _secret(uri):
        place = Place(run_dir.absolute().parent.name, run_dir.absolute().name)
        Store(uri, folder).run(
            run_dir, live=True, figures=figures_of(run_dir.absolute().parents[1]).get(place.label, "")
        )


def rebuild(results: Path, *, uri: str | None = None) -> str:
    """Bring the whole store to what results/ and figures/ say; a store that is up to date is left as it is.

    A run that is not complete is shown as interrupted.

    Returns: one line that says what was mirrored, and to where.
    """
    follower = Follower(results, uri)
    with _secret(follower.uri):
        follower.update(live=False)
        follower.summarise()
    return f"mirrored {len(follower.seen)} runs in {results} to {redacted(follower.uri)}"


def watch(
    results: Path,
    *,
    owner: int,
    every_seconds: float = 3.0,
    uri: str | None = None,
    stop: Stop | None = None,
) -> None:
    """Mirror every run that changes, until the process `owner` is gone or `stop` is set; then all of it once more.

    A store that fails costs one line on stderr, is tried again later, and never raises. The intervals grow so that on
    average no more than a small part of a core is used (CPU_SHARE), up to PATIENCE times. What a finished run costs is
    not counted: it is due in any case, and left to the end it would keep one core waiting for the other.

    Args:
        results: the results folder; it need not exist yet.
        owner: process id of the Snakemake that trains.
        every_seconds: shortest time between two looks at the files.
        uri: the store; that of the folder that holds `results` if left out.
        stop: ends the watch; runs that are not complete are then shown as interrupted.
    """
    stop = stop or Stop()
    follower = Follower(results, uri)
    warned = False
    due = 0.0
    while True:
        last = stop.is_set() or not alive(owner)
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


def _update(follower: "Follower", *, last: bool) -> tuple[str | None, float]:
    """One pass over the files: what went wrong, in one line, or None; and CPU seconds, without those of opening and of
    finished runs.
    """
    if last and not answers(follower.uri):
        return "it does not answer", 0.0
    try:
        follower.open()
        before = time.process_time()
        once = follower.update(live=not last)
        follower.summarise(live=not last)
    except Exception as error:  # whatever the store does, training goes on
        follower.forget()
        return _told(error), 0.0
    return None, time.process_time() - before - once


def _told(error: BaseException) -> str:
    """What went wrong first, since libraries wrap it several times, in one line without secrets."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return f"{type(error).__name__}: {redacted(' '.join(str(error).split()))[:200]}"


class StoreError(RuntimeError):
    """A store whose address holds a secret failed; the errors of libraries would show it."""


@contextmanager
def _secret(uri: str) -> Iterator[None]:
    """Within this context no error shows the secrets of an address."""
    try:
        yield
    except Exception as error:
        if redacted(uri) == uri or isinstance(error, AddressError | RecordError):
            raise
        raise StoreError(f"MLflow store {redacted(uri)} failed: {_told(error)}") from None


def _warn(text: str) -> None:
    print(redacted(f"warning: {text}"), file=sys.stderr, flush=True)


class Follower:
    """Keeps a store up to date with a results folder and remembers which files have not changed."""

    def __init__(self, results: Path, uri: str | None = None) -> None:
        self.results = results
        self.folder = results.absolute().parent
        self.uri = uri or store_uri(self.folder)
        self.seen: dict[Path, tuple[Any, ...]] = {}
        self.store: Store | None = None
        self._cursors: dict[str, dict[str, str]] = {}
        self._damaged: set[str] = set()
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._drawn: tuple[Any, ...] = ()
        self._fed: dict[str, str] = {}

    def forget(self) -> None:
        """Begin anew: the store has to be opened and asked again."""
        self.store = None
        self.seen.clear()
        self._cursors.clear()
        self._shown.clear()

    def open(self) -> Store:
        """The store, opened anew if its database was removed or replaced."""
        if self.store is None or self.store.gone():
            self.forget()
            self.store = Store(self.uri, self.folder)
        return self.store

    def update(self, *, live: bool) -> float:
        """Mirror every run whose files have changed. A damaged run.json costs one warning and only its own run.

        Returns: CPU seconds that finished runs have cost.
        """
        store, once = self.open(), 0.0
        self._look()
        for run_dir in (run_dir for study in _folders(self.results) for run_dir in _folders(study)):
            found = stamp(run_dir)
            if found is None:
                continue
            figures = self._fed.get(f"{run_dir.parent.name}/{run_dir.name}", "")
            now = (*found, figures)
            if self.seen.get(run_dir) == now and (live or now[0]):
                continue
            before = time.process_time()
            try:
                if not self._has(store, run_dir, live=live, figures=figures):
                    store.run(run_dir, live=live, figures=figures)
            except RecordError as error:
                if str(error) not in self._damaged:
                    self._damaged.add(str(error))
                    _warn(str(error))
            once += time.process_time() - before if now[0] else 0.0
            self.seen[run_dir] = now
        return once

    def _has(self, store: Store, run_dir: Path, *, live: bool, figures: str) -> bool:
        """Whether the store had all of a run when it was opened; asked once for a whole experiment."""
        if run_dir in self.seen:
            return False
        record = Record.read(run_dir, live=live, figures=figures)
        if record is None:
            return False
        if record.experiment not in self._cursors:
            self._cursors[record.experiment] = store.cursors(record.experiment)
        return self._cursors[record.experiment].get(record.name) == record.cursor

    def _look(self) -> None:
        """Read which runs feed which figures, where a figure has changed."""
        drawn = _stamps((self.results.parent / "figures").glob("*_*.*"))
        if drawn != self._drawn:
            self._drawn, self._fed = drawn, figures_of(self.results)

    def summarise(self, *, live: bool = False) -> None:
        """Mirror the figures and claims of every study; `live`, of those where one of these has changed."""
        store = self.open()
        for study in _folders(self.results):
            own = tuple(item for item in self._drawn if item[0].startswith(f"{study.name}_"))
            now = own, _stamps([study / "claims.json", *(study / VERDICTS).glob("*.json")])
            if (live and self._shown.get(study.name) == now) or not any(now):
                continue
            summary = Summary.read(self.results, study.name, _readable(study, self._fed))
            if summary:
                store.summary(summary)
            self._shown[study.name] = now


def _stamps(files: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """Name, date and place of those files that are there; changes with any of them."""
    found = []
    for file in files:
        with suppress(FileNotFoundError):
            about = file.stat()
            found.append((file.name, about.st_mtime_ns, about.st_ino))
    return tuple(sorted(found))


def _readable(study: Path, fed: Mapping[str, str]) -> list[Record]:
    """What the runs of a study say, without those that have not begun and those that are damaged."""
    found: list[Record] = []
    for run_dir in _folders(study):
        with suppress(RecordError):
            figures = fed.get(f"{study.name}/{run_dir.name}", "")
            record = Record.read(run_dir, live=False, figures=figures)
            found += [record] if record else []
    return found


def _folders(path: Path) -> list[Path]:
    """The folders in a folder, in order."""
    if not path.exists():
        return []
    with os.scandir(path) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir())
