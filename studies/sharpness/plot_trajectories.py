"""Loss and sharpness in the first updates at one learning rate: a bad start, with warm-up, and flat starts."""

import pandas as pd
from paths import TOP, VALUES, curves, draw_path, edges, name_curve
from styles import COLORS, NAMES

from common.plotting import Axes, Figure, figure, save
from common.records import read_runs

ARMS = {
    "plain3_path": "plain3_w0",
    "plain3_w50_path": "plain3_w50",
    "layernorm3_path": "layernorm3_w0",
    "metainit1_path": "metainit1_w0",
}
"""Arms of the runs, and the arms of the phase diagram that they begin like."""
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
    runs = runs[runs.arm.isin(ARMS)]
    table = curves(runs)
    lr = runs.lr.iloc[0]
    fig, (top, bottom) = figure(
        width="page", rows=2, height=4.8, height_ratios=[2, 3], sharex=True, xscale="log", yscale="log"
    )
    for ax, (value, name) in zip((top, bottom), VALUES.items(), strict=True):
        ax.set_ylabel(name)
        for arm, like in ARMS.items():
            draw_path(ax, table[(table.arm == arm) & (table.value == value)], COLORS[like])
    draw_edges(bottom, runs)
    top.set_title(f"At lr {lr:.3g} the bad start fails at once; with warm-up it walks down to the edge and trains")
    bottom.set_xlabel("1 + update")
    bottom.set_xlim(1, 1 + table.step.max())
    top.set_ylim(0.3, TOP)
    bottom.set_ylim(0.1, TOP)
    for arm, like in ARMS.items():
        ax, value = (top, "train_loss") if arm == FAILS else (bottom, "sharpness")
        name_curve(ax, table[(table.arm == arm) & (table.value == value)], NAMES[like], COLORS[like])
    return fig, table


if __name__ == "__main__":
    fig, table = draw(read_runs(snakemake.input.runs))
    save(fig, snakemake.output, data=table, runs=snakemake.input.runs)
