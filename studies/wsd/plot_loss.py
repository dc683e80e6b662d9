"""Validation loss of WSD against oracle cosine, and of constant learning rates with their decays (wsd, figure 1)."""

import pandas as pd
from claims import best, last_loss

from common.plotting import COLOR, Axes, Figure, figure, label_line, mean_band, save, shades
from common.records import read_runs


def curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean validation loss and its 95 % interval over seeds, by series (arm, peak, budget) and step."""
    rows = runs[runs.val_loss.notna()].copy()
    end = rows.groupby("run").step.transform("max")
    rows["budget"] = end.where(rows.arm != "stable", end.max())
    return mean_band(rows, by=["arm", "lr", "budget", "step"], value="val_loss")


def series(table: pd.DataFrame, **where: object) -> pd.DataFrame:
    """The rows of one curve."""
    return table.loc[(table[list(where)] == pd.Series(where)).all(axis=1)]


def draw_curve(ax: Axes, curve: pd.DataFrame, color: object, **style: object) -> None:
    """Mean as a line, interval as a band."""
    ax.plot(curve.step, curve["mean"], color=color, **style)
    ax.fill_between(curve.step, curve.low, curve.high, color=color, alpha=0.2, linewidth=0)


def draw_schedules(ax: Axes, table: pd.DataFrame, runs: pd.DataFrame) -> None:
    """Panel a: one constant run with a decay for each budget, and the cosine of each budget."""
    budgets = sorted(table[table.arm == "wsd"].budget.unique())
    peak = best(last_loss(runs, "wsd"), budgets[-1])[0]
    draw_curve(ax, series(table, arm="stable", lr=peak), COLOR["constant"])
    for budget in budgets:
        draw_curve(ax, series(table, arm="wsd", lr=peak, budget=budget), COLOR["wsd"])
        cosine_peak = best(last_loss(runs, "cosine"), budget)[0]
        draw_curve(ax, series(table, arm="cosine", lr=cosine_peak, budget=budget), COLOR["cosine"])
    inset = ax.inset_axes((0.56, 0.66, 0.42, 0.3))
    for arm in ("stable", "wsd", "cosine"):
        rates = runs[
            (runs.arm == arm) & (runs.lr == (cosine_peak if arm == "cosine" else peak)) & runs.learning_rate.notna()
        ]
        one = rates[rates.seed == rates.seed.min()]
        for _, run in one.groupby("run"):
            inset.plot(run.step, run.learning_rate, color=COLOR["constant" if arm == "stable" else arm], linewidth=0.8)
    inset.set_title("learning rate", fontsize=6, fontweight="normal")
    inset.tick_params(labelsize=5)


def draw_peaks(ax: Axes, table: pd.DataFrame) -> None:
    """Panel b: constant learning rates (solid) with their decays (dashed)."""
    peaks = sorted(table[table.arm == "stable"].lr.unique())
    for peak, color in zip(peaks, shades("wsd", len(peaks)), strict=True):
        trunk = series(table, arm="stable", lr=peak)
        draw_curve(ax, trunk, color)
        for budget in sorted(table[table.arm == "wsd"].budget.unique()):
            draw_curve(ax, series(table, arm="wsd", lr=peak, budget=budget), color, linestyle="--")
        label_line(ax, trunk.step.iloc[-1], trunk["mean"].iloc[-1], f"{peak:g}", color=color)


def draw(runs: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = curves(runs)
    fig, (left, right) = figure(width="page", columns=2, sharey=True, xlabel="update")
    draw_schedules(left, table, runs)
    draw_peaks(right, table)
    return fig, table


if __name__ == "__main__":
    runs = read_runs(snakemake.input.runs)
    fig, table = draw(runs)
    save(fig, snakemake.output, data=table, runs=snakemake.input.runs)
