"""What the workflow around the trainings costs: a no-op, growth with the number of runs, sweeps, share of a build.

python benchmarks/workflow_overhead.py growth
python benchmarks/workflow_overhead.py sweep
python benchmarks/workflow_overhead.py share --wall 612        # after a build that took 612 s, from results/
python benchmarks/workflow_overhead.py shares --wall 219 --results scales/smoke/results        # after a smoke build
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.pipeline import cost
from common.pipeline.studies import Studies
from tests.repository import Repository

STUDY = '''\
"""Many small runs. (A study of the benchmark.)"""

from common.config import MLP, Digits, Figure, Run, Select

RUNS = [
    Run(f"run-s{{seed}}", model=MLP(width=8), data=Digits(), lr=0.1, steps=1, batch_size=8, seed=seed)
    for seed in range({runs})
]
FIGURES = [Figure("loss", runs=Select())]
'''

SWEPT = '''\
"""A learning rate and seed sweep. (A study of the benchmark.)"""

import dataclasses

from common.config import MLP, SGD, Digits, Figure, Run, Select, members

SWEEP = Run(
    "sweep",
    model=MLP(width={width}, depth=5, activation="relu", norm="none"),
    data=Digits(standardised=True, label_noise=0.1),
    optimizer=SGD(),
    lr=0.01,
    steps=400,
    batch_size={batch},
    log_every=20,
    seed=0,
    sweep={{"lr": {rates}, "seed": tuple(range({seeds}))}},
    stacked={stacked},
)
RUNS = {runs}
FIGURES = [Figure("loss", runs=Select())]
'''
"""Small networks, as in a phase diagram: members = rates x seeds."""
WAYS = {
    "one job for each member": (
        False,
        '[dataclasses.replace(member, name=f"one-{i}") for i, member in enumerate(members(SWEEP))]',
    ),
    "a sweep, one by one": (False, "[SWEEP]"),
    "a sweep, stacked": (True, "[SWEEP]"),
}


PLOT = '''\
"""Validation loss against update."""

from common.plotting import figure


def draw(runs):
    """The figure and the numbers drawn."""
    table = runs[["run", "step", "val_loss"]].dropna()
    fig, ax = figure(xlabel="update", ylabel="validation loss")
    ax.plot(table.step, table.val_loss, ".")
    return fig, table
'''


def add_study(repository: Repository, name: str, text: str) -> None:
    """A study of runs and one figure."""
    folder = repository.root / "studies" / name
    folder.mkdir()
    for file, content in (("__init__.py", ""), ("study.py", text), ("plot_loss.py", PLOT)):
        (folder / file).write_text(content)


def timed(repository: Repository, *arguments: str, repeats: int = 3) -> float:
    """Median seconds of a call of Snakemake."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        repository.snakemake(*arguments)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def growth(counts: list[int]) -> None:
    """Seconds to plan a build of so many runs, and to find that nothing is to be done."""
    print("| runs | plan (dry run) s | no-op s |\n|---|---|---|")
    for runs in counts:
        with tempfile.TemporaryDirectory() as folder:
            repository = Repository(Path(folder) / "copy", studies=())
            add_study(repository, "many", STUDY.format(runs=runs))
            target = "figures/many_loss.pdf"
            repeats = 3 if runs < 10_000 else 1
            plan = timed(repository, target, "--dry-run", repeats=repeats)
            for name, record in described(repository).items():
                made = repository.root / f"results/many/{name}"
                made.mkdir(parents=True)
                (made / "run.json").write_text(json.dumps(record))
                for file in ("metrics.csv", "state.safetensors"):
                    (made / file).write_text("{}")
            for suffix in (".pdf", ".png", ".csv", ".json", ".rst"):
                (repository.root / target).parent.mkdir(exist_ok=True)
                (repository.root / target).with_suffix(suffix).write_text("")
            repository.snakemake(target, "--touch")
            print(f"| {runs} | {plan:.2f} | {timed(repository, target, repeats=repeats):.2f} |", flush=True)


DESCRIBE = """
import json
from common import config
from common.pipeline.studies import Studies

studies = Studies.load()
runs = studies["many"].runs.items()
print(json.dumps({n: {"description": config.to_dict(run), "code": studies.code("many", n)} for n, run in runs}))
"""


def described(repository: Repository) -> dict[str, dict[str, str]]:
    """What run.json says of the runs of the study, by their names."""
    command = [sys.executable, "-c", DESCRIBE]
    told = subprocess.run(
        command, cwd=repository.root, env=repository.environment, check=True, capture_output=True, text=True
    )
    found: dict[str, dict[str, str]] = json.loads(told.stdout)
    return found


def sweep(*, width: int, batch: int, rates: int, seeds: int) -> None:
    """Seconds on one core for the members of a sweep, trained by the workflow in three ways."""
    values = {"width": width, "batch": batch, "rates": tuple(0.001 * 1.1**i for i in range(rates)), "seeds": seeds}
    print(f"width {width}, batch {batch}, {rates * seeds} members\n| way | s | gain |\n|---|---|---|")
    slowest = None
    for way, (stacked, runs) in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            repository = Repository(Path(folder) / "copy", studies=())
            add_study(repository, "many", SWEPT.format(**values, stacked=stacked, runs=runs))
            seconds = timed(repository, "figures/many_loss.pdf", "--cores", "1", repeats=1)
        slowest = slowest or seconds
        print(f"| {way} | {seconds:.1f} | {slowest / seconds:.2f} |", flush=True)


def share(results: Path, *, wall: float, cores: int) -> None:
    """Part of a build's core time that was not training: 1 - sum of the runs' seconds / (cores x wall)."""
    seconds = [json.loads(file.read_text())["seconds"] for file in results.glob("*/*/run.json")]
    part = 1 - sum(seconds) / (cores * wall)
    print(f"{len(seconds)} runs, {sum(seconds):.0f} s of training in {cores} x {wall:.0f} s: {part:.1%} outside")


def shares(results: Path, *, wall: float, cores: int) -> None:
    """The same for each study at its own scale: jobs there cost what they cost in this smoke build beside training.

    Trainings are priced (`cost.expected`); measurements at full size are not counted.
    """
    smoke, studies = Studies.load(scale="smoke"), Studies.load()
    seconds = [json.loads(file.read_text())["seconds"] for file in results.glob("*/*/run.json")]
    each = (cores * wall - sum(seconds)) / sum(jobs(smoke, study) for study in smoke)
    print(f"{each:.2f} s of a core for each job beside its training")
    print("| study | jobs | trainings s | outside |\n|---|---|---|---|")
    for study in studies:
        trained = sum(cost.expected(run) for run in studies[study].runs.values())
        outside = each * jobs(studies, study)
        print(f"| {study} | {jobs(studies, study)} | {trained:.0f} | {outside / (outside + trained):.1%} |")


def jobs(studies: Studies, study: str) -> int:
    """Jobs of a study: trainings, measurements, judgements, figures, and the list of its claims."""
    one = studies[study]
    judging = sum(judgement.study == study for judgement in studies.judgements())
    return len(one.runs) + len(one.figures) + len(one.measures) + judging + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    growing = commands.add_parser("growth")
    growing.add_argument("--runs", type=int, nargs="+", default=[10, 100, 1000])
    sweeping = commands.add_parser("sweep")
    for name, default in {"width": 64, "batch": 256, "rates": 14, "seeds": 5}.items():
        sweeping.add_argument(f"--{name}", type=int, default=default)
    for name in ("share", "shares"):
        sharing = commands.add_parser(name)
        sharing.add_argument("--results", type=Path, default=Path("results"))
        sharing.add_argument("--wall", type=float, required=True, help="seconds that the build took")
        sharing.add_argument("--cores", type=int, default=2)
    given = parser.parse_args()
    if given.command == "growth":
        growth(given.runs)
    elif given.command == "sweep":
        sweep(width=given.width, batch=given.batch, rates=given.rates, seeds=given.seeds)
    elif given.command == "shares":
        shares(given.results, wall=given.wall, cores=given.cores)
    else:
        share(given.results, wall=given.wall, cores=given.cores)


if __name__ == "__main__":
    main()
