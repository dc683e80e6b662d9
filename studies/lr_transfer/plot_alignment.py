"""Share of the gradient in the top of the effective Hessian's eigenspaces along training, by width."""

from typing import Any

import pandas as pd
from consistency import arrivals, edge, tables
from styles import COLORS, tones

from common.plotting import Axes, Figure, draw_points, figure, label_lines, mean_band, save
from common.records import read_runs

TITLES = {"mup": "μP", "ntp": "NTP (one seed)"}
EDGE: dict[str, Any] = {"color": "black", "linewidth": 0.7, "linestyle": "--"}


def shares(spectrum: pd.DataFrame) -> pd.DataFrame:
    """Mean share of the squared gradient in the space of all top eigenvectors, with its 95 % interval over seeds."""
    by = ["parametrization", "width", "step"]
    rows = spectrum[spectrum.quantity == "share"].groupby([*by, "seed"], as_index=False).value.sum()
    return mean_band(rows, by=by, value="value")


def draw_arrival(ax: Axes, runs: pd.DataFrame, name: str) -> None:
    """The mean update at which a parametrization reaches the edge, over the seeds and widths that do."""
    line = edge(runs, arm="curve")
    times = pd.concat([arrivals(part, line) for part in tables(runs, arm="curve", parametrization=name).values()])
    if times.notna().any():
        ax.axvline(float(times.mean()), **EDGE)
        place: dict[str, Any] = {"xytext": (3, 0), "textcoords": "offset points", "fontsize": 7, "va": "top"}
        ax.annotate("2/η\nreached", (float(times.mean()), 1.0), **place)


def draw(spectrum: pd.DataFrame, runs: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
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


if __name__ == "__main__":
    fig, table = draw(pd.read_csv(snakemake.input.spectrum), read_runs(snakemake.input.runs))
    save(fig, snakemake.output, data=table, runs=snakemake.input.runs)
