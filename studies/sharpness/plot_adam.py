"""Preconditioned sharpness of full-batch Adam at several learning rates, with the edge 38/lr.

Full-batch Adam (beta1 0.9, beta2 0.999) on the squared error at three learning rates; mean and 95 % interval over
seeds. Shown is the largest eigenvalue of P^(-1/2) H P^(-1/2), the Hessian H in the weights that Adam's preconditioner P
rescales. Dashed lines are 38/lr, above which Adam with that preconditioner diverges on a quadratic.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Figure, draw_band, figure, label_lines, mark, mean_band, shades


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    rows = runs[runs.effective_sharpness.notna()]
    table = mean_band(rows, by=["lr", "step"], value="effective_sharpness")
    rates, last = sorted(table.lr.unique()), table.step.max()
    fig, ax = figure(
        width="page",
        height=3.4,
        title="Adam climbs to its own edge 38/lr (dashed)",
        xlabel="update",
        ylabel="largest eigenvalue of the Hessian\nin Adam's preconditioned weights",
    )
    labels = []
    for lr, color in zip(rates, shades("wsd", len(rates)), strict=True):
        draw_band(ax, table[table.lr == lr], color)
        ax.plot([0, last], [38 / lr, 38 / lr], color=color, linestyle="--", linewidth=0.8)
        labels.append((last, 38 / lr, f"lr {lr:g}", color))
    ax.set(xlim=(0, None), ylim=(0, 1.1 * 38 / rates[0]))
    label_lines(ax, labels)
    mark(ax, verdicts["S13"])
    return fig, table
