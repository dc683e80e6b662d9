"""A file that is not what was written is noticed, named, and moved out of the way of the next build."""

import json
import shutil

import pytest

from common.config import MLP, Digits, Run
from common.runs import checkpoint, damage, job, records, snapshots
from common.runs.damage import Damaged
from common.runs.place import FILES, Place

RUN = Run(model=MLP(width=8), data=Digits(), lr=0.1, steps=4, seed=3, log_every=1, keep_steps=(2,))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A complete run."""
    results = tmp_path_factory.mktemp("trained") / "results"
    made(results)
    return results


def made(results):
    place = Place("study", "run", results)
    job.train(job.Job(place=place, run=RUN, code="c", scale="default", save_seconds=60))
    return place


@pytest.fixture
def place(trained, tmp_path):
    """A copy of it."""
    shutil.copytree(trained, tmp_path / "results")
    return Place("study", "run", tmp_path / "results")


def altered(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def another_digit(place):
    value = place.metrics.read_text().splitlines()[-1].split(",")[2]
    altered(place.metrics, value, value[:-1] + str((int(value[-1]) + 1) % 10))


def truncated(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def flipped(file):
    content = bytearray(file.read_bytes())
    content[-3] ^= 4
    file.write_bytes(content)


DAMAGES = {
    "a digit of the rows": (another_digit, "metrics.csv does not match the SHA-256"),
    "half of the rows": (lambda place: truncated(place.metrics), "metrics.csv does not match the SHA-256"),
    "no rows": (lambda place: place.metrics.write_text(""), "metrics.csv does not match the SHA-256"),
    "a fact": (lambda place: altered(place.record, '"complete"', '"diverged"'), "run.json does not match its SHA-256"),
    "half of the record": (lambda place: truncated(place.record), "run.json is cut or altered"),
    "a list for a record": (lambda place: place.record.write_text("[]"), "run.json is no record of a run"),
    "no record": (lambda place: place.record.unlink(), "run.json is missing"),
}


@pytest.mark.parametrize(("harm", "words"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_named_set_aside_and_the_same_bytes_come_back(place, harm, words):
    before = place.metrics.read_bytes()
    harm(place)
    with pytest.raises(Damaged, match=rf"{words}.*; the files of study/run are in .*aside now, and the same command"):
        records.read_runs([place.metrics])
    assert not any((place.folder / name).exists() for name in FILES)
    assert (place.folder / damage.ASIDE / "state.safetensors").exists()
    made(place.results)
    assert place.metrics.read_bytes() == before
    assert len(records.read_runs([place.metrics])) == 5


@pytest.mark.parametrize("harm", [truncated, flipped])
def test_a_damaged_state_is_set_aside_by_whoever_reads_it(place, harm):
    harm(place.state)
    with pytest.raises(checkpoint.DamagedState, match="the same command trains the run again"):
        snapshots.read(place.state)
    assert not place.record.exists()


def test_a_run_that_was_never_trained_is_not_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match="the run has not been trained"):
        records.read_record(tmp_path / "results/study/run/metrics.csv")


def test_a_record_from_before_there_were_digests_is_read(place):
    record = json.loads(place.record.read_text())
    place.record.write_text(json.dumps({name: record[name] for name in record if not name.endswith("sha256")}))
    assert len(records.read_runs([place.metrics])) == 5
