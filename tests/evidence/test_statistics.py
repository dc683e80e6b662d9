"""Intervals against closed forms, slow twins and simulation; errors that name the seed."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from common.evidence.statistics import (
    finite,
    log_log_slope,
    log_log_slopes,
    paired_differences,
    proportion_interval,
    ratio_interval,
    t_interval,
    typical_interval,
)

STUDIES = 2000


@pytest.mark.parametrize("n", [2, 3, 5, 8])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.995])
def test_t_interval_equals_scipy(n, confidence):
    values = np.random.default_rng(n).normal(3.0, 0.1, n)
    interval = t_interval(values, confidence=confidence)
    low, high = scipy.stats.t.interval(confidence, n - 1, values.mean(), scipy.stats.sem(values))
    np.testing.assert_allclose([interval.mean, interval.low, interval.high], [values.mean(), low, high], rtol=1e-12)
    assert interval.n == n


@pytest.mark.parametrize("n", [3, 5, 8])
@pytest.mark.parametrize("confidence", [0.95, 1 - 0.05 / 3])
def test_t_interval_covers_the_truth_as_often_as_it_says(n, confidence):
    draws = np.random.default_rng([n, 11]).normal(0.7, 0.02, (STUDIES, n))
    intervals = [t_interval(values, confidence=confidence) for values in draws]
    coverage = np.mean([interval.low <= 0.7 <= interval.high for interval in intervals])
    assert abs(coverage - confidence) < 0.02


def test_skewed_values_break_one_end_of_the_interval_but_their_differences_and_logarithms_do_not():
    first, second = np.random.default_rng(12).lognormal(0.0, 0.8, (2, STUDIES, 5))
    cases = {"difference": (first - second, 0.0), "logarithm": (np.log(first), 0.0), "raw": (first, math.exp(0.32))}
    below = {name: np.mean([t_interval(x).high < truth for x in draws]) for name, (draws, truth) in cases.items()}
    assert below["difference"] < 0.035 and below["logarithm"] < 0.035 < 0.1 < below["raw"]


def test_t_interval_of_one_value_is_unbounded():
    interval = t_interval([0.5])
    assert (interval.mean, interval.low, interval.high, interval.n) == (0.5, -math.inf, math.inf, 1)


def test_t_interval_of_equal_values_has_no_width():
    interval = t_interval([0.1] * 3)
    assert interval.low == interval.mean == interval.high == 0.1


def test_t_interval_does_not_depend_on_the_order_of_the_seeds():
    values = [0.1, 1e9, 0.3, -1e9, 0.7]
    assert t_interval(values) == t_interval(values[::-1])


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_a_missing_value_is_an_error_that_names_the_seed(bad, kind):
    with pytest.raises(ValueError, match=r"seed 7 has (nan|inf): .*not dropped silently"):
        t_interval(kind({3: 1.0, 7: bad, 9: 1.2}))


def test_a_missing_value_is_an_error_that_names_the_run():
    with pytest.raises(ValueError, match="run 'wsd-s1' has nan"):
        t_interval({"wsd-s0": 1.0, "wsd-s1": math.nan})


def test_no_values_and_repeated_seeds_are_errors():
    with pytest.raises(ValueError, match="no values"):
        t_interval([])
    with pytest.raises(ValueError, match="seed 2 occurs twice"):
        t_interval(pd.Series([1.0, 2.0], index=[2, 2]))


@pytest.mark.parametrize("confidence", [0, 1, 95])
@pytest.mark.parametrize("interval", [t_interval, proportion_interval])
def test_confidence_is_checked(interval, confidence):
    with pytest.raises(ValueError, match=f"confidence={confidence} must lie between"):
        interval([0, 1, 1], confidence=confidence)


def test_finite_keeps_labels_and_order():
    assert list(finite(pd.Series({5: 1, 2: 0}))) == [5, 2]
    assert finite((4, 5)) == {0: 4.0, 1: 5.0}


def test_proportion_interval_equals_scipy():
    for n in (1, 5, 20):
        for k in range(n + 1):
            interval = proportion_interval([1] * k + [0] * (n - k), confidence=0.9)
            exact = scipy.stats.binomtest(k, n).proportion_ci(0.9, method="exact")
            np.testing.assert_allclose([interval.low, interval.high], [exact.low, exact.high], atol=1e-9)
            assert interval.mean == k / n


def test_proportion_interval_never_covers_too_rarely():
    """Exact coverage by summing the binomial; Wilson's lower end fails the same check at the same shares."""
    for n in (5, 12, 30):
        counts = np.arange(n + 1)
        lows = [proportion_interval([1] * k + [0] * (n - k)).low for k in counts]
        wilson = [scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson").low for k in counts]
        shares = np.linspace(0.01, 0.99, 99)
        missed = np.array([scipy.stats.binom.pmf(counts, n, p) @ (np.array(lows) > p) for p in shares])
        missed_by_wilson = np.array([scipy.stats.binom.pmf(counts, n, p) @ (np.array(wilson) > p) for p in shares])
        assert missed.max() <= 0.025
        assert missed_by_wilson.max() > 0.04


def test_proportion_refuses_other_numbers():
    with pytest.raises(ValueError, match=r"run 'a' has 0\.5: a success is 1"):
        proportion_interval({"a": 0.5})


def test_pairs_are_matched_by_seed_not_by_position():
    first, second = pd.Series({1: 5.0, 0: 3.0}), pd.Series({0: 2.0, 1: 4.5})
    assert paired_differences(first, second) == {1: 0.5, 0: 1.0}


def test_seeds_without_partner_are_named_on_both_sides():
    with pytest.raises(ValueError, match="seed 1, seed 2 of 'wsd' has no partner in 'cosine'; seed 4 of 'cosine'"):
        paired_differences({0: 1.0, 1: 1.0, 2: 1.0}, {0: 1.0, 4: 1.0}, names=("wsd", "cosine"))


def test_pairing_removes_what_seeds_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 1.0, 5)
    first, second = shared + 0.1 + rng.normal(0, 0.01, 5), shared + rng.normal(0, 0.01, 5)
    paired = t_interval(paired_differences(dict(enumerate(first)), dict(enumerate(second))))
    assert paired.low > 0 and t_interval(first).low < second.mean()


def test_log_log_slope_equals_a_polynomial_fit():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0.1, 10, 12), rng.uniform(0.1, 10, 12)
    assert log_log_slope(x, y) == pytest.approx(np.polyfit(np.log(x), np.log(y), 1)[0], rel=1e-10)


@pytest.mark.parametrize(
    ("x", "y", "rule"),
    [
        ([1, 2], [1], "x has 2 numbers and y has 1"),
        ([1, 2], [1, 0], r"y contains 0\.0"),
        ([1, math.nan], [1, 2], "x contains nan"),
        ([3, 3], [1, 2], r"x=\[3, 3\]: a slope needs at least two different"),
        ([], [], r"x=\[\]: a slope needs at least two"),
    ],
)
def test_slope_errors_name_the_seed(x, y, rule):
    with pytest.raises(ValueError, match=f"seed 4: {rule}"):
        log_log_slopes(x, {4: y})


def test_slope_interval_covers_the_exponent_where_one_pooled_fit_does_not():
    """What the points of a seed share makes intervals from pooled residuals too short, not those from per-seed fits."""
    rng = np.random.default_rng(2)
    x = np.array([1.0, 2.0, 4.0, 8.0])
    exponents = rng.normal(-1.0, 0.1, (500, 5))
    covered = pooled = 0
    for study in exponents:
        curves = {seed: x**b * np.exp(rng.normal(0, 0.01, 4)) for seed, b in enumerate(study)}
        interval = t_interval(log_log_slopes(x, curves))
        covered += interval.low <= -1 <= interval.high
        fit = scipy.stats.linregress(np.tile(np.log(x), 5), np.log(np.concatenate(list(curves.values()))))
        pooled += abs(fit.slope + 1) <= scipy.stats.t.ppf(0.975, 18) * fit.stderr
    assert covered / 500 == pytest.approx(0.95, abs=0.03)
    assert pooled / 500 < 0.9


def test_an_interval_of_the_median_bounds_it_and_is_no_shorter_than_that_of_the_mean():
    close = typical_interval([1.0, 1.01, 1.02, 1.03, 1.04, 9.0])
    assert close.mean == pytest.approx(1.025)
    assert (close.low, close.high) == (pytest.approx(t_interval([1.0, 1.01, 1.02, 1.03, 1.04, 9.0]).low), 9.0)
    wide = typical_interval([*range(20)])
    mean = t_interval([*range(20)])
    assert (wide.low, wide.high) == (min(5, mean.low), max(14, mean.high)), "the sixth smallest and largest of twenty"


@pytest.mark.parametrize("n", [2, 5])
def test_few_values_do_not_bound_a_median(n):
    found = typical_interval([*range(n)])
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_a_ratio_is_the_t_interval_of_the_logarithms():
    values = [1.2, 0.9, 1.5, 1.1]
    found, logs = ratio_interval(values), t_interval([math.log(value) for value in values])
    assert (found.mean, found.low, found.high) == pytest.approx(
        [math.exp(end) for end in (logs.mean, logs.low, logs.high)]
    )
    assert ratio_interval([2.0]).low == 0.0


def test_a_spread_and_an_error_in_common_only_widen():
    values = [1.0, 2.0, 3.0]
    plain = t_interval(values)
    assert t_interval(values, spread=0.5) == plain
    wider = t_interval(values, spread=2.0)
    assert wider.high - wider.mean == pytest.approx(2 * (plain.high - plain.mean))
    shared = t_interval(values, shared_error=1 / 3**0.5)
    assert shared.high - shared.mean == pytest.approx(2**0.5 * (plain.high - plain.mean))
    assert t_interval([1.0, 1.0], spread=1.0).low < 1.0, "equal values are no evidence of no error"
    with pytest.raises(ValueError, match="spread=-1 must be a finite number of at least 0"):
        t_interval(values, spread=-1)
