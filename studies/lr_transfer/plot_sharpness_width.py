"""Effective sharpness and loss of full-batch descent at several widths.

Full-batch gradient descent of tanh networks of four widths N at one base rate η, mean and 95 % interval over seeds.
Top: largest eigenvalue of the Hessian scaled with each tensor's relative rate; the dashed line is the edge 2/η. Bottom:
training loss, in which the widths are easier to tell apart. All parametrizations coincide at N = 128. At the edge every
parametrization looks alike, so the claims are judged on the way to it: T6 on the distance to the widest curve, T7 on
the time of arrival (a curve that never arrives counts with the end of the run). T8 repeats the runs at η/8, where no
curve meets its edge.
"""

from typing import Any

import numpy as np
import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Axes, Figure, draw_band, figure, label_lines, mark, mean_band
from studies.lr_transfer.consistency import SHARPNESS, edge
from studies.lr_transfer.styles import COLORS, tones

TITLES = {"mup": "μP: one curve", "ntp": "NTP: wider grows less", "sp": "SP: wider grows faster"}
LOSS = "log10_loss"
TICKS = (0.2, 0.3, 0.5, 1, 2, 3, 5)
ROOM = 0.3
"""Below the lowest loss, as log10, for the names of the curves."""
EDGE = {"color": "black", "linewidth": 0.7, "linestyle": "--"}


def curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds with 95 % intervals of sharpness and log10 of the loss, told apart by the column value."""
    rows = runs[runs.arm == "curve"].assign(log10_loss=np.log10(runs.train_loss))
    by = ["parametrization", "width", "step"]
    parts = (
        mean_band(rows[rows[value].notna()], by=by, value=value).assign(value=value) for value in (SHARPNESS, LOSS)
    )
    return pd.concat(parts, ignore_index=True)


def draw_widths(ax: Axes, table: pd.DataFrame, color: str) -> None:
    """One curve and band for each width, light to dark."""
    for width, shade in tones(color, table.width).items():
        draw_band(ax, table[table.width == width], shade, linewidth=1.0)


def name_widths(ax: Axes, table: pd.DataFrame, color: str, *, merged: float) -> None:
    """Widths beside the ends of the curves; neighbours that end within `merged` of each other share one name."""
    last = table[table.step == table.step.max()].set_index("width")["mean"].sort_index()
    groups: list[list[int]] = []
    for width in last.index:
        near = groups and abs(last[width] - last[groups[-1][-1]]) < merged
        groups = [*groups[:-1], [*groups[-1], width]] if near else [*groups, [width]]
    shades = tones(color, last.index)
    labels: list[tuple[float, float, str, Any]] = []
    for group in groups:
        text = f"N = {group[0]}" if len(group) == 1 else f"N = {group[0]}\nto {group[-1]}"
        labels.append((table.step.max(), float(last[group].mean()), text, shades[group[-1]]))
    label_lines(ax, labels)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table, line = curves(runs), edge(runs, arm="curve")
    fig, panels = figure(
        width="page", rows=2, columns=3, height=4.2, height_ratios=[1.7, 1], sharex=True, sharey="row", xlabel="update"
    )
    top = table[table.value == SHARPNESS]
    low, high = (table[table.value == LOSS]["mean"].agg(end) for end in ("min", "max"))
    panels[0, 0].set(ylabel="effective sharpness", ylim=(0, 1.15 * max(top["mean"].max(), line)))
    panels[1, 0].set(ylabel="training loss", ylim=(low - ROOM, high + 0.05), xlim=(0, table.step.max()))
    shown = [tick for tick in TICKS if low - ROOM < np.log10(tick) < high + 0.05]
    panels[1, 0].set_yticks(np.log10(shown), [f"{tick:g}" for tick in shown])
    for (above, below), (name, title) in zip(panels.T, TITLES.items(), strict=True):
        rows = table[table.parametrization == name]
        above.set(title=title, xlabel="")
        above.axhline(line, zorder=3, **EDGE)
        for ax, value, merged in ((above, SHARPNESS, 0.1 * line), (below, LOSS, 0.02)):
            draw_widths(ax, rows[rows.value == value], COLORS[name])
            name_widths(ax, rows[rows.value == value], COLORS[name], merged=merged)
    panels[0, 0].annotate("2/η", (2, line), xytext=(0, 3), textcoords="offset points", fontsize=7)
    mark(panels[0, 0], verdicts["T6"], verdicts["T7"])
    return fig, table
