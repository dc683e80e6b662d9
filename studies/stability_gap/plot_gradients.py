"""Gradients of old and new task and their cosine in the first updates after a switch.

The first 60 updates of joint training on two tasks after the switch to the second. Top: accuracies. Middle: norms of
the joint loss's gradient and of its two parts, over all training examples of a task, each task with weight 1/2. Bottom:
cosine of the two parts. Mean and 95 % interval over five seeds (of norms, of their logarithms); thin: single seeds.
Vertical line: mean over seeds of the update with the lowest accuracy on the old task; the ratios written are geometric
means over seeds, each at its own lowest update. After De Lange et al. 2022, who follow the same two gradients.
"""

import numpy as np
import pandas as pd

from common.evidence.claims import Judged
from common.evidence.statistics import t_interval
from common.plotting import PALETTE, Axes, Figure, draw_band, figure, label_lines, mark, mean_band
from studies.stability_gap.gaps import POINTS
from studies.stability_gap.gradients import (
    COSINE,
    JOINT,
    OLD,
    PLASTICITY,
    STABILITY,
    at_lowest,
    at_switch,
    ratios,
    since_switch,
)
from studies.stability_gap.styles import COLORS

NEW = "val_accuracy_task1"
NORMS = (JOINT, PLASTICITY, STABILITY)
NAMES = {
    OLD: "old task",
    NEW: "new task",
    PLASTICITY: "plasticity:\nof the new task",
    STABILITY: "stability:\nof the old task",
    JOINT: "their sum",
}
SHADES = {
    OLD: PALETTE["wsd"],
    STABILITY: PALETTE["wsd"],
    NEW: PALETTE["rewarm"],
    PLASTICITY: PALETTE["rewarm"],
    JOINT: COLORS["finetune"],
    COSINE: COLORS["finetune"],
}
"""The old task and its gradient have one colour, the new task and its gradient another."""
PANELS = {
    "Joint training: accuracy": ("accuracy (%)", (NEW, OLD)),
    "Gradients of the joint loss": ("norm\n(nats per unit of weight)", NORMS),
    "Angle between stability and plasticity": ("cosine", (COSINE,)),
}
TICKS = {-3: "0.001", -2: "0.01", -1: "0.1", 0: "1", 1: "10"}
"""Written at powers of ten of the norms."""
LOWEST = "old task lowest"


def quantities(rows: pd.DataFrame) -> pd.DataFrame:
    """Columns quantity, seed, step and value: accuracies in percent, log10 of norms, and the cosine."""
    scaled = rows.assign(
        **{name: POINTS * rows[name] for name in (OLD, NEW)}, **{name: np.log10(rows[name]) for name in NORMS}
    )
    return scaled.melt(["seed", "step"], list(SHADES), var_name="quantity", value_name="value")


def times(rows: pd.DataFrame) -> str:
    """Ratio of plasticity to stability, its geometric mean over seeds, in words."""
    logarithms = {seed: np.log(ratio) for seed, ratio in ratios(rows).items()}
    ratio = np.exp(t_interval(logarithms).mean)
    return f"plasticity is\n{ratio:.{0 if ratio >= 10 else 1}f} × stability"


def draw_panel(ax: Axes, values: pd.DataFrame, table: pd.DataFrame, names: tuple[str, ...]) -> None:
    """Some quantities against updates since the switch, single seeds faint."""
    for name in names:
        for _, one in values[values.quantity == name].groupby("seed"):
            ax.plot(one.step, one.value, color=SHADES[name], linewidth=0.4, alpha=0.4)
        draw_band(ax, table[table.quantity == name], SHADES[name])


def name_curves(ax: Axes, table: pd.DataFrame, names: tuple[str, ...]) -> None:
    """Names at the right ends of curves, whose height is the mean of the last sixth."""
    last = table.step.max()
    ends = table[table.step > 5 / 6 * last].groupby("quantity")["mean"].mean()
    label_lines(ax, [(last, ends[name], NAMES[name], SHADES[name]) for name in names])


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    rows = since_switch(runs)
    values = quantities(rows)
    table = mean_band(values, by=["quantity", "step"], value="value")
    bottom = at_lowest(rows)
    lowest = bottom.step.mean()
    fig, panels = figure(width="page", rows=3, height=5.4, height_ratios=[1, 1.5, 0.7], sharex=True)
    for ax, (title, (ylabel, names)) in zip(panels, PANELS.items(), strict=True):
        draw_panel(ax, values, table, names)
        ax.axvline(lowest, color=PALETTE["reference"], linewidth=0.8, zorder=0)
        ax.set(title=title, ylabel=ylabel)
    accuracy, norms, angle = panels
    accuracy.set_ylim(0, 104)
    accuracy.annotate(
        LOWEST, (lowest, 4), xytext=(4, 0), textcoords="offset points", fontsize=7, color=PALETTE["reference"]
    )
    norms.set_yticks(list(TICKS), labels=list(TICKS.values()))
    sizes = values[values.quantity.isin(NORMS)]
    top = sizes.value.max() + 0.25
    norms.set_ylim(sizes.value.min() - 0.15, top)
    after = sizes.value[sizes.step >= lowest].max()
    for where, step, height in ((at_switch(rows), 0, top - 0.2), (bottom, lowest, after + 0.4)):
        norms.annotate(times(where), (step, height), xytext=(5, 0), textcoords="offset points", fontsize=7, va="center")
    name_curves(accuracy, table, (OLD, NEW))
    name_curves(norms, table, NORMS)
    mark(norms, verdicts["G14"])
    angle.axhline(0, color="black", linewidth=0.5)
    angle.set(xlabel="updates after the switch (band: 95 % over seeds; thin: single seeds)", xlim=(0, table.step.max()))
    return fig, table
