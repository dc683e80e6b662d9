"""Rows stay orthonormal to rounding in either precision, however little of a vector is new."""

import numpy as np
import pytest

from common.curvature.basis import PIECE, combine, deflate

RNG = np.random.default_rng(0)
TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def rows(count, size, dtype):
    found, _ = np.linalg.qr(RNG.standard_normal((size, count)))
    return np.ascontiguousarray(found.T).astype(dtype)


@TYPES
@pytest.mark.parametrize("size", [30, PIECE, 3 * PIECE + 7])
@pytest.mark.parametrize("new", [1.0, 1e-2, 1e-4])
def test_what_is_left_is_orthogonal(dtype, size, new):
    basis, eps = rows(8, size, dtype), float(np.finfo(dtype).eps)
    vector = (RNG.standard_normal(8) @ basis + new * RNG.standard_normal(size) / size**0.5).astype(dtype)
    exact, rest = vector.astype(float), vector.copy()
    parts, length = deflate(basis, rest)
    assert np.abs(basis.astype(float) @ rest).max() <= 10 * eps * length
    assert length == pytest.approx(np.linalg.norm(rest.astype(float)), rel=20 * eps)
    assert np.allclose(parts @ basis + rest, exact, rtol=0, atol=10 * eps * np.linalg.norm(exact))


@TYPES
def test_a_vector_within_leaves_nothing(dtype):
    basis = rows(5, 1000, dtype)
    parts, length = deflate(basis, (np.arange(5) @ basis).astype(dtype))
    assert length == 0
    assert parts == pytest.approx(np.arange(5), abs=1e-5)


@TYPES
def test_nothing_to_take_away(dtype):
    vector = np.full(PIECE + 1, 2, dtype)
    parts, length = deflate(np.empty((0, len(vector)), dtype), vector)
    assert parts.shape == (0,)
    assert length == pytest.approx(2 * (PIECE + 1) ** 0.5)
    assert deflate(np.empty((0, 3), dtype), np.zeros(3, dtype))[1] == 0


def test_the_length_of_a_long_float32_vector():
    """One float32 sum over all of it is off by more than the bound of an eigenvalue allows."""
    vector = np.abs(RNG.standard_normal(4_000_000)).astype(np.float32)
    _, length = deflate(np.empty((0, len(vector)), np.float32), vector)
    assert length == pytest.approx(np.linalg.norm(vector.astype(float)), rel=1e-6)


@TYPES
def test_combinations_in_their_own_place(dtype):
    basis = rows(6, PIECE + 5, dtype)
    weights = RNG.standard_normal((3, 6))
    expected = weights @ basis
    assert combine(weights, basis, np.empty((3, PIECE + 5))) == pytest.approx(expected, abs=1e-5)
    combine(weights, basis, basis[:3])
    assert basis[:3] == pytest.approx(expected, abs=1e-5)
