"""Sharpness and loss of gradient descent at several learning rates, with the edge 2/lr of each.

Full-batch gradient descent on the squared error at four learning rates; mean and 95 % interval over seeds. Top: largest
eigenvalue of the Hessian on the whole training set; dashed lines are 2/lr. Bottom: training loss. The sharpness rises
until it meets its edge, and stays there.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Figure, draw_band, figure, label_lines, mark, mean_band, shades

VALUES = {"sharpness": "sharpness", "train_loss": "training loss"}


def curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean sharpness and training loss with their 95 % intervals over seeds, by learning rate and step."""
    parts = (
        mean_band(runs[runs[value].notna()], by=["lr", "step"], value=value).assign(value=value) for value in VALUES
    )
    return pd.concat(parts)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = curves(runs)
    rates = sorted(table.lr.unique())
    fig, (top, bottom) = figure(width="page", rows=2, height=4.6, height_ratios=[2, 1], sharex=True)
    top.set(title="Gradient descent climbs to the edge 2/lr (dashed) and stays there", ylabel="sharpness")
    bottom.set(yscale="log", xlabel="update", ylabel="training loss")
    labels = []
    for lr, color in zip(rates, shades("wsd", len(rates)), strict=True):
        for ax, value in ((top, "sharpness"), (bottom, "train_loss")):
            curve = table[(table.lr == lr) & (table.value == value)]
            draw_band(ax, curve, color)
        top.plot([0, table.step.max()], [2 / lr, 2 / lr], color=color, linestyle="--", linewidth=0.8)
        labels.append((table.step.max(), 2 / lr, f"lr {lr:g}", color))
    top.set_ylim(0, 1.15 * 2 / rates[0])
    label_lines(top, labels)
    mark(top, verdicts["S1"], verdicts["S2"])
    return fig, table
