"""Loss along straight lines between checkpoints.

Validation loss in nats per byte along straight lines in weight space, mean and 95 % interval over seeds; the numbers at
the ends are updates, and dotted lines the chords. Between two checkpoints of the constant rate lies a valley; the way
into a decay, and the way from one decayed checkpoint to the next, lead downhill.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_band, figure, label_lines, mark, mean_band, shades

PANELS = {
    "stable": "a  Constant rate",
    "decay": "b  Into the decay",
    "decayed": "c  Decayed states",
}
SHADE = {"stable": "constant", "decay": "wsd", "decayed": "wsd_s"}


def draw_lines(ax: Axes, table: pd.DataFrame, kind: str) -> None:
    """Every line of one kind: mean and interval over seeds, its chord dotted, named by the updates behind its ends."""
    groups, labels = table[table.kind == kind].groupby(["start", "end"]), []
    for ((start, end), line), color in zip(groups, shades(SHADE[kind], len(groups)), strict=True):
        draw_band(ax, line, color, against="share", marker="o", markersize=2.5)
        first, last = line["mean"].iloc[[0, -1]]
        ax.plot([0, 1], [first, last], color=PALETTE["reference"], linewidth=0.8, linestyle=":")
        labels.append((1, last, f"{start:g}\nto {end:g}", color))
    label_lines(ax, labels)


def draw(
    runs: pd.DataFrame,  # noqa: ARG001
    interpolation: pd.DataFrame,
    verdicts: dict[str, Judged],
) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn.

    Args:
        runs: rows of the runs between whose states the lines lie; they only tell where the figure comes from.
        interpolation: what was measured on the lines.
        verdicts: W6a on the first panel, W6b on the last.
    """
    table = mean_band(interpolation, by=["kind", "start", "end", "share"], value="loss")
    fig, panels = figure(width="page", columns=3, height=2.9, sharey=True, xlabel="position on the line")
    panels[0].set_ylabel("validation loss (nats/byte)")
    margin = 0.1 * (table["mean"].max() - table["mean"].min())
    panels[0].set_ylim(table["mean"].min() - margin, table["mean"].max() + margin)
    for ax, (kind, title) in zip(panels, PANELS.items(), strict=True):
        draw_lines(ax, table, kind)
        ax.set_title(title)
    mark(panels[0], verdicts["W6a"])
    mark(panels[2], verdicts["W6b"])
    return fig, table
