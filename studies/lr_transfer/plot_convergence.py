"""Finite-width errors along training under muP: of loss, sharpness, tangent kernel and Hessian trace."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from claims import sharpness_is_more_consistent_than_loss
from consistency import SHARPNESS, errors, power_law, tables
from styles import COLORS

from common.claims import sentence
from common.plotting import Axes, Figure, figure, label_lines, mean_band, note, save, shades
from common.records import read_runs
from common.statistics import t_interval

TITLES = {
    "loss": "Training loss",
    "trace": "Hessian trace",
    "ntk_trace": "Kernel trace",
    "ntk": "Top of kernel",
    "sharpness": "Sharpness",
}
NAME = "mup"
TICKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
THEORY = {"color": "black", "linewidth": 0.7, "linestyle": "--"}


def measured(spectrum: pd.DataFrame, quantity: str) -> dict[int, pd.DataFrame]:
    """Tables of the trace, or of a largest eigenvalue, by seed, as those of `consistency.tables`."""
    rows = spectrum[(spectrum.parametrization == NAME) & (spectrum.quantity == quantity)]
    rows = rows[rows["rank"].isna() | (rows["rank"] == 1)]
    return {
        int(str(seed)): part.pivot(index="step", columns="width", values="value") for seed, part in rows.groupby("seed")
    }


def finite_width(found: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Errors against the widest of the same seed after the start: columns seed, width, step, error.

    Updates within a quarter octave of a power of sqrt(2) share one row at that power, with the geometric mean of their
    errors, so that the oscillations at the edge do not hide the trend.
    """
    parts = [errors(curves).stack().rename("error").reset_index().assign(seed=seed) for seed, curves in found.items()]
    rows = pd.concat(parts)
    rows = rows[(rows.step > 0) & (rows.error > 0)]
    rows = rows.assign(step=2 ** (np.round(2 * np.log2(rows.step)) / 2), error=np.log(rows.error))
    means = rows.groupby(["seed", "width", "step"], as_index=False).error.mean()
    return means.assign(error=np.exp(means.error))


def exponents(rows: pd.DataFrame, by: str) -> pd.Series:
    """Exponent of a power law in `by` of the error averaged over all else, by seed."""
    means = rows.groupby(["seed", by], as_index=False).error.mean()
    return pd.Series({seed: power_law(part[by], part.error)[1] for seed, part in means.groupby("seed")})


def law(rows: pd.DataFrame) -> str:
    """Fitted exponents in update and width with their 95 % intervals over seeds."""
    lines = []
    for by, symbol in (("step", "t"), ("width", "N")):
        found = t_interval(exponents(rows, by))
        half = f" ± {found.high - found.mean:.2f}" if np.isfinite(found.high) else ""
        lines.append(f"{symbol} exponent {found.mean:+.2f}{half}".replace("-", "−"))
    return "\n".join(lines)


def draw_panel(ax: Axes, table: pd.DataFrame) -> None:
    """One line for each width, and the power law of their mean."""
    widths = sorted(table.width.unique())
    labels = []
    for width, shade in zip(widths, shades(COLORS[NAME], len(widths) + 1), strict=False):
        curve = table[table.width == width]
        ax.plot(curve.step, np.log10(curve["mean"]), color=shade, marker="o", markersize=2.5)
        labels.append((curve.step.iloc[-1], float(np.log10(curve["mean"].iloc[-1])), f"N = {width}", shade))
    label_lines(ax, labels)
    means = table.groupby("step", as_index=False)["mean"].mean()
    factor, exponent = power_law(means.step, means["mean"])
    ends = np.array([means.step.min(), means.step.max()])
    ax.plot(ends, np.log10(factor * ends**exponent), **THEORY)


def draw(runs: pd.DataFrame, spectrum: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    values = {"loss": "train_loss", "sharpness": SHARPNESS}
    found = {
        **{
            quantity: tables(runs, arm="curve", parametrization=NAME, value=value) for quantity, value in values.items()
        },
        **{quantity: measured(spectrum, quantity) for quantity in ("trace", "ntk_trace", "ntk")},
    }
    rows = {quantity: finite_width(curves) for quantity, curves in found.items()}
    table = pd.concat(
        mean_band(part, by=["width", "step"], value="error").assign(quantity=quantity)
        for quantity, part in rows.items()
    )
    fig, panels = figure(
        width="page", columns=len(TITLES), height=2.6, sharey=True, sharex=True, xlabel="update", xscale="log"
    )
    widest = runs.width[runs.arm == "curve"].max()
    panels[0].set(ylabel=f"relative difference to N = {widest}", ylim=(-3.0, 0.4))
    panels[0].set_xticks([10, 100], ["10", "100"])
    panels[0].set_yticks(np.log10(TICKS), [f"{100 * tick:g} %" for tick in TICKS])
    for ax, (quantity, title) in zip(panels, TITLES.items(), strict=True):
        ax.set(title=title)
        draw_panel(ax, table[table.quantity == quantity])
        note(ax, law(rows[quantity]), corner="upper left", width=26)
    claim = sentence(sharpness_is_more_consistent_than_loss, runs)
    note(panels[1], claim, corner="lower left", width=26)
    return fig, table


if __name__ == "__main__":
    fig, table = draw(read_runs(snakemake.input.runs), pd.read_csv(snakemake.input.spectrum))
    save(fig, snakemake.output, data=table, runs=snakemake.input.runs)
