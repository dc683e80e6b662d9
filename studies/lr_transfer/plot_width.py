"""Final loss against learning rate at several widths, for every parametrization.

Training loss over the last tenth of 500 updates against the learning rate, for MLPs with three hidden layers of N = 64
to 512 ReLUs and batches of 32; means and 95 % intervals over five seeds, with losses clipped at the initial one.
Diamonds mark the fitted best rates (vertex of the parabola through three points, or the rate itself where a neighbour
has diverged; geometric mean over seeds). At the base width 128 the columns of a row show the same networks. "SP per
layer" is SP with a learning rate for each layer. Middle: drift of the best rate, its slope over the four widths, with
the mean and 95 % t interval over seeds; thin lines are percentile bootstraps over seeds.
"""

from typing import Any

import pandas as pd

from common.evidence.claims import Judged
from common.evidence.statistics import t_interval
from common.plotting import Axes, Figure, draw_points, figure, mark
from studies.lr_transfer.ratecurves import draw_rate_curves, name_sizes, plain_ticks
from studies.lr_transfer.styles import COLORS, NAMES, SHADE, tones
from studies.lr_transfer.transfer import bootstrap, chosen, drifts

PANELS = (
    (("sgd_mse", "sp"), ("sgd_mse", "ntp"), ("sgd_mse", "mup")),
    (("sgd_ce", "sp"), None, ("sgd_ce", "mup")),
    (("adam", "sp"), ("adam", "sp_layerwise"), ("adam", "mup")),
)
"""Arm and parametrization of each panel; the free one holds the drifts."""
ROOM = 5
"""Factor by which the axis of rates goes on to the left, for the names of the widths."""
MARKED = {(0, 0): ["T2"], (0, 2): ["T1", "T4", "T12"], (1, 0): ["T2a"], (2, 1): ["T13"]}
"""Claims that a panel shows, by row and column."""
RULES = {"sgd_mse": "SGD", "sgd_ce": "SGD, cross-entropy", "adam": "Adam"}


def draw_panels(axes: list[Axes], row: tuple[tuple[str, str] | None, ...], runs: pd.DataFrame) -> list[pd.DataFrame]:
    """The panels of one row with one axis of rates and of losses; the numbers drawn."""
    drawn = []
    shown = [(ax, *panel) for ax, panel in zip(axes, row, strict=True) if panel]
    for ax, arm, name in shown:
        table = chosen(runs, arm, name)
        found = draw_rate_curves(ax, table, tones(COLORS[name], table.width), size="width")
        drawn.append(found.assign(arm=arm, parametrization=name))
        ax.set(title=f"{NAMES[name]}, {RULES[arm]}")
    curves = pd.concat(drawn)
    losses = curves[curves.quantity == "loss"]
    for ax, arm, name in shown:
        ax.set_xlim(losses.lr.min() / ROOM, losses.lr.max() * 1.3)
        plain_ticks(ax, losses["mean"].min() / 1.2, losses["mean"].max() * 1.1)
        table = chosen(runs, arm, name)
        name_sizes(ax, table, tones(COLORS[name], table.width), size="width", symbol="N")
    axes[0].set_ylabel("final training loss")
    return drawn


def draw_drifts(ax: Axes, runs: pd.DataFrame) -> pd.DataFrame:
    """Drift of each panel's best rates with its t interval over seeds, below it the bootstrap's; the rows drawn."""
    rows = []
    for arm, name in (panel for row in PANELS for panel in row if panel):
        found, again = t_interval(drifts(runs, arm, name)), bootstrap(chosen(runs, arm, name), size="width")
        about = {"arm": arm, "parametrization": name, "bootstrap_low": again[0], "bootstrap_high": again[1]}
        rows.append({**about, "mean": found.mean, "low": found.low, "high": found.high})
    table = pd.DataFrame(rows)
    for place in range(len(table)):
        row = table.iloc[[place]]
        arm, name, mean = row.arm.item(), row.parametrization.item(), row["mean"].item()
        draw_points(ax, [-place], row, SHADE[name], across=True)
        ax.plot(row[["bootstrap_low", "bootstrap_high"]].iloc[0], [-place - 0.25] * 2, color="black", linewidth=0.6)
        style: dict[str, Any] = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center", "fontsize": 7}
        ax.annotate(f"{NAMES[name]}, {RULES[arm]}", (mean, -place), color=SHADE[name], **style)
    ax.axvline(0, color="black", linewidth=0.6)
    ax.set(xlim=(-1.3, 0.8), ylim=(-len(table) + 0.4, 0.9), yticks=[])
    ax.set(title="Drift of the best rate", xlabel="octaves per doubling of N")
    return table.assign(quantity="drift")


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, panels = figure(width="page", columns=3, rows=3, height=7.2)
    drawn = [part for axes, row in zip(panels, PANELS, strict=True) for part in draw_panels(list(axes), row, runs)]
    drawn.append(draw_drifts(panels[1, 1], runs))
    for ax in panels[-1]:
        ax.set_xlabel("learning rate")
    for (row, column), names in MARKED.items():
        mark(panels[row, column], *(verdicts[name] for name in names))
    return fig, pd.concat(drawn)
