"""Decay shapes against their textbook forms, and what all of them have in common."""

import itertools
import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import WSD, DecayShape, Infinite, chosen
from common.optim import decays

SHAPES = {word: getattr(decays, word) for word in get_args(DecayShape)}


def fallen(shape, floor, steps):
    """Factors of a decay of some updates."""
    return [SHAPES[shape]((i + 1) / steps, floor) for i in range(steps)]


@pytest.mark.parametrize(
    ("shape", "twin"),
    {
        "linear": lambda u, floor: 1 - (1 - floor) * u,
        "cosine": lambda u, floor: 1 - (1 - floor) * math.sin(math.pi * u / 2) ** 2,
        "sqrt": lambda u, floor: 1 - (1 - floor) * u**0.5,
        "inverse": lambda u, floor: 1 / (u / floor + (1 - u)),
        "exponential": lambda u, floor: math.exp(u * math.log(floor)),
        "square": lambda u, floor: 1 - (1 - floor) * u**2,
        "inverse_sqrt": lambda u, floor: 1 - (1 - floor) * ((1 + 10 * u) ** -0.5 - 1) / (11**-0.5 - 1),
    }.items(),
)
def test_against_the_textbook_form(shape, twin):
    for j in range(1, 101):
        for floor in (0.001, 0.1, 0.55, 1.0):
            assert SHAPES[shape](j / 100, floor) == pytest.approx(twin(j / 100, floor), rel=1e-12)


def test_inverse_decay_by_hand():
    assert [round(1 / factor, 9) for factor in fallen("inverse", 0.1, 3)] == [4.0, 7.0, 10.0]


def test_inverse_decay_is_linear_in_one_over_the_rate():
    inverse = [1 / factor for factor in fallen("inverse", 0.02, 50)]
    assert [b - a for a, b in itertools.pairwise(inverse)] == pytest.approx([49 / 50] * 49, rel=1e-11)


def test_inverse_decay_is_the_optimum_of_one_hill_mode():
    """eta = lam V/(lam**2 V + sigma**2) minimises the next variance; then 1/eta grows by lam at each update."""
    lam, sigma, steps = 50.0, 10.0, 20
    variance, best = 0.02 * sigma**2 / (lam * (1 - 0.02 * lam * 0.5)), []
    for _ in range(steps):
        eta = lam * variance / (lam**2 * variance + sigma**2)
        variance = (1 - eta * lam) ** 2 * variance + eta**2 * sigma**2
        best.append(eta)
    peak = 1 / (1 / best[0] - lam)
    factors = fallen("inverse", best[-1] / peak, steps)
    assert [peak * factor for factor in factors] == pytest.approx(best, rel=1e-10)


@given(shape=st.sampled_from(sorted(SHAPES)), floor=st.floats(1e-6, 1), steps=st.integers(1, 300))
def test_a_decay_falls_never_rises_stays_in_its_interval_and_ends_exactly_at_its_floor(shape, floor, steps):
    factors = fallen(shape, floor, steps)
    assert factors[-1] == floor
    assert all(floor <= after <= before <= 1 for before, after in zip([1.0, *factors], factors, strict=False))


@given(shape=st.sampled_from(["linear", "cosine", "sqrt", "square", "inverse_sqrt"]), steps=st.integers(1, 300))
def test_a_decay_may_end_at_zero(shape, steps):
    factors = fallen(shape, 0.0, steps)
    assert factors[-1] == 0.0
    assert min(factors[:-1], default=1) > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_a_word_in_a_description_chooses_the_function_of_its_name(shape):
    assert chosen(WSD(decay_steps=2, decay_shape=shape), "decay_shape") is SHAPES[shape]
    infinite = Infinite(cooldown_steps=1, level=0.5, decay_steps=1, cooldown_shape=shape)
    assert chosen(infinite, "cooldown_shape") is SHAPES[shape]
