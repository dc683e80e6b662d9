"""Rows of sampled runs as they are kept, and those of a build beside them."""

import hashlib
import json
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import torch

FOLDER = Path(__file__).parent
DIGESTS = FOLDER / "digests.json"
TOLERANCE = 0.02
"""Relative difference of a loss between two classes of machines."""


def machine() -> str:
    """The class of this machine: equal classes give equal bytes."""
    cpuinfo = Path("/proc/cpuinfo")
    vendor = re.search(r"vendor_id\s*: (\S+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    capability = torch.backends.cpu.get_cpu_capability()
    torch_version = metadata.version("torch").partition("+")[0]
    return f"{capability} {vendor[1] if vendor else platform.machine()}, torch {torch_version}"


def digests() -> dict[str, dict[str, str]]:
    """SHA-256 of metrics.csv by class of machine and run."""
    known: dict[str, dict[str, str]] = json.loads(DIGESTS.read_text())
    return known


def runs() -> list[str]:
    """The sampled runs, as study/run."""
    return list(next(iter(digests().values())))


def digest(results: Path, run: str) -> str:
    """That of a run in a folder of results."""
    return hashlib.sha256((results / run / "metrics.csv").read_bytes()).hexdigest()


def kept(run: str) -> Path:
    """Where the rows of a run are kept, if they are."""
    return FOLDER / f"{run.replace('/', '.')}.csv"


def differences(results: Path, run: str) -> list[str]:
    """Columns of a run whose values differ from those kept by more than rounding can."""
    known, found = (pd.read_csv(path) for path in (kept(run), results / run / "metrics.csv"))
    if list(known) != list(found) or known.step.tolist() != found.step.tolist():
        return ["columns or steps"]
    losses = [name for name in known if name.endswith("loss") or name == "learning_rate"]
    return [n for n in losses if not np.allclose(known[n], found[n], rtol=TOLERANCE, atol=1e-6, equal_nan=True)]


def record(results: Path) -> None:
    """Keep what a build gives."""
    known = digests()
    known[machine()] = {run: digest(results, run) for run in runs()}
    DIGESTS.write_text(json.dumps(known, indent=1) + "\n")
    for run in filter(lambda run: kept(run).exists(), runs()):
        shutil.copy(results / run / "metrics.csv", kept(run))
