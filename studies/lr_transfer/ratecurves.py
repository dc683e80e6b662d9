"""Curves of the final loss against the learning rate, one for each size, with their fitted minima marked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from transfer import optima

from common.plotting import Axes, draw_points, mean_band


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


def draw_rate_curves(ax: Axes, table: pd.DataFrame, colors: Mapping[int, Any], *, size: str) -> pd.DataFrame:
    """A curve for each size with a diamond at its fitted best rate, its interval as a bar; the numbers drawn."""
    found, best = losses(table, size=size), minima(table, size=size)
    for which, color in colors.items():
        rows, lowest = found[found[size] == which], best[best[size] == which]
        ax.plot(rows.lr, rows["mean"], color=color, linewidth=1.0, marker=".", markersize=3)
        ax.fill_between(rows.lr, rows.low, rows.high, color=color, alpha=0.2, linewidth=0)
        mark = {"fmt": "D", "markersize": 5, "markeredgecolor": "black", "markeredgewidth": 0.6, "zorder": 4}
        draw_points(ax, lowest.loss, lowest, color, across=True, **mark)
    return pd.concat([found.assign(quantity="loss"), best.assign(quantity="minimum")])


def name_sizes(ax: Axes, colors: Mapping[int, Any], symbol: str, *, corner: tuple[float, float] = (0.97, 0.95)) -> None:
    """The sizes in their colours, one below the other from the corner (in parts of the panel, right and top)."""
    height = ax.get_position().height * ax.figure.get_figheight() * 72
    for place, (which, color) in enumerate(colors.items()):
        at = (corner[0], corner[1] - 9 / height * place)
        ax.text(*at, f"{symbol} = {which}", color=color, transform=ax.transAxes, fontsize=7, ha="right", va="top")
