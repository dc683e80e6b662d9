"""Data whose best possible loss is known: a linear teacher, a teacher of two layers and a bigram language."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from common import config
from common.config import Loss
from common.data import Arrays, Batch, DataError, description_digest
from common.streams import stream

Tokens = NDArray[np.int64]

VALIDATION_EXAMPLES = 1024
BLOCK = 1024
"""Windows of the bigram language that are drawn together."""


@dataclass(kw_only=True)
class Teacher(Arrays):
    """Linear regression with a power-law spectrum: y = w . x + noise, x ~ N(0, diag(k**-exponent)), k = 1 .. inputs.

    A student v has the expected squared error noise**2 + sum_k variances[k] * (v[k] - weights[k])**2, so the best is
    v = weights with the error `optimum` = noise**2. Fitted by least squares to `size` examples, its training error has
    the expectation noise**2 * (1 - inputs / size).
    """

    weights: NDArray[np.float64]
    """The teacher w, float64 (inputs,), scaled so that w . x has variance 1; the same for every run."""
    variances: NDArray[np.float64]
    """Variances of the inputs, float64 (inputs,)."""
    optimum: float
    """Smallest expected squared error; the engine's loss is half of it."""


def teacher(data: config.Teacher, *, corpora: Path) -> Teacher:  # noqa: ARG001
    """Examples of a linear teacher: inputs float32 (count, inputs), noisy targets float32 (count, 1).

    Weights, training and validation examples are fixed by the description alone, not by the run's seed.
    """
    variances = np.arange(1, data.inputs + 1, dtype=np.float64) ** -data.exponent
    weights = stream(0, "teacher", "weights").standard_normal(data.inputs)
    weights /= math.sqrt(variances @ weights**2)
    train, held_out = (
        _teach(weights, variances, count=count, noise=data.noise, source=stream(0, "teacher", part))
        for part, count in (("train", data.samples), ("validation", VALIDATION_EXAMPLES))
    )
    return Teacher(
        name="teacher",
        digest=description_digest(data),
        loss="mse",
        outputs=1,
        train=train,
        held_out=held_out,
        weights=weights,
        variances=variances,
        optimum=data.noise**2,
    )


def _teach(
    weights: NDArray[np.float64],
    variances: NDArray[np.float64],
    *,
    count: int,
    noise: float,
    source: np.random.Generator,
) -> Batch:
    inputs = source.standard_normal((count, len(weights))) * np.sqrt(variances)
    targets = inputs @ weights + noise * source.standard_normal(count)
    return Batch(*(torch.from_numpy(part.astype(np.float32)) for part in (inputs, targets[:, None])))


def tanh_teacher(data: config.TanhTeacher, *, corpora: Path) -> Arrays:  # noqa: ARG001
    """Regression on the outputs of a random network of two layers: y = c * V tanh(U x) + noise.

    Inputs are x ~ N(0, diag(variances)) with variances like k**-exponent whose sum is `inputs`, so that x has the mean
    squared norm `inputs`. U has entries of variance 1 / inputs and V of variance 1 / hidden; c gives each output the
    variance 1 over the training examples, and its mean is 0 since the network is odd. So the smallest expected loss of
    the engine is outputs * noise**2 / 2. With loss="cross_entropy" the target is the place of the largest y.

    Inputs float32 (count, inputs); targets float32 (count, outputs), or int64 (count,). Teacher and examples are fixed
    by the description alone, not by the run's seed.
    """
    variances = np.arange(1, data.inputs + 1, dtype=np.float64) ** -data.exponent
    variances *= data.inputs / variances.sum()
    weights = stream(0, "tanh_teacher", "weights")
    first = weights.standard_normal((data.inputs, data.hidden)) / math.sqrt(data.inputs)
    second = weights.standard_normal((data.hidden, data.outputs)) / math.sqrt(data.hidden)
    train, held_out = (
        stream(0, "tanh_teacher", part).standard_normal((count, data.inputs)) * np.sqrt(variances)
        for part, count in (("train", data.samples), ("validation", VALIDATION_EXAMPLES))
    )
    scale = (np.tanh(train @ first) @ second).std(axis=0)

    def taught(part: str, inputs: NDArray[np.float64]) -> Batch:
        outputs = np.tanh(inputs @ first) @ second / scale
        outputs += data.noise * stream(0, "tanh_teacher", part, "noise").standard_normal(outputs.shape)
        targets = outputs.argmax(axis=1) if data.loss == "cross_entropy" else outputs.astype(np.float32)
        return Batch(torch.from_numpy(inputs.astype(np.float32)), torch.from_numpy(targets))

    return Arrays(
        name="tanh_teacher",
        digest=description_digest(data),
        loss=data.loss,
        outputs=data.outputs,
        train=taught("train", train),
        held_out=taught("validation", held_out),
    )


def bigram(data: config.Bigram, *, corpora: Path) -> "Bigram":  # noqa: ARG001
    """The language of a description."""
    return Bigram(data)


class Bigram:
    """A language in which every other step is certain, after the bigram data of Wen et al. 2024 (arXiv:2410.05192).

    Each token of the first half of the vocabulary has one successor, which lies in the second half and belongs to no
    other token. A token of the second half is followed by one of `successors` tokens of the first half, each equally
    likely. A window starts with a uniform token of the first half, so that the targets at even positions (from 0) are
    certain and those at odd ones have entropy log(successors).

    ASSUME: the two halves alternate, so that the position of a target tells whether it is certain.

    Implements `common.data.Dataset`. Training windows are drawn without end, so there is no full batch; the language
    and the validation windows are the same for every run. One token of an odd vocabulary never occurs.

    Args: data: its vocabulary, successors, context and validation_windows are used.
    """

    name = "bigram"
    loss: Loss = "cross_entropy"
    size: int = sys.maxsize

    def __init__(self, data: config.Bigram) -> None:
        half = data.vocabulary // 2
        source = stream(0, "bigram", "language", data.vocabulary, data.successors)
        self.digest = description_digest(data)
        self.inputs = self.outputs = data.vocabulary
        self.context: int | None = data.context
        self.certain: Tokens = half + source.permutation(data.vocabulary - half)[:half]
        """Successor of each token of the first half: int64 (vocabulary // 2,)."""
        rows = np.tile(np.arange(half), (data.vocabulary - half, 1))
        self.uncertain: Tokens = source.permuted(rows, axis=1)[:, : data.successors]
        """Successors of each token of the second half: int64 (vocabulary - vocabulary // 2, successors)."""
        self.entropy_nats = data.context // 2 / data.context * math.log(data.successors)
        """Smallest expected cross-entropy per target, in nats: the mean over the positions of a window."""
        self._held_out = self._draw(stream(0, "bigram", "validation"), count=data.validation_windows)
        self._block = lru_cache(maxsize=16)(self._draw_block)

    def batch(self, *, seed: int, position: int, count: int | None) -> Batch:
        """See `common.data.Dataset.batch`; every window is drawn afresh."""
        if count is None:
            raise DataError("batch_size is missing: a bigram language has no end and so no full batch")
        end = position + count
        blocks = range(position // BLOCK, (end - 1) // BLOCK + 1)
        parts = [self._block(seed, i)[max(0, position - i * BLOCK) : end - i * BLOCK] for i in blocks]
        return _shifted(np.concatenate(parts))

    def validation(self, *, chunk: int) -> Iterator[Batch]:
        """See `common.data.Dataset.validation`."""
        for first in range(0, len(self._held_out), chunk):
            yield _shifted(self._held_out[first : first + chunk])

    def _draw_block(self, seed: int, block: int) -> Tokens:
        return self._draw(stream(seed, "data", block), count=BLOCK)

    def _draw(self, source: np.random.Generator, *, count: int) -> Tokens:
        """Windows of context + 1 tokens: int64 (count, context + 1)."""
        half = len(self.certain)
        windows = np.empty((count, (self.context or 0) + 1), np.int64)
        windows[:, 0] = source.integers(half, size=count)
        for i in range(1, windows.shape[1]):
            if i % 2:
                windows[:, i] = self.certain[windows[:, i - 1]]
            else:
                choice = source.integers(self.uncertain.shape[1], size=count)
                windows[:, i] = self.uncertain[windows[:, i - 1] - half, choice]
        return windows


def _shifted(windows: Tokens) -> Batch:
    return Batch(*(torch.from_numpy(np.ascontiguousarray(part)) for part in (windows[:, :-1], windows[:, 1:])))
