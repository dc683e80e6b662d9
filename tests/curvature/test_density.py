"""Stochastic Lanczos quadrature: moments, mass and shape of known spectra."""

import numpy as np
import pytest

from common.curvature.density import density
from common.curvature.operators import Dense, Hessian
from tests.curvature.cases import case, dense


@pytest.mark.parametrize("name", ["mlp-cross-entropy", "transformer"])
def test_mass_and_mean_of_a_hessian(name):
    objective = case(name)
    true = np.linalg.eigvalsh(dense(objective))
    with objective.cached_graphs():
        measured = density(Hessian(objective), steps=12, draws=60)
    assert measured.products == 12 * 60
    for power in (0, 1, 2, 3):
        moments = measured.moments(power)
        error = moments.std(ddof=1) / np.sqrt(60) + 1e-12
        assert abs(moments.mean() - np.mean(true**power)) < 4 * error
    assert measured.moments(0) == pytest.approx(np.ones(60), rel=1e-12)


def test_each_draw_is_a_gauss_rule():
    """With m steps moments to 2m - 1 are those of the start vector: here of a start that sees all eigenvalues alike."""
    true = np.linspace(-1, 2, 500)
    measured = density(Dense(np.diag(true)), steps=5, draws=1, seed=3)
    fine = density(Dense(np.diag(true)), steps=40, draws=1, seed=3)
    for power in range(10):
        assert measured.moments(power) == pytest.approx(fine.moments(power), rel=1e-10)
    assert measured.moments(12) != pytest.approx(fine.moments(12), rel=1e-6)


def test_the_density_of_a_known_spectrum():
    """A semicircle of 900 eigenvalues and 100 at 3: heights, mass and the share of the outlier."""
    quantiles = (np.arange(900) + 0.5) / 900
    fine = np.linspace(-1, 1, 20001)
    law = np.cumsum(np.sqrt(1 - fine**2))
    values = np.append(np.interp(quantiles, law / law[-1], fine), np.full(100, 3.0))
    measured = density(Dense(np.diag(values)), steps=60, draws=20)
    width = 0.1
    grid = measured.grid(width=width, points=2000)
    smoothed = measured.smoothed(grid, width=width)
    kernel = np.exp(-0.5 * ((grid[:, None] - values) / width) ** 2).mean(1) / (width * np.sqrt(2 * np.pi))
    assert np.trapezoid(smoothed, grid) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(np.abs(smoothed - kernel), grid) < 0.05
    above = grid > 2
    assert np.trapezoid(smoothed[above], grid[above]) == pytest.approx(0.1, abs=0.01)


def test_few_eigenvalues_end_a_draw_early():
    measured = density(Dense(np.diag([1.0] * 10 + [4.0] * 5)), steps=10, draws=3)
    assert [len(nodes) for nodes in measured.nodes] == [2, 2, 2]
    assert measured.products == 6
    assert measured.nodes[0] == pytest.approx([1, 4])
    zero = density(Dense(np.zeros((5, 5))), steps=3, draws=2)
    assert zero.moments(1).tolist() == [0, 0]


def test_progress_and_seeds():
    calls = []
    operator = Dense(np.diag(np.arange(20.0)))
    one = density(operator, steps=4, draws=2, progress=lambda done, _: calls.append(done))
    two = density(operator, steps=4, draws=2)
    assert calls == list(range(1, 9))
    assert all(np.array_equal(a, b) for a, b in zip(one.nodes, two.nodes, strict=True))
    assert not np.array_equal(one.nodes[0], density(operator, steps=4, draws=2, seed=1).nodes[0])


def test_errors():
    operator = Dense(np.eye(3))
    with pytest.raises(ValueError, match="steps=0"):
        density(operator, steps=0)
    with pytest.raises(ValueError, match="width=0"):
        density(operator).smoothed(np.zeros(2), width=0)
