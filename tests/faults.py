"""Kill a build again and again, repeat the same command, and compare with an undisturbed build.

As a script: `python -m tests.faults --kills 30 --seed 0`; as a test with a few kills: tests/test_builds.py.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.repository import Repository

TARGET = "figures/tiny_loss.pdf"
VICTIMS = ("trainer", "group", "preemption", "snakemake", "server", "mirror")
GRACE = 2.0
"""Most seconds that a preempted build has between SIGTERM and SIGKILL."""


def start(repository: Repository) -> subprocess.Popen[bytes]:
    """The build, as the leader of a process group of its own."""
    log = (repository.root / "build.log").open("ab")
    command = repository.command(TARGET, "--config", "save_seconds=0.2")
    return subprocess.Popen(
        command, cwd=repository.root, env=repository.environment, stdout=log, stderr=log, start_new_session=True
    )


def running(above: int) -> Iterator[tuple[psutil.Process, list[str], int]]:
    """Every process below one, with its command line and its parent's id; what ends meanwhile is left out."""
    for process in psutil.Process(above).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            yield process, process.cmdline(), process.ppid()


def kill(build: subprocess.Popen[bytes], victim: str, chance: random.Random) -> str:
    """End a part of a running build without warning, else its main process; returns what was hit."""
    below = list(running(build.pid))
    own = [(process, command) for process, command, parent in below if parent == build.pid]
    servers = [process for process, command in own if "common.runs.forkserver" in command]
    mirrors = [process for process, command, _ in below if "common.tracking" in command]
    adapters = [process for process, command, _ in below if any("train.py" in part for part in command)]
    pids = {server.pid for server in servers}
    trainers = [process for process, _, parent in below if parent in pids] or adapters
    chosen = {"trainer": trainers, "server": servers, "mirror": mirrors}.get(victim, [])
    if victim == "group":
        os.killpg(build.pid, signal.SIGKILL)
        return victim
    if victim == "preemption":
        preempt([psutil.Process(build.pid), *(process for process, _, _ in below)], chance.uniform(0, GRACE))
        return victim
    try:
        chance.choice(chosen).kill()
    except (IndexError, psutil.NoSuchProcess):  # none of them runs now
        build.kill()
        return "snakemake"
    return victim


def preempt(processes: list[psutil.Process], grace: float) -> None:
    """End all processes of a build as the manager of a cluster does: ask, wait, and kill what is left."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(processes, timeout=grace)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def disturbed_build(repository: Repository, *, kills: int, span: float, chance: random.Random) -> list[str]:
    """Build with so many kills at random moments within `span` seconds of a start, then let it finish."""
    hits: list[str] = []
    while len(hits) < kills:
        build = start(repository)
        time.sleep(chance.uniform(0.3, span))
        if build.poll() is None:
            hits.append(kill(build, VICTIMS[len(hits) % len(VICTIMS)], chance))
        else:  # it was done before the moment came: begin again from nothing
            for folder in ("results", "figures"):
                shutil.rmtree(repository.root / folder)
        build.wait()
    last = start(repository)
    if last.wait(timeout=600) != 0:
        last = start(repository)  # a build whose trainer was killed ends with an error; the same command goes on
        assert last.wait(timeout=600) == 0, (repository.root / "build.log").read_text()
    return hits


def doubled_metrics(repository: Repository) -> int:
    """Metrics in MLflow's store that stand there more than once for a run, key and step."""
    with sqlite3.connect(repository.root / "mlflow.db") as store:
        query = """
            select count(*) - count(distinct run_uuid || '|' || key || '|' || step) from metrics
            where run_uuid in (select run_uuid from runs where lifecycle_stage = 'active')
        """
        return int(store.execute(query).fetchone()[0])


def recorded_metrics(repository: Repository) -> tuple[int, int]:
    """Numbers of measurements in metrics.csv files and in MLflow: step, swept columns and what a sweep comes to are
    not counted.
    """
    files = 0
    for text in repository.metrics().values():
        header, *rows = text.decode().splitlines()
        skip = header.split(",").index("step") + 1
        files += sum(1 for row in rows for cell in row.split(",")[skip:] if cell not in ("", "nan", "inf", "-inf"))
    with sqlite3.connect(repository.root / "mlflow.db") as store:
        query = """
            select count(*) from metrics natural join runs
            where lifecycle_stage = 'active' and key not in ('best_val_loss', 'mean_val_loss')
        """
        return files, int(store.execute(query).fetchone()[0])


def calm_build(folder: Path) -> tuple[Repository, float]:
    """An undisturbed build, and how many seconds it took."""
    calm = Repository(folder, studies=())
    calm.add_tiny_study()
    began = time.monotonic()
    assert start(calm).wait(timeout=600) == 0, (calm.root / "build.log").read_text()
    return calm, time.monotonic() - began


def compare(folder: Path, calm: Repository, *, span: float, kills: int, seed: int) -> dict[str, object]:
    """A build in `folder` with kills within `span` seconds of each start, beside an undisturbed one of that study."""
    killed = Repository(folder, studies=(), mirror=True)
    killed.add_tiny_study()
    hits = disturbed_build(killed, kills=kills, span=span, chance=random.Random(seed))
    return {
        "hits": hits,
        "metrics_equal": calm.metrics() == killed.metrics() and len(calm.metrics()) > 0,
        "figure_equal": (calm.root / TARGET).with_suffix(".csv").read_bytes()
        == (killed.root / TARGET).with_suffix(".csv").read_bytes(),
        "doubled": doubled_metrics(killed),
        "recorded": recorded_metrics(killed),
        "leftovers": [str(path) for path in killed.root.glob("results/*/*/progress")],
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        calm, span = calm_build(Path(folder, "calm"))
        found = compare(Path(folder, "killed"), calm, span=span, kills=given.kills, seed=given.seed)
        for name, value in found.items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
