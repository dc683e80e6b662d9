"""Archives of results: equal bytes for equal results, and all or nothing where they are unpacked."""

import dataclasses
import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from common import config
from common.config import Claim, Figure, Measure, Select
from common.pipeline import archive
from common.pipeline.archive import Archive, ArchiveError
from common.pipeline.studies import Studies, Study
from common.runs import damage
from common.runs.place import Place


@pytest.fixture
def studies(digits_run) -> Studies:
    """A run, one that continues it, a figure, a claim, and a measurement of the second one's state."""
    after = dataclasses.replace(digits_run, parent="a")
    claim = Claim("X1", "it learns", verdict="learns", source="ours", seeds=1, runs=Select())
    return Studies(
        {
            "sound": Study(
                "sound",
                "Why?",
                {"a": digits_run, "b": dataclasses.replace(after, arm="late")},
                {"loss": Figure("loss", runs=Select())},
                {"size": Measure("size", states=Select(arm="late"))},
                {"X1": claim},
                Path(),
                written={"a": digits_run, "b": dataclasses.replace(after, arm="late")},
            )
        }
    )


def build(studies: Studies, root: Path) -> Path:
    """Files of a build of it, with the records that a training would leave."""
    for name in archive.members(studies, "sound", "all"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name}\n")
    for run in studies["sound"].runs:
        place = Place("sound", run, root / "results")
        described = config.to_dict(studies.run("sound", run))
        record = {"description": described, "code": studies.code("sound", run), "git": {"commit": "abc"}}
        record |= {"data": {"digest": "0"}, "started_ms": 1_700_000_000_000, "seconds": 2.5, "versions": {"torch": "2"}}
        place.record.write_text(json.dumps(damage.sealed(record, metrics=place.metrics)))
    return root


@pytest.fixture
def packed(studies, tmp_path) -> Path:
    build(studies, tmp_path / "built")
    archive.pack(studies, "sound", tmp_path / "a.tar.gz", root=tmp_path / "built")
    return tmp_path / "a.tar.gz"


@pytest.fixture
def empty(tmp_path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def left(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def crafted(file: Path, contents: dict[str, bytes], *, kind: bytes = tarfile.REGTYPE) -> Path:
    """An archive whose digests are right, with these files."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    everything = {archive.MANIFEST: Archive("sound", "none", [], digests).dump()} | contents
    with tarfile.open(file, "w:gz") as tar:
        for name, content in everything.items():
            about = tarfile.TarInfo(name)
            about.size, about.type = len(content), kind if name != archive.MANIFEST else tarfile.REGTYPE
            about.linkname = "/etc/hosts"
            tar.addfile(about, io.BytesIO(content))
    return file


def test_equal_results_give_equal_bytes_whatever_their_dates(studies, packed, tmp_path):
    other = build(studies, tmp_path / "other")
    for path in other.rglob("*.csv"):
        os.utime(path, (1, 1))
    archive.pack(studies, "sound", tmp_path / "b.tar.gz", root=other)
    assert (tmp_path / "b.tar.gz").read_bytes() == packed.read_bytes()


def test_the_scale_is_that_of_the_results(tmp_path):
    assert archive.scale_of(tmp_path / "results") == "default"
    for run, text in (("a", "damaged"), ("b", '{"scale": "smoke"}')):
        record = Place("sound", run, tmp_path / "results").record
        record.parent.mkdir(parents=True)
        record.write_text(text)
    assert archive.scale_of(tmp_path / "results") == "smoke"


@pytest.mark.parametrize(("states", "runs"), [("needed", ["b"]), ("none", []), ("all", ["a", "b"])])
def test_states_are_packed_as_asked_and_tables_always(studies, states, runs):
    names = archive.members(studies, "sound", states)
    assert [name for name in names if name.endswith("safetensors")] == [
        f"results/sound/{run}/state.safetensors" for run in runs
    ]
    assert {"results/sound/size.csv", "results/sound/claims/X1.json", "figures/sound_loss.rst"} <= set(names)


def test_what_is_unpacked_is_what_was_packed_with_one_date(studies, packed, empty, monkeypatch):
    checkout = packed.parent / "adapter.py"
    checkout.touch()
    found = archive.unpack(packed, empty)
    built = left(packed.parent / "built")
    assert left(empty) == {name: built[name] for name in found.files} and found.commits == ["abc"]
    [date] = {path.stat().st_mtime_ns for path in empty.rglob("*") if path.is_file()}
    assert date >= checkout.stat().st_mtime_ns
    archive.unpack(packed, empty)  # the same again is no conflict
    monkeypatch.chdir(empty)
    assert archive.described(studies, found) == "`snakemake sound` trains none of its 2 runs"
    run = dataclasses.replace(studies.run("sound", "a"), lr=0.5)
    studies["sound"].runs["a"] = run
    assert "1 of its 2 runs are described otherwise here" in archive.described(studies, found)


def test_other_results_are_not_overwritten(packed, empty):
    own = empty / "results/sound/a/metrics.csv"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(ArchiveError, match=r"a/metrics.csv is there with other content, one of 1; nothing"):
        archive.unpack(packed, empty)
    assert left(empty) == {"results/sound/a/metrics.csv": b"mine"}


@pytest.mark.parametrize("name", ["../x", "/tmp/crate_x", "results/../x", "results", "common/x.py", "results//x"])
def test_paths_outside_are_refused(empty, name):
    with pytest.raises(ArchiveError, match="lies outside of results and figures"):
        archive.unpack(crafted(empty.parent / "x.tar.gz", {name: b""}), empty)
    assert not left(empty)


def test_links_are_refused(empty):
    file = crafted(empty.parent / "x.tar.gz", {"results/a/x": b""}, kind=tarfile.SYMTYPE)
    with pytest.raises(ArchiveError, match="no plain file"):
        archive.unpack(file, empty)


def test_damage_is_told_and_nothing_unpacked(packed, empty):
    plain = gzip.decompress(packed.read_bytes())
    for damaged, told in (
        (gzip.compress(plain.replace(b"results/sound/a/metrics.csv\n", b"results/sound/a/metrics.csw\n")), "not match"),
        (packed.read_bytes()[:-40], "damaged"),
        (b"text", "damaged or no archive"),
        (gzip.compress(b"".ljust(10240, b"\0")), "does not come first"),
    ):
        packed.write_bytes(damaged)
        with pytest.raises(ArchiveError, match=told):
            archive.unpack(packed, empty)
    assert not left(empty)


def test_what_is_missing_damaged_or_of_another_description_is_not_packed(studies, tmp_path):
    root = build(studies, tmp_path / "built")
    state = root / "results/sound/b/state.safetensors"
    state.unlink()
    out = tmp_path / "x.tar.gz"
    with pytest.raises(ArchiveError, match=r"state.safetensors is missing.+--states none"):
        archive.pack(studies, "sound", out, root=root)
    archive.pack(studies, "sound", out, states="none", root=root)
    out.unlink()
    studies["sound"].runs["a"] = dataclasses.replace(studies.run("sound", "a"), lr=0.5)
    with pytest.raises(ArchiveError, match="sound/a was trained from another description"):
        archive.pack(studies, "sound", out, states="none", root=root)
    (root / "results/sound/a/metrics.csv").write_text("0")
    with pytest.raises(ArchiveError, match="does not match the SHA-256"):
        archive.pack(studies, "sound", out, states="none", root=root)
    assert not out.exists()
