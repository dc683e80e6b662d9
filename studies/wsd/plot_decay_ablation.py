"""Final loss against the peak at each budget, and against the length of the decay at each peak.

Final validation loss, mean and 95 % interval over seeds. Left: against the peak, for WSD and cosine at three budgets;
the best peak of each curve is filled. Right: against the length of a linear decay before the longest budget, at three
peaks.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, label_lines, mark, mean_band, shades
from studies.wsd.losses import budgets_of, cooldowns, last_loss

STYLE = {"wsd": "-", "cosine": "--"}


def peak_losses(runs: pd.DataFrame) -> pd.DataFrame:
    """Final loss by arm, budget and peak: mean and 95 % t interval over seeds."""
    table = mean_band(last_loss(runs, "wsd", "cosine"), by=["arm", "budget", "lr"], value="val_loss")
    return table[table.budget.isin(budgets_of(runs))].assign(part="peak")


def draw_peaks(ax: Axes, table: pd.DataFrame) -> None:
    """One line for each schedule and budget; its best peak is filled."""
    labels = []
    for arm, style in STYLE.items():
        budgets = sorted(table.budget.unique())
        for budget, color in zip(budgets, shades(arm, len(budgets)), strict=True):
            rows = table[(table.arm == arm) & (table.budget == budget)]
            draw_points(ax, rows.lr, rows, color, linestyle=style, markerfacecolor="white")
            lowest = rows.loc[rows["mean"].idxmin()]
            ax.plot(lowest.lr, lowest["mean"], "o", color=color, markersize=4, zorder=3)
            if arm == "cosine":
                labels.append((rows.lr.iloc[-1], rows["mean"].iloc[-1], f"{budget:g}", PALETTE["constant"]))
    peaks = sorted(table.lr.unique())
    ax.set_xscale("log")
    ax.set_xticks(peaks, [f"{1e3 * peak:g}" for peak in peaks])
    ax.minorticks_off()
    label_lines(ax, labels)


def length_losses(runs: pd.DataFrame) -> pd.DataFrame:
    """Final loss after linear decays by peak and share of the longest budget: mean and 95 % t interval over seeds."""
    table = cooldowns(runs)
    return mean_band(table[table["shape"] == "linear"], by=["lr", "share"], value="val_loss").assign(part="length")


def draw_lengths(ax: Axes, table: pd.DataFrame) -> None:
    """One line for each peak."""
    peaks, labels = sorted(table.lr.unique()), []
    for peak, color in zip(peaks, shades("linear", len(peaks)), strict=True):
        rows = table[table.lr == peak]
        draw_points(ax, 100 * rows.share, rows, color, linestyle="-")
        labels.append((100 * rows.share.iloc[-1], rows["mean"].iloc[-1], f"peak {1e3 * peak:g}e-3", color))
    label_lines(ax, labels)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    peaks, lengths = peak_losses(runs), length_losses(runs)
    fig, (left, right) = figure(width="page", columns=2, height=3.1, ylabel="final loss (nats/byte)")
    left.set(title="a  WSD (solid), cosine (dashed)", xlabel="peak learning rate (1e-3)")
    right.set(title="b  Length of a linear decay", xlabel="decay (% of the longest budget)")
    draw_peaks(left, peaks)
    draw_lengths(right, lengths)
    mark(left, verdicts["W13"])
    return fig, pd.concat([peaks, lengths])
