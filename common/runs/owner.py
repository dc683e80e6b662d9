"""Who owns a working directory, and whom the processes that a build has started belong to: they end with it."""

import fcntl
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

OWNER = "TRAINING_OWNER"
"""Environment variable with the Snakemake that owns the jobs, by its process id and host: `123@node`."""

BEAT_SECONDS = 5.0
"""How often an owner shows that it lives to hosts that its lock may not reach."""


def this() -> str:
    """This process, as an owner."""
    return f"{os.getpid()}@{socket.gethostname()}"


def own(folder: Path) -> None:
    """Own a working directory, by its folder `.snakemake`, for as long as this process lives.

    Locks of some network file systems hold on one host only. So who follows an owner of another host waits for two of
    its beats, and takes the directory if there is none.

    Raises: SystemExit if another process does, or if the file system has no locks.
    """
    folder.mkdir(exist_ok=True)
    file = (folder / "owner").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another snakemake ({_told(file)}) is building in {Path.cwd()}; wait for it or end it")
    except OSError as problem:
        sys.exit(
            f"{folder.resolve()}: no locks on its file system ({problem.strerror}), and two builds could overwrite "
            "each other; work in a folder elsewhere, or have it mounted with locks (Lustre: -o flock)"
        )
    if _beats(file):
        sys.exit(
            f"another snakemake ({_told(file)}) is building in {Path.cwd()}, and its lock does not reach this host "
            "(Lustre: mount with flock, not localflock); wait for it or end it"
        )
    file.truncate(0)
    file.write(this())
    file.flush()
    threading.Thread(target=_beat, args=(file,), daemon=True).start()


def _beat(file: TextIO) -> None:
    """Date the file of an owner anew, again and again; the lock lives as long as this process."""
    while True:
        time.sleep(BEAT_SECONDS)
        with suppress(OSError):
            os.utime(file.fileno())


def _beats(file: TextIO) -> bool:
    """Whether the owner that a file names lives on another host."""
    _, host = _parts(_read(file))
    if host == socket.gethostname():
        return False
    path = Path(file.name)
    before = path.stat().st_mtime_ns
    time.sleep(2 * BEAT_SECONDS)
    path.read_bytes()  # a network file system asks its server for the date when a file is opened
    return path.stat().st_mtime_ns != before


def _told(file: TextIO) -> str:
    """The owner that a file names, in words."""
    process, host = _parts(_read(file))
    return f"process {process}" + (f" on {host}" if host != socket.gethostname() else "")


def _read(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip()


def _parts(owner: str) -> tuple[str, str]:
    """Process id and host of an owner; one without a host is of this one."""
    process, _, host = owner.partition("@")
    return process, host or socket.gethostname()


def process_of(owner: str) -> int | None:
    """Process id of an owner, if it is one of this host."""
    process, host = _parts(owner)
    return int(process) if host == socket.gethostname() else None


def lives(owner: str) -> bool:
    """Whether an owner runs; of one on another host nothing can be seen, and whoever sent the job there ends it."""
    process = process_of(owner)
    return process is None or alive(process)


def end_with_owner() -> None:
    """End this process when the Snakemake that started it is gone, so that no orphan writes on."""
    if OWNER not in os.environ:
        return

    def watch() -> None:
        while lives(os.environ[OWNER]):
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def alive(process: int) -> bool:
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
