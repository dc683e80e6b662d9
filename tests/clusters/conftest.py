"""Checkouts with a study of short and longer runs, what a local build of it gives, and builds beside a test."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.slurm import wait
from tests.repository import Repository

LONG = """\
LONG = [
    Run(f"long-s{seed}", **SETTINGS | {"evaluate_every": 1000}, arm="long", steps=steps, seed=seed)
    for seed, steps in enumerate((9000, 90000))
]
PAIR = Run("pair", **SETTINGS, arm="pair", steps=100, seed=1, ranks=2)
RUNS = [*TRUNKS, *BRANCHES, SWEEP, *LONG, PAIR]
"""
"""The first trains for half a minute, the second for more than the shortest limit that Slurm knows, a minute."""

SHORT, LONGER = "results/tiny/long-s0/run.json", "results/tiny/long-s1/run.json"
PAIRED = "results/tiny/pair/run.json"


class Checkout(Repository):
    """A throw-away checkout with the study of these tests."""

    def __init__(self, root: Path, *, mirror: bool = False) -> None:
        super().__init__(root, studies=(), mirror=mirror)
        self.add_tiny_study()
        self.edit("studies/tiny/study.py", "RUNS = [*TRUNKS, *BRANCHES, SWEEP]\n", LONG)
        self.edit("studies/tiny/study.py", "runs=Select()", 'runs=Select(arm=["trunk", "branch", "sweep"])')

    def files(self, run: str) -> dict[str, bytes]:
        """Rows and state of a run."""
        folder = self.root / "results/tiny" / run
        return {name: (folder / name).read_bytes() for name in ("metrics.csv", "state.safetensors")}

    def log(self, run: str) -> str:
        """What the attempts of a run have said."""
        return (self.root / f"logs/tiny/{run}.log").read_text()

    def begun(self, run: str) -> bool:
        """Whether a run in training has saved a state."""
        return (self.root / "results/tiny" / run / "progress/state.safetensors").exists()


class Build:
    """A build beside the test; its output is in a file."""

    def __init__(self, checkout: Repository, *arguments: str) -> None:
        self.file = checkout.root / "build.out"
        with self.file.open("a") as out:
            self.process = subprocess.Popen(
                checkout.command(*arguments),
                cwd=checkout.root,
                env=checkout.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self, *, seconds: float = 400) -> str:
        """Wait for its end; its output."""
        wait(lambda: self.process.poll() is not None, f"{self.process.args} has ended:\n{self.told}", seconds=seconds)
        assert self.process.returncode == 0, self.told
        return self.told

    @property
    def told(self) -> str:
        return self.file.read_text()

    def kill(self) -> None:
        """Kill all of it on this host at once, as a lost login node does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="session")
def local(tmp_path_factory) -> Checkout:
    """The whole study, built on this machine alone."""
    checkout = Checkout(tmp_path_factory.mktemp("clusters") / "local")
    checkout.snakemake("tiny", SHORT, LONGER, PAIRED)
    return checkout


@pytest.fixture
def build(tmp_path) -> Iterator:
    """Starts builds, and ends those that the test has left."""
    started: list[Build] = []

    def begin(checkout: Repository, *arguments: str) -> Build:
        started.append(Build(checkout, *arguments))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.kill()
