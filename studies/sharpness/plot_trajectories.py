"""Loss and sharpness in the first updates at one learning rate: a bad start, with warm-up, and flat starts.

The same learning rate for four networks, five seeds: geometric mean and range. The bad start has three times He's gain,
and so has the network with layer normalisation; MetaInit begins at He's gain. Dashed: 2/lr at each update. Sharpness is
that of the whole training set.
"""

import pandas as pd

from common.plotting import Axes, Figure, figure
from studies.sharpness.paths import TOP, VALUES, curves, draw_path, edges, name_curve
from studies.sharpness.study import TRAJECTORIES
from studies.sharpness.styles import COLORS, NAMES

FAILS, WARM = "plain3_path", "plain3_w50_path"


def draw_edges(ax: Axes, runs: pd.DataFrame) -> None:
    """2/lr of the constant rate, and of the warm-up that comes down to it."""
    peak, warm = edges(runs, FAILS).edge.iloc[0], edges(runs, WARM)
    ax.axhline(peak, color="black", linewidth=0.9, linestyle="--")
    ax.plot(1 + warm.step, warm.edge, color=COLORS["plain3_w50"], linewidth=0.9, linestyle="--")
    ax.text(1.05, peak / 1.25, "2/lr", fontsize=7, va="top")
    place = (1 + warm.step.iloc[2], warm.edge.iloc[2] / 1.4)
    ax.text(*place, "2/lr of the warm-up", fontsize=7, color=COLORS["plain3_w50"], ha="right", va="top")


def draw(runs: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    runs = runs[runs.arm.isin(TRAJECTORIES)]
    table = curves(runs)
    lr = runs.lr.iloc[0]
    fig, (top, bottom) = figure(
        width="page", rows=2, height=4.8, height_ratios=[2, 3], sharex=True, xscale="log", yscale="log"
    )
    for ax, (value, name) in zip((top, bottom), VALUES.items(), strict=True):
        ax.set_ylabel(name)
        for arm, like in TRAJECTORIES.items():
            draw_path(ax, table[(table.arm == arm) & (table.value == value)], COLORS[like])
    draw_edges(bottom, runs)
    top.set_title(f"At lr {lr:.3g} the bad start fails at once; with warm-up it walks down to the edge and trains")
    bottom.set_xlabel("1 + update")
    bottom.set_xlim(1, 1 + table.step.max())
    top.set_ylim(0.3, TOP)
    bottom.set_ylim(0.1, TOP)
    for arm, like in TRAJECTORIES.items():
        ax, value = (top, "train_loss") if arm == FAILS else (bottom, "sharpness")
        name_curve(ax, table[(table.arm == arm) & (table.value == value)], NAMES[like], COLORS[like])
    return fig, table
