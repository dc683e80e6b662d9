"""Curves of the first updates of a few networks, for figures against the update on a logarithmic axis."""

import numpy as np
import pandas as pd

from common.plotting import Axes

TOP = 1e6
"""End of both axes; what leaves it does not come back."""
VALUES = {"train_loss": "training loss (nats)", "sharpness": "sharpness"}


def curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Geometric mean over seeds, their range and number, by arm, value and step.

    A loss is placed one step before that of its row, since it is that of the weights before the update.
    Seeds that no longer have a finite value are left out, and `n` counts those that remain.
    """
    parts: list[pd.DataFrame] = []
    for value in VALUES:
        rows = runs[np.isfinite(runs[value])]
        if value == "train_loss":
            rows = rows.assign(step=rows.step - 1)
        groups = rows.assign(log=np.log(rows[value])).groupby(["arm", "step"]).log
        table = np.exp(groups.agg(["mean", "min", "max"])).assign(n=groups.size(), value=value).reset_index()
        parts.append(table.rename(columns={"min": "low", "max": "high"}))
    return pd.concat(parts)


def edges(runs: pd.DataFrame, arm: str) -> pd.DataFrame:
    """The line 2/lr of the update that follows each step, in columns step and edge."""
    rows = runs[(runs.arm == arm) & runs.learning_rate.notna()].drop_duplicates("step").sort_values("step")
    return pd.DataFrame({"step": rows.step - 1, "edge": 2 / rows.learning_rate})


def draw_path(ax: Axes, curve: pd.DataFrame, color: object) -> None:
    """Mean and range against 1 + step."""
    ax.plot(1 + curve.step, curve["mean"], color=color)
    ax.fill_between(1 + curve.step, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)


def name_curve(ax: Axes, curve: pd.DataFrame, name: str, color: object) -> None:
    """The name of a curve at its last point below `TOP`."""
    last = curve[curve["mean"] < TOP].iloc[-1]
    place = (1 + last.step, last["mean"])
    ax.annotate(name, place, (6, 0), textcoords="offset points", fontsize=7, color=color, va="center")
