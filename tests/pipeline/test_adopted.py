"""Results that Snakemake's memory tells nothing true of are made again, by marks that Snakemake reads as its own."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.io import IOFile
from snakemake.persistence.file import FilePersistence

from common import config, data
from common.config import Files, Mixture, Run
from common.pipeline import adopted
from common.pipeline.studies import Studies, Study
from common.runs.parent import contents
from common.runs.place import Place

LONG = "a" * 150


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of a build, with a text of the user's own beside it."""
    (tmp_path / "text.txt").write_text("the river is in the valley and the hill is above it. " * 40)
    (tmp_path / "build").mkdir()
    monkeypatch.chdir(tmp_path / "build")
    adopted._digest.cache_clear()
    return tmp_path / "build"


@pytest.fixture
def own(folder, text_run) -> Run:
    """A run on that text."""
    return dataclasses.replace(text_run, data=Files(str(folder.parent / "text.txt"), context=16, validation_windows=8))


def studies(run: Run, name: str = "a") -> Studies:
    return Studies({"sound": Study("sound", "Why?", {name: run}, {}, {}, {}, Path())})


def trained(run: Run, name: str = "a") -> Place:
    """The record of a run that was trained on what its data are now."""
    place = Place("sound", name)
    place.folder.mkdir(parents=True)
    code = studies(run, name).code("sound", name)
    read = contents(data.load_all(run, corpora=place.corpora))
    place.record.write_text(json.dumps({"description": config.to_dict(run), "code": code} | read))
    return place


def incomplete(place: Place) -> bool:
    """Whether Snakemake takes the record for one that it has not made to its end."""
    return bool(FilePersistence(nolock=True)._filter_incomplete_keys([str(place.record)]))


def start(run: Run, name: str = "a") -> None:
    """What a start of Snakemake does."""
    adopted._digest.cache_clear()
    adopted.check(studies(run, name), executing=False)


@pytest.mark.parametrize("name", ["a", LONG])
def test_copied_results_of_another_description_are_incomplete_for_snakemake(digits_run, folder, capsys, name):
    place = trained(digits_run, name)
    start(digits_run, name)
    assert not incomplete(place) and not capsys.readouterr().err
    start(dataclasses.replace(digits_run, steps=11), name)
    assert incomplete(place) and place.record.exists()
    told = f"copied results of another description, code or text: 1, to be trained again (sound/{name})\n"
    assert capsys.readouterr().err == told


def test_results_are_complete_again_when_their_description_is_changed_back(digits_run, folder):
    place = trained(digits_run)
    start(dataclasses.replace(digits_run, steps=11))
    start(digits_run)
    assert not incomplete(place)


def test_what_snakemake_was_making_itself_stays_incomplete(digits_run, folder):
    place = trained(digits_run)
    FilePersistence(nolock=True).started(SimpleNamespace(output=[IOFile(str(place.record))]))
    start(digits_run)
    assert incomplete(place)


@pytest.mark.parametrize("mixed", [False, True])
def test_copied_results_of_a_text_that_has_changed_are_incomplete(own, folder, capsys, mixed):
    run = dataclasses.replace(own, data=Mixture(own.data, own.data, share=0.5)) if mixed else own
    place = trained(run)
    start(run)
    assert not incomplete(place)
    text = folder.parent / "text.txt"
    text.write_text(text.read_text() + "a new sentence")
    start(run)
    assert incomplete(place) and "or text: 1, to be trained again" in capsys.readouterr().err


@pytest.mark.parametrize("change", [lambda text: text.unlink(), lambda text: text.write_text("short")])
def test_copied_results_of_a_text_that_cannot_be_read_are_incomplete(own, folder, change):
    place = trained(own)
    change(folder.parent / "text.txt")
    start(own)
    assert incomplete(place)


def test_a_record_that_says_nothing_of_its_text_is_incomplete(own, folder):
    place = trained(own)
    record = json.loads(place.record.read_text())
    for read in (None, "text", {}):
        place.record.write_text(json.dumps(record | {"data": read}))
        start(own)
        assert incomplete(place)
        place.record.write_text(json.dumps(record))
        start(own)
        assert not incomplete(place)


@pytest.mark.parametrize("training", [False, True])
def test_a_run_that_snakemake_knows_is_doubted_only_beside_a_training_that_did_not_end(
    digits_run, folder, capsys, training
):
    place = trained(digits_run)
    persistence = FilePersistence(nolock=True)
    persistence._write_record(str(place.record), {"rule": "train"})
    if training:
        place.progress.mkdir()
    start(dataclasses.replace(digits_run, steps=11))
    assert incomplete(place) == training and not capsys.readouterr().err


def test_a_folder_that_cannot_be_marked_stops_a_build_and_no_plan(digits_run, folder):
    trained(digits_run)
    other = studies(dataclasses.replace(digits_run, steps=11))
    Path(".snakemake").write_text("a file in its place")
    adopted.check(other, executing=False)
    with pytest.raises(SystemExit, match="a build has to mark there what it will train again"):
        adopted.check(other, executing=True)
