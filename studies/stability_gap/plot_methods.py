"""How deep the old task falls, what task ends show of it, and what training can count on, for every method."""

import pandas as pd
from claims import all_families_drop, all_families_recover
from gaps import gaps
from styles import COLORS, NAMES

from common.claims import sentence
from common.plotting import COLOR, Axes, Figure, draw_points, figure, mean_band, note, save
from common.records import read_runs

METHODS = ("finetune", "lwf", "ewc", "gem", "er", "er_agem", "er_large", "joint")
"""From no means against forgetting to all old data, top down."""
PLACE = {name: len(METHODS) - 1 - i for i, name in enumerate(METHODS)}
VALUES = ("depth", "residual", "worst_case")


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95 % interval over seeds of the three numbers, by method."""
    table = table.assign(method=table.arm.str.removeprefix("rotation_"))
    parts = (mean_band(table, by=["method"], value=value).assign(quantity=value) for value in VALUES)
    return pd.concat(parts)


def draw_falls(ax: Axes, found: pd.DataFrame) -> None:
    """An arrow from the deepest point to what is lost in the end, with both intervals."""
    for name, place in PLACE.items():
        rows, color = found[found.method == name], COLORS[name]
        depth, residual = (rows[rows.quantity == value] for value in ("depth", "residual"))
        ends = {"arrowstyle": "-|>", "color": color, "alpha": 0.35, "linewidth": 3, "shrinkA": 3, "shrinkB": 3}
        ax.annotate("", (residual["mean"].item(), place), (depth["mean"].item(), place), arrowprops=ends)
        draw_points(ax, [place], depth, color, across=True, markersize=5)
        draw_points(ax, [place], residual, color, across=True, markersize=5, markerfacecolor="white")


def draw_worst(ax: Axes, found: pd.DataFrame) -> None:
    """The worst case of each method."""
    for name, place in PLACE.items():
        rows = found[(found.method == name) & (found.quantity == "worst_case")]
        draw_points(ax, [place], rows, COLORS[name], across=True, fmt="s", markersize=5)


def draw(runs: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    found = means(gaps(runs))
    fig, (left, right) = figure(width="page", columns=2, height=3.6, width_ratios=[2.2, 1], sharey=True)
    draw_falls(left, found)
    draw_worst(right, found)
    left.set_yticks(list(PLACE.values()), [NAMES[name] for name in PLACE])
    for tick, name in zip(left.get_yticklabels(), PLACE, strict=True):
        tick.set_color(COLORS[name])
    right.tick_params(left=False)
    left.set_ylim(-2.6, len(METHODS) - 0.3)
    left.vlines(0, -0.6, len(METHODS) - 1.6, color=COLOR["reference"], linewidth=0.6, zorder=0)
    note(left, "● where it is lowest\n○ when task 2 ends: all that task ends show", corner="upper left")
    left.set(title="a  Points lost on task 1 while task 2 is trained", xlabel="points of accuracy lost on task 1")
    right.set(title="b  What can be counted on", xlabel="worst-case accuracy WC-ACC (%)")
    note(left, sentence(all_families_drop, runs), corner="lower left", width=45)
    note(left, sentence(all_families_recover, runs), corner="lower right", width=45)
    return fig, found


if __name__ == "__main__":
    fig, drawn = draw(read_runs(snakemake.input.runs))
    save(fig, snakemake.output, data=drawn, runs=snakemake.input.runs)
