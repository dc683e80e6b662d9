"""Where the files of a run are."""

from pathlib import Path

import pytest

from common.runs.place import Place


def test_every_path_of_a_run():
    place = Place("wsd", "cosine-s0")
    assert place.folder == Path("results/wsd/cosine-s0")
    assert [path.name for path in (place.record, place.metrics, place.state, place.progress)] == [
        "run.json", "metrics.csv", "state.safetensors", "progress",
    ]  # fmt: skip
    assert {path.parent for path in (place.record, place.metrics, place.state, place.progress)} == {place.folder}
    assert (place.label, place.corpora) == ("wsd/cosine-s0", Path("results/data"))


def test_a_place_is_found_by_any_of_its_files(tmp_path):
    place = Place("wsd", "cosine-s0", tmp_path)
    assert {Place.of(path) for path in (place.record, str(place.metrics), place.state)} == {place}


@pytest.mark.parametrize(("name", "label"), [("trunk", "wsd/trunk"), ("sharpness/gd", "sharpness/gd")])
def test_a_name_is_that_of_the_own_study_or_has_its_own(tmp_path, name, label):
    place = Place.named(name, study="wsd", results=tmp_path)
    assert (place.label, place.results) == (label, tmp_path)
