"""Effects of the study at each rung of its ladder, in percent of the loss: by parameters, then by seed."""

import pandas as pd

from studies.wsd.losses import last_loss
from studies.wsd.study import RUNGS

PERCENT = 100
"""Nats per byte and nats per token do not compare, shares of the loss do."""


def final_losses(runs: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Last validation loss of an arm of the ladder, by seed (rows) and rung (columns)."""
    losses = last_loss(runs, arm)
    rungs = losses.run.map(runs.groupby("run").rung.first())
    table: pd.DataFrame = losses.assign(rung=rungs).pivot(index="seed", columns="rung", values="val_loss")
    return table


def falls(runs: pd.DataFrame) -> dict[float, pd.Series]:
    """How far the decay brings the loss below that of the constant rate after as many updates."""
    return _shares(final_losses(runs, "ladder_stable"), final_losses(runs, "ladder_wsd"))


def gaps(runs: pd.DataFrame) -> dict[float, pd.Series]:
    """Loss of WSD above that of the cosine."""
    cosine = final_losses(runs, "ladder_cosine")
    return {size: -share for size, share in _shares(cosine, final_losses(runs, "ladder_wsd")).items()}


def _shares(first: pd.DataFrame, second: pd.DataFrame) -> dict[float, pd.Series]:
    """`first` minus `second` in percent of `first`."""
    shares = PERCENT * (first - second) / first
    return {rung.parameters: shares[rung.name] for rung in RUNGS if rung.name in shares}
