"""When the claims on the sharpness of training hold; bars are the settings of the claims.

They were frozen after pilots with seeds 100 to 102; those changed since then are marked by the claims' caveats.
"""

import math
from collections.abc import Hashable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd

from common.evidence.combinations import all_of, any_of
from common.evidence.readings import MEAN, RATIO, SHARE, Reading
from common.evidence.statistics import log_log_slopes, paired_differences
from common.evidence.verdicts import Verdict, equivalence, exact, greater, less, reported, within
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
    useful_slopes,
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


def block_slopes(layers: pd.DataFrame, place: str) -> dict[Hashable, float]:
    """Log-log slope of the gradient norm against the number of the block, in the deepest networks, by seed."""
    rows = layers[(layers.place == place) & (layers.depth == layers.depth.max())]
    return slopes_of(rows.pivot(index="seed", columns="block", values="gradient_norm"))


def above_the_line(runs: pd.DataFrame) -> pd.DataFrame:
    """`halfway` of the full-batch runs with `line`, their rate over 2/sharpness at the start.

    ASSUME: the sharpness at the start on all training images stands for that on the 512 of these runs.
    """
    full = halfway(runs[runs.arm == "full"])
    start = starts(runs)
    cases = full.run.str.removeprefix("full-")
    lines = [lr * start[case, seed] / 2 for lr, case, seed in zip(full.lr, cases, full.seed, strict=True)]
    return full.assign(line=lines)


def outlier_counts(spectrum: pd.DataFrame, norm: str) -> pd.Series:
    """Eigenvalues above the widest gap, as a ratio of neighbours, among the largest twenty; by seed."""
    rows = spectrum[(spectrum.norm == norm) & (spectrum.quantity == "top")]
    top = rows.pivot(index="rank", columns="seed", values="eigenvalue")
    return (top / top.shift(-1)).idxmax()


def reaches(spectrum: pd.DataFrame, norm: str) -> pd.Series:
    """Largest eigenvalue over the 95th percentile of the spectrum, by seed."""
    rows = spectrum[spectrum.norm == norm].set_index("seed")
    return rows.eigenvalue[rows["rank"] == 1] / rows.eigenvalue[rows.quantity == "percentile"]


def sits_at_the_edge(runs: pd.DataFrame, *, low: float, high: float, start: float) -> Verdict:
    """Plateau of lr sharpness / 2 in a band about 1 at each rate; at the two smallest rates it starts well below 1."""
    rows = measured(runs)
    late, first = plateaus(rows, "edge"), rows[rows.step == 0].pivot(index="seed", columns="lr", values="edge")
    unit = "of 2/lr"
    return all_of(
        *(within(late[lr], low=low, high=high, unit=unit, label=f"plateau, lr {lr:g}") for lr in late.columns),
        *(less(first[lr], than=start, null=1.0, unit=unit, label=f"start, lr {lr:g}") for lr in first.columns[:2]),
    )


def plateau_is_inverse(runs: pd.DataFrame, *, margin: float) -> Verdict:
    """Slope of log sharpness on the plateau against log learning rate within a margin of -1."""
    late = plateaus(measured(runs), "sharpness")
    return within(slopes_of(late), low=-1 - margin, high=-1 + margin, unit="d log sharpness / d log lr")


def counted(seeds: pd.Series) -> Reading:
    """How shares of a seed's runs are read: they move in steps of one run, and half a step is the least spread."""
    return replace(MEAN, spread=0.5 / int(seeds.value_counts().min()))


def line_at_the_start_separates(runs: pd.DataFrame, *, below: float, share: float, times: float) -> Verdict:
    """The divergence rate of each network is 1 to some `times` 2/sharpness at the start; below it hardly any diverges.

    Below: at rates of at most a part of 2/sharpness. A network that ends at chance, as those do whose ReLUs have died,
    has not diverged; its share is reported.
    """
    table = phase(runs)
    under = table[(table.warmup == 0) & (table.rule == "plain") & (table.excess <= below)]
    kept = (~under.failed | (under.failure == "chance")).groupby(under.seed).mean()
    bands = [
        within(np.log2(limit_over_line(table, f"{case}_w0")), low=0.0, high=math.log2(times), unit=OCTAVES, label=case)
        for case in CASES
    ]
    momentum = [
        reported(np.log2(limit_over_line(table, f"{case}_momentum")), unit=OCTAVES, label=f"{case}, momentum 0.9")
        for case in ("plain1", "plain3")
    ]
    return all_of(
        greater(kept, than=share, unit="of runs", reading=counted(under.seed), label="do not diverge below the line"),
        reported(list(under.failure == "chance"), unit="of runs", reading=SHARE, label="end at chance below the line"),
        *bands,
        *momentum,
    )


def divergence_follows_sharpness(runs: pd.DataFrame, *, margin: float) -> Verdict:
    """Slope of log divergence rate against log sharpness at the start, over all networks, within a margin of -1.

    Reported: the same over the plain networks, and for the largest rate that ends with the true digits known.
    """
    table = phase(runs)
    plain = [case for case in CASES if case.startswith("plain")]
    slopes, sharp = (limit_slopes(runs, table, cases) for cases in (CASES, plain))
    useful = useful_slopes(runs, table, CASES)
    unit = "d log rate / d log sharpness"
    return all_of(
        within(slopes, low=-1 - margin, high=-1 + margin, unit=unit, label="all networks"),
        reported(sharp, unit=unit, label="plain networks of five gains"),
        *([reported(useful, unit=unit, label="largest useful rate")] if useful else []),
    )


def survivors_lie_under_the_line(runs: pd.DataFrame, *, edge: float, share: float, above: float) -> Verdict:
    """Of full-batch survivors at rates beyond 2/sharpness at the start, most have a late median of at most the edge.

    The median is that of lr sharpness / 2 in the second half, the share is taken by seed. Runs at smaller rates would
    pass without meeting any edge; those with batches, and with momentum, are reported.
    """
    full = above_the_line(runs)
    full = full[full.line >= above]
    table = phase(runs)
    batches = table[(table.rule == "plain") & ~table.failed & table.edge.notna()]
    heavy = halfway(runs[runs.arm == "heavy"])
    late = [
        reported(group.set_index("seed").edge * 2, unit="lr sharpness", label=f"momentum 0.9, lr {lr:g}")
        for lr, group in heavy.groupby("lr")
    ]
    unit = "of survivors"
    small = reported((batches.edge <= edge).groupby(batches.seed).mean(), unit=unit, label="batch 128")
    if full.empty:
        return small
    return all_of(
        greater(
            (full.edge <= edge).groupby(full.seed).mean(),
            than=share,
            unit=unit,
            reading=counted(full.seed),
            label="full batch",
        ),
        reported(full.edge.between(0.9, 1.1).groupby(full.seed).mean(), unit=unit, label="full batch, at the edge"),
        small,
        *late,
    )


def warmup_extends(runs: pd.DataFrame, *, octaves: float, lost: float) -> Verdict:
    """Divergence rate higher by some octaves; after a longer warm-up no lower than what may be `lost` to the grid."""
    table = phase(runs)
    lengths = [warmup for case, warmup in PHASE_LRS if case == SHARPEST]
    rates = {warmup: np.log2(limit(table, f"{SHARPEST}_w{warmup}")) for warmup in lengths}
    gain = paired_differences(rates[WARMUP], rates[0])
    steps = [
        greater(paired_differences(rates[long], rates[short]), than=-lost, unit="octaves", label=f"{short} to {long}")
        for short, long in pairwise(lengths)
    ]
    return all_of(greater(gain, than=octaves, null=0.0, unit="octaves", label=f"warm-up of {WARMUP}"), *steps)


def warmup_ends_under_the_line(runs: pd.DataFrame, *, edge: float) -> Verdict:
    """At the rate from which on the network fails without warm-up, lr sharpness / 2 at its end is at most the edge."""
    table = phase(runs)
    warm = table[(table.arm == f"{SHARPEST}_w{WARMUP}") & table.warmed.notna()]
    ends = nearest(warm, warm.seed.map(limit(table, f"{SHARPEST}_w0")), value="warmed")
    return less(ends, than=edge, unit="of 2/lr")


def warmup_lowers(runs: pd.DataFrame, *, peak: float, left: float, kept: float) -> Verdict:
    """After the warm-up to a peak of so many /sharpness a part is left; after as many tiny updates nearly all is kept.

    The edge at that peak, 2/peak of the start, has to lie well below what may be left, or the edge decides.
    Reported: the same at a peak of 8/sharpness, and at the rate from which on the network fails without warm-up.
    """
    table = phase(runs)
    warm = table[(table.arm == f"{SHARPEST}_w{WARMUP}") & table.warmed.notna()]
    warm = warm.assign(left=np.log2(warm.warmed / warm.excess))
    judged, gentle = (nearest(warm, each / warm.start, value="left") for each in (peak, 8))
    hot = nearest(warm, warm.seed.map(limit(table, f"{SHARPEST}_w0")), value="left")
    unit = "octaves of sharpness"
    return all_of(
        less(judged, than=math.log2(left), null=0.0, unit=unit, label=f"peak {peak:g}/sharpness"),
        greater(fallen(runs, f"{SHARPEST}_quiet"), than=math.log2(kept), unit=unit, label="tiny rate"),
        reported(gentle, unit=unit, label="peak 8/sharpness"),
        reported(hot, unit=unit, label="peak that fails without warm-up"),
    )


def warmup_matches_cures(runs: pd.DataFrame, *, factor: float, worse: float, octaves: float) -> Verdict:
    """Best validation loss with warm-up within a factor of that of each cure, which without it is not so.

    Without it: a factor `worse`, or some octaves fewer of useful rates.
    """
    table = phase(runs)
    plain, warm = f"{SHARPEST}_w0", f"{SHARPEST}_w{WARMUP}"
    loss = {arm: np.log(best(table, arm, of="validation")) for arm in (*CURES, plain, warm)}
    useful = paired_differences(useful_octaves(table, warm), useful_octaves(table, plain))
    lost, unit = paired_differences(loss[plain], loss[warm]), "nats of loss ratio"
    return all_of(
        *(
            less(paired_differences(loss[warm], loss[arm]), than=math.log(factor), unit=unit, label=f"against {name}")
            for arm, name in CURES.items()
        ),
        any_of(
            greater(lost, than=math.log(worse), null=0.0, unit=unit, label="loss without"),
            greater(useful, than=octaves, null=0.0, unit="octaves", label="rates without"),
            label="needed",
        ),
    )


def cures_start_flat(runs: pd.DataFrame, *, times: float) -> Verdict:
    """Sharpness at the start so many times smaller than that of the plain network from the bad initialisation."""
    start, unit = np.log2(starts(runs).unstack("case")), "octaves of sharpness"
    return all_of(
        *(less(start[case] - start[SHARPEST], than=-math.log2(times), null=0.0, unit=unit, label=case) for case in FLAT)
    )


def clipping_acts_like_warmup(runs: pd.DataFrame, *, octaves: float, fall: float) -> Verdict:
    """Divergence rate higher by some octaves; at a rate that is fatal without it the sharpness falls in 50 updates.

    That rate is about 256/sharpness, whose edge lies far below what is asked. Reported: both ways at 4/sharpness.
    """
    table = phase(runs)
    gain = paired_differences(
        np.log2(limit(table, f"{SHARPEST}_clip")), np.log2(limit(table, f"{SHARPEST}_w0")), names=("clipped", "free")
    )
    hot, clipped, free = (fallen(runs, f"{SHARPEST}_{way}") for way in ("clip_path", "clip_stable", "stable"))
    unit = "octaves of sharpness"
    return all_of(
        greater(gain, than=octaves, null=0.0, unit="octaves", label="divergence rate"),
        less(hot, than=-fall, null=0.0, unit=unit, label="clipped, fatal rate"),
        reported(clipped, unit=unit, label="clipped, 4/sharpness"),
        reported(free, unit=unit, label="not clipped, 4/sharpness"),
    )


def plateau_falls_with_the_batch(
    runs: pd.DataFrame, *, low: float, high: float, smallest: float, rise: float
) -> Verdict:
    """Full batch in a band about 2/lr, smallest batch well below; none more than a margin above the next larger one."""
    late, unit = batch_plateaus(runs), "of 2/lr"
    rises = {pair: late[pair[0]] - late[pair[1]] for pair in pairwise(late.columns)}
    first = late.columns[0]
    return all_of(
        within(late[math.inf], low=low, high=high, unit=unit, label="full batch"),
        less(late[first], than=smallest, null=1.0, unit=unit, label=f"batch {first:g}"),
        *(
            less(found, than=rise, unit=unit, label=f"batch {small:g} minus {large:g}")
            for (small, large), found in rises.items()
        ),
    )


def small_batches_are_sharper(batches: pd.DataFrame, *, times: float) -> Verdict:
    """Initial and trained: smallest batch so many times the whole data; each size above the next and the whole."""
    parts = []
    for state in ("initial", "trained"):
        ratios = batch_ratios(batches, state)
        first = ratios.columns[0]
        label, unit = f"{state}, batch {first:g}", "of the whole"
        parts.append(greater(ratios[first], than=times, null=1.0, unit=unit, reading=RATIO, label=label))
        parts += [
            greater(ratios[small] - ratios[large], than=0, unit=unit, label=f"{state}, {small:g} over {large:g}")
            for small, large in pairwise(ratios.columns)
        ]
    return all_of(*parts)


def adam_sits_at_its_edge(runs: pd.DataFrame, *, low: float, high: float) -> Verdict:
    """Plateau of lr effective sharpness / 38 in a band about 1 at each rate."""
    late = plateaus(runs[(runs.arm == "adam") & runs.normalised_sharpness.notna()], "normalised_sharpness")
    return all_of(
        *(within(late[lr], low=low, high=high, unit="of 38/lr", label=f"plateau, lr {lr:g}") for lr in late.columns)
    )


def top_gradients_follow_the_norms(layers: pd.DataFrame, *, margin: float) -> Verdict:
    """Slope of log top-block gradient norm against log depth within a margin of 0 (Post-LN) and of -1/2 (Pre-LN).

    Of the loss of whole sequences, as in the theorem.
    """
    slopes = {place: top_gradient_slopes(layers, place) for place in ("post", "pre")}
    unit = "d log norm / d log depth"
    return all_of(
        within(slopes["post"], low=-margin, high=margin, unit=unit, label="Post-LN"),
        within(slopes["pre"], low=-0.5 - margin, high=-0.5 + margin, unit=unit, label="Pre-LN"),
    )


def gradients_grow_from_block_to_block(layers: pd.DataFrame, *, level: float) -> Verdict:
    """Slope of log gradient norm against log block in the deepest networks: above 0 (Post-LN), `level` (Pre-LN)."""
    unit = "d log norm / d log block"
    return all_of(
        greater(block_slopes(layers, "post"), than=0.0, unit=unit, label="Post-LN"),
        within(block_slopes(layers, "pre"), low=-level, high=level, unit=unit, label="Pre-LN"),
    )


def outliers_vanish_with_batch_normalisation(
    spectrum: pd.DataFrame, *, fewest: float, most: float, cut: float
) -> Verdict:
    """C - 2 to C + 1 outliers without BN, C = 10 classes; BN cuts the largest over the 95th percentile by a factor."""
    reach = {norm: np.log2(reaches(spectrum, norm)) for norm in ("none", "batchnorm")}
    found = paired_differences(reach["none"], reach["batchnorm"], names=("none", "batchnorm"))
    name = "largest over 95th percentile, cut by BN"
    return all_of(
        within(outlier_counts(spectrum, "none"), low=fewest, high=most, unit="outliers", label="without BN"),
        greater(found, than=math.log2(cut), null=0.0, unit="doublings", label=name),
    )


def estimator_is_right(estimator: pd.DataFrame, *, error: float) -> Verdict:
    """Every network and precision: relative error within the bar; the nearest eigenvalue within the residual bound."""
    cases = estimator.set_index(estimator.network.astype(str) + " " + estimator.precision)
    errors = (cases.estimate - cases.exact).abs() / cases.exact.abs()
    return all_of(
        exact(errors, high=error, unit="relative error", label="relative error"),
        exact(cases.distance / cases.bound, high=1.0, unit="of the bound", label="distance to the spectrum"),
    )


def line_search_finds_the_sharpness(critical: pd.DataFrame, *, margin: float, passes: int) -> Verdict:
    """Mean log2 of critical over top eigenvalue over late states within a margin at each rate; fewer passes in each."""
    octaves = pd.Series(np.log2(critical.critical / critical.sharpness))
    late = octaves.groupby([critical.seed, critical.lr]).mean().unstack("lr")
    return all_of(
        *(equivalence(late[lr], margin=margin, unit="octaves", label=f"lr {lr:g}") for lr in late.columns),
        exact(critical.passes, high=passes - 0.5, unit="passes", label="forward passes"),
    )
