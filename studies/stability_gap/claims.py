"""Claims on the stability gap. Thresholds frozen after pilots with seeds 100 to 104."""

from collections.abc import Hashable
from itertools import pairwise
from math import log2

import numpy as np
import pandas as pd
from comparisons import DECAYS, LEARNERS, SCENARIOS, conditions, viewed
from cures import excess
from domains import TOLERANCE, at_end, of_run, rises
from gaps import by_seed, gaps
from gradients import at_lowest, at_switch, ratios, since_switch
from selections import (
    LR,
    MOMENTUM_ARMS,
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
from styles import NAMES

from common.claims import claim
from common.statistics import paired_differences
from common.verdicts import Verdict, all_of, equivalence, greater, less, reported

DE_LANGE = "De Lange et al. 2022 (arXiv:2205.13452)"
HESS = "Hess et al. 2023 (arXiv:2311.04898)"
KAMATH = "Kamath et al. 2024 (arXiv:2406.05114)"
GUO = "Guo et al. 2024 (arXiv:2406.14833), abstract"
DELFT = "bachelor theses, TU Delft 2025 (code: KseniaSycheva/Stability-Gap-SAM), abstracts"

POINTS_DEEP = "points of depth"
NEAR, FAR = 10, 80
"""Degrees between the tasks of the two depths whose ratio is judged."""
FAMILIES = ("er", "gem", "er_agem", "lwf", "ewc")
SEEN = 5
"""Points from which a drop is one: four standard errors of an accuracy of 97 % on 360 images are 3.6."""
PROJECTIONS = ("joint_agem", "joint_gem", "er_agem", "er_gem")
CLEAR = 0.2
"""Share of the depth from which a benefit is clear."""
GAIN = 2
"""Points of final accuracy from which a gain is clear."""
LOW_PATH = 0.25
"""Part of the excess of training's own path below which the straight line is a path of low loss."""
UNDERTRAINED = 3.0
"""Points by which the first task may differ before the switch in comparisons that are about the depth alone."""
AMPLIFIED = 1.5
"""Factor by which momentum 0.9 is said to deepen the gap."""

LEFT = 0.4
"""Share of the plain depth that a cure which works may leave."""
KEPT = 0.7
"""Share of the plain depth that a cure which does not work leaves at least."""
LEFT_BY_AVERAGE = 0.6
ACCURACY_LOSS = -1.0
"""Points of final accuracy, mean of both tasks, that a cure may cost; it may gain any."""
RAMP_STEPS = 50
SHARES = {"text-pass": "0 %", "text-replay5": "5 %", "text-replay25": "25 %", "text-replay50": "50 %"}
"""Replay by run."""
NATS = "nats per byte"
RISE = 0.05
"""Nats per byte from which a rise of the loss is one."""


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


def ramp_verdict(runs: pd.DataFrame, scenario: str, *methods: str) -> Verdict:
    """Depth at most 40 % of plain's and no more than 1 point of final accuracy lost, at every rate of every method."""
    parts = []
    for name, (ramped, plain) in conditions(runs, "ramp", scenario, *methods).items():
        depths = excess(by_seed(ramped, "depth"), by_seed(plain, "depth"), share=LEFT)
        finals = paired_differences(by_seed(ramped, "mean"), by_seed(plain, "mean"))
        parts += [
            less(depths, than=0, unit="points above 40 % of plain", label=f"depth, {name}"),
            greater(finals, than=ACCURACY_LOSS, unit="points", label=f"final accuracy, {name}"),
            reported(_transient_excess(ramped, plain), unit="points above 40 % of plain", label=f"transient, {name}"),
        ]
    return all_of(*parts)


def _transient_excess(ramped: pd.DataFrame, plain: pd.DataFrame) -> dict[Hashable, float]:
    """The same of what comes back: depth minus residual."""
    tables = (table.assign(transient=table.depth - table.residual) for table in (ramped, plain))
    return excess(*(by_seed(table, "transient") for table in tables), share=LEFT)


def warmup_verdict(runs: pd.DataFrame, scenario: str) -> Verdict:
    """Depth at least 70 % of plain's, at every rate, joint and with replay."""
    parts = []
    for name, (warmed, plain) in conditions(runs, "warmup", scenario, *LEARNERS).items():
        depths = excess(by_seed(warmed, "depth"), by_seed(plain, "depth"), share=KEPT)
        parts.append(greater(depths, than=0, unit="points above 70 % of plain", label=name))
    return all_of(*parts)


def average_verdict(runs: pd.DataFrame, scenario: str) -> Verdict:
    """Depth of the averaged weights at most 60 % of that of the weights of the same run, at each decay."""
    parts = []
    for decay in DECAYS:
        rows = runs[runs.run == f"{scenario}-joint-average{decay}"]
        averaged, raw = (by_seed(viewed(rows, view), "depth") for view in ("average", "weights"))
        over = excess(averaged, raw, share=LEFT_BY_AVERAGE)
        parts.append(less(over, than=0, unit="points above 60 % of raw", label=f"decay {decay:g}"))
    return all_of(*parts)


def rise_and_return(runs: pd.DataFrame, run: str) -> list[Verdict]:
    """Does the loss on prose rise by 0.05 nats per byte, and end within 0.02 of its value before the switch?"""
    table = rises(runs, "prose")
    return [
        greater(of_run(table, run, "rise"), than=RISE, unit=NATS, label="rise"),
        less(of_run(table, run, "residual"), than=TOLERANCE, unit=NATS, label="left at the end"),
    ]


def _rise_without_a_switch(runs: pd.DataFrame) -> Verdict:
    return reported(of_run(rises(runs, "prose"), "text-same", "rise"), unit=NATS, label="rise without a switch")


@claim(
    "C1",
    "evaluation after every update shows a drop that evaluation at task ends hides",
    source=DE_LANGE,
    published="forgetting, then recovery",
    published_mark="published",
    seeds=10,
)
def dense_evaluation_shows_a_drop(runs: pd.DataFrame) -> Verdict:
    """Joint training, first task during the second: depth at least 10 points, residual within 2."""
    return all_of(
        greater(of_gap(runs, "joint", "depth"), than=10.0, unit="points", label="depth"),
        equivalence(of_gap(runs, "joint", "residual"), margin=2.0, unit="points", label="residual"),
    )


@claim(
    "C2",
    "sparse evaluation underestimates the worst case",
    source=f"{DE_LANGE}, figure 2",
    published="min-ACC lower at a shorter period",
    published_mark="recalled",
    seeds=10,
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
            for scenario in ("rotation", "classes")
            for method in ("joint", "er")
        ),
    )


@claim(
    "C3",
    "the gap grows with the dissimilarity of the tasks",
    source=f"{DE_LANGE}, abstract",
    published="increases when tasks are more dissimilar",
    published_mark="published",
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


@claim(
    "C4",
    "with enough replay the drop is temporary, with fine-tuning it is not",
    source=DE_LANGE,
    published="forgetting, then recovery",
    published_mark="published",
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


@claim(
    "C5",
    "the gap is not a problem of memory: training on all old data has it as well",
    source=HESS,
    published="even with a perfect approximation to the joint loss",
    published_mark="published",
    seeds=10,
)
def gap_is_not_a_memory_problem(runs: pd.DataFrame) -> Verdict:
    """Depth of joint training at least 0.8 of that of ER with 100 examples, by seed."""
    joint, er = (of_gap(runs, method, "depth") for method in ("joint", "er"))
    return all_of(
        greater(excess(joint, er, share=0.8), than=0.0, unit="points", label="joint's depth less 0.8 of ER's"),
        reported(joint, unit="points", label="depth, joint"),
        reported(er, unit="points", label="depth, ER"),
    )


@claim(
    "C6",
    "methods of all families lose the old task after the switch",
    source=f"{DE_LANGE}, abstract and code",
    published="shown for replay, constraint, distillation and regularisation methods",
    published_mark="published",
)
def all_families_drop(runs: pd.DataFrame) -> Verdict:
    """Depth above 5 points for ER, GEM, ER + A-GEM, LwF and EWC, at 80 degrees."""
    table = gaps(at_rate(runs, *(f"rotation_{name}" for name in FAMILIES)))
    return all_of(
        *(
            greater(by_seed(table, "depth", arm=f"rotation_{name}"), than=SEEN, unit=POINTS_DEEP, label=NAMES[name])
            for name in FAMILIES
        )
    )


@claim(
    "C6a",
    "methods of all families recover part of what they lost",
    source=f"{DE_LANGE}, abstract; threshold derived here",
    published="substantial forgetting followed by recovery",
    published_mark="published",
)
def all_families_recover(runs: pd.DataFrame) -> Verdict:
    """Depth minus residual above 5 points for the same methods: without it a drop is forgetting, and no gap."""
    table = gaps(at_rate(runs, *(f"rotation_{name}" for name in FAMILIES)))
    table = table.assign(hidden=table.depth - table.residual)
    return all_of(
        *(
            greater(by_seed(table, "hidden", arm=f"rotation_{name}"), than=SEEN, unit="points back", label=NAMES[name])
            for name in FAMILIES
        )
    )


@claim(
    "C7",
    "gradient projection does not remove the gap of joint training and replay",
    source=HESS,
    published="fails to show clear and consistent benefits",
    published_mark="published",
)
def projection_does_not_help(runs: pd.DataFrame) -> Verdict:
    """At every rate: less than 20 % of the depth saved, and less than 2 points of final accuracy gained.

    ASSUME: the reference gradients are those of the replayed batches, which joint training and ER also descend. The sum
    of both then seldom opposes the old task, and the projection seldom acts.
    """
    arms = [f"rotation_{name}" for name in PROJECTIONS]
    table = gaps(runs[runs.arm.isin([*arms, "rotation_joint", "rotation_er"])])
    rates = {arm: sorted(table.lr[table.arm == arm].unique()) for arm in arms}
    parts = [part for arm in arms for lr in rates[arm] for part in no_benefit(table, arm, lr)]
    classes = gaps(at_rate(runs, "classes_joint", "classes_joint_agem"))
    projected, plain = projected_and_plain(classes, "depth", "classes_joint_agem", LR)
    saved = paired_differences(plain, projected)
    return all_of(*parts, reported(saved, unit=f"{POINTS_DEEP} saved", label="new classes"))


@claim(
    "C8",
    "a restart of the rate opens a gap even between two halves of one data set",
    source=KAMATH,
    published="a gap in joint incremental learning of homogeneous tasks",
    published_mark="published",
    seeds=10,
)
def restart_opens_a_gap(runs: pd.DataFrame) -> Verdict:
    """Depth after decay and restart above twice the depth at a constant rate; 10 seeds."""
    table = gaps(runs[runs.arm.isin(["halves_constant", "halves_restarted", "halves_low"])])
    constant, restarted, low = (
        by_seed(table, "depth", arm=f"halves_{name}") for name in ("constant", "restarted", "low")
    )
    beyond = {seed: restarted[seed] - 2 * constant[seed] for seed in restarted}
    return all_of(
        greater(beyond, than=0, unit=f"{POINTS_DEEP} beyond 2x constant", minimum=10),
        reported(restarted, unit=POINTS_DEEP, label="restarted"),
        reported(constant, unit=POINTS_DEEP, label="constant"),
        reported(low, unit=POINTS_DEEP, label="rate kept low"),
    )


@claim(
    "C9",
    "a straight path of low loss leads to where training on a rotated task ends",
    source=f"{KAMATH}, there between parts of one distribution",
    published="straight low-loss paths exist",
    published_mark="published",
)
def straight_path_is_low(runs: pd.DataFrame, path: pd.DataFrame) -> Verdict:
    """Largest loss above the line's chord below 25 % of the excess of training's own path; 0 to 80 degrees.

    The old task's validation loss. Training's excess counts from the higher of its ends, against the claim.
    """
    return low_path(runs, path, "rotation_joint")


@claim(
    "C9a",
    "a straight path of low loss joins the minima of two halves of one data set",
    source=KAMATH,
    published="straight low-loss paths exist",
    published_mark="published",
    seeds=10,
)
def halves_are_joined_straight(runs: pd.DataFrame, path: pd.DataFrame) -> Verdict:
    """As C9, from the decayed minimum of one half to the end of training on both with the rate restarted."""
    return low_path(runs, path, "halves_restarted")


@claim(
    "C10",
    "the larger the learning rate, the deeper the gap",
    source=DELFT,
    published="larger rates: more severe gap",
    published_mark="published",
)
def larger_rates_deepen_the_gap(runs: pd.DataFrame) -> Verdict:
    """Depth of joint training rises at each of three steps from lr 0.01 to 0.3 (momentum 0.9).

    Over four rates a rank correlation of 0.9 or more means this order. The first task must be equally good before the
    switch, within 3 points of that at 0.1, since an under-trained task has less to lose.
    """
    table = optimizer_gaps(runs)
    rates = sorted(table[table.arm == "rotation_joint"].lr.unique())
    steps = (
        greater(
            paired_differences(*settings(table, "depth", ("rotation_joint", high), ("rotation_joint", low))),
            than=0,
            unit="points",
            label=f"lr {high:g} over {low:g}",
        )
        for low, high in pairwise(rates)
    )
    others = [("rotation_joint", lr) for lr in rates if lr != LR]
    return all_of(*steps, *equally_trained(table, *others, base=("rotation_joint", LR)))


@claim(
    "C10a",
    "the smaller the learning rate, the longer the gap",
    source=DELFT,
    published="smaller rates: slower recovery",
    published_mark="published",
)
def smaller_rates_lengthen_the_gap(runs: pd.DataFrame) -> Verdict:
    """Recovery to within a point takes more updates at lr 0.03 than at 0.3.

    A run that has not come back counts with its length, a lower bound.
    """
    table = optimizer_gaps(runs)
    longer = paired_differences(*settings(table, "recovery_steps", ("rotation_joint", 0.03), ("rotation_joint", 0.3)))
    return greater(longer, than=0, unit="updates")


@claim(
    "C10b",
    "the depth of the gap grows with the logarithm of the learning rate",
    source=DELFT,
    published="larger rates: more severe gap",
    published_mark="published",
)
def depth_rises_with_the_rate(runs: pd.DataFrame) -> Verdict:
    """The least-squares slope of the depth over four rates is above 0: C10 without the order of neighbours."""
    table = optimizer_gaps(runs)
    rates = sorted(table[table.arm == "rotation_joint"].lr.unique())
    depths = pd.DataFrame(settings(table, "depth", *(("rotation_joint", lr) for lr in rates)))
    slopes = dict(zip(depths, np.polyfit(np.log2(rates), depths, 1)[0], strict=True))
    return greater(slopes, than=0, unit="points per octave")


@claim(
    "C11",
    "momentum deepens the gap at an equal learning rate",
    source=DELFT,
    published="increasing momentum amplifies the steepness",
    published_mark="published",
)
def momentum_deepens_the_gap(runs: pd.DataFrame) -> Verdict:
    """Depth with momentum 0.9 at least 1.5 times that without, both at lr 0.1 and equally good before the switch."""
    return amplified(optimizer_gaps(runs), (MOMENTUM_ARMS[0.9], LR), (MOMENTUM_ARMS[0.0], LR))


@claim(
    "C11a",
    "momentum deepens the gap also at equal lr / (1 - momentum)",
    source=DELFT,
    published="increasing momentum amplifies the steepness",
    published_mark="published",
)
def momentum_deepens_the_gap_at_matched_rates(runs: pd.DataFrame) -> Verdict:
    """Depth with momentum 0.9 at lr 0.03 at least 1.5 times that without at 0.3, equally good before the switch."""
    return amplified(optimizer_gaps(runs), (MOMENTUM_ARMS[0.9], 0.03), (MOMENTUM_ARMS[0.0], 0.3))


@claim(
    "C12",
    "ramping up the new task's weight removes most of the gap of joint training on rotated digits",
    source="derived here",
    published="",
    published_mark="none",
    seeds=10,
)
def ramp_cures_rotation_joint(runs: pd.DataFrame) -> Verdict:
    """Depth at most 40 % of plain's, and no more than 1 point of final accuracy lost, at each of three rates."""
    return ramp_verdict(runs, "rotation", "joint")


@claim(
    "C12a",
    "the ramp removes as much with replay from a small memory on rotated digits",
    source="derived here",
    published="",
    published_mark="none",
    seeds=10,
)
def ramp_cures_rotation_replay(runs: pd.DataFrame) -> Verdict:
    """As C12. The depth contains what is lost for good, which no cure of the transient can remove."""
    return ramp_verdict(runs, "rotation", "er")


@claim(
    "C12b",
    "the ramp removes as much when new classes come, joint and with replay",
    source="derived here",
    published="",
    published_mark="none",
    seeds=10,
)
def ramp_cures_classes(runs: pd.DataFrame) -> Verdict:
    """As C12, for both methods."""
    return ramp_verdict(runs, "classes", *LEARNERS)


@claim(
    "C12c",
    "warming up the learning rate as long leaves most of the gap on rotated digits",
    source="derived here",
    published="",
    published_mark="none",
    seeds=10,
)
def warmup_fails_on_rotation(runs: pd.DataFrame) -> Verdict:
    """Depth at least 70 % of plain's at each of three rates, joint and with replay."""
    return warmup_verdict(runs, "rotation")


@claim(
    "C12d",
    "warming up the learning rate leaves most of the gap when new classes come",
    source="derived here",
    published="",
    published_mark="none",
    seeds=10,
)
def warmup_fails_on_classes(runs: pd.DataFrame) -> Verdict:
    """Depth at least 70 % of plain's at each of three rates, joint and with replay."""
    return warmup_verdict(runs, "classes")


@claim(
    "C12e",
    "the ramp delays the new task by less than half its own length",
    source="derived here",
    published="",
    published_mark="none",
    seeds=10,
)
def ramp_costs_little(runs: pd.DataFrame) -> Verdict:
    """Updates until the new task has 90 % of its final accuracy: fewer than 25 more than plain, in all 12 conditions.

    What the new task loses over its first 50 updates is in the figure stability_gap_mitigation.
    """
    parts = []
    for scenario in SCENARIOS:
        for name, (ramped, plain) in conditions(runs, "ramp", scenario, *LEARNERS).items():
            delays = paired_differences(by_seed(ramped, "reach_steps"), by_seed(plain, "reach_steps"))
            parts.append(less(delays, than=RAMP_STEPS / 2, unit="updates", label=f"{scenario}, {name}"))
    return all_of(*parts)


@claim(
    "C12f",
    "the ramp removes as much in joint training on text",
    source="derived here",
    published="",
    published_mark="none",
)
def ramp_cures_text(runs: pd.DataFrame) -> Verdict:
    """Rise of the loss on prose at most 40 % of plain's, and the mean loss of both domains within 0.02 at the end.

    Reported beside it: the rise without any switch, when pre-training goes on at the same rate, and the warm-up's.
    """
    table = rises(runs, "prose")
    plain, ramped, warmed = (of_run(table, f"text-joint{cure}", "rise") for cure in ("", "-ramp", "-warmup"))
    lost = [
        paired_differences(*(at_end(runs, run, domain) for run in ("text-joint-ramp", "text-joint")))
        for domain in ("prose", "python")
    ]
    mean = {seed: (lost[0][seed] + lost[1][seed]) / 2 for seed in plain}
    return all_of(
        less(excess(ramped, plain, share=LEFT), than=0, unit=f"{NATS} above 40 % of plain", label="rise"),
        less(mean, than=TOLERANCE, unit=NATS, label="both domains at the end"),
        reported(paired_differences(warmed, plain), unit=NATS, label="rise, warm-up minus plain"),
        _rise_without_a_switch(runs),
    )


@claim(
    "C13",
    "averaged weights have a shallower gap than the weights they average, on rotated digits",
    source="Soutif-Cormerais et al. 2023 (arXiv:2306.16817), abstract",
    published="performance and stability drastically increased",
    published_mark="published",
    seeds=10,
)
def averages_are_more_stable(runs: pd.DataFrame) -> Verdict:
    """Depth of the average at most 60 % of that of the weights of the same run, with decays 0.95 and 0.98."""
    return average_verdict(runs, "rotation")


@claim(
    "C13a",
    "averaged weights have a shallower gap than the weights they average, when new classes come",
    source="Soutif-Cormerais et al. 2023 (arXiv:2306.16817), abstract",
    published="performance and stability drastically increased",
    published_mark="published",
    seeds=10,
)
def averages_are_more_stable_on_classes(runs: pd.DataFrame) -> Verdict:
    """As C13."""
    return average_verdict(runs, "classes")


@claim(
    "C14",
    "at the switch the stability gradient is nearly zero and the plasticity gradient large",
    source=f"{DE_LANGE}, conceptual analysis",
    published="stability gradient near zero at the switch",
    published_mark="published",
)
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


@claim(
    "C15",
    "on text, a quarter of replay makes the rise of the old domain's loss transient",
    source=GUO,
    published="drop, then recovery",
    published_mark="published",
)
def replay_makes_the_rise_transient(runs: pd.DataFrame) -> Verdict:
    """25 % replay at equal compute: loss on prose rises by at least 0.05 nats per byte and ends within 0.02.

    Reported beside it: the rise when the pre-training text goes on at the same rate, so that nothing switches.
    """
    return all_of(*rise_and_return(runs, "text-replay25"), _rise_without_a_switch(runs))


@claim(
    "C15a",
    "on text, joint training makes the rise of the old domain's loss transient",
    source="derived here",
    published="",
    published_mark="none",
)
def joint_training_makes_the_rise_transient(runs: pd.DataFrame) -> Verdict:
    """As C15, with a batch of prose beside each batch of code: twice the compute for each update."""
    return all_of(*rise_and_return(runs, "text-joint"), _rise_without_a_switch(runs))


@claim(
    "C16",
    "on text, four epochs over a quarter bring English inside code back sooner than one pass over all",
    source=GUO,
    published="36.2 % to 40.7 % with 40 % of the budget",
    published_mark="published",
)
def repetition_recovers_sooner(runs: pd.DataFrame) -> Verdict:
    """Updates until the loss is back, at most 0.8 times those of one pass, and no loss on new code.

    A run that does not come back counts with its length, a lower bound. ASSUME: English inside code, scored with the
    code around it, stands in for the medical questions of the paper, which need old and new skill alike; it is a
    loss, not a rate of right answers.
    """
    documented = rises(runs, "documented")
    subset, once = (of_run(documented, run, "recovery_steps") for run in ("text-subset", "text-pass"))
    worse, left = (
        paired_differences(*(at_end(runs, run, domain) for run in ("text-subset", "text-pass")))
        for domain in ("python", "documented")
    )
    ranked = paired_differences(*(at_end(runs, run, "documented") for run in ("text-ranked", "text-subset")))
    return all_of(
        less(excess(subset, once, share=0.8), than=0, unit="updates beyond 0.8 of one pass", label="way back"),
        less(worse, than=TOLERANCE, unit=NATS, label="new code, subset minus one pass"),
        reported(left, unit=NATS, label="English in code at the end, subset minus one pass"),
        reported(ranked, unit=NATS, label="the same, most commented quarter minus any quarter"),
    )


@claim(
    "C16a",
    "on text, four epochs over the most commented quarter keep English inside code better than one pass over all",
    source=GUO,
    published="strategy 2: the part of highest quality",
    published_mark="published",
)
def quality_keeps_old_skill(runs: pd.DataFrame) -> Verdict:
    """Loss on English inside code at the end, the most commented quarter minus one pass, below 0.

    ASSUME: the share of comments stands in for the paper's score of quality.
    """
    documented, python = (
        paired_differences(*(at_end(runs, run, domain) for run in ("text-ranked", "text-pass")))
        for domain in ("documented", "python")
    )
    return all_of(
        less(documented, than=0, unit=NATS, label="English in code"),
        reported(python, unit=NATS, label="new code"),
    )


@claim(
    "C17",
    "on text, a mixture closer to the old distribution shrinks the gap",
    source=GUO,
    published="strategy 3: a mixture like that of the pre-training",
    published_mark="published",
)
def replay_shrinks_the_rise(runs: pd.DataFrame) -> Verdict:
    """The largest rise of the loss on prose falls from each share of replay to the next: 0, 5, 25, 50 %."""
    table = rises(runs, "prose")
    found = {run: of_run(table, run, "rise") for run in SHARES}
    return all_of(
        *(
            less(
                paired_differences(found[more], found[fewer]),
                than=0,
                unit=NATS,
                label=f"{SHARES[more]} minus {SHARES[fewer]}",
            )
            for fewer, more in pairwise(SHARES)
        )
    )


@claim(
    "C18",
    "as tasks align, forgetting rises and the gap shrinks",
    source=f"Doan et al. 2021 (arXiv:2010.04003), abstract; {DE_LANGE}, abstract",
    published="forgetting rises as tasks align; the gap as they differ",
    published_mark="published",
)
def similarity_cuts_both_ways(runs: pd.DataFrame) -> Verdict:
    """Rank correlation with the angle: below 0 of fine-tuning's final forgetting, above 0 of joint training's depth."""
    forgotten, depth = rank_correlation(runs, "finetune", "residual"), rank_correlation(runs, "joint", "depth")
    return all_of(
        less(forgotten, than=0, unit="rank correlation", label="forgetting of fine-tuning"),
        greater(depth, than=0, unit="rank correlation", label="depth of joint training"),
    )
