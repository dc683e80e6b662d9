"""Intervals against what is claimed, as SVG: large with seeds and ticks, or small for a line of a table."""

import math
from collections.abc import Iterable, Iterator

from markupsafe import Markup

from common.evidence.verdicts import Verdict, number, text
from common.site.axes import Axis, around, drawing, tag

FEW = 40
"""Values that can be told apart as dots."""
LARGE, SMALL = (360.0, 128.0), (150.0, 24.0)
"""Widths and heights."""
LEFT, RIGHT = 44.0, 354.0
"""Ends of the large axis; what the rows are stands left of it."""
SEEDS, OURS, PAPER, BASE = 20.0, 46.0, 72.0, 92.0
"""Heights of the rows and of the axis."""


def numbers(verdict: Verdict) -> Iterator[float]:
    """All that an axis for a verdict has to hold."""
    yield from (verdict.estimate, *verdict.values)
    for end in (verdict.low, verdict.high, *verdict.threshold, verdict.null, verdict.published):
        if end is not None:
            yield end


def words(verdict: Verdict) -> str:
    """What is to be seen, in a sentence."""
    low, high = ("open" if end is None else number(end) for end in (verdict.low, verdict.high))
    parts = [f"Estimate {number(verdict.estimate)} {verdict.unit}".rstrip(), f"interval from {low} to {high}"]
    parts += [f"{verdict.n} values"] if verdict.n else []
    parts += [f"rule: {verdict.rule}"]
    parts += [] if verdict.published is None else [f"the paper's number is {number(verdict.published)}"]
    return ", ".join(parts) + "."


def large(verdict: Verdict, *, name: str) -> Markup:
    """Seeds, interval and the paper's number on one axis, the claimed side shaded.

    Args:
        verdict: a single one.
        name: unique on its page.
    """
    axis = around(numbers(verdict), LEFT, RIGHT)
    parts = [*_claimed(verdict, axis, 6.0, BASE), *_ticks(axis), *_seeds(verdict, axis, SEEDS, 3.2)]
    parts += [_row("seeds", SEEDS)] if verdict.values else []
    parts += [_row("ours", OURS), *_bar(verdict, axis, OURS, 8.0)]
    if verdict.published is not None:
        parts += [_row("paper", PAPER), _diamond(axis(verdict.published), PAPER)]
    parts += [tag("text", verdict.unit, x=(LEFT + RIGHT) / 2, y=BASE + 32, class_="tick")] if verdict.unit else []
    title = f"Interval: {verdict.label}" if verdict.label else "Interval"
    return _drawn(parts, LARGE, verdict, title=title, name=name, kind="interval")


def small(verdict: Verdict, *, name: str, axis: Axis | None = None) -> Markup:
    """The interval against the claimed side, for a line of a table.

    Args:
        verdict: a single one.
        name: unique on its page.
        axis: that it shares with others; its own if left out.
    """
    width, height = SMALL
    axis = axis or around(numbers(verdict), 0.0, width)
    middle = height / 2
    parts = [*_claimed(verdict, axis, 1.0, height - 1), *_seeds(verdict, axis, middle, 2.2)]
    parts += _bar(verdict, axis, middle, 6.0)
    return _drawn(parts, SMALL, verdict, title=f"Interval {name}", name=name, kind="interval small")


def shared(verdicts: Iterable[Verdict]) -> dict[tuple[str, tuple[float | None, ...]], Axis]:
    """An axis for the parts that are held against the same band in the same unit, by both."""
    held: dict[tuple[str, tuple[float | None, ...]], list[float]] = {}
    for verdict in verdicts:
        held.setdefault(band(verdict), []).extend(numbers(verdict))
    return {key: around(found, 0.0, SMALL[0]) for key, found in held.items()}


def band(verdict: Verdict) -> tuple[str, tuple[float | None, ...]]:
    """Unit and threshold of a verdict."""
    return verdict.unit, verdict.threshold


def _drawn(
    parts: Iterable[Markup], size: tuple[float, float], verdict: Verdict, *, title: str, name: str, kind: str
) -> Markup:
    width, height = size
    about, kind = words(verdict), f"{kind} {verdict.verdict}"
    return drawing(parts, width=width, height=height, title=title, about=about, name=name, kind=kind)


def _claimed(verdict: Verdict, axis: Axis, top: float, bottom: float) -> Iterator[Markup]:
    """The claimed side or band, its ends, and the value without an effect."""
    low, high = verdict.threshold
    if (low, high) != (None, None):
        left, right = axis(axis.low if low is None else low), axis(axis.high if high is None else high)
        yield tag("rect", x=left, y=top, width=right - left, height=bottom - top, class_="claimed")
    for end in (low, high):
        if end is not None:
            yield tag("path", d=f"M{axis(end):.1f} {top:g}V{bottom:g}", class_="bar-line")
    if verdict.null is not None and verdict.null not in verdict.threshold:
        yield tag("path", d=f"M{axis(verdict.null):.1f} {top:g}V{bottom:g}", class_="null-line")


def _seeds(verdict: Verdict, axis: Axis, y: float, radius: float) -> Iterator[Markup]:
    if len(verdict.values) <= FEW:
        yield from (tag("circle", cx=axis(value), cy=y, r=radius, class_="seed") for value in verdict.values)


def _bar(verdict: Verdict, axis: Axis, y: float, half: float) -> Iterator[Markup]:
    """The interval, with an arrow where nothing bounds it, and the estimate."""
    left = axis.start if verdict.low is None else axis(verdict.low)
    right = axis.end if verdict.high is None else axis(verdict.high)
    if (verdict.low, verdict.high) != (None, None):
        yield tag("path", d=f"M{left:.1f} {y:g}H{right:.1f}", class_="span")
        for end, at, into in ((verdict.low, left, 5), (verdict.high, right, -5)):
            if end is None:
                yield tag("path", d=f"M{at + into:.1f} {y - 5:g}L{at:.1f} {y:g}l{into} 5", class_="open")
    middle = axis(verdict.estimate)
    yield tag("path", d=f"M{middle:.1f} {y - half:g}V{y + half:g}", class_="estimate")


def _diamond(x: float, y: float) -> Markup:
    return tag("path", d=f"M{x:.1f} {y - 6:g}l6 6l-6 6l-6 -6Z", class_="paper")


def _row(label: str, y: float) -> Markup:
    return tag("text", label, x=0.0, y=y + 4, class_="row")


def _ticks(axis: Axis) -> Iterator[Markup]:
    yield tag("path", d=f"M{axis.start:g} {BASE:g}H{axis.end:g}", class_="frame")
    for value in axis.ticks(4):
        x = axis(value)
        yield tag("path", d=f"M{x:.1f} {BASE:g}v4", class_="frame")
        yield tag("text", _tick(value, axis), x=x, y=BASE + 16, class_="tick")


def _tick(value: float, axis: Axis) -> str:
    """A round number, without more digits than its axis has."""
    return "0" if abs(value) < (axis.high - axis.low) * 1e-9 and not axis.log else text(value)


def readable(verdict: Verdict) -> bool:
    """Whether an axis can be drawn: all its numbers are finite."""
    return all(math.isfinite(each) for each in numbers(verdict))
