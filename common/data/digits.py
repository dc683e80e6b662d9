"""The 8 x 8 images of handwritten digits that scikit-learn brings along: 1,437 to train, 360 to validate."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from common import config
from common.config import Loss
from common.data import Arrays, Batch, DataError, description_digest
from common.streams import stream

SIDE = 8
WHITE = 16
"""Largest grey value in the file."""
CLASSES = 10
FOLDS = 5
"""One image in this many is held out."""


def digits(data: config.Digits, *, corpora: Path) -> Arrays:  # noqa: ARG001
    """Digits as inputs in [0, 1], float32 (count, 64), with their ten classes as targets, int64 (count,).

    Grey values are divided by 16, and nothing else. `rotation` turns each image anticlockwise about its centre
    (bilinear interpolation, black outside); `permutation` then moves the pixels of all images alike. The split is the
    same for every run, seed and option, and has equal shares of each class. Fewer `classes` leave ten outputs, so that
    models of different classes fit each other. `split` = (i, n) cuts the training images of the classes into n random
    parts that share none, equal up to one image, and keeps part i; `samples` keeps that many of those, `label_noise`
    replaces the labels of a share of them, and loss="mse" makes one-hot targets, float32 (count, 10), of all labels;
    what is kept and replaced is the same for every run. Parts have the validation set in common, also with
    `standardised`, which then goes by the images of all parts.

    Raises: DataError if there are fewer training images than parts or `samples`.
    """
    content = _file().read_bytes()
    table = np.loadtxt(gzip.decompress(content).decode().splitlines(), delimiter=",", dtype=np.int64)
    labels, held_out = table[:, -1], _held_out(table[:, -1])
    pixels = _pixels(table[:, :-1] / WHITE, rotation=data.rotation, permutation=data.permutation)
    wanted = np.isin(labels, data.classes) if data.classes else np.ones(len(labels), bool)
    training = np.flatnonzero(~held_out & wanted)
    chosen = _chosen(_part(training, *data.split) if data.split else training, data.samples)
    targets = _with_noise(labels, chosen, share=data.label_noise)
    if data.standardised:
        pixels = _standardised(pixels, over=training if data.split else chosen)
    train, validation = (
        Batch(torch.from_numpy(pixels[part]), _targets(targets[part], data.loss))
        for part in (chosen, np.flatnonzero(held_out & wanted))
    )
    return Arrays(
        name="digits",
        digest=description_digest(data, content=content),
        loss=data.loss,
        outputs=CLASSES,
        train=train,
        held_out=validation,
    )


def _part(training: NDArray[np.int64], part: int, parts: int) -> NDArray[np.int64]:
    """Indices of the training images of one of several random parts, in the order of the file."""
    if parts > len(training):
        raise DataError(f"split=({part}, {parts}) needs {parts} training images, but these digits have {len(training)}")
    return np.sort(stream(0, "digits", "parts").permutation(training)[part::parts])


def _chosen(training: NDArray[np.int64], samples: int | None) -> NDArray[np.int64]:
    """Indices of the training images that are used, in the order of the file."""
    if samples is None:
        return training
    if samples > len(training):
        raise DataError(f"samples={samples} must be at most {len(training)}, the training images of these digits")
    return np.sort(stream(0, "digits", "samples").permutation(training)[:samples])


def _with_noise(labels: NDArray[np.int64], training: NDArray[np.int64], *, share: float) -> NDArray[np.int64]:
    """Labels of which a share, among the training images, is moved to a uniformly drawn other class."""
    source = stream(0, "digits", "label noise")
    moved = source.permutation(training)[: round(share * len(training))]
    noisy = labels.copy()
    noisy[moved] = (labels[moved] + source.integers(1, CLASSES, size=len(moved))) % CLASSES
    return noisy


def _standardised(pixels: NDArray[np.float32], *, over: NDArray[np.int64]) -> NDArray[np.float32]:
    """Mean 0 and variance 1 over some images; a pixel that is constant there becomes 0."""
    mean, deviation = pixels[over].mean(0, dtype=np.float64), pixels[over].std(0, dtype=np.float64)
    scaled: NDArray[np.float64] = (pixels - mean) / np.where(deviation > 0, deviation, np.inf)
    return scaled.astype(np.float32)


def _targets(labels: NDArray[np.int64], loss: Loss) -> torch.Tensor:
    return torch.from_numpy(labels if loss == "cross_entropy" else np.eye(CLASSES, dtype=np.float32)[labels])


def _file() -> Path:
    """The table within scikit-learn, found without importing it (which takes ten times as long as reading it)."""
    spec = importlib.util.find_spec("sklearn")
    path = Path(*spec.submodule_search_locations or (), "datasets/data/digits.csv.gz") if spec else None
    if path is None or not path.is_file():
        raise DataError("digits need scikit-learn with its bundled digits; run `make .venv`")
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
