"""The Snakemake that owns a process: what it started ends with it."""

import os
import threading
import time
from pathlib import Path

OWNER = "TRAINING_OWNER"
"""Environment variable with the process id of the Snakemake that owns the jobs."""


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
