"""Depth, residual and worst case of every method after a switch to rotated digits.

Points of accuracy lost on task 1 while a task rotated by 80 degrees is trained: at the deepest (filled) and at the end
(open); the arrow between them is what task ends hide. Right: worst-case accuracy, WC-ACC of De Lange et al. 2022, which
is what one can rely on throughout training. Means and 95 % t intervals over seeds. A drop without recovery, as of LwF
here, is forgetting, not a gap.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, mark, mean_band, note
from studies.stability_gap.gaps import gaps
from studies.stability_gap.study import OVERVIEW
from studies.stability_gap.styles import COLORS, NAMES

PLACE = {name: len(OVERVIEW) - 1 - i for i, name in enumerate(OVERVIEW)}
"""Of each method, top down."""
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


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    found = means(gaps(runs))
    fig, (left, right) = figure(width="page", columns=2, height=3.6, width_ratios=[2.2, 1], sharey=True)
    draw_falls(left, found)
    draw_worst(right, found)
    left.set_yticks(list(PLACE.values()), [NAMES[name] for name in PLACE])
    for tick, name in zip(left.get_yticklabels(), PLACE, strict=True):
        tick.set_color(COLORS[name])
    right.tick_params(left=False)
    left.set_ylim(-0.6, len(OVERVIEW) + 0.1)
    left.vlines(0, -0.6, len(OVERVIEW) - 0.8, color=PALETTE["reference"], linewidth=0.6, zorder=0)
    note(left, "● where it is lowest\n○ when task 2 ends: all that task ends show", corner="upper left")
    left.set(title="a  Points lost on task 1 while task 2 is trained", xlabel="points of accuracy lost on task 1")
    right.set(title="b  Worst case", xlabel="worst-case accuracy WC-ACC (%)")
    mark(left, verdicts["G6"], verdicts["G6a"])
    return fig, found
