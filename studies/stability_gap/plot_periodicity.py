"""Depth of the gap that is seen against the updates between evaluations.

Depth of the gap that evaluation at a period would have seen: the same densely evaluated runs, thinned out. Left: the
first task at the switch to digits turned by 80 degrees. Right: the task just left, mean over the four switches of ten
classes that come two at a time. Diamonds: task ends. Means with 95 % intervals over five seeds. After De Lange et al.
2022, figure 2.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Axes, Figure, draw_points, figure, label_lines, mark, mean_band, note
from studies.stability_gap.gaps import POINTS, recorded
from studies.stability_gap.periods import PERIODS, depths
from studies.stability_gap.study import ANGLE, CHAINED
from studies.stability_gap.styles import COLORS, NAMES

METHODS = CHAINED[::-1]
TITLES = {
    "chain": f"New domain (turned by {ANGLE}°)",
    "pairs": "New classes (two more, mean of 4 switches)",
}
SWITCHES = {"chain": (1,), "pairs": None}
TASK_END = 250
"""Place of evaluation at task ends, beyond the longest period."""
APART = 1.04
"""Factor between the places of two methods, so that their bars do not cover each other."""


def seen(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean depth seen, in points, with its 95 % interval over seeds, by scenario, method and period."""
    parts = []
    for scenario, switches in SWITCHES.items():
        found = depths(recorded(runs[runs.arm.str.startswith(f"{scenario}_")]), switches=switches)
        arms = found.run.map(dict(zip(runs.run, runs.arm, strict=True)))
        found = found.assign(scenario=scenario, method=arms.str.removeprefix(f"{scenario}_"))
        parts.append(found.assign(depth=POINTS * found.depth))
    return mean_band(pd.concat(parts), by=["scenario", "method", "period"], value="depth")


def draw_scenario(ax: Axes, table: pd.DataFrame) -> None:
    """Depth against period, one line for each method, and task ends apart."""
    labels = []
    for order, method in enumerate(METHODS):
        rows, color = table[table.method == method].sort_values("period"), COLORS[method]
        places = rows.period.fillna(TASK_END) * APART ** (order - 1)
        dense = rows.period.notna()
        ax.plot(places, rows["mean"], color=color, linestyle=(0, (4, 3)), linewidth=0.8)
        ax.plot(places[dense], rows["mean"][dense], color=color)
        draw_points(ax, places[dense], rows[dense], color, markersize=3)
        draw_points(ax, places[~dense], rows[~dense], color, fmt="D", markersize=4)
        labels.append((1.1 * TASK_END, rows["mean"].iloc[-1], NAMES[method], color))
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set(xscale="log", xlim=(0.85, 1.1 * TASK_END), ylim=(-5, 115), yticks=range(0, 101, 20))
    ticks = [period for period in PERIODS if period]
    ax.set_xticks([*ticks, TASK_END], labels=[*map(str, ticks), "task\nend"])
    ax.minorticks_off()
    label_lines(ax, labels)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn.

    Args:
        runs: those on the last task of each chain, which are drawn, and those on the second task, on which the claims
            are judged, with the rows of the runs before.
        verdicts: by id of the claim.
    """
    table = seen(runs)
    fig, panels = figure(width="page", columns=2, height=3.3, sharey=True, xlabel="updates between evaluations")
    for ax, scenario in zip(panels, SWITCHES, strict=True):
        draw_scenario(ax, table[table.scenario == scenario])
        ax.set_title(TITLES[scenario])
    panels[0].set_ylabel("depth of the gap seen (points of accuracy)")
    mark(panels[0], verdicts["G2"], verdicts["G5"])
    note(panels[1], "bars: 95 % over seeds", corner="upper right")
    return fig, table
