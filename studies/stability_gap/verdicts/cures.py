"""Verdicts on what removes the gap: a ramp, a warm-up and averages on digits, replay and other strategies on text."""

from collections.abc import Hashable
from itertools import pairwise

import pandas as pd

from common.evidence.combinations import all_of
from common.evidence.statistics import paired_differences
from common.evidence.verdicts import Verdict, greater, less, reported, unless_censored
from studies.stability_gap.comparisons import conditions, viewed
from studies.stability_gap.cures import excess
from studies.stability_gap.domains import at_end, of_run, rises
from studies.stability_gap.gaps import by_seed
from studies.stability_gap.study import DECAYS, LEARNERS, SCENARIOS

SHARES = {"text-pass": "0 %", "text-replay5": "5 %", "text-replay25": "25 %", "text-replay50": "50 %"}
"""Replay by run."""
NATS = "nats per byte"


def ramp_verdict(runs: pd.DataFrame, scenario: str, *methods: str, left: float, lost: float) -> Verdict:
    """A small share of plain's depth and hardly any final accuracy lost, at every rate of every method."""
    parts, unit = [], f"points above {left:.0%} of plain"
    for name, (ramped, plain) in conditions(runs, "ramp", scenario, *methods).items():
        depths = excess(by_seed(ramped, "depth"), by_seed(plain, "depth"), share=left)
        finals = paired_differences(by_seed(ramped, "mean"), by_seed(plain, "mean"))
        back = _transient_excess(ramped, plain, share=left)
        parts += [
            less(depths, than=0, unit=unit, label=f"depth, {name}"),
            greater(finals, than=lost, unit="points", label=f"final accuracy, {name}"),
            reported(back, unit=unit, label=f"transient, {name}"),
        ]
    return all_of(*parts)


def _transient_excess(ramped: pd.DataFrame, plain: pd.DataFrame, *, share: float) -> dict[Hashable, float]:
    """The same of what comes back: depth minus residual."""
    tables = (table.assign(transient=table.depth - table.residual) for table in (ramped, plain))
    return excess(*(by_seed(table, "transient") for table in tables), share=share)


def warmup_verdict(runs: pd.DataFrame, scenario: str, *, kept: float) -> Verdict:
    """Depth at least a large share of plain's, at every rate, joint and with replay."""
    parts = []
    for name, (warmed, plain) in conditions(runs, "warmup", scenario, *LEARNERS).items():
        depths = excess(by_seed(warmed, "depth"), by_seed(plain, "depth"), share=kept)
        parts.append(greater(depths, than=0, unit=f"points above {kept:.0%} of plain", label=name))
    return all_of(*parts)


def average_verdict(runs: pd.DataFrame, scenario: str, *, left: float) -> Verdict:
    """Depth of the averaged weights at most a share of that of the weights of the same run, at each decay."""
    parts = []
    for decay in DECAYS:
        rows = runs[runs.run == f"{scenario}-joint-average{decay}"]
        averaged, raw = (by_seed(viewed(rows, view), "depth") for view in ("average", "weights"))
        over = excess(averaged, raw, share=left)
        parts.append(less(over, than=0, unit=f"points above {left:.0%} of raw", label=f"decay {decay:g}"))
    return all_of(*parts)


def rise_and_return(runs: pd.DataFrame, run: str, *, rise: float, tolerance: float) -> Verdict:
    """Does the loss on prose rise, and end near its value before the switch?

    Reported: the same of pre-training text that goes on at the same rate, so that nothing switches.
    """
    table = rises(runs, "prose")
    same = (
        reported(of_run(table, "text-same", column), unit=NATS, label=f"{name} without a switch")
        for column, name in {"rise": "rise", "residual": "left"}.items()
    )
    return all_of(
        greater(of_run(table, run, "rise"), than=rise, null=0.0, unit=NATS, label="rise"),
        less(of_run(table, run, "residual"), than=tolerance, unit=NATS, label="left at the end"),
        *same,
    )


def ramp_cures_rotation_joint(runs: pd.DataFrame, *, left: float, lost: float) -> Verdict:
    """Depth a small share of plain's, and hardly any final accuracy lost, at each of three rates."""
    return ramp_verdict(runs, "rotation", "joint", left=left, lost=lost)


def ramp_cures_rotation_replay(runs: pd.DataFrame, *, left: float, lost: float) -> Verdict:
    """As G12. The depth contains what is lost for good, which no cure of the transient can remove."""
    return ramp_verdict(runs, "rotation", "er", left=left, lost=lost)


def ramp_cures_classes(runs: pd.DataFrame, *, left: float, lost: float) -> Verdict:
    """As G12, for both methods."""
    return ramp_verdict(runs, "classes", *LEARNERS, left=left, lost=lost)


def warmup_fails_on_rotation(runs: pd.DataFrame, *, kept: float) -> Verdict:
    """Depth at least a large share of plain's at each of three rates, joint and with replay."""
    return warmup_verdict(runs, "rotation", kept=kept)


def warmup_fails_on_classes(runs: pd.DataFrame, *, kept: float) -> Verdict:
    """Depth at least a large share of plain's at each of three rates, joint and with replay."""
    return warmup_verdict(runs, "classes", kept=kept)


def ramp_costs_little(runs: pd.DataFrame, *, delay: float) -> Verdict:
    """Updates until the new task has 90 % of its final accuracy: hardly more than plain, in all 12 conditions.

    What the new task loses over its first 50 updates is in the figure stability_gap_mitigation.
    """
    parts = []
    for scenario in SCENARIOS:
        for name, (ramped, plain) in conditions(runs, "ramp", scenario, *LEARNERS).items():
            delays = paired_differences(by_seed(ramped, "reach_steps"), by_seed(plain, "reach_steps"))
            parts.append(less(delays, than=delay, unit="updates", label=f"{scenario}, {name}"))
    return all_of(*parts)


def ramp_cures_text(runs: pd.DataFrame, *, left: float, tolerance: float) -> Verdict:
    """Rise of the loss on prose beyond that without a switch a small share of plain's; both losses near at the end.

    Without a switch, when pre-training goes on at the same rate, the loss rises from re-warming alone, which no ramp
    can remove; it is subtracted from both by seed. Reported beside it: that rise, and the warm-up's beyond plain's.
    """
    table = rises(runs, "prose")
    same, plain, ramped, warmed = (
        of_run(table, f"text-{name}", "rise") for name in ("same", "joint", "joint-ramp", "joint-warmup")
    )
    beyond = [paired_differences(found, same, names=("joint", "same")) for found in (ramped, plain)]
    lost = [
        paired_differences(*(at_end(runs, run, domain) for run in ("text-joint-ramp", "text-joint")))
        for domain in ("prose", "python")
    ]
    mean = {seed: (lost[0][seed] + lost[1][seed]) / 2 for seed in plain}
    return all_of(
        less(excess(*beyond, share=left), than=0, unit=f"{NATS} above {left:.0%} of plain", label="rise by the switch"),
        less(mean, than=tolerance, unit=NATS, label="both domains at the end"),
        reported(paired_differences(warmed, plain), unit=NATS, label="rise, warm-up minus plain"),
        reported(same, unit=NATS, label="rise without a switch"),
    )


def averages_are_more_stable(runs: pd.DataFrame, *, left: float) -> Verdict:
    """Depth of the average a share of that of the weights of the same run, with decays 0.95 and 0.98."""
    return average_verdict(runs, "rotation", left=left)


def averages_are_more_stable_on_classes(runs: pd.DataFrame, *, left: float) -> Verdict:
    """As G13."""
    return average_verdict(runs, "classes", left=left)


def replay_makes_the_rise_transient(runs: pd.DataFrame, *, rise: float, tolerance: float) -> Verdict:
    """25 % replay at equal compute: loss on prose rises, and ends near its value before the switch."""
    return rise_and_return(runs, "text-replay25", rise=rise, tolerance=tolerance)


def joint_training_makes_the_rise_transient(runs: pd.DataFrame, *, rise: float, tolerance: float) -> Verdict:
    """As G15, with a batch of prose beside each batch of code: twice the compute for each update."""
    return rise_and_return(runs, "text-joint", rise=rise, tolerance=tolerance)


def repetition_recovers_sooner(runs: pd.DataFrame, *, share: float, tolerance: float) -> Verdict:
    """Updates until the loss is back, at most a share of those of one pass, and no loss on new code.

    A run that does not come back leaves the way back undecided. ASSUME: English inside code, scored with the code
    around it, stands in for the medical questions of the paper, which need old and new skill alike; it is a loss, not a
    rate of right answers.
    """
    documented = rises(runs, "documented")
    pair = ("text-subset", "text-pass")
    subset, once = (of_run(documented, run, "recovery_steps") for run in pair)
    missing = [of_run(documented, run, "censored") for run in pair]
    sooner = excess(subset, once, share=share)
    bounds = {seed: sum(each[seed] for each in missing) for seed in sooner}
    worse, left = (
        paired_differences(*(at_end(runs, run, domain) for run in pair)) for domain in ("python", "documented")
    )
    ranked = paired_differences(*(at_end(runs, run, "documented") for run in ("text-ranked", "text-subset")))
    return all_of(
        unless_censored(less(sooner, than=0, unit=f"updates beyond {share:g} of one pass", label="way back"), bounds),
        less(worse, than=tolerance, unit=NATS, label="new code, subset minus one pass"),
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
