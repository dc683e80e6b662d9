"""Final loss against the peak, to a common rate and to zero; and two rates over equal sums of rates.

Final validation loss, mean and 95 % interval over seeds, after the longest budget. Left: WSD (last tenth) and cosine,
all to one rate, a tenth of WSD's headline peak. Middle: WSD (last fifth) and cosine, both to zero, as published. Lines:
the parabolas through the means, whose lowest points are compared. Right: from one checkpoint, the headline peak and
half of it for twice as many updates, decayed to one rate; the sums of rates are equal.
"""

import numpy as np
import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, label_lines, mark, mean_band
from studies.wsd.losses import CURVE, LOSS, curve_of, last_loss

PANELS = {"a  To one rate": ("wsd", "cosine"), "b  To zero": ("wsd_zero", "cosine_zero")}
LOOKS = {
    "wsd": (PALETTE["wsd"], "WSD"),
    "cosine": (PALETTE["cosine"], "cosine"),
    "wsd_zero": (PALETTE["wsd"], "WSD"),
    "cosine_zero": (PALETTE["cosine"], "cosine"),
}


def peak_losses(runs: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Final loss of an arm at the longest budget by peak: mean and 95 % t interval over seeds."""
    losses = last_loss(runs, arm)
    return mean_band(losses[losses.budget == losses.budget.max()], by=["arm", "lr"], value=LOSS).assign(part="peak")


def draw_arm(ax: Axes, table: pd.DataFrame) -> tuple[float, float, str, str]:
    """Marks of one schedule and the parabola through their means; returns its label."""
    color, name = LOOKS[table.arm.iloc[0]]
    draw_points(ax, table.lr, table, color)
    peaks = np.log2(table.lr)
    fine = np.linspace(peaks.min(), peaks.max(), 60)
    fit = np.polyfit(peaks - peaks.mean(), table["mean"], min(2, len(table) - 1))
    curve = np.polyval(fit, fine - peaks.mean())
    ax.plot(2**fine, curve, color=color)
    return float(2 ** fine[-1]), float(curve[-1]), name, color


def draw_clock(ax: Axes, runs: pd.DataFrame) -> pd.DataFrame:
    """Loss against the sum of rates since the common checkpoint, in updates at the headline peak."""
    rows = runs[(runs.arm == "clock") & runs[CURVE].notna()]
    table = mean_band(rows, by=["lr", "step"], value=CURVE).assign(part="clock", arm="clock")
    labels = []
    for lr, color in zip(sorted(table.lr.unique()), (PALETTE["linear"], PALETTE["wsd"]), strict=True):
        curve = curve_of(table, lr=lr)
        share = (curve.step - curve.step.min()) / (curve.step.max() - curve.step.min())
        ax.plot(100 * share, curve["mean"], color=color, marker="o", markersize=2.5)
        ax.fill_between(100 * share, curve.low, curve.high, color=color, alpha=0.2, linewidth=0)
        labels.append((100.0, curve["mean"].iloc[-1], f"{1e3 * lr:g}e-3", color))
    label_lines(ax, labels)
    return table


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, axes = figure(width="page", columns=3, height=2.9)
    tables = []
    for ax, (title, arms) in zip(axes, PANELS.items(), strict=False):
        found = [peak_losses(runs, arm) for arm in arms]
        labels = [draw_arm(ax, table) for table in found]
        ax.set(title=title, xscale="log", xlabel="peak learning rate (1e-3)")
        peaks = sorted({lr for table in found for lr in table.lr})
        ax.set_xticks(peaks, [f"{1e3 * lr:.2g}" for lr in peaks])
        ax.minorticks_off()
        label_lines(ax, labels)
        tables += found
    axes[0].set_ylabel("final loss (nats/byte)")
    tables.append(draw_clock(axes[2], runs))
    axes[2].set(title="c  Equal sums", xlabel="part of the run (%)")
    mark(axes[0], verdicts["W15"])
    mark(axes[1], verdicts["W13"])
    mark(axes[2], verdicts["W4"])
    return fig, pd.concat(tables)
