"""The gradient's place in the spectrum."""

import numpy as np
import pytest

from common.curvature.alignment import alignment
from common.curvature.lanczos import extremes
from common.curvature.operators import Dense, Hessian
from tests.curvature.cases import case, dense


def test_against_the_dense_hessian():
    objective = case("mlp-cross-entropy")
    operator, gradient = Hessian(objective), objective.gradient()
    found = alignment(operator, gradient, extremes(operator, largest=3, tolerance=1e-8).largest)
    matrix = dense(objective)
    values, vectors = np.linalg.eigh(matrix)
    square = gradient @ gradient
    assert found.curvature == pytest.approx(gradient @ matrix @ gradient / square, rel=1e-10)
    assert found.quotient == pytest.approx(found.curvature / values[-1], rel=1e-8)
    assert found.shares == pytest.approx((gradient @ vectors[:, :-4:-1]) ** 2 / square, abs=1e-6)
    assert 0 < found.share < 1


def test_an_eigenvector_and_nothing():
    operator = Dense(np.diag([3.0, 1.0, 0.0]))
    pairs = extremes(operator).largest
    before = operator.products
    found = alignment(operator, np.array([-2.0, 0.0, 0.0]), pairs)
    assert operator.products == before + 1
    assert (found.quotient, found.share) == pytest.approx((1, 1))
    still = alignment(operator, np.zeros(3), pairs)
    assert np.isnan([still.curvature, still.quotient, still.share]).all()
