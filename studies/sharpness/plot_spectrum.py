"""Largest eigenvalues and spectral density with and without batch normalisation.

Hessian of the training loss of ReLU networks on digits with 10 % wrong labels, stopped before those are memorised.
a: density of the eigenvalues of one seed by stochastic Lanczos quadrature, smoothed; the strokes below are the twenty
largest. b: the twenty largest, mean and 95 % interval over seeds; the dashed line is between the ninth and the tenth.
With batch normalisation the loss is that of batches of 128, each of which normalises itself, as in training.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, figure, mark, mean_band

NORMS = {"none": (PALETTE["rewarm"], "without BN"), "batchnorm": (PALETTE["wsd"], "with BN")}
CLASSES = 10
LEAST = 1e-5
"""Lowest density drawn: below an eigenvalue in a hundred thousand there is none."""


def draw_density(ax: Axes, spectrum: pd.DataFrame) -> pd.DataFrame:
    """Smoothed densities of the first seed, with a stroke for each of the largest eigenvalues; the rows drawn."""
    rows = spectrum[spectrum.seed == spectrum.seed.min()]
    for place, (norm, (color, _)) in enumerate(NORMS.items()):
        curve = rows[(rows.norm == norm) & (rows.quantity == "density")]
        ax.plot(curve.eigenvalue, curve.density.clip(lower=LEAST), color=color)
        ax.fill_between(curve.eigenvalue, LEAST, curve.density.clip(lower=LEAST), color=color, alpha=0.15, linewidth=0)
        top = rows[(rows.norm == norm) & (rows.quantity == "top")]
        ax.vlines(top.eigenvalue, LEAST / 3.4 ** (place + 1), LEAST / 3.4**place / 1.3, color=color, linewidth=0.8)
    ax.set(yscale="log", ylim=(LEAST / 14, None))
    drawn: pd.DataFrame = rows[rows.quantity.isin(["density", "top"])].rename(columns={"density": "mean"})
    return drawn


def draw_top(ax: Axes, spectrum: pd.DataFrame) -> pd.DataFrame:
    """Largest eigenvalues by rank, mean and interval over seeds; the rows drawn."""
    table = mean_band(spectrum[spectrum.quantity == "top"], by=["norm", "rank"], value="eigenvalue")
    for norm, (color, name) in NORMS.items():
        rows = table[table.norm == norm]
        ax.plot(rows["rank"], rows["mean"], color=color, marker="o", markersize=3)
        ax.fill_between(rows["rank"].astype(int), rows.low, rows.high, color=color, alpha=0.2, linewidth=0)
        middle = rows.iloc[len(rows) * 2 // 3]
        ax.annotate(name, (middle["rank"], middle["mean"]), (0, 7), textcoords="offset points", fontsize=7, color=color)
    ax.axvline(CLASSES - 0.5, color=PALETTE["reference"], linewidth=0.8, linestyle="--")
    return table.assign(quantity="mean of top")


def draw(
    runs: pd.DataFrame,  # noqa: ARG001
    spectrum: pd.DataFrame,
    verdicts: dict[str, Judged],
) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn; `runs` are those measured, which the figure's record names."""
    fig, (left, right) = figure(width="page", columns=2, height=3.0)
    density, top = draw_density(left, spectrum), draw_top(right, spectrum)
    left.set(title="a  Density, one seed", xlabel="eigenvalue", ylabel="density")
    right.set(title="b  The twenty largest", xlabel="rank", ylabel="eigenvalue", yscale="log")
    right.set_xticks([1, 5, CLASSES - 1, 15, 20])
    mark(right, verdicts["S15"])
    return fig, pd.concat([density, top])
