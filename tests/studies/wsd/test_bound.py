"""The convex bound against its published double sum, closed forms, known numbers, and a problem that it bounds."""

import math

import numpy as np
import pytest

from common.config import WSD, WSDS, Cosine
from common.optim.schedules import rates
from studies.wsd.bound import REFERENCES, bound, bound_curve, decayed, reference_cases


def published(factors):
    """The bound for D = G = 1 as published: a double sum over the learning rates."""
    total = (1 + sum(factor**2 for factor in factors)) / (2 * sum(factors))
    for k in range(len(factors) - 1):
        later, onwards = sum(factors[k + 1 :]), sum(factors[k:])
        total += 0.5 * factors[k] / later * sum(factor**2 for factor in factors[k:]) / onwards
    return total


SCHEDULES = {
    "one update": [0.7],
    "constant": [1.0] * 30,
    "warm-up and cosine": rates(Cosine(warmup_steps=5), steps=30, lr=1.0),
    "wsd": rates(WSD(warmup_steps=3, decay_steps=9, decay_shape="inverse"), steps=30, lr=1.0),
    "wsd_s": rates(WSDS(decay_ends=(12, 30), decay_steps=4), steps=30, lr=1.0),
    "rising and falling": np.random.default_rng(0).uniform(0.1, 2, size=30).tolist(),
}


@pytest.mark.parametrize("factors", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("base", [0.03, 0.4])
def test_equals_the_double_sum(factors, base):
    expected = published([base * factor for factor in factors])
    assert bound(factors).value(base) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("factors", SCHEDULES.values(), ids=SCHEDULES)
def test_the_curve_is_the_bound_of_each_schedule_cut_off(factors):
    expected = [bound(factors[:t]).value(0.2) for t in range(1, len(factors) + 1)]
    assert bound_curve(factors, base=0.2) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("factors", SCHEDULES.values(), ids=SCHEDULES)
def test_no_base_rate_is_better_than_the_best_one(factors):
    found = bound(factors)
    assert found.value(found.best_base) == pytest.approx(found.best_value, rel=1e-12)
    assert all(found.value(scale * found.best_base) > found.best_value for scale in (0.9, 1.1))


@pytest.mark.parametrize("steps", [1, 2, 400])
def test_a_constant_rate_has_a_closed_form(steps):
    harmonic = sum(1 / k for k in range(1, steps))
    assert bound([1.0] * steps).best_value == pytest.approx(math.sqrt((1 + harmonic) / steps), rel=1e-12)


def test_the_scale_of_the_factors_does_not_matter():
    factors = np.array(SCHEDULES["wsd"])
    assert bound(3 * factors).best_value == pytest.approx(bound(factors).best_value, rel=1e-12)
    assert bound(3 * factors).best_base == pytest.approx(bound(factors).best_base / 3, rel=1e-12)


def test_decays_begin_at_the_peak_and_end_before_zero():
    linear = [1 - j / 40 for j in range(40)]
    assert decayed(steps=100, decay_steps=40) == pytest.approx([1.0] * 60 + linear, abs=1e-15)
    cosine = [(1 + math.cos(math.pi * t / 100)) / 2 for t in range(100)]
    assert decayed(steps=100, decay_steps=100, shape="cosine") == pytest.approx(cosine, abs=1e-15)
    assert sum(linear) == pytest.approx(20.5)


@pytest.mark.parametrize("case", reference_cases(), ids=lambda case: case.name)
def test_known_numbers(case):
    digits = 5 if case.name == "constant" else 4
    assert case.value == pytest.approx(case.reference, abs=0.5 * 10**-digits)


def test_a_shift_by_one_update_would_be_noticed():
    shifted = bound([1.0] * 360 + [1 - (j + 1) / 41 for j in range(40)]).best_value
    assert shifted == pytest.approx(0.1159, abs=5e-5)
    assert abs(shifted - REFERENCES["linear decay, last 10 %"]) > 1e-4


@pytest.mark.parametrize("steps", [200, 400, 800])
def test_the_cosine_wants_almost_twice_the_rate_of_wsd(steps):
    cosine = bound(decayed(steps=steps, decay_steps=steps, shape="cosine")).best_base
    assert 1.895 < cosine / bound(decayed(steps=steps, decay_steps=steps // 5)).best_base < 1.915


@pytest.mark.parametrize("factors", [[], [1.0, 0.5, 0.0], [1.0, -1.0], [float("nan")]])
def test_refuses_rates_that_are_not_positive(factors):
    with pytest.raises(ValueError, match="must be positive"):
        bound(factors)
    with pytest.raises(ValueError, match="must be positive"):
        bound_curve(factors, base=1.0)


class Toy:
    """f(w) = max_i |x_i w - y_i| in two dimensions with a solution of norm 5: 20 points, no noise, start at 0.

    Schaipp et al. 2025 (arXiv:2501.18965), section 4.
    """

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.x = rng.uniform(-1, 1, size=(20, 2))
        direction = rng.normal(size=2)
        self.solution = 5 * direction / np.linalg.norm(direction)
        self.steepest = np.linalg.norm(self.x, axis=1).max()

    def losses(self, rates):
        """Loss before each update of the subgradient method."""
        w, found = np.zeros(2), []
        for rate in rates:
            residual = self.x @ (w - self.solution)
            worst = np.abs(residual).argmax()
            found.append(abs(residual[worst]))
            w = w - rate * np.sign(residual[worst]) * self.x[worst]
        return np.array(found)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("decay_steps", "shape", "rate"), [(0, "linear", 0.02), (80, "linear", 0.02), (400, "cosine", 0.04)]
)
def test_bounds_a_convex_problem_at_every_update(seed, decay_steps, shape, rate):
    toy = Toy(seed)
    factors = decayed(steps=400, decay_steps=decay_steps, shape=shape)
    curve = 5 * toy.steepest * bound_curve(factors, base=rate * toy.steepest / 5)
    losses = toy.losses(rate * factors)
    assert (losses <= curve).all()
    assert losses[-1] < 0.1 * losses[0]
