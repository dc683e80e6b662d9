"""Windows over bytes: corpora on disk and the user's own files."""

import dataclasses
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.config import Corpus, Files
from common.data import DataError, byte_permutation, corpora, load
from common.data.corpora import CorpusError
from common.data.text import Part, Text, content, split_files


def text(train: int, *, context: int, validation: int = 1000, windows: int = 4, **more) -> Text:
    """Text in which each byte tells its place (modulo 251)."""
    parts = [(np.arange(count) % 251).astype(np.uint8) for count in (train, validation)]
    train, validation = map(Part, parts)
    return Text(
        name="t", digest="d", train=train, validation=validation, context=context, validation_windows=windows, **more
    )


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
    data._validation = Part(places)
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


DATA = Corpus("prose", context=16, validation_windows=5)


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


def files_data(path) -> Files:
    return Files(str(path), context=4, validation_windows=3)


def test_a_single_file_is_split_by_position(tmp_path):
    path = tmp_path / "book.txt"
    path.write_bytes(bytes(range(1, 101)))
    train, validation, left_out = split_files(path)
    assert not left_out
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
    train, validation, _ = split_files(folder)
    whole = b"".join(f"<{i}>".encode() * size for i, size in enumerate(sizes))
    assert sorted((train + validation).replace(b"\n", b"")) == sorted(whole)
    held = len(validation.replace(b"\n", b""))
    assert 0.05 * len(whole) - 1 <= held <= 0.1 * len(whole) + 1
    texts = {f"<{i}>".encode() * size for i, size in enumerate(sizes)}
    assert sum(part not in texts for part in train.split(b"\n")) <= 1, "at most one file is cut"
    shutil.rmtree(folder)


LINE = b"All work and no play makes Jack a dull boy.\n"


@pytest.mark.parametrize(
    "others",
    [
        {"prepare.py": b"import os\n" * 230, "readme.md": b"# tiny shakespeare\n" * 11},
        {"LICENSE": b"MIT, see the file in the main folder...."},
        {"twin.txt": LINE * 24_999},
    ],
)
def test_a_large_text_beside_small_files_gives_its_end_to_validation(tmp_path, others):
    for name, written in ({"input.txt": LINE * 25_000} | others).items():
        (tmp_path / name).write_bytes(written)
    train, validation, _ = split_files(tmp_path)
    total = len(train) + len(validation)
    assert 0.099 <= len(validation) / total <= 0.101
    assert validation.endswith(LINE) or b"boy." in validation
    load(Files(str(tmp_path), context=64), corpora=tmp_path)


def test_only_text_is_taken_copies_count_once_and_the_rest_is_told(tmp_path, capsys):
    write_folder(tmp_path, [30, 40, 50])
    (tmp_path / "copy.md").write_bytes((tmp_path / "part0/text0.txt").read_bytes())
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    (tmp_path / "zeros.bin").write_bytes(b"\0" * 99)
    (tmp_path / "wide.txt").write_bytes("gr\u00fc\u00dfe".encode("utf-16"))
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / ".hidden").write_text("hidden")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").write_text("hidden")
    (tmp_path / "link").symlink_to(tmp_path / "part0")
    train, validation, left_out = split_files(tmp_path)
    assert sorted((train + validation).replace(b"\n", b"")) == sorted(b"<0>" * 30 + b"<1>" * 40 + b"<2>" * 50)
    assert left_out == [
        "files that are no UTF-8 text (picture.png, wide.txt, zeros.bin): 3",
        "copies: 1",
        "links to folders: 1",
    ]
    load(files_data(tmp_path), corpora=tmp_path)
    assert f"data {str(tmp_path)!r}: left out files that are no UTF-8 text" in capsys.readouterr().err


def test_names_of_files_may_be_in_any_encoding(tmp_path):
    folder = os.fsencode(tmp_path)
    for name in (b"caf\xe9.txt", "caf\u00e9.txt".encode()):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(LINE * (100 + len(name)))
    (Path(os.fsdecode(folder + b"/\xff\xfe.bin"))).write_bytes(b"\xff\xfe")
    train, _, left_out = split_files(tmp_path)
    assert train and left_out == ["files that are no UTF-8 text (\ufffd\ufffd.bin): 1"]


@pytest.mark.parametrize("name", ["a|b", "~a", "a b; c"])
def test_the_path_of_own_text_may_begin_at_home_and_hold_what_a_shell_would_read(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_folder(tmp_path / name, [30, 40])
    assert content(files_data(Path("~") / name)) == content(files_data(tmp_path / name))
    assert load(files_data(Path("~") / name), corpora=tmp_path).digest == content(files_data(tmp_path / name))


def test_the_content_of_own_text_follows_every_change(tmp_path):
    write_folder(tmp_path, [30, 40])
    found = [content(files_data(tmp_path))]
    (tmp_path / "part0/text0.txt").write_text("changed " * 20)
    found.append(content(files_data(tmp_path)))
    (tmp_path / "more.txt").write_text("another file " * 9)
    found.append(content(files_data(tmp_path)))
    os.utime(tmp_path / "more.txt", ns=(1, 1))
    assert content(files_data(tmp_path)) == found[-1]
    shutil.rmtree(tmp_path)
    found.append(content(files_data(tmp_path)))
    assert len(set(found)) == 4 and "neither a file nor a folder" in found[-1]


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


def masked(*, context: int, lines: list[bytes], validation: list[bytes] | None = None, **more) -> Text:
    """Text of which the small letters are scored."""
    parts = [np.frombuffer(b"".join(part), np.uint8) for part in (lines, validation or [b"abcdefghij" * 3])]
    train, held_out = (Part(part, ((part >= 97) & (part <= 122)).astype(np.uint8)) for part in parts)
    windows = more.pop("windows", 1)
    return Text(
        name="t", digest="d", train=train, validation=held_out, context=context, validation_windows=windows, **more
    )


def test_targets_that_are_not_scored_are_ignored_and_inputs_stay():
    batch = masked(context=4, lines=[b"_", b"AAbc", b"ABCD", b"efgH"]).batch(seed=0, position=0, count=None)
    assert [bytes(row) for row in batch.inputs.tolist()] == [b"_AAb", b"Defg"]
    assert batch.targets.tolist() == [[-100, -100, *b"bc"], [*b"efg", -100]]


@given(text=st.text(alphabet="aB", min_size=30, max_size=90), context=st.integers(1, 6), seed=st.integers(0, 3))
def test_an_epoch_scores_each_scored_byte_once(text, context, seed):
    content = b"_" + text.encode() + b"a" * context * 2
    data = masked(context=context, lines=[content])
    batch = data.batch(seed=seed, position=data.size, count=data.size)
    used = 1 + (len(content) - 1) // context * context
    assert (batch.targets == ord("a")).sum() == content[:used].count(b"a")
    assert set(batch.targets.flatten().tolist()) <= {ord("a"), -100}
    assert ((batch.targets != -100).sum(1) > 0).all()


def test_a_validation_window_may_hold_nothing_that_is_scored():
    data = masked(context=3, lines=[b"abcd"], validation=[b"ABCD", b"abCD", b"abcd"], windows=3)
    targets = torch.cat([batch.targets for batch in data.validation(chunk=2)])
    assert (targets != -100).sum(1).tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    ("lines", "validation", "part"), [(b"ABCDE", b"abcde", "training"), (b"ab", b"AB", "validation")]
)
def test_text_without_a_scored_byte_is_refused(lines, validation, part):
    with pytest.raises(DataError, match=f"data 't': the {part} windows hold no scored byte; use more text"):
        masked(context=1, lines=[lines], validation=[validation])


@pytest.fixture
def masked_folder(tmp_path):
    """A small corpus on disk with masks; every other byte is scored."""
    parts = {"train": bytes(range(250)) * 9, "validation": b"other words " * 40}
    masks = {part: bytes([0, 1]) * (len(content) // 2) for part, content in parts.items()}
    corpora.write(tmp_path / "documented", **parts, facts={}, masks=masks)
    return tmp_path / "documented"


def test_masks_are_read_from_disk_and_belong_to_the_digest(masked_folder, folder):
    described = Corpus("documented", context=16, validation_windows=5)
    data = load(described, corpora=masked_folder.parent)
    batch = data.batch(seed=0, position=0, count=3)
    assert torch.equal(batch.targets == -100, (batch.targets != -100).roll(1, 1))
    assert data.digest != load(DATA, corpora=folder.parent).digest
    manifest = json.loads((masked_folder / "manifest.json").read_text())
    assert manifest["masks"]["bytes"] == manifest["bytes"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, r"validation.mask is damaged: .* sha256"),
        (cut, r"validation.mask is damaged: .* bytes=480, found 479"),
        (lambda path: path.unlink(), r"validation.mask is missing; delete the folder"),
    ],
)
def test_damage_of_a_mask_is_noticed(masked_folder, damage, message):
    damage(masked_folder / "validation.mask")
    with pytest.raises(CorpusError, match=message):
        load(Corpus("documented", context=16, validation_windows=5), corpora=masked_folder.parent)


@pytest.mark.parametrize("seed", range(3))
def test_samples_are_the_same_for_every_seed_and_read_in_permuted_epochs(seed):
    data, whole = text(900, context=8, samples=7), text(900, context=8)
    kept = data.batch(seed=0, position=0, count=None)
    assert data.size == len(kept.inputs) == 7
    assert kept.inputs[:, 0].tolist() == [8 * (i * whole.size // 7) % 251 for i in range(7)]
    epochs = [data.batch(seed=seed, position=7 * epoch, count=7) for epoch in range(4)]
    for epoch in epochs:
        assert sorted(epoch.inputs[:, 0].tolist()) == sorted(kept.inputs[:, 0].tolist())
    assert not all(torch.equal(epochs[0].inputs, epoch.inputs) for epoch in epochs[1:])


def test_all_samples_are_the_whole_text():
    data, whole = (text(100, context=8, **more) for more in ({"samples": 12}, {}))
    for seed in range(2):
        one, two = (each.batch(seed=seed, position=5, count=20) for each in (data, whole))
        assert torch.equal(one.inputs, two.inputs)


def test_samples_of_masked_text_are_taken_where_something_is_scored():
    lines = [b"_", *[b"ABCD", b"abcd"] * 20]
    data = masked(context=4, lines=lines, samples=20)
    assert (data.batch(seed=0, position=0, count=None).targets != -100).all()
    with pytest.raises(DataError, match=r"samples=21 must be at most 20"):
        masked(context=4, lines=lines, samples=21)


def test_ranked_samples_hold_the_comments(tmp_path):
    path = tmp_path / "code.py"
    path.write_bytes(b"_" + b"".join(b"#abc" if i % 5 == 0 else b"a\nbc" for i in range(80)) + b"\n" * 99)
    ranked = Files(str(path), context=4, validation_windows=1, samples=10, ranked="comments")
    found = load(ranked, corpora=tmp_path).batch(seed=0, position=0, count=None)
    assert [bytes(row) for row in found.targets.tolist()] == [b"#abc"] * 10


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_permuted_text_is_the_text_in_another_alphabet(folder, share):
    plain = load(DATA, corpora=folder.parent)
    changed = load(dataclasses.replace(DATA, permuted=share), corpora=folder.parent)
    table = torch.from_numpy(byte_permutation.table(share).astype(np.int64))
    for one, two in [
        (plain.batch(seed=1, position=9, count=30), changed.batch(seed=1, position=9, count=30)),
        *zip(plain.validation(chunk=3), changed.validation(chunk=3), strict=True),
    ]:
        assert torch.equal(table[one.inputs], two.inputs) and torch.equal(table[one.targets], two.targets)
        assert not torch.equal(one.inputs, two.inputs)


def test_a_mask_and_a_ranking_stand_for_the_text_before_its_exchange(masked_folder):
    described = Corpus("documented", context=16, validation_windows=5, samples=9, ranked="comments")
    one, two = (
        load(each, corpora=masked_folder.parent).batch(seed=0, position=0, count=None)
        for each in (described, dataclasses.replace(described, permuted=1.0))
    )
    table = torch.from_numpy(byte_permutation.table(1.0).astype(np.int64))
    assert torch.equal(table[one.inputs], two.inputs)
    assert torch.equal(one.targets == -100, two.targets == -100)


def test_what_changes_a_text_changes_its_digest(folder):
    changes = [{}, {"samples": 9}, {"samples": 8}, {"permuted": 0.5}, {"samples": 9, "permuted": 0.5}]
    found = [load(dataclasses.replace(DATA, **change), corpora=folder.parent).digest for change in changes]
    assert len(set(found)) == len(found)
    assert found[0] == json.loads((folder / "manifest.json").read_text())["digest"]
