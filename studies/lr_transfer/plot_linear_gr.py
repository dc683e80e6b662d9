"""Gauss-Newton and residual part of the Hessian of linear networks of several widths along descent.

Two-layer linear networks on random Gaussian data, gradient descent on the squared error, means over five seeds (95 %
intervals in the table beside the figure). Top: largest eigenvalues of the Gauss-Newton part G (solid) and the residual
part R (dashed) of the Hessian, scaled by the learning rate of each tensor; dotted: of the whole Hessian H of the widest
network. Bottom: training loss. Black: infinite width (derived). At the base width, N = 64, both columns show the same
networks. R is proportional to the gradient, so it vanishes as the loss falls, and G remains. G grows as
the network learns, at every width under μP, and the less the wider the network under NTP.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Axes, Figure, figure, label_lines, mark, mean_band, note, shades
from studies.lr_transfer.measure_linear import LR, STEPS
from studies.lr_transfer.styles import COLORS, tones

TITLES = {"mup": "μP: G grows alike at every width", "ntp": "NTP: G grows less with width"}
LINES = {"gauss_newton": "-", "residual": "--", "hessian": ":"}
"""Of the eigenvalues; the whole Hessian is drawn for the widest network alone."""
NAMES = {"gauss_newton": "Gauss-Newton part G", "residual": "residual part R", "hessian": "H"}
NAMED = {"gauss_newton": (100, -8), "residual": (40, 4), "hessian": (0, 6)}
"""Step beside which the name of a part stands in the first panel, and how many points above its curve."""
THEORY = {"color": "black", "linewidth": 0.7}
MERGED = 1.1
"""Curves that end within this ratio of each other share one name."""


def curves(linear: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds with 95 % intervals of the eigenvalues and of the loss, told apart by the column part."""
    by = ["parametrization", "part", "width", "step"]
    eigenvalues = mean_band(linear, by=by, value="eigenvalue")
    losses = mean_band(linear[linear.part == "hessian"].assign(part="loss"), by=by, value="loss")
    widest = eigenvalues.width[np.isfinite(eigenvalues.width)].max()
    drawn: pd.DataFrame = eigenvalues[(eigenvalues.part != "hessian") | (eigenvalues.width == widest)]
    return pd.concat([drawn, losses], ignore_index=True)


def draw_widths(ax: Axes, table: pd.DataFrame, colors: Mapping[float, Any], **style: Any) -> None:
    """The mean for each width, thin and black for the infinite one."""
    for width in sorted(table.width.unique()):
        curve = table[table.width == width]
        look = THEORY if math.isinf(width) else {"color": colors[width]}
        ax.plot(curve["step"], curve["mean"], **look, **style)


def name_widths(ax: Axes, ends: pd.Series, colors: Mapping[float, Any]) -> None:
    """Names beside the ends of curves, which are given by width: one for all where they end together."""
    last = STEPS + 4
    if ends.max() < MERGED * ends.min():
        text = f"N = {min(colors):g}\nto {max(colors):g}\nand ∞"
        label_lines(ax, [(last, ends.mean(), text, colors[max(colors)])])
    else:
        names = [(last, ends[width], f"N = {width:g}", color) for width, color in colors.items()]
        label_lines(ax, [*names, (last, ends[math.inf], "N = ∞", "black")])


def name_parts(ax: Axes, table: pd.DataFrame, color: Any) -> None:
    """Names of the parts on the right of their curves, given for one width."""
    for part, (step, above) in NAMED.items():
        [height] = table["mean"][(table.part == part) & (table.step == step)]
        style: dict[str, Any] = {"xytext": (6, above), "textcoords": "offset points", "va": "center", "fontsize": 7}
        ax.annotate(NAMES[part], (step, height), color=color, **style)


def draw(linear: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = curves(linear)
    widths = sorted(width for width in table.width.unique() if math.isfinite(width))
    fig, panels = figure(width="page", columns=2, rows=2, height=4.4, height_ratios=[2.2, 1], sharex=True, sharey="row")
    panels[0, 0].set(ylabel="largest eigenvalue", ylim=(0, 1.15 * table["mean"].max()), xlim=(0, STEPS))
    panels[1, 0].set(ylabel="training loss", yscale="log")
    for (top, bottom), (name, title) in zip(panels.T, TITLES.items(), strict=True):
        colors = tones(COLORS[name], widths)
        rows = table[table.parametrization == name]
        for part, line in LINES.items():
            draw_widths(top, rows[rows.part == part], colors, linestyle=line)
        draw_widths(bottom, rows[rows.part == "loss"], colors)
        top.set(title=title)
        bottom.set(xlabel="update")
        last = rows[(rows.step == STEPS) & (rows.part == "gauss_newton")]
        name_widths(top, last.set_index("width")["mean"], colors)
    first = table[(table.parametrization == next(iter(TITLES))) & (table.width == widths[-1])]
    name_parts(panels[0, 0], first, shades(COLORS[next(iter(TITLES))], 1)[0])
    mark(panels[0, 1], verdicts["T10"])
    note(panels[0, 0], f"2/η = {2 / LR:g} lies far above", corner="upper right")
    return fig, table
