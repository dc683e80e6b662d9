"""Symmetric linear maps of weight space, known by their products with vectors."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from common.curvature.objective import Block, Objective, Vector


class Operator(ABC):
    """A symmetric matrix A of which only products with vectors are known.

    >>> operator = Dense([[2.0, 0.0], [0.0, 1.0]])
    >>> operator(np.array([[1.0], [1.0]])).tolist(), operator.products
    ([[2.0], [1.0]], 1)
    """

    def __init__(self, size: int, *, precision: float | Callable[[], float]) -> None:
        self.size = size
        """Number of rows, and of columns."""
        self.products = 0
        """Columns multiplied so far."""
        self._precision = precision

    @cached_property
    def precision(self) -> float:
        """Relative rounding of a product: the machine epsilon of the arithmetic behind it."""
        return self._precision() if callable(self._precision) else self._precision

    @cached_property
    def dtype(self) -> type[np.floating[Any]]:
        """Type in which vectors lose nothing against the arithmetic behind it."""
        return np.float64 if self.precision <= np.finfo(np.float64).eps else np.float32

    def __call__(self, block: Block) -> Block:
        """A times each column of `block`: float64 (size, k) to float64 (size, k), or float32 to `dtype` at least.

        Raises: ValueError for another shape; ArithmeticError if a product is not finite.
        """
        if block.ndim != 2 or len(block) != self.size:
            raise ValueError(f"block of shape {block.shape} must have shape ({self.size}, k); reshape a vector to k=1")
        image = self._apply(block)
        self.products += block.shape[1]
        if not _finite(image):
            raise ArithmeticError(
                f"product {self.products} of {type(self).__name__} is not finite: the loss has left the range of its "
                "precision, or the training has diverged; measure earlier, or use float64 weights"
            )
        return image

    @abstractmethod
    def _apply(self, block: Block) -> Block: ...


class Dense(Operator):
    """An explicit matrix, float64 (size, size); only its symmetric part counts."""

    def __init__(self, matrix: ArrayLike) -> None:
        given = np.asarray(matrix, dtype=np.float64)
        super().__init__(len(given), precision=float(np.finfo(np.float64).eps))
        self.matrix: Block = (given + given.T) / 2

    def _apply(self, block: Block) -> Block:
        return self.matrix @ block


class _OfObjective(Operator):
    """One of the products of an objective."""

    def __init__(self, objective: Objective, products: Callable[[Block], Block]) -> None:
        super().__init__(objective.size, precision=lambda: objective.precision)
        self._products = products

    def _apply(self, block: Block) -> Block:
        return self._products(block)


class Hessian(_OfObjective):
    """Second derivative of an objective."""

    def __init__(self, objective: Objective) -> None:
        super().__init__(objective, objective.hessian_products)


class GaussNewton(_OfObjective):
    """The part of the Hessian that a network linear in its weights would have; see `gauss_newton_products`.

    For cross-entropy and the squared error it is also the Fisher matrix of the model's own predictions.
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__(objective, objective.gauss_newton_products)


class Remainder(_OfObjective):
    """Hessian minus Gauss-Newton part: the curvature of the network itself, weighted with the loss's slope."""

    def __init__(self, objective: Objective) -> None:
        super().__init__(objective, objective.remainder_products)


class Scaled(Operator):
    """D^(1/2) A D^(1/2) + diag(shift), with the eigenvalues of D A (without shift).

    With D the learning rate of each weight relative to the run's (of Adam: divided by the root of the second moment)
    its top eigenvalue is the effective sharpness, to which the conditions of `stability` then apply.
    In its coordinates the weights w are D^(-1/2) w and the gradient g is D^(1/2) g (`gradient`).

    Args:
        operator: A.
        diagonal: D, at least 0, float64 (size,); see `stability.diagonal`.
        shift: added to the scaled diagonal, float64 (size,); nothing if left out.
    Raises: ValueError if a diagonal has another shape, a value that is not finite, or D one below 0.
    Source: Cohen et al. 2022 (arXiv:2207.14484), section 2.

    >>> Scaled(Dense(np.eye(2)), np.array([4.0, 1.0]))(np.eye(2)).tolist()
    [[4.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, operator: Operator, diagonal: Vector, *, shift: Vector | None = None) -> None:
        super().__init__(operator.size, precision=lambda: operator.precision)
        self.operator = operator
        self._shift = _checked("shift", np.zeros(self.size) if shift is None else shift, self.size)
        if (_checked("diagonal", diagonal, self.size) < 0).any():
            raise ValueError(
                f"diagonal has the value {diagonal.min()}, but its root is needed; give rates of at least 0"
            )
        self._root = np.sqrt(diagonal)
        self._held = {np.dtype(np.float64): (self._root[:, None], self._shift[:, None])}

    def gradient(self, gradient: Vector) -> Vector:
        """A gradient by the weights, float64 (size,), in this operator's coordinates."""
        return self._root * gradient

    def direction(self, vector: Vector) -> Vector:
        """A vector of this operator's coordinates as a direction of the weights, both float64 (size,)."""
        return self._root * vector

    def _apply(self, block: Block) -> Block:
        if block.dtype not in self._held:
            self._held[block.dtype] = self._root[:, None].astype(block.dtype), self._shift[:, None].astype(block.dtype)
        root, shift = self._held[block.dtype]
        return root * self.operator(root * block) + shift * block


def matrix(operator: Operator) -> Block:
    """The whole matrix by its columns, float64 (size, size), made symmetric: for small operators and for tests."""
    columns = operator(np.eye(operator.size))
    return (columns + columns.T) / 2


def _finite(image: Block) -> bool:
    """Whether all numbers are; their product with themselves tells without an array of flags, unless it overflows."""
    flat = image.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(np.dot(flat, flat)) or bool(np.isfinite(image).all())


def _checked(name: str, values: Any, size: int) -> Vector:
    given: Vector = np.asarray(values, dtype=np.float64)
    if given.shape != (size,):
        raise ValueError(f"{name} of shape {given.shape} must have shape ({size},), one number for each weight")
    if not np.isfinite(given).all():
        raise ValueError(f"{name} holds a value that is not finite; is the optimizer's state sound?")
    return given
