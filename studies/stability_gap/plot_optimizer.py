"""Depth and recovery of the gap against learning rate and momentum, and with Adam.

The gap of joint training when the digits turn by 80 degrees, against the learning rate (SGD with momentum 0.9), against
the momentum at an equal rate and at an equal lr / (1 - momentum), and with Adam. Top: depth, mean and 95 % interval
over seeds. Middle: updates until the first task is back within a point of its accuracy before the switch; the median
counts runs that have not come back as long ones (Kaplan and Meier), and is itself a lower bound where it is a triangle.
Bottom: accuracy before the switch, which the lengths of the first task bring to about the same value, since an
under-trained task has less to lose. Small marks are single seeds. At equal lr / (1 - momentum) the first updates of
plain SGD are larger, by 1 / (1 - momentum): momentum has yet to build up when the gap opens.
"""

from typing import Any

import pandas as pd

from common.continual.metrics import Recovery, median_recovery
from common.evidence.claims import Judged
from common.plotting import Axes, Figure, draw_points, figure, mark, mean_band, note
from studies.stability_gap.selections import optimizer_gaps
from studies.stability_gap.study import ADAM_ARM, LR, MATCHED, MOMENTUM_ARMS
from studies.stability_gap.styles import COLORS

PANELS = {"rate": "SGD, momentum 0.9", "momentum": "SGD, rate fixed two ways", "adam": "Adam"}
LABELS = {
    "depth": "depth of the gap (points)",
    "recovery": "updates until the first\ntask is back (median)",
    "before": "accuracy before\nthe switch (%)",
}
BANDED = ("depth", "before")
WAYS = {"rate": COLORS["joint"], "equal": COLORS["joint"], "matched": COLORS["ramp"], "adam": COLORS["joint"]}
NAMES = {"equal": f"lr = {LR:g}", "matched": "lr / (1 - momentum) = 0.3"}
SHIFT = {"equal": -0.012, "matched": 0.012}
"""Of the two lines in one panel, so that their bars stand apart."""
BESIDE = {"rate": 0.0, "momentum": -0.035, "adam": -0.2}
"""Distance of single seeds from their mean; by a factor on the axis of rates."""
FACTOR = 0.92
ROOM = 1.2
"""Factor above the largest depth, for the names of lines."""
RECOVERIES = (10, 30, 100, 300, 1000)


def places(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `gaps` as they are shown: with panel, way (a line) and x; some are shown twice.

    ASSUME: one rate of Adam stands for Adam.
    """
    joint = MOMENTUM_ARMS[0.9]
    parts = [table[table.arm == joint].assign(panel="rate", way="rate", x=lambda rows: rows.lr)]
    for way, rates in (("equal", dict.fromkeys(MOMENTUM_ARMS, LR)), ("matched", MATCHED)):
        for momentum, lr in rates.items():
            rows = table[(table.arm == MOMENTUM_ARMS[momentum]) & (table.lr == lr)]
            parts.append(rows.assign(panel="momentum", way=way, x=momentum + SHIFT[way]))
    parts.append(table[table.arm == ADAM_ARM].assign(panel="adam", way="adam", x=0.0))
    return pd.concat(parts, ignore_index=True)


def medians(shown: pd.DataFrame) -> pd.DataFrame:
    """Median recovery with censoring (Kaplan and Meier), by panel, way and x; censored is true of a lower bound."""
    rows = []
    for keys, part in shown.groupby(["panel", "way", "x"]):
        each = zip(part.recovery_steps, part.censored, strict=True)
        middle = median_recovery(Recovery(int(steps), censored=bool(away)) for steps, away in each)
        about = dict(zip(("panel", "way", "x"), keys, strict=True))
        rows.append({**about, "median": middle.length_steps, "censored": middle.censored, "away": part.censored.mean()})
    return pd.DataFrame(rows).assign(quantity="recovery")


def summary(shown: pd.DataFrame) -> pd.DataFrame:
    """The numbers drawn, without single seeds."""
    bands = [mean_band(shown, by=["panel", "way", "x"], value=name).assign(quantity=name) for name in BANDED]
    return pd.concat([*bands, medians(shown)], ignore_index=True)


def draw_seeds(ax: Axes, rows: pd.DataFrame, column: str, color: str) -> None:
    """Single seeds, faint, beside their mean; a triangle upwards is a lower bound."""
    panel = rows.panel.iloc[0]
    beside = rows.x * FACTOR if panel == "rate" else rows.x + BESIDE[panel]
    lower_bound = rows.censored & (column == "recovery_steps")
    for which, marker in ((~lower_bound, "o"), (lower_bound, "^")):
        style: dict[str, Any] = {
            "color": color,
            "alpha": 0.4,
            "markersize": 2 if marker == "o" else 4,
            "markeredgewidth": 0,
        }
        ax.plot(beside[which], rows[column][which], marker, zorder=1, **style)


def draw_medians(ax: Axes, found: pd.DataFrame, color: str) -> None:
    """A line through the medians; a triangle upwards is a lower bound."""
    ax.plot(found.x, found["median"], color=color, linewidth=1.0)
    for censored, marker in ((False, "o"), (True, "^")):
        marked = found[found.censored == censored]
        ax.plot(marked.x, marked["median"], marker, color=color, markersize=4 if marker == "o" else 6)


def draw_panel(ax: Axes, shown: pd.DataFrame, table: pd.DataFrame, quantity: str) -> None:
    """One quantity in one panel: seeds, and a line of means or medians for each way."""
    for way, rows in shown.groupby("way"):
        found = table[(table.way == way) & (table.quantity == quantity)]
        draw_seeds(ax, rows, "recovery_steps" if quantity == "recovery" else quantity, WAYS[str(way)])
        if quantity == "recovery":
            draw_medians(ax, found, WAYS[str(way)])
        else:
            draw_points(ax, found.x, found, WAYS[str(way)], fmt="o-")


def name_ways(ax: Axes, shown: pd.DataFrame) -> None:
    """What is held equal along each line of the momentum, at its start, and the rates of the line where they differ."""
    starts = {way: shown[(shown.way == way) & (shown.x == 0.0 + SHIFT[way])].depth for way in NAMES}
    upper = max(starts, key=lambda way: starts[way].mean())
    place: dict[str, Any] = {"textcoords": "offset points"}
    for way, depths in starts.items():
        height, above = (depths.max(), 6) if way == upper else (depths.min(), -12)
        ax.annotate(NAMES[way], (0, height), xytext=(-4, above), color=WAYS[way], fontsize=7, **place)
    for x, rows in shown[shown.way == "matched"].groupby("x"):
        here = (x, rows.depth.mean())
        ax.annotate(f"lr {rows.lr.iloc[0]:g}", here, xytext=(5, 4), color=WAYS["matched"], fontsize=7, **place)


def set_axes(panels: list[list[Axes]], shown: pd.DataFrame) -> None:
    """Titles, labels, ticks and limits."""
    rates = sorted(shown[shown.panel == "rate"].lr.unique())
    for first, middle, last in panels:
        first.set(xscale="log", xlim=(rates[0] / 1.5, rates[-1] * 1.5))
        first.set_xticks(rates, [f"{lr:g}" for lr in rates])
        first.minorticks_off()
        middle.set(xlim=(-0.12, 1.12))
        middle.set_xticks(list(MATCHED), [f"{momentum:g}" for momentum in MATCHED])
        last.set(xlim=(-1, 1))
        last.set_xticks([0], [f"{lr:g}" for lr in shown[shown.panel == "adam"].lr.unique()])
    for ax, title in zip(panels[0], PANELS.values(), strict=True):
        ax.set_title(title)
    for ax, label in zip(panels[-1], ("learning rate", "momentum", "rate"), strict=True):
        ax.set_xlabel(label)
    for (ax, *_), label in zip(panels, LABELS.values(), strict=True):
        ax.set_ylabel(label)
    panels[0][0].set_ylim(0, ROOM * max(shown.depth.max(), 1))
    panels[1][0].set_yscale("log")
    panels[1][0].set_yticks(RECOVERIES, [str(steps) for steps in RECOVERIES])
    panels[1][0].set_ylim(5, 2 * RECOVERIES[-1])
    panels[2][0].set_ylim(min(90, shown.before.min() - 1), 100)
    for ax in panels[1]:
        ax.minorticks_off()


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    shown = places(optimizer_gaps(runs))
    table = summary(shown)
    layout: dict[str, Any] = {"sharex": "col", "sharey": "row", "width_ratios": [4, 4, 1], "height_ratios": [3, 2, 1.1]}
    fig, panels = figure(width="page", columns=len(PANELS), rows=len(LABELS), height=6.4, **layout)
    for row, quantity in zip(panels, LABELS, strict=True):
        for ax, panel in zip(row, PANELS, strict=True):
            draw_panel(ax, shown[shown.panel == panel], table[table.panel == panel], quantity)
    set_axes(panels.tolist(), shown)
    name_ways(panels[0, 1], shown[shown.panel == "momentum"])
    mark(panels[0, 0], verdicts["G10"], verdicts["G10b"])
    mark(panels[0, 1], verdicts["G11"], verdicts["G11a"])
    mark(panels[1, 0], verdicts["G10a"])
    note(panels[1, 1], "triangles: not back by the end, a lower bound", corner="upper right", width=58)
    return fig, table
