"""Accuracy on the first task at every update of three, and what task ends show of it.

The first task is evaluated before every update of three tasks (digits turned by 0, 80 and 160 degrees): training on all
data so far (joint), replay of 100 examples of each past task, and fine-tuning. Line and band: mean and its 95 %
interval over five seeds; thin: single seeds. Diamonds, joined by dashed lines, are what evaluation at task ends sees;
dotted: lowest accuracy since the end of the first task (min-ACC), mean over seeds. Inset: the shaded updates, on the
same axes. After De Lange et al. 2022, figures 1 and 2, and Hess et al. 2023, figure 1. The verdicts are about the
second task alone, on all its seeds.
"""

from typing import Any

import pandas as pd

from common.continual import metrics
from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_band, figure, label_lines, mark, mean_band
from studies.stability_gap.gaps import POINTS, recorded
from studies.stability_gap.study import ANGLE, CHAINED, arms
from studies.stability_gap.styles import COLORS, NAMES

METHODS = CHAINED[::-1]
TASKS = ("task 1: upright", f"task 2: turned by {ANGLE}°", f"task 3: turned by {2 * ANGLE}°")
OLD = "val_accuracy_task0"
FIRST = "first task"
TOP = 122
"""Upper end of the axis of accuracies: names of tasks stand above 100 %."""
ZOOM_STEPS = 50
ZOOM_PLACE = (0.085, 0.09, 0.23, 0.58)
"""Of the inset, in parts of the panel: below the curve of the first task."""


def curves(chains: pd.DataFrame, switch: int) -> pd.DataFrame:
    """Accuracy on the first task in percent by curve, seed and step; up to the switch all methods are one curve."""
    rows = chains.assign(accuracy=POINTS * chains[OLD], curve=chains.arm.str.removeprefix("chain_"))
    rows = rows.dropna(subset="accuracy").drop_duplicates(["curve", "seed", "step"])
    shared = rows[rows.step <= switch].drop_duplicates(["seed", "step"]).assign(curve=FIRST)
    return pd.concat([shared, rows[rows.step >= switch]])[["curve", "seed", "step", "accuracy"]]


def lowest(chains: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds, with its interval, of the lowest accuracy on the first task since its end, by curve."""
    arms = dict(zip(chains.run, chains.arm, strict=True))
    rows = [
        {"curve": arms[run].removeprefix("chain_"), "accuracy": POINTS * metrics.worst(record)[0]}
        for (run, _), record in recorded(chains).items()
    ]
    return mean_band(pd.DataFrame(rows), by=["curve"], value="accuracy")


def draw_curves(ax: Axes, rows: pd.DataFrame, means: pd.DataFrame) -> None:
    """Mean and interval of every curve over its single seeds."""
    for curve in (FIRST, *METHODS):
        color = COLORS.get(curve, "black")
        for _, one in rows[rows.curve == curve].groupby("seed"):
            ax.plot(one.step, one.accuracy, color=color, linewidth=0.3, alpha=0.4)
        draw_band(ax, means[means.curve == curve], color)


def draw_task_ends(ax: Axes, ends: pd.DataFrame) -> None:
    """Diamonds at the task ends, joined as if nothing lay between."""
    style: dict[str, Any] = {
        "linestyle": (0, (4, 3)),
        "linewidth": 0.9,
        "marker": "D",
        "markersize": 5.5,
        "clip_on": False,
    }
    for curve, rows in ends.groupby("curve"):
        ax.plot(rows.step, rows["mean"], color=COLORS[str(curve)], markeredgecolor="white", zorder=5, **style)


def draw_lowest(ax: Axes, worst: pd.DataFrame, first: int, last: int) -> list[tuple[float, float, str, Any]]:
    """Lines at min-ACC of the first task; their names, as `label_lines` takes them."""
    labels: list[tuple[float, float, str, Any]] = []
    for curve, mean in zip(worst.curve, worst["mean"], strict=True):
        ax.plot([first, last], [mean, mean], color=COLORS[curve], linestyle=":", linewidth=1.0)
        labels.append((last, mean, f"min-ACC {mean:.0f} %", COLORS[curve]))
    return labels


def draw_zoom(ax: Axes, rows: pd.DataFrame, means: pd.DataFrame, switch: int) -> None:
    """Inset: the first updates after the switch."""
    inset = ax.inset_axes(ZOOM_PLACE)
    shifted = (table[table.curve != FIRST].assign(step=lambda part: part.step - switch) for table in (rows, means))
    draw_curves(inset, *shifted)
    inset.set(xlim=(0, ZOOM_STEPS), ylim=(0, 103), yticks=(0, 50, 100))
    inset.set_title(f"first {ZOOM_STEPS} updates of task 2", fontsize=7, fontweight="normal", pad=3)
    inset.tick_params(labelsize=7, length=2)
    ax.axvspan(switch, switch + ZOOM_STEPS, ymax=100 / TOP, color=PALETTE["reference"], alpha=0.12, linewidth=0)


def draw_tasks(ax: Axes, ends: tuple[int, ...]) -> None:
    """Lines at the switches and the name of each task above."""
    for name, first, last in zip(TASKS, (0, *ends), ends, strict=False):
        ax.text((first + last) / 2, TOP, name, ha="center", va="top", fontsize=8)
    for switch in ends[:-1]:
        ax.axvline(switch, color=PALETTE["reference"], linewidth=0.8, zorder=0)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn.

    Args:
        runs: those on the last of the three tasks, which are drawn, and those on the second, on which the claims are
            judged, with the rows of the runs before.
        verdicts: by id of the claim.
    """
    chains = runs[runs.arm.isin(arms("chain", *CHAINED))]
    ends = next(iter(recorded(chains).values())).ends
    rows, worst = curves(chains, ends[0]), lowest(chains)
    means = mean_band(rows, by=["curve", "step"], value="accuracy")
    seen = means[means.step.isin(ends) & means.curve.isin(METHODS)]
    fig, ax = figure(
        width="page",
        height=4.0,
        xlabel="update (band: 95 % over seeds; thin: single seeds)",
        ylabel="accuracy on task 1 (%)",
    )
    ax.set(xlim=(0, ends[-1]), ylim=(0, TOP), yticks=range(0, 101, 20))
    draw_curves(ax, rows, means)
    draw_task_ends(ax, seen)
    labels = draw_lowest(ax, worst, ends[0], ends[-1])
    last = seen[seen.step == ends[-1]]
    labels += [
        (ends[-1], mean, NAMES[curve], COLORS[curve]) for curve, mean in zip(last.curve, last["mean"], strict=True)
    ]
    draw_tasks(ax, ends)
    draw_zoom(ax, rows, means, ends[0])
    label_lines(ax, labels)
    ax.text((ends[0] + ends[-1]) / 2, 105, "◆ – – ◆  all that evaluation at task ends sees", ha="center", fontsize=7)
    mark(ax, verdicts["G1"], verdicts["G4"])
    return fig, pd.concat([means.assign(shown="curve"), seen.assign(shown="task end"), worst.assign(shown="min-ACC")])
