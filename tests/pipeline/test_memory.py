"""Digests are kept from one start to the next, and never longer than the sources that they were taken from."""

import json
import os
from pathlib import Path

import pytest

from common.pipeline.memory import Memory, Taken


@pytest.fixture
def root(tmp_path) -> Path:
    """A repository with a source in each package, and one elsewhere."""
    for folder in ("common", "studies", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.py").write_text("X = 1\n")
    return tmp_path


def remembered(root: Path, file: str = "common/one.py", *, digest: str = "d1") -> tuple[str, bool]:
    """What a start of its own gives for the place "one", and whether it had to take it anew."""
    taken = []

    def take() -> Taken:
        taken.append(digest)
        return Taken(digest, [root / file])

    memory = Memory(root / ".snakemake/digests.json", root)
    first = memory.recall("one", take)
    memory.write()
    return first, bool(taken)


def test_a_digest_is_taken_once_while_no_source_changes(root):
    assert remembered(root) == ("d1", True)
    assert remembered(root, digest="d2") == ("d1", False)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "common/one.py").write_text("X = 2\n"),
        lambda root: (root / "studies/new.py").write_text(""),
        lambda root: (root / "studies/one.py").rename(root / "studies/two.py"),
        lambda root: (root / ".snakemake/digests.json").write_text("{"),
        lambda root: (root / ".snakemake/digests.json").write_text("[]"),
        lambda root: (root / ".snakemake/digests.json").unlink(),
    ],
)
def test_after_any_change_of_a_source_it_is_taken_anew(root, change):
    remembered(root)
    change(root)
    assert remembered(root, digest="d2") == ("d2", True)


def test_a_digest_that_leads_out_of_the_packages_is_not_kept(root):
    remembered(root, "elsewhere/one.py")
    assert remembered(root, "elsewhere/one.py", digest="d2") == ("d2", True)


def test_a_digest_of_a_linked_folder_is_not_kept(root):
    (root / "studies/linked").symlink_to(root / "elsewhere")
    remembered(root, "studies/linked/one.py")
    (root / "elsewhere/one.py").write_text("X = 2\n")
    assert remembered(root, "studies/linked/one.py", digest="d2") == ("d2", True)


@pytest.mark.parametrize(
    "leave",
    [
        lambda folder: (folder / ".#one.py").symlink_to("me@here.1234"),
        lambda folder: (folder / "round.py").symlink_to("round.py"),
        lambda folder: (folder / "folder.py").mkdir(),
        lambda folder: Path(os.fsdecode(bytes(folder / "caf") + b"\xe9.py")).touch(),
    ],
    ids=["lock of an editor", "link to itself", "folder", "name in Latin-1"],
)
def test_what_is_no_source_stops_nothing(root, leave):
    leave(root / "studies")
    assert remembered(root) == ("d1", True)
    assert remembered(root, digest="d2") == ("d1", False)


def test_nothing_is_kept_of_sources_that_change_meanwhile(root):
    memory = Memory(root / ".snakemake/digests.json", root)
    memory.recall("one", lambda: Taken("d1", [root / "common/one.py"]))
    (root / "common/one.py").write_text("X = 2\n")
    memory.write()
    assert not (root / ".snakemake").exists()


def test_two_starts_at_once_keep_what_both_have_taken(root):
    memories = [Memory(root / ".snakemake/digests.json", root) for _ in range(2)]
    for name, memory in zip("ab", memories, strict=True):
        memory.recall(name, lambda name=name: Taken(name, []))
        memory.write()
    assert json.loads((root / ".snakemake/digests.json").read_text())["digests"] == {"a": "a", "b": "b"}


def test_a_folder_that_cannot_be_written_costs_time_only(root):
    (root / ".snakemake").write_text("a file in its place")
    assert remembered(root) == ("d1", True)
    assert remembered(root, digest="d2") == ("d2", True)
