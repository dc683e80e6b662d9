"""When the claims on WSD hold: bars, margins and shares are settings of the claims.

Those of the first edition were written down after a pilot with seeds 100 and 101, but seeds 0 to 4 had been seen at
shorter budgets before. W7b, W8, W10 and W13 have other rules since; W1, W6a and W11 name a value without effect as
well, and W1 and W6a judge shares in the place of differences.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd

from common.evidence.combinations import all_of, crossover
from common.evidence.readings import MEAN
from common.evidence.statistics import log_log_slopes, paired_differences
from common.evidence.verdicts import Verdict, equivalence, exact, greater, less, reported, within
from studies.wsd.bound import reference_cases
from studies.wsd.losses import (
    BEFORE_DECAY,
    at_each_budget,
    at_equal_sum,
    best,
    budgets_of,
    cooldown_gains,
    cooldowns,
    falls,
    final,
    headline_peak,
    last_loss,
    late_stable_loss,
    notches,
    stable_loss,
)
from studies.wsd.measure_tabular import TABULAR_PEAK
from studies.wsd.study import MODES

UNIT = "nats/byte"


def decay_reveals_progress(runs: pd.DataFrame, *, bar: float, times: float) -> Verdict:
    """Headline peak, last 10 % of the longest budget: fall above the bar, and so many times the fall before it.

    Without effect, the loss falls by nothing in the decay, or by as much as before it.
    """
    budget, lr = budgets_of(runs)[-1], headline_peak(runs)
    start = stable_loss(runs, step=BEFORE_DECAY * budget, lr=lr)
    fall = paired_differences(start, final(runs, "wsd", budget=budget, lr=lr))
    before = paired_differences(stable_loss(runs, step=(2 * BEFORE_DECAY - 1) * budget, lr=lr), start)
    slope = {seed: before[seed] / fall[seed] for seed in fall}
    return all_of(
        greater(fall, than=bar, null=0.0, unit=UNIT, label="fall in the decay"),
        less(slope, than=1 / times, null=1.0, unit="of the fall in the decay", label="fall before it"),
    )


def learning_rates_cross(runs: pd.DataFrame, *, low: float, high: float, share: float) -> Verdict:
    """Two peaks that the pilot named: order over the last share of the constant phase, and after the decay."""
    budget, before = budgets_of(runs)[-1], late_stable_loss(runs, share=share)
    after = [final(runs, "wsd", budget=budget, lr=lr) for lr in (low, high)]
    return crossover(
        {(low, high): paired_differences(before[low], before[high])},
        {(low, high): paired_differences(*after)},
        unit=UNIT,
    )


def toy_ratios(rows: pd.DataFrame, *, tolerance: float, unit: str) -> list[Verdict]:
    """Whether the column `ratio` of a toy is 1 within the tolerance at each learning rate."""
    return [
        within(
            group.set_index("seed").ratio, low=1 - tolerance, high=1 + tolerance, unit=unit, label=f"toy, eta {lr:g}"
        )
        for lr, group in rows.groupby("lr")
    ]


def excess_is_exact(river: pd.DataFrame, *, tolerance: float) -> Verdict:
    """River toy: measured excess within the tolerance of the exact one at each rate."""
    rows = river[river.part == "excess"].assign(ratio=lambda rows: rows.excess / rows.predicted_excess)
    return all_of(*toy_ratios(rows, tolerance=tolerance, unit="of exact"))


def fall_grows(runs: pd.DataFrame) -> Verdict:
    """Reported: slope of the logarithm of the fall in the longest budget's decay by that of the peak."""
    table = falls(runs, budgets_of(runs)[-1])
    slopes = log_log_slopes([float(lr) for lr in table.columns], {seed: list(row) for seed, row in table.iterrows()})
    return reported(slopes, unit="d log fall / d log lr")


def clock_is_the_sum_of_rates(runs: pd.DataFrame, *, margin: float) -> Verdict:
    """Decayed losses of neighbouring peaks at equal sums of rates agree within the margin, at the second budget."""
    middle, peaks = budgets_of(runs)[1], sorted(runs[runs.arm == "wsd"].lr.unique())
    return all_of(
        *(
            equivalence(
                at_equal_sum(runs, budget=middle, lr=high, other=low),
                margin=margin,
                unit=UNIT,
                label=f"{high:g} minus {low:g}",
            )
            for low, high in pairwise(peaks)
        )
    )


def toy_follows_the_flow(river: pd.DataFrame, *, tolerance: float) -> Verdict:
    """River toy: x within the tolerance of the river flow at each rate.

    The push of the noise, a known number with zero mean, is subtracted from x: otherwise 512 seeds leave 1 %.
    """
    rows = river[river.part == "clock"].assign(ratio=lambda rows: (rows.x - rows.x_push) / rows.predicted_x)
    return all_of(*toy_ratios(rows, tolerance=tolerance, unit="of river flow"))


def river_is_consistent(river: pd.DataFrame, *, cosine: float, tolerance: float) -> Verdict:
    """Winding valley: cosine of gradient and eigenvector, and offset within the tolerance of the closed form."""
    rows = river[river.part == "river"]
    ratios = rows.offset / rows.predicted_offset
    return all_of(
        exact(rows.cosine, low=cosine, unit="cosine", label="gradient and eigenvector"),
        exact(ratios, low=1 - tolerance, high=1 + tolerance, unit="of closed form", label="offset"),
    )


def line_of(interpolation: pd.DataFrame, kind: str, *, end: int) -> pd.DataFrame:
    """Loss by seed (rows) and share (columns) along the lines of a kind that end at an update."""
    rows = interpolation[(interpolation.kind == kind) & (interpolation.end == end)]
    return rows.pivot(index="seed", columns="share", values="loss")


def mean_of_stable_beats_both(interpolation: pd.DataFrame, *, bar: float) -> Verdict:
    """Last two kept trunk states a decay apart: the middle is below both, by more than a share of that decay's fall."""
    end = interpolation.end.max()
    stable, decay = (line_of(interpolation, kind, end=end) for kind in ("stable", "decay"))
    gain = (stable[0.0] + stable[1.0]) / 2 - stable[0.5]
    return all_of(
        greater(np.minimum(stable[0.0], stable[1.0]) - stable[0.5], than=0.0, unit=UNIT, label="below the better end"),
        greater(gain / (decay[0.0] - decay[1.0]), than=bar, null=0.0, unit="of the fall", label="below the mean"),
    )


def decayed_lie_on_a_path(interpolation: pd.DataFrame, *, margin: float) -> Verdict:
    """Lines between neighbouring budgets: nowhere more than the margin above the chord, and descending throughout."""
    parts = []
    for end in sorted(interpolation[interpolation.kind == "decayed"].end.unique()):
        line = line_of(interpolation, "decayed", end=end)
        shares = line.columns.to_numpy()
        chord = np.outer(line[0.0], 1 - shares) + np.outer(line[1.0], shares)
        above = (line - chord).max(axis=1)
        rise = line.diff(axis=1).max(axis=1)
        parts += [
            less(above, than=margin, unit=UNIT, label=f"above the chord to {end}"),
            less(rise, than=0.0, unit=UNIT, label=f"largest step to {end}"),
        ]
    return all_of(*parts)


def uncertain_contexts_gain(tabular: pd.DataFrame, bigram: pd.DataFrame, *, times: float) -> Verdict:
    """Tabular bigram: the decay gains so many times as much on uncertain contexts, the tenth before on certain ones."""
    decay, stable = (tabular_gain(tabular, phase) for phase in ("decay", "stable"))
    trained = bigram_gain(bigram)
    return all_of(
        greater(
            decay.uncertain - times * decay.certain,
            than=0.0,
            unit="nats",
            label=f"decay: uncertain - {times:g} certain",
        ),
        greater(
            stable.certain - times * stable.uncertain,
            than=0.0,
            unit="nats",
            label=f"stable: certain - {times:g} uncertain",
        ),
        reported(trained.uncertain / trained.sum(axis=1), unit="of the gain", label="transformer, decay: uncertain"),
    )


def tabular_gain(tabular: pd.DataFrame, phase: str) -> pd.DataFrame:
    """Fall of the excess of the tabular WSD runs in a phase, by seed (rows) and kind of context (columns)."""
    rows = tabular[(tabular.arm == "wsd") & (tabular.lr == TABULAR_PEAK)].set_index("seed")
    tenth = rows.step.max() // 10
    end = rows.step.max() - (0 if phase == "decay" else tenth)
    before, after = (rows[rows.step == step][["certain", "uncertain"]] for step in (end - tenth, end))
    fall: pd.DataFrame = before - after
    return fall


def bigram_gain(bigram: pd.DataFrame) -> pd.DataFrame:
    """Fall of the excess in the decay of the transformer, by seed (rows) and kind of context (columns)."""
    decay = bigram[bigram.arm == "bigram_wsd"].sort_values("step").groupby("seed")[["certain", "uncertain"]]
    return decay.first() - decay.last()


def uncertain_bytes_gain(entropy: pd.DataFrame, *, bar: float) -> Verdict:
    """The third of the positions with the highest entropy has more of the decay's gain than the bar; a third is none.

    Reported: how much more it is than in the constant phase.
    """
    decay, stable = (top_third(entropy, phase) for phase in ("decay", "stable"))
    return all_of(
        greater(decay, than=bar, null=1 / 3, unit="of the gain", label="decay"),
        reported(paired_differences(decay, stable), unit="of the gain", label="decay minus constant phase"),
    )


def top_third(entropy: pd.DataFrame, phase: str) -> pd.Series:
    """Share, by seed, of a phase's gain that comes from the third of the positions with the highest entropy."""
    gains = entropy[entropy.phase == phase].pivot(index="seed", columns="bucket", values="gain")
    top = gains.columns.to_numpy() >= 2 / 3 * len(gains.columns)
    share: pd.Series = gains.loc[:, top].sum(axis=1) / gains.sum(axis=1)
    return share


def wsd_no_worse_than_cosine(runs: pd.DataFrame, *, margin: float) -> Verdict:
    """Worse by less than the margin at each budget: each schedule at its best peak, to a tenth of its own peak."""
    decayed, cosine = last_loss(runs, "wsd"), last_loss(runs, "cosine")
    gaps = []
    for budget in budgets_of(runs):
        gap = paired_differences(best(decayed, budget)[1], best(cosine, budget)[1])
        gaps.append(less(gap, than=margin, unit=UNIT, label=f"budget {budget}, WSD minus cosine"))
    return all_of(*gaps)


def wsd_s_not_worse(runs: pd.DataFrame, *, margin: float) -> Verdict:
    """Mode total, second and third budget: WSD-S minus WSD below the margin; mode lineage is reported."""
    peak, budgets = headline_peak(runs), budgets_of(runs)[1:]
    parts = []
    for mode in MODES:
        for budget, loss in zip(budgets, at_each_budget(runs, f"wsd_s_{mode}"), strict=True):
            gap = paired_differences(loss, final(runs, "wsd", budget=budget, lr=peak))
            name = f"{mode}, budget {budget}"
            total = mode == "total"
            parts += [less(gap, than=margin, unit=UNIT, label=name) if total else reported(gap, unit=UNIT, label=name)]
    return all_of(*parts)


def cyclic_cosine_is_worse(runs: pd.DataFrame, *, bar: float) -> Verdict:
    """Equal updates (mode lineage), cyclic at its best peak: worse by the bar at the second and the third budget."""
    pairs = zip(
        budgets_of(runs)[1:], at_each_budget(runs, "cyclic"), at_each_budget(runs, "wsd_s_lineage"), strict=True
    )
    return all_of(
        *(
            greater(paired_differences(cyclic, wsd_s), than=bar, null=0.0, unit=UNIT, label=f"budget {budget}")
            for budget, cyclic, wsd_s in pairs
        )
    )


def short_decay_suffices(runs: pd.DataFrame, *, share: float, bar: float) -> Verdict:
    """Linear decays at the headline peak: the short one gains more than the bar of the best; below a half is not most.

    The best length is that with the largest mean gain of these seeds.
    """
    gains = cooldown_gains(runs, shape="linear", lr=headline_peak(runs))
    most = gains.mean().idxmax()
    return greater(gains[share] / gains[most], than=bar, null=0.5, unit=f"of the gain with {most:.0%}")


def sqrt_beats_linear(runs: pd.DataFrame, *, share: float) -> Verdict:
    """Reported: linear minus 1 - sqrt, both over a share of the longest budget."""
    table = cooldowns(runs)
    table = table[(table.share == share) & (table.lr == headline_peak(runs))]
    losses = table.pivot(index="seed", columns="shape", values="val_loss")
    return reported(paired_differences(losses["linear"], losses["sqrt"]), unit=UNIT)


def constant_rate_is_half(runs: pd.DataFrame, *, low: float, high: float) -> Verdict:
    """Longest budget: the cosine's best peak is so many factors of 2 above WSD's, each by a parabola through three.

    A best peak at the edge of its grid may lie anywhere beyond it. Then nothing is decided.
    """
    found = notches(runs, budgets_of(runs)[-1])
    reading = MEAN if found.inside.all() else replace(MEAN, tail="both")
    return within(found.notches, low=low, high=high, unit="factors of 2", reading=reading)


def bound_is_reproduced(*, tolerance: float) -> Verdict:
    """Every reference value within the tolerance."""
    differences = {case.name: case.value - case.reference for case in reference_cases()}
    return exact(differences, low=-tolerance, high=tolerance, unit="D G")


def final_rate_is_a_confounder(runs: pd.DataFrame) -> Verdict:
    """Reported: cosine to a tenth minus cosine to zero, at the headline peak and the budget where both exist."""
    peak, to_zero = headline_peak(runs), last_loss(runs, "cosine_to_zero")
    (budget,) = to_zero.budget.unique()
    gap = paired_differences(final(runs, "cosine", budget=budget, lr=peak), to_zero.set_index("seed").val_loss)
    return reported(gap, unit=UNIT, label=f"budget {budget}")
