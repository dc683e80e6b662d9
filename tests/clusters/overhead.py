"""What each way of building costs: many tiny runs and a few longer ones, here, in one allocation, as Slurm jobs.

    python -m tests.clusters.overhead

starts a Slurm of one node with two cores, builds in fresh checkouts, and prints a table for docs/clusters.md.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from common.runs import identity
from tests.clusters import slurm
from tests.clusters.slurm import Slurm, batch, wait
from tests.repository import Repository

RUNS = """\
RUNS = [
    Run(f"run-{number}", **SETTINGS | {"evaluate_every": 1000}, steps=STEPS, seed=number)
    for number in range(COUNT)
]
"""
SWEPT = """\
RUNS = [
    Run("all", **SETTINGS | {"evaluate_every": 1000}, steps=STEPS, seed=0, sweep={"seed": tuple(range(COUNT))})
]
"""
HERE = "on this machine"
WAYS: dict[str, str] = {
    HERE: RUNS,
    "in one allocation": RUNS,
    "a Slurm job a run": RUNS,
    "a Slurm job, all in a sweep": SWEPT,
}


def checkout(folder: Path, text: str, *, count: int, steps: int) -> Repository:
    """A checkout with so many runs of so many updates."""
    made = Repository(folder, studies=())
    made.add_tiny_study()
    study = made.root / "studies/tiny/study.py"
    head, _, _ = study.read_text().partition("TRUNKS = ")
    study.write_text(f"{head}COUNT, STEPS = {count}, {steps}\n{text}")
    for script in ("claims", "verdicts", "plot_loss"):
        (study.parent / f"{script}.py").unlink()
    return made


def build(way: str, made: Repository, cluster: Slurm, *, count: int) -> float:
    """Train all runs in one way; seconds from the command to its end."""
    runs = ["all"] if way.endswith("sweep") else [f"run-{number}" for number in range(count)]
    targets = [f"results/tiny/{run}/run.json" for run in runs]
    began = time.monotonic()
    if way == HERE:
        made.snakemake("--cores", "2", *targets)
    elif way == "in one allocation":
        script = f"exec {' '.join(made.command('--cores', '2', *targets))}"
        batch(made.root, script, "--cpus-per-task=2", "--mem=4000", environment=made.environment)
        wait(lambda: not cluster.jobs(), "the allocation has ended", seconds=3000)
    else:
        made.snakemake("--workflow-profile", "profiles/slurm", *targets)
    assert all((made.root / target).exists() for target in targets), way
    return time.monotonic() - began


def trained(made: Repository) -> float:
    """Seconds that the runs have trained, by their records."""
    records = (identity.read(path) or {} for path in made.root.glob("results/tiny/*/run.json"))
    return sum(float(record["seconds"]) for record in records)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.clusters.overhead", description=__doc__)
    parser.add_argument("--tiny", type=int, nargs=2, default=(40, 100), metavar=("COUNT", "STEPS"))
    parser.add_argument("--longer", type=int, nargs=2, default=(8, 20000), metavar=("COUNT", "STEPS"))
    given = parser.parse_args()
    if reason := slurm.obstacle():
        sys.exit(reason)
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        folder = Path(name)
        cluster = Slurm(folder / "slurm", nodes=1)
        try:
            print("| runs | way | seconds | of these training, on each of 2 cores |\n|---|---|---|---|", flush=True)
            for label, (count, steps) in {"tiny": given.tiny, "longer": given.longer}.items():
                for number, (way, text) in enumerate(WAYS.items()):
                    made = checkout(folder / f"{label}-{number}", text, count=count, steps=steps)
                    seconds = build(way, made, cluster, count=count)
                    cores = 1 if text is SWEPT else 2
                    print(f"| {count} {label} | {way} | {seconds:.0f} | {trained(made) / cores:.0f} |", flush=True)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
