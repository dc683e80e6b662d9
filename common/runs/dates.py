"""Dates of files, which Snakemake compares: one that comes from a clock ahead undoes what is made from the file."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def correct(files: Iterable[str | Path]) -> None:
    """Date what is dated in the future as of now.

    Snakemake takes outputs that are older than an input for those of a failed job, and removes them.
    """
    now = time.time_ns()
    for file in map(Path, files):
        if file.exists() and file.stat().st_mtime_ns > now:
            with suppress(OSError):  # the file is somebody else's
                os.utime(file, ns=(now, now))
