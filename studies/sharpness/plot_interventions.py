"""Best loss, divergence rate and sharpness at the start of a bad start and of each of its cures.

Geometric means and 95 % intervals over five seeds. Best loss: the smallest final loss over all learning rates.
Divergence rate: the smallest of a grid of factor sqrt 2 from which on all rates fail. Dotted: the bad start, with three
times He's gain. Warm-up, clipping and the two normalisations are applied to it; the scaled start, MetaInit and the
gated residual network begin at He's gain.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Figure, draw_points, figure, mark, mean_band
from studies.sharpness.divergence import best, limit, phase
from studies.sharpness.styles import COLORS, NAMES


def start(table: pd.DataFrame, arm: str) -> pd.Series:
    """Sharpness at the start of one arm, by seed."""
    return table[table.arm == arm].groupby("seed").start.first()


COLUMNS: dict[str, tuple[Callable[[pd.DataFrame, str], pd.Series], str]] = {
    "best": (best, "a  Best final loss (nats)"),
    "limit": (limit, "b  Divergence rate"),
    "start": (start, "c  Sharpness at the start"),
}


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Geometric means with their 95 % intervals over seeds, by column and arm."""
    table = phase(runs)
    parts = []
    for column, (measure, _) in COLUMNS.items():
        values = pd.DataFrame({arm: np.log(measure(table, arm)) for arm in NAMES})
        long = values.reset_index().melt("seed", var_name="arm", value_name="log")
        band = mean_band(long, by=["arm"], value="log")
        band[["mean", "low", "high"]] = np.exp(band[["mean", "low", "high"]])
        parts.append(band.assign(column=column))
    return pd.concat(parts)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = points(runs)
    fig, panels = figure(width="page", columns=3, height=3.2, sharey=True, xscale="log")
    places = {arm: -place for place, arm in enumerate(NAMES)}
    for ax, (column, (_, title)) in zip(panels, COLUMNS.items(), strict=True):
        rows = table[table.column == column].set_index("arm")
        for arm, place in places.items():
            draw_points(ax, [place], rows.loc[[arm]], COLORS[arm], across=True, markersize=5)
        bad = rows["mean"]["plain3_w0"]
        ax.plot([bad, bad], [0, 0.5 - len(places)], color=COLORS["plain3_w0"], linewidth=0.6, linestyle=":")
        ax.set_title(title)
        ax.set_ylim(0.4 - len(places), 0.6)
    panels[0].set_yticks(list(places.values()), [NAMES[arm] for arm in places])
    panels[0].tick_params(axis="y", length=0)
    mark(panels[1], verdicts["S10"])
    mark(panels[2], verdicts["S9"])
    return fig, table
