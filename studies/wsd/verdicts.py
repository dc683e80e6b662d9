"""When the claims on WSD hold: bars, margins and shares are settings of the claims.

Losses of a constant rate are means of three evaluations; those at the end of a decay or of a cosine, whose rate is a
tenth of the peak or nothing, are the last ones.
"""

from collections.abc import Hashable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from common.config import Run
from common.evidence import ladder
from common.evidence.combinations import all_of, crossover
from common.evidence.readings import MEAN, Reading
from common.evidence.statistics import paired_differences
from common.evidence.verdicts import (
    Verdict,
    equivalence,
    exact,
    greater,
    less,
    reported,
    withheld,
    within,
)
from studies.wsd import sizes
from studies.wsd.bound import bound, reference_cases
from studies.wsd.histories import lineage_rates
from studies.wsd.losses import (
    AVERAGED,
    best,
    bracketed,
    budgets_of,
    constant,
    fall,
    final,
    last_loss,
    late_gap,
    length_gains,
    of_rung,
    paired,
    slope,
)
from studies.wsd.measure_tabular import TABULAR_PEAK
from studies.wsd.study import COSINE_PEAKS, HEADLINE, LADDER_LENGTHS, PEAK, length_arm

UNIT = "nats/byte"


def on_one_text(error: float) -> Reading:
    """A mean over seeds that are all evaluated on one text, which adds an error that they share.

    Args:
        error: standard error of the difference for other text, as `estimators.text_error` measured it on the pilot.
    """
    return replace(MEAN, shared_error=error)


def decay_reveals_progress(runs: pd.DataFrame, *, bar: float, times: float, text: float) -> Verdict:
    """Headline decay: fall below the constant rate above the bar, and so many times the fall in the tenth before it.

    Without effect, the loss falls by nothing in the decay, or by as much as before it.
    """
    found, before = fall(runs), slope(runs)
    return all_of(
        greater(found, than=bar, null=0.0, unit=UNIT, reading=on_one_text(text), label="fall in the decay"),
        less(before / found, than=1 / times, null=1.0, unit="of the fall in the decay", label="fall before it"),
    )


def learning_rates_cross(runs: pd.DataFrame, *, low: float, high: float, share: float, text: float) -> Verdict:
    """Two peaks that the pilot named: order over the last share of the constant rates, and after their decays."""
    before = late_gap(runs, low=low, high=high, share=share)
    after = paired_differences(*(final(runs, "wsd", lr=lr) for lr in (low, high)))
    return crossover({(low, high): before}, {(low, high): after}, unit=UNIT, reading=on_one_text(text))


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


def clock_is_the_sum_of_rates(runs: pd.DataFrame, *, margin: float, text: float) -> Verdict:
    """From one checkpoint: the headline peak minus half of it for twice as long, at one last rate and one sum."""
    losses = last_loss(runs, "clock").pivot(index="seed", columns="lr", values="val_loss")
    return equivalence(losses[PEAK] - losses[PEAK / 2], margin=margin, unit=UNIT, reading=on_one_text(text))


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


def gradient_leaves_the_hills(landscape: pd.DataFrame, *, rank: int) -> Verdict:
    """Share of the gradient along the sharpest directions, before each decay minus after it, mean over the decays.

    Reported: the share of the way into the decay that lies along the same directions.
    """
    shares = landscape[(landscape.kind == "share") & (landscape["rank"] == rank)]
    branch = shares[shares.way.notna()]
    stable, decayed = (rows.groupby("seed").gradient.mean() for rows in (branch, shares[shares.phase == "decayed"]))
    return all_of(
        greater(stable - decayed, than=0.0, unit="of the gradient", label=f"along the {rank} sharpest"),
        reported(branch.groupby("seed").way.mean(), unit="of the way", label=f"into the decay along the {rank}"),
    )


def uncertain_contexts_gain(tabular: pd.DataFrame, *, times: float) -> Verdict:
    """Tabular bigram: the decay gains so many times as much on uncertain contexts, the tenth before on certain ones."""
    decay, stable = (tabular_gain(tabular, phase) for phase in ("decay", "stable"))
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
    )


def tabular_gain(tabular: pd.DataFrame, phase: str) -> pd.DataFrame:
    """Fall of the excess of the tabular WSD runs in a phase, by seed (rows) and kind of context (columns)."""
    rows = tabular[(tabular.arm == "wsd") & (tabular.lr == TABULAR_PEAK)].set_index("seed")
    tenth = rows.step.max() // 10
    end = rows.step.max() - (0 if phase == "decay" else tenth)
    before, after = (rows[rows.step == step][["certain", "uncertain"]] for step in (end - tenth, end))
    fall: pd.DataFrame = before - after
    return fall


def uncertain_bytes_gain(entropy: pd.DataFrame, *, bar: float) -> Verdict:
    """The third of the bytes with the highest entropy has more of the decay's gain than the bar.

    Reported: how much more it is than in the stable phase.
    """
    decay, stable = (top_third(entropy, phase) for phase in ("decay", "stable"))
    return all_of(
        greater(decay, than=bar, unit="of the gain", label="decay"),
        reported(decay - stable, unit="of the gain", label="decay minus stable phase"),
    )


def top_third(entropy: pd.DataFrame, phase: str) -> pd.Series:
    """Share, by seed, of a phase's gain that comes from the third of the positions with the highest entropy."""
    gains = entropy[entropy.phase == phase].pivot(index="seed", columns="bucket", values="gain")
    top = gains.columns.to_numpy() >= 2 / 3 * len(gains.columns)
    share: pd.Series = gains.loc[:, top].sum(axis=1) / gains.sum(axis=1)
    return share


def tuned_gap(runs: pd.DataFrame) -> tuple[pd.Series, str]:
    """WSD minus cosine by seed, each at its best peak, and what keeps that from deciding."""
    return best_gap(runs, "wsd", "cosine")


def best_gap(runs: pd.DataFrame, *arms: str, of: str = "loss") -> tuple[pd.Series, str]:
    """The first arm minus the second by seed, each at the best peak of all seeds; why it may decide nothing, or "".

    Args:
        runs: of both arms.
        arms: two.
        of: what is compared, "loss" or "peak" (factors of 2).
    """
    found = {arm: best(bracketed(runs, arm)) for arm in arms}
    first, second = (getattr(found[arm], of) for arm in arms)
    edges = [arm for arm in arms if not found[arm].inside]
    return paired(first, second), f"the best peak of {' and '.join(edges)} lies at an edge of its grid" if edges else ""


def decided(verdict: Verdict, why: str) -> Verdict:
    """A verdict, withheld if there is a reason."""
    return withheld(verdict, why) if why else verdict


def wsd_no_worse_than_cosine(runs: pd.DataFrame, *, margin: float, text: float) -> Verdict:
    """Longest budget, equal final rates: worse by less than the margin; not decided if a best peak is at an edge."""
    gap, why = tuned_gap(runs)
    return decided(less(gap, than=margin, unit=UNIT, reading=on_one_text(text)), why)


def wsd_better_than_cosine(runs: pd.DataFrame, *, bar: float, text: float) -> Verdict:
    """The same, better by more than the bar."""
    gap, why = tuned_gap(runs)
    return decided(greater(-gap, than=bar, unit=UNIT, reading=on_one_text(text)), why)


def peak_gap(runs: pd.DataFrame, budget: int) -> pd.Series:
    """WSD minus cosine by seed at a budget, both at their headline peaks."""
    return paired(final(runs, "wsd", budget=budget), final(runs, "cosine", budget=budget))


def lead_shrinks(runs: pd.DataFrame, *, bar: float, text: float) -> Verdict:
    """Headline peaks: by how much more WSD is ahead of the cosine at the shortest budget than at the longest."""
    shortest, *_, most = budgets_of(runs)
    change = paired(peak_gap(runs, most), peak_gap(runs, shortest))
    return greater(change, than=bar, null=0.0, unit=UNIT, reading=on_one_text(text))


def wsd_s_not_worse(runs: pd.DataFrame, *, margin: float, text: float) -> Verdict:
    """Headline peak, total compute, second and third budget: WSD-S minus WSD below the margin."""
    reading, gaps = on_one_text(text), wsd_s_gaps(runs)
    return all_of(
        *(less(gap, than=margin, unit=UNIT, reading=reading, label=f"budget {budget}") for budget, gap in gaps.items())
    )


def wsd_s_gaps(runs: pd.DataFrame) -> dict[int, pd.Series]:
    """WSD-S minus WSD by seed at the second and the third budget."""
    ends = sorted(last_loss(of_rung(runs), "wsd_s").budget.unique())
    return {
        budget: paired(final(runs, "wsd_s", budget=end), final(runs, "wsd", budget=budget))
        for budget, end in zip(budgets_of(runs)[1:], ends, strict=True)
    }


def wsd_s_better(runs: pd.DataFrame, *, bar: float, text: float) -> Verdict:
    """WSD minus WSD-S, mean of the second and the third budget for each seed, above the bar."""
    second, third = wsd_s_gaps(runs).values()
    return greater(-(second + third) / 2, than=bar, unit=UNIT, reading=on_one_text(text))


def cyclic_cosine_is_worse(runs: pd.DataFrame) -> Verdict:
    """Reported: cyclic cosine minus WSD-S after the last cycle, each at its headline peak and at one last rate."""
    return reported(paired(final(runs, "cyclic"), final(runs, "wsd_s")), unit=UNIT)


def short_decay_suffices(runs: pd.DataFrame, *, share: float, best: float, bar: float) -> Verdict:
    """Linear decays at the headline peak: the short one gains more than the bar of the best; below a half is not most.

    The best length is the pilot's.
    """
    gains = length_gains(runs)
    return greater(gains[share] / gains[best], than=bar, null=0.5, unit=f"of the gain with {best:.0%}")


def sqrt_beats_linear(runs: pd.DataFrame, *, bar: float, text: float) -> Verdict:
    """Linear minus 1 - sqrt, both over a fifth of the longest budget."""
    gap = paired_differences(final(runs, length_arm(LADDER_LENGTHS[-1])), final(runs, "shape_sqrt"))
    return greater(gap, than=bar, null=0.0, unit=UNIT, reading=on_one_text(text))


def wsd_peak_is_lower(runs: pd.DataFrame, *, bar: float, published: float) -> Verdict:
    """Both to zero: factors of 2 by which the cosine's best peak lies above WSD's."""
    gap, why = best_gap(runs, "cosine_zero", "wsd_zero", of="peak")
    return decided(greater(gap, than=bar, published=published, unit="factors of 2"), why)


def zero_beats_a_tenth(runs: pd.DataFrame, *, bar: float, text: float) -> Verdict:
    """Cosine to a tenth minus cosine to zero, each at its best peak; seeds that both have."""
    gap, why = best_gap(runs[runs.seed.isin(runs[runs.arm == "cosine_zero"].seed)], "cosine", "cosine_zero")
    return decided(greater(gap, than=bar, null=0.0, unit=UNIT, reading=on_one_text(text)), why)


def bound_is_reproduced(*, tolerance: float) -> Verdict:
    """Every reference value within the tolerance."""
    differences = {case.name: case.value - case.reference for case in reference_cases()}
    return exact(differences, low=-tolerance, high=tolerance, unit="D G")


def averaging_recovers(runs: pd.DataFrame, averaging: pd.DataFrame, *, share: float, bar: float) -> Verdict:
    """Uniform mean of the headline trunk's states over the last share of the budget, against the decay's gain.

    Reported: the exponential average of the training, and Schedule-Free AdamW of as many updates.
    """
    hot, gain = constant(runs), fall(runs)
    rows = averaging[(averaging.rung == HEADLINE) & (averaging.weights == "uniform") & (averaging.share == share)]
    moving, free = constant(runs, column=AVERAGED), last_loss(runs, "schedule_free").set_index("seed").val_loss
    return all_of(
        greater((hot - rows.set_index("seed").loss) / gain, than=bar, null=0.0, unit="of the decay's gain"),
        reported((hot - moving) / gain, unit="of the decay's gain", label="exponential average"),
        reported((paired(hot, free) / gain).dropna(), unit="of the decay's gain", label="Schedule-Free"),
    )


def bound_has_the_order(runs: pd.DataFrame, records: Mapping[str, Run], *, bar: float, text: float) -> Verdict:
    """WSD minus cosine as measured, counted from the side on which the bound has it: below 0 is the other order.

    At the two shorter budgets, both schedules at their headline peaks; the bound has its own best base rate for each.
    Reported: the longest budget, each schedule at its best peak.
    """
    *shorter, most = budgets_of(runs)
    sides = {budget: bound_side(runs, records, budget) for budget in (*shorter, most)}
    gaps = {budget: sides[budget] * peak_gap(runs, budget) for budget in shorter}
    reading = on_one_text(text)
    return all_of(
        *(greater(gap, than=bar, unit=UNIT, reading=reading, label=f"budget {b}") for b, gap in gaps.items()),
        reported(sides[most] * tuned_gap(runs)[0], unit=UNIT, label=f"budget {most}"),
    )


def bound_side(runs: pd.DataFrame, records: Mapping[str, Run], budget: int) -> float:
    """1 if the bound has WSD above the cosine at a budget, -1 if below."""
    values = {}
    for arm, lr in (("wsd", PEAK), ("cosine", COSINE_PEAKS[HEADLINE])):
        losses = last_loss(of_rung(runs), arm)
        run = losses[(losses.budget == budget) & (losses.lr == lr)].run.iloc[0]
        values[arm] = bound(lineage_rates(records[run], records) / lr).best_value
    return float(np.sign(values["wsd"] - values["cosine"]))


def laws_predict(laws: pd.DataFrame, *, bar: float) -> Verdict:
    """Multi-power law, held-out schedules: mean error below a share of the loss, and more pairs in order than not.

    Reported: the same of the other laws.
    """
    held = laws[laws.held_out]
    error = (held.predicted - held.measured).abs() / held.measured
    errors = error.groupby([held.law, held.seed]).mean()
    near = held.lr == PEAK
    own = error[near].groupby([held.law[near], held.seed[near]]).mean()
    order = held.groupby(["law", "seed"])[["measured", "predicted"]].apply(
        lambda rows: kendalltau(rows.measured, rows.predicted).statistic
    )
    others = sorted(set(laws.law) - {"multi-power"})
    return all_of(
        less(errors["multi-power"], than=bar, unit="of the loss", label="multi-power, error"),
        greater(order["multi-power"], than=0.5, null=0.0, unit="tau", label="multi-power, order"),
        reported(own["multi-power"], unit="of the loss", label="multi-power, error at the peak of its fit"),
        *(reported(errors[name], unit="of the loss", label=f"{name}, error") for name in others),
        *(reported(order[name], unit="tau", label=f"{name}, order") for name in others),
    )


def fall_grows_with_size(runs: pd.DataFrame, *, bar: float) -> Verdict:
    """Slope of each seed's fall, in percent of the loss, for ten times the parameters, above the bar."""
    slopes = slopes_by_size(sizes.falls(runs))
    return greater(slopes, than=bar, null=0.0, unit="% of the loss for ten times the size")


def averages_recover_less(runs: pd.DataFrame, averaging: pd.DataFrame, *, bar: float) -> Verdict:
    """Slope of the share of the decay's gain that equal weights on the last fifth recover, below minus the bar."""
    slopes = slopes_by_size(sizes.averaged(runs, averaging))
    return less(slopes, than=-bar, null=0.0, unit="of the decay's gain for ten times the size")


def slopes_by_size(effects: sizes.Effects) -> dict[Hashable, float]:
    """Change of an effect for ten times the parameters, by seed: a line through all rungs."""
    found = ladder.fit(effects)
    places = np.log10(np.array(found.parameters))
    return {seed: float(np.polyfit(places, row, 1)[0]) for seed, row in zip(found.seeds, found.values, strict=True)}
