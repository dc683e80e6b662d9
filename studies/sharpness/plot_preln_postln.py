"""Gradient norms at the start of transformers against depth, with the norms before and after the branches.

Norm of the gradient of a sequence's mean loss with respect to the matrix that ends a feed-forward layer, in
transformers at their start (one head, ReLU, width 64) on random tokens; root mean square over eight sequences, mean and
95 % interval over 20 seeds. a: in the last block, against depth; the lines have the slopes of the upper bounds in
theorem 1 of Xiong et al., drawn from the shallowest network on. b: in every block of the deepest network, where their
figure shows gradients that grow from block to block with Post-LN and stay level with Pre-LN.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, mark, mean_band

PLACES = {"post": (PALETTE["rewarm"], "Post-LN", 0.0), "pre": (PALETTE["wsd"], "Pre-LN", -0.5)}
"""Colour, name and the slope of theory."""


def label(ax: Axes, place: tuple[float, float], text: str, color: str, *, right: bool = False) -> None:
    """Write a curve's name below a point, or to the right of it."""
    shift, ha, va = ((5, 0), "left", "center") if right else ((0, -14), "center", "top")
    ax.annotate(text, place, shift, textcoords="offset points", fontsize=7, color=color, ha=ha, va=va)


def draw(layers: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, (left, right) = figure(width="page", columns=2, height=2.9, yscale="log", ylabel="gradient norm")
    deepest = layers.depth.max()
    top = mean_band(layers[layers.block == layers.depth], by=["place", "depth"], value="gradient_norm")
    blocks = mean_band(layers[layers.depth == deepest], by=["place", "block"], value="gradient_norm")
    left.set_xscale("log", base=2)
    for place, (color, name, slope) in PLACES.items():
        rows, along = top[top.place == place], blocks[blocks.place == place]
        draw_points(left, rows.depth, rows, color)
        draw_points(right, along.block, along, color)
        theory = rows["mean"].iloc[0] * (rows.depth / rows.depth.iloc[0]) ** slope
        left.plot(rows.depth, theory, color=PALETTE["reference"], linewidth=0.8)
        law = "depth$^{-1/2}$" if slope else "constant"
        label(left, (deepest, theory.iloc[-1]), law, PALETTE["reference"], right=True)
        label(left, (rows.depth.iloc[1], rows["mean"].iloc[1]), name, color)
        label(right, (deepest / 2, along["mean"].median()), name, color)
    ticks = sorted(top.depth.unique())
    left.set_xticks(ticks, [str(depth) for depth in ticks])
    low, high = blocks["mean"].min(), blocks["mean"].max()
    for ax in (left, right):
        ax.set_ylim(low / 1.4, high * 1.3)
        ax.set_yticks([0.5, 1, 2, 3], ["0.5", "1", "2", "3"])
        ax.set_yticks([], minor=True)
    left.set(title="a  Last block at the start", xlabel="depth (blocks)", xlim=(1.7, 28))
    right.set(title=f"b  Every block of {deepest}", xlabel="block (1 at the input)")
    mark(left, verdicts["S14"])
    mark(right, verdicts["S14a"])
    return fig, pd.concat([top.assign(part="last block"), blocks.assign(part=f"depth {deepest}")])
