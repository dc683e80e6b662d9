"""The trace: right on average, with an error that says how right, and exact where it must be."""

import numpy as np
import pytest

from common.curvature.operators import Dense, Hessian
from common.curvature.trace import hutch_plus_plus, hutchinson
from tests.curvature.cases import case, dense


def rotated(values, seed=0):
    vectors, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))
    return Dense(vectors @ np.diag(values) @ vectors.T)


@pytest.mark.parametrize(
    "estimate", [lambda a, s: hutchinson(a, draws=60, seed=s), lambda a, s: hutch_plus_plus(a, products=60, seed=s)]
)
def test_errors_are_standard_errors(estimate):
    """Of 200 estimates about two in three lie within one error, and nearly all within three."""
    operator = rotated(1 / np.arange(1.0, 101))
    true = operator.matrix.trace()
    found = [estimate(operator, seed) for seed in range(200)]
    ratios = np.abs([(one.value - true) / one.error for one in found])
    assert 0.55 < np.mean(ratios < 1) < 0.8
    assert np.mean(ratios < 3) > 0.97
    assert abs(np.mean([one.value for one in found]) - true) < 4 * np.std([one.value for one in found]) / np.sqrt(200)
    assert {one.products for one in found} == {60}


def test_hutch_plus_plus_is_exact_for_low_rank():
    operator = rotated(np.append([5.0, -3.0, 1.0, 0.5], np.zeros(96)))
    found = hutch_plus_plus(operator, products=12)
    assert found.value == pytest.approx(3.5, rel=1e-10)
    assert found.error < 1e-10
    assert hutchinson(operator, draws=12).error > 0.1
    assert found.products == operator.products - 12 == 12


def test_hutch_plus_plus_beats_hutchinson_on_outliers():
    operator = rotated(np.append([100.0, 50.0, 20.0], np.full(200, 0.1)))
    assert hutch_plus_plus(operator, products=30).error < hutchinson(operator, draws=30).error / 20


def test_small_operators():
    found = hutch_plus_plus(Dense([[2.0, 1.0], [1.0, 5.0]]), products=30)
    assert found.value == pytest.approx(7.0, rel=1e-12)
    assert found.error < 1e-12
    assert found.products == 14
    assert hutch_plus_plus(Dense(np.zeros((9, 9))), products=6).value == 0


def test_the_trace_of_a_hessian_shares_forward_passes():
    objective = case("mlp-cross-entropy")
    calls = []
    found = hutchinson(Hessian(objective), draws=20, progress=lambda done, error: calls.append((done, error)))
    assert abs(found.value - dense(objective).trace()) < 4 * found.error
    assert objective.forwards == 3
    assert [done for done, _ in calls] == [8, 16, 20]
    assert calls[-1][1] == found.error
    assert found == hutchinson(Hessian(objective), draws=20)


def test_too_few_products():
    with pytest.raises(ValueError, match="draws=1"):
        hutchinson(Dense(np.eye(2)), draws=1)
    with pytest.raises(ValueError, match="products=5"):
        hutch_plus_plus(Dense(np.eye(2)), products=5)
