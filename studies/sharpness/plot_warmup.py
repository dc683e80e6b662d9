"""Final loss against the learning rate, with and without warm-up, for a bad start and for its cures.

Final training loss, the mean over the last tenth of 400 updates, against the peak learning rate: geometric mean over
the seeds that survive, at rates where most of five do; crosses at the top stand for rates at which most fail. Warm-up
over W updates is linear from 1/W of the peak. Dotted: the loss of a perfect guess of the true digit when a tenth of the
labels is wrong.
"""

import numpy as np
import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, figure, mark, shades
from studies.sharpness.divergence import USEFUL, phase

PANELS = {
    "plain3": "a  Bad start: three times He's gain",
    "plain1": "b  Scaled start: He's gain",
    "layernorm3": "c  Bad start, layer normalisation",
    "batchnorm3": "d  Bad start, batch normalisation",
}
WORST, BEST = 50.0, 1e-3
"""Nats: the limits of the axes; failures stand above."""


def curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Final loss by case, warm-up and rate: geometric mean over surviving seeds, and the share of seeds that fail."""
    table = phase(runs)
    chosen = table[(table.rule == "plain") & table.case.isin([*PANELS, "metainit1"])]
    groups = chosen.assign(log=np.log(chosen.final.where(~chosen.failed))).groupby(["case", "warmup", "lr"])
    means = groups.agg(log=("log", "mean"), failed=("failed", "mean"), n=("seed", "size")).reset_index()
    return means.assign(final=np.exp(means.log)).drop(columns="log")


def draw_curve(ax: Axes, curve: pd.DataFrame, color: object, *, height: float) -> None:
    """A line through the rates that most seeds survive, and a row of crosses at those that most fail."""
    kept, lost = curve[curve.failed < 0.5], curve[curve.failed > 0.5]
    ax.plot(kept.lr, kept.final, color=color, marker="o", markersize=2.5)
    ax.scatter(lost.lr, [height] * len(lost), marker="x", s=12, color=color, linewidths=0.9)


def draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
    """All lengths of warm-up of one network, named in a corner in the order of length."""
    lengths = sorted(rows.warmup.unique())
    colors = dict(zip(lengths, [PALETTE["constant"], *shades("wsd", len(lengths) - 1)], strict=True))
    for place, warmup in enumerate(lengths):
        height = WORST / 1.3 ** (place + 1)
        draw_curve(ax, rows[rows.warmup == warmup], colors[warmup], height=height)
        name = f"warm-up {warmup}" if warmup else "no warm-up"
        at = (0.03, 0.06 + 0.075 * (len(lengths) - 1 - place))
        ax.text(*at, name, transform=ax.transAxes, fontsize=7, color=colors[warmup])
    ax.axhline(USEFUL, color=PALETTE["reference"], linewidth=0.6, linestyle=":")


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = curves(runs)
    fig, panels = figure(
        width="page",
        columns=2,
        rows=2,
        height=5.0,
        sharey=True,
        xscale="log",
        yscale="log",
        ylim=(BEST, WORST),
    )
    for ax, (case, title) in zip(panels.flat, PANELS.items(), strict=True):
        draw_panel(ax, table[table.case == case])
        ax.set_title(title)
    panels[0, 0].set_xlim(5e-5, 2)
    scaled = panels[0, 1]
    meta = table[table.case == "metainit1"]
    draw_curve(scaled, meta, PALETTE["infinite"], height=WORST / 1.3**3)
    scaled.text(0.03, 0.21, "MetaInit, no warm-up", transform=scaled.transAxes, fontsize=7, color=PALETTE["infinite"])
    for ax in panels[1]:
        ax.set_xlabel("learning rate (peak)")
    for ax in panels[:, 0]:
        ax.set_ylabel("final training loss (nats)")
    mark(panels[0, 0], verdicts["S6"], verdicts["S6a"], verdicts["S8"])
    panels[0, 0].text(1.5, USEFUL / 1.1, "digits known", fontsize=7, color=PALETTE["reference"], ha="right", va="top")
    return fig, table
