"""Verdicts: what values over seeds say about a claim, in two answers and one word.

*Direction*: does the effect have the claimed sign, against the claim's null value? *Size*: is it as large as the claim
says, against a bar, or against the paper's number within a factor? From the two follows one word:

- `supported`: the whole 95 % interval lies beyond the bar on the claimed side.
- `weaker`: the effect is there (the interval excludes the null value), but the whole interval lies short of the bar.
- `contradicted`: the whole interval lies on the other side of the null value, or within what is negligible, or outside
  a claimed band.
- `undecided`: these runs cannot tell. It is not evidence against the claim; more seeds may decide it.
- `reported`: a number without a threshold.

Each wrong word requires that the interval misses the truth at one named end, in at most 2.5 % of studies: calibrated on
simulated studies, also under skewed noise and for combined claims (docs/evidence.md).
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from common.evidence import readings
from common.evidence.readings import EXACT, MEAN, SHARE, Reading
from common.evidence.statistics import Interval, Values, finite

CONFIDENCE = 0.95
"""Two-sided, so that a claim of a direction is falsely supported in at most 2.5 % of studies."""

Outcome = Literal["supported", "weaker", "contradicted", "undecided", "reported"]
OUTCOMES: tuple[Outcome, ...] = ("supported", "weaker", "contradicted", "undecided", "reported")
Direction = Literal["confirmed", "reversed", "absent", "unclear", "none"]
"""absent: the whole interval is negligible; none: the claim names no direction."""
Size = Literal["as published", "reaches the bar", "smaller here", "larger here", "unclear", "no number"]

FACTOR = 2.0
"""Sizes agree within this factor unless a claim says otherwise: half to twice the paper's number."""

Combination = Literal["all", "any", "order"]
Band = tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the runs say about a claim. Of a combined claim, the numbers are those of the part that decides it."""

    verdict: Outcome
    direction: Direction
    size: Size
    estimate: float
    """What the seeds say of all seeds (see `Reading`), in `unit`."""
    low: float | None
    """Lower end of the interval; None if nothing bounds it."""
    high: float | None
    n: int
    """Seeds, or runs of a share."""
    unit: str
    threshold: Band
    """The band (low end, high end) that the claim names; None where it is open, (None, None) if only reported."""
    null: float | None
    """Value without an effect, against which the direction is judged; None if the claim names no direction."""
    negligible: float = 0.0
    """An effect within this of the null value is none, said beforehand."""
    published: float | None = None
    """The paper's own number, in `unit`."""
    factor: float = FACTOR
    """Within which a size agrees with the paper's number."""
    confidence: float
    """Of the interval shown; above 0.95 where several chances are corrected for; 1 for exact values."""
    reading: Reading
    rule: str
    note: str = ""
    label: str = ""
    """Which part of a combined claim this is, for example "budget 2000"."""
    values: tuple[float, ...] = ()
    """The numbers behind the interval, in the order of their seeds as given; empty for a combined claim."""
    combination: Combination | None = None
    parts: tuple["Verdict", ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; no NaN and no infinity occur."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain |= {name: list(plain[name]) for name in ("threshold", "values")}
        return plain | {"reading": self.reading.to_dict(), "parts": [part.to_dict() for part in self.parts]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Verdict":
        """The inverse of `to_dict`."""
        made: dict[str, Any] = {name: tuple(plain[name]) for name in ("threshold", "values")}
        made |= {"reading": Reading(**plain["reading"]), "parts": tuple(map(cls.from_dict, plain["parts"]))}
        return cls(**{**plain, **made})

    @property
    def strength(self) -> float:
        """How far the estimate lies on the claimed side of the threshold, in half widths; 0 with too few seeds.

        Above 1 is supported, below -1 is on the other side. At 1 a repetition with new seeds agrees in one case of two,
        at 3 nearly always: below 1.5 a verdict is thin, from 3 on it is firm (docs/evidence.md).
        """
        if self.n < self.reading.minimum:
            return 0.0
        distances = []
        for end, sign in zip(self.threshold, (1, -1), strict=True):
            if end is not None:
                distance = self.estimate - end
                facing = self.low if distance > 0 else self.high
                half = math.inf if facing is None else abs(self.estimate - facing)
                distances.append(sign * (distance / half if half else distance * math.inf if distance else 0.0))
        return min(distances, default=0.0)


def greater(
    values: Values,
    *,
    than: float,
    unit: str,
    null: float | None = None,
    negligible: float = 0.0,
    published: float | None = None,
    factor: float = FACTOR,
    reading: Reading = MEAN,
    minimum: int | None = None,
    label: str = "",
) -> Verdict:
    """Is the effect above `than`? Weaker if it is above `null` but below `than`; contradicted if it is below `null`.

    For whole numbers (notches of a grid) put the threshold between two of them: at least 2 is `greater(..., than=1.5)`.

    Args:
        values: one number per seed, most often a paired difference; a mapping or Series by seed, or a sequence.
        than: threshold (bar), in `unit`.
        unit: of the values, for example "nats"; "" if they have none.
        null: value without an effect; the same as `than` if left out.
        negligible: an effect that lies wholly within this of `null` contradicts the claim; 0 for none.
        published: the paper's own number in the same unit, for the size.
        factor: the size agrees from `published / factor` to `published * factor`.
        reading: which number of all seeds is meant, and what is known of the noise.
        minimum: fewest seeds that may decide, in place of the reading's; with fewer the verdict is undecided.
        label: name of this part in a combined claim.
    Raises: ValueError for a value that is missing or not finite (the seed is named), a threshold that is not finite, a
        null value on the claimed side of the threshold, or a published number on the other side of the null value.
    """
    against = _Against((than, None), than if null is None else null, negligible, published, factor)
    return single(values, against, unit=unit, reading=_least(reading, minimum), label=label)


def less(
    values: Values,
    *,
    than: float,
    unit: str,
    null: float | None = None,
    negligible: float = 0.0,
    published: float | None = None,
    factor: float = FACTOR,
    reading: Reading = MEAN,
    minimum: int | None = None,
    label: str = "",
) -> Verdict:
    """Is the effect below `than`? Contradicted if it is above `null`. Arguments as in `greater`."""
    against = _Against((None, than), than if null is None else null, negligible, published, factor)
    return single(values, against, unit=unit, reading=_least(reading, minimum), label=label)


def within(
    values: Values,
    *,
    low: float,
    high: float,
    unit: str,
    reading: Reading = MEAN,
    minimum: int | None = None,
    label: str = "",
) -> Verdict:
    """Does it lie in the band [low, high]? Supported if the whole interval does; contradicted if none of it does.

    Also for slopes: `within(log_log_slopes(lr, curves), low=-1.05, high=-0.95, unit="")`. Arguments as in `greater`.

    Raises: ValueError if low >= high, or as `greater`.
    """
    if low >= high:
        raise ValueError(f"low={low} must be less than high={high}: a band of width 0 can never be supported")
    return single(values, _Against((low, high)), unit=unit, reading=_least(reading, minimum), label=label)


def equivalence(
    values: Values,
    *,
    margin: float,
    unit: str,
    reading: Reading = MEAN,
    minimum: int | None = None,
    label: str = "",
) -> Verdict:
    """Is the difference smaller in size than `margin`? Both ends of the interval must lie in [-margin, margin].

    Not to be confused with "no significant difference", which few seeds would always show. Arguments as in `greater`.

    Raises: ValueError if margin <= 0, or as `greater`.
    Source: Schuirmann 1987 (two one-sided tests, here each at 2.5 %).
    """
    if margin <= 0:
        raise ValueError(f"margin={margin} must be greater than 0: no finite number of seeds proves equality")
    return within(values, low=-margin, high=margin, unit=unit, reading=reading, minimum=minimum, label=label)


def proportion(
    successes: Values,
    *,
    above: float | None = None,
    below: float | None = None,
    minimum: int | None = None,
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
    null = None if above is not None and below is not None else above if above is not None else below
    against = _Against((above, below), null)
    return single(successes, against, unit="of runs", reading=_least(SHARE, minimum), label=label)


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
    return single(values, _Against((low, high)), unit=unit, reading=EXACT, label=label)


def reported(values: Values, *, unit: str, reading: Reading = MEAN, label: str = "") -> Verdict:
    """A measured number with its interval, without a threshold: nothing is decided. Arguments as in `greater`."""
    return single(values, _Against((None, None)), unit=unit, reading=_least(reading, 1), label=label)


def _least(reading: Reading, minimum: int | None) -> Reading:
    return reading if minimum is None else dataclasses.replace(reading, minimum=minimum)


@dataclass(frozen=True)
class _Against:
    """What an interval is held against."""

    threshold: Band
    null: float | None = None
    negligible: float = 0.0
    published: float | None = None
    factor: float = FACTOR

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", tuple(None if end is None else float(end) for end in self.threshold))
        if bad := [end for end in (*self.threshold, self.null) if end is not None and not math.isfinite(end)]:
            raise ValueError(f"threshold {bad[0]} must be a finite number")
        if self.null is None:
            return
        side, bar = self.side, next(end for end in self.threshold if end is not None)
        if side * (bar - self.null) < 0:
            raise ValueError(f"null={self.null:g} lies on the claimed side of the threshold {bar:g}; it must not")
        if self.published is not None and not side * (self.published - self.null) > 0:
            raise ValueError(f"published={self.published:g} is not on the claimed side of null={self.null:g}")
        if not (self.negligible >= 0 and self.factor > 1):
            raise ValueError(f"negligible={self.negligible} must be at least 0, factor={self.factor} more than 1")

    @property
    def side(self) -> int:
        """1 if the claim says "above", -1 if "below"."""
        return 1 if self.threshold[0] is not None else -1

    def direction(self, found: Interval) -> Direction:
        """Against the null value."""
        if self.null is None:
            return "none"
        low, high = sorted((self.side * (found.low - self.null), self.side * (found.high - self.null)))
        if -self.negligible <= low and high <= self.negligible and self.negligible > 0:
            return "absent"
        return "confirmed" if low > 0 else "reversed" if high < 0 else "unclear"

    def size(self, found: Interval) -> Size:
        """Against the paper's number, else against the bar."""
        if self.published is not None and self.null is not None:
            inner, outer = ((self.published - self.null) * each for each in (1 / self.factor, self.factor))
            low, high = sorted((found.low - self.null, found.high - self.null), key=lambda end: self.side * end)
            if self.side * high < self.side * inner:
                return "smaller here"
            if self.side * low > self.side * outer:
                return "larger here"
            agrees = self.side * low >= self.side * inner and self.side * high <= self.side * outer
            return "as published" if agrees else "unclear"
        place = _place(found, self.threshold)
        if self.null is None:
            return "no number" if self.threshold == (None, None) else BAND_SIZES[place]
        if self.null in self.threshold:
            return "no number"
        return "reaches the bar" if place == "inside" else "unclear" if place == "across" else "smaller here"

    def outcome(self, found: Interval, *, enough: bool, exact: bool) -> Outcome:
        """The one word."""
        if self.threshold == (None, None):
            return "reported"
        if not enough:
            return "undecided"
        direction, place = self.direction(found), _place(found, self.threshold, closed=exact)
        if direction in ("reversed", "absent"):
            return "contradicted"
        if place == "inside":
            return "supported"
        if self.null is None:
            return "contradicted" if exact or place != "across" else "undecided"
        return "weaker" if direction == "confirmed" and place != "across" else "undecided"


Place = Literal["inside", "below", "above", "across"]
BAND_SIZES: dict[Place, Size] = {
    "inside": "reaches the bar",
    "below": "smaller here",
    "above": "larger here",
    "across": "unclear",
}


def _place(found: Interval, band: Band, *, closed: bool = False) -> Place:
    """Where an interval lies: a band, or a threshold of exact values, contains its ends; one that is open does not."""
    low, high = band
    closed = closed or None not in band
    above = low is None or low < found.low or (closed and low == found.low)
    below = high is None or found.high < high or (closed and found.high == high)
    if above and below:
        return "inside"
    if low is not None and found.high < low:
        return "below"
    return "above" if high is not None and found.low > high else "across"


def single(
    values: Values, against: _Against, *, unit: str, reading: Reading, label: str, confidence: float = CONFIDENCE
) -> Verdict:
    """The verdict on values that are held against one threshold, with an interval of some confidence."""
    numbers = tuple(finite(values).values())
    confidence = 1.0 if reading.kind == "exact" else confidence
    found = readings.interval(numbers, reading, confidence=confidence)
    enough = found.n >= reading.minimum and not reading.withheld
    return Verdict(
        verdict=against.outcome(found, enough=enough, exact=reading.kind == "exact"),
        direction=against.direction(found) if enough or against.null is None else "unclear",
        size=against.size(found) if enough or against.threshold == (None, None) else "unclear",
        estimate=found.mean,
        low=_bounded(found.low),
        high=_bounded(found.high),
        n=found.n,
        unit=unit,
        threshold=against.threshold,
        null=against.null,
        negligible=against.negligible,
        published=against.published,
        factor=against.factor,
        confidence=confidence,
        reading=reading,
        rule=_rule(against.threshold, unit, readings.words(reading, confidence)),
        note=_note(found, reading),
        label=label,
        values=numbers,
    )


def at(verdict: Verdict, confidence: float) -> Verdict:
    """A verdict that is not combined, judged with an interval of another confidence."""
    if verdict.confidence in (confidence, 1.0):
        return verdict
    return with_values(verdict, verdict.values, confidence=confidence)


def with_values(verdict: Verdict, values: Values, *, confidence: float = CONFIDENCE) -> Verdict:
    """A verdict that is not combined, judged on other values."""
    against = _Against(verdict.threshold, verdict.null, verdict.negligible, verdict.published, verdict.factor)
    return single(
        values, against, unit=verdict.unit, reading=verdict.reading, label=verdict.label, confidence=confidence
    )


def withheld(verdict: Verdict, why: str) -> Verdict:
    """The same values, which decide nothing for a reason, such as a condition of the comparison that is not met.

    Args:
        verdict: a single one.
        why: a few words, shown as its note.
    """
    reading = dataclasses.replace(verdict.reading, withheld=why)
    return with_values(dataclasses.replace(verdict, reading=reading), verdict.values, confidence=verdict.confidence)


def unless_censored(verdict: Verdict, censored: Values) -> Verdict:
    """The verdict, or one that decides nothing if a value is only a bound: a time that was not reached, an optimum at
    the end of its grid. No number of seeds helps then.

    Args:
        verdict: a single one.
        censored: by seed, not 0 where the value is a bound.
    """
    count = sum(number != 0 for number in finite(censored).values())
    return withheld(verdict, f"{count} of {verdict.n} values are only bounds") if count else verdict


def _note(found: Interval, reading: Reading) -> str:
    """What to know about an interval: why it decides nothing, that it has no width, or may have missed a tail."""
    if reading.withheld:
        return reading.withheld
    if found.n < reading.minimum:
        return f"too few seeds: {found.n} of {reading.minimum}"
    if found.n > 1 and found.low == found.high and reading.kind != "exact":
        return f"all {found.n} values are equal, so the interval has no width"
    if reading.tail != "none" and not reading.spread:
        return f"a tail {'on either side' if reading.tail == 'both' else reading.tail} may be unseen"
    return ""


def _bounded(end: float) -> float | None:
    return end if math.isfinite(end) else None


@lru_cache
def _rule(threshold: Band, unit: str, what: str) -> str:
    """The rule in words."""
    low, high = threshold
    if low is None and high is None:
        return "report only"
    if low is not None and high is not None:
        where = f"within ±{text(high)}" if low == -high else f"within [{text(low)}, {text(high)}]"
    else:
        where = f"above {text(low)}" if low is not None else f"below {text(high)}"
    return f"{what} {where} {unit}".rstrip()


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


def text(value: float | None) -> str:
    """A threshold or a setting as its author wrote it."""
    return f"{value:g}" if isinstance(value, float | int) else str(value)
