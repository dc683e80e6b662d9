"""Arithmetic, in which knowing the examples by heart and knowing the rule come apart: sums modulo a number."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common import config
from common.data import Arrays, Batch, description_digest
from common.data.losses import IGNORED
from common.streams import stream


@dataclass(kw_only=True)
class Sequences(Arrays):
    """Windows of tokens that lie in memory as a whole: `inputs` is the vocabulary, not the length of a window."""

    def __post_init__(self) -> None:
        self.size, self.inputs = len(self.train.inputs), self.outputs


def modular_addition(data: config.ModularAddition, *, corpora: Path) -> Sequences:  # noqa: ARG001
    """All pairs of numbers a and b below the modulus p, each with its sum modulo p, as windows `a b =`.

    Inputs int64 (count, 3) are the tokens a, b and p, which stands for the equals sign; targets int64 (count, 3) are
    the sum at the last place and -100, not scored, before it. So there is one loss for each pair. The training pairs
    are drawn once for all runs, and those of a smaller share are among those of a larger one; all other pairs, in their
    order, validate. (a, b) and (b, a) are two pairs, which may lie on different sides.

    Source: Power et al. 2022 (arXiv:2201.02177), whose networks knew the training pairs by heart long before they knew
        the rule; the form is that of Nanda et al. 2023 (arXiv:2301.05217), with the loss at the equals sign alone.
    """
    pairs = np.arange(data.modulus**2)
    shuffled = stream(0, "modular_addition", data.modulus).permutation(pairs)
    chosen = np.isin(pairs, shuffled[: data.train_pairs])
    first, second = np.divmod(pairs, data.modulus)
    inputs = np.stack([first, second, np.full_like(pairs, data.modulus)], axis=1)
    targets = np.full_like(inputs, IGNORED)
    targets[:, -1] = (first + second) % data.modulus
    train, held_out = (
        Batch(torch.from_numpy(inputs[part]), torch.from_numpy(targets[part])) for part in (chosen, ~chosen)
    )
    return Sequences(
        name="modular_addition",
        digest=description_digest(data),
        loss=data.loss,
        outputs=data.modulus + 1,
        context=data.context,
        train=train,
        held_out=held_out,
    )
