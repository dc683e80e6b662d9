"""Error of finite widths against the widest along training.

Relative difference to the widest network of the same seed along training under μP, of loss, sharpness, tangent kernel
and Hessian trace, mean over seeds; updates are grouped by half octaves, with the geometric mean of their differences.
Loss and sharpness are from all seeds, kernel and traces from three, at five updates; the traces are estimates with
standard errors of a few per cent. Dashed: power law in the update, fitted to the mean over widths. Numbers: exponents
(exp.), fitted by seed, in the update t and in the width N, with 95 % intervals. Widths have the same shades everywhere.
The reference has a finite width itself, which steepens the exponent in N. Kernel and Hessian differ by the residual
part, whose trace grows with the width while there is something left to learn.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from common.evidence.claims import Judged
from common.evidence.statistics import t_interval
from common.plotting import Axes, Figure, figure, label_lines, mark, mean_band, note, shades
from studies.lr_transfer.consistency import SHARPNESS, errors, power_law, tables
from studies.lr_transfer.styles import COLORS

TITLES = {
    "loss": "Training loss",
    "trace": "Hessian trace",
    "ntk_trace": "Kernel trace",
    "ntk": "Top of kernel",
    "sharpness": "Sharpness",
}
NAME = "mup"
TICKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
THEORY: dict[str, Any] = {"color": "black", "linewidth": 0.7, "linestyle": "--"}


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
    parts = [
        errors(curves).reset_index().melt(id_vars="step", var_name="width", value_name="error").assign(seed=seed)
        for seed, curves in found.items()
    ]
    rows = pd.concat(parts).sort_values(["seed", "step", "width"])
    rows = rows[(rows.step > 0) & (rows.error > 0)]
    rows = rows.assign(step=2 ** (np.round(2 * np.log2(rows.step)) / 2), error=np.log(rows.error))
    means = rows.groupby(["seed", "width", "step"], as_index=False)[["error"]].mean()
    return means.assign(error=np.exp(means.error))


def exponents(rows: pd.DataFrame, by: str) -> pd.Series:
    """Exponent of a power law in `by` of the error averaged over all else, by seed."""
    means = rows.groupby(["seed", by], as_index=False)[["error"]].mean()
    return pd.Series({seed: power_law(part[by], part.error)[1] for seed, part in means.groupby("seed")})


def law(rows: pd.DataFrame) -> str:
    """Fitted exponents in update and width with their 95 % intervals over seeds."""
    lines = []
    for by, symbol in (("step", "t"), ("width", "N")):
        found = t_interval(exponents(rows, by))
        half = f" ± {found.high - found.mean:.2f}" if np.isfinite(found.high) else ""
        lines.append(f"{symbol} exp. {found.mean:+.2f}{half}".replace("-", "−"))
    return "\n".join(lines)


def draw_panel(ax: Axes, table: pd.DataFrame, *, named: bool) -> None:
    """One line for each width, `named` or not, and the power law of their mean."""
    widths = sorted(table.width.unique())
    labels = []
    for width, shade in zip(widths, shades(COLORS[NAME], len(widths) + 1), strict=False):
        curve = table[table.width == width]
        ax.plot(curve.step, np.log10(curve["mean"]), color=shade, marker="o", markersize=2.5)
        labels.append((curve.step.iloc[-1], float(np.log10(curve["mean"].iloc[-1])), f"N = {width}", shade))
    if named:
        label_lines(ax, labels)
    means = table.groupby("step", as_index=False)["mean"].mean()
    factor, exponent = power_law(means.step, means["mean"])
    ends = np.array([means.step.min(), means.step.max()])
    ax.plot(ends, np.log10(factor * ends**exponent), **THEORY)


def draw(runs: pd.DataFrame, spectrum: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
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
    panels[0].set(ylabel=f"relative difference to N = {widest}", ylim=(-2.75, 0.4))
    panels[0].set_xticks([10, 100], ["10", "100"])
    panels[0].set_yticks(np.log10(TICKS), [f"{100 * tick:g} %" for tick in TICKS])
    for ax, (quantity, title) in zip(panels, TITLES.items(), strict=True):
        ax.set(title=title)
        draw_panel(ax, table[table.quantity == quantity], named=ax is panels[-1])
        note(ax, law(rows[quantity]), corner="upper left", width=26)
    mark(panels[-1], verdicts["T9"])
    return fig, table
