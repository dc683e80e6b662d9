"""Which trainings survive: sharpness at the start and halfway against the learning rate, with the line 2/lr.

ReLU networks of five gains, or with layer or batch normalisation, gated residual branches or MetaInit, trained for 400
updates on digits with a tenth of the labels wrong; batch 128, cross-entropy, five seeds. Each mark is one training:
circles survive, crosses fail (loss not finite, no better at the end than at the start, or accuracy at chance at the
end). Sharpness is the largest eigenvalue of the Hessian on all 1,437 training images. Black: 2/lr; dashed: 3.8/lr, the
edge with momentum 0.9. Failures whose weights are no longer finite are missing from the lower panels, and counted in
the upper ones.
"""

import numpy as np
import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, figure, mark, note
from studies.sharpness.divergence import EDGE, counted, phase
from studies.sharpness.study import WARMUP

COLUMNS = {"plain": "a  No warm-up", "warm": f"b  Warm-up of {WARMUP} updates", "momentum": "c  Momentum 0.9"}
PLACES = {"start": "sharpness at the start", "middle": "sharpness halfway"}
MARKS = {"survives": ("o", PALETTE["supported"]), "fails": ("x", PALETTE["contradicted"])}


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """One row for each training in a panel: panel, case, seed, lr, start, middle, excess, edge, failed, failure."""
    table = phase(runs)
    plain = table.rule == "plain"
    chosen = {
        "plain": plain & (table.warmup == 0),
        "warm": plain & (table.warmup == WARMUP),
        "momentum": table.rule == "momentum",
    }
    columns = ["panel", "case", "seed", "lr", "start", "middle", "excess", "edge", "failed", "failure"]
    return pd.concat([table[rows].assign(panel=panel) for panel, rows in chosen.items()])[columns]


def draw_points(ax: Axes, rows: pd.DataFrame, place: str) -> None:
    """Failures as crosses below survivors as open circles."""
    for name, failed in (("fails", True), ("survives", False)):
        marker, color = MARKS[name]
        part = rows[rows.failed == failed]
        face = "none" if marker == "o" else color
        ax.scatter(part.lr, part[place], s=9, marker=marker, color=color, facecolors=face, linewidths=0.6, alpha=0.7)


def draw_line(ax: Axes, rates: np.ndarray, edge: float, linestyle: str = "-") -> None:
    """The line edge/lr."""
    ax.plot(rates, edge / rates, color="black", linewidth=0.9, linestyle=linestyle)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = points(runs)
    fig, panels = figure(
        width="page", columns=3, rows=2, height=5.0, sharex=True, sharey=True, xscale="log", yscale="log"
    )
    rates = np.geomspace(table.lr.min() / 2, table.lr.max() * 2, 50)
    for column, (panel, title) in enumerate(COLUMNS.items()):
        rows = table[table.panel == panel]
        for ax, place in zip(panels[:, column], PLACES, strict=True):
            draw_points(ax, rows, place)
            draw_line(ax, rates, EDGE["plain"])
            if panel == "momentum":
                draw_line(ax, rates, EDGE["momentum"], linestyle="--")
        panels[0, column].set_title(title)
        panels[1, column].set_xlabel("learning rate (peak)")
        note(panels[0, column], counted(rows), corner="upper right", width=34)
    for ax, name in zip(panels[:, 0], PLACES.values(), strict=True):
        ax.set_ylabel(name)
    mark(panels[0, 0], verdicts["S3"])
    mark(panels[1, 0], verdicts["S5"])
    for height, (name, (_, color)) in zip((0.98, 0.92), MARKS.items(), strict=True):
        style = {"transform": panels[1, 0].transAxes, "ha": "right", "va": "top", "fontsize": 7}
        panels[1, 0].text(0.98, height, name, color=color, **style)
    panels[0, 2].text(rates[18], 4 / rates[18], "3.8/lr", fontsize=7, clip_on=True)
    panels[0, 2].text(rates[18], 1 / rates[18], "2/lr", fontsize=7, ha="right", va="top", clip_on=True)
    panels[0, 0].set(xlim=(rates[0], rates[-1]), ylim=(table.middle.min() / 5, table.start.max() * 20))
    return fig, table
