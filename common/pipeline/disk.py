"""What results take on disk, and what of them may go.

python -m common.pipeline.disk            a table, by study
python -m common.pipeline.disk --remove   the states of all runs go; rows, figures and verdicts stay
python -m common.pipeline.disk --clean    logs, caches and the smoke build go; all that took time to make stays
"""

import argparse
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from common.runs import owner
from common.runs.place import FILES, RESULTS


class Size(NamedTuple):
    """Bytes of a study's results."""

    study: str
    runs: int
    states: int
    """Of the states: what only runs that continue, and measurements, read."""
    others: int
    """Of rows, records, tables and verdicts."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.states + self.others


def sizes(results: Path = RESULTS) -> list[Size]:
    """What each folder of results holds, the largest first."""
    folders = [path for path in results.iterdir() if path.is_dir()] if results.exists() else []
    return sorted(map(_size, folders), key=lambda size: -size.total)


def _size(folder: Path) -> Size:
    runs = states = others = 0
    for path in folder.rglob("*"):
        if path.is_file():
            bytes_ = path.stat().st_size
            runs += path.name == FILES[0]
            states += bytes_ if path.name == FILES[2] else 0
            others += 0 if path.name == FILES[2] else bytes_
    return Size(folder.name, runs, states, others)


def summary(found: Iterable[Size]) -> str:
    """One line."""
    known = [size for size in found if size.total]
    each = ", ".join(f"{size.study} {words(size.total)}" for size in known)
    states = sum(size.states for size in known)
    total = words(sum(size.total for size in known))
    return f"results hold {total} ({each}); `make clean-states` would free {words(states)}"


def table(found: Iterable[Size]) -> str:
    """A line for each study."""
    lines = [("study", "runs", "states", "others")]
    lines += [(size.study, str(size.runs), words(size.states), words(size.others)) for size in found]
    return "\n".join(f"{study:<16}{runs:>8}{states:>12}{others:>12}" for study, runs, states, others in lines)


def words(bytes_: float) -> str:
    """A number of bytes for people.

    >>> words(12), words(34_500), words(1_210_000_000)
    ('0 MB', '0.03 MB', '1.2 GB')
    """
    mega = bytes_ / 1e6
    return f"{mega / 1000:.2g} GB" if mega >= 1000 else f"{round(mega, 2 if mega < 1 else 0):g} MB"


def remove_states(results: Path = RESULTS) -> int:
    """Remove the state of every complete run; bytes that this frees.

    Nothing that is made needs one. A run that is added later and continues another, or a measurement that changes,
    trains what it needs again.
    """
    freed = 0
    for state in results.glob(f"*/*/{FILES[2]}"):
        freed += state.stat().st_size
        state.unlink()
    return freed


LITTER = ("logs", ".snakemake/log", "scales/smoke", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis")
"""What `make clean` removes of a working directory: what tells of builds, and what is made again in minutes."""


def clean(folder: Path) -> list[str]:
    """Remove the litter of a working directory; what was there. Results, figures and other scales are never touched."""
    found = [name for name in LITTER if (folder / name).is_dir() and not (folder / name).is_symlink()]
    for name in found:
        shutil.rmtree(folder / name)
    return found


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m common.pipeline.disk", description=__doc__)
    parser.add_argument("--remove", action="store_true", help="remove the states of all runs")
    parser.add_argument("--clean", action="store_true", help="remove logs, caches and the smoke build")
    given = parser.parse_args()
    if given.clean:
        for folder in (Path(".snakemake"), Path("scales/smoke/.snakemake")):
            if folder.exists():
                owner.own(folder)
        print(f"removed: {', '.join(clean(Path())) or 'nothing'}; results, figures, mlflow.db and other scales stay")
        return
    if not given.remove:
        print(table(sizes()))
        return
    owner.own(Path(".snakemake"))
    print(f"states of runs removed: {words(remove_states())} freed")


if __name__ == "__main__":
    main()
