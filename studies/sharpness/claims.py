"""Claims on the sharpness of training. Thresholds frozen after a pilot with seeds 100 and 101."""

import pandas as pd

from common.claims import claim
from common.statistics import log_log_slopes
from common.verdicts import Verdict, all_of, less, within

COHEN = "Cohen et al. 2021, abstract"
LAST_SHARE = 1 / 3
"""Part of a run, at its end, over which a plateau is taken."""


def measured(runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of gradient descent at which sharpness was measured, with `edge` = lr sharpness / 2."""
    rows = runs[(runs.arm == "gd") & runs.sharpness.notna()]
    return rows.assign(edge=rows.lr * rows.sharpness / 2)


def plateaus(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Median of a column over the last third of the runs, by seed (rows) and learning rate (columns)."""
    late = rows[rows.step >= (1 - LAST_SHARE) * rows.step.max()]
    return late.groupby(["seed", "lr"])[column].median().unstack("lr")


@claim(
    "S1",
    "full-batch gradient descent sits at the edge of stability",
    source=COHEN,
    published="hovers at or just above 2/lr",
    published_mark="published",
)
def sits_at_the_edge(runs: pd.DataFrame) -> Verdict:
    """Plateau of lr sharpness / 2 in [0.95, 1.10] at each rate; at most 0.8 at the start of the two smallest."""
    rows = measured(runs)
    late, start = plateaus(rows, "edge"), rows[rows.step == 0].pivot(index="seed", columns="lr", values="edge")
    return all_of(
        *(within(late[lr], low=0.95, high=1.10, unit="of 2/lr", label=f"plateau, lr {lr:g}") for lr in late.columns),
        *(less(start[lr], than=0.8, unit="of 2/lr", label=f"start, lr {lr:g}") for lr in start.columns[:2]),
    )


@claim(
    "S2",
    "a larger learning rate has a lower plateau, in inverse proportion",
    source=COHEN,
    published="2/lr: slope -1",
    published_mark="published",
)
def plateau_is_inverse(runs: pd.DataFrame) -> Verdict:
    """Slope of log sharpness on the plateau against log learning rate within -1 +- 0.05."""
    late = plateaus(measured(runs), "sharpness")
    slopes = log_log_slopes(list(late.columns), {seed: list(row) for seed, row in late.iterrows()})
    return within(slopes, low=-1.05, high=-0.95, unit="d log sharpness / d log lr")
