"""Text data sets of the Hugging Face hub, streamed once and then read from disk (optional extra: `datasets`)."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from common import config
from common.data import DataError, text
from common.data.corpora import write

VALIDATION_SHARE = 20
"""One document in this many belongs to the validation set."""


def huggingface(data: config.HuggingFace, *, corpora: Path) -> text.Text:
    """The first `bytes_limit` bytes of a split of a data set, from `corpora`/huggingface once streamed."""
    folder = corpora / "huggingface" / folder_name(data)
    if not folder.exists():
        keep(stream_documents(data), data=data, folder=folder)
    return text.open_folder(folder, name=data.name, data=data)


def folder_name(data: config.HuggingFace) -> str:
    """Where a data set is kept: its name, what is chosen of it, the column of its text and the limit.

    Where these words do not give themselves back from the folder's name, a hash of them tells data sets apart.
    """
    chosen = [f"{name}={getattr(data, name)}" for name, usual in USUAL.items() if getattr(data, name) != usual]
    words = [data.name, *chosen, data.text_field, str(data.bytes_limit)]
    readable = re.sub(r"[^\w.=-]+", "--", " ".join(words))
    if re.fullmatch(f"{PLAIN}(/{PLAIN})?", data.name) and not chosen and re.fullmatch(PLAIN, data.text_field):
        return readable
    return f"{readable}--{hashlib.sha256(json.dumps(words).encode()).hexdigest()[:12]}"


PLAIN = r"[\w.]+(-[\w.]+)*"
"""Letters, digits, dots and single hyphens between them."""

USUAL = {"configuration": None, "revision": None, "split": "train"}
"""What of a data set is read if its description does not say."""


def stream_documents(data: config.HuggingFace) -> Iterable[Mapping[str, Any]]:
    """Documents of a split of a data set on the hub, fetched as they are read.

    Raises: DataError if the package `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"HuggingFace({data.name!r}) needs the package 'datasets', which is not installed; "
            "run `pip install datasets` in the environment"
        ) from None
    documents: Iterable[Mapping[str, Any]] = datasets.load_dataset(
        data.name, data.configuration, split=data.split, revision=data.revision, streaming=True
    )
    return documents


def keep(documents: Iterable[Mapping[str, Any]], *, data: config.HuggingFace, folder: Path) -> None:
    """Write the documents' text to a folder in the form of the corpora; the folder is complete or absent."""
    train, validation = split_documents(documents, field=data.text_field, limit=data.bytes_limit)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    facts = {"huggingface": data.name, "text_field": data.text_field, "bytes_limit": data.bytes_limit}
    facts |= {name: getattr(data, name) for name in USUAL}
    write(partial, train=train, validation=validation, facts=facts)
    try:
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial)
        if not folder.exists():
            raise


def split_documents(documents: Iterable[Mapping[str, Any]], *, field: str, limit: int) -> tuple[bytes, bytes]:
    """Training and validation bytes of the first documents that hold `limit` bytes; the last one is cut to fit.

    Documents whose field is empty are passed over. One document in `VALIDATION_SHARE`, by a hash of its text, belongs
    to validation; copies are left out. Each document ends with a newline, which counts.

    Raises: DataError if a document has no such field, or if one of the two parts stays empty.
    """
    parts: tuple[list[bytes], list[bytes]] = ([], [])
    seen: set[bytes] = set()
    left = limit
    for document in documents:
        written = _text(document, field)
        if not written:
            continue
        content = written.encode("utf-8", "replace") + b"\n"
        rank = hashlib.sha256(content).digest()
        if rank not in seen:
            seen.add(rank)
            parts[int.from_bytes(rank[-4:]) % VALIDATION_SHARE == 0].append(content[:left])
            left -= len(content[:left])
        if not left:
            break
    train, validation = (b"".join(part) for part in parts)
    if not train or not validation:
        raise DataError(
            f"bytes_limit={limit} gives {len(seen)} documents, {len(train)} bytes to train and {len(validation)} to "
            "validate; neither part may be empty: raise bytes_limit"
        )
    return train, validation


def _text(document: Mapping[str, Any], field: str) -> str | None:
    """Its text; None, or nothing, if it has none."""
    found = document.get(field, 0)
    if found is not None and not isinstance(found, str):
        texts = sorted(name for name, value in document.items() if isinstance(value, str))
        raise DataError(f"text_field={field!r} holds no text in this data set; its text fields are {texts}")
    return found
