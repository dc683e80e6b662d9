"""Windows over streams of bytes: corpora, the user's own files, streamed data sets. A token is a byte."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from common import config
from common.data import Batch, DataError, Loss, indices
from common.data.corpora import CorpusError, digest, sha256

Bytes = NDArray[np.uint8]

REPOSITORY = Path(__file__).resolve().parents[2]
VALIDATION_WINDOWS = 1024
FILES_SHARE = 0.05
"""Share of the bytes of a folder from which on no further file joins the validation set."""
SINGLE_FILE_SHARE = 0.1
"""Share of a single file, at its end, that is the validation set."""


class Text:
    """Language modelling on bytes; implements `common.data.Dataset`.

    Training examples are windows of context + 1 bytes that start every `context` bytes, so that each byte but the first
    is predicted once in an epoch. Validation examples are windows of context + 1 bytes that do not overlap, spread
    evenly over the validation bytes.

    Args:
        train: training bytes, uint8, of any length from context + 1 on; may be a memory map.
        validation: validation bytes, uint8.
        digest: SHA-256 of both.
        validation_windows: number of validation examples.
    Raises: DataError if the bytes do not suffice.
    """

    loss: Loss = "cross_entropy"
    inputs: int = 256
    outputs: int = 256

    def __init__(
        self, *, name: str, digest: str, train: Bytes, validation: Bytes, context: int, validation_windows: int
    ) -> None:
        needed = validation_windows * (context + 1)
        if len(validation) < needed:
            raise DataError(
                f"data {name!r}: validation_windows={validation_windows} of context={context} need {needed} bytes, but "
                f"the validation part has {len(validation)}; use at most {len(validation) // (context + 1)} windows"
            )
        if len(train) <= context:
            raise DataError(
                f"data {name!r}: one window of context={context} needs {context + 1} bytes, but the training part has "
                f"{len(train)}; use a smaller context or more text"
            )
        self.name = name
        self.digest = digest
        self.context: int | None = context
        self.size = (len(train) - 1) // context
        self._train = train
        self._validation = validation
        self._offsets = np.arange(context + 1)
        self._held_out = np.arange(validation_windows) * len(validation) // validation_windows

    def batch(self, *, seed: int, position: int, count: int | None) -> Batch:
        """See `common.data.Dataset.batch`."""
        if count is None:
            windows = np.arange(self.size)
        else:
            windows = indices(seed=seed, position=position, count=count, size=self.size)
        return self._windows(self._train, windows * (len(self._offsets) - 1))

    def validation(self, *, chunk: int) -> Iterator[Batch]:
        """See `common.data.Dataset.validation`."""
        for first in range(0, len(self._held_out), chunk):
            yield self._windows(self._validation, self._held_out[first : first + chunk])

    def _windows(self, content: Bytes, starts: NDArray[np.int64]) -> Batch:
        windows = content[starts[:, None] + self._offsets]
        return Batch(*(torch.from_numpy(part.astype(np.int64)) for part in (windows[:, :-1], windows[:, 1:])))


def load(data: config.Data, *, corpora: Path) -> Text:
    """The text of a description with source "corpus" (from its folder in `corpora`) or "files"."""
    if data.source == "corpus":
        return open_folder(corpora / str(data.name), name=str(data.name), data=data)
    train, validation = split_files(REPOSITORY / Path(str(data.path)).expanduser())
    total = digest(train, validation)
    return windows(
        str(data.path), total, np.frombuffer(train, np.uint8), np.frombuffer(validation, np.uint8), data=data
    )


def windows(name: str, digest: str, train: Bytes, validation: Bytes, *, data: config.Data) -> Text:
    """Text with the window lengths and counts of a description."""
    if data.context is None:
        raise DataError(f"data {name!r}: context is missing")
    return Text(
        name=name,
        digest=digest,
        train=train,
        validation=validation,
        context=data.context,
        validation_windows=data.validation_windows or VALIDATION_WINDOWS,
    )


def open_folder(folder: Path, *, name: str, data: config.Data) -> Text:
    """Memory-map train.bin and validation.bin of a folder, after a check of both against its manifest.json.

    Raises: CorpusError if the folder is incomplete or a file has other bytes than the manifest says.
    """
    manifest = _manifest(folder, name)
    train, validation = (_open(folder, part, manifest) for part in ("train", "validation"))
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


def _open(folder: Path, part: str, manifest: Mapping[str, Any]) -> Bytes:
    path = folder / f"{part}.bin"
    if not path.is_file():
        raise CorpusError(f"{path} is missing; delete the folder {folder} and run again")
    size = path.stat().st_size
    content: Bytes = np.asarray(np.memmap(path, dtype=np.uint8, mode="r")) if size else np.empty(0, np.uint8)
    for what, found in (("bytes", size), ("sha256", sha256(content))):
        if found != manifest[what][part]:
            raise CorpusError(
                f"{path} is damaged: its manifest says {what}={manifest[what][part]}, found {found}; "
                f"delete the folder {folder} and run again"
            )
    return content


def split_files(path: Path) -> tuple[bytes, bytes]:
    """Training and validation bytes of a text file, or of a folder with text files.

    A single file gives its last tenth to validation. In a folder, at any depth, every file that is UTF-8 text (without
    zero bytes) is used, hidden ones and copies excepted; whole files go to validation, in the order of a hash of their
    relative path, until they hold a twentieth of the bytes; a file with which they would hold more than half is passed
    over. Files are joined by a newline.

    Raises: DataError if there is no such path, or not enough text.
    """
    if path.is_file():
        texts = {path.name: _text(path)}
    elif path.is_dir():
        texts = {name: _text(path / name) for name in _visible(path)}
    else:
        raise DataError(f"path={str(path)!r} is neither a file nor a folder; give it absolute or from {REPOSITORY}")
    order = sorted(texts, key=lambda name: hashlib.sha256(name.encode()).digest())
    contents = [content for content in dict.fromkeys(texts[name] for name in order) if content]
    if not contents:
        raise DataError(f"path={str(path)!r} holds no UTF-8 text; give a text file, or a folder with some")
    return _by_position(contents[0]) if len(contents) == 1 else _by_file(contents)


def _visible(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            yield relative.as_posix()


def _text(path: Path) -> bytes:
    """Content of a UTF-8 text file; nothing if it is another kind of file."""
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError:
        return b""
    return b"" if b"\0" in content else content


def _by_position(content: bytes) -> tuple[bytes, bytes]:
    cut = len(content) - round(len(content) * SINGLE_FILE_SHARE)
    return content[:cut], content[cut:]


def _by_file(contents: list[bytes]) -> tuple[bytes, bytes]:
    total = sum(map(len, contents))
    train: list[bytes] = []
    held_out: list[bytes] = []
    for content in contents:
        held = sum(map(len, held_out))
        joins = held < FILES_SHARE * total and held + len(content) <= total / 2
        (held_out if joins else train).append(content)
    return b"\n".join(train), b"\n".join(held_out)
