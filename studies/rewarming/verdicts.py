"""When the claims on continued pre-training hold: bars, margins and shares are settings of the claims.

Those of the first edition were frozen after a pilot with seeds 100 and 101. R2, R3 and R12 have other rules since; R2,
R5, R7, R9 and R10 name a value without effect as well. No interval contains the error of the validation text, which all
seeds share.
"""

from collections.abc import Iterable
from itertools import pairwise

import pandas as pd

from common.evidence.combinations import all_of
from common.evidence.statistics import paired_differences
from common.evidence.verdicts import Verdict, equivalence, greater, less, reported
from studies.rewarming.phases import (
    DOMAINS,
    INFINITE,
    NEW,
    OLD,
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
LAST = len(DOMAINS) - 1
"""The last of the three phases."""


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


def largest_at_first(runs: pd.DataFrame, kind: str, *, share: float) -> Values:
    """Largest loss on the new text of the weak shift in the first share of the phase, by seed."""
    steps = share * runs[runs.arm == "weak_rewarm"].steps.max()
    rows = runs[runs.arm == f"weak_beginning_{kind}"]
    return {int(str(seed)): float(curve(part, NEW).loc[:steps].max()) for seed, part in rows.groupby("seed")}


def warmup_length_does_not_matter(runs: pd.DataFrame, *, margin: float) -> Verdict:
    """Weak shift: spread of the final mean of both losses over warm-ups of 0, 1, 5 % within the margin."""
    table = phases(runs)

    def spread(shift: str) -> Values:
        finals = pd.DataFrame({kind: by_seed(table, "average", shift=shift, kind=kind) for kind in WARMUPS}).dropna()
        return (finals.max(axis=1) - finals.min(axis=1)).to_dict()

    return all_of(
        less(spread("weak"), than=margin, unit=UNIT, label="weak"),
        reported(spread("strong"), unit=UNIT, label="strong"),
    )


def no_warmup_spikes(runs: pd.DataFrame, *, bar: float, share: float) -> Verdict:
    """Weak shift, optimizer reset: largest L2 of the first share without warm-up above that with 1 % by the bar.

    Reported: the same with the optimizer kept, and what is left of that at the end of the phase.
    """
    spikes = {
        state: paired_differences(
            largest_at_first(runs, f"{state}0", share=share), largest_at_first(runs, f"{state}1", share=share)
        )
        for state in ("kept", "reset")
    }
    ends = differences(phases(runs), "new", shift="weak", kinds=("warm0", "rewarm"))
    return all_of(
        greater(spikes["reset"], than=bar, null=0.0, unit=UNIT, label="spike, optimizer reset"),
        reported(spikes["kept"], unit=UNIT, label="spike, optimizer kept"),
        reported(ends, unit=UNIT, label="at the end, optimizer kept"),
    )


def higher_peak_more_adaptation(runs: pd.DataFrame) -> Verdict:
    """Both shifts: from 0.5x to 1x to 2x, L2 falls."""
    return all_of(*steps_up(phases(runs), "new", PEAKS, sign=-1))


def higher_peak_more_forgetting(runs: pd.DataFrame) -> Verdict:
    """Both shifts: from 0.5x to 1x to 2x, L1 grows."""
    return all_of(*steps_up(phases(runs), "old", PEAKS))


def constant_forgets_least(runs: pd.DataFrame) -> Verdict:
    """Both shifts: L1 lower than at every peak; L2 at the end above that of 1x.

    Reported: after which share of the phase 1x stays below; 1 if it never does.
    """
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


def rewarming_hurts_on_the_same_data(runs: pd.DataFrame, *, bar: float, least: float, most: float) -> Verdict:
    """Rise without shift above the bar; at 2x so many times as much; more with the strong shift (weak: reported)."""
    table = phases(runs)
    same, double = (by_seed(table, "rise", shift="same", kind=kind) for kind in ("rewarm", "double"))

    def times(factor: float) -> Values:
        return paired_differences(double, {seed: factor * value for seed, value in same.items()})

    more = {
        shift: paired_differences(by_seed(table, "rise", shift=shift, kind="rewarm"), same, names=(shift, "same"))
        for shift in PAIRS
    }
    return all_of(
        greater(same, than=bar, null=0.0, unit=UNIT, label="without shift"),
        greater(times(least), than=0.0, unit=UNIT, label=f"2x minus {least:g} times 1x"),
        less(times(most), than=0.0, unit=UNIT, label=f"2x minus {most:g} times 1x"),
        greater(more["strong"], than=0.0, unit=UNIT, label="strong shift minus none"),
        reported(more["weak"], unit=UNIT, label="weak shift minus none"),
    )


def still_above_the_start(runs: pd.DataFrame, kind: str, *, share: float) -> Values:
    """Loss on the same text after a share of the phase minus that at its start, by seed; 1 is the end."""
    found: Values = {}
    for seed, rows in runs[runs.arm == f"same_{kind}"].groupby("seed"):
        losses = curve(rows, OLD)
        found[int(str(seed))] = float(losses.loc[: share * losses.index[-1]].iloc[-1] - losses.iloc[0])
    return found


def no_early_recovery_on_the_same_data(runs: pd.DataFrame, *, share: float) -> Verdict:
    """No shift: above the start after the share that the source trained, at 1x and at 2x; at the end, reported."""
    kinds = ("rewarm", "double")
    return all_of(
        *(
            greater(still_above_the_start(runs, kind, share=share), than=0.0, unit=UNIT, label=f"{kind}, early")
            for kind in kinds
        ),
        *(reported(still_above_the_start(runs, kind, share=1), unit=UNIT, label=f"{kind}, end") for kind in kinds),
    )


def trained_start_beats_scratch(runs: pd.DataFrame) -> Verdict:
    """Weak shift: final L2 of 1x below that of scratch with as many updates; strong shift reported."""
    table = phases(runs)
    gains = {shift: differences(table, "new", shift=shift, kinds=("scratch", "rewarm")) for shift in PAIRS}
    return all_of(
        greater(gains["weak"], than=0.0, unit=UNIT, label="weak"), reported(gains["strong"], unit=UNIT, label="strong")
    )


def replay_removes_forgetting(runs: pd.DataFrame, *, weak: float, strong: float) -> Verdict:
    """Share of the forgetting removed by 5 % replay (weak shift) and 25 % (strong), against a bar for each."""
    table = phases(runs)
    cases = (("weak", "replay5", weak, "weak, 5 %"), ("strong", "replay25", strong, "strong, 25 %"))
    return all_of(
        *(
            greater(recoveries(table, shift=shift, kind=kind), than=bar, null=0.0, unit="removed", label=label)
            for shift, kind, bar, label in cases
        )
    )


def replay_costs_little(runs: pd.DataFrame, *, weak: float, strong: float) -> Verdict:
    """L2 rises by less than a margin with 5 % replay (weak shift) and 25 % (strong)."""
    table = phases(runs)
    cases = (("weak", "replay5", weak, "weak, 5 %"), ("strong", "replay25", strong, "strong, 25 %"))
    return all_of(
        *(
            less(differences(table, "new", shift=shift, kinds=(kind, "rewarm")), than=margin, unit=UNIT, label=label)
            for shift, kind, margin, label in cases
        )
    )


def joint_gaps(table: pd.DataFrame, *, shift: str, kind: str) -> Values:
    """Mean of both losses over that of joint training, minus 1, by seed."""
    own, joint = (by_seed(table, "average", shift=shift, kind=name) for name in (kind, "joint"))
    return {seed: own[seed] / joint[seed] - 1 for seed in own}


def matches_joint(runs: pd.DataFrame, *, margin: float) -> Verdict:
    """Mean of both losses as that of joint within the margin: weak, 5 %, and strong, 25 %; outside without (strong)."""
    table = phases(runs)
    cases = (("weak", "replay5", "weak, 5 %"), ("strong", "replay25", "strong, 25 %"))
    return all_of(
        *(
            equivalence(joint_gaps(table, shift=shift, kind=kind), margin=margin, unit="of joint", label=label)
            for shift, kind, label in cases
        ),
        greater(
            joint_gaps(table, shift="strong", kind="rewarm"),
            than=margin,
            null=0.0,
            unit="of joint",
            label="strong, no replay",
        ),
    )


def strong_shift_forgets_more(runs: pd.DataFrame, *, bar: float) -> Verdict:
    """Ratio of the forgetting of 1x without replay, strong to weak, above the bar; 1 is no effect."""
    table = phases(runs)
    weak, strong = (by_seed(table, "forgetting", shift=shift, kind="rewarm") for shift in PAIRS)
    return greater({seed: strong[seed] / weak[seed] for seed in weak}, than=bar, null=1.0, unit="times")


def gaps_after(runs: pd.DataFrame, setting: str, *, phase: int) -> pd.DataFrame:
    """Infinite minus repeated cosine, finished models after a phase (from 0): rows by seed, columns by domain."""
    table = finished(runs)
    table = table[(table.setting == setting) & (table.phase == phase)]
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


def infinite_equals_repeated(runs: pd.DataFrame, *, margin: float) -> Verdict:
    """Three phases of one text: annealed infinite minus cosine within the margin.

    Reported: the same after the first phase, before the first re-warming, and other schedules.
    """
    others = (("inverse root cooldown", "other_inverse_sqrt"), ("WSD-S", "other_wsd_s"))
    return all_of(
        equivalence(
            gaps_after(runs, "same", phase=LAST).prose.to_dict(), margin=margin, unit=UNIT, label="cosine cooldown"
        ),
        reported(gaps_after(runs, "same", phase=0).prose.to_dict(), unit=UNIT, label="after the first phase"),
        *(reported(gap_to_repeated(runs, arm), unit=UNIT, label=label) for label, arm in others),
    )


def infinite_avoids_the_rise(runs: pd.DataFrame, *, share: float) -> Verdict:
    """Rise of the old loss at each boundary, above the finished model of the phase before: at most a share of the
    cosine's. Reported: the same above the trunk, which no decay has lowered.
    """
    table = boundaries(runs)
    judged, beside = [], []
    for (setting, phase), rows in table.groupby(["setting", "phase"], sort=False):
        finals, trunk = (rows.pivot(index="seed", columns="schedule", values=of) for of in ("rise_finished", "rise"))
        allowed, label = share * trunk[REPEATED], f"{setting}, boundary {phase}"
        judged.append(less((finals[INFINITE] - allowed).to_dict(), than=0.0, unit=UNIT, label=label))
        beside.append(reported((trunk[INFINITE] - allowed).to_dict(), unit=UNIT, label=f"{label}, above the trunk"))
    return all_of(*judged, *beside)


def infinite_over_domains(runs: pd.DataFrame) -> Verdict:
    """Three domains: mean of their final losses, annealed infinite minus cosine, at most 0.

    Reported: the same after the first phase, and the domains.
    """
    gaps, first = (gaps_after(runs, "chain", phase=phase) for phase in (LAST, 0))
    return all_of(
        less(gaps.mean(axis=1).to_dict(), than=0.0, unit=UNIT, label="mean of the domains"),
        reported(first.mean(axis=1).to_dict(), unit=UNIT, label="after the first phase"),
        *(reported(gaps[name].to_dict(), unit=UNIT, label=str(name)) for name in gaps),
    )


def latest_checkpoint_is_best(runs: pd.DataFrame) -> Verdict:
    """Weak shift: final L2 falls from a start at 25 % of the first phase to 50 % to its end."""
    table = phases(runs)
    gains = (differences(table, "new", shift="weak", kinds=pair) for pair in pairwise([*EARLIER, "rewarm"]))
    labels = ("25 to 50 %", "50 to 100 %")
    return all_of(*(greater(gain, than=0.0, unit=UNIT, label=label) for gain, label in zip(gains, labels, strict=True)))
