"""Streamed data sets: any iterable of dictionaries stands for the hub."""

import builtins
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import HuggingFace, identity
from common.data import DataError, huggingface, load
from common.data.huggingface import folder_name, keep, split_documents

DATA = HuggingFace("someone/Stories", bytes_limit=4000, context=8, validation_windows=2)


def documents(count=500, field="text"):
    return [{field: f"Story {i} of a caf\u00e9.", "id": i} for i in range(count)]


@given(limit=st.integers(3000, 30_000))
def test_the_limit_counts_the_bytes_of_both_parts(limit):
    train, validation = split_documents(documents(), field="text", limit=limit)
    available = sum(len(document["text"].encode()) + 1 for document in documents())
    assert len(train) + len(validation) == min(limit, available)


def test_documents_are_not_cut_and_belong_to_one_part():
    parts = [set(part.decode().split("\n")[:-1]) for part in split_documents(documents(), field="text", limit=10**6)]
    assert parts[0] | parts[1] == {document["text"] for document in documents()}
    assert not parts[0] & parts[1]
    assert 8 < len(parts[1]) < 45  # 25 expected, standard deviation 5


def test_no_more_is_read_than_needed():
    def endless():
        yield from documents()
        raise AssertionError("read past the limit")

    split_documents(endless(), field="text", limit=5000)


def test_copies_are_left_out():
    once = split_documents(documents(), field="text", limit=10**6)
    assert split_documents(documents() + documents(), field="text", limit=10**6) == once


def test_a_wrong_field_names_the_right_ones():
    with pytest.raises(DataError, match=r"text_field='text' holds no text .* its text fields are \['body'\]"):
        split_documents(documents(field="body"), field="text", limit=100)


def test_an_empty_part_is_refused():
    with pytest.raises(DataError, match=r"bytes_limit=5 gives 1 documents.*raise bytes_limit"):
        split_documents(documents(), field="text", limit=5)


def test_a_data_set_is_streamed_once_and_then_read_from_disk(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(huggingface, "stream_documents", lambda data: calls.append(data) or documents())
    first, second = (load(DATA, corpora=tmp_path) for _ in range(2))
    assert calls == [DATA]
    assert first.name == "someone/Stories"
    assert first.digest == second.digest
    (folder,) = (tmp_path / "huggingface").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["huggingface"], manifest["bytes_limit"]) == ("someone/Stories", 4000)


def test_another_configuration_revision_or_split_is_another_data_set(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(huggingface, "stream_documents", lambda data: calls.append(data) or documents())
    others = [{"configuration": "c-1"}, {"revision": "v2"}, {"split": "test"}, {}]
    for fields in (*others, {}):
        load(dataclasses.replace(DATA, **fields), corpora=tmp_path)
    assert len(calls) == len(list((tmp_path / "huggingface").iterdir())) == 4
    assert identity(DATA) == identity(dataclasses.replace(DATA, split="train", configuration=None))


def test_equal_words_for_different_fields_are_different_data_sets(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface, "stream_documents", lambda data: documents(field=data.text_field))
    alike = [
        *({field: "validation"} for field in ("configuration", "revision", "split", "text_field")),
        {"configuration": "a", "revision": "b"},
        {"configuration": "a revision=b"},
        {"configuration": "a/b"},
        {"configuration": "a b"},
        {"name": "/some one/Stories"},
        {"name": "/some/one/Stories"},
        {"name": "someone--Stories"},
        {},
    ]
    for fields in alike:
        load(dataclasses.replace(DATA, **fields), corpora=tmp_path)
    assert len(list((tmp_path / "huggingface").iterdir())) == len(alike)


def test_a_folder_says_what_is_in_it():
    chosen = dataclasses.replace(DATA, configuration="c-1", split="test")
    assert folder_name(DATA) == "someone--Stories--text--4000"
    assert folder_name(chosen).startswith("someone--Stories--configuration=c-1--split=test--text--4000--")


def test_rows_without_text_are_left_out():
    holes = [{"text": None, "id": 1}, {"text": "", "id": 2}]
    once = split_documents(documents(), field="text", limit=10**6)
    assert split_documents(holes + documents() + holes, field="text", limit=10**6) == once
    with pytest.raises(DataError, match=r"text_field='text' holds no text .* its text fields are \['name'\]"):
        split_documents([{"text": ["a", "list"], "name": "x"}], field="text", limit=100)


def test_of_two_processes_that_stream_at_once_one_wins(tmp_path):
    for _ in range(2):
        keep(documents(), data=DATA, folder=tmp_path / "n")
    assert [path.name for path in tmp_path.iterdir()] == ["n"]
    assert {path.name for path in (tmp_path / "n").iterdir()} == {"train.bin", "validation.bin", "manifest.json"}


def test_a_stream_that_breaks_leaves_nothing(tmp_path, monkeypatch):
    def broken(_):
        yield from documents(3)
        raise ConnectionError("network is down")

    monkeypatch.setattr(huggingface, "stream_documents", broken)
    with pytest.raises(ConnectionError):
        load(DATA, corpora=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "datasets":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        DataError, match=r"HuggingFace\('someone/Stories'\) needs the package 'datasets'.*pip install datasets"
    ):
        load(DATA, corpora=tmp_path)


def test_the_package_itself_on_a_local_data_set(tmp_path):
    """Needs the optional extra; `load_dataset` takes a folder of text files for a data set."""
    pytest.importorskip("datasets")
    (tmp_path / "set").mkdir()
    lines = [document["text"] for document in documents()]
    (tmp_path / "set/train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    streamed = list(huggingface.stream_documents(dataclasses.replace(DATA, name=str(tmp_path / "set"))))
    assert [document["text"] for document in streamed] == lines
