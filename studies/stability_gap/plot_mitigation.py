"""What cures leave of the gap, what they cost, and the final accuracy, on digits and on text.

What four cures leave of the gap and what they cost, each against plain training of the same seeds, with 95 % intervals
over seeds. The weight of the new task's loss, or the learning rate, grows over 50 updates; averaged weights (decay
0.95, then 0.98) and the nearest class mean of the features are other readings of the plain training, at one rate. Top:
depth (ratio of means, Fieller's interval) against delay, which is how many updates later than without a cure the new
task first has 90 % of its final accuracy. Lower left is better. Depth is counted from the accuracy of plain training
before the switch: the nearest mean is already worse there, where the class means mix features that were never trained
to agree. Below, by learning rate: the depth again, with the thresholds of the claims (40 % for the ramp, 70 % for the
warm-up) dashed; mean accuracy on the new task over its first 50 updates; accuracy at the end, with the point that a
cure may cost dashed. The warm-up is the control of the ramp: it slows the new task for as long, so what the ramp
removes beyond it is not bought with delay alone. Where a cure fails: with replay from a small memory part of the depth
is lost for good, which a cure of the transient cannot remove (dashes leave it out of both depths); at small rates 50
updates are a small part of the time in which the new task is learnt; at the largest rate plain training is erratic, and
so are ratios and delays. On text, depth and residual are those beyond what the same rate does to the old text without a
switch. The nearest mean reads all examples of both tasks, which replay does not have.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, label_lines, mark, note
from studies.stability_gap.comparisons import TEXT, comparisons
from studies.stability_gap.domains import TOLERANCE
from studies.stability_gap.study import ACCURACY_LOSS, KEPT, LEFT
from studies.stability_gap.styles import COLORS, NAMES

TITLES = {"rotation": "Rotation", "classes": "New classes", TEXT: "Text: prose, then code"}
CLAIMS: dict[str, dict[int, tuple[str, ...]]] = {
    "rotation": {0: ("G12e",), 1: ("G12", "G12a", "G12c", "G13")},
    "classes": {1: ("G12b", "G12d", "G13a")},
    TEXT: {1: ("G12f",)},
}
"""Those shown by scenario and row."""
LABELS = {
    "depth": "depth of the gap\n(% of no cure)",
    "early": "new task, mean of the\nfirst 50 updates (points)",
    "final": "final accuracy,\nboth tasks (points)",
}
DELAY = "delay of the new task (updates)"
KEYS = (
    "dashes: without what is lost for good",
    "filled: joint, open: ER\nlarger above: larger rate",
    "mean and 95 % interval",
)
FILL = {"joint": True, "er": False}
SLOT = 0.11
"""Distance of two marks of one rate, in distances of two rates."""
TOLERATED = {"rotation": ACCURACY_LOSS, "classes": ACCURACY_LOSS, TEXT: -TOLERANCE}
LIMITS = {"delay": (-60, 135), "tradeoff": (0, 130), "depth": (0, 145)}
NAMED_AT = 76
"""Delay beside which the names of the cures stand."""
SIZES = (4, 5.5, 7)
"""Of marks by rate, from small to large."""


def kind(cure: str) -> str:
    """The word of a cure without its strength, as in `styles`: "average 0.95" is an average."""
    return cure.partition(" ")[0]


def face(method: str, color: str) -> str:
    """Filled for joint training, open for replay."""
    return color if FILL[method] else "white"


def slots(rows: pd.DataFrame) -> list[float]:
    """Place of each row on an axis of rates as categories, the cures of one rate beside each other."""
    rates = sorted(rows.lr.unique())
    conditions = list(zip(rows.lr, rows.cure, rows.method, strict=True))
    beside = {lr: sorted((each for each in conditions if each[0] == lr), key=_order) for lr in rates}
    return [rates.index(each[0]) + SLOT * _centred(beside[each[0]], each) for each in conditions]


def _order(condition: tuple[float, str, str]) -> tuple[bool, str, bool]:
    _, cure, method = condition
    return kind(cure) not in ("ramp", "warmup"), cure, not FILL[method]


def _centred(found: list[Any], one: Any) -> float:
    return found.index(one) - (len(found) - 1) / 2


def draw_tradeoff(ax: Axes, table: pd.DataFrame, *, across: str = "delay", up: str = "depth") -> None:
    """What each cure leaves against what it costs, a mark for each condition, with both intervals.

    Args:
        ax: the panel.
        table: of one scenario, as from `comparisons`; the quantities need not be those of accuracies.
        across: quantity of the x axis, a difference to no cure.
        up: quantity of the y axis, in percent of no cure.
    """
    keys = ["cure", "method", "lr"]
    costs, lefts = (table[table.quantity == name] for name in (across, up))
    rows = lefts.merge(costs, on=keys, suffixes=("", "_cost"))
    size = dict(zip(sorted(table.lr.unique()), SIZES, strict=False))
    ax.axhline(100, color=PALETTE["reference"], linewidth=0.6, zorder=0)
    ax.plot([0, 0], [0, 100], color=PALETTE["reference"], linewidth=0.6, zorder=0)
    ax.plot(0, 100, "P", color="black", markersize=7, zorder=4)
    ax.annotate("no cure", (0, 100), xytext=(-3, 4), textcoords="offset points", ha="right", fontsize=7)
    for row in rows.to_dict("records"):
        color, cost, left = COLORS[kind(row["cure"])], row["mean_cost"], row["mean"]
        bar: dict[str, Any] = {"color": color, "linewidth": 0.5, "alpha": 0.6, "zorder": 1}
        ax.plot([row["low_cost"], row["high_cost"]], [left, left], **bar)
        ax.plot([cost, cost], [row["low"], row["high"]], **bar)
        mark: dict[str, Any] = {"color": color, "markerfacecolor": face(row["method"], color), "zorder": 3}
        ax.plot(cost, left, "o", markersize=size.get(row["lr"], SIZES[0]), **mark)


def name_cures(ax: Axes, table: pd.DataFrame) -> None:
    """Each cure in its colour, at the height of its mean over conditions; set the limits of the axes before."""
    rows = table[table.quantity == "depth"]
    heights = rows.groupby(rows.cure.map(kind), sort=False)["mean"].mean().dropna()
    label_lines(ax, [(NAMED_AT, height, NAMES[cure], COLORS[cure]) for cure, height in dict(heights).items()])


def draw_rates(ax: Axes, table: pd.DataFrame, quantity: str, *, references: Sequence[float]) -> None:
    """One quantity of each cure at each rate, with its intervals and the references."""
    rows = table[table.quantity == quantity]
    places = slots(rows)
    for row, (place, cure, method) in enumerate(zip(places, rows.cure, rows.method, strict=True)):
        color = COLORS[kind(cure)]
        style: dict[str, Any] = {"markerfacecolor": face(method, color), "linewidth": 0.8}
        draw_points(ax, [place], rows.iloc[[row]], color, **style)
    if quantity == "depth":
        draw_transients(ax, table)
    for i, height in enumerate(references):
        ax.axhline(height, color=PALETTE["reference"], linewidth=0.6, linestyle="--" if i else "-", zorder=0)
    rates = sorted(rows.lr.unique())
    ax.set_xticks(range(len(rates)), [f"{lr:g}" for lr in rates])
    ax.set_xlim(-0.5, len(rates) - 0.5)


def draw_transients(ax: Axes, table: pd.DataFrame) -> None:
    """Dashes where the depth would be without what is lost for good, at the places of the marks."""
    rows = table[table.quantity == "transient"]
    for place, cure, mean in zip(slots(rows), rows.cure, rows["mean"], strict=True):
        ax.plot(place, mean, "_", color=COLORS[kind(cure)], markersize=7, markeredgewidth=1.2)


def draw_scenario(axes: Sequence[Axes], table: pd.DataFrame, *, tolerated: float) -> None:
    """One column of the figure, from a table of one scenario as from `comparisons`.

    Args:
        axes: the panels, from the top.
        table: the rows of the scenario.
        tolerated: what a cure may cost at the end, in the unit of the table.
    """
    draw_tradeoff(axes[0], table)
    references = {"depth": (100, 100 * KEPT, 100 * LEFT), "early": (0,), "final": (0, tolerated)}
    for ax, quantity in zip(axes[1:], LABELS, strict=True):
        draw_rates(ax, table, quantity, references=references[quantity])


def share_rows(panels: Any, table: pd.DataFrame) -> None:
    """Equal limits where the unit is equal: everywhere in the first two rows, then in the two columns of points."""
    for ax in panels[0]:
        ax.set(xlabel=DELAY, xlim=LIMITS["delay"], ylim=LIMITS["tradeoff"])
    for ax in panels[1]:
        ax.set_ylim(LIMITS["depth"])
    for row, quantity in zip(panels[2:], list(LABELS)[1:], strict=True):
        rows = table[(table.quantity == quantity) & (table.scenario != TEXT)]
        low, high = min(rows.low.min(), -1), max(rows.high.max(), 1)
        for ax in row[:2]:
            ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        row[2].set_ylabel("nats/byte")


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = comparisons(runs)
    fig, panels = figure(
        width="page", columns=len(TITLES), rows=1 + len(LABELS), height=8.4, height_ratios=[5, 4.5, 2.5, 2.5]
    )
    share_rows(panels, table)
    for column, (scenario, title) in zip(panels.T, TITLES.items(), strict=True):
        draw_scenario(column, table[table.scenario == scenario], tolerated=TOLERATED[scenario])
        column[0].set_title(title)
        name_cures(column[0], table[table.scenario == scenario])
        column[-1].set_xlabel("learning rate")
        for row, names in CLAIMS[scenario].items():
            mark(column[row], *(verdicts[name] for name in names))
    for ax, text in zip(panels[1], KEYS, strict=True):
        note(ax, text, corner="upper left", width=28)
    for ax, label in zip(panels[:, 0], (LABELS["depth"], *LABELS.values()), strict=True):
        ax.set_ylabel(label)
    return fig, table
