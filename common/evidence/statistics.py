"""Intervals over seeds, paired differences and slopes.

Values are one number per seed (or per run). They come as a mapping or a pandas Series from the seed to the number, so
that an error can name the seed, or as a plain sequence.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from scipy.special import betaincinv, stdtrit


class Labelled(Protocol):
    """What a mapping and a pandas Series share: pairs of a label (seed or run name) and a number."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Label and number, one pair after the other."""
        ...


Values = Labelled | Sequence[float] | np.ndarray[Any, Any]


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval from `n` values; `low` and `high` are infinite where nothing bounds them."""

    mean: float
    low: float
    high: float
    n: int


def finite(values: Values) -> dict[Hashable, float]:
    """The values by label, in the order given; a plain sequence is labelled 0, 1, 2, ...

    Raises: ValueError if there is no value, if a label occurs twice, or if a value is missing or not finite (its label
        is named): a diverged run is a result that must be dealt with openly, an average over the others would hide it.
    """
    pairs = list(values.items() if not isinstance(values, Sequence | np.ndarray) else enumerate(values))
    if not pairs:
        raise ValueError("there are no values: no run matches; check the selection of runs")
    found: dict[Hashable, float] = {label: math.nan if value is None else float(value) for label, value in pairs}
    if len(found) < len(pairs):
        twice = next(label for label, count in Counter(label for label, _ in pairs).items() if count > 1)
        raise ValueError(f"{_named(twice)} occurs twice: give one number per seed, for example the last row's")
    if not all(map(math.isfinite, found.values())):
        bad = ((label, value) for label, value in found.items() if not math.isfinite(value))
        listed = ", ".join(f"{_named(label)} has {value}" for label, value in bad)
        raise ValueError(
            f"{listed}: every value must be finite; a diverged or missing run is not dropped silently: "
            "train it, or compare without its setting for all seeds"
        )
    return found


def _named(label: Hashable) -> str:
    return f"seed {label}" if isinstance(label, int | np.integer) else f"run {label!r}"


def t_interval(values: Values, *, confidence: float = 0.95, spread: float = 0.0, shared_error: float = 0.0) -> Interval:
    """Mean and two-sided Student t interval: mean +- t(n - 1) sqrt(s^2 / n + e^2), s the standard deviation with n - 1.

    ASSUME: the values are independent and about symmetric. A skewed quantity (a loss that jumps, a ratio, a time until
    something happens) is not, and neither is a difference of two arms of which one scatters more: read these as ratios
    or as typical seeds (`ratio_interval`, `typical_interval`). With lognormal values of sigma 0.8 the upper end lies
    below the mean in 13 % of studies instead of 2.5 %.

    Args:
        values: one finite number per seed; a single one has an unbounded interval.
        confidence: probability with which the interval covers the mean, between 0 and 1.
        spread: least standard deviation that is believed, in the unit of the values: that of other arms on other seeds
            (three or more, pooled), or half a step of values on a grid. Never makes the interval shorter.
        shared_error: standard error e of what all seeds have in common, such as the text on which they are evaluated
            (see `common.evidence.estimators.text_error`). It does not shrink with more seeds.
    Raises: ValueError for a value that is not finite (see `finite`), a confidence outside (0, 1), or a negative spread
        or error.
    Source: Student 1908. A percentile bootstrap would cover only 76 % at n = 3 and 85 % at n = 5 instead of 95 %.

    >>> interval = t_interval({0: 1.0, 1: 2.0, 2: 3.0})
    >>> interval.mean, round(interval.low, 3), round(interval.high, 3), interval.n
    (2.0, -0.484, 4.484, 3)
    """
    _check_confidence(confidence)
    _check_errors(spread=spread, shared_error=shared_error)
    numbers = list(finite(values).values())
    n = len(numbers)
    if n == 1:
        return Interval(numbers[0], -math.inf, math.inf, 1)
    equal = min(numbers) == max(numbers)
    mean = numbers[0] if equal else math.fsum(numbers) / n
    variance = 0.0 if equal else math.fsum((number - mean) ** 2 for number in numbers) / (n - 1)
    half = _t_quantile(n - 1, confidence) * math.sqrt(max(variance, spread**2) / n + shared_error**2)
    return Interval(mean, mean - half, mean + half, n)


def ratio_interval(
    values: Values, *, confidence: float = 0.95, spread: float = 0.0, shared_error: float = 0.0
) -> Interval:
    """Geometric mean and the t interval of the logarithms: for ratios and other positive, multiplicative quantities.

    Exact for lognormal values however skewed. What it speaks of is the typical factor, not the mean of the values.

    Args:
        values: one positive number per seed.
        confidence: as in `t_interval`.
        spread: least standard deviation of the logarithms that is believed.
        shared_error: standard error of the logarithm of what all seeds have in common.
    Raises: ValueError for a value that is not positive, or as `t_interval`.

    >>> interval = ratio_interval([1.0, 2.0, 4.0])
    >>> round(interval.mean, 12), round(interval.low * interval.high, 9)
    (2.0, 4.0)
    """
    numbers = finite(values)
    if bad := {label: value for label, value in numbers.items() if value <= 0}:
        listed = ", ".join(f"{_named(label)} has {value:g}" for label, value in bad.items())
        raise ValueError(f"{listed}: a ratio is positive; read values that change sign as a mean or as typical seeds")
    logs = {label: math.log(value) for label, value in numbers.items()}
    found = t_interval(logs, confidence=confidence, spread=spread, shared_error=shared_error)
    low, high = (math.exp(found.low), math.exp(found.high)) if found.n > 1 else (0.0, math.inf)
    return Interval(math.exp(found.mean), low, high, found.n)


def typical_interval(
    values: Values, *, confidence: float = 0.95, spread: float = 0.0, shared_error: float = 0.0
) -> Interval:
    """Median, and an interval that holds for it under any noise: of order statistics, widened to the t interval.

    The k-th smallest and the k-th largest value bound the median with the stated confidence whatever the law (sign
    test). Below 6 seeds no pair of values does at 95 %, and the interval is unbounded. The t interval is joined to it,
    since few values may lie close together by chance.

    Args:
        values: one number per seed. More seeds sharpen the interval at 6, 9, 12, 15, 17 and 20 only.
        confidence: smallest probability with which the interval covers the median.
        spread: as in `t_interval`.
        shared_error: as in `t_interval`; the order statistics are moved by its share of the half width.
    Raises: ValueError as `t_interval`.
    Source: Thompson 1936 (order statistics as an interval for the median).

    >>> interval = typical_interval([1.0, 2.0, 3.0, 4.0, 5.0, 60.0])
    >>> interval.mean, interval.low < 1.0, interval.high > 60.0
    (3.5, True, False)
    """
    found = t_interval(values, confidence=confidence, spread=spread, shared_error=shared_error)
    ordered = sorted(finite(values).values())
    n, k = found.n, _sign_rank(found.n, confidence)
    median = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    if not k:
        return Interval(median, -math.inf, math.inf, n)
    moved = _t_quantile(n - 1, confidence) * shared_error
    return Interval(median, min(found.low, ordered[k - 1] - moved), max(found.high, ordered[n - k] + moved), n)


@lru_cache
def _sign_rank(n: int, confidence: float) -> int:
    """Largest k with P(Binomial(n, 1/2) < k) <= (1 - confidence) / 2; 0 if there is none."""
    below, k = 0.0, 0
    while k < n and below + math.comb(n, k) / 2**n <= (1 - confidence) / 2:
        below += math.comb(n, k) / 2**n
        k += 1
    return k


@lru_cache
def _t_quantile(freedom: int, confidence: float) -> float:
    return float(stdtrit(freedom, (1 + confidence) / 2))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} must lie between 0 and 1, for example 0.95")


def _check_errors(**errors: float) -> None:
    for name, value in errors.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name}={value} must be a finite number of at least 0")


def proportion_interval(successes: Values, *, confidence: float = 0.95) -> Interval:
    """Share of ones among values that are 0 or 1, with the exact interval of Clopper and Pearson.

    Not Wilson's interval: that one has the right coverage only on average over shares, and is too short just where our
    claims live, at shares near 0 or 1 and few runs. The exact interval is wider than needed, never too short.

    ASSUME: the runs are independent trials of one probability. Runs that share a seed or neighbour on a grid of
    learning rates are not quite, so the true interval is wider.

    Args:
        successes: 0 or 1 (False or True) per run.
        confidence: smallest probability with which the interval covers the true share.
    Raises: ValueError for a value other than 0 and 1, or a confidence outside (0, 1).
    Source: Clopper and Pearson 1934; Brown, Cai and DasGupta 2001 on Wilson's.

    >>> interval = proportion_interval([1] * 10)
    >>> interval.mean, round(interval.low, 3), interval.high
    (1.0, 0.692, 1.0)
    """
    _check_confidence(confidence)
    numbers = finite(successes)
    if bad := {label: value for label, value in numbers.items() if value not in (0, 1)}:
        raise ValueError(f"{', '.join(f'{_named(k)} has {v:g}' for k, v in bad.items())}: a success is 1, a failure 0")
    n, k = len(numbers), int(sum(numbers.values()))
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))
    return Interval(k / n, low, high, n)


def value_range(values: Values) -> Interval:
    """Mean, smallest and largest of exact values, which depend on no seed.

    Args:
        values: one number per case.
    Raises: ValueError if a value is missing or not finite.
    """
    numbers = list(finite(values).values())
    return Interval(math.fsum(numbers) / len(numbers), min(numbers), max(numbers), len(numbers))


def paired_differences(
    first: Labelled, second: Labelled, *, names: tuple[str, str] = ("first", "second")
) -> dict[Hashable, float]:
    """`first` minus `second` for each seed. Pairing removes what the seeds share: initial weights and data order.

    Args:
        first: one number per seed, by seed.
        second: the numbers subtracted, for the same seeds.
        names: what the two are called in errors.
    Raises: ValueError if a seed lacks its partner (the seeds are named) or a value is not finite.

    >>> paired_differences({0: 3.0, 1: 5.0}, {1: 4.5, 0: 2.0})
    {0: 1.0, 1: 0.5}
    """
    left, right = finite(first), finite(second)
    lonely = [
        f"{', '.join(_named(label) for label in have if label not in lack)} of {name!r} has no partner in {other!r}"
        for name, have, other, lack in ((names[0], left, names[1], right), (names[1], right, names[0], left))
        if have.keys() - lack.keys()
    ]
    if lonely:
        raise ValueError(f"{'; '.join(lonely)}: pair runs that share their seed, train the missing ones")
    return {label: value - right[label] for label, value in left.items()}


def log_log_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Exponent b of the power law y = a x**b, fitted by least squares on the logarithms.

    Args:
        x: positive numbers, at least two different ones.
        y: positive numbers, as many.
    Raises: ValueError if lengths differ, a number is not positive and finite, or all x are equal.

    >>> round(log_log_slope([1, 2, 4], [3, 12, 48]), 12)
    2.0
    """
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} numbers and y has {len(y)}: a slope needs pairs")
    for name, numbers in (("x", x), ("y", y)):
        if bad := [float(number) for number in numbers if not (math.isfinite(number) and number > 0)]:
            raise ValueError(f"{name} contains {bad[0]}: a logarithm needs positive finite numbers")
    u, v = np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float))
    if len(set(u)) < 2:
        raise ValueError(f"x={list(x)}: a slope needs at least two different numbers")
    u = u - u.mean()
    return float(u @ v / (u @ u))


def log_log_slopes(x: Sequence[float], curves: Mapping[Hashable, Sequence[float]]) -> dict[Hashable, float]:
    """Log-log slope of each seed's curve; `t_interval` of these is the interval of the exponent.

    One fit per seed, then an interval over the fits: points of one seed share its luck, so an interval from the
    residuals of one pooled fit would be too short.

    Args:
        x: the positive numbers at which every curve is known, for example learning rates.
        curves: by seed, one positive number for each x.
    Raises: ValueError that names the seed if a curve cannot be fitted.

    >>> slopes = log_log_slopes([1, 10], {0: [1, 100], 1: [1, 1000]})
    >>> {seed: round(slope, 12) for seed, slope in slopes.items()}
    {0: 2.0, 1: 3.0}
    """
    slopes = {}
    for label, y in curves.items():
        try:
            slopes[label] = log_log_slope(x, y)
        except ValueError as error:
            raise ValueError(f"{_named(label)}: {error}") from None
    return slopes
