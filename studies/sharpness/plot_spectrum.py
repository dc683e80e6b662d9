"""Density of the Hessian's eigenvalues for one seed, and the largest twenty over all seeds."""

import pandas as pd
from claims import outliers_vanish_with_batch_normalisation

from common.claims import sentence
from common.plotting import COLOR, Axes, Figure, figure, mean_band, note, save

NORMS = {"none": (COLOR["rewarm"], "without BN"), "batchnorm": (COLOR["wsd"], "with BN")}
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
    return rows[rows.quantity.isin(["density", "top"])].rename(columns={"density": "mean"})


def draw_top(ax: Axes, spectrum: pd.DataFrame) -> pd.DataFrame:
    """Largest eigenvalues by rank, mean and interval over seeds; the rows drawn."""
    table = mean_band(spectrum[spectrum.quantity == "top"], by=["norm", "rank"], value="eigenvalue")
    for norm, (color, name) in NORMS.items():
        rows = table[table.norm == norm]
        ax.plot(rows["rank"], rows["mean"], color=color, marker="o", markersize=3)
        ax.fill_between(rows["rank"].astype(int), rows.low, rows.high, color=color, alpha=0.2, linewidth=0)
        middle = rows.iloc[len(rows) * 2 // 3]
        ax.annotate(name, (middle["rank"], middle["mean"]), (0, 7), textcoords="offset points", fontsize=7, color=color)
    ax.axvline(CLASSES - 0.5, color=COLOR["reference"], linewidth=0.8, linestyle="--")
    return table.assign(quantity="mean of top")


def draw(spectrum: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, (left, right) = figure(width="page", columns=2, height=3.0)
    density, top = draw_density(left, spectrum), draw_top(right, spectrum)
    left.set(title="a  Density, one seed", xlabel="eigenvalue", ylabel="density")
    right.set(title="b  The twenty largest", xlabel="rank", ylabel="eigenvalue", yscale="log")
    right.set_xticks([1, 5, CLASSES - 1, 15, 20])
    note(left, sentence(outliers_vanish_with_batch_normalisation, spectrum=spectrum), corner="upper right", width=54)
    return fig, pd.concat([density, top])


if __name__ == "__main__":
    fig, table = draw(pd.read_csv(snakemake.input.spectrum))
    save(fig, snakemake.output, data=table, runs=snakemake.input.runs)
