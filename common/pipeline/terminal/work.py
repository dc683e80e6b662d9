"""The jobs of Snakemake's graph as a person knows them: whose they are, what they do, what they are called."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from common.config import Run
from common.pipeline.studies import Studies

Kind = Literal["run", "measurement", "judgement", "summary", "figure", "corpus", "store"]

KINDS: dict[str, Kind] = {
    "train.py": "run",
    "measure.py": "measurement",
    "judge.py": "judgement",
    "claims.py": "summary",
    "scoreboard.py": "summary",
    "figure.py": "figure",
    "plot_claims.py": "figure",
    "plot_verdicts.py": "figure",
    "corpus.py": "corpus",
    "rebuild.py": "store",
}
"""What a job makes, by its script; one without a script only asks for files."""

SHARED = "all studies"
"""Whose the jobs are that belong to no study."""


@dataclass(frozen=True)
class Work:
    """One job."""

    id: int
    """Snakemake's."""
    kind: Kind
    study: str
    name: str
    """What its own lines begin with (see `common.runs.progress.logged`)."""
    outputs: tuple[str, ...]
    log: str
    run: Run | None = None
    """What it trains."""

    @property
    def output(self) -> str:
        """The file that it is known by."""
        return self.outputs[0] if self.outputs else ""

    @property
    def label(self) -> str:
        """What a person asked for: a run, or else the file."""
        return self.name if self.kind in ("run", "corpus") else self.output or self.name


def works(jobs: Iterable[Any], studies: Studies) -> Iterator[Work]:
    """Those Snakemake jobs that do something."""
    for job in jobs:
        kind = KINDS.get(Path(str(job.rule.script or "")).name)
        if kind is not None:
            yield _work(job, kind, studies)


def _work(job: Any, kind: Kind, studies: Studies) -> Work:
    study = job.wildcards.get("study") or (SHARED if kind == "corpus" else job.params.get("study", SHARED))
    run, name = None, str(job.rule.name)
    if kind == "run":
        run, name = studies.run(study, job.wildcards.run), f"{study}/{job.wildcards.run}"
    elif kind == "corpus":
        name = f"corpus {job.wildcards.corpus}"
    return Work(job.jobid, kind, study, name, tuple(map(str, job.output)), next(map(str, job.log), ""), run)
