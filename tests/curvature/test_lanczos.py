"""Extreme eigenvalues: exact against dense matrices, bounds that hold, honest counts, and starts that save products."""

import numpy as np
import pytest
import torch

from common import models
from common.config import MLP, Digits
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective
from common.curvature.operators import Dense, Hessian, Operator, Scaled
from common.data import load
from common.data.losses import cross_entropy
from common.streams import stream
from tests.curvature.cases import CASES, case, classes, dense, generator, mlp


def rotated(values, source):
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    vectors, _ = np.linalg.qr(source.standard_normal((len(values), len(values))))
    return Dense(vectors @ np.diag(values) @ vectors.T)


SPECTRA = {
    "random": lambda n, draw: draw.standard_normal(n),
    "close": lambda n, draw: np.append([1.001, 1.0], draw.uniform(-1, 0.9, n))[:n],
    "indefinite": lambda n, draw: np.append([-5.0, 1.0], draw.uniform(-4, 0.9, n))[:n],
    "repeated": lambda n, draw: np.append([2.0, 2.0, 2.0], draw.uniform(-1, 1, n))[:n],
    "zero": lambda n, draw: np.zeros(n),
    "rank one": lambda n, draw: 3.0 * np.eye(n)[0],
    "negative": lambda n, draw: -draw.uniform(0.1, 1, n),
    "wide": lambda n, draw: 10.0 ** draw.uniform(-12, 3, n),
}


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_bounds_hold_and_the_ends_are_found(spectrum):
    """30 random cases of every kind, 240 in all; sizes 1 to 30, loose and tight, small and large bases."""
    for number in range(30):
        draw = stream(number, "cases", spectrum)
        size = int(draw.integers(1, 31))
        operator = rotated(SPECTRA[spectrum](size, draw), draw)
        true = np.linalg.eigvalsh(operator.matrix)
        largest, smallest = min(int(draw.integers(1, 4)), size), int(draw.integers(0, 2))
        tolerance = (1e-2, 1e-3, 1e-8)[number % 3]
        wanted = {"largest": largest, "smallest": smallest, "tolerance": tolerance, "floor": 1e-6}
        found = extremes(operator, **wanted, basis=(6, 8, 20)[number % 3], seed=number)
        values = np.append(found.largest.values, found.smallest.values)
        bounds = np.append(found.largest.bounds, found.smallest.bounds)
        vectors = np.hstack([found.largest.vectors, found.smallest.vectors])
        residuals = np.linalg.norm(operator.matrix @ vectors - values * vectors, axis=0)
        assert found.converged
        assert found.products == operator.products
        assert (np.abs(values[:, None] - true).min(1) <= bounds).all()
        assert (residuals <= bounds).all()
        ends = np.append(true[::-1][:largest], true[:smallest])
        enough = np.maximum(tolerance * np.abs(ends), 1e-6 * np.abs(true).max())
        assert (np.abs(values - ends) <= np.maximum(bounds, enough)).all()
        assert np.allclose(found.largest.vectors.T @ found.largest.vectors, np.eye(largest), atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_both_ends_of_a_hessian(name):
    objective = case(name)
    true = np.linalg.eigvalsh(dense(objective))
    with objective.cached_graphs():
        found = extremes(Hessian(objective), largest=3, smallest=1, tolerance=1e-6)
    assert found.converged
    assert found.largest.values == pytest.approx(true[::-1][:3], rel=1e-6)
    assert found.smallest.values == pytest.approx(true[:1], rel=1e-6)
    assert found.second == found.largest.values[1]
    assert objective.forwards == 1


@pytest.mark.parametrize("name", CASES)
def test_the_default_tolerance_gives_three_digits(name):
    objective = case(name)
    true = np.linalg.eigvalsh(dense(objective))
    found = extremes(Hessian(objective))
    assert found.converged
    assert found.bound <= 1e-3 * found.value + 1e-12
    assert found.value == pytest.approx(true[-1], rel=1e-3)
    assert abs(found.second - true[-2]) <= found.second_bound + abs(true[-2] - true[-3])


def test_float32_products_carry_their_own_bound():
    network = mlp(width=20, dtype=torch.float32)
    x, y = classes(count=40, dtype=torch.float32)
    single = extremes(Hessian(Objective(network, cross_entropy, [(x, y)])), tolerance=1e-6)
    exact = dense(Objective(network.double(), cross_entropy, [(x.double(), y)]))
    true = np.linalg.eigvalsh(exact)[-1]
    assert single.converged
    assert abs(single.value - true) <= single.bound < 1e-5 * true
    assert abs(single.value - true) > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("seed", range(3))
def test_coarse_arithmetic_never_says_converged_and_ends_soon(dtype, seed):
    """Its products are those of another matrix: the bound tells how far off it may be, and no more products help."""
    network, (inputs, targets) = mlp(seed=seed), classes()
    exact = extremes(Hessian(Objective(network, cross_entropy, [(inputs, targets)]))).value
    found = extremes(Hessian(Objective(network.to(dtype), cross_entropy, [(inputs.to(dtype), targets)])))
    assert not found.converged and found.products < 50
    assert abs(found.value - exact) <= found.bound


def test_coarse_arithmetic_converges_to_what_it_can_hold():
    inputs, targets = classes()
    objective = Objective(mlp(dtype=torch.bfloat16), cross_entropy, [(inputs.to(torch.bfloat16), targets)])
    assert extremes(Hessian(objective), tolerance=0.2).converged


def test_the_algebraic_top_is_returned_and_not_the_largest_in_size():
    values = np.append([-50.0, 2.0], np.linspace(-1, 1, 40))
    found = extremes(rotated(values, stream(0, "case")), smallest=1)
    assert found.value == pytest.approx(2.0, rel=1e-5)
    assert found.smallest.values[0] == pytest.approx(-50.0, rel=1e-5)


def test_several_starts_see_a_multiple_eigenvalue():
    operator = rotated(np.append([2.0, 2.0, 2.0], np.linspace(-1, 1.5, 60)), stream(1, "case"))
    assert extremes(operator, largest=4).largest.values == pytest.approx([2, 2, 2, 1.5], rel=1e-5)


def test_both_ends_share_one_basis():
    values = np.linspace(-1, 1, 200) ** 3
    operator = rotated(values, stream(2, "case"))
    top = extremes(operator).products
    bottom = extremes(Dense(-operator.matrix)).products
    assert extremes(operator, smallest=1).products < 0.75 * (top + bottom)


def test_products_are_counted_and_bounded_by_the_limit():
    operator = rotated(np.linspace(0, 1, 300), stream(3, "case"))
    calls = []
    found = extremes(operator, tolerance=1e-10, limit=17, progress=lambda done, bound: calls.append((done, bound)))
    assert not found.converged
    assert found.products == operator.products == 17
    assert [done for done, _ in calls] == list(range(1, 18))
    assert calls[-1][1] == found.bound
    true = np.linalg.eigvalsh(operator.matrix)
    assert np.abs(true - found.value).min() <= found.bound


@pytest.mark.parametrize("basis", [3, 5, 10, 40])
def test_a_small_basis_takes_longer_and_ends_at_the_same_value(basis):
    operator = rotated(np.linspace(-1, 1, 150) ** 3, stream(4, "case"))
    found = extremes(operator, tolerance=1e-6, basis=basis)
    assert found.converged
    assert found.value == pytest.approx(1.0, rel=1e-9)


def test_a_warm_start_needs_fewer_products_for_the_same_value():
    draw = stream(5, "case")
    operator = rotated(np.append([3.0, 2.8], np.linspace(-1, 2, 200)), draw)
    noise = draw.standard_normal(operator.matrix.shape) * 5e-4
    changed = Dense(operator.matrix + noise + noise.T)
    cold = extremes(changed)
    warm = extremes(changed, start=extremes(operator).start)
    assert warm.converged
    assert warm.value == pytest.approx(cold.value, rel=1e-5)
    assert warm.products <= cold.products / 2


def test_a_warm_start_follows_a_crossing():
    """The tracked second vector takes over when its eigenvalue passes the first."""
    vectors, _ = np.linalg.qr(stream(6, "case").standard_normal((100, 100)))

    def operator(first, second):
        return Dense(vectors @ np.diag([first, second, *np.linspace(-1, 1, 98)]) @ vectors.T)

    before = extremes(operator(3.0, 2.9), tolerance=1e-6)
    after = extremes(operator(2.9, 3.0), start=before.start)
    assert after.value == pytest.approx(3.0, rel=1e-6)
    assert abs(after.largest.vectors[:, 0] @ vectors[:, 1]) == pytest.approx(1, abs=1e-3)


def test_warm_starts_along_a_training():
    """Same values for at most half the products, on a network that gradient descent moves."""
    objective = Objective(mlp(width=20), cross_entropy, [classes(count=40)])
    operator, start, cold, warm = Hessian(objective), None, 0, 0
    for _ in range(10):
        first = extremes(operator, tolerance=1e-4)
        if start is not None:
            again = extremes(operator, start=start, tolerance=1e-4)
            assert again.converged
            assert again.value == pytest.approx(first.value, rel=1e-4)
            cold, warm = cold + first.products, warm + again.products
        start = first.start
        with torch.no_grad():
            parts = objective._split(0.05 * objective.gradient())
            for parameter, step in zip(objective.parameters, parts, strict=True):
                parameter.sub_(step)
    assert warm <= cold / 2


@pytest.mark.parametrize("spectrum", [name for name in SPECTRA if name != "zero"])
def test_a_warm_start_is_within_its_tolerance(spectrum):
    """30 small cases of every kind: the operator has turned a little, and the stop is decided by the error.

    Eigenvalues (nearly) equal before have vectors that the start cannot single out: they may drift apart by less than
    the tolerance only, and are asked for three digits. The vectors of a zero operator say nothing.
    """
    for number in range(30):
        draw = stream(number, "warm", spectrum)
        size = int(draw.integers(3, 31))
        operator = rotated(SPECTRA[spectrum](size, draw), draw)
        scale = np.abs(np.linalg.eigvalsh(operator.matrix)).max() or 1.0
        equal = spectrum in ("close", "repeated")
        noise = draw.standard_normal((size, size)) * scale * 10.0 ** draw.uniform(-8, -4.5 if equal else -2)
        changed = Dense(operator.matrix + noise + noise.T)
        tolerance = (1e-2, 1e-3, 1e-3 if equal else 1e-6)[number % 3]
        found = extremes(changed, start=extremes(operator, tolerance=tolerance).start, tolerance=tolerance)
        true = np.linalg.eigvalsh(changed.matrix)
        assert found.converged
        assert found.error <= found.bound
        assert np.abs(found.value - true).min() <= found.bound
        assert -1e-12 * scale <= true[-1] - found.value <= tolerance * abs(true[-1]) + 1e-12 * scale


@pytest.mark.parametrize("slip", [0.1, 0.02])
def test_a_start_near_the_old_top_finds_the_new_one(slip):
    """The start is the vector that has just become the second, with a little of everything else."""
    for number in range(20):
        draw = stream(number, "slip")
        operator = Diagonal(np.append([1.0, 0.7], draw.uniform(-0.5, 0.6, 300)))
        found = extremes(operator, start=np.eye(302)[:, [1]] + slip * draw.standard_normal((302, 1)))
        assert found.converged
        assert 1 - found.value <= 1e-3


def test_errors_are_small_and_hold():
    """Above the true error, up to what the gap's estimate leaves, and far below the bound where the gap is wide."""
    operator = Diagonal(np.append([1.0, 0.7], np.linspace(-0.5, 0.5, 500)))
    start = np.eye(502)[:, :2] + 0.02 * stream(0, "case").standard_normal((502, 2))
    for tolerance in (1e-2, 1e-3, 1e-4, 1e-6):
        found = extremes(operator, start=start, tolerance=tolerance)
        assert 1 - found.value <= found.error <= tolerance
        assert found.error < 0.2 * found.bound


HARD = {
    "pair": lambda draw: [1, 1 - 10 ** draw.uniform(-2.5, -1), *draw.uniform(0.1, 0.9, 8), *draw.normal(0, 0.05, 2000)],
    "cluster": lambda draw: [
        1,
        *(1 - draw.uniform(0, 0.05, 4)),
        *draw.uniform(0.1, 0.8, 8),
        *draw.normal(0, 0.05, 2000),
    ],
    "indefinite": lambda draw: [
        1,
        1 - 10 ** draw.uniform(-2, -0.3),
        *draw.uniform(-2, 0.8, 20),
        *draw.normal(0, 0.1, 2000),
    ],
}


@pytest.mark.parametrize("spectrum", HARD)
def test_a_random_start_tells_what_it_may_miss(spectrum):
    """80 hard spectra of each kind: values within the tolerance but for the share of `DOUBT`, for which errors alone
    are no substitute (the same random starts, told or not that they are random)."""
    cold, told = [], []
    for number in range(80):
        operator = Diagonal(np.array(HARD[spectrum](stream(number, "hard", spectrum))))
        cold.append(extremes(operator, seed=number))
        start = stream(number, "lanczos").standard_normal((operator.size, 1))
        told.append(extremes(operator, start=start, least=10))
    assert np.mean([1 - found.value > 1e-3 for found in cold]) <= 0.0125
    assert np.mean([1 - found.value > 1e-3 for found in told]) > 0.02
    assert sum(one.products for one in cold) < 1.7 * sum(one.products for one in told)


def test_a_single_large_eigenvalue_is_believed_at_once():
    """Where one stands far above the rest nothing beyond it can hide: no least number of products."""
    operator = Diagonal(np.append([1.0], stream(0, "case").normal(0, 0.01, 5000)))
    found = extremes(operator)
    assert found.value == pytest.approx(1.0, rel=1e-6)
    assert found.products <= 6


@pytest.mark.parametrize("precision", [np.finfo(np.float32).eps, np.finfo(np.float64).eps])
@pytest.mark.parametrize("wanted", [{}, {"smallest": 1}, {"largest": 2}])
def test_bounds_hold_after_hundreds_of_products(precision, wanted):
    """The basis drifts by rounding with every cut; what is returned is checked against the operator itself."""
    operator = Diagonal(np.linspace(-1, 1, 3000) ** 3)
    operator.precision = precision
    operator.dtype = np.float32 if precision > 1e-10 else np.float64
    found = extremes(operator, tolerance=1e-7, basis=5, limit=300, **wanted)
    for pairs in (found.largest, found.smallest):
        residuals = np.linalg.norm(operator.values[:, None] * pairs.vectors - pairs.values * pairs.vectors, axis=0)
        assert (residuals <= pairs.bounds).all()


def test_a_part_of_the_data_is_a_start(tmp_path):
    """From a sixteenth of the examples fewer products of the whole are needed, for the same value."""
    data = load(Digits(), corpora=tmp_path)
    model = MLP(width=32, depth=2, activation="tanh", norm="none")
    network = models.build(model, inputs=data.inputs, outputs=data.outputs, context=None, generator=generator())
    objective = Objective.of_dataset(network, data, examples=256)
    cold = extremes(Hessian(objective))
    part = extremes(Hessian(objective.part(16)), tolerance=0.01)
    found = extremes(Hessian(objective), start=part.start)
    assert found.converged
    assert found.value == pytest.approx(cold.value, rel=1e-3)
    assert found.products + part.products / 16 < 0.75 * cold.products


def test_deterministic():
    one, two = (extremes(Hessian(case("transformer")), seed=4) for _ in range(2))
    assert (one.value, one.bound, one.products) == (two.value, two.bound, two.products)
    assert np.array_equal(one.largest.vectors, two.largest.vectors)
    other = extremes(Hessian(case("transformer")), seed=5)
    assert not np.array_equal(other.largest.vectors, one.largest.vectors)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_tiny_operators(size):
    values = np.arange(1.0, size + 1)
    found = extremes(Dense(np.diag(values)), largest=size, smallest=1)
    assert found.largest.values == pytest.approx(values[::-1])
    assert found.smallest.values == pytest.approx([1.0])
    assert np.isnan(found.second) == (size == 1)
    warm = extremes(Dense(np.diag(values)), start=found.start)
    assert warm.value == pytest.approx(size)


def test_a_zero_operator_and_useless_starts():
    assert extremes(Dense(np.zeros((40, 40)))).value == 0
    operator = rotated(np.linspace(0, 1, 40), stream(7, "case"))
    for start in (np.zeros((40, 2)), np.ones((40, 3))):
        assert extremes(operator, start=start).value == pytest.approx(1.0, rel=1e-3)


def test_an_eigenvector_as_start_says_what_it_can_know():
    """From an exact lower eigenvector the residual is 0; the random direction that follows leads on to the top."""
    operator = Dense(np.diag([5.0, 1.0, *np.linspace(-1, 0.5, 30)]))
    found = extremes(operator, start=np.eye(32)[:, [1]])
    assert abs(found.value - 1.0) <= found.bound or found.value > 1
    assert extremes(operator, start=np.eye(32)[:, [1]], least=10).value == pytest.approx(5.0, rel=1e-3)


def test_the_floor_spares_products_at_the_flat_end():
    operator = rotated(np.append([2.0, -0.003], np.linspace(-0.0029, 0.1, 200)), stream(8, "case"))
    fine, coarse = (extremes(operator, smallest=1, floor=floor) for floor in (0.0, 1e-3))
    assert coarse.converged
    assert coarse.products < fine.products
    assert coarse.smallest.bounds[0] <= 2.001e-3


class Diagonal(Operator):
    """Given eigenvalues, for sizes at which a dense matrix would be slow."""

    def __init__(self, values):
        super().__init__(len(values), precision=np.finfo(float).eps)
        self.values = values

    def _apply(self, block):
        return self.values[:, None] * block


class Broken(Operator):
    def _apply(self, block):
        return block * (np.nan if self.products == 2 else 1 + np.arange(len(block))[:, None])


def test_errors():
    operator = Dense(np.eye(3))
    with pytest.raises(ValueError, match="largest=4"):
        extremes(operator, largest=4)
    with pytest.raises(ValueError, match="basis=2 must be at least 3"):
        extremes(operator, basis=2)
    with pytest.raises(ValueError, match="limit=1"):
        extremes(operator, largest=2, limit=1)
    with pytest.raises(ValueError, match="start of shape"):
        extremes(operator, start=np.ones(3))
    with pytest.raises(ValueError, match="start holds"):
        extremes(operator, start=np.full((3, 1), np.nan))
    with pytest.raises(ArithmeticError, match="product 3 of Broken"):
        extremes(Broken(10, precision=1e-16))


def power_iteration(operator, *, tolerance, seed):
    """The usual estimate: stop when the Rayleigh quotient changes by less than a share of itself."""
    vector = stream(seed, "power").standard_normal(operator.size)
    value = np.inf
    for _ in range(1000):
        vector = vector / np.linalg.norm(vector)
        image = operator(vector[:, None])[:, 0]
        before, value = value, vector @ image
        if abs(value - before) <= tolerance * abs(value):
            break
        vector = image
    return value, np.linalg.norm(operator.matrix @ vector - value * vector)


def test_power_iteration_stops_early_where_lanczos_meets_its_bound():
    """With the two largest eigenvalues 1.001 apart and more below them, at equal tolerance 1e-3."""
    operator = rotated(np.append([1.001, 1.0], np.linspace(0, 0.99, 300)), stream(9, "case"))
    value, residual = power_iteration(operator, tolerance=1e-3, seed=0)
    assert residual > 10e-3 * value
    assert abs(value - 1.001) > 5e-3
    found = extremes(operator)
    assert found.bound <= 1.01e-3 * found.value
    assert abs(found.value - 1.001) <= 1e-3 * 1.001


def test_effective_sharpness_by_products():
    objective = case("mlp-cross-entropy")
    rates = np.linspace(0.1, 3, objective.size)
    found = extremes(Scaled(Hessian(objective), rates), tolerance=1e-6)
    assert found.value == pytest.approx(np.linalg.eigvals(rates[:, None] * dense(objective)).real.max(), rel=1e-9)
