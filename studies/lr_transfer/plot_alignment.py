"""Share of the gradient in the top eigenspace of the effective Hessian.

Share of the squared gradient that lies in the space of the ten largest eigenvectors of the effective Hessian, both in
scaled coordinates, mean and 95 % interval over three seeds under μP, one seed under NTP. The dashed line is the mean
update at which the sharpness reaches the edge 2/η, over the curves that do. Before the edge gradient descent has
already emptied the top directions; at the edge it oscillates along them.
"""

from typing import Any

import pandas as pd

from common.plotting import Axes, Figure, draw_points, figure, label_lines, mean_band
from studies.lr_transfer.consistency import arrivals, edge, tables
from studies.lr_transfer.styles import COLORS, tones

TITLES = {"mup": "μP", "ntp": "NTP (one seed)"}
EDGE: dict[str, Any] = {"color": "black", "linewidth": 0.7, "linestyle": "--"}


def shares(spectrum: pd.DataFrame) -> pd.DataFrame:
    """Mean share of the squared gradient in the space of all top eigenvectors, with its 95 % interval over seeds."""
    by = ["parametrization", "width", "step"]
    rows = spectrum[spectrum.quantity == "share"].groupby([*by, "seed"], as_index=False)[["value"]].sum()
    return mean_band(rows, by=by, value="value")


def draw_arrival(ax: Axes, runs: pd.DataFrame, name: str) -> None:
    """The mean update at which a parametrization reaches the edge, over the seeds and widths that do."""
    line = edge(runs, arm="curve")
    times = pd.concat([arrivals(part, line) for part in tables(runs, arm="curve", parametrization=name).values()])
    if times.notna().any():
        ax.axvline(float(times.mean()), **EDGE)
        place: dict[str, Any] = {"xytext": (3, 0), "textcoords": "offset points", "fontsize": 7, "va": "top"}
        ax.annotate("2/η\nreached", (float(times.mean()), 1.0), **place)


def draw(runs: pd.DataFrame, spectrum: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = shares(spectrum)
    fig, panels = figure(
        width="page", columns=len(TITLES), height=2.7, sharex=True, sharey=True, xlabel="update", ylim=(-0.06, 1.03)
    )
    panels[0].set(ylabel=f"share of the gradient in the top {spectrum['rank'].max():.0f}")
    for ax, (name, title) in zip(panels, TITLES.items(), strict=True):
        rows = table[table.parametrization == name]
        ax.set(title=title)
        labels = []
        for width, shade in tones(COLORS[name], rows.width).items():
            curve = rows[rows.width == width]
            ax.plot(curve.step, curve["mean"], color=shade)
            draw_points(ax, curve.step, curve, shade, markersize=3)
            labels.append((curve.step.iloc[-1], curve["mean"].iloc[-1], f"N = {width}", shade))
        label_lines(ax, labels)
        draw_arrival(ax, runs, name)
    return fig, table
