"""What every start of Snakemake needs around the rules: build lock, cost estimate, helper processes."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.pipeline import cost, disk, script
from common.pipeline.studies import Studies
from common.runs import dates, forkserver, owner, place
from common.runs.origin import ROOT

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables by which numpy's libraries are told how many threads they have in every job. Two jobs whose idle threads
wait for each other on two cores take several times as long; torch's threads are those of the run's description."""

SERVERS = {"training": "common.runs.job:preload", "pictures": "common.pipeline.steps:preload"}
"""Fork servers by name, each with the function that imports what its jobs need."""

SERVED = {"train.py": "training", "measure.py": "training", "corpus.py": None, "rebuild.py": None, None: None}
"""Server of the jobs with these scripts, or none; the others draw, judge or write."""

MIRROR = "TRAINING_MIRROR"
"""Variable with which a build leaves MLflow alone ("no"); `snakemake mlflow` brings the runs there later."""

FREE_BYTES = 200_000_000
"""Smallest free space with which a build starts."""

FOLDERS = (Path(), Path(".snakemake"), place.RESULTS, Path("figures"), Path("logs"))
"""Where a build writes, in the folder that it works in."""

QUERIES = re.compile(
    r"-[SDl]|--(lt|lr|lc|li|lp|list.*|lint|summary|detailed-summary|dag|d3dag|rulegraph|filegraph|report|archive|print.*)"
)
"""Options with which Snakemake tells something and runs nothing, beside a dry run."""


STOPPED = "What is done stays, and runs that were stopped have saved their states: the same command goes on."
"""Last words of a build that did not reach its end."""


def executes(workflow: Any, arguments: Iterable[str]) -> bool:
    """Whether this start of Snakemake is about to run jobs, not only to plan or to tell.

    Args:
        workflow: Snakemake's.
        arguments: its command line.
    """
    asks = any(QUERIES.fullmatch(argument.partition("=")[0]) for argument in arguments)
    return workflow.is_main_process and not workflow.output_settings.dryrun and not asks


def prepare(root: Path, *, executing: bool) -> None:
    """Let jobs import this repository and, in the process that runs a build, own the working directory.

    A second build in the same directory ends here with one line. If there is none, locks that Snakemake finds are
    those of a build that was killed, and are removed, so that the same command again is all that is needed.
    """
    paths = [str(root), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))
    os.environ[owner.OWNER] = owner.this()
    os.environ |= dict.fromkeys(ONE_THREAD, "1")
    if executing:
        _check_paths(root)
        _check_folders()
        owner.own(Path(".snakemake"))
        shutil.rmtree(".snakemake/locks", ignore_errors=True)
        dates.correct(root.glob("common/pipeline/rules/*.py"))


def _check_paths(root: Path) -> None:
    """Refuse paths that Snakemake itself cannot handle, before any job fails over them."""
    for folder in (root, Path.cwd()):
        if found := sorted(set("{}?") & set(str(folder))):
            sys.exit(f"{folder}: Snakemake cannot build where a path has {' or '.join(found)}; rename the folder")
    if set(" \t'\"\\$`&|;<>()*?[]#!{}") & set(sys.executable):
        sys.exit(
            f"{sys.executable}: Snakemake starts jobs with the path of this Python unquoted, so it may hold no spaces, "
            "quotes or brackets; rename the folder, or make the environment elsewhere"
        )


def _check_folders() -> None:
    """Refuse to begin where nothing can be written, or little; each folder may lie on a disk of its own."""
    for folder in filter(Path.exists, FOLDERS):
        if not os.access(folder, os.W_OK | os.X_OK):
            sys.exit(f"{folder.resolve()} is read-only, or not yours; a build writes to it")
        free = shutil.disk_usage(folder).free
        if free < FREE_BYTES:
            sys.exit(f"{folder.resolve()}: {free / 1e6:.0f} MB free; a build needs {FREE_BYTES / 1e6:.0f} MB")


def check_storage(workflow: Any) -> None:
    """Refuse to begin where jobs would not see the folder of this build, as with a storage provider of Snakemake.

    A run reads more than its rule can name (the records and rows of all of its parents), and goes on from a folder that
    is no output.
    """
    shared = {use.name for use in workflow.storage_settings.shared_fs_usage}
    provider = workflow.storage_settings.default_storage_provider
    if provider or "INPUT_OUTPUT" not in shared:
        sys.exit(
            f"default_storage_provider={provider!r}, shared_fs_usage={sorted(shared)}: jobs have to see the folder "
            f"{Path.cwd()} itself; mount it where they run, and leave both out (docs/clusters.md)"
        )


def start_at_once(workflow: Any) -> None:
    """Lift Snakemake's limit of job starts a second, which is for clusters.

    With a limit, Snakemake 9 plans again a second after each of its plans, also after those: each job that ends adds
    one more plan a second. Its scheduler has been made when `onstart` is reached, and nothing has been planned.
    """
    if not workflow.non_local_exec:
        workflow.scheduler.job_rate_limiter = None


def cores(workflow: Any) -> int:
    """Cores on which jobs run at once: those of this machine or, where it has none, one for each job of a cluster."""
    settings = workflow.resource_settings
    return settings.cores or settings.nodes or 1


def announce(studies: Studies, jobs: Iterable[Any], *, cores: int, elsewhere: bool = False) -> None:
    """Print what training the runs of these Snakemake jobs will cost, if there are any, and what results hold now.

    Args:
        studies: all of them.
        jobs: all that are to be done.
        cores: so many runs are trained at once.
        elsewhere: whether they are sent to a cluster, which finds each its memory, and may let it wait.
    """
    names = [(job.wildcards.study, job.wildcards.run) for job in jobs if job.rule.name == "train"]
    runs = [studies.run(*name) for name in names]
    if runs:
        used = min(cores, len(runs)) if elsewhere else cores
        print(cost.estimate(runs, cores=used, results=place.RESULTS), file=sys.stderr, flush=True)
        if not elsewhere:
            print(cost.memory(runs, cores=cores, results=place.RESULTS), file=sys.stderr, flush=True)
        alone = sum(studies.lineage_updates(*name) for name in names)
        if alone > cost.own_updates(runs):
            print(cost.saving(runs, alone=alone), file=sys.stderr, flush=True)
    if found := disk.sizes(place.RESULTS):
        print(disk.summary(found), file=sys.stderr, flush=True)


def trained(jobs: Iterable[Any]) -> list[str]:
    """Studies whose runs these Snakemake jobs train."""
    return list(dict.fromkeys(job.wildcards.study for job in jobs if job.rule.name == "train"))


def caption(file: str) -> str:
    """Where a figure's job writes its caption, in the form that Snakemake's report wants: from the root."""
    return str(Path(file).resolve())


def explain(workflow: Any, studies: Studies) -> None:
    """Give the rules that are made in loops the docstrings that `snakemake --list` shows."""
    texts = {study: f"Every figure and verdict of the study {study}." for study in studies}
    texts |= {f"{study}_{step.name}": _title(study, f"plot_{step.name}") for study, step in studies.every("figures")}
    texts |= {
        f"{study}_measure_{step.name}": _title(study, f"measure_{step.name}")
        for study, step in studies.every("measures")
    }
    texts |= {each.rule: f"Verdicts on {', '.join(each.functions)} of {each.study}." for each in studies.judgements()}
    for rule, text in texts.items():
        workflow.get_rule(rule).docstring = text


def _title(study: str, name: str) -> str:
    """First line of the docstring of a study's script."""
    return script.read(ROOT / "studies" / study / f"{name}.py").title or name


def script_of(job: Any) -> str | None:
    """Name of the script of a Snakemake job's rule; None if it only asks for files."""
    return Path(str(job.rule.script)).name if job.rule.script else None


class Companions:
    """The processes beside a build: common/runs/forkserver.py forks the jobs, common/tracking mirrors to MLflow.

    All end by themselves when the build's process is gone.
    """

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, jobs: Iterable[Any], *, elsewhere: bool = False) -> None:
        """Start in the background those that these Snakemake jobs need: importing torch takes longer than a picture.

        Args:
            jobs: all that are to be done.
            elsewhere: whether trainings and measurements are sent to a cluster, where no server of ours listens.
        """
        needed = {SERVED.get(script_of(job), "pictures") for job in jobs} - ({"training"} if elsewhere else set())
        self.processes += [forkserver.start(name, preload=SERVERS[name]) for name in SERVERS if name in needed]
        if os.environ.get(MIRROR) != "no":
            watch = [sys.executable, "-m", "common.tracking", "watch", "--owner", str(os.getpid())]
            self.processes.append(subprocess.Popen(watch, start_new_session=True))

    def finish(self) -> None:
        """Ask them to end, and wait until the last record is mirrored."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()
