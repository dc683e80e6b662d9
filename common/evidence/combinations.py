"""Claims of several parts: all of them, any of them, or a change of order.

Each part is a chance to be wrong, so what rests on some part is judged with an interval of confidence 1 - 0.05 / k
(Bonferroni): that any of k parts is supported, and that all of k parts are contradicted because one of them is. What
rests on every part needs no correction. Both hold however the parts depend on each other.
"""

import dataclasses
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Literal

from common.evidence.readings import MEAN, Reading
from common.evidence.statistics import Values, t_interval
from common.evidence.verdicts import (
    CONFIDENCE,
    Combination,
    Direction,
    Outcome,
    Verdict,
    at,
    greater,
    less,
    text,
    with_values,
)

__all__ = ["again", "all_of", "any_of", "crossover"]

Answer = Literal["supported", "right", "smaller", "contradicted", "reversed"]
"""What may be asked of a verdict. right: of the claimed direction, or supported where the claim names none."""
EVERY: tuple[Answer, ...] = ("supported", "right")
"""Answers that an all_of has if every part has them; it has the others if some part has them."""


def all_of(*verdicts: Verdict, label: str = "") -> Verdict:
    """Supported if every part is, contradicted if some part is (corrected), weaker if every part has the right
    direction and some part is smaller (corrected), else undecided; shows the numbers of the weakest part.

    Parts that are `reported` are kept and decide nothing.

    Raises: ValueError if no part can decide.
    """
    return _combined("all", verdicts, confidence=CONFIDENCE, label=label)


def any_of(*verdicts: Verdict, label: str = "") -> Verdict:
    """Supported if some part is (corrected), contradicted if every part is, else undecided; shows the strongest part.

    State the parts beforehand: choosing them by their outcome voids the correction.

    Raises: ValueError if no part can decide.
    """
    return _combined("any", verdicts, confidence=CONFIDENCE, label=label)


def crossover(
    before: Mapping[Hashable, Values],
    after: Mapping[Hashable, Values],
    *,
    unit: str,
    reading: Reading = MEAN,
    minimum: int | None = None,
    label: str = "",
) -> Verdict:
    """Do some two settings change their order?

    Supported if the differences of some pair exclude 0 before and after, with opposite signs; contradicted if those of
    every pair exclude 0 with equal signs.

    Args:
        before: by pair (for example a tuple of two learning rates), the difference of the two per seed.
        after: the same differences later, for the same pairs.
        unit: of the differences.
        reading: which number of all seeds is meant; not a ratio.
        minimum: fewest seeds that may decide.
        label: name of this part in a combined claim.
    Raises: ValueError if the pairs differ, or as `greater`.
    """
    if not before or before.keys() != after.keys():
        raise ValueError(f"before has the pairs {list(before)}, after {list(after)}: both need the same, at least one")
    reading = reading if minimum is None else dataclasses.replace(reading, minimum=minimum)
    pairs = [_order(pair, before[pair], after[pair], unit=unit, reading=reading) for pair in before]
    return _combined("any", pairs, confidence=CONFIDENCE, label=label)


def _order(pair: Hashable, before: Values, after: Values, *, unit: str, reading: Reading) -> Verdict:
    """Does one pair change its order? `after` is held against the side opposite to the mean of `before`."""
    name = " against ".join(map(text, pair)) if isinstance(pair, tuple) else str(pair)
    first, then = (greater, less) if t_interval(before).mean > 0 else (less, greater)
    parts = (
        first(before, than=0.0, unit=unit, reading=reading, label=f"{name}, before"),
        then(after, than=0.0, unit=unit, reading=reading, label=f"{name}, after"),
    )
    return _combined("order", parts, confidence=CONFIDENCE, label=name)


def _combined(how: Combination, verdicts: Sequence[Verdict], *, confidence: float, label: str) -> Verdict:
    """One verdict of several; `confidence` is that of the whole, from which the confidence of the parts follows."""
    deciding = [verdict for verdict in verdicts if verdict.verdict != "reported"]
    if not deciding:
        raise ValueError("no part can decide: give at least one verdict that is not only reported")
    each = _shared(confidence, len(deciding)) if how == "any" else confidence
    parts = [_at(verdict, each) for verdict in verdicts]
    whole = dataclasses.replace(deciding[0], combination=how, parts=tuple(deciding))
    shown = _shown(how, [part for part in parts if part.verdict != "reported"])
    note = shown.note
    if len(deciding) > 1 and not note.startswith("decided by"):
        name = shown.label or f"part {parts.index(shown) + 1}"
        note = "; ".join(filter(None, (f"decided by {name}", note)))
    outcome = _outcome(whole, confidence)
    return dataclasses.replace(
        shown,
        verdict=outcome,
        direction=_direction(whole, confidence),
        size=shown.size if outcome == "supported" else "smaller here" if outcome == "weaker" else "unclear",
        rule=_rule(how, [part for part in parts if part.verdict != "reported"], each),
        note=note,
        label=label,
        values=(),
        combination=how,
        parts=tuple(parts),
    )


def _shared(confidence: float, chances: int) -> float:
    """Confidence of each of several chances, so that the whole has the given one (Bonferroni)."""
    return 1 - (1 - confidence) / chances


def _at(verdict: Verdict, confidence: float) -> Verdict:
    """The same verdict judged with intervals of another confidence (for a combined one: that of the whole)."""
    if verdict.combination is None:
        return at(verdict, confidence)
    return _combined(verdict.combination, verdict.parts, confidence=confidence, label=verdict.label)


def _outcome(whole: Verdict, confidence: float) -> Outcome:
    if _has(whole, "supported", confidence):
        return "supported"
    if _has(whole, "contradicted", confidence):
        return "contradicted"
    return "weaker" if _has(whole, "right", confidence) and _has(whole, "smaller", confidence) else "undecided"


def _direction(whole: Verdict, confidence: float) -> Direction:
    if all(part.direction == "none" for part in whole.parts):
        return "none"
    if _has(whole, "right", confidence):
        return "confirmed"
    return "reversed" if _has(whole, "reversed", confidence) else "unclear"


def _has(verdict: Verdict, answer: Answer, confidence: float) -> bool:
    """Whether a verdict gives an answer with some confidence."""
    how = verdict.combination
    if how is None:
        return _leaf_has(at(verdict, confidence), answer)
    parts = [part for part in verdict.parts if part.verdict != "reported"]
    if how == "order":
        after: Answer = "supported" if answer in EVERY else "contradicted"
        return answer != "smaller" and _has(parts[0], "supported", confidence) and _has(parts[1], after, confidence)
    if (answer in EVERY) == (how == "all"):
        return all(_has(part, answer, confidence) for part in parts)
    return any(_has(part, answer, _shared(confidence, len(parts))) for part in parts)


def _leaf_has(leaf: Verdict, answer: Answer) -> bool:
    return {
        "supported": leaf.verdict == "supported",
        "right": leaf.direction == "confirmed" or (leaf.direction == "none" and leaf.verdict == "supported"),
        "smaller": leaf.verdict == "weaker",
        "contradicted": leaf.verdict == "contradicted",
        "reversed": leaf.direction in ("reversed", "absent"),
    }[answer]


def _shown(how: Combination, parts: Sequence[Verdict]) -> Verdict:
    """The part whose numbers stand for the whole."""
    if how == "order":
        return parts[1] if parts[0].verdict == "supported" else parts[0]
    return (max if how == "any" else min)(parts, key=lambda part: part.strength)


def _rule(how: Combination, parts: Sequence[Verdict], confidence: float) -> str:
    rules = list(dict.fromkeys(part.rule for part in parts))
    if how == "order":
        return f"{100 * confidence:.3g} % intervals exclude 0 with opposite signs before and after"
    joined = rules[0] if len(rules) == 1 else "; ".join(rules)
    if len(parts) == 1:
        return joined
    return f"all {len(parts)}: {joined}" if how == "all" else f"any of {len(parts)} (Bonferroni): {joined}"


def again(verdict: Verdict, values: Iterator[Values]) -> Verdict:
    """The same claim judged on other values, given for its leaves in their order (`leaves`)."""
    if verdict.combination is None:
        return with_values(verdict, next(values))
    if verdict.combination == "order":
        before, after = next(values), next(values)
        return _order(verdict.label, before, after, unit=verdict.unit, reading=verdict.parts[0].reading)
    parts = [again(part, values) for part in verdict.parts]
    return _combined(verdict.combination, parts, confidence=CONFIDENCE, label=verdict.label)
