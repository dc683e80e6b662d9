"""Two halves of one data set one after the other, and straight lines between minima.

Above: change of accuracy and loss on the common validation set after a switch from one random half of the digits to
joint training on both, at a constant rate, with the rate restarted after a decay, and kept low. Below: loss of task 1
against that of task 2 on training's way to the rotated task and on the straight line to the same weights, and the loss
on such lines above the chord between their ends. Means (c: geometric) and 95 % t intervals over seeds.
"""

from typing import Any

import numpy as np
import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_band, figure, label_lines, mark, mean_band
from studies.stability_gap.selections import own_excess
from studies.stability_gap.study import LOW_PATH, RESTARTED, ROTATED
from studies.stability_gap.styles import COLORS

SHOWN_STEPS = 120
HALVES = {
    "halves_constant": ("constant rate", PALETTE["constant"]),
    "halves_restarted": ("decayed, restarted", PALETTE["cosine"]),
    "halves_low": ("decayed, kept low", PALETTE["linear"]),
}
VALUES = {"val_accuracy_task0": 100, "val_loss_task0": 1}
"""Columns drawn, and their factors."""
LINE, OWN = PALETTE["wsd_s"], COLORS["joint"]
EXCESS = {ROTATED: ("0° to 80°", "-", -13), RESTARTED: ("two halves", ":", -10)}
"""Name, line and shift of the name, in points, of what is drawn of the straight lines."""


def curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Change of accuracy and loss since the switch: mean and 95 % interval, by arm, quantity and step (since then)."""
    rows = runs[runs.arm.isin(HALVES)]
    rows = rows.assign(step=rows.step - rows.start_step)
    rows = rows[rows.step.between(0, SHOWN_STEPS)].sort_values("step")
    parts = []
    for name, factor in VALUES.items():
        change = factor * (rows[name] - rows.groupby(["run", "seed"])[name].transform("first"))
        found = mean_band(rows.assign(change=change), by=["arm", "step"], value="change")
        parts.append(found.assign(quantity=name))
    return pd.concat(parts)


def draw_halves(ax: Axes, found: pd.DataFrame) -> None:
    """Curves of all arms with their names at the ends; a thin line where nothing has changed."""
    labels = []
    for arm, (name, color) in HALVES.items():
        curve = found[found.arm == arm]
        draw_band(ax, curve, color)
        labels.append((curve.step.max(), curve["mean"].iloc[-1], name, color))
    last = found.step.max()
    ax.plot([0, last], [0, 0], color=PALETTE["reference"], linewidth=0.6)
    ax.set_xlim(0, 1.45 * last)
    ax.set_xticks([tick for tick in ax.get_xticks() if tick <= last])
    label_lines(ax, labels)


def trajectory(runs: pd.DataFrame, path: pd.DataFrame) -> pd.DataFrame:
    """Geometric mean over seeds of both tasks' losses between the rotated tasks, along the line and in training.

    Columns kind (line or training), place (share of the line, or updates), task0, task1.
    """
    rows = runs[runs.arm == ROTATED]
    training = rows.groupby(rows.step - rows.start_step)[["val_loss_task0", "val_loss_task1"]]
    of_line = path[path.arm == ROTATED].groupby(["share", "task"]).loss
    tables = {
        "training": training.agg(geometric).set_axis(["task0", "task1"], axis=1),
        "line": of_line.agg(geometric).unstack("task").set_axis(["task0", "task1"], axis=1),
    }
    return pd.concat([table.rename_axis("place").reset_index().assign(kind=kind) for kind, table in tables.items()])


def geometric(values: pd.Series) -> float:
    """Geometric mean of positive numbers."""
    return float(np.exp(np.log(values).mean()))


def draw_trajectory(ax: Axes, found: pd.DataFrame) -> None:
    """Loss of the old task against that of the new one, which falls to the right."""
    names = {"training": (OWN, "training", (0, 5)), "line": (LINE, "straight line", (8, -26))}
    for kind, (color, name, shift) in names.items():
        way = found[found.kind == kind]
        ax.plot(way.task1, way.task0, color=color, marker="." if kind == "line" else "", markersize=3)
        top = way.iloc[way.task0.argmax()]
        place: dict[str, Any] = {"xytext": shift, "textcoords": "offset points", "ha": "center"}
        ax.annotate(name, (top.task1, top.task0), color=color, fontsize=7, **place)
    start, end = found.iloc[0], found[found.kind == "training"].iloc[-1]
    for at, text in ((start, "switch"), (end, "end")):
        ax.plot(at.task1, at.task0, "o", color="black", markersize=4, zorder=4)
        place = {"xytext": (0, -11), "textcoords": "offset points", "ha": "center"}
        ax.annotate(text, (at.task1, at.task0), fontsize=7, **place)
    ax.set(xscale="log", yscale="log")
    ax.set_xlim(1.6 * found.task1.max(), found.task1.min() / 1.6)
    ax.set_ylim(found.task0.min() / 1.7, 1.8 * found.task0.max())


def excesses(runs: pd.DataFrame, path: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """Old task's loss above the chord by arm and share (as step), and the mean excess of training's path by arm."""
    rows = path[path.task == 0].rename(columns={"share": "step"})
    own = {arm: float(np.mean(list(own_excess(runs, arm).values()))) for arm in EXCESS}
    return mean_band(rows, by=["arm", "step"], value="above"), own


def draw_excess(ax: Axes, found: pd.DataFrame, own: dict[str, float]) -> None:
    """Loss above the chord against the position on the line; training's own peak and the judged part of it dashed."""
    for arm, (name, style, shift) in EXCESS.items():
        curve = found[found.arm == arm]
        draw_band(ax, curve, LINE, linestyle=style)
        top = curve.iloc[curve["mean"].abs().argmax()]
        ax.annotate(name, (top.step, top["mean"]), (0, shift), textcoords="offset points", color=LINE, fontsize=7)
    peak = own[ROTATED]
    for height, text in ((peak, "peak of training, 0° to 80°"), (LOW_PATH * peak, f"{LOW_PATH:.0%} of it")):
        ax.axhline(height, color=OWN, linewidth=0.8, linestyle="--")
        ax.text(1, height, text, color=OWN, fontsize=7, ha="right", va="bottom")
    ax.set_xlim(0, 1)
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.1 * (high - low), high + 0.08 * (high - low))


def draw(runs: pd.DataFrame, path: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    found, way = curves(runs), trajectory(runs, path)
    above, own = excesses(runs, path)
    fig, ((accuracy, loss), (plane, line)) = figure(width="page", columns=2, rows=2, height=5.4)
    accuracy.set(title="a  Second half of the same data set", ylabel="accuracy since the switch (points)")
    loss.set(title="b  The same in loss", ylabel="loss since the switch (nats)")
    for ax, quantity in ((accuracy, "val_accuracy_task0"), (loss, "val_loss_task0")):
        ax.set_xlabel("updates after the switch")
        draw_halves(ax, found[found.quantity == quantity])
    draw_trajectory(plane, way)
    plane.set(title="c  Two paths to the same weights (0° to 80°)", xlabel="loss on task 2 (nats), falling")
    plane.set_ylabel("loss on task 1 (nats)")
    draw_excess(line, above, own)
    line.set(title="d  Hill on the straight line", xlabel="position on the line, switch to end")
    line.set_ylabel("task 1 loss above chord (nats)")
    mark(accuracy, verdicts["G8"], verdicts["G8a"])
    mark(line, verdicts["G9"], verdicts["G9a"])
    drawn = [
        found.assign(panel="halves"),
        way.assign(panel="ways"),
        above.assign(panel="line"),
        pd.DataFrame({"arm": list(own), "mean": list(own.values()), "panel": "peak of training"}),
    ]
    return fig, pd.concat(drawn)
