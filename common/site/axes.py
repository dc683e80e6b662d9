"""What drawings share: numbers to places, round ticks, and elements of SVG as text."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

STEPS = (1.0, 2.0, 5.0, 10.0)
"""Distances of ticks, but for powers of ten."""
WIDE = 100.0
"""Ratio of largest to smallest from which positive values are drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Axis:
    """Numbers from `low` to `high` at places from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a number; of one beyond the axis, the nearer end."""
        low, high, value = (
            (math.log(x) for x in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        share = (value - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, count: int) -> list[float]:
        """About so many round numbers of it.

        >>> Axis(-0.03, 0.12, 0, 100).ticks(4)
        [0.0, 0.05, 0.1]
        >>> Axis(0.5, 2000, 0, 100, log=True).ticks(4)
        [1.0, 10.0, 100.0, 1000.0]
        """
        if self.log:
            return _powers(self.low, self.high, count) or [self.low, self.high]
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * min((each for each in STEPS if each * power >= rough), default=10.0)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [round(place * step, 12) + 0.0 for place in range(first, last + 1)]


def _powers(low: float, high: float, count: int) -> list[float]:
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    every = max(1, math.ceil((last - first + 1) / (count + 1)))
    return [10.0**power for power in range(first, last + 1, every)]


def around(values: Iterable[float], start: float, end: float, *, room: float = 0.06, log: bool = False) -> Axis:
    """An axis that holds some finite numbers, with room on either side."""
    numbers = list(values)
    low, high = min(numbers), max(numbers)
    if log and low > 0 and high / low >= WIDE:
        factor = (high / low) ** room
        return Axis(low / factor, high * factor, start, end, log=True)
    if low == high:
        half = abs(high) / 10 or 1.0
        return Axis(low - half, high + half, start, end)
    margin = room * (high - low)
    return Axis(low - margin, high + margin, start, end)


def tag(name: str, inner: object = None, **attributes: object) -> Markup:
    """An element; `class_` is written as class, `stroke_width` as stroke-width, and what is None not at all.

    >>> str(tag("text", "a < b", x=1.25, class_="tick"))
    '<text x="1.2" class="tick">a &lt; b</text>'
    """
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    given = "".join(f' {key}="{_shown(value)}"' for key, value in named.items())
    if inner is None:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{escape(inner)}</{name}>")


def _shown(value: object) -> str:
    """A coordinate in tenths of a unit, anything else as it is."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(escape(value))


def drawing(
    parts: Iterable[Markup], *, width: float, height: float, title: str, about: str, name: str, kind: str
) -> Markup:
    """A picture that says in words what it shows.

    Args:
        parts: its elements.
        width: of the coordinates.
        height: of the coordinates.
        title: what it is.
        about: what is to be seen.
        name: unique on its page.
        kind: class, by which the style sheet knows it.
    """
    words = [tag("title", title, id=f"{name}-title"), tag("desc", about, id=f"{name}-desc")]
    labels = f"{name}-title {name}-desc"
    inner = Markup("".join([*words, *parts]))  # of elements, which are escaped
    return tag("svg", inner, viewBox=f"0 0 {width:g} {height:g}", class_=kind, role="img", aria_labelledby=labels)
