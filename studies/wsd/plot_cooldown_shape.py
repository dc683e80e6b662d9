"""Final loss by shape and by length of the decay.

All decays end at the longest budget. Left: final loss of each shape of the decay minus that of the linear one of equal
length, paired by seed. Right: final loss after linear decays of different lengths, and without decay (0 %); the
percentages are shares of the largest gain. Means and 95 % intervals over seeds.
"""

from typing import Any

import pandas as pd

from common.evidence.claims import Judged
from common.evidence.statistics import t_interval
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, mark, mean_band, shades
from studies.wsd.losses import cooldown_gains, cooldowns, headline_peak, stable_loss

NAMES = {"sqrt": "1 - sqrt"}
MILLI = 1000
"""Shapes differ by thousandths of a nat."""


def shape_gaps(runs: pd.DataFrame) -> pd.DataFrame:
    """Loss of each shape minus that of the linear decay of equal length, in 0.001 nats: mean and 95 % t interval."""
    table = cooldowns(runs)
    table = table[table.lr == headline_peak(runs)]
    rows = []
    for share, group in table.groupby("share"):
        losses = group.pivot(index="seed", columns="shape", values="val_loss")
        for shape in losses.columns.drop("linear"):
            gap = (MILLI * (losses[shape] - losses["linear"])).to_dict()
            rows.append({"part": "shape", "shape": shape, "share": share, **vars(t_interval(gap))})
    return pd.DataFrame(rows)


def draw_shapes(ax: Axes, table: pd.DataFrame) -> None:
    """Differences to the linear decay, the best shape on top."""
    order = table.groupby("shape")["mean"].mean().sort_values(ascending=False).index
    shares = sorted(table.share.unique())
    for i, (share, color) in enumerate(zip(shares, shades("wsd", len(shares)), strict=True)):
        rows = table[table.share == share].set_index("shape").loc[order]
        y = [place + 0.16 * (i - (len(shares) - 1) / 2) for place in range(len(rows))]
        draw_points(ax, y, rows, color, across=True)
        ax.text(0.98, 0.95 - 0.06 * i, f"over {share:.0%}", transform=ax.transAxes, fontsize=7, color=color, ha="right")
    ax.axvline(0, color=PALETTE["reference"], linewidth=0.8)
    ax.set_yticks(range(len(order)), [NAMES.get(shape, shape) for shape in order])
    ax.set_ylim(-0.6, len(order) - 0.4)


def length_losses(runs: pd.DataFrame) -> pd.DataFrame:
    """Loss after linear decays by their share of the budget: mean and 95 % t interval over seeds; 0 is no decay."""
    table, peak = cooldowns(runs), headline_peak(runs)
    table = table[(table["shape"] == "linear") & (table.lr == peak)]
    constant = stable_loss(runs, step=table.budget.max(), lr=peak).reset_index().assign(share=0.0)
    both = pd.concat([constant, table])[["share", "seed", "val_loss"]]
    return mean_band(both, by=["share"], value="val_loss").assign(part="length", shape="linear")


def draw_lengths(ax: Axes, table: pd.DataFrame, gains: pd.DataFrame) -> None:
    """Loss against the length of the decay, each point with its share of the largest gain."""
    color = PALETTE["linear"]
    draw_points(ax, 100 * table.share, table, color, linestyle="-")
    shares = (gains.mean() / gains.mean().max()).to_dict()
    decayed = table[table.share > 0]
    for share, high in zip(decayed.share, decayed.high, strict=True):
        place: dict[str, Any] = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center"}
        ax.annotate(f"{shares[share]:.0%}", (100 * share, high), fontsize=7, color=color, **place)
    ax.margins(y=0.12)
    ax.text(0.02, 0.02, "labels: share of the largest gain", transform=ax.transAxes, fontsize=7, color=color)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, (left, right) = figure(width="page", columns=2, height=3.1)
    shapes, lengths = shape_gaps(runs), length_losses(runs)
    draw_shapes(left, shapes)
    draw_lengths(right, lengths, cooldown_gains(runs, shape="linear", lr=headline_peak(runs)))
    left.set(title="a  Shape of the decay, against linear", xlabel="difference of final loss (0.001 nats/byte)")
    right.set(title="b  Length of a linear decay", xlabel="decay (% of the budget)", ylabel="final loss (nats/byte)")
    mark(left, verdicts["W12"])
    mark(right, verdicts["W11"])
    return fig, pd.concat([shapes, lengths])
