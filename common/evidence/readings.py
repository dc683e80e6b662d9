"""How the values of the seeds are read: which number of all possible seeds they speak for, and under which noise.

A mean over seeds, a typical factor and a typical seed are different numbers, and few seeds can guard only the latter
two against skewed noise (docs/evidence.md has the rates of error). A claim says which it means, for example
`greater(ratios, than=1.0, unit="x", reading=RATIO)`.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from common.evidence.statistics import (
    Interval,
    Values,
    proportion_interval,
    ratio_interval,
    t_interval,
    typical_interval,
    value_range,
)

__all__ = ["EXACT", "MEAN", "RATIO", "SHARE", "TYPICAL", "Reading", "interval"]

Kind = Literal["mean", "ratio", "typical", "share", "exact"]
Tail = Literal["none", "up", "down", "both"]

INTERVALS: dict[Kind, Callable[..., Interval]] = {
    "mean": t_interval,
    "ratio": ratio_interval,
    "typical": typical_interval,
    "share": proportion_interval,
}
WORDS: dict[Kind, str] = {
    "mean": "{:.3g} % interval",
    "ratio": "{:.3g} % interval of the factor",
    "typical": "{:.3g} % interval of the typical seed",
    "share": "{:.3g} % interval",
    "exact": "every value",
}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What an interval is made for, and what is known of the noise beforehand."""

    kind: Kind
    """mean: of all seeds, by Student's t. ratio: geometric mean, t on the logarithms. typical: median, by order
    statistics and t together. share: of ones among 0 and 1. exact: computed numbers that depend on no seed."""
    minimum: int
    """Fewest seeds that may decide."""
    tail: Tail = "none"
    """Where the noise of a mean is known to reach far. Few seeds may have missed that tail, so that the true mean lies
    beyond the interval on its side: that end is then unbounded, unless `spread` comes from other seeds."""
    spread: float = 0.0
    """Least standard deviation that is believed (see `statistics.t_interval`)."""
    shared_error: float = 0.0
    """Standard error of what all seeds share, such as the text of an evaluation."""
    withheld: str = ""
    """Why these values decide nothing, whatever they are; "" if they may."""

    def __post_init__(self) -> None:
        if self.tail != "none" and self.kind != "mean":
            raise ValueError(f"tail={self.tail!r} is of a mean; a {self.kind} needs none")
        if self.kind in ("share", "exact") and (self.spread or self.shared_error):
            raise ValueError(f"spread={self.spread}, shared_error={self.shared_error}: a {self.kind} has neither")

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


MEAN = Reading(kind="mean", minimum=3)
"""With two seeds the t interval is 9 standard deviations wide on each side, and their estimate rests on one number."""
RATIO = Reading(kind="ratio", minimum=3)
TYPICAL = Reading(kind="typical", minimum=6)
"""Five equal signs come by chance in 3.1 % of studies on each side, six in 1.6 %."""
SHARE = Reading(kind="share", minimum=3)
EXACT = Reading(kind="exact", minimum=1)


def interval(values: Values, reading: Reading, *, confidence: float) -> Interval:
    """The interval of some values as they are to be read.

    Raises: ValueError as the functions of `statistics`.
    """
    if reading.kind == "exact":
        return value_range(values)
    noise = {} if reading.kind == "share" else {"spread": reading.spread, "shared_error": reading.shared_error}
    found = INTERVALS[reading.kind](values, confidence=confidence, **noise)
    if reading.tail == "none" or reading.spread:
        return found
    low = -math.inf if reading.tail in ("down", "both") else found.low
    high = math.inf if reading.tail in ("up", "both") else found.high
    return Interval(found.mean, low, high, found.n)


def words(reading: Reading, confidence: float) -> str:
    """What must lie on the claimed side, for readers."""
    return WORDS[reading.kind].format(100 * confidence)
