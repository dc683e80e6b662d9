"""Depth and recovery against the angle between two tasks, and what fine-tuning forgets in the end.

Depth of the drop on task 1 (means, 95 % t intervals over seeds) and updates until its accuracy is back within one point
(median over seeds by Kaplan and Meier, single seeds pale; a triangle is a lower bound of what has not come back)
against the rotation of task 2. At 0 degrees the new task is the old one. Right: what fine-tuning has lost when task 2
ends.
"""

from typing import Any

import pandas as pd

from common.continual.metrics import Recovery, median_recovery
from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, label_lines, mark, mean_band, note
from studies.stability_gap.gaps import gaps
from studies.stability_gap.selections import with_angle
from studies.stability_gap.study import LEARNERS
from studies.stability_gap.styles import COLORS, NAMES

ASIDE = {"joint": -1.2, "er": 1.2, "finetune": 0.0}
"""Degrees by which the marks of a method are moved apart from the others'."""
ANGLE = "degrees between the tasks"


def methods(runs: pd.DataFrame) -> pd.DataFrame:
    """`gaps` with a column method, of the seeds that have every angle."""
    table = with_angle(gaps(runs))
    table = table.assign(method=table.arm.str.partition("_")[2])
    complete = table.groupby(["method", "seed"]).angle.transform("nunique") == table.angle.nunique()
    return table[complete]


def means(table: pd.DataFrame, column: str, *names: str) -> pd.DataFrame:
    """Mean of a column of some methods and its 95 % interval over seeds, by method and angle."""
    found = mean_band(table[table.method.isin(names)], by=["method", "angle"], value=column)
    return found.assign(quantity=column)


def medians(table: pd.DataFrame) -> pd.DataFrame:
    """Median recovery over seeds (Kaplan and Meier's) by method and angle, as `mean` with `censored`."""
    rows = [
        {"method": method, "angle": angle, "mean": median.length_steps, "censored": median.censored, "n": len(group)}
        for (method, angle), group in table[table.method.isin(LEARNERS)].groupby(["method", "angle"])
        for median in [median_recovery(map(Recovery, group.recovery_steps, group.censored))]
    ]
    return pd.DataFrame(rows).assign(quantity="recovery_steps")


def draw_means(ax: Axes, found: pd.DataFrame, *names: str) -> None:
    """A line with intervals for each method."""
    for name in names:
        rows = found[found.method == name]
        draw_points(ax, rows.angle + ASIDE[name], rows, COLORS[name], fmt="o-", markersize=3.5)


def draw_lengths(ax: Axes, rows: pd.DataFrame, column: str, name: str, **style: Any) -> None:
    """A mark for each length: a dot, or an open triangle for the lower bound of what has not recovered."""
    color = COLORS[name]
    for censored, part in rows.groupby("censored"):
        marks: dict[str, Any] = (
            {"marker": "^", "facecolor": "white"} if censored else {"marker": "o", "facecolor": color}
        )
        ax.scatter(part.angle + ASIDE[name], part[column], edgecolor=color, linewidth=0.8, zorder=3, **marks, **style)


def draw_recovery(ax: Axes, table: pd.DataFrame, found: pd.DataFrame) -> None:
    """Median lengths on a line, those of single seeds as small pale marks."""
    for name in LEARNERS:
        line = found[found.method == name]
        ax.plot(line.angle + ASIDE[name], line["mean"], color=COLORS[name])
        draw_lengths(ax, line, "mean", name, s=20)
        draw_lengths(ax, table[table.method == name], "recovery_steps", name, s=7, alpha=0.35)


def name_methods(ax: Axes, found: pd.DataFrame) -> None:
    """The methods' names to the right of their last points; set the limits of the axes before."""
    ends = found[found.angle == found.angle.max()]
    label_lines(ax, [(row.angle, row["mean"], NAMES[row.method], COLORS[row.method]) for _, row in ends.iterrows()])


def draw_null(ax: Axes, height: float) -> None:
    """A grey strip where the new task is the old one."""
    ax.axvspan(-5, 5, color=PALETTE["reference"], alpha=0.15, linewidth=0)
    ax.text(0, height, "null control", fontsize=7, rotation=90, color=PALETTE["reference"], ha="center", va="top")


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = methods(runs)
    depths, lost = means(table, "depth", *LEARNERS), means(table, "residual", "finetune")
    times = medians(table)
    fig, (left, middle, right) = figure(width="page", columns=3, height=3.0, xlabel=ANGLE)
    draw_means(left, depths, *LEARNERS)
    draw_recovery(middle, table, times)
    draw_means(right, lost, "finetune")
    left.set(title="a  The drop", ylabel="depth on task 1 (points of accuracy)")
    middle.set(title="b  Recovery", ylabel="updates until within 1 point (median)")
    right.set(title="c  Forgetting", ylabel="points of task 1 that fine-tuning loses")
    for ax in (left, middle, right):
        ax.set_xlim(-5, 115)
        ax.set_ylim(0, 1.1 * ax.get_ylim()[1])
        draw_null(ax, 0.6 * ax.get_ylim()[1])
    name_methods(left, depths)
    name_methods(middle, times)
    mark(left, verdicts["G3"])
    mark(right, verdicts["G18"])
    note(middle, "△ not back when task 2 ends", corner="upper left")
    return fig, pd.concat([depths, times, lost])
