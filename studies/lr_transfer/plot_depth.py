"""Final loss against learning rate, and sharpness along training, at several depths.

Residual MLPs of width 64 with L blocks, trained with SGD; at L = 4 the first and the third column show the same
networks. α: every branch is multiplied by (L/4)**-α; k: number of weight layers in a branch. Top: training loss over
the last tenth of 300 updates (ReLU, batches of 64) against the learning rate, geometric means over five seeds, with
losses clipped at the initial one; diamonds mark the fitted best rates with 95 % intervals; the drift is their slope in
octaves per doubling of L. Bottom: effective sharpness of full-batch descent on 256 examples (tanh) at one learning
rate, means and 95 % intervals over seeds, with the edge 2/lr. The curves of α = 1/2 coincide, and the rate transfers,
with k = 1 as with k = 2; before the edge the curves of α = 0 rise faster the deeper the network is.
"""

from typing import Any

import pandas as pd

from common.evidence.claims import Judged
from common.evidence.statistics import t_interval
from common.plotting import Axes, Figure, draw_band, figure, mark, mean_band
from studies.lr_transfer.consistency import SHARPNESS, edge
from studies.lr_transfer.ratecurves import draw_rate_curves, list_sizes
from studies.lr_transfer.styles import tones
from studies.lr_transfer.transfer import depth_drift, endings

PANELS = {
    "half_k1": ("α = 1/2, k = 1", "wsd"),
    "half_k2": ("α = 1/2, k = 2", "wsd"),
    "none_k1": ("α = 0, k = 1", "rewarm"),
}
"""Exponent of the factor L**-α on every branch, its weight layers k, and the colour."""
HEADROOM = 1.25
"""Of the panels of sharpness, over the highest mean: intervals may be cut off."""


def paths(runs: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Mean sharpness over seeds and its 95 % interval by depth and update."""
    rows = runs[(runs.arm == f"deep_{arm}") & runs[SHARPNESS].notna()]
    return mean_band(rows, by=["depth", "step"], value=SHARPNESS)


def draw_paths(ax: Axes, found: pd.DataFrame, colors: dict[float, Any], *, limit: float) -> None:
    """A curve for each depth, and the edge of stability."""
    for depth, color in colors.items():
        draw_band(ax, found[found.depth == depth], color)
    ax.axhline(limit, color="black", linewidth=0.8, linestyle="--")
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    ax.annotate("2/lr", (1, limit), xytext=(2, 0), fontsize=7, va="center", annotation_clip=False, **place)


def drift_text(runs: pd.DataFrame, arm: str) -> str:
    """How far the best rate of an arm moves, with its 95 % interval."""
    found = t_interval(depth_drift(runs, arm))
    return f"drift {found.mean:+.2f} ± {found.high - found.mean:.2f}".replace("-", "−")


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, panels = figure(width="page", columns=3, rows=2, height=4.8, sharex="row", sharey="row")
    drawn = []
    for top, bottom, (arm, (title, color)) in zip(*panels, PANELS.items(), strict=True):
        ends, curves = endings(runs[runs.arm == f"depth_{arm}"]), paths(runs, arm)
        colors = tones(color, ends.depth)
        found = draw_rate_curves(top, ends, colors, size="depth")
        draw_paths(bottom, curves, colors, limit=edge(runs, arm=f"deep_{arm}"))
        list_sizes(bottom, colors, "L")
        top.set(title=f"{title}\n{drift_text(runs, arm)}", yscale="log", xlabel="learning rate")
        bottom.set(xlabel="update")
        drawn += [part.assign(arm=arm) for part in (found, curves.assign(quantity="sharpness"))]
    panels[0, 0].set_xscale("log", base=2)
    panels[0, 0].set(ylabel="final training loss", yticks=[0.5, 1, 2, 5], yticklabels=["0.5", "1", "2", "5"])
    panels[0, 0].minorticks_off()
    table = pd.concat(drawn)
    measured = table[table.quantity == "sharpness"]
    limits = {"xlim": (0, measured.step.max()), "ylim": (0, HEADROOM * measured["mean"].max())}
    panels[1, 0].set(ylabel="effective sharpness", **limits)
    mark(panels[0, 0], verdicts["T11"])
    mark(panels[0, 1], verdicts["T11a"])
    fig.suptitle(
        "Branches scaled by 1/√depth keep the best rate; unscaled branches do not",
        x=0.01,
        ha="left",
        fontsize=9,
        weight="bold",
    )
    return fig, table
