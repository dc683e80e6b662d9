"""Where the files of a run are: results/<study>/<run>, and nothing else knows it."""

from dataclasses import dataclass
from pathlib import Path

RESULTS = Path("results")
"""Folder of all results, in the folder that a build works in."""

FILES = ("run.json", "metrics.csv", "state.safetensors")
"""What a complete run has: description and outcome, rows, states."""

VERDICTS = "claims"
"""Folder beside the runs of a study with a file for the verdict on each claim."""

PROGRESS = "progress"
"""Folder beside the outputs of a run that holds all of it until the run is complete."""

LOCK = "lock"
"""File in it that the process which trains the run holds."""


@dataclass(frozen=True)
class Place:
    """The folder of one run."""

    study: str
    run: str
    results: Path = RESULTS

    @classmethod
    def of(cls, file: str | Path) -> "Place":
        """The place of any complete file of a run."""
        folder = Path(file).parent
        return cls(folder.parent.name, folder.name, folder.parent.parent)

    @classmethod
    def named(cls, name: str, *, study: str, results: Path = RESULTS) -> "Place":
        """That of a run that is written in a study as `run`, or as `study/run`."""
        home, _, run = name.rpartition("/")
        return cls(home or study, run, results)

    @property
    def label(self) -> str:
        """Full name of the run."""
        return f"{self.study}/{self.run}"

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.results / self.study / self.run

    @property
    def record(self) -> Path:
        """run.json."""
        return self.folder / FILES[0]

    @property
    def metrics(self) -> Path:
        """metrics.csv."""
        return self.folder / FILES[1]

    @property
    def state(self) -> Path:
        """state.safetensors."""
        return self.folder / FILES[2]

    @property
    def progress(self) -> Path:
        """Where a run that is not complete keeps its rows, its description and its state."""
        return self.folder / PROGRESS

    @property
    def corpora(self) -> Path:
        """Folder of the byte corpora."""
        return self.results / "data"
