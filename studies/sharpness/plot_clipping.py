"""Loss and sharpness in the first updates with and without clipping, at a gentle and at a fatal learning rate.

The network starts with three times He's gain. The norm of the gradient is clipped at 100, a twelfth of that of the
first gradient, or not at all; geometric mean and range over five seeds. Dashed: 2/lr.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Axes, Figure, figure, mark
from studies.sharpness.paths import TOP, VALUES, curves, draw_path, edges, name_curve
from studies.sharpness.styles import COLORS

COLUMNS = {
    ("plain3_stable", "plain3_clip_stable"): "a  lr about 4/sharpness of the start",
    ("plain3_path", "plain3_clip_path"): "b  A rate at which it fails without clipping",
}
LIKE = ("plain3_w0", "plain3_clip")
NAMES = ("not clipped", "clipped")


def draw_column(panels: list[Axes], table: pd.DataFrame, arms: tuple[str, str]) -> None:
    """Loss above sharpness of both arms."""
    for ax, value in zip(panels, VALUES, strict=True):
        for arm, like, name in zip(arms, LIKE, NAMES, strict=True):
            curve = table[(table.arm == arm) & (table.value == value)]
            draw_path(ax, curve, COLORS[like])
            if value == "train_loss" and arms[0] == "plain3_path":
                name_curve(ax, curve, name, COLORS[like])


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    arms = [arm for pair in COLUMNS for arm in pair]
    table = curves(runs[runs.arm.isin(arms)])
    fig, panels = figure(
        width="page", columns=2, rows=2, height=4.6, sharex=True, sharey="row", xscale="log", yscale="log"
    )
    for column, (pair, title) in enumerate(COLUMNS.items()):
        draw_column(panels[:, column], table, pair)
        edge = edges(runs, pair[0]).edge.iloc[0]
        panels[1, column].axhline(edge, color="black", linewidth=0.9, linestyle="--")
        panels[1, column].text(1.05, edge / 1.3, "2/lr", fontsize=7, va="top")
        panels[0, column].set_title(title)
        panels[1, column].set(xlabel="1 + update", xlim=(1, 1 + table.step.max()))
    for ax, name in zip(panels[:, 0], VALUES.values(), strict=True):
        ax.set_ylabel(name)
    panels[0, 0].set_ylim(0.3, TOP)
    panels[1, 0].set_ylim(10, TOP)
    mark(panels[1, 0], verdicts["S10"])
    return fig, table
