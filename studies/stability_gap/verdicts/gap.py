"""Verdicts on what the gap is and what sets it: tasks, methods, straight paths, rates, gradients."""

from itertools import pairwise
from math import log2

import numpy as np
import pandas as pd

from common.evidence.combinations import all_of
from common.evidence.statistics import paired_differences
from common.evidence.verdicts import Verdict, equivalence, greater, less, reported
from studies.stability_gap.cures import excess
from studies.stability_gap.gaps import by_seed, gaps
from studies.stability_gap.gradients import at_lowest, at_switch, ratios, since_switch
from studies.stability_gap.selections import (
    LOW_PATH,
    Setting,
    at_rate,
    by_angle,
    hidden_depth,
    line_excess,
    of_gap,
    optimizer_gaps,
    own_excess,
    projected_and_plain,
    rank_correlation,
    settings,
)
from studies.stability_gap.study import (
    ANGLE,
    FAMILIES,
    HALF_ARMS,
    LEARNERS,
    LR,
    MATCHED,
    MOMENTUM_ARMS,
    PROJECTIONS,
    RESTARTED,
    ROTATED,
    SCENARIOS,
    arms,
)
from studies.stability_gap.styles import NAMES

POINTS_DEEP = "points of depth"
NEAR, FAR = 10, ANGLE
"""Degrees between the tasks of the two depths whose ratio is judged."""
SEEN = 5
"""Points from which a drop is one: four standard errors of an accuracy of 97 % on 360 images are 3.6."""
CLEAR = 0.2
"""Share of the depth from which a benefit is clear."""
GAIN = 2
"""Points of final accuracy from which a gain is clear."""
UNDERTRAINED = 3.0
"""Points by which the first task may differ before the switch in comparisons that are about the depth alone."""
AMPLIFIED = 1.5
"""Factor by which momentum 0.9 is said to deepen the gap."""


def no_benefit(table: pd.DataFrame, arm: str, lr: float) -> list[Verdict]:
    """A projection saves less than a fifth of the depth, and gains less than two points at the end.

    Judged as points of depth saved minus a fifth of the plain depth, which needs no quotient of noisy numbers.
    """
    depth, plain_depth = projected_and_plain(table, "depth", arm, lr)
    mean, plain_mean = projected_and_plain(table, "mean", arm, lr)
    saved = {seed: (1 - CLEAR) * plain_depth[seed] - depth[seed] for seed in depth}
    gained = paired_differences(mean, plain_mean)
    name = f"{NAMES[arm.removeprefix('rotation_')]}, lr {lr:g}"
    return [
        less(saved, than=0, unit=f"{POINTS_DEEP} saved beyond a fifth", label=f"depth, {name}"),
        less(gained, than=GAIN, unit="points of final accuracy gained", label=f"end, {name}"),
    ]


def low_path(runs: pd.DataFrame, path: pd.DataFrame, arm: str) -> Verdict:
    """The straight line's excess minus a quarter of training's, below 0."""
    own, line = own_excess(runs, arm), line_excess(path, arm)
    return all_of(
        less(excess(line, own, share=LOW_PATH), than=0, unit="nats beyond a quarter of training's"),
        reported(line, unit="nats", label="on the line"),
        reported(own, unit="nats", label="in training"),
    )


def equally_trained(table: pd.DataFrame, *chosen: Setting, base: Setting) -> list[Verdict]:
    """For each setting: is the first task before the switch as good as with the base setting, within 3 points?"""
    return [
        equivalence(
            paired_differences(*settings(table, "before", setting, base)),
            margin=UNDERTRAINED,
            unit="points",
            label=f"accuracy before the switch, lr {setting[1]:g}",
        )
        for setting in chosen
    ]


def amplified(table: pd.DataFrame, with_it: Setting, without: Setting) -> Verdict:
    """Is the depth with momentum at least 1.5 times that without, the first task being equally good?"""
    over = excess(*settings(table, "depth", with_it, without), share=AMPLIFIED)
    return all_of(
        greater(over, than=0, unit="points above 1.5 times", label="depth"),
        *equally_trained(table, without, base=with_it),
    )


def dense_evaluation_shows_a_drop(runs: pd.DataFrame) -> Verdict:
    """Joint training, first task during the second: depth at least 10 points, residual within 2."""
    return all_of(
        greater(of_gap(runs, "joint", "depth"), than=10.0, unit="points", label="depth"),
        equivalence(of_gap(runs, "joint", "residual"), margin=2.0, unit="points", label="residual"),
    )


def sparse_evaluation_underestimates(runs: pd.DataFrame) -> Verdict:
    """Joint training on rotated digits: depth seen after every update at least 3 times that seen every 50."""
    return all_of(
        greater(
            hidden_depth(runs, scenario="rotation", method="joint", times=3),
            than=0.0,
            unit="points",
            label="depth at period 1 less 3 times that at period 50",
        ),
        *(
            reported(
                hidden_depth(runs, scenario=scenario, method=method, times=1),
                unit="points",
                label=f"depth hidden at period 50, {scenario}, {method}",
            )
            for scenario in SCENARIOS
            for method in LEARNERS
        ),
    )


def gap_grows_with_dissimilarity(runs: pd.DataFrame) -> Verdict:
    """Joint training: rank correlation of depth and angle, 10 to 110 degrees, above 0.9; depth at 80 over 3x at 10."""
    depth = by_angle(runs, "joint", "depth")
    return all_of(
        greater(rank_correlation(runs, "joint", "depth"), than=0.9, unit="rank correlation", label="order"),
        greater(depth[FAR] - 3 * depth[NEAR], than=0, unit=f"{POINTS_DEEP} at 80° beyond 3x at 10°", label="size"),
        reported(rank_correlation(runs, "er", "depth"), unit="rank correlation", label="order, ER"),
        reported(depth[0], unit=POINTS_DEEP, label="null control"),
    )


def drop_is_temporary(runs: pd.DataFrame) -> Verdict:
    """Residual at most 3 points of joint training and of a large memory, at least 50 of fine-tuning."""
    return all_of(
        *(
            less(of_gap(runs, method, "residual"), than=3.0, unit="points", label=name)
            for method, name in {"joint": "joint", "er_large": "ER 500"}.items()
        ),
        greater(of_gap(runs, "finetune", "residual"), than=50.0, unit="points", label="fine-tuning"),
        reported(of_gap(runs, "er", "residual"), unit="points", label="ER 100"),
    )


def gap_is_not_a_memory_problem(runs: pd.DataFrame) -> Verdict:
    """Depth of joint training at least 0.8 of that of ER with 100 examples, by seed."""
    joint, er = (of_gap(runs, method, "depth") for method in LEARNERS)
    return all_of(
        greater(excess(joint, er, share=0.8), than=0.0, unit="points", label="joint's depth less 0.8 of ER's"),
        reported(joint, unit="points", label="depth, joint"),
        reported(er, unit="points", label="depth, ER"),
    )


def all_families_drop(runs: pd.DataFrame) -> Verdict:
    """Depth above 5 points for ER, GEM, ER + A-GEM, LwF and EWC, at 80 degrees."""
    table = gaps(at_rate(runs, *arms("rotation", *FAMILIES)))
    return all_of(
        *(
            greater(by_seed(table, "depth", arm=f"rotation_{name}"), than=SEEN, unit=POINTS_DEEP, label=NAMES[name])
            for name in FAMILIES
        )
    )


def all_families_recover(runs: pd.DataFrame) -> Verdict:
    """Depth minus residual above 5 points for the same methods: without it a drop is forgetting, and no gap."""
    table = gaps(at_rate(runs, *arms("rotation", *FAMILIES)))
    table = table.assign(hidden=table.depth - table.residual)
    return all_of(
        *(
            greater(by_seed(table, "hidden", arm=f"rotation_{name}"), than=SEEN, unit="points back", label=NAMES[name])
            for name in FAMILIES
        )
    )


def projection_does_not_help(runs: pd.DataFrame) -> Verdict:
    """At every rate: less than 20 % of the depth saved, and less than 2 points of final accuracy gained.

    ASSUME: the reference gradients are those of the replayed batches, which joint training and ER also descend. The sum
    of both then seldom opposes the old task, and the projection seldom acts.
    """
    table = gaps(runs[runs.arm.isin(arms("rotation", *LEARNERS, *PROJECTIONS))])
    projecting = arms("rotation", *PROJECTIONS)
    rates = {arm: sorted(table.lr[table.arm == arm].unique()) for arm in projecting}
    parts = [part for arm in projecting for lr in rates[arm] for part in no_benefit(table, arm, lr)]
    classes = gaps(at_rate(runs, "classes_joint", "classes_joint_agem"))
    projected, plain = projected_and_plain(classes, "depth", "classes_joint_agem", LR)
    saved = paired_differences(plain, projected)
    return all_of(*parts, reported(saved, unit=f"{POINTS_DEEP} saved", label="new classes"))


def restart_opens_a_gap(runs: pd.DataFrame) -> Verdict:
    """Depth after decay and restart above twice the depth at a constant rate; 10 seeds."""
    table = gaps(runs[runs.arm.isin(HALF_ARMS)])
    constant, restarted, low = (by_seed(table, "depth", arm=arm) for arm in HALF_ARMS)
    beyond = {seed: restarted[seed] - 2 * constant[seed] for seed in restarted}
    return all_of(
        greater(beyond, than=0, unit=f"{POINTS_DEEP} beyond 2x constant", minimum=10),
        reported(restarted, unit=POINTS_DEEP, label="restarted"),
        reported(constant, unit=POINTS_DEEP, label="constant"),
        reported(low, unit=POINTS_DEEP, label="rate kept low"),
    )


def straight_path_is_low(runs: pd.DataFrame, path: pd.DataFrame) -> Verdict:
    """Largest loss above the line's chord below 25 % of the excess of training's own path; 0 to 80 degrees.

    The old task's validation loss. Training's excess counts from the higher of its ends, against the claim.
    """
    return low_path(runs, path, ROTATED)


def halves_are_joined_straight(runs: pd.DataFrame, path: pd.DataFrame) -> Verdict:
    """As G9, from the decayed minimum of one half to the end of training on both with the rate restarted."""
    return low_path(runs, path, RESTARTED)


def larger_rates_deepen_the_gap(runs: pd.DataFrame) -> Verdict:
    """Depth of joint training rises at each of three steps from lr 0.01 to 0.3 (momentum 0.9).

    Over four rates a rank correlation of 0.9 or more means this order. The first task must be equally good before the
    switch, within 3 points of that at 0.1, since an under-trained task has less to lose.
    """
    table = optimizer_gaps(runs)
    rates = sorted(table[table.arm == ROTATED].lr.unique())
    steps = (
        greater(
            paired_differences(*settings(table, "depth", (ROTATED, high), (ROTATED, low))),
            than=0,
            unit="points",
            label=f"lr {high:g} over {low:g}",
        )
        for low, high in pairwise(rates)
    )
    others = [(ROTATED, lr) for lr in rates if lr != LR]
    return all_of(*steps, *equally_trained(table, *others, base=(ROTATED, LR)))


def smaller_rates_lengthen_the_gap(runs: pd.DataFrame) -> Verdict:
    """Recovery to within a point takes more updates at lr 0.03 than at 0.3.

    A run that has not come back counts with its length, a lower bound.
    """
    table = optimizer_gaps(runs)
    longer = paired_differences(*settings(table, "recovery_steps", (ROTATED, 0.03), (ROTATED, 0.3)))
    return greater(longer, than=0, unit="updates")


def depth_rises_with_the_rate(runs: pd.DataFrame) -> Verdict:
    """The least-squares slope of the depth over four rates is above 0: G10 without the order of neighbours."""
    table = optimizer_gaps(runs)
    rates = sorted(table[table.arm == ROTATED].lr.unique())
    depths = pd.DataFrame(settings(table, "depth", *((ROTATED, lr) for lr in rates)))
    slopes = dict(zip(depths, np.polyfit(np.log2(rates), depths, 1)[0], strict=True))
    return greater(slopes, than=0, unit="points per octave")


def momentum_deepens_the_gap(runs: pd.DataFrame) -> Verdict:
    """Depth with momentum 0.9 at least 1.5 times that without, both at lr 0.1 and equally good before the switch."""
    return amplified(optimizer_gaps(runs), (MOMENTUM_ARMS[0.9], LR), (MOMENTUM_ARMS[0.0], LR))


def momentum_deepens_the_gap_at_matched_rates(runs: pd.DataFrame) -> Verdict:
    """Depth with momentum 0.9 at lr 0.03 at least 1.5 times that without at 0.3, equally good before the switch."""
    return amplified(optimizer_gaps(runs), (MOMENTUM_ARMS[0.9], MATCHED[0.9]), (MOMENTUM_ARMS[0.0], MATCHED[0.0]))


def only_the_new_task_pulls_at_the_switch(runs: pd.DataFrame) -> Verdict:
    """Norm of the plasticity over that of the stability gradient: at least 5 at the switch, at most 2 at the lowest.

    As doublings, log2 of the ratio; the lowest is the update of each seed with the lowest accuracy on the old task.
    """
    rows = since_switch(runs[runs.arm == "rotation_gradients"])
    before, lowest = (
        {seed: log2(ratio) for seed, ratio in ratios(chosen).items()} for chosen in (at_switch(rows), at_lowest(rows))
    )
    unit = "doublings of plasticity over stability"
    return all_of(
        greater(before, than=round(log2(5), 2), unit=unit, label="its value at the switch"),
        less(lowest, than=1.0, unit=unit, label="its value at the lowest accuracy"),
    )


def similarity_cuts_both_ways(runs: pd.DataFrame) -> Verdict:
    """Rank correlation with the angle: below 0 of fine-tuning's final forgetting, above 0 of joint training's depth."""
    forgotten, depth = rank_correlation(runs, "finetune", "residual"), rank_correlation(runs, "joint", "depth")
    return all_of(
        less(forgotten, than=0, unit="rank correlation", label="forgetting of fine-tuning"),
        greater(depth, than=0, unit="rank correlation", label="depth of joint training"),
    )
