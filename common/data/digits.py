"""The 8 x 8 images of handwritten digits that scikit-learn brings along: 1,437 to train, 360 to validate."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from common import config
from common.data import Arrays, Batch, DataError, description_digest
from common.streams import stream

SIDE = 8
WHITE = 16
"""Largest grey value in the file."""
FOLDS = 5
"""One image in this many is held out."""


def load(data: config.Data) -> Arrays:
    """Digits as inputs in [0, 1], float32 (count, 64), with their ten classes as targets, int64 (count,).

    Grey values are divided by 16, and nothing else. `rotation` turns each image anticlockwise about its centre
    (bilinear interpolation, black outside); `permutation` then moves the pixels of all images alike. The split is the
    same for every run, seed and option, and has equal shares of each class. Fewer `classes` leave ten outputs, so that
    models of different classes fit each other.
    """
    content = _file().read_bytes()
    table = np.loadtxt(gzip.decompress(content).decode().splitlines(), delimiter=",", dtype=np.int64)
    labels, held_out = table[:, -1], _held_out(table[:, -1])
    pixels = _pixels(table[:, :-1] / WHITE, rotation=data.rotation or 0.0, permutation=data.permutation)
    wanted = np.isin(labels, data.classes) if data.classes else np.ones(len(labels), bool)
    train, validation = (
        Batch(torch.from_numpy(pixels[part & wanted]), torch.from_numpy(labels[part & wanted]))
        for part in (~held_out, held_out)
    )
    return Arrays(
        name="digits",
        digest=description_digest(data, content=content),
        loss="cross_entropy",
        outputs=10,
        train=train,
        held_out=validation,
    )


def _file() -> Path:
    """The table within scikit-learn, found without importing it (which takes ten times as long as reading it)."""
    spec = importlib.util.find_spec("sklearn")
    path = Path(*spec.submodule_search_locations or (), "datasets/data/digits.csv.gz") if spec else None
    if path is None or not path.is_file():
        raise DataError("source='digits' needs scikit-learn with its bundled digits; run `make .venv`")
    return path


def _held_out(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mask of every fifth image in an order by class and, within a class, by fixed random numbers."""
    order = np.lexsort((stream(0, "digits", "split").random(len(labels)), labels))
    mask = np.zeros(len(labels), bool)
    mask[order[::FOLDS]] = True
    return mask


def _pixels(flat: NDArray[np.float64], *, rotation: float, permutation: int | None) -> NDArray[np.float32]:
    images = flat.reshape(-1, SIDE, SIDE)
    if rotation:
        images = ndimage.rotate(images, rotation, axes=(1, 2), reshape=False, order=1)
    pixels = images.reshape(len(flat), -1)
    if permutation is not None:
        pixels = pixels[:, stream(permutation, "digits", "permutation").permutation(pixels.shape[1])]
    return np.ascontiguousarray(pixels, dtype=np.float32)
