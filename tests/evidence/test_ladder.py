"""A ladder against known laws, a slow twin and simulation; errors that name the rung."""

import math

import numpy as np
import pytest

from common.evidence.ladder import Published, count, fit, sentence
from common.evidence.statistics import t_interval

SIZES = (25_000, 50_000, 100_000, 200_000, 400_000)

LAWS = {
    "constant": lambda t: 1.0 + 0 * t,
    "rising line": lambda t: 1.0 + 0.5 * t,
    "falling line": lambda t: 1.0 - 0.3 * t,
    "slow growth": lambda t: np.exp(0.13 * t),
    "fast growth": lambda t: np.exp(0.5 * t),
    "dying out": lambda t: np.exp(-0.3 * t),
    "towards a constant": lambda t: 0.3 + 0.7 * np.exp(-0.5 * t),
    "towards the other sign": lambda t: -1.0 + 2.0 * np.exp(-0.3 * t),
}
"""Effects by log(N / smallest rung)."""


def ladder(law, *, sizes=SIZES[:3], seeds=2, noise=0.0, shared=0.0, rng=None):
    """A ladder of a law, with noise of each number and of each seed."""
    truth = law(np.log(np.array(sizes) / sizes[0]))
    rng = rng or np.random.default_rng(0)
    table = truth + noise * rng.standard_normal((seeds, len(sizes))) + shared * rng.standard_normal((seeds, 1))
    return fit({size: table[:, i] for i, size in enumerate(sizes)})


def truth(law, size):
    return float(law(np.log(size / SIZES[0])))


# Laws without noise


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("times", [1, 10, 1000])
def test_without_noise_the_interval_holds_every_law(law, times):
    found = ladder(LAWS[law]).at(times * SIZES[2])
    expected = truth(LAWS[law], times * SIZES[2])
    tiny = 1e-6 * max(1, abs(expected))
    assert found.low - tiny <= expected <= found.high + tiny
    assert found.low <= found.mean <= found.high and found.n == 2


def test_a_line_by_hand():
    line = fit({1e4: [0.1, 0.3], 1e5: [0.2, 0.4], 1e6: [0.3, 0.5]})
    assert (line.slope.mean, line.slope.low, line.slope.high) == pytest.approx((0.1, 0.1, 0.1))
    far = line.at(1e8)
    assert far.mean == pytest.approx(0.6)
    still, grown = t_interval([0.3, 0.5]), t_interval([0.5, 0.7])
    assert far.low <= min(still.low, grown.low) and far.high >= max(still.high, grown.high)
    assert line.reach == 1e7 and line.largest == 1e6
    assert [rung.mean for rung in line.rungs] == pytest.approx([0.2, 0.3, 0.4])


def test_an_exponent_by_hand():
    power = fit({1e4: [1, 2], 1e6: [10, 20], 1e8: [100, 200]})
    assert power.exponent.mean == pytest.approx(0.5)
    assert fit({1e4: [-1, -2], 1e6: [-10, -20], 1e8: [-100, -200]}).exponent.mean == pytest.approx(0.5)
    assert fit({1e4: [-1, 2], 1e6: [10, 20], 1e8: [100, 200]}).exponent is None
    assert fit({1e4: [0, 2], 1e6: [10, 20], 1e8: [100, 200]}).exponent is None


def test_among_the_rungs_it_is_the_rungs_that_speak():
    bent = ladder(lambda t: 1.0 + (t - 0.7) ** 2, noise=0.01, seeds=4)
    for size, rung in zip(bent.parameters, bent.rungs, strict=True):
        here = bent.at(size)
        assert here.low <= rung.low and rung.high <= here.high


# Against a slow twin


def twin(table, sizes, size):
    """The joined interval, law by law and seed by seed."""
    x = np.log(np.array(sizes))
    still = t_interval([row[-1] for row in table])
    line = t_interval([np.polyval(np.polyfit(x, row, 1), np.log(size)) for row in table])
    low, high, means = min(still.low, line.low), max(still.high, line.high), []
    for power in np.linspace(0, 0.5, 51):
        shape = np.array(sizes) ** power
        factors = [np.linalg.lstsq(shape[:, None], row, rcond=None)[0][0] for row in table]
        other = shape * x - np.linalg.lstsq(shape[:, None], shape * x, rcond=None)[0] * shape
        about = t_interval([(row - a * shape) @ other for row, a in zip(table, factors, strict=True)])
        means.append(about.mean)
        if about.low <= 0 <= about.high:
            grown = t_interval([a * size**power for a in factors])
            low, high = min(low, grown.low), max(high, grown.high)
    assert np.all(np.sign(means) == np.sign(means[0])), "the twin knows no best power between two"
    return line.mean, low, high


@pytest.mark.parametrize(("seeds", "noise", "slope"), [(3, 0.5, 0.1), (5, 0.2, -0.6), (4, 0.02, 1.5), (2, 0.1, -0.2)])
def test_equals_its_slow_twin(seeds, noise, slope):
    sizes = SIZES[:4]
    x = np.log(np.array(sizes) / sizes[0])
    table = 1 + slope * x + noise * np.random.default_rng(seeds).standard_normal((seeds, 4))
    found = fit({size: table[:, i] for i, size in enumerate(sizes)})
    for size in (4e5, 4e6, 2e8):
        here = found.at(size)
        assert (here.mean, here.low, here.high) == pytest.approx(twin(table, sizes, size), rel=1e-9)


# Simulated


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("seeds", "rungs", "noise"), [(3, 3, 0.1), (5, 3, 0.03), (3, 5, 0.5), (5, 5, 0.1)])
def test_the_extrapolated_interval_covers_the_law(law, seeds, rungs, noise):
    """At ten and at a thousand times the largest rung; by construction at least 90 %, 95 % where nothing grows."""
    rng = np.random.default_rng([seeds, rungs, len(law)])
    sizes, hits = SIZES[:rungs], []
    for _ in range(60):
        found = ladder(LAWS[law], sizes=sizes, seeds=seeds, noise=noise, shared=0.7 * noise, rng=rng)
        for far in (10 * sizes[-1], 1000 * sizes[-1]):
            here = found.at(far)
            hits.append(here.low <= truth(LAWS[law], far) <= here.high)
    assert np.mean(hits) >= 0.9


def test_what_seeds_share_does_not_widen_the_slope():
    apart = ladder(LAWS["rising line"], seeds=5, noise=0.01)
    shared = ladder(LAWS["rising line"], seeds=5, noise=0.01, shared=10.0)
    assert shared.slope.high - shared.slope.low == pytest.approx(apart.slope.high - apart.slope.low, rel=1e-6)
    assert shared.rungs[0].high - shared.rungs[0].low > 100 * (apart.rungs[0].high - apart.rungs[0].low)


def test_the_unit_and_the_sign_of_an_effect_do_not_matter():
    rng = np.random.default_rng(4)
    table = 1 + 0.2 * rng.standard_normal((3, 3))
    one, other = (fit({size: f * table[:, i] for i, size in enumerate(SIZES[:3])}) for f in (1, -1000))
    for size in (3e4, 1e6, 1e9):
        here, there = one.at(size), other.at(size)
        assert (there.mean, there.low, there.high) == pytest.approx(
            (-1000 * here.mean, -1000 * here.high, -1000 * here.low)
        )


# What it says


def test_a_direction_holds_up_to_where_the_interval_meets_the_null_value():
    found = ladder(LAWS["falling line"], seeds=3, noise=0.01)
    held = found.holds_to()
    assert held is not None and found.reach > held > found.largest
    assert found.at(held).low > 0 >= found.at(1.002 * held).low
    assert found.holds_to(found.rungs[-1].mean) is None
    assert found.holds_to(-100.0) == pytest.approx(1000 * found.largest)
    assert found.holds_to(-100.0, limit=5e6) == pytest.approx(5e6)
    assert found.holds_to(limit=1.0) == found.largest


def test_a_published_size_agrees_differs_or_is_unclear():
    firm = ladder(LAWS["constant"], seeds=5, noise=0.01)
    vague = ladder(LAWS["constant"], seeds=3, noise=0.5)
    assert firm.compare(Published(1.0, parameters=1e6)) == "agrees"
    assert firm.compare(Published(1.0, parameters=1e6), null=1.0) == "unclear"
    assert firm.compare(Published(9.0, parameters=1e6)) == "does not"
    assert vague.compare(Published(1.0, parameters=1e6)) == "unclear"
    assert vague.compare(Published(1.0, parameters=1e9)) == "unclear"


def test_the_sentence():
    firm, vague = (ladder(LAWS["constant"], seeds=5, noise=noise) for noise in (0.001, 3.0))
    assert sentence(firm) == "direction holds beyond 100M"
    assert sentence(firm, published=Published(5.0, parameters=1e6)).endswith("100M, size does not agree at 1M")
    far = sentence(firm, published=Published(1.0, parameters=7e8))
    assert far.startswith("direction holds ") and far.endswith(", size agrees at 700M (no verdict)")
    assert sentence(vague) == "no direction at 100k"
    assert sentence(firm, null=1.0) == "no direction at 100k"
    assert "holds to " in sentence(ladder(LAWS["falling line"], seeds=3, noise=0.01))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [(999.4, "999"), (1e3, "1k"), (9_960, "10k"), (9_940, "9.9k"), (999_600, "1M"), (1_234_567, "1.2M"), (7e10, "70G")],
)
def test_sizes_for_readers(parameters, words):
    assert count(parameters) == words


def test_one_seed_has_no_interval_and_no_direction():
    lonely = fit({size: {7: 1.0 + i} for i, size in enumerate(SIZES[:3])})
    here = lonely.at(1e6)
    assert (here.low, here.high, here.n) == (-math.inf, math.inf, 1)
    assert lonely.holds_to() is None and lonely.seeds == (7,)
    assert lonely.compare(Published(1.0, parameters=1e6)) == "unclear"


# Errors

FINE = {1e4: {0: 1.0, 1: 2.0}, 1e5: {0: 1.0, 1: 2.0}, 1e6: {0: 1.0, 1: 2.0}}


@pytest.mark.parametrize(
    ("effects", "words"),
    [
        ({}, "rungs=none: a trend needs at least 3 sizes"),
        ({1e4: [1.0], 1e5: [1.0]}, "rungs=10000, 100000: a trend needs at least 3 sizes, .* train another"),
        (FINE | {0.0: [1.0]}, "parameters=0.0 of a rung must be positive and finite"),
        (FINE | {math.nan: [1.0]}, "parameters=nan of a rung must be positive"),
        (FINE | {1e5: {0: 1.0, 2: 2.0}}, r"seeds=\['1', '2'\] are not at both rungs 10000 and 100000: .* train"),
        (FINE | {1e5: {0: 1.0, 1: math.nan}}, "rung of 100000 parameters: seed 1 has nan"),
        (FINE | {1e5: {}}, "rung of 100000 parameters: there are no values"),
    ],
)
def test_an_error_names_the_rung(effects, words):
    with pytest.raises(ValueError, match=words):
        fit(effects)


def test_a_size_below_the_ladder_and_a_wrong_confidence_are_refused():
    with pytest.raises(ValueError, match="parameters=9999 must be a finite size of at least the smallest rung's 10000"):
        fit(FINE).at(9999)
    with pytest.raises(ValueError, match="parameters=inf must be a finite size"):
        fit(FINE).at(math.inf)
    with pytest.raises(ValueError, match="confidence=95 must lie between 0 and 1"):
        fit(FINE, confidence=95).at(1e6)
