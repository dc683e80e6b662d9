"""Curves of the final loss against the learning rate, one for each size, with their fitted minima marked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from common.plotting import Axes, draw_points, mean_band
from studies.lr_transfer.transfer import optima

TICKS = (0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5)
CLOSE_TICKS = (2.3, 2.4, 2.5, 2.6, 2.7, 2.8)
"""For panels that hold fewer than three of the others."""
GAP = 0.06
"""Least distance of two names, in parts of a panel's height."""


def losses(table: pd.DataFrame, *, size: str) -> pd.DataFrame:
    """Geometric mean over seeds of the final loss and its 95 % interval, by size and learning rate."""
    found = mean_band(table.assign(logarithm=np.log(table.loss)), by=[size, "lr"], value="logarithm")
    return found.assign(**{name: np.exp(found[name]) for name in ("mean", "low", "high")})


def minima(table: pd.DataFrame, *, size: str) -> pd.DataFrame:
    """Fitted best rate by size, geometric mean over seeds with its 95 % interval, and the lowest mean `loss`."""
    best = optima(table, size=size).apply(np.log2).rename_axis(columns=size)
    found = mean_band(best.melt(value_name="logarithm"), by=[size], value="logarithm")
    lowest = losses(table, size=size).groupby(size)["mean"].min()
    return found.assign(**{name: np.exp2(found[name]) for name in ("mean", "low", "high")}, loss=lowest.to_numpy())


def draw_rate_curves(
    ax: Axes, table: pd.DataFrame, colors: Mapping[float, Any], *, size: str, bands: bool = True
) -> pd.DataFrame:
    """A curve for each size with a diamond at its fitted best rate, its interval as a bar; the numbers drawn.

    Args:
        ax: the panel; its axes become logarithmic.
        table: one arm's `transfer.endings`.
        colors: by size.
        size: "width" or "depth".
        bands: whether the intervals of the losses are drawn.
    """
    found, best = losses(table, size=size), minima(table, size=size)
    for which, color in colors.items():
        rows, lowest = found[found[size] == which], best[best[size] == which]
        ax.plot(rows.lr, rows["mean"], color=color, linewidth=1.0, marker=".", markersize=3)
        if bands:
            ax.fill_between(rows.lr, rows.low, rows.high, color=color, alpha=0.2, linewidth=0)
        mark = {"fmt": "D", "markersize": 5, "markeredgecolor": "black", "markeredgewidth": 0.6, "zorder": 4}
        draw_points(ax, lowest.loss, lowest, color, across=True, **mark)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    return pd.concat([found.assign(quantity="loss"), best.assign(quantity="minimum")])


def name_sizes(ax: Axes, table: pd.DataFrame, colors: Mapping[float, Any], *, size: str, symbol: str) -> None:
    """Each size in its colour to the left of its curve's first point, moved apart; set the axis of losses before."""
    low, high = np.log(ax.get_ylim())
    firsts = {which: losses(table[table[size] == which], size=size).iloc[0] for which in colors}
    above = np.inf
    for which, first in sorted(firsts.items(), key=lambda item: -item[1]["mean"]):
        above = min(np.log(first["mean"]), above - GAP * (high - low))
        place: dict[str, Any] = {"xytext": (-4, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
        ax.annotate(f"{symbol} = {which}", (first.lr, np.exp(above)), color=colors[which], fontsize=7, **place)


def list_sizes(ax: Axes, colors: Mapping[float, Any], symbol: str) -> None:
    """The sizes in their colours, one below the other in the upper right corner."""
    for place, (which, color) in enumerate(colors.items()):
        at = (0.97, 0.97 - 0.09 * place)
        ax.text(*at, f"{symbol} = {which}", color=color, transform=ax.transAxes, fontsize=7, ha="right", va="top")


def plain_ticks(ax: Axes, low: float, high: float) -> None:
    """The losses shown, with plain numbers beside a logarithmic axis."""
    wide, close = ([tick for tick in ticks if low <= tick <= high] for ticks in (TICKS, CLOSE_TICKS))
    shown = wide if len(wide) > 2 else close
    ax.set_ylim(low, high)
    ax.set_yticks(shown, [f"{tick:g}" for tick in shown])
    ax.minorticks_off()
