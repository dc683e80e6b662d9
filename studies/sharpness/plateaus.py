"""Plateaus of the sharpness at the end of training, and the sharpness of batches beside that of all data."""

import math

import pandas as pd

LAST_SHARE = 1 / 3
"""Part of a run, at its end, over which a plateau is taken."""


def plateaus(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Median of a column over the last third of the runs, by seed (rows) and learning rate (columns)."""
    late = rows[rows.step >= (1 - LAST_SHARE) * rows.step.max()]
    table: pd.DataFrame = late.groupby(["seed", "lr"])[column].median().unstack("lr")
    return table


def batch_plateaus(runs: pd.DataFrame) -> pd.DataFrame:
    """Plateau of lr sharpness / 2 by seed (rows) and batch size (columns, ascending; infinite for the full batch)."""
    rows = runs[runs.arm.isin(["gd", "batch"]) & runs.sharpness.notna()]
    rows = rows[rows.lr.isin(rows.lr[rows.arm == "batch"]) & (rows.step >= (1 - LAST_SHARE) * rows.step.max())]
    rows = rows.assign(edge=rows.lr * rows.sharpness / 2, batch_size=rows.batch_size.fillna(math.inf))
    table: pd.DataFrame = rows.groupby(["seed", "batch_size"]).edge.median().unstack("batch_size")
    return table


def batch_ratios(batches: pd.DataFrame, state: str) -> pd.DataFrame:
    """Sharpness of batches over that of the whole data, by seed (rows) and size (columns; 1 at infinite size)."""
    rows = batches[batches.state == state].assign(ratio=batches.sharpness / batches.whole)
    ratios = rows.pivot(index="seed", columns="batch_size", values="ratio")
    return ratios.assign(whole=1.0).rename(columns={"whole": math.inf})
