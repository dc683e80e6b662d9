"""Windows over streams of bytes: corpora, the user's own files, streamed data sets. A token is a byte."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from common import config
from common.config import Loss
from common.data import Batch, DataError, byte_permutation, indices, subset
from common.data.corpora import CorpusError, digest, sha256
from common.data.losses import IGNORED

Bytes = NDArray[np.uint8]

REPOSITORY = Path(__file__).resolve().parents[2]
FILES_SHARE = 0.05
"""Share of the bytes of a folder with which whole files are enough for a validation set."""
LARGEST_SHARE = 0.1
"""Share that the validation set has at most; and has, where it is cut off the end of a file."""

CHANGES = ("samples", "ranked", "permuted")
"""Fields of a description that change what is read of a text."""


class Part(NamedTuple):
    """Training or validation bytes, uint8 (size,); may be memory maps."""

    content: Bytes
    mask: Bytes | None = None
    """1 for each byte that is scored as a target, else 0; all are if left out."""


class Text:
    """Language modelling on bytes; implements `common.data.Dataset`.

    Training examples are windows of context + 1 bytes that start every `context` bytes, so that each byte but the first
    is predicted once in an epoch. Validation examples are windows of context + 1 bytes that do not overlap, spread
    evenly over the validation bytes.

    With masks, targets that are not scored are -100, and training windows without a scored one are left out, so that
    every batch has a loss: the mean over its scored targets, wherever in the batch they stand.

    Args:
        train: training bytes, of any length from context + 1 on.
        validation: validation bytes.
        digest: SHA-256 of what decides the content.
        validation_windows: number of validation examples.
        samples: number of training windows; all if left out (see `subset.choose`).
        ranked: how these are chosen.
        permuted: share of the characters that are exchanged in both parts (see `byte_permutation.table`); none if left
            out.
    Raises: DataError if the bytes do not suffice.
    """

    loss: Loss = "cross_entropy"
    inputs: int = 256
    outputs: int = 256

    def __init__(
        self,
        *,
        name: str,
        digest: str,
        train: Part,
        validation: Part,
        context: int,
        validation_windows: int,
        samples: int | None = None,
        ranked: str | None = None,
        permuted: float | None = None,
    ) -> None:
        needed, held = validation_windows * (context + 1), len(validation.content)
        if held < needed:
            raise DataError(
                f"data {name!r}: validation_windows={validation_windows} of context={context} need {needed} bytes, but "
                f"the validation part has {held}; use at most {held // (context + 1)} windows"
            )
        if len(train.content) <= context:
            raise DataError(
                f"data {name!r}: one window of context={context} needs {context + 1} bytes, but the training part has "
                f"{len(train.content)}; use a smaller context or more text"
            )
        self.name = name
        self.digest = digest
        self.context: int | None = context
        self._train, self._validation = train, validation
        self._offsets = np.arange(context + 1)
        self._held_out = np.arange(validation_windows) * held // validation_windows
        self._table = None if permuted is None else byte_permutation.table(permuted)
        self._chosen = self._scored_windows()
        for part, scored in (("training", len(self._chosen) > 0), ("validation", self._scores_validation())):
            if not scored:
                raise DataError(
                    f"data {name!r}: the {part} windows hold no scored byte; use more text, or more windows"
                )
        if samples is not None:
            self._chosen = subset.choose(
                self._chosen, samples=samples, ranked=ranked, content=train.content, context=context
            )
        self.size = len(self._chosen)

    def batch(self, *, seed: int, position: int, count: int | None) -> Batch:
        """See `common.data.Dataset.batch`."""
        windows = self._chosen
        if count is not None:
            windows = windows[indices(seed=seed, position=position, count=count, size=self.size)]
        return self._windows(self._train, windows * (len(self._offsets) - 1))

    def validation(self, *, chunk: int) -> Iterator[Batch]:
        """See `common.data.Dataset.validation`."""
        for first in range(0, len(self._held_out), chunk):
            yield self._windows(self._validation, self._held_out[first : first + chunk])

    def _windows(self, part: Part, starts: NDArray[np.int64]) -> Batch:
        places = starts[:, None] + self._offsets
        windows = part.content[places]
        if self._table is not None:
            windows = self._table[windows]
        inputs, targets = (half.astype(np.int64) for half in (windows[:, :-1], windows[:, 1:]))
        if part.mask is not None:
            targets[part.mask[places[:, 1:]] == 0] = IGNORED
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets))

    def _scored_windows(self) -> NDArray[np.int64]:
        """Numbers of the training windows with a scored target."""
        context = len(self._offsets) - 1
        windows = np.arange((len(self._train.content) - 1) // context)
        if self._train.mask is None:
            return windows
        return np.flatnonzero(self._train.mask[1 : 1 + len(windows) * context].reshape(-1, context).any(axis=1))

    def _scores_validation(self) -> bool:
        mask = self._validation.mask
        return mask is None or bool(mask[self._held_out[:, None] + self._offsets[1:]].any())


def corpus(data: config.Corpus, *, corpora: Path) -> Text:
    """A byte corpus, from its folder in `corpora`."""
    return open_folder(corpora / data.name, name=data.name, data=data)


def files(data: config.Files, *, corpora: Path) -> Text:  # noqa: ARG001
    """The text of a file, or of a folder; what is left out is told on standard error."""
    train, validation, left_out = split_files(_place(data))
    if left_out:
        print(f"data {data.path!r}: left out {'; '.join(left_out)}", file=sys.stderr)
    total = digest(train, validation)
    parts = (Part(np.frombuffer(content, np.uint8)) for content in (train, validation))
    return windows(data.path, total, *parts, data=data)


def content(data: config.Files) -> str:
    """Digest of what a run reads of the user's text now; what is wrong with it, if nothing can be read."""
    try:
        train, validation, _ = split_files(_place(data))
    except (DataError, OSError) as problem:
        return str(problem)
    return digest(train, validation)


def _place(data: config.Files) -> Path:
    return REPOSITORY / Path(data.path).expanduser()


TextData = config.Corpus | config.Files | config.HuggingFace


def windows(name: str, digest: str, train: Part, validation: Part, *, data: TextData) -> Text:
    """Text with the window lengths, counts and changes of a description.

    Args:
        name: what messages call it.
        digest: SHA-256 of the parts.
        train: training bytes.
        validation: validation bytes.
        data: the description.
    """
    return Text(
        name=name,
        digest=_changed(digest, data),
        train=train,
        validation=validation,
        context=data.context,
        validation_windows=data.validation_windows,
        **_changes(data),
    )


def _changes(data: TextData) -> dict[str, Any]:
    """Set fields of a description that change what is read of a text."""
    return {name: value for name in CHANGES if (value := getattr(data, name, None)) is not None}


def _changed(digest: str, data: TextData) -> str:
    """SHA-256 of the content and of what is done to it; that of the content if nothing is."""
    changes = _changes(data)
    return sha256(json.dumps([digest, changes], sort_keys=True).encode()) if changes else digest


def open_folder(folder: Path, *, name: str, data: TextData) -> Text:
    """Memory-map train.bin and validation.bin of a folder, and masks if it has them, checked against its manifest.json.

    Raises: CorpusError if the folder is incomplete or a file has other bytes than the manifest says.
    """
    manifest = _manifest(folder, name)
    masks = manifest.get("masks")
    train, validation = (
        Part(_open(folder / f"{part}.bin", manifest), _open(folder / f"{part}.mask", masks) if masks else None)
        for part in ("train", "validation")
    )
    return windows(name, manifest["digest"], train, validation, data=data)


def _manifest(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise CorpusError(f"{path} does not exist: {name!r} is not built; run the workflow, which builds it")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise CorpusError(f"{path} is damaged: {problem}; delete the folder {folder} and run again") from None
    return manifest


def _open(path: Path, sizes: Mapping[str, Any]) -> Bytes:
    folder, part = path.parent, path.stem
    if not path.is_file():
        raise CorpusError(f"{path} is missing; delete the folder {folder} and run again")
    size = path.stat().st_size
    content: Bytes = np.asarray(np.memmap(path, dtype=np.uint8, mode="r")) if size else np.empty(0, np.uint8)
    for what, found in (("bytes", size), ("sha256", sha256(content))):
        if found != sizes[what][part]:
            raise CorpusError(
                f"{path} is damaged: its manifest says {what}={sizes[what][part]}, found {found}; "
                f"delete the folder {folder} and run again"
            )
    return content


class Split(NamedTuple):
    """The two parts of a text, and what of it belongs to neither."""

    train: bytes
    validation: bytes
    left_out: list[str]
    """In words, with counts."""


def split_files(path: Path) -> Split:
    """Training and validation bytes of a text file, or of a folder with text files.

    A single file gives its last tenth to validation. In a folder, at any depth, every file that is UTF-8 text (without
    zero bytes) is used, hidden ones, copies and what lies behind links to folders excepted. Whole files go to
    validation, in the order of a hash of their relative path, until they hold a twentieth of the bytes; a file with
    which they would hold more than a tenth is passed over. If they end with less than a twentieth, what is missing to a
    tenth is cut off the end of the largest other file. Files are joined by a newline.

    Raises: DataError if there is no such path, or not enough text.
    """
    if path.is_file():
        texts, linked = {path.name: _text(path)}, 0
    elif path.is_dir():
        texts = {name: _text(path / name) for name in _visible(path)}
        linked = sum(one.is_symlink() and one.is_dir() for one in path.rglob("*"))
    else:
        raise DataError(f"path={str(path)!r} is neither a file nor a folder; give it absolute or from {REPOSITORY}")
    order = sorted(texts, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
    contents = list(dict.fromkeys(text for name in order if (text := texts[name])))
    if not contents:
        raise DataError(f"path={str(path)!r} holds no UTF-8 text; give a text file, or a folder with some")
    train, validation = _by_position(contents[0]) if len(contents) == 1 else _by_file(contents)
    return Split(train, validation, _left_out(texts, linked=linked))


def _left_out(texts: Mapping[str, bytes | None], *, linked: int) -> list[str]:
    """What of the files of a folder is not used."""
    others = sorted(os.fsencode(name).decode("utf-8", "replace") for name, text in texts.items() if text is None)
    used = [text for text in texts.values() if text]
    shown = ", ".join(others[:3]) + ", ..." * (len(others) > 3)
    counts = {
        f"files that are no UTF-8 text ({shown})": len(others),
        "copies": len(used) - len(set(used)),
        "links to folders": linked,
    }
    return [f"{what}: {count}" for what, count in counts.items() if count]


def _visible(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            yield relative.as_posix()


def _text(path: Path) -> bytes | None:
    """Content of a UTF-8 text file; None if it is another kind of file."""
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError:
        return None
    return None if b"\0" in content else content


def _by_position(content: bytes) -> tuple[bytes, bytes]:
    cut = len(content) - round(len(content) * LARGEST_SHARE)
    return content[:cut], content[cut:]


def _by_file(contents: list[bytes]) -> tuple[bytes, bytes]:
    total = sum(map(len, contents))
    train: list[bytes] = []
    held_out: list[bytes] = []
    for content in contents:
        held = sum(map(len, held_out))
        joins = held < FILES_SHARE * total and held + len(content) <= LARGEST_SHARE * total
        (held_out if joins else train).append(content)
    if (held := sum(map(len, held_out))) < FILES_SHARE * total and (missing := round(LARGEST_SHARE * total) - held) > 0:
        largest = max(range(len(train)), key=lambda place: len(train[place]))
        held_out.append(train[largest][-missing:])
        train[largest] = train[largest][:-missing]
    return b"\n".join(train), b"\n".join(held_out)
