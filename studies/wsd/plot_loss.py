"""Validation loss of WSD against cosine, and of constant learning rates with their decays.

Validation loss in nats per byte on the first 256 windows, mean and 95 % interval over seeds; the verdicts are judged on
all 1,024. A network of 49 k parameters reads 30 bytes for each in the longest budget. Left: WSD branches its decays
off one constant run; each cosine is trained for its own budget; all end at the same rate, and the inset shows the
rates. Right: the smallest, the best and the largest constant rate (solid) and their decays (dashed) to one rate. Curves
have the peaks that were best with a seed of their own; W8 compares each schedule at its best peak.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from common.config import Run
from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_band, figure, label_lines, mark, mean_band, shades
from studies.wsd.histories import lineage_rates
from studies.wsd.losses import CURVE, curve_of
from studies.wsd.study import COSINE_PEAKS, HEADLINE, PEAK

LOOKS = {
    "stable": (PALETTE["constant"], "constant"),
    "wsd": (PALETTE["wsd"], "WSD decays"),
    "cosine": (PALETTE["cosine"], "cosine, one run\nfor each budget"),
}
SHOWN = 0.12
"""Share of the longest budget before which nothing is drawn."""


def curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean validation loss and its 95 % interval over seeds, by run and step."""
    return mean_band(runs[runs[CURVE].notna()], by=["arm", "lr", "end", "run", "step"], value=CURVE)


def draw_rates(ax: Axes, run: Run, records: Mapping[str, Run], color: str) -> None:
    """Every learning rate behind a run's end; of a decay, those from its branch on."""
    rates = lineage_rates(run, records)
    first = len(rates) - run.steps - (1 if run.parent else 0)
    ax.plot(np.arange(first, len(rates)) + 1, 1e3 * rates[first:], color=color, linewidth=0.9)


def draw_schedules(ax: Axes, table: pd.DataFrame, records: Mapping[str, Run]) -> None:
    """Panel a: one constant run with a decay for each budget, and the cosine of each budget; inset: learning rates."""
    inset = ax.inset_axes((0.5, 0.72, 0.48, 0.23))
    labels = []
    for arm, (color, name) in LOOKS.items():
        chosen = curve_of(table, arm=arm, lr=COSINE_PEAKS[HEADLINE] if arm == "cosine" else PEAK)
        for run, curve in chosen.groupby("run"):
            draw_band(ax, curve, color)
            draw_rates(inset, records[str(run)], records, color)
        last = chosen[chosen.end == chosen.end.max()].iloc[-1]
        labels.append((last.step, last["mean"], name, color))
    label_lines(ax, labels)
    inset.set_title("learning rate (1e-3)", fontsize=7, fontweight="normal", pad=2)
    inset.tick_params(labelsize=6, length=2)


def draw_peaks(ax: Axes, table: pd.DataFrame) -> None:
    """Panel b: constant learning rates (solid) with their decays before the longest budget (dashed)."""
    trained, labels = sorted(table[table.arm == "stable"].lr.unique()), []
    peaks = sorted({trained[0], PEAK, trained[-1]})
    for peak, color in zip(peaks, shades("wsd", len(peaks)), strict=True):
        trunk, decay = (curve_of(table, arm=arm, lr=peak) for arm in ("stable", "wsd"))
        draw_band(ax, trunk, color)
        draw_band(ax, decay[decay.end == decay.end.max()], color, linestyle="--")
        labels.append((trunk.step.iloc[-1], trunk["mean"].iloc[-1], f"{1e3 * peak:.3g}e-3", color))
    label_lines(ax, labels)


def draw(runs: pd.DataFrame, records: Mapping[str, Run], verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    runs = runs.assign(end=runs.groupby(["run", "seed"]).step.transform("max"))
    table = curves(runs)
    seen = table[table.step > SHOWN * table.end.max()]
    margin = 0.06 * (seen["mean"].max() - seen["mean"].min())
    limits = (seen["mean"].min() - margin, seen["mean"].max() + margin)
    fig, (left, right) = figure(width="page", columns=2, height=3.4, sharey=True, xlabel="update", ylim=limits)
    left.set(ylabel="validation loss (nats/byte)", title="a  WSD and cosines")
    right.set(title="b  Constant rates and decays")
    draw_schedules(left, table, records)
    draw_peaks(right, table)
    mark(left, verdicts["W8"], verdicts["W8a"], verdicts["W8b"])
    mark(right, verdicts["W1"], verdicts["W2"])
    return fig, table
