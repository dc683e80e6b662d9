"""When the claims on continued pre-training hold. Thresholds frozen after a pilot with seeds 100 and 101."""

from collections.abc import Iterable
from itertools import pairwise

import pandas as pd

from common.evidence.combinations import all_of
from common.evidence.statistics import paired_differences
from common.evidence.verdicts import Verdict, equivalence, greater, less, reported
from studies.rewarming.phases import (
    INFINITE,
    NEW,
    REPEATED,
    Values,
    boundaries,
    by_seed,
    crossings,
    curve,
    finished,
    phases,
    recoveries,
)
from studies.rewarming.study import EARLIER, PEAKS

UNIT = "nats/byte"
PAIRS = ("weak", "strong")
WARMUPS = ("warm0", "rewarm", "warm5")
"""Kinds of the second phases with warm-ups of 0, 1 and 5 %."""
FIRST = 0.02
"""Share of a phase in which a missing warm-up would be seen."""


def differences(table: pd.DataFrame, column: str, *, shift: str, kinds: tuple[str, str]) -> Values:
    """One column of `phases` of the first kind minus that of the second, by the seeds that both have."""
    first, second = (by_seed(table, column, shift=shift, kind=kind) for kind in kinds)
    shared = [seed for seed in first if seed in second]
    return paired_differences({seed: first[seed] for seed in shared}, {seed: second[seed] for seed in shared})


def steps_up(table: pd.DataFrame, column: str, kinds: Iterable[str], *, sign: int = 1) -> list[Verdict]:
    """For both shifts, whether a column grows (falls, with sign -1) from each kind to the next."""
    names, found = list(kinds), []
    for shift in PAIRS:
        for low, high in pairwise(names):
            change = differences(table, column, shift=shift, kinds=(high, low))
            rise = {seed: sign * value for seed, value in change.items()}
            found.append(greater(rise, than=0.0, unit=UNIT, label=f"{shift}, {low} to {high}"))
    return found


def largest_at_first(runs: pd.DataFrame, kind: str) -> Values:
    """Largest loss on the new text of the weak shift in the first 2 % of the phase, by seed."""
    steps = FIRST * runs[runs.arm == "weak_rewarm"].steps.max()
    rows = runs[runs.arm == f"weak_beginning_{kind}"]
    return {int(str(seed)): float(curve(part, NEW).loc[:steps].max()) for seed, part in rows.groupby("seed")}


def warmup_length_does_not_matter(runs: pd.DataFrame) -> Verdict:
    """Weak shift: spread of the final mean of both losses over warm-ups of 0, 1, 5 % at most 0.01; strong reported."""
    table = phases(runs)

    def spread(shift: str) -> Values:
        finals = pd.DataFrame({kind: by_seed(table, "average", shift=shift, kind=kind) for kind in WARMUPS}).dropna()
        return (finals.max(axis=1) - finals.min(axis=1)).to_dict()

    return all_of(
        less(spread("weak"), than=0.01, unit=UNIT, label="weak"), reported(spread("strong"), unit=UNIT, label="strong")
    )


def no_warmup_spikes(runs: pd.DataFrame) -> Verdict:
    """Weak shift: largest L2 of the first 2 % without warm-up at least 0.05 above that with 1 %; gone at the end."""
    spikes = {
        state: paired_differences(largest_at_first(runs, f"{state}0"), largest_at_first(runs, f"{state}1"))
        for state in ("kept", "reset")
    }
    ends = differences(phases(runs), "new", shift="weak", kinds=("warm0", "rewarm"))
    return all_of(
        greater(spikes["kept"], than=0.05, unit=UNIT, label="spike, optimizer kept"),
        equivalence(ends, margin=0.01, unit=UNIT, label="at the end"),
        reported(spikes["reset"], unit=UNIT, label="spike, optimizer reset"),
    )


def higher_peak_more_of_both(runs: pd.DataFrame) -> Verdict:
    """Both shifts: from 0.5x to 1x to 2x, L2 falls and L1 grows."""
    table = phases(runs)
    return all_of(
        *steps_up(table, "new", PEAKS, sign=-1),
        *steps_up(table, "old", PEAKS),
    )


def higher_peak_more_forgetting(runs: pd.DataFrame) -> Verdict:
    """The second half of R3: L1 grows from 0.5x to 1x to 2x."""
    return all_of(*steps_up(phases(runs), "old", PEAKS))


def constant_forgets_least(runs: pd.DataFrame) -> Verdict:
    """Both shifts: L1 lower than at every peak; L2 at the end above that of 1x. Reported: after which share of it."""
    table, parts = phases(runs), []
    for shift in PAIRS:
        for kind in PEAKS:
            more = differences(table, "old", shift=shift, kinds=(kind, "constant"))
            parts.append(greater(more, than=0.0, unit=UNIT, label=f"{shift}, forgets less than {kind}"))
        worse = differences(table, "new", shift=shift, kinds=("constant", "rewarm"))
        parts.append(greater(worse, than=0.0, unit=UNIT, label=f"{shift}, adapts less"))
        found = crossings(runs, first=f"{shift}_rewarm", second=f"{shift}_constant")
        shares = {seed: 1.0 if share is None else share for seed, share in found.items()}
        parts.append(reported(shares, unit="of the phase", label=f"{shift}, overtaken after"))
    return all_of(*parts)


def rewarming_hurts_on_the_same_data(runs: pd.DataFrame) -> Verdict:
    """Rise without shift above 0.02 nats; 1.3 to 3 times as much at 2x; more with the strong shift (weak: reported)."""
    table = phases(runs)
    same, double = (by_seed(table, "rise", shift="same", kind=kind) for kind in ("rewarm", "double"))

    def times(factor: float) -> Values:
        return paired_differences(double, {seed: factor * value for seed, value in same.items()})

    more = {
        shift: paired_differences(by_seed(table, "rise", shift=shift, kind="rewarm"), same, names=(shift, "same"))
        for shift in PAIRS
    }
    return all_of(
        greater(same, than=0.02, unit=UNIT, label="without shift"),
        greater(times(1.3), than=0.0, unit=UNIT, label="2x minus 1.3 times 1x"),
        less(times(3.0), than=0.0, unit=UNIT, label="2x minus 3 times 1x"),
        greater(more["strong"], than=0.0, unit=UNIT, label="strong shift minus none"),
        reported(more["weak"], unit=UNIT, label="weak shift minus none"),
    )


def trained_start_beats_scratch(runs: pd.DataFrame) -> Verdict:
    """Weak shift: final L2 of 1x below that of scratch with as many updates; strong shift reported."""
    table = phases(runs)
    gains = {shift: differences(table, "new", shift=shift, kinds=("scratch", "rewarm")) for shift in PAIRS}
    return all_of(
        greater(gains["weak"], than=0.0, unit=UNIT, label="weak"), reported(gains["strong"], unit=UNIT, label="strong")
    )


def replay_removes_forgetting(runs: pd.DataFrame) -> Verdict:
    """Share of the forgetting removed: weak, 5 % replay, at least 50 %; strong, 25 % replay, at least 70 %."""
    table = phases(runs)
    return all_of(
        greater(recoveries(table, shift="weak", kind="replay5"), than=0.5, unit="removed", label="weak, 5 %"),
        greater(recoveries(table, shift="strong", kind="replay25"), than=0.7, unit="removed", label="strong, 25 %"),
    )


def replay_costs_little(runs: pd.DataFrame) -> Verdict:
    """L2 rises by at most 0.01 (weak, 5 %) and 0.05 (strong, 25 %)."""
    table = phases(runs)
    weak = differences(table, "new", shift="weak", kinds=("replay5", "rewarm"))
    strong = differences(table, "new", shift="strong", kinds=("replay25", "rewarm"))
    return all_of(
        less(weak, than=0.01, unit=UNIT, label="weak, 5 %"), less(strong, than=0.05, unit=UNIT, label="strong, 25 %")
    )


def joint_gaps(table: pd.DataFrame, *, shift: str, kind: str) -> Values:
    """Mean of both losses over that of joint training, minus 1, by seed."""
    own, joint = (by_seed(table, "average", shift=shift, kind=name) for name in (kind, "joint"))
    return {seed: own[seed] / joint[seed] - 1 for seed in own}


def matches_joint(runs: pd.DataFrame) -> Verdict:
    """Mean of both losses within 2 % of joint: weak, 5 %, and strong, 25 %; without replay outside (strong)."""
    table = phases(runs)
    return all_of(
        equivalence(joint_gaps(table, shift="weak", kind="replay5"), margin=0.02, unit="of joint", label="weak, 5 %"),
        equivalence(
            joint_gaps(table, shift="strong", kind="replay25"), margin=0.02, unit="of joint", label="strong, 25 %"
        ),
        greater(
            joint_gaps(table, shift="strong", kind="rewarm"), than=0.02, unit="of joint", label="strong, no replay"
        ),
    )


def strong_shift_forgets_more(runs: pd.DataFrame) -> Verdict:
    """Ratio of the forgetting of 1x without replay, strong to weak, at least 3."""
    table = phases(runs)
    weak, strong = (by_seed(table, "forgetting", shift=shift, kind="rewarm") for shift in PAIRS)
    return greater({seed: strong[seed] / weak[seed] for seed in weak}, than=3.0, unit="times")


def final_gaps(runs: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Infinite minus repeated cosine after the last phase: rows by seed, columns by domain."""
    table = finished(runs)
    table = table[(table.setting == setting) & (table.phase == table.phase.max())]
    losses = table.pivot(index=["seed", "domain"], columns="schedule", values="loss")
    gaps: pd.DataFrame = (losses[INFINITE] - losses[REPEATED]).unstack("domain")
    return gaps


def gap_to_repeated(runs: pd.DataFrame, arm: str) -> Values:
    """Last loss of an arm on one text minus that of repeated cosines, by seed."""
    ends = [
        {seed: curve(rows, "val_loss").iloc[-1] for seed, rows in runs[runs.arm == name].groupby("seed")}
        for name in (arm, "repeated_same")
    ]
    return {int(str(seed)): float(ends[0][seed] - ends[1][seed]) for seed in ends[0]}


def infinite_equals_repeated(runs: pd.DataFrame) -> Verdict:
    """Three phases of one text: annealed infinite minus cosine within 0.015 nats; other schedules reported."""
    others = (("inverse root cooldown", "other_inverse_sqrt"), ("WSD-S", "other_wsd_s"))
    return all_of(
        equivalence(final_gaps(runs, "same").prose.to_dict(), margin=0.015, unit=UNIT, label="cosine cooldown"),
        *(reported(gap_to_repeated(runs, arm), unit=UNIT, label=label) for label, arm in others),
    )


def infinite_avoids_the_rise(runs: pd.DataFrame) -> Verdict:
    """Rise of the old loss at each boundary: that of the trunk at most half of that of the cosine."""
    table, parts = boundaries(runs), []
    for (setting, phase), rows in table.groupby(["setting", "phase"], sort=False):
        rises = rows.pivot(index="seed", columns="schedule", values="rise")
        excess = (rises[INFINITE] - rises[REPEATED] / 2).to_dict()
        parts.append(less(excess, than=0.0, unit=UNIT, label=f"{setting}, boundary {phase}"))
    return all_of(*parts)


def infinite_over_domains(runs: pd.DataFrame) -> Verdict:
    """Three domains: mean of their final losses, annealed infinite minus cosine, at most 0; domains reported."""
    gaps = final_gaps(runs, "chain")
    return all_of(
        less(gaps.mean(axis=1).to_dict(), than=0.0, unit=UNIT, label="mean of the domains"),
        *(reported(gaps[name].to_dict(), unit=UNIT, label=str(name)) for name in gaps),
    )


def latest_checkpoint_is_best(runs: pd.DataFrame) -> Verdict:
    """Weak shift: final L2 falls from a start at 25 % of the first phase to 50 % to its end."""
    table = phases(runs)
    gains = (differences(table, "new", shift="weak", kinds=pair) for pair in pairwise([*EARLIER, "rewarm"]))
    labels = ("25 to 50 %", "50 to 100 %")
    return all_of(*(greater(gain, than=0.0, unit=UNIT, label=label) for gain, label in zip(gains, labels, strict=True)))
