"""Excess loss of the tabular bigram by kind of context under constant, WSD and cosine schedules.

No training run.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from common.config import WSD, Constant, Cosine, Schedule
from common.optim.schedules import rates
from studies.wsd.bigram import Bigram, train

SEEDS = range(16)
"""Numbers of the tables; a build draws their seeds."""
DATA = Bigram(certain=3072, uncertain=64, vocabulary=64, choices=16, uncertain_mass=0.5)
BATCH_SIZE = 32
STEPS = 2000
DECAY_STEPS = 200
"""The last tenth."""

SCHEDULES: dict[str, Schedule] = {
    "constant": Constant(),
    "wsd": WSD(decay_steps=DECAY_STEPS, decay_shape="inverse", floor=0.1),
    "cosine": Cosine(floor=0.1),
}
TABULAR_PEAK = 32.0
"""At twice this peak the noise of the uncertain contexts hides what the certain ones gain in a tenth of the budget."""
PEAKS: Mapping[str, Sequence[float]] = {"constant": (TABULAR_PEAK,), "wsd": (TABULAR_PEAK,)}
"""Arms and peaks that are measured."""

LOG_EVERY = 20
DENSE_STEPS = 20
"""Updates at either end of the decay after each of which the excess is logged."""


def log_steps() -> set[int]:
    """Counts of updates after which the excess is logged, the same for every arm."""
    begin = STEPS - DECAY_STEPS
    dense = {*range(begin, begin + DENSE_STEPS), *range(STEPS - DENSE_STEPS, STEPS)}
    return {*range(0, STEPS + 1, LOG_EVERY), *dense}


def measure_arm(arm: str, lr: float, *, seeds: Sequence[int] = SEEDS) -> list[dict[str, object]]:
    """Rows of one arm at one peak: each logged step for each seed; the learning rate is that of the update before."""
    schedule = rates(SCHEDULES[arm], steps=STEPS, lr=lr)
    return [
        {
            "arm": arm,
            "lr": lr,
            "seed": seed,
            "step": step,
            "learning_rate": schedule[step - 1] if step else None,
            "certain": certain,
            "uncertain": uncertain,
            "total": certain + uncertain,
        }
        for step, found in train(DATA, rates=schedule, batch_size=BATCH_SIZE, seeds=seeds, log_steps=log_steps())
        for seed, certain, uncertain in zip(seeds, found.certain, found.uncertain, strict=True)
    ]


def measure(seeds: Sequence[int] = SEEDS, peaks: Mapping[str, Sequence[float]] = PEAKS) -> pd.DataFrame:
    """Excess in nats for each arm, peak, seed and logged step; `certain` and `uncertain` add up to `total`.

    Args:
        seeds: one table each.
        peaks: learning rates by arm.
    """
    return pd.DataFrame([row for arm, lrs in peaks.items() for lr in lrs for row in measure_arm(arm, lr, seeds=seeds)])
