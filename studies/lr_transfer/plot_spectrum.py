"""Largest eigenvalues of the effective Hessian and kernel along training.

Largest eigenvalues of the effective Hessian and of the effective tangent kernel at five updates, light to dark for N
from 64 to 512; mean and 95 % interval over three seeds under μP, one seed under NTP; no. 1 is the largest. Points at
the same update are drawn slightly apart. For the half squared error the kernel's nonzero eigenvalues, divided by the
number of examples, are those of the Gauss-Newton part. The dashed line is the edge 2/η.
"""

import pandas as pd

from common.plotting import Axes, Figure, draw_points, figure, label_lines, mean_band, shades
from studies.lr_transfer.consistency import edge
from studies.lr_transfer.styles import COLORS

COLUMNS = {
    ("mup", "hessian"): "μP, Hessian",
    ("mup", "ntk"): "μP, tangent kernel",
    ("ntp", "hessian"): "NTP, Hessian: no. 1 and 10",
}
RANKS = {"mup": (1, 2, 4, 10), "ntp": (1, 10)}
EDGE = {"color": "black", "linewidth": 0.7, "linestyle": "--"}


def eigenvalues(spectrum: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds with 95 % intervals of the eigenvalues drawn."""
    drawn = pd.concat(
        spectrum[(spectrum.parametrization == name) & spectrum["rank"].isin(RANKS[name])] for name in RANKS
    )
    rows = drawn[drawn.quantity.isin(["hessian", "ntk"])]
    return mean_band(rows, by=["parametrization", "quantity", "rank", "width", "step"], value="value")


def draw_panel(ax: Axes, rows: pd.DataFrame, color: str) -> None:
    """One line for each width and rank against the place of its update, shifted a little to tell the bars apart."""
    places = {step: place for place, step in enumerate(sorted(rows.step.unique()))}
    widths = sorted(rows.width.unique())
    tones = shades(color, len(widths))
    for number, (width, shade) in enumerate(zip(widths, tones, strict=True)):
        for rank in rows["rank"].unique():
            curve = rows[(rows.width == width) & (rows["rank"] == rank)]
            x = curve.step.map(places) + 0.08 * (number - (len(widths) - 1) / 2)
            ax.plot(x, curve["mean"], color=shade, linewidth=0.9)
            draw_points(ax, x, curve, shade, markersize=2.5, linewidth=0.8)
    ax.set_xticks(list(places.values()), [f"{step}" for step in places])


def name_ranks(ax: Axes, rows: pd.DataFrame, color: str) -> None:
    """The place in the spectrum, beside the end of the lines of all widths."""
    ends = rows[rows.step == rows.step.max()].groupby("rank")["mean"].mean()
    tone = shades(color, 1)[0]
    label_lines(ax, [(rows.step.nunique() - 0.85, end, f"no. {rank:.0f}", tone) for rank, end in ends.items()])


def name_widths(ax: Axes, rows: pd.DataFrame, color: str) -> None:
    """The width, beside the end of the line of its largest eigenvalue."""
    ends = rows[(rows.step == rows.step.max()) & (rows["rank"] == 1)].set_index("width")["mean"]
    tones = shades(color, len(ends))
    names = zip(ends.items(), tones, strict=True)
    label_lines(ax, [(rows.step.nunique() - 0.85, end, f"N = {width}", tone) for (width, end), tone in names])


def draw(runs: pd.DataFrame, spectrum: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table, line = eigenvalues(spectrum), edge(runs, arm="curve")
    fig, panels = figure(width="page", columns=len(COLUMNS), height=2.9, sharey=True, xlabel="update")
    panels[0].set(ylabel="effective eigenvalue", ylim=(0, 1.1 * max(table["mean"].max(), line)))
    for ax, ((name, quantity), title) in zip(panels, COLUMNS.items(), strict=True):
        rows = table[(table.parametrization == name) & (table.quantity == quantity)]
        ax.set(title=title)
        ax.axhline(line, **EDGE)
        draw_panel(ax, rows, COLORS[name])
        (name_widths if name == "ntp" else name_ranks)(ax, rows, COLORS[name])
    ax = panels[0]
    ax.annotate("2/η", (-0.2, line), xytext=(0, 3), textcoords="offset points", fontsize=7)
    return fig, table
