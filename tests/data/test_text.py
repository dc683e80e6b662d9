"""Windows over bytes: corpora on disk and the user's own files."""

import json
import shutil
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.config import Data
from common.data import DataError, corpora, load
from common.data.corpora import CorpusError
from common.data.text import Text, split_files


def text(train: int, *, context: int, validation: int = 1000, windows: int = 4) -> Text:
    """Text in which each byte tells its place (modulo 251)."""
    parts = [(np.arange(count) % 251).astype(np.uint8) for count in (train, validation)]
    return Text(name="t", digest="d", train=parts[0], validation=parts[1], context=context, validation_windows=windows)


shapes = st.integers(1, 9).flatmap(lambda context: st.tuples(st.integers(context + 1, 200), st.just(context)))


@given(shape=shapes, seed=st.integers(0, 3), position=st.integers(0, 100), count=st.integers(1, 30))
def test_a_batch_is_its_single_examples_side_by_side(shape, seed, position, count):
    data = text(shape[0], context=shape[1])
    batch = data.batch(seed=seed, position=position, count=count)
    singles = [data.batch(seed=seed, position=position + i, count=1) for i in range(count)]
    assert torch.equal(batch.inputs, torch.cat([single.inputs for single in singles]))
    assert torch.equal(batch.targets, torch.cat([single.targets for single in singles]))


@given(shape=shapes, seed=st.integers(0, 3), epoch=st.integers(0, 3))
def test_an_epoch_predicts_each_byte_once(shape, seed, epoch):
    length, context = shape
    data = text(length, context=context)
    batch = data.batch(seed=seed, position=epoch * data.size, count=data.size)
    used = 1 + data.size * context
    assert length - context < used <= length
    assert sorted(batch.targets.flatten().tolist()) == sorted(i % 251 for i in range(1, used))


def test_targets_are_the_next_bytes():
    batch = text(500, context=8).batch(seed=0, position=3, count=20)
    assert batch.inputs.dtype == batch.targets.dtype == torch.int64
    assert batch.inputs.shape == batch.targets.shape == (20, 8)
    assert torch.equal((batch.inputs + 1) % 251, batch.targets)
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    assert batch.inputs.is_contiguous()
    assert batch.targets.is_contiguous()


def test_no_count_gives_all_windows_in_their_order():
    assert text(33, context=8).batch(seed=5, position=3, count=None).inputs[:, 0].tolist() == [0, 8, 16, 24]


@given(context=st.integers(1, 20), windows=st.integers(1, 12), spare=st.integers(0, 200), chunk=st.integers(1, 13))
def test_validation_windows_are_spread_and_do_not_overlap(context, windows, spare, chunk):
    length = windows * (context + 1) + spare
    places = np.arange(length, dtype=np.int64)
    data = text(50, context=context, validation=length, windows=windows)
    data._validation = places
    batches = list(data.validation(chunk=chunk))
    assert max(len(batch.inputs) for batch in batches) == min(chunk, windows)
    used = torch.cat([torch.cat([batch.inputs, batch.targets[:, -1:]], dim=1) for batch in batches])
    assert used.shape == (windows, context + 1)
    assert len(used.unique()) == used.numel()
    gaps = np.diff(used[:, 0].numpy(), append=length)
    assert gaps.max() - gaps.min() <= 1


def test_validation_is_the_same_each_time():
    data = text(500, context=8)
    first, second, third = (torch.cat([part.inputs for part in data.validation(chunk=chunk)]) for chunk in (1, 4, 4))
    assert torch.equal(first, second)
    assert torch.equal(second, third)


def test_too_little_text_is_refused_with_the_numbers():
    with pytest.raises(DataError, match=r"validation_windows=4 of context=9 need 40 bytes.*has 39; use at most 3"):
        text(100, context=9, validation=39)
    with pytest.raises(DataError, match=r"context=9 needs 10 bytes, but the training part has 9"):
        text(9, context=9)


def test_a_batch_is_quick():
    """The bound is 100 microseconds on an idle machine; five times as much here, and the best of many."""
    data = text(5_000_000, context=128)
    data.batch(seed=0, position=0, count=8)
    times = []
    for i in range(200):
        start = time.perf_counter()
        data.batch(seed=0, position=8 * i, count=8)
        times.append(time.perf_counter() - start)
    assert min(times) < 500e-6


DATA = Data(source="corpus", name="prose", context=16, validation_windows=5)


@pytest.fixture
def folder(tmp_path):
    """A small corpus on disk."""
    corpora.write(tmp_path / "prose", train=bytes(range(250)) * 9, validation=b"other words " * 40, facts={"a": 1})
    return tmp_path / "prose"


def test_a_corpus_is_read_from_disk(folder):
    data = load(DATA, corpora=folder.parent)
    assert (data.name, data.size, data.inputs, data.outputs, data.context) == ("prose", 2249 // 16, 256, 256, 16)
    assert data.digest == json.loads((folder / "manifest.json").read_text())["digest"]
    whole = data.batch(seed=0, position=0, count=None)
    assert bytes(whole.inputs.flatten().tolist()) == (bytes(range(250)) * 9)[: data.size * 16]
    assert bytes(next(data.validation(chunk=9)).inputs[0].tolist()) == b"other words othe"


def flip(path):
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "file", "message"),
    [
        (flip, "train.bin", r"train.bin is damaged: its manifest says sha256=\w{64}, found \w{64}; delete the folder"),
        (flip, "validation.bin", r"validation.bin is damaged: .* sha256"),
        (
            cut,
            "train.bin",
            r"train.bin is damaged: its manifest says bytes=2250, found 2249; delete the folder .*prose",
        ),
        (lambda path: path.write_bytes(b""), "train.bin", r"bytes=2250, found 0"),
        (lambda path: path.write_text("{"), "manifest.json", r"manifest.json is damaged.*delete the folder"),
        (lambda path: path.unlink(), "train.bin", r"train.bin is missing; delete the folder"),
        (lambda path: path.unlink(), "manifest.json", r"manifest.json does not exist.*run the workflow"),
    ],
)
def test_damage_is_noticed(folder, damage, file, message):
    damage(folder / file)
    with pytest.raises(CorpusError, match=message):
        load(DATA, corpora=folder.parent)


def files_data(path) -> Data:
    return Data(source="files", path=str(path), context=4, validation_windows=3)


def test_a_single_file_is_split_by_position(tmp_path):
    path = tmp_path / "book.txt"
    path.write_bytes(bytes(range(1, 101)))
    train, validation = split_files(path)
    assert train == bytes(range(1, 91))
    assert validation == bytes(range(91, 101))


def write_folder(folder, sizes):
    for i, size in enumerate(sizes):
        path = folder / f"part{i % 3}" / f"text{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<{i}>" * size)


@given(sizes=st.lists(st.integers(1, 300), min_size=2, max_size=20))
def test_a_folder_is_split_by_file(tmp_path_factory, sizes):
    folder = tmp_path_factory.mktemp("texts")
    write_folder(folder, sizes)
    train, validation = (part.decode().split("\n") for part in split_files(folder))
    assert sorted(train + validation) == sorted(f"<{i}>" * size for i, size in enumerate(sizes))
    assert train
    assert validation
    assert sum(map(len, validation)) <= sum(map(len, train)) + len(train)
    shutil.rmtree(folder)


def test_only_text_is_taken_and_copies_count_once(tmp_path):
    write_folder(tmp_path, [30, 40, 50])
    (tmp_path / "copy.md").write_bytes((tmp_path / "part0/text0.txt").read_bytes())
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    (tmp_path / "zeros.bin").write_bytes(b"\0" * 99)
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / ".hidden").write_text("hidden")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").write_text("hidden")
    found = b"\n".join(split_files(tmp_path)).split(b"\n")
    assert sorted(found) == [b"<0>" * 30, b"<1>" * 40, b"<2>" * 50]


def test_files_have_the_digest_of_their_bytes(tmp_path):
    write_folder(tmp_path / "a", [30, 40, 50])
    write_folder(tmp_path / "b", [30, 40, 50])
    one, two = (load(files_data(tmp_path / name), corpora=tmp_path) for name in "ab")
    assert one.digest == two.digest
    (tmp_path / "b/part0/text0.txt").write_text("changed " * 20)
    assert load(files_data(tmp_path / "b"), corpora=tmp_path).digest != one.digest


def test_a_relative_path_counts_from_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = load(files_data("common/data"), corpora=tmp_path)
    assert data.name == "common/data"
    assert data.size > 1000


@pytest.mark.parametrize(("name", "message"), [("nowhere", "neither a file nor a folder"), ("binary", "no UTF-8 text")])
def test_a_path_without_text_is_refused(tmp_path, name, message):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=message):
        load(files_data(tmp_path / name), corpora=tmp_path)
