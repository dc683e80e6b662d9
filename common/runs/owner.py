"""Who owns a working directory, and whom the processes that a build has started belong to: they end with it."""

import fcntl
import os
import sys
import threading
import time
from pathlib import Path

OWNER = "TRAINING_OWNER"
"""Environment variable with the process id of the Snakemake that owns the jobs."""


def own(folder: Path) -> None:
    """Own a working directory, by its folder `.snakemake`, for as long as this process lives.

    Raises: SystemExit if another process does.
    """
    folder.mkdir(exist_ok=True)
    file = (folder / "owner").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        sys.exit(
            f"another snakemake (process {file.read().strip()}) is building in {Path.cwd()}; wait for it or end it"
        )
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    own.file = file  # type: ignore[attr-defined]  # the lock lives as long as this process


def end_with_owner() -> None:
    """End this process when the Snakemake that started it is gone, so that no orphan writes on."""
    if OWNER not in os.environ:
        return

    def watch() -> None:
        while alive(int(os.environ[OWNER])):
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
