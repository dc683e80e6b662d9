"""Every metric of three methods on two chains of tasks at four evaluation periods, as a table.

Metrics of continual learning of three methods on the chain of three rotations and on that of five pairs of classes, as
evaluation every 1, 10 or 100 updates, or at task ends alone, would give them. Mean over five seeds and half of its 95 %
interval. Windows of WF and WP and the first evaluations of LCA count evaluations. Shade: distance from the value of
evaluation after every update. After the tables of De Lange et al. 2022.
"""

import math

import pandas as pd

from common.plotting import PALETTE, Axes, Figure, figure, mean_band
from studies.stability_gap.gaps import POINTS, recorded
from studies.stability_gap.periods import averages
from studies.stability_gap.study import CHAINED
from studies.stability_gap.styles import COLORS, NAMES

PERIODS: tuple[int | None, ...] = (1, 10, 100, None)
SCENARIOS = {
    "chain": "New domains: digits turned by 0°, 80°, 160°",
    "pairs": "New classes: ten digits, two at a time",
}
DEFINITIONS = {
    "ACC": "accuracy on all tasks, at the end",
    "FORG": "lost by old tasks since their own ends",
    "min-ACC": "lowest accuracy of old tasks since their ends",
    "WC-ACC": "last task at the end, the others at min-ACC",
    "WF10": "largest drop within 10 evaluations",
    "WF100": "largest drop within 100 evaluations",
    "WP10": "largest rise within 10 evaluations",
    "WP100": "largest rise within 100 evaluations",
    "LCA10": "accuracy of a task at its first 10 evaluations",
}
HEIGHT = 6.2
LINE = 0.265
"""Inches from line to line; this and all places below are in inches from the upper left."""
MEANING, VALUES = 0.6, 3.05
ACROSS = 0.315
"""From period to period."""
BLOCK = 1.33
"""From method to method."""
BETWEEN = 0.33
"""Above the second scenario."""
STRONGEST = 50.0
"""Points from the value at period 1 at which the shade of a cell is deepest."""
DEEPEST = 0.5
"""Opacity of that shade."""


def values(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean of every metric with its 95 % interval over seeds, in percent, by scenario, method, metric and period."""
    found = averages(recorded(runs), periods=PERIODS)
    arms = found.run.map(dict(zip(runs.run, runs.arm, strict=True)))
    found[["scenario", "method"]] = arms.str.split("_", n=1, expand=True)
    found["value"] *= POINTS
    return mean_band(found, by=["scenario", "method", "metric", "period"], value="value")


def draw_value(ax: Axes, x: float, y: float, row: pd.Series, dense: float) -> None:
    """One cell: the mean above half the width of its interval, shaded by its distance from the value at period 1."""
    if math.isnan(row["mean"]):
        ax.text(x, y, "–", ha="center", va="center", fontsize=7)
        return
    left, right, upper, lower = x - ACROSS / 2, x + ACROSS / 2, y - LINE / 2, y + LINE / 2
    alpha = DEEPEST * min(1.0, abs(row["mean"] - dense) / STRONGEST)
    ax.fill([left, right, right, left], [upper, upper, lower, lower], color=PALETTE["rewarm"], alpha=alpha, linewidth=0)
    ax.text(x, y - 0.01, f"{row['mean']:.1f}".replace("-", "−"), ha="center", va="bottom", fontsize=7)
    if math.isfinite(row["high"]):
        half = row["high"] - row["mean"]
        text = f"±{half:.{0 if half >= 10 else 1}f}"
        ax.text(x, y + 0.1, text, ha="center", va="bottom", fontsize=7, color=PALETTE["reference"])


def place(method: str, period: int | None) -> float:
    """Middle of a column."""
    return VALUES + CHAINED.index(method) * BLOCK + PERIODS.index(period) * ACROSS


def draw_head(ax: Axes, y: float, title: str) -> None:
    """Title of a block and names of its columns, down to the rule below them."""
    ax.text(0, y, title, fontsize=8, fontweight="bold", va="center")
    for method in CHAINED:
        middle = (place(method, PERIODS[0]) + place(method, PERIODS[-1])) / 2
        ax.text(middle, y, NAMES[method], color=COLORS[method], ha="center", va="center", fontweight="bold")
        for period in PERIODS:
            ax.text(place(method, period), y + 0.19, str(period or "end"), ha="center", va="center", fontsize=7)
    ax.text(VALUES - 0.3, y + 0.19, "updates between evaluations:", ha="right", va="center", fontsize=7)
    ax.plot([0, place(CHAINED[-1], PERIODS[-1]) + ACROSS / 2], [y + 0.3, y + 0.3], color="black", linewidth=0.6)


def draw_block(ax: Axes, top: float, table: pd.DataFrame) -> float:
    """One scenario: a line for every metric; its lower end."""
    y = top
    for metric, meaning in DEFINITIONS.items():
        ax.text(0, y, metric, va="center", fontsize=7, fontweight="bold")
        ax.text(MEANING, y, meaning, va="center", fontsize=7)
        for method in CHAINED:
            rows = table[(table.metric == metric) & (table.method == method)]
            dense = rows[rows.period == 1]["mean"].item()
            for period in PERIODS:
                [(_, row)] = rows[rows.period.eq(period) if period else rows.period.isna()].iterrows()
                draw_value(ax, place(method, period), y, row, dense)
        y += LINE
    return y


def draw(runs: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn, from the runs on the last task of each chain with the rows of those before."""
    table = values(runs)
    fig, ax = figure(width="page", height=HEIGHT, xlim=(0, 7), ylim=(HEIGHT, 0))
    ax.set_axis_off()
    y = 0.12
    for scenario, title in SCENARIOS.items():
        draw_head(ax, y, title)
        y = draw_block(ax, y + 0.46, table[table.scenario == scenario]) + BETWEEN - LINE / 2
    text = "in % or points, mean over seeds ± half of the 95 % interval; means over tasks; – too few evaluations"
    ax.text(0, y - 0.2, text, fontsize=7, va="center")
    ax.text(0, y - 0.05, "shaded: apart from the value under evaluation after every update", fontsize=7, va="center")
    return fig, table
