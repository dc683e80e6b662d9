"""What every start of Snakemake needs around the rules: one owner, a clean lock, a price tag, a mirror (layer 0)."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common import cost
from common.studies import Studies

OWNER = "TRAINING_OWNER"
"""Environment variable with the process id of the Snakemake that owns the jobs."""

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables by which numpy's libraries are told how many threads they have in every job. Two jobs whose idle threads
wait for each other on two cores take several times as long; torch's threads are those of the run's description."""

FREE_BYTES = 200_000_000
"""Smallest free space with which a build starts."""


def prepare(root: Path, *, main: bool, executing: bool) -> None:
    """Let jobs import `common` from this repository and, in the process that runs a build, own the working directory.

    A second build in the same directory ends here with one line. If there is none, locks that Snakemake finds are
    those of a build that was killed, and are removed, so that the same command again is all that is needed.
    """
    paths = [str(root), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))
    os.environ[OWNER] = str(os.getpid())
    os.environ |= dict.fromkeys(ONE_THREAD, "1")
    if main and executing:
        _own(Path(".snakemake"))
        free = shutil.disk_usage(".").free
        if free < FREE_BYTES:
            sys.exit(f"{Path.cwd()}: {free / 1e6:.0f} MB free; a build needs {FREE_BYTES / 1e6:.0f} MB")


def _own(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    owner = (folder / "owner").open("a+")
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner.seek(0)
        sys.exit(
            f"another snakemake (process {owner.read().strip()}) is building in {Path.cwd()}; wait for it or end it"
        )
    owner.truncate(0)
    owner.write(str(os.getpid()))
    owner.flush()
    _own.file = owner  # type: ignore[attr-defined]  # the lock lives as long as this process
    shutil.rmtree(folder / "locks", ignore_errors=True)


def announce(studies: Studies, jobs: Iterable[Any], *, cores: int) -> None:
    """Print what training the runs of these Snakemake jobs will cost, if there are any, and what shared trunks save."""
    names = [(job.wildcards.study, job.wildcards.run) for job in jobs if job.rule.name == "train"]
    runs = [studies.run(*name) for name in names]
    if runs:
        print(cost.estimate(runs, cores=cores, results=Path("results")), file=sys.stderr, flush=True)
        alone = sum(studies.lineage_updates(*name) for name in names)
        if alone > cost.own_updates(runs):
            print(cost.saving(runs, alone=alone), file=sys.stderr, flush=True)


def keep_studies_apart(root: Path) -> None:
    """Take the folders of included rule files out of the search path, where Snakemake has put them.

    Scripts inherit the search path and look there before their own folder, so `import claims` in the script of one
    study would find the claims of another, or the adapter of that name.
    """
    folders = (root / "studies", root / "common")
    sys.path[:] = [path for path in sys.path if not any(Path(path).is_relative_to(folder) for folder in folders)]


class Companions:
    """The processes beside a build: common/warm.py forks the trainings, common/tracking mirrors to MLflow.

    Both end by themselves when the build's process is gone.
    """

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start them in the background."""
        owner = ["--owner", str(os.getpid())]
        for command in (["common.warm"], ["common.tracking", "watch"]):
            process = subprocess.Popen([sys.executable, "-m", *command, *owner], start_new_session=True)
            self.processes.append(process)

    def finish(self) -> None:
        """Ask them to end, and wait until the last record is mirrored."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


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
