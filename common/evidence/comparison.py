"""Two verdicts on one claim beside each other: other seeds, another machine, other code.

A *flip* is a direction that is reversed, or a shift of more than three joint standard errors. A word that changes to or
from undecided is no flip: among fresh seeds it happens as often as `power.repeats` says.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from scipy.special import stdtrit

from common.evidence.combinations import again
from common.evidence.power import repeats
from common.evidence.verdicts import Verdict, leaves, number

FAR = 3.0
"""Shift in joint standard errors beyond which two estimates do not agree."""
HEAD = ("claim", "committed", "new", "together", "shift", "expected again", "")
AGAINST = {"supported": 1, "weaker": 1, "contradicted": -1}


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A claim in two builds."""

    id: str
    before: str
    """The word of the first verdict, and its number."""
    after: str
    together: str = ""
    """The same of all values of both, if they are of other seeds."""
    same: bool
    """Whether the words are equal."""
    shift: float | None
    """Difference of the estimates in joint standard errors; None where neither has one."""
    expected: float | None
    """Chance that fresh seeds repeat the first word, if it is `supported`."""
    flip: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def compare(name: str, before: Verdict, after: Verdict, *, fresh: bool = False) -> Compared:
    """Two verdicts on the claim `name`, the deciding part of the first against the same part of the second.

    Args:
        name: id of the claim.
        before: the first verdict.
        after: the second.
        fresh: whether it is of other seeds, so that both say more together.
    """
    part = decisive(before)
    shift = shift_of(part, _same_part(part, after))
    reversed_ = AGAINST.get(before.verdict, 0) * AGAINST.get(after.verdict, 0) < 0
    return Compared(
        id=name,
        before=in_words(before),
        after=in_words(after),
        together=in_words(both) if fresh and (both := together(before, after)) else "",
        same=before.verdict == after.verdict,
        shift=shift,
        expected=repeats(before),
        flip=reversed_ or (shift is not None and abs(shift) > FAR),
    )


def together(before: Verdict, after: Verdict) -> Verdict | None:
    """The first verdict, had it had the seeds of both; None for numbers without seeds, or where the parts differ."""
    parts, others = list(leaves(before)), list(leaves(after))
    if [part.label for part in parts] != [part.label for part in others]:
        return None
    if all(part.reading.kind == "exact" for part in parts):
        return None
    pairs = zip(parts, others, strict=True)
    return again(
        before,
        iter([part.values if part.reading.kind == "exact" else part.values + other.values for part, other in pairs]),
    )


def in_words(verdict: Verdict) -> str:
    """Word, number and interval."""
    ends = ("open" if end is None else number(end) for end in (verdict.low, verdict.high))
    return f"{verdict.verdict} {number(verdict.estimate)} [{', '.join(ends)}]"


def decisive(verdict: Verdict) -> Verdict:
    """The part whose numbers a verdict shows."""
    shown = (verdict.estimate, verdict.low, verdict.high)
    return next((leaf for leaf in leaves(verdict) if (leaf.estimate, leaf.low, leaf.high) == shown), verdict)


def _same_part(part: Verdict, other: Verdict) -> Verdict:
    """The part of another verdict with the same label; what it shows if there is none."""
    return next((leaf for leaf in leaves(other) if leaf.label == part.label), decisive(other))


def shift_of(before: Verdict, after: Verdict) -> float | None:
    """Difference of two estimates in joint standard errors, of logarithms where both are ratios; None without one."""
    first, second = standard_error(before), standard_error(after)
    if first is None or second is None:
        return None
    joint, difference = math.hypot(first, second), _centre(after) - _centre(before)
    return difference / joint if joint else (0.0 if difference == 0 else None)


def _centre(verdict: Verdict) -> float:
    return math.log(verdict.estimate) if verdict.reading.kind == "ratio" else verdict.estimate


def standard_error(verdict: Verdict) -> float | None:
    """That of the seeds in a single verdict, from the width of its interval: the text is the same for other seeds.

    None if the interval is unbounded, or computed without seeds.
    """
    if verdict.low is None or verdict.high is None or verdict.reading.kind == "exact" or verdict.n < 2:
        return None
    low, high = verdict.low, verdict.high
    if verdict.reading.kind == "ratio":
        low, high = math.log(low), math.log(high)
    critical = float(stdtrit(verdict.n - 1, (1 + verdict.confidence) / 2))
    joint, shared = (high - low) / 2 / critical, verdict.reading.shared_error
    return math.sqrt(max(joint**2 - shared**2, 0.0))


def table(found: Iterable[Compared]) -> str:
    """The comparison as text, a line for each claim."""
    columns = filled([HEAD, *(cells(claim) for claim in found)])
    padded = [[cell.ljust(max(map(len, column))) for cell in column] for column in columns]
    lines = ("  ".join(row) for row in zip(*padded, strict=True))
    return "\n".join(line.rstrip() for line in lines)


def filled(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The columns in which more stands than a head."""
    return [column for column in zip(*rows, strict=True) if any(column[1:])]


def cells(claim: Compared) -> tuple[str, ...]:
    """What a line of a table says of a claim."""
    shift = "" if claim.shift is None else f"{claim.shift:+.1f} se"
    expected = "" if claim.expected is None else f"{100 * claim.expected:.0f} %"
    mark = "FLIP" if claim.flip else "" if claim.same else "changed"
    return claim.id, claim.before, claim.after, claim.together, shift, expected, mark
