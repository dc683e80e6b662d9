"""Validation loss of averages of a trunk's last states, without any decay.

A mean of states that are equally far apart is what a linear decay would have added up, if each update had stayed the
same; other decays have other weights (Tian et al. 2025, arXiv:2507.17634). Uniform weights are also LAWA's.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from common.config import WSD, DecayShape
from common.optim.schedules import rates
from common.runs.snapshots import Trained
from common.training.evaluation import evaluate
from studies.wsd.states import at, kept_steps

SHARES = (0.1, 0.2, 0.4)
"""Of the longest budget, up to its end: whose states are averaged."""
SHAPES: dict[str, DecayShape] = {"uniform": "linear", "sqrt": "sqrt"}
"""Weights, and the decay that they stand for."""


def weights_of(shape: DecayShape, count: int) -> np.ndarray:
    """Weight of each of `count` states, the oldest first: the falls of a decay to zero over the steps between them."""
    factors = np.array([1.0, *rates(WSD(decay_steps=count, decay_shape=shape, floor=0.0), steps=count, lr=1.0)])
    falls = -np.diff(factors)
    return np.asarray(falls / falls.sum())


def mean_of(states: Sequence[dict[str, Tensor]], weights: np.ndarray) -> dict[str, Tensor]:
    """Weighted mean of states, name by name."""
    return {
        name: sum((float(weight) * state[name] for weight, state in zip(weights, states, strict=True)), start=first * 0)
        for name, first in states[0].items()
    }


def averages(states: Sequence[Trained], *, longest: int) -> list[dict[str, object]]:
    """A row for each kind of weights and each share, from all states of one seed in their order."""
    model, dataset, rows = states[-1].model, states[-1].dataset, []
    for name, shape in SHAPES.items():
        for share in SHARES:
            last = [state.weights for state in states if state.state.step > (1 - share) * longest]
            model.load_state_dict(mean_of(last, weights_of(shape, len(last))))
            loss = evaluate(model, dataset)["val_loss"]
            rows.append({"weights": name, "share": share, "states": len(last), "loss": loss})
    return rows


def measure(states: Sequence[Path]) -> pd.DataFrame:
    """Columns rung, seed, weights, share, states (how many were averaged), loss.

    Args:
        states: of the trunks of the headline peaks, one for each size.
    """
    tables = []
    for path in states:
        ends = at(path)
        dataset = next(iter(ends.values())).dataset
        kept = [at(path, step, dataset=dataset) for step in kept_steps(path)]
        for seed, end in ends.items():
            found = averages([*(state[seed] for state in kept), end], longest=end.state.step)
            tables += [{"rung": end.run.rung, "seed": seed, **row} for row in found]
    return pd.DataFrame(tables)
