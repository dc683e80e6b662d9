"""Power: whether the planned seeds will decide a claim, and how often a verdict will repeat itself.

A plan is tried on simulated studies that have the effect and the scatter of a pilot. Few seeds know their own scatter
badly, so it is taken larger than it was seen, such that the true one is larger still in one case of five only. Parts of
a claim are simulated independently of each other, which a shared seed may make too cautious.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.special import chdtri, ndtri
from scipy.stats import nct, t

from common.evidence.combinations import again
from common.evidence.verdicts import Verdict, leaves

ENOUGH = 0.8
"""Power below which a plan is refused."""
STUDIES = 500
"""Simulated; a share of 80 % is then known to 1.8 points."""
MOST = 64
"""Most seeds that are proposed."""
GRID = 60
"""Points of an integral over what the truth and the scatter may be."""
DOUBT = 0.2
"""Chance that the true scatter is larger than the one that plans are made with."""

Noise = Callable[[np.random.Generator, int], list[float]]


@lru_cache
def inflation(n: int) -> float:
    """Factor on a standard deviation from n values such that the true one exceeds it in one case of five.

    >>> [round(inflation(n), 2) for n in (3, 5, 8)]
    [2.12, 1.56, 1.35]
    """
    return math.sqrt((n - 1) / chdtri(n - 1, 1 - DOUBT))


def power(pilot: Verdict, seeds: int, *, studies: int = STUDIES) -> float | None:
    """Share of simulated studies with some number of seeds whose verdict is not undecided; None if only reported.

    Args:
        pilot: the verdict on the pilot; at least two values in each part.
        seeds: of the plan, in each part that had as many as any other in the pilot (others in proportion).
        studies: how many are simulated.
    Raises: ValueError for a part with one seed only, whose scatter is unknown.
    """
    if pilot.verdict == "reported":
        return None
    parts = list(leaves(pilot))
    most = max(part.n for part in parts if part.reading.kind != "exact") if _drawn(parts) else 1
    noises = [_noise(part) for part in parts]
    sizes = [max(1, round(seeds * part.n / most)) for part in parts]
    rng = np.random.default_rng(0)
    decided = 0
    for _ in range(studies if _drawn(parts) else 1):
        values = iter([noise(rng, size) for noise, size in zip(noises, sizes, strict=True)])
        decided += again(pilot, values).verdict != "undecided"
    return decided / (studies if _drawn(parts) else 1)


def _drawn(parts: list[Verdict]) -> bool:
    return any(part.reading.kind != "exact" for part in parts)


def _noise(part: Verdict) -> Noise:
    """Draws values such as those of one part."""
    values, kind = np.array(part.values), part.reading.kind
    if kind == "exact":
        return lambda rng, size: list(part.values)  # noqa: ARG005
    if len(values) < 2:
        raise ValueError(f"{part.label or 'a claim'} has {len(values)} seed in the pilot: two are needed for a scatter")
    if kind == "share":
        share = (values.sum() + 0.5) / (len(values) + 1)
        return lambda rng, size: [float(one) for one in rng.random(size) < share]
    numbers = np.log(values) if kind == "ratio" else values
    center, spread = float(numbers.mean()), float(numbers.std(ddof=1)) * inflation(len(numbers))
    if kind == "ratio":
        return lambda rng, size: np.exp(rng.normal(center, spread, size)).tolist()
    return lambda rng, size: rng.normal(center, spread, size).tolist()


def needed(pilot: Verdict) -> int | None:
    """Fewest seeds with enough power; None if more than 64 are needed, or if nothing is decided by any number."""
    low, high = 2, 4
    while (power(pilot, high, studies=STUDIES // 2) or 0.0) < ENOUGH:
        low, high = high, 2 * high
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if (power(pilot, middle, studies=STUDIES // 2) or 0.0) >= ENOUGH else (middle, high)
    return high


def repeats(verdict: Verdict) -> float | None:
    """Chance that as many new seeds give a supported verdict again, given one that is; None for others.

    Truth and scatter are taken to lie around what was seen as few normal values say (flat prior). At the edge of the
    interval it is one half; at three half widths it is nearly 1.

    >>> from common.evidence.verdicts import greater
    >>> round(repeats(greater([0.9, 1.0, 1.1, 1.2, 0.8], than=0.0, unit="")), 2)
    0.99
    """
    if verdict.verdict != "supported" or verdict.reading.kind == "exact" or verdict.n < 2:
        return None
    return _repeats(round(min(verdict.strength, 50.0), 6), verdict.n)


@lru_cache
def _repeats(strength: float, n: int) -> float:
    critical, grid = float(t.ppf(0.975, n - 1)), (np.arange(GRID) + 0.5) / GRID
    scatter = np.sqrt((n - 1) / chdtri(n - 1, grid))
    distances = strength * critical / scatter[:, None] + ndtri(grid)
    return float(np.mean(nct.sf(critical, n - 1, distances)))
