"""Which checkout and which libraries made a result."""

import os
import platform
import re
import socket
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
"""The repository: the folder that holds `common` and `studies`."""

LEDGERS = ":(exclude)studies/*/ledger.json"
"""What grows as a build begins, and so says nothing about the code."""

LIBRARIES = ("torch", "numpy", "scipy", "safetensors", "snakemake", "mlflow", "matplotlib")


@cache
def here() -> dict[str, dict[str, Any]]:
    """State of this checkout and the libraries, looked up once: a job that was forked has the code of its server."""
    return {"git": git_state(), "versions": versions()}


def scheduled() -> dict[str, str]:
    """Where a scheduler has put this process: its host and the job's id; empty where there is none (Slurm is known)."""
    job = os.environ.get("SLURM_JOB_ID")
    return {"host": os.environ.get("SLURMD_NODENAME", socket.gethostname()), "slurm_job": job} if job else {}


def git_state(root: Path = ROOT) -> dict[str, str | bool | None]:
    """Commit that is checked out and whether the tree differs from it; None for both outside a git checkout.

    Another repository around an unpacked archive is none: the top of a checkout must be this very folder.
    """
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return {"commit": None, "dirty": None}
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", LEDGERS)
        return {"commit": commit, "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def _git(root: Path, *arguments: str) -> str:
    apart = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=apart).stdout.strip()


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that can change a number or a picture."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in LIBRARIES}


def machine(capability: str) -> str:
    """This machine in words: cores, processor, and the instruction set that torch uses."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return f"{os.cpu_count()} cores {model[1] if model else platform.machine()} ({capability})"
