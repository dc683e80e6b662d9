"""Effects of the study at each rung of its ladder: by parameters, then by seed.

Losses are in percent of the loss, since nats per byte and nats per token do not compare; shares of a gain need no unit.
All arms have the headline peak of the rung and of the schedule; seeds are those that all rungs share.
"""

from collections.abc import Callable

import pandas as pd

from studies.wsd.losses import constant, final
from studies.wsd.study import LADDER_LENGTHS, RUNGS, length_arm

PERCENT = 100
SHARE = 0.2
"""Of the longest budget: the states that are averaged."""
Effects = dict[float, pd.Series]


def falls(runs: pd.DataFrame) -> Effects:
    """How far the decay brings the loss below that of the constant rate after as many updates."""
    return over(runs, lambda rung: _percent(constant(runs, rung=rung), final(runs, "wsd", rung=rung)))


def gaps(runs: pd.DataFrame) -> Effects:
    """Loss of WSD above that of the cosine."""
    return over(runs, lambda rung: -_percent(final(runs, "cosine", rung=rung), final(runs, "wsd", rung=rung)))


def kept_decays(runs: pd.DataFrame) -> Effects:
    """Loss of WSD-S above that of WSD at equal total compute."""

    def effect(rung: str) -> pd.Series:
        return -_percent(final(runs, "wsd", rung=rung), final(runs, "wsd_s", rung=rung))

    return over(runs, effect)


def short_gains(runs: pd.DataFrame) -> Effects:
    """Gain of a linear decay over a tenth of the budget, as a share of that of one twice as long."""

    def effect(rung: str) -> pd.Series:
        hot = constant(runs, rung=rung)
        short, long = (hot - final(runs, arm, rung=rung) for arm in ("wsd", length_arm(LADDER_LENGTHS[-1])))
        return short / long

    return over(runs, effect)


def averaged(runs: pd.DataFrame, averaging: pd.DataFrame) -> Effects:
    """What equal weights on the last fifth's states recover of the decay's gain."""
    rows = averaging[(averaging.weights == "uniform") & (averaging.share == SHARE)]

    def effect(rung: str) -> pd.Series:
        means = rows[rows.rung == rung].set_index("seed").loss
        hot = constant(runs, rung=rung)
        return (hot - means) / (hot - final(runs, "wsd", rung=rung))

    return over(runs, effect)


def over(runs: pd.DataFrame, effect: Callable[[str], pd.Series]) -> Effects:
    """An effect on each rung that was trained, for the seeds that all of them share; `effect` is of a rung's name."""
    trained = set(runs.rung)
    found = {float(rung.parameters): effect(rung.name) for rung in RUNGS if rung.name in trained}
    shared = set.intersection(*(set(values.index) for values in found.values()))
    return {size: values[sorted(shared)] for size, values in found.items()}


def _percent(first: pd.Series, second: pd.Series) -> pd.Series:
    """`first` minus `second` in percent of `first`."""
    share: pd.Series = PERCENT * (first - second) / first
    return share
