"""The results of a study as one file, from which its figures and verdicts are made again without a training.

python -m common.pipeline.archive wsd                    pack them into archives/wsd.tar.gz
python -m common.pipeline.archive --unpack wsd.tar.gz    put them where a build in this folder finds them

First in the file is `archive.json`, which has the SHA-256 of every other. Equal results give equal bytes: names in
order, no dates, no owners (compressed by zlib, of which another version may give other bytes around equal contents).
Of the states those are packed that a figure, a claim or a measurement reads. Corpora are not; run.json has digests.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from common.pipeline import adopted, disk
from common.pipeline.scales import SCALES
from common.pipeline.studies import Studies
from common.runs import damage, identity, owner
from common.runs.damage import Damaged
from common.runs.place import FILES, RESULTS, Place

FORMAT = 1
MANIFEST = "archive.json"
FOLDERS = (str(RESULTS), "figures")
"""Where files of an archive may go."""

SUFFIXES = (".pdf", ".png", ".csv", ".json", ".rst")
"""Files of a figure."""

States = Literal["needed", "none", "all"]
"""States that are packed: what a figure, a claim or a measurement reads; the same without measurements, whose tables
stand for them; those of every run, so that runs which are added later can continue them."""


class ArchiveError(Exception):
    """What keeps results from being packed or unpacked, in one line."""


@dataclass(frozen=True)
class Archive:
    """What an archive says of itself."""

    study: str
    states: str
    commits: list[str]
    """From which its runs were trained."""
    files: dict[str, str]
    """SHA-256 by path."""

    def dump(self) -> bytes:
        """The bytes of archive.json."""
        return (json.dumps({"format": FORMAT, **vars(self)}, indent=1) + "\n").encode()

    @classmethod
    def load(cls, text: bytes) -> "Archive":
        """What archive.json says.

        Raises: ArchiveError if it is none, or names files that do not belong to a build.
        """
        try:
            plain = json.loads(text)
            if plain.pop("format") != FORMAT:
                raise ArchiveError(f"{MANIFEST} is of another format than {FORMAT}")
            found = cls(**plain)
            wrong = [name for name in found.files if not belongs(name)]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ArchiveError(f"{MANIFEST} cannot be read") from None
        if wrong:
            raise ArchiveError(f"{wrong[0]!r} lies outside of {' and '.join(FOLDERS)}")
        return found


def belongs(name: str) -> bool:
    """Whether a file of an archive may be written under this name.

    >>> belongs("results/wsd/cosine/run.json"), belongs("results/../Snakefile"), belongs("/results/wsd/x")
    (True, False, False)
    """
    path = PurePosixPath(name)
    return len(path.parts) > 1 and path.parts[0] in FOLDERS and ".." not in path.parts and str(path) == name


def places(studies: Studies, study: str) -> list[Place]:
    """The runs of a study, those that it reads of other studies, and all that they continue."""
    home = studies[study]
    found = dict.fromkeys(Place(study, name) for name in home.runs)
    for step in (*home.figures.values(), *home.measures.values(), *home.claims.values()):
        for select in (one for what in ("runs", "states", "records") for one in step.selections(what).values()):
            found |= dict.fromkeys(studies.selected(study, select))
    todo = list(found)
    while todo:
        place = todo.pop()
        parent = studies.run(place.study, place.run).parent
        if parent and (before := Place.named(parent, study=place.study)) not in found:
            found[before] = None
            todo.append(before)
    return list(found)


def scale_of(results: Path = RESULTS) -> str:
    """The scale at which the results in a folder were trained; `default` if there are none."""
    records = (identity.read(path) or {} for path in sorted(results.glob(f"*/*/{FILES[0]}")))
    return next((record["scale"] for record in records if record.get("scale") in SCALES), "default")


def members(studies: Studies, study: str, states: States = "needed") -> list[str]:
    """Paths of what an archive of a study holds, in order."""
    runs = places(studies, study)
    found = {str(place.folder / name) for place in runs for name in FILES[:2]}
    found |= {str(place.state) for place in runs} if states == "all" else set(_states(studies, study, states))
    found |= {*studies.measured(study), *studies.verdicts(study), f"{RESULTS}/{study}/claims.json"}
    return sorted(
        found | {figure.removesuffix(".pdf") + each for figure in studies.figures(study) for each in SUFFIXES}
    )


def _states(studies: Studies, study: str, states: States) -> Iterator[str]:
    home = studies[study]
    measures = home.measures.values() if states == "needed" else ()
    for step in (*home.figures.values(), *home.claims.values(), *measures):
        for paths in studies.outputs(study, step, "states").values():
            yield from paths


def pack(studies: Studies, study: str, out: Path, *, states: States = "needed", root: Path = Path()) -> Archive:
    """Write the archive of a study.

    Args:
        studies: as they are described now.
        study: one of them, built.
        out: the file; one that is there is replaced.
        states: which of them to pack.
        root: folder of the build.
    Raises: ArchiveError if a file is missing, damaged, or of another description than the study has now.
    """
    names = members(studies, study, states)
    if missing := [name for name in names if not (root / name).is_file()]:
        hint = f", or pack without states (--states {get_args(States)[1]})" if missing[0].endswith(FILES[2]) else ""
        raise ArchiveError(f"{missing[0]} is missing, one of {len(missing)}: build it first{hint}")
    runs = [replace(place, results=root / RESULTS) for place in places(studies, study)]
    commits = {_commit(studies, place) for place in runs}
    digests = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}
    archive = Archive(study, states, sorted(commits), digests)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    try:
        _write(archive, temporary, root)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return archive


def _commit(studies: Studies, place: Place) -> str:
    """From which commit a run was trained, once its files are sound and of this very run."""
    record = identity.read(place.record)
    try:
        damage.check_record(record, place.record)
        damage.check_rows(place.metrics, record or {})
    except Damaged as problem:
        raise ArchiveError(str(problem)) from None
    if not adopted.is_described(studies, place):
        raise ArchiveError(f"{place.label} was trained from another description, code or text; build it first")
    return str(((record or {}).get("git") or {}).get("commit"))


def _write(archive: Archive, file: Path, root: Path) -> None:
    with (
        file.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        _add(tar, MANIFEST, archive.dump())
        for name in archive.files:
            _add(tar, name, (root / name).read_bytes())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)  # mode 0644, date 0 and no owner, unless they are set
    about.size = len(content)
    tar.addfile(about, io.BytesIO(content))


def unpack(file: Path, root: Path = Path()) -> Archive:
    """Put the files of an archive into the folder of a build, all of them or none.

    They get one date, so that Snakemake takes none for older than what it is made from; not a rounded one, which may be
    before that of a checkout of the same second.

    Raises: ArchiveError if the archive is damaged, or other results stand in its place.
    """
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=root) as folder:
        archive = _extract(file, Path(folder))
        other = [name for name in archive.files if _differs(root / name, archive.files[name])]
        if other:
            raise ArchiveError(f"{other[0]} is there with other content, one of {len(other)}; nothing was unpacked")
        for name in sorted(archive.files, key=lambda name: name.endswith(FILES[0])):  # records last, as a training does
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).replace(root / name)
    return archive


def _differs(path: Path, digest: str) -> bool:
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest() != digest
    return path.exists() or path.is_symlink()


def _extract(file: Path, folder: Path) -> Archive:
    """Write the files of an archive to a folder of their own, each compared with its digest."""
    try:
        with tarfile.open(file, "r:gz") as tar:
            found = _contents(tar)
            archive = Archive.load(next(found)[1])
            left = dict(archive.files)
            stamp = folder.stat().st_mtime_ns
            for name, content in found:
                if left.pop(name, None) != hashlib.sha256(content).hexdigest():
                    raise ArchiveError(f"{name} does not match {MANIFEST}")
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
                os.utime(folder / name, ns=(stamp, stamp))
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise ArchiveError(f"{file} is damaged or no archive ({problem})") from None
    except StopIteration:
        raise ArchiveError(f"{file} is no archive: {MANIFEST} does not come first") from None
    if left:
        raise ArchiveError(f"{next(iter(left))} is not in {file}, one of {len(left)}")
    return archive


def _contents(tar: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Names and contents, archive.json first."""
    for index, member in enumerate(tar):
        content = tar.extractfile(member) if member.isreg() else None
        if content is None:
            raise ArchiveError(f"{member.name!r} is no plain file")
        if index == 0 and member.name != MANIFEST:
            return
        yield member.name, content.read()


def described(studies: Studies, archive: Archive) -> str:
    """In words, what a build makes of an archive that was unpacked."""
    runs = [Place.of(name) for name in archive.files if PurePosixPath(name).name == FILES[0]]
    other = [place.label for place in runs if not _stays(studies, place)]
    if not other:
        return f"`snakemake {archive.study}` trains none of its {len(runs)} runs"
    return f"{len(other)} of its {len(runs)} runs are described otherwise here, and will be trained again ({other[0]})"


def _stays(studies: Studies, place: Place) -> bool:
    try:
        return adopted.is_described(studies, place)
    except LookupError:
        return False


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m common.pipeline.archive", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("study", nargs="?", help="whose results to pack")
    what.add_argument("--unpack", type=Path, metavar="FILE", help="put the files of an archive into this folder")
    parser.add_argument("--out", type=Path, metavar="FILE", help="in place of archives/STUDY.tar.gz")
    parser.add_argument("--states", choices=get_args(States), default="needed", help="which of them to pack")
    given = parser.parse_args()
    owner.own(Path(".snakemake"))
    try:
        if given.unpack:
            archive = unpack(given.unpack)
            said = described(Studies.load(scale=scale_of()), archive)
            print(f"{given.unpack}: {len(archive.files)} files, each as {MANIFEST} says; {said}")
            return
        out = given.out or Path("archives", f"{given.study}.tar.gz")
        archive = pack(Studies.load(scale=scale_of()), given.study, out, states=given.states)
        digest = hashlib.sha256(out.read_bytes()).hexdigest()
        print(f"{out}: {len(archive.files)} files, {disk.words(out.stat().st_size)}, SHA-256 {digest}")
    except (ArchiveError, LookupError, OSError) as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
