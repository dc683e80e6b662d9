"""Validation loss of WSD against oracle cosine, and of constant learning rates with their decays.

Validation loss in nats per byte on the first 256 windows, mean and 95 % interval over seeds; the verdicts are judged on
all 2,048. Left: WSD branches its decay off one constant run; each cosine is trained for its own budget; the inset shows
the learning rates. Right: three constant learning rates (solid) and their decays (dashed). WSD on the left has the
headline peak; W8 compares each schedule at its best peak.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_band, figure, label_lines, mark, mean_band, shades
from studies.wsd.losses import CURVE, best, headline_peak, last_loss


def curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean validation loss and its 95 % interval over seeds, by arm, peak, last step and step."""
    return mean_band(runs[runs[CURVE].notna()], by=["arm", "lr", "end", "step"], value=CURVE)


def series(table: pd.DataFrame, **where: object) -> pd.DataFrame:
    """The rows of one curve."""
    return table.loc[(table[list(where)] == pd.Series(where)).all(axis=1)]


def chosen(table: pd.DataFrame, runs: pd.DataFrame, *, peak: float) -> dict[str, list[tuple[float, int]]]:
    """Peak and budget of each curve of panel a: the trunk of a peak and its decays, the best cosine of each budget."""
    budgets = sorted(table[table.arm == "wsd"].end.unique())
    cosines = [(best(last_loss(runs, "cosine"), budget)[0], budget) for budget in budgets]
    return {"stable": [(peak, budgets[-1])], "wsd": [(peak, budget) for budget in budgets], "cosine": cosines}


def draw_schedules(ax: Axes, table: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Panel a: one constant run with a decay for each budget, and the cosine of each budget; inset: learning rates."""
    names = {"stable": "constant", "wsd": "WSD decays", "cosine": "cosine, one run\nfor each budget"}
    inset = ax.inset_axes((0.42, 0.7, 0.56, 0.25))
    labels = []
    for arm, members in chosen(table, runs, peak=headline_peak(runs)).items():
        color = PALETTE["constant" if arm == "stable" else arm]
        for peak, budget in members:
            draw_band(ax, series(table, arm=arm, lr=peak, end=budget), color)
            run = series(runs, arm=arm, lr=peak, end=budget, seed=runs.seed.min()).dropna(subset="learning_rate")
            inset.plot(run.step, 1e3 * run.learning_rate, color=color, linewidth=0.9)
        last = series(table, arm=arm, lr=members[-1][0], end=members[-1][1]).iloc[-1]
        labels.append((last.step, last["mean"], names[arm], color))
    label_lines(ax, labels)
    inset.set_title("learning rate (1e-3)", fontsize=7, fontweight="normal", pad=2)
    inset.tick_params(labelsize=7, length=2)


def draw_peaks(ax: Axes, table: pd.DataFrame) -> None:
    """Panel b: constant learning rates (solid) with their decays (dashed)."""
    peaks, labels = sorted(table[table.arm == "stable"].lr.unique()), []
    for peak, color in zip(peaks, shades("wsd", len(peaks)), strict=True):
        trunk = series(table, arm="stable", lr=peak)
        draw_band(ax, trunk, color)
        for budget in sorted(table[table.arm == "wsd"].end.unique()):
            draw_band(ax, series(table, arm="wsd", lr=peak, end=budget), color, linestyle="--")
        labels.append((trunk.step.iloc[-1], trunk["mean"].iloc[-1], f"{peak:g}", color))
    label_lines(ax, labels)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    runs = runs.assign(end=runs.groupby(["run", "seed"]).step.transform("max"))
    table = curves(runs)
    seen = table[table.step > table.step.max() / 20]
    margin = 0.06 * (seen["mean"].max() - seen["mean"].min())
    limits = (seen["mean"].min() - 3 * margin, seen["mean"].max() + margin)
    fig, (left, right) = figure(width="page", columns=2, height=3.4, sharey=True, xlabel="update", ylim=limits)
    left.set(ylabel="validation loss (nats/byte)", title="a  WSD, one cosine per budget")
    right.set(title="b  Constant rates and decays")
    draw_schedules(left, table, runs)
    draw_peaks(right, table)
    mark(left, verdicts["W8"])
    mark(right, verdicts["W1"], verdicts["W2"])
    return fig, table
