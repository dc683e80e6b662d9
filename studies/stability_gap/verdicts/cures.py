"""Verdicts on what removes the gap: a ramp, a warm-up and averages on digits, replay and other strategies on text."""

from collections.abc import Hashable
from itertools import pairwise

import pandas as pd

from common.evidence.combinations import all_of
from common.evidence.statistics import paired_differences
from common.evidence.verdicts import Verdict, greater, less, reported
from studies.stability_gap.comparisons import conditions, viewed
from studies.stability_gap.cures import ACCURACY_LOSS, KEPT, LEFT, excess
from studies.stability_gap.domains import TOLERANCE, at_end, of_run, rises
from studies.stability_gap.gaps import by_seed
from studies.stability_gap.study import CURE_STEPS, DECAYS, LEARNERS, SCENARIOS

LEFT_BY_AVERAGE = 0.6
SHARES = {"text-pass": "0 %", "text-replay5": "5 %", "text-replay25": "25 %", "text-replay50": "50 %"}
"""Replay by run."""
NATS = "nats per byte"
RISE = 0.05
"""Nats per byte from which a rise of the loss is one."""


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


def ramp_cures_rotation_joint(runs: pd.DataFrame) -> Verdict:
    """Depth at most 40 % of plain's, and no more than 1 point of final accuracy lost, at each of three rates."""
    return ramp_verdict(runs, "rotation", "joint")


def ramp_cures_rotation_replay(runs: pd.DataFrame) -> Verdict:
    """As G12. The depth contains what is lost for good, which no cure of the transient can remove."""
    return ramp_verdict(runs, "rotation", "er")


def ramp_cures_classes(runs: pd.DataFrame) -> Verdict:
    """As G12, for both methods."""
    return ramp_verdict(runs, "classes", *LEARNERS)


def warmup_fails_on_rotation(runs: pd.DataFrame) -> Verdict:
    """Depth at least 70 % of plain's at each of three rates, joint and with replay."""
    return warmup_verdict(runs, "rotation")


def warmup_fails_on_classes(runs: pd.DataFrame) -> Verdict:
    """Depth at least 70 % of plain's at each of three rates, joint and with replay."""
    return warmup_verdict(runs, "classes")


def ramp_costs_little(runs: pd.DataFrame) -> Verdict:
    """Updates until the new task has 90 % of its final accuracy: fewer than 25 more than plain, in all 12 conditions.

    What the new task loses over its first 50 updates is in the figure stability_gap_mitigation.
    """
    parts = []
    for scenario in SCENARIOS:
        for name, (ramped, plain) in conditions(runs, "ramp", scenario, *LEARNERS).items():
            delays = paired_differences(by_seed(ramped, "reach_steps"), by_seed(plain, "reach_steps"))
            parts.append(less(delays, than=CURE_STEPS / 2, unit="updates", label=f"{scenario}, {name}"))
    return all_of(*parts)


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


def averages_are_more_stable(runs: pd.DataFrame) -> Verdict:
    """Depth of the average at most 60 % of that of the weights of the same run, with decays 0.95 and 0.98."""
    return average_verdict(runs, "rotation")


def averages_are_more_stable_on_classes(runs: pd.DataFrame) -> Verdict:
    """As G13."""
    return average_verdict(runs, "classes")


def replay_makes_the_rise_transient(runs: pd.DataFrame) -> Verdict:
    """25 % replay at equal compute: loss on prose rises by at least 0.05 nats per byte and ends within 0.02.

    Reported beside it: the rise when the pre-training text goes on at the same rate, so that nothing switches.
    """
    return all_of(*rise_and_return(runs, "text-replay25"), _rise_without_a_switch(runs))


def joint_training_makes_the_rise_transient(runs: pd.DataFrame) -> Verdict:
    """As G15, with a batch of prose beside each batch of code: twice the compute for each update."""
    return all_of(*rise_and_return(runs, "text-joint"), _rise_without_a_switch(runs))


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
