"""Claims on the sharpness of training. Thresholds frozen after a pilot with seeds 100 and 101."""

import math
from collections.abc import Hashable
from itertools import pairwise

import numpy as np
import pandas as pd

from common.claims import claim
from common.statistics import log_log_slopes, paired_differences
from common.verdicts import Verdict, all_of, equivalence, exact, greater, less, within

COHEN = "Cohen et al. 2021, abstract"
LAST_SHARE = 1 / 3
"""Part of a run, at its end, over which a plateau is taken."""


def measured(runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of gradient descent at which sharpness was measured, with `edge` = lr sharpness / 2."""
    rows = runs[(runs.arm == "gd") & runs.sharpness.notna()]
    return rows.assign(edge=rows.lr * rows.sharpness / 2)


def plateaus(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Median of a column over the last third of the runs, by seed (rows) and learning rate (columns)."""
    late = rows[rows.step >= (1 - LAST_SHARE) * rows.step.max()]
    return late.groupby(["seed", "lr"])[column].median().unstack("lr")


def batch_plateaus(runs: pd.DataFrame) -> pd.DataFrame:
    """Plateau of lr sharpness / 2 by seed (rows) and batch size (columns, ascending; infinite for the full batch)."""
    rows = runs[runs.arm.isin(["gd", "batch"]) & runs.sharpness.notna()]
    rows = rows[rows.lr.isin(rows.lr[rows.arm == "batch"]) & (rows.step >= (1 - LAST_SHARE) * rows.step.max())]
    rows = rows.assign(edge=rows.lr * rows.sharpness / 2, batch_size=rows.batch_size.fillna(math.inf))
    return rows.groupby(["seed", "batch_size"]).edge.median().unstack("batch_size")


def top_gradient_slopes(layers: pd.DataFrame, place: str) -> dict[Hashable, float]:
    """Log-log slope against depth of the gradient norm in the last block, by seed."""
    top = layers[(layers.place == place) & (layers.block == layers.depth)]
    norms = top.pivot(index="seed", columns="depth", values="gradient_norm")
    return log_log_slopes(list(norms.columns), {seed: list(row) for seed, row in norms.iterrows()})


def outlier_counts(spectrum: pd.DataFrame, norm: str) -> pd.Series:
    """Eigenvalues above the widest gap, as a ratio of neighbours, among the largest twenty; by seed."""
    rows = spectrum[(spectrum.norm == norm) & (spectrum.quantity == "top")]
    top = rows.pivot(index="rank", columns="seed", values="eigenvalue")
    return (top / top.shift(-1)).idxmax()


def reaches(spectrum: pd.DataFrame, norm: str) -> pd.Series:
    """Largest eigenvalue over the 95th percentile of the spectrum, by seed."""
    rows = spectrum[spectrum.norm == norm].set_index("seed")
    return rows.eigenvalue[rows["rank"] == 1] / rows.eigenvalue[rows.quantity == "percentile"]


@claim(
    "S1",
    "full-batch gradient descent sits at the edge of stability",
    source=COHEN,
    published="hovers at or just above 2/lr",
    published_mark="published",
)
def sits_at_the_edge(runs: pd.DataFrame) -> Verdict:
    """Plateau of lr sharpness / 2 in [0.95, 1.10] at each rate; at most 0.8 at the start of the two smallest."""
    rows = measured(runs)
    late, start = plateaus(rows, "edge"), rows[rows.step == 0].pivot(index="seed", columns="lr", values="edge")
    return all_of(
        *(within(late[lr], low=0.95, high=1.10, unit="of 2/lr", label=f"plateau, lr {lr:g}") for lr in late.columns),
        *(less(start[lr], than=0.8, unit="of 2/lr", label=f"start, lr {lr:g}") for lr in start.columns[:2]),
    )


@claim(
    "S2",
    "a larger learning rate has a lower plateau, in inverse proportion",
    source=COHEN,
    published="2/lr: slope -1",
    published_mark="published",
)
def plateau_is_inverse(runs: pd.DataFrame) -> Verdict:
    """Slope of log sharpness on the plateau against log learning rate within -1 +- 0.05."""
    late = plateaus(measured(runs), "sharpness")
    slopes = log_log_slopes(list(late.columns), {seed: list(row) for seed, row in late.iterrows()})
    return within(slopes, low=-1.05, high=-0.95, unit="d log sharpness / d log lr")


@claim(
    "S11",
    "the smaller the batch, the lower the plateau of the sharpness on all data",
    source="Liao et al. 2026 (arXiv:2604.21016), abstract",
    published="below 2/lr, the gap widens as the batch shrinks",
    published_mark="published",
)
def plateau_falls_with_the_batch(runs: pd.DataFrame) -> Verdict:
    """Full batch in [0.95, 1.10] of 2/lr, smallest batch at most 0.8; no smaller batch more than 0.02 above a larger."""
    late = batch_plateaus(runs)
    pairs = pairwise(late.columns)
    falls = {(small, large): paired_differences(late[small], late[large]) for small, large in pairs}
    return all_of(
        within(late[math.inf], low=0.95, high=1.10, unit="of 2/lr", label="full batch"),
        less(late[late.columns[0]], than=0.8, unit="of 2/lr", label=f"batch {late.columns[0]:g}"),
        *(
            less(fall, than=0.02, unit="of 2/lr", label=f"batch {small:g} minus {large:g}")
            for (small, large), fall in falls.items()
        ),
    )


@claim(
    "S12",
    "a random batch is sharper than the whole data, the more so the smaller it is",
    source="Granziol et al. 2022 (arXiv:2006.09092), abstract",
    published="extremes of the batch Hessian are larger",
    published_mark="published",
)
def small_batches_are_sharper(batches: pd.DataFrame) -> Verdict:
    """Initial and trained: smallest batch at least 1.5 times the whole data; each size above the next and the whole."""
    parts = []
    for state, rows in batches.groupby("state"):
        ratios = rows.assign(ratio=rows.sharpness / rows.whole).pivot(
            index="seed", columns="batch_size", values="ratio"
        )
        sizes = list(ratios.columns)
        parts.append(greater(ratios[sizes[0]], than=1.5, unit="of the whole", label=f"{state}, batch {sizes[0]}"))
        parts += [
            greater(ratios[small] - ratios[large], than=0, unit="of the whole", label=f"{state}, {small} minus {large}")
            for small, large in pairwise(sizes)
        ]
        parts.append(greater(ratios[sizes[-1]], than=1, unit="of the whole", label=f"{state}, batch {sizes[-1]}"))
    return all_of(*parts)


@claim(
    "S13",
    "full-batch Adam sits at its own edge, 38/lr of the preconditioned Hessian",
    source="Cohen et al. 2022 (arXiv:2207.14484), abstract",
    published="38/lr at beta1 = 0.9",
    published_mark="published",
)
def adam_sits_at_its_edge(runs: pd.DataFrame) -> Verdict:
    """Plateau of lr effective sharpness / 38 in [0.9, 1.1] at each rate."""
    late = plateaus(runs[(runs.arm == "adam") & runs.normalised_sharpness.notna()], "normalised_sharpness")
    return all_of(
        *(within(late[lr], low=0.9, high=1.1, unit="of 38/lr", label=f"plateau, lr {lr:g}") for lr in late.columns)
    )


@claim(
    "S14",
    "at the start the top gradient keeps its size with depth after Post-LN, and falls as its root with Pre-LN",
    source="Xiong et al. 2020 (arXiv:2002.04745), theorem 1",
    published="slopes 0 and -1/2: sqrt(ln d), sqrt(ln d / L)",
    published_mark="recalled",
    seeds=20,
)
def top_gradients_follow_the_norms(layers: pd.DataFrame) -> Verdict:
    """Slope of log top-block gradient norm against log depth: 0 +- 0.15 for Post-LN, -0.5 +- 0.15 for Pre-LN."""
    slopes = {place: top_gradient_slopes(layers, place) for place in ("post", "pre")}
    unit = "d log norm / d log depth"
    return all_of(
        within(slopes["post"], low=-0.15, high=0.15, unit=unit, label="Post-LN"),
        within(slopes["pre"], low=-0.65, high=-0.35, unit=unit, label="Pre-LN"),
    )


@claim(
    "S15",
    "a few eigenvalues stand apart from the bulk, and hardly any with batch normalisation",
    source="Ghorbani et al. 2019 (arXiv:1901.10159), abstract",
    published="present without, almost absent with BN",
    published_mark="published",
)
def outliers_vanish_with_batch_normalisation(spectrum: pd.DataFrame) -> Verdict:
    """C - 2 to C + 1 outliers without BN, C = 10 classes; BN divides the largest over the 95th percentile by 5."""
    reach = {norm: np.log2(reaches(spectrum, norm)) for norm in ("none", "batchnorm")}
    cut = paired_differences(reach["none"], reach["batchnorm"], names=("none", "batchnorm"))
    return all_of(
        within(outlier_counts(spectrum, "none"), low=7.5, high=11.5, unit="outliers", label="without BN"),
        greater(cut, than=math.log2(5), unit="doublings", label="largest over 95th percentile, without over with BN"),
    )


@claim(
    "S16",
    "the estimate of the largest eigenvalue is right, and its bound holds",
    source="theorem 4.5.1 of Parlett 1998; derived here",
    published="error at most 1e-3; no violation",
    published_mark="derived",
)
def estimator_is_right(estimator: pd.DataFrame) -> Verdict:
    """Every network and precision: relative error at most 1e-3; the nearest eigenvalue within the residual bound."""
    cases = estimator.set_index(estimator.network.astype(str) + " " + estimator.precision)
    error = (cases.estimate - cases.exact).abs() / cases.exact.abs()
    return all_of(
        exact(error, high=1e-3, unit="relative error", label="relative error"),
        exact(cases.distance / cases.bound, high=1.0, unit="of the bound", label="distance to the spectrum"),
    )


@claim(
    "S17",
    "a line search of a few forward passes finds the sharpness at the edge of stability",
    source="Kalra et al. 2026 (arXiv:2601.16979), abstract and figure 2",
    published="fewer than 10 passes; oscillates around 2/lr at the edge",
    published_mark="published",
)
def line_search_finds_the_sharpness(critical: pd.DataFrame) -> Verdict:
    """Mean log2 of critical over top eigenvalue over late states within +-1 at each rate; at most 9 passes in each."""
    octaves = np.log2(critical.critical / critical.sharpness)
    late = octaves.groupby([critical.seed, critical.lr]).mean().unstack("lr")
    return all_of(
        *(equivalence(late[lr], margin=1.0, unit="octaves", label=f"lr {lr:g}") for lr in late.columns),
        exact(critical.passes, high=9, unit="passes", label="forward passes"),
    )
