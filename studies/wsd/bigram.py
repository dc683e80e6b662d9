"""Next-token prediction from a table: contexts that determine the next token, and contexts that leave it open.

One row of logits for each context, softmax cross-entropy, SGD. The certain contexts keep falling, ever more slowly (the
river); the uncertain ones stay above their entropy by what the noise of the gradient holds up (the hills). After the
bigram data of Wen et al. 2024 (arXiv:2410.05192); the setting and the formulas are derived here.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import wrightomega

from common.streams import stream


@dataclass(frozen=True, kw_only=True)
class Bigram:
    """Data of two kinds of context, each context of a kind as frequent as the others of its kind.

    ASSUME: certain context c is followed by token c mod vocabulary, an uncertain one by any of the first `choices`
    tokens alike. Rows learn apart from each other and begin at 0, so which tokens these are changes no loss.

    Raises: ValueError if a number lies outside its range.
    """

    certain: int
    """Contexts that determine the next token; they come first in the table."""
    uncertain: int
    """Contexts that do not."""
    vocabulary: int
    choices: int
    """Tokens that may follow an uncertain context."""
    uncertain_mass: float = 0.5
    """Share of the pairs whose context is uncertain."""

    def __post_init__(self) -> None:
        if min(self.certain, self.uncertain) < 1:
            raise ValueError(f"certain={self.certain} and uncertain={self.uncertain} must be at least 1 context each")
        if not 1 <= self.choices <= self.vocabulary or self.vocabulary < 2:
            raise ValueError(f"choices={self.choices} must be 1 .. vocabulary={self.vocabulary}, which is at least 2")
        if not 0 < self.uncertain_mass < 1:
            raise ValueError(f"uncertain_mass={self.uncertain_mass} is a share of the pairs and must lie in (0, 1)")

    @property
    def contexts(self) -> int:
        """Rows of the table."""
        return self.certain + self.uncertain

    @property
    def certain_mass(self) -> float:
        """Share of the pairs whose context is certain."""
        return 1 - self.uncertain_mass

    def pairs(self, *, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The first `count` contexts and next tokens that a seed draws, each of shape (count,)."""
        open_ended = stream(seed, "bigram", "kinds").random(count) < self.uncertain_mass
        sure = stream(seed, "bigram", "certain contexts").integers(self.certain, size=count)
        unsure = self.certain + stream(seed, "bigram", "uncertain contexts").integers(self.uncertain, size=count)
        choice = stream(seed, "bigram", "choices").integers(self.choices, size=count)
        return np.where(open_ended, unsure, sure), np.where(open_ended, choice, sure % self.vocabulary)


class Excess(NamedTuple):
    """Expected loss above the entropy of the data, in nats, by kind of context and weighted by how often it occurs."""

    certain: np.ndarray
    uncertain: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Excess of the whole loss."""
        whole: np.ndarray = self.certain + self.uncertain
        return whole


def excess(logits: np.ndarray, data: Bigram) -> Excess:
    """Exact excess of each table: no pair is drawn.

    Args:
        logits: shape (..., contexts, vocabulary).
        data: what the tables are to predict.
    Returns: certain and uncertain excess, each of shape (...).
    """
    top = logits.max(axis=-1, keepdims=True)
    shifted = logits - top
    partition = top[..., 0] + np.log(np.exp(shifted, out=shifted).sum(axis=-1))
    sure = np.arange(data.certain)
    certain = partition[..., sure] - logits[..., sure, sure % data.vocabulary]
    choices = logits[..., data.certain :, : data.choices].mean(axis=-1)
    uncertain = partition[..., data.certain :] - choices - np.log(data.choices)
    return Excess(data.certain_mass * certain.mean(axis=-1), data.uncertain_mass * uncertain.mean(axis=-1))


def train(
    data: Bigram, *, rates: Sequence[float], batch_size: int, seeds: Sequence[int], log_steps: Collection[int]
) -> Iterator[tuple[int, Excess]]:
    """Train one table for each seed by SGD on batches of pairs; tables of equal seed see the same pairs.

    Args:
        data: what is to be learned.
        rates: learning rate of each update.
        batch_size: pairs in an update; the gradient is their mean.
        seeds: one table each.
        log_steps: counts of updates done after which the excess is wanted, 0 .. len(rates).
    Yields: updates done and the excess of each seed, of shape (seeds,).
    """
    drawn = [data.pairs(seed=seed, count=len(rates) * batch_size) for seed in seeds]
    shape = (len(seeds), len(rates), batch_size)
    rows = np.reshape([contexts + data.contexts * table for table, (contexts, _) in enumerate(drawn)], shape)
    nexts = np.reshape([tokens for _, tokens in drawn], shape)
    logits = np.zeros((len(seeds) * data.contexts, data.vocabulary))
    for step in range(len(rates) + 1):
        if step in log_steps:
            yield step, excess(logits.reshape(len(seeds), data.contexts, data.vocabulary), data)
        if step < len(rates):
            update(logits, rows[:, step].ravel(), nexts[:, step].ravel(), rate=rates[step] / batch_size)


def update(logits: np.ndarray, rows: np.ndarray, nexts: np.ndarray, *, rate: float) -> None:
    """One SGD update in place; only the rows of these pairs move, all by gradients taken before the update.

    Args:
        logits: shape (rows of the table, vocabulary).
        rows: row of each pair, of shape (pairs,); a row may occur more than once.
        nexts: next token of each pair, of shape (pairs,).
        rate: learning rate by batch size.
    """
    gradient = logits[rows]
    gradient = np.exp(gradient - gradient.max(axis=-1, keepdims=True))
    gradient /= gradient.sum(axis=-1, keepdims=True)
    gradient[np.arange(len(rows)), nexts] -= 1
    np.subtract.at(logits, rows, rate * gradient)


def certain_excess(data: Bigram, clock: np.ndarray) -> np.ndarray:
    """Excess of the certain contexts when the sum of the learning rates is `clock`, without the noise of the batches.

    The logit of the right token leads the others by z, and at frequency pi of the context
    dz/d clock = pi (1 - p) V/(V - 1) with p = 1/(1 + (V - 1) exp(-z)), which gives exp(z) + (V - 1) z = 1 + V pi clock
    (derived here): w = exp(z)/(V - 1) solves w + log w = (1 + V pi clock)/(V - 1) - log(V - 1), Wright's omega.

    ASSUME: each context takes its mean share of every update; in a batch it occurs a whole number of times, mostly 0.

    Args:
        data: frequencies and vocabulary.
        clock: sums of learning rates, at least 0, any shape.
    """
    others = data.vocabulary - 1
    frequency = data.certain_mass / data.certain
    omega = wrightomega((1 + data.vocabulary * frequency * np.asarray(clock)) / others - np.log(others))
    excess: np.ndarray = data.certain_mass * np.log1p(1 / omega)
    return excess


def late_certain_excess(data: Bigram, clock: np.ndarray) -> np.ndarray:
    """Limit of `certain_excess` for a large clock: contexts / clock, however frequent they are (derived here)."""
    return data.certain / np.asarray(clock)


def stationary_uncertain_excess(data: Bigram, *, rate: float, batch_size: int) -> float:
    """Excess of the uncertain contexts at a constant learning rate: rate (1 - 1/choices) mass/(4 batch_size).

    Small noise about the minimum: each row is a quadratic with gradient noise whose covariance is its Hessian, so the
    excess is a fourth of rate per pair times the Hessian's trace 1 - 1/choices, whatever the number of rows (derived
    here). It is low by a tenth or two where one pair moves a row far (rate / batch_size near 1), and does not count the
    tokens that never follow: those go on falling, late like uncertain (1 - choices/vocabulary) choices / clock.
    """
    return rate * (1 - 1 / data.choices) * data.uncertain_mass / (4 * batch_size)
