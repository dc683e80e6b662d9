"""Verdicts: what values over seeds say about a threshold.

A verdict is `supported` if the whole 95 % interval over seeds lies on the side that the claim names, `contradicted` if
the whole interval lies on the other side, and `undecided` otherwise. Undecided means that these runs cannot tell: the
interval covers the threshold, or there are fewer than three seeds. It is not evidence against the claim; more seeds may
decide it. A claim that is only measured is `reported`.

The rules are calibrated (tests/evidence/test_verdicts.py): where the truth lies on the threshold, they say `supported`
in 2.5 % of simulated studies or fewer, for single and for combined verdicts. An `all_of` may be contradicted by any of
its k parts, without correction: if all k truths lie on their thresholds, it is contradicted in up to k times 2.5 %.
"""

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from common.evidence.statistics import Interval, Values, finite, proportion_interval, t_interval, value_range

CONFIDENCE = 0.95
"""Two-sided, so that a claim of a direction is falsely supported in at most 2.5 % of studies."""

MINIMUM_SEEDS = 3
"""With two seeds the t interval is 9 standard deviations wide on each side, and their estimate rests on one number."""

Outcome = Literal["supported", "contradicted", "undecided", "reported"]
OUTCOMES: tuple[Outcome, ...] = ("supported", "contradicted", "undecided", "reported")

Method = Literal["t", "clopper_pearson", "range"]
INTERVALS: dict[Method, Callable[..., Interval]] = {"t": t_interval, "clopper_pearson": proportion_interval}

Combination = Literal["all", "any", "order"]
Band = tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the runs say about a claim. Of a combined claim, the numbers are those of the part that decides it."""

    verdict: Outcome
    estimate: float
    """Mean over seeds (or share of runs), in `unit`."""
    low: float | None
    """Lower end of the interval; None if nothing bounds it."""
    high: float | None
    n: int
    """Seeds, or runs of a proportion."""
    unit: str
    threshold: Band
    """The band (low end, high end) that the claim names; None where it is open, (None, None) if only reported."""
    confidence: float
    """Of the interval shown; above 0.95 where several chances to be supported are corrected for; 1 for exact values."""
    minimum: int
    """Fewest seeds that may decide."""
    rule: str
    note: str = ""
    label: str = ""
    """Which part of a combined claim this is, for example "budget 2000"."""
    method: Method = "t"
    values: tuple[float, ...] = ()
    """The numbers behind the interval, in the order of their seeds as given; empty for a combined claim."""
    combination: Combination | None = None
    parts: tuple["Verdict", ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; no NaN and no infinity occur."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain |= {name: list(plain[name]) for name in ("threshold", "values")}
        return plain | {"parts": [part.to_dict() for part in self.parts]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Verdict":
        """The inverse of `to_dict`."""
        tuples = {name: tuple(plain[name]) for name in ("threshold", "values")}
        return cls(**{**plain, **tuples, "parts": tuple(cls.from_dict(part) for part in plain["parts"])})


def greater(values: Values, *, than: float, unit: str, minimum: int = MINIMUM_SEEDS, label: str = "") -> Verdict:
    """Is the mean above `than`? Contradicted if the interval lies below.

    For whole numbers (notches of a grid) put the threshold between two of them: at least 2 is `greater(..., than=1.5)`.

    Args:
        values: one number per seed, most often a paired difference; a mapping or Series by seed, or a sequence.
        than: threshold, in `unit`.
        unit: of the values, for example "nats"; "" if they have none.
        minimum: fewest seeds that may decide; with fewer the verdict is undecided.
        label: name of this part in a combined claim.
    Raises: ValueError for a value that is missing or not finite (the seed is named), or a threshold that is not finite.
    """
    return _single(values, (than, None), unit=unit, minimum=minimum, label=label)


def less(values: Values, *, than: float, unit: str, minimum: int = MINIMUM_SEEDS, label: str = "") -> Verdict:
    """Is the mean below `than`? Contradicted if the interval lies above. See `greater`."""
    return _single(values, (None, than), unit=unit, minimum=minimum, label=label)


def within(
    values: Values, *, low: float, high: float, unit: str, minimum: int = MINIMUM_SEEDS, label: str = ""
) -> Verdict:
    """Does the mean lie in the band [low, high]? Supported if the whole interval does; contradicted if none of it does.

    Also for slopes: `within(log_log_slopes(lr, curves), low=-1.05, high=-0.95, unit="")`. Arguments as in `greater`.

    Raises: ValueError if low >= high, or as `greater`.
    """
    if low >= high:
        raise ValueError(f"low={low} must be less than high={high}: a band of width 0 can never be supported")
    return _single(values, (low, high), unit=unit, minimum=minimum, label=label)


def equivalence(values: Values, *, margin: float, unit: str, minimum: int = MINIMUM_SEEDS, label: str = "") -> Verdict:
    """Is the mean difference smaller in size than `margin`? Both ends of the interval must lie in [-margin, margin].

    Not to be confused with "no significant difference", which few seeds would always show. Arguments as in `greater`.

    Raises: ValueError if margin <= 0, or as `greater`.
    Source: Schuirmann 1987 (two one-sided tests, here each at 2.5 %).
    """
    if margin <= 0:
        raise ValueError(f"margin={margin} must be greater than 0: no finite number of seeds proves equality")
    return within(values, low=-margin, high=margin, unit=unit, minimum=minimum, label=label)


def proportion(
    successes: Values,
    *,
    above: float | None = None,
    below: float | None = None,
    minimum: int = MINIMUM_SEEDS,
    label: str = "",
) -> Verdict:
    """Is the share of runs with success above, below or between the given shares? With Clopper and Pearson's interval.

    If all of n runs succeed, the interval starts at 0.025 ** (1 / n): a share above 0.95 needs at least 72 runs.

    Args:
        successes: 0 or 1 by run.
        above: share in [0, 1], or None.
        below: share in [0, 1], or None; at least one of the two is needed.
        minimum: fewest runs that may decide.
        label: name of this part in a combined claim.
    Raises: ValueError if neither is given or a success is not 0 or 1, or as `greater`.
    """
    if above is None and below is None:
        raise ValueError("above=None, below=None: give at least one of the two, or use reported(...)")
    return _single(successes, (above, below), unit="of runs", minimum=minimum, label=label, method="clopper_pearson")


def exact(
    values: Values, *, low: float | None = None, high: float | None = None, unit: str, label: str = ""
) -> Verdict:
    """Do computed numbers, which depend on no seed, all lie in the band? Contradicted if one of them does not.

    The interval shown goes from the smallest value to the largest; `n` counts the values.

    Args:
        values: one number per case; a mapping or Series by case, or a sequence.
        low: least value that agrees with the claim, in `unit`; None for no bound.
        high: largest such value; None for no bound, but at least one of the two is needed.
        unit: of the values; "" if they have none.
        label: name of this part in a combined claim.
    Raises: ValueError if neither bound is given, or as `greater`.
    """
    if low is None and high is None:
        raise ValueError("low=None, high=None: give at least one of the two, or use reported(...)")
    return _single(values, (low, high), unit=unit, minimum=1, label=label, method="range")


def reported(values: Values, *, unit: str, label: str = "") -> Verdict:
    """A measured number with its interval, without a threshold: nothing is decided. Arguments as in `greater`."""
    return _single(values, (None, None), unit=unit, minimum=1, label=label)


def all_of(*verdicts: Verdict, label: str = "") -> Verdict:
    """Supported if all parts are, contradicted if any part is, else undecided; shows the numbers of the weakest part.

    Parts that are `reported` are kept and decide nothing. To support, no correction is needed: each part must pass its
    own test.

    Raises: ValueError if no part can decide.
    """
    return _combine("all", verdicts, confidence=CONFIDENCE, label=label)


def any_of(*verdicts: Verdict, label: str = "") -> Verdict:
    """Supported if any part is, contradicted if all parts are, else undecided; shows the numbers of the strongest part.

    k parts are k chances, so each is judged again with an interval of confidence 1 - 0.05 / k (Bonferroni), which holds
    however the parts depend on each other. State the parts beforehand: choosing them by their outcome voids this.

    Raises: ValueError if no part can decide.
    """
    return _combine("any", verdicts, confidence=CONFIDENCE, label=label)


def crossover(
    before: Mapping[Hashable, Values],
    after: Mapping[Hashable, Values],
    *,
    unit: str,
    minimum: int = MINIMUM_SEEDS,
    label: str = "",
) -> Verdict:
    """Do some two settings change their order?

    Supported if the differences of some pair exclude 0 before and after, with opposite signs; contradicted if those of
    every pair exclude 0 with equal signs. k pairs are k chances, so the intervals have confidence 1 - 0.05 / k
    (Bonferroni).

    Args:
        before: by pair (for example a tuple of two learning rates), the difference of the two per seed.
        after: the same differences later, for the same pairs.
        unit: of the differences.
        minimum: fewest seeds that may decide.
        label: name of this part in a combined claim.
    Raises: ValueError if the pairs differ, or as `greater`.
    """
    if not before or before.keys() != after.keys():
        raise ValueError(f"before has the pairs {list(before)}, after {list(after)}: both need the same, at least one")
    pairs = [_order(pair, before[pair], after[pair], unit=unit, minimum=minimum) for pair in before]
    return _combine("any", pairs, confidence=CONFIDENCE, label=label)


def _order(pair: Hashable, before: Values, after: Values, *, unit: str, minimum: int) -> Verdict:
    """Does one pair change its order? `after` is held against the side opposite to the mean of `before`."""
    name = " against ".join(map(_text, pair)) if isinstance(pair, tuple) else str(pair)
    positive, negative = (0.0, None), (None, 0.0)
    first, then = (positive, negative) if t_interval(before).mean > 0 else (negative, positive)
    parts = (
        _single(before, first, unit=unit, minimum=minimum, label=f"{name}, before"),
        _single(after, then, unit=unit, minimum=minimum, label=f"{name}, after"),
    )
    return _combine("order", parts, confidence=CONFIDENCE, label=name)


def _single(
    values: Values,
    threshold: Band,
    *,
    unit: str,
    minimum: int,
    label: str,
    method: Method = "t",
    confidence: float = CONFIDENCE,
) -> Verdict:
    low, high = (None if end is None else float(end) for end in threshold)
    if bad := [end for end in (low, high) if end is not None and not math.isfinite(end)]:
        raise ValueError(f"threshold {bad[0]} must be a finite number")
    threshold = (low, high)
    numbers = tuple(finite(values).values())
    confidence = 1.0 if method == "range" else confidence
    interval = value_range(numbers) if method == "range" else INTERVALS[method](numbers, confidence=confidence)
    enough = interval.n >= minimum
    note = "" if enough else f"too few seeds: {interval.n} of {minimum}"
    if enough and method == "t" and interval.n > 1 and min(numbers) == max(numbers):
        note = f"all {interval.n} values are equal, so the interval has no width"
    return Verdict(
        verdict=_outcome(interval, threshold, enough=enough, exact=method == "range"),
        estimate=interval.mean,
        low=_bounded(interval.low),
        high=_bounded(interval.high),
        n=interval.n,
        unit=unit,
        threshold=threshold,
        confidence=confidence,
        minimum=minimum,
        rule=_rule(threshold, unit, None if method == "range" else confidence),
        note=note,
        label=label,
        method=method,
        values=numbers,
    )


def _bounded(end: float) -> float | None:
    return end if math.isfinite(end) else None


def _outcome(interval: Interval, threshold: Band, *, enough: bool, exact: bool) -> Outcome:
    """A one-sided threshold belongs to neither side; a band contains its ends. Exact values are inside or are not."""
    low, high = threshold
    if low is None and high is None:
        return "reported"
    if not enough:
        return "undecided"
    if low is not None and high is not None:
        inside, outside = low <= interval.low and interval.high <= high, interval.high < low or high < interval.low
    elif low is not None:
        inside, outside = low < interval.low, interval.high < low
    else:
        assert high is not None
        inside, outside = interval.high < high, high < interval.low
    return "supported" if inside else "contradicted" if outside or exact else "undecided"


@lru_cache
def _rule(threshold: Band, unit: str, confidence: float | None) -> str:
    """The rule in words; without a confidence it is one for exact values."""
    low, high = threshold
    if low is None and high is None:
        return "report only"
    if low is not None and high is not None:
        where = f"within ±{_text(high)}" if low == -high else f"within [{_text(low)}, {_text(high)}]"
    else:
        where = f"above {_text(low)}" if low is not None else f"below {_text(high)}"
    what = "every value" if confidence is None else f"{100 * confidence:.3g} % interval"
    return f"{what} {where} {unit}".rstrip()


def _combine(how: Combination, verdicts: Sequence[Verdict], *, confidence: float, label: str) -> Verdict:
    """One verdict of several; `confidence` is that of the whole, from which the confidence of the parts follows."""
    deciding = [verdict for verdict in verdicts if verdict.verdict != "reported"]
    if not deciding:
        raise ValueError("no part can decide: give at least one verdict that is not only reported")
    each = 1 - (1 - confidence) / len(deciding) if how == "any" else confidence
    parts = [_at(verdict, each) for verdict in verdicts]
    deciding = [part for part in parts if part.verdict != "reported"]
    if how == "order":
        shown = deciding[1] if deciding[0].verdict == "supported" else deciding[0]
    else:
        shown = (max if how == "any" else min)(deciding, key=_strength)
    note = shown.note
    if len(deciding) > 1 and not note.startswith("decided by"):
        name = shown.label or f"part {parts.index(shown) + 1}"
        note = "; ".join(filter(None, (f"decided by {name}", note)))
    return dataclasses.replace(
        shown,
        verdict=_combined_outcome(how, [part.verdict for part in deciding]),
        rule=_combined_rule(how, deciding, each),
        note=note,
        label=label,
        values=(),
        combination=how,
        parts=tuple(parts),
    )


def _at(verdict: Verdict, confidence: float) -> Verdict:
    """The same verdict judged with intervals of another confidence (for a combined one: that of the whole)."""
    if verdict.combination is None and verdict.confidence == confidence:
        return verdict
    if verdict.combination is not None:
        return _combine(verdict.combination, verdict.parts, confidence=confidence, label=verdict.label)
    return _single(
        verdict.values,
        verdict.threshold,
        unit=verdict.unit,
        minimum=verdict.minimum,
        label=verdict.label,
        method=verdict.method,
        confidence=confidence,
    )


def _combined_outcome(how: Combination, outcomes: Sequence[Outcome]) -> Outcome:
    supported = [outcome == "supported" for outcome in outcomes]
    contradicted = [outcome == "contradicted" for outcome in outcomes]
    if how == "any":
        return "supported" if any(supported) else "contradicted" if all(contradicted) else "undecided"
    if all(supported):
        return "supported"
    kept_order = supported[0] and contradicted[1] if how == "order" else any(contradicted)
    return "contradicted" if kept_order else "undecided"


def _combined_rule(how: Combination, parts: Sequence[Verdict], confidence: float) -> str:
    rules = list(dict.fromkeys(part.rule for part in parts))
    if how == "order":
        return f"{100 * confidence:.3g} % intervals exclude 0 with opposite signs before and after"
    joined = rules[0] if len(rules) == 1 else "; ".join(rules)
    if len(parts) == 1:
        return joined
    return f"all {len(parts)}: {joined}" if how == "all" else f"any of {len(parts)} (Bonferroni): {joined}"


def _strength(verdict: Verdict) -> float:
    """How far the estimate lies on the claimed side, in half widths of its interval; with too few seeds 0.

    Above 1 is supported and below -1 contradicted, so the order of parts by strength agrees with their verdicts.
    """
    if verdict.n < verdict.minimum:
        return 0.0
    distances = []
    for end, sign in zip(verdict.threshold, (1, -1), strict=True):
        if end is not None:
            distance = verdict.estimate - end
            facing = verdict.low if distance > 0 else verdict.high
            half = math.inf if facing is None else abs(verdict.estimate - facing)
            distances.append(sign * (distance / half if half else distance * math.inf if distance else 0.0))
    return min(distances)


def leaves(verdict: Verdict) -> Iterator[Verdict]:
    """The parts of a verdict that are not combined themselves; a single verdict is its own only part."""
    if not verdict.parts:
        yield verdict
    for part in verdict.parts:
        yield from leaves(part)


def number(value: float) -> str:
    """A measured number for readers: three significant digits, an exponent only below 1e-4 and from 1e6.

    >>> number(0.0123456), number(-1234.5), number(2.0), number(0.00001234)
    ('0.0123', '-1230', '2.00', '1.23e-05')
    """
    if value == 0:
        return "0"
    rounded = float(f"{value:.2e}")
    size = math.floor(math.log10(abs(rounded)))
    if not -4 <= size < 6:
        return f"{value:.2e}"
    return f"{rounded:.{max(0, 2 - size)}f}"


def _text(value: float | None) -> str:
    """A threshold or a setting as its author wrote it."""
    return f"{value:g}" if isinstance(value, float | int) else str(value)
