"""When the claims on the sharpness of training hold. Thresholds were frozen after pilots with seeds 100 to 102."""

import math
from collections.abc import Hashable
from itertools import pairwise

import numpy as np
import pandas as pd

from common.evidence.combinations import all_of, any_of
from common.evidence.statistics import log_log_slopes, paired_differences
from common.evidence.verdicts import Verdict, equivalence, exact, greater, less, proportion, reported, within
from studies.sharpness.divergence import (
    CASES,
    best,
    fallen,
    halfway,
    limit,
    limit_over_line,
    limit_slopes,
    nearest,
    phase,
    starts,
    useful_octaves,
)
from studies.sharpness.plateaus import batch_plateaus, batch_ratios, plateaus
from studies.sharpness.study import CURES, FLAT, PHASE_LRS, SHARPEST, WARMUP

OCTAVES = "octaves above 2/sharpness"


def measured(runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of gradient descent at which sharpness was measured, with `edge` = lr sharpness / 2."""
    rows = runs[(runs.arm == "gd") & runs.sharpness.notna()]
    return rows.assign(edge=rows.lr * rows.sharpness / 2)


def slopes_of(table: pd.DataFrame) -> dict[Hashable, float]:
    """Log-log slope of each row against the numbers that name the columns."""
    return log_log_slopes([float(x) for x in table.columns], {label: list(row) for label, row in table.iterrows()})


def top_gradient_slopes(layers: pd.DataFrame, place: str) -> dict[Hashable, float]:
    """Log-log slope against depth of the gradient norm in the last block, by seed."""
    top = layers[(layers.place == place) & (layers.block == layers.depth)]
    norms = top.pivot(index="seed", columns="depth", values="gradient_norm")
    return slopes_of(norms)


def outlier_counts(spectrum: pd.DataFrame, norm: str) -> pd.Series:
    """Eigenvalues above the widest gap, as a ratio of neighbours, among the largest twenty; by seed."""
    rows = spectrum[(spectrum.norm == norm) & (spectrum.quantity == "top")]
    top = rows.pivot(index="rank", columns="seed", values="eigenvalue")
    return (top / top.shift(-1)).idxmax()


def reaches(spectrum: pd.DataFrame, norm: str) -> pd.Series:
    """Largest eigenvalue over the 95th percentile of the spectrum, by seed."""
    rows = spectrum[spectrum.norm == norm].set_index("seed")
    return rows.eigenvalue[rows["rank"] == 1] / rows.eigenvalue[rows.quantity == "percentile"]


def sits_at_the_edge(runs: pd.DataFrame) -> Verdict:
    """Plateau of lr sharpness / 2 in [0.95, 1.10] at each rate; at most 0.8 at the start of the two smallest."""
    rows = measured(runs)
    late, start = plateaus(rows, "edge"), rows[rows.step == 0].pivot(index="seed", columns="lr", values="edge")
    return all_of(
        *(within(late[lr], low=0.95, high=1.10, unit="of 2/lr", label=f"plateau, lr {lr:g}") for lr in late.columns),
        *(less(start[lr], than=0.8, unit="of 2/lr", label=f"start, lr {lr:g}") for lr in start.columns[:2]),
    )


def plateau_is_inverse(runs: pd.DataFrame) -> Verdict:
    """Slope of log sharpness on the plateau against log learning rate within -1 +- 0.05."""
    late = plateaus(measured(runs), "sharpness")
    return within(slopes_of(late), low=-1.05, high=-0.95, unit="d log sharpness / d log lr")


def line_at_the_start_separates(runs: pd.DataFrame) -> Verdict:
    """Over 95 % of runs with lr sharpness / 2 <= 0.9 survive; the divergence rate is 1 to 8 times that line."""
    table = phase(runs)
    plain = table[(table.warmup == 0) & (table.rule == "plain")]
    below = plain[plain.excess <= 0.9]
    bands = [
        within(np.log2(limit_over_line(table, f"{case}_w0")), low=0.0, high=3.0, unit=OCTAVES, label=case)
        for case in CASES
    ]
    momentum = [
        reported(np.log2(limit_over_line(table, f"{case}_momentum")), unit=OCTAVES, label=f"{case}, momentum 0.9")
        for case in ("plain1", "plain3")
    ]
    return all_of(proportion(list(~below.failed), above=0.95, label="survive below the line"), *bands, *momentum)


def divergence_follows_sharpness(runs: pd.DataFrame) -> Verdict:
    """Slope of log divergence rate against log sharpness at the start, over all networks: -1 +- 0.25."""
    table = phase(runs)
    plain = [case for case in CASES if case.startswith("plain")]
    slopes, sharp = (limit_slopes(runs, table, cases) for cases in (CASES, plain))
    unit = "d log rate / d log sharpness"
    return all_of(
        within(slopes, low=-1.25, high=-0.75, unit=unit, label="all networks"),
        reported(sharp, unit=unit, label="plain networks of five gains"),
    )


def survivors_lie_under_the_line(runs: pd.DataFrame) -> Verdict:
    """Over 95 % of full-batch survivors have a median lr sharpness / 2 of at most 1.1 in the second half."""
    full = halfway(runs[runs.arm.isin(["gd", "full"])])
    table = phase(runs)
    batches = table[(table.rule == "plain") & ~table.failed & table.edge.notna()]
    shares = (batches.edge <= 1.1).groupby(batches.seed).mean()
    heavy = halfway(runs[runs.arm == "heavy"])
    plateaus = [
        reported(group.set_index("seed").edge * 2, unit="lr sharpness", label=f"momentum 0.9, lr {lr:g}")
        for lr, group in heavy.groupby("lr")
    ]
    return all_of(
        proportion(list(full.edge <= 1.1), above=0.95, label="full batch"),
        reported(shares, unit="of survivors", label="batch 128"),
        *plateaus,
    )


def warmup_extends(runs: pd.DataFrame) -> Verdict:
    """Divergence rate at least 4 times as high, never lower after longer warm-up; at its end on or under the edge.

    The last part is at the rate from which on the network fails without warm-up: lr sharpness / 2 at most 1.15.
    """
    table = phase(runs)
    lengths = [warmup for case, warmup in PHASE_LRS if case == SHARPEST]
    rates = {warmup: np.log2(limit(table, f"{SHARPEST}_w{warmup}")) for warmup in lengths}
    gain = rates[WARMUP] - rates[0]
    steps = [
        greater(paired_differences(rates[long], rates[short]), than=-0.25, unit="octaves", label=f"{short} to {long}")
        for short, long in pairwise(lengths)
    ]
    warm = table[(table.arm == f"{SHARPEST}_w{WARMUP}") & table.warmed.notna()]
    ends = nearest(warm, warm.seed.map(limit(table, f"{SHARPEST}_w0")), value="warmed")
    return all_of(
        greater(gain, than=1.75, unit="octaves", label=f"warm-up of {WARMUP}"),
        *steps,
        less(ends, than=1.15, unit="of 2/lr", label="end of warm-up"),
    )


def warmup_lowers(runs: pd.DataFrame) -> Verdict:
    """After the warm-up to a peak of 8/sharpness at most 0.25 of the start; after as many tiny updates at least 0.7.

    Reported: the same at the rate from which on the network fails without warm-up.
    """
    table = phase(runs)
    warm = table[(table.arm == f"{SHARPEST}_w{WARMUP}") & table.warmed.notna()]
    warm = warm.assign(left=np.log2(warm.warmed / warm.excess))
    gentle = nearest(warm, 8 / warm.start, value="left")
    hot = nearest(warm, warm.seed.map(limit(table, f"{SHARPEST}_w0")), value="left")
    kept = fallen(runs, f"{SHARPEST}_quiet")
    unit = "octaves of sharpness"
    return all_of(
        less(gentle, than=np.log2(0.25), unit=unit, label="peak 8/sharpness"),
        greater(kept, than=np.log2(0.7), unit=unit, label="tiny rate"),
        reported(hot, unit=unit, label="peak that fails without warm-up"),
    )


def warmup_matches_cures(runs: pd.DataFrame) -> Verdict:
    """Best loss with warm-up at most 10 % above that of each cure; without it 20 % above, or 2 octaves fewer rates."""
    table = phase(runs)
    loss = {arm: np.log(best(table, arm)) for arm in (*CURES, f"{SHARPEST}_w0", f"{SHARPEST}_w{WARMUP}")}
    octaves = {arm: useful_octaves(table, arm) for arm in (f"{SHARPEST}_w0", f"{SHARPEST}_w{WARMUP}")}
    plain, warm = octaves
    unit = "nats of loss ratio"
    return all_of(
        *(
            less(paired_differences(loss[warm], loss[arm]), than=np.log(1.1), unit=unit, label=f"against {name}")
            for arm, name in CURES.items()
        ),
        any_of(
            greater(paired_differences(loss[plain], loss[warm]), than=np.log(1.2), unit=unit, label="loss without"),
            greater(
                paired_differences(octaves[warm], octaves[plain]), than=1.75, unit="octaves", label="rates without"
            ),
            label="needed",
        ),
    )


def cures_start_flat(runs: pd.DataFrame) -> Verdict:
    """Sharpness at the start at most a third of that of the plain network from the bad initialisation."""
    start = np.log2(starts(runs).unstack("case"))
    return all_of(
        *(
            less(start[case] - start[SHARPEST], than=np.log2(1 / 3), unit="octaves of sharpness", label=case)
            for case in FLAT
        )
    )


def clipping_acts_like_warmup(runs: pd.DataFrame) -> Verdict:
    """Divergence rate at least twice as high; at 4/sharpness the sharpness halves within 50 updates.

    Reported: the same without clipping at that rate.
    """
    table = phase(runs)
    gain = np.log2(limit(table, f"{SHARPEST}_clip")) - np.log2(limit(table, f"{SHARPEST}_w0"))
    change = {arm: fallen(runs, arm) for arm in (f"{SHARPEST}_clip_stable", f"{SHARPEST}_stable")}
    clipped, free = change.values()
    unit = "octaves of sharpness"
    return all_of(
        greater(gain, than=0.75, unit="octaves", label="divergence rate"),
        less(clipped, than=-1.0, unit=unit, label="clipped, 50 updates"),
        reported(free, unit=unit, label="not clipped, 50 updates"),
    )


def plateau_falls_with_the_batch(runs: pd.DataFrame) -> Verdict:
    """Full batch in [0.95, 1.10] of 2/lr, smallest at most 0.8; none more than 0.02 above the next larger one."""
    late = batch_plateaus(runs)
    rises = {pair: late[pair[0]] - late[pair[1]] for pair in pairwise(late.columns)}
    return all_of(
        within(late[math.inf], low=0.95, high=1.10, unit="of 2/lr", label="full batch"),
        less(late[late.columns[0]], than=0.8, unit="of 2/lr", label=f"batch {late.columns[0]:g}"),
        *(
            less(rise, than=0.02, unit="of 2/lr", label=f"batch {small:g} minus {large:g}")
            for (small, large), rise in rises.items()
        ),
    )


def small_batches_are_sharper(batches: pd.DataFrame) -> Verdict:
    """Initial and trained: smallest batch at least 1.5 times the whole data; each size above the next and the whole."""
    parts = []
    for state in ("initial", "trained"):
        ratios = batch_ratios(batches, state)
        first = ratios.columns[0]
        parts.append(greater(ratios[first], than=1.5, unit="of the whole", label=f"{state}, batch {first:g}"))
        parts += [
            greater(
                ratios[small] - ratios[large], than=0, unit="of the whole", label=f"{state}, {small:g} over {large:g}"
            )
            for small, large in pairwise(ratios.columns)
        ]
    return all_of(*parts)


def adam_sits_at_its_edge(runs: pd.DataFrame) -> Verdict:
    """Plateau of lr effective sharpness / 38 in [0.9, 1.1] at each rate."""
    late = plateaus(runs[(runs.arm == "adam") & runs.normalised_sharpness.notna()], "normalised_sharpness")
    return all_of(
        *(within(late[lr], low=0.9, high=1.1, unit="of 38/lr", label=f"plateau, lr {lr:g}") for lr in late.columns)
    )


def top_gradients_follow_the_norms(layers: pd.DataFrame) -> Verdict:
    """Slope of log top-block gradient norm against log depth: 0 +- 0.15 for Post-LN, -0.5 +- 0.15 for Pre-LN."""
    slopes = {place: top_gradient_slopes(layers, place) for place in ("post", "pre")}
    unit = "d log norm / d log depth"
    return all_of(
        within(slopes["post"], low=-0.15, high=0.15, unit=unit, label="Post-LN"),
        within(slopes["pre"], low=-0.65, high=-0.35, unit=unit, label="Pre-LN"),
    )


def outliers_vanish_with_batch_normalisation(spectrum: pd.DataFrame) -> Verdict:
    """C - 2 to C + 1 outliers without BN, C = 10 classes; BN divides the largest over the 95th percentile by 5."""
    reach = {norm: np.log2(reaches(spectrum, norm)) for norm in ("none", "batchnorm")}
    cut = paired_differences(reach["none"], reach["batchnorm"], names=("none", "batchnorm"))
    return all_of(
        within(outlier_counts(spectrum, "none"), low=7.5, high=11.5, unit="outliers", label="without BN"),
        greater(cut, than=math.log2(5), unit="doublings", label="largest over 95th percentile, cut by BN"),
    )


def estimator_is_right(estimator: pd.DataFrame) -> Verdict:
    """Every network and precision: relative error at most 1e-3; the nearest eigenvalue within the residual bound."""
    cases = estimator.set_index(estimator.network.astype(str) + " " + estimator.precision)
    error = (cases.estimate - cases.exact).abs() / cases.exact.abs()
    return all_of(
        exact(error, high=1e-3, unit="relative error", label="relative error"),
        exact(cases.distance / cases.bound, high=1.0, unit="of the bound", label="distance to the spectrum"),
    )


def line_search_finds_the_sharpness(critical: pd.DataFrame) -> Verdict:
    """Mean log2 of critical over top eigenvalue over late states within +-1 at each rate; at most 9 passes in each."""
    octaves = pd.Series(np.log2(critical.critical / critical.sharpness))
    late = octaves.groupby([critical.seed, critical.lr]).mean().unstack("lr")
    return all_of(
        *(equivalence(late[lr], margin=1.0, unit="octaves", label=f"lr {lr:g}") for lr in late.columns),
        exact(critical.passes, high=9, unit="passes", label="forward passes"),
    )
