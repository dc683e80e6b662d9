"""Extreme eigenvalues of a symmetric operator by Lanczos with full reorthogonalisation.

The basis is kept together with its images, so that the residual of every estimate is measured and not inferred, a start
may be any set of directions (the vectors of the last measurement, the gradient), and neither costs a product.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from common.curvature.objective import Block, Vector
from common.curvature.operators import Operator
from common.streams import stream

Progress = Callable[[int, float], None]
"""Called after each product with the number of products so far and the largest residual bound of the wanted pairs."""

COLD_PRODUCTS = 10
"""Products before a cold start may stop: a random vector can look converged while it still misses the top. A tolerance
of 1e-3 guards against that by itself, for half a product less; at 1e-2 these halve the gross misses in simulations."""
CONFIRMING = 2
"""Products over which the values of a cold start must stand still after their bounds have met the tolerance: in
simulated clusters of five eigenvalues within 5 %, 3 of 100 results missed a tolerance of 1e-3 without them and none
of 400 with them."""
ROUNDING = 10.0
"""Rounding of a residual, in units of the operator's precision times its largest known eigenvalue."""
COARSE = 1e-3
"""Arithmetic whose rounding is larger than this and than the tolerance (bfloat16, float16) never converges: the
products are those of another matrix, whose eigenvalues no residual can tell from the true ones."""
COARSE_PRODUCTS = 30
"""Products after which a search in such arithmetic ends: more would only refine the eigenvalues of the other matrix."""
CAUTION = 3.0
"""Factor on the quadratic errors, whose gap is known only as far as the basis reaches."""
DEPENDENT = 1e-8
"""A candidate that loses all but this share of its length to the basis is taken to lie within it."""


@dataclass(frozen=True)
class Pairs:
    """Estimates of eigenvalues and eigenvectors."""

    values: Vector
    """Float64 (k,), in units of loss per squared weight for a Hessian."""
    vectors: Block = field(repr=False)
    """Orthonormal columns, float64 (size, k)."""
    bounds: Vector
    """Some eigenvalue lies within this distance of each value: |A v - value v| plus rounding, float64 (k,)."""
    errors: Vector
    """Estimate of that distance, at most the bound, float64 (k,): `CAUTION` * residual**2 / gap plus rounding. The gap
    is that to the other values found, so it holds if no eigenvalue near or beyond this one has been missed."""


@dataclass(frozen=True)
class Extremes:
    """The ends of a spectrum, as far as they were asked for."""

    largest: Pairs
    """The algebraically largest eigenvalues, from the top down."""
    smallest: Pairs
    """The algebraically smallest ones, from the bottom up."""
    second: float
    """Second largest eigenvalue, converged or not; nan if the basis has one vector only."""
    second_bound: float
    """Residual bound of `second`."""
    products: int
    """Products that this measurement took."""
    converged: bool
    """Whether every bound asked for, or from a given start every error, is within the tolerance; never where rounding
    alone is larger (see `COARSE`)."""
    start: Block = field(repr=False)
    """Directions from which the next measurement of a slightly changed operator may start."""

    @property
    def value(self) -> float:
        """The largest eigenvalue."""
        return float(self.largest.values[0])

    @property
    def bound(self) -> float:
        """Its residual bound. The value itself is never above the true one by more than rounding."""
        return float(self.largest.bounds[0])

    @property
    def error(self) -> float:
        """Estimate of how far the true one lies above it; see `Pairs.errors`."""
        return float(self.largest.errors[0])


def extremes(
    operator: Operator,
    *,
    largest: int = 1,
    smallest: int = 0,
    start: Block | None = None,
    seed: int = 0,
    tolerance: float = 1e-3,
    floor: float = 0.0,
    basis: int = 20,
    least: int | None = None,
    limit: int = 1000,
    progress: Progress | None = None,
) -> Extremes:
    """The largest and, if asked for, the smallest eigenvalues, both from one basis.

    Each step adds the residual of a wanted pair to the basis, which from one start vector is the Lanczos iteration, and
    a full basis is cut to the best half of its Ritz vectors (thick restart). Several wanted pairs start from as many
    vectors, since one vector shows a multiple eigenvalue once.

    A bound says that an eigenvalue is near, not that none is beyond: that rests on the start, which should have a part
    in every direction that may matter, and on the tolerance: at 1e-2 a search may stop at the second of two close
    eigenvalues before the first shows itself. From a random start, which has little of any direction, the bounds must
    meet the tolerance, and the values then stand still for `CONFIRMING` products more. A given start is taken to hold
    much of the wanted vectors; then the errors must meet it, which are far smaller but rest on nothing near being
    missed.

    Args:
        operator: its products are counted by itself as well.
        largest: how many from the top, at least 1.
        smallest: how many from the bottom.
        start: directions near the wanted vectors, float64 (size, k), such as `Extremes.start` of the measurement
            before, or of a part of the data (`Objective.part`); drawn at random if left out.
        seed: of the random start.
        tolerance: stop when every bound is at most this share of its value, or as small as rounding allows; from a
            given start every error.
        floor: a bound (error) of this share of the largest eigenvalue in size is enough as well. The smallest
            eigenvalue of a trained network lies near 0, where three digits of it take hundreds of products; 1e-3 here
            takes tens.
        basis: most vectors kept; as many images are kept with them, so the memory is 16 * basis * size bytes.
        least: products before the first stop; if left out one more than `start` has, or `COLD_PRODUCTS` without one.
        limit: products after which to stop without having converged.
        progress: told after each product.
    Returns: values with vectors, bounds, the second eigenvalue and whether all have converged.
    Raises: ValueError for more pairs than the operator has, or a start of another shape; ArithmeticError if a product
        is not finite.
    Source: Lanczos 1950; Wu and Simon 2000 (SIAM J. Matrix Anal. Appl. 22) for the thick restart; the bound is
        theorem 4.5.1 of Parlett 1998, the error theorem 11.7.1 there with the gap estimated.

    >>> from common.curvature.operators import Dense
    >>> found = extremes(Dense(np.diag([3.0, 1.0, -5.0])), smallest=1)
    >>> round(found.value, 6), round(found.second, 6), found.smallest.values.round(6).tolist(), found.products
    (3.0, 1.0, [-5.0], 3)
    """
    wanted = _Wanted(largest, smallest, tolerance, floor, cold=start is None)
    _check(operator, wanted, start=start, basis=basis, limit=limit)
    source = stream(seed, "lanczos")
    if least is None:
        least = COLD_PRODUCTS if start is None else start.shape[1] + 1
    if start is None:
        start = source.standard_normal((operator.size, max(largest, smallest)))
    space = _Space(operator, capacity=min(basis, operator.size), tolerance=tolerance)
    queue, before = list(start.T), operator.products
    settled = _Settled(wanted)
    while True:
        while not (queue and space.add(queue.pop(0))):
            queue = queue or [source.standard_normal(operator.size)]
        ritz = space.ritz(wanted)
        products = operator.products - before
        if progress:
            progress(products, float(ritz.bounds.max()))
        full = not queue and space.count >= max(largest, smallest, 2 if wanted.cold else 3)
        settled.see(ritz, products if full else 0)
        done = settled.confirmed(products) or (space.coarse and products >= COARSE_PRODUCTS)
        if (done and products >= least) or space.count == operator.size or products >= limit:
            return _result(space, ritz, wanted, products)
        if space.count == space.capacity:
            space.cut(wanted, ritz)
        queue = queue or ritz.further


def outside(rows: Block, vector: Vector) -> Vector | None:
    """Unit vector along the part of a vector outside the span of orthonormal rows (k, size); None if it lies within."""
    length = after = np.linalg.norm(vector)
    if length == 0:
        return None
    rest = vector
    for _ in range(3):
        rest = rest - (rows @ rest) @ rows
        before, after = after, np.linalg.norm(rest)
        if after > before / 2:
            break
    return None if after < DEPENDENT * length else rest / after


@dataclass(frozen=True)
class _Wanted:
    """Which pairs are asked for, and how well."""

    largest: int
    smallest: int
    tolerance: float = 0.0
    floor: float = 0.0
    cold: bool = True
    """Whether the start is random, so that the bounds decide and not the errors."""

    def places(self, count: int) -> list[int]:
        """Where they are among `count` values in ascending order."""
        return [*range(count - 1, max(count - 1 - self.largest, -1), -1), *range(min(self.smallest, count))]


@dataclass(frozen=True)
class _Ritz:
    """The best estimates that a basis allows."""

    values: Vector
    """All of them in ascending order, float64 (count,)."""
    rotation: Block
    """Their vectors in the basis, as columns, float64 (count, count)."""
    bounds: Vector
    """Of the wanted pairs."""
    errors: Vector
    """Of the wanted pairs."""
    settled: bool
    """Whether their residuals (errors) are within the tolerance, as far as this arithmetic can tell."""
    further: list[Vector]
    """The residual of the first wanted pair that has not converged, or of the worst; none if that is rounding."""


class _Settled:
    """Since when the wanted values have converged and not moved by more than the tolerance."""

    def __init__(self, wanted: _Wanted) -> None:
        self.wanted = wanted
        self.since: int | None = None
        self.values = np.empty(0)

    def see(self, ritz: _Ritz, products: int) -> None:
        """Take note of the estimates after so many products; 0 if they are too few to judge."""
        values = ritz.values[self.wanted.places(len(ritz.values))]
        if not (products and ritz.settled):
            self.since = None
        elif self.since is None or (np.abs(values - self.values) > self.wanted.tolerance * np.abs(values)).any():
            self.since, self.values = products, values

    def confirmed(self, products: int) -> bool:
        """Whether that is long enough: at once from a given start."""
        return self.since is not None and products - self.since >= (CONFIRMING if self.wanted.cold else 0)


class _Space:
    """An orthonormal basis as rows, the images of its vectors, and the operator within it."""

    def __init__(self, operator: Operator, *, capacity: int, tolerance: float) -> None:
        self.operator, self.capacity, self.count = operator, capacity, 0
        self.coarse = ROUNDING * operator.precision > max(tolerance, COARSE)
        self.basis = np.empty((capacity, operator.size))
        self.images = np.empty((capacity, operator.size))
        self.inner = np.empty((capacity, capacity))
        self.scale = 0.0
        """Largest known size of an eigenvalue."""

    def add(self, candidate: Vector) -> bool:
        """Take in the part of a vector that is new, for one product; False if there is none."""
        new = outside(self.basis[: self.count], candidate)
        if new is None:
            return False
        self.basis[self.count] = new
        self.images[self.count] = self.operator(self.basis[self.count][:, None])[:, 0]
        row = self.basis[: self.count + 1] @ self.images[self.count]
        self.inner[self.count, : self.count + 1] = self.inner[: self.count + 1, self.count] = row
        self.count += 1
        return True

    @property
    def rounding(self) -> float:
        return ROUNDING * self.operator.precision * self.scale

    def ritz(self, wanted: _Wanted) -> _Ritz:
        values, rotation = np.linalg.eigh(self.inner[: self.count, : self.count])
        self.scale = max(self.scale, float(np.abs(values).max()))
        places = wanted.places(self.count)
        seen = sorted({other for place in places for other in (place - 1, place, place + 1) if 0 <= other < self.count})
        residuals = self.residuals(values[seen], rotation[:, seen])
        lengths = np.full(self.count, np.nan)
        lengths[seen] = np.linalg.norm(residuals, axis=1)
        norms = lengths[places]
        errors = np.array([_error(values, lengths, place) for place in places])
        enough = max(wanted.floor * self.scale, 0.0 if self.coarse else self.rounding)
        open_pairs = (norms if wanted.cold else errors) > np.maximum(wanted.tolerance * np.abs(values[places]), enough)
        worst = int(np.argmax(open_pairs if open_pairs.any() else norms))
        rest = residuals[seen.index(places[worst])]
        return _Ritz(
            values=values,
            rotation=rotation,
            bounds=norms + self.rounding,
            errors=errors + self.rounding,
            settled=not open_pairs.any(),
            further=[rest] if norms[worst] > (0 if self.coarse else self.rounding) else [],
        )

    def residuals(self, values: Vector, rotation: Block) -> Block:
        """A v - value v for Ritz pairs, as rows, float64 (k, size)."""
        rows: Block = rotation.T @ self.images[: self.count] - values[:, None] * self.vectors(rotation)
        return rows

    def vectors(self, rotation: Block) -> Block:
        """Vectors of weight space, as rows, float64 (k, size)."""
        rows: Block = rotation.T @ self.basis[: self.count]
        return rows

    def cut(self, wanted: _Wanted, ritz: _Ritz) -> None:
        """Keep the Ritz vectors nearest to the wanted ends: half of the basis, and at least one more than wanted."""
        spare = max(self.capacity // 2 - wanted.largest - wanted.smallest, 1)
        low = spare // 2 if wanted.smallest else 0
        wider = _Wanted(wanted.largest + spare - low, wanted.smallest + low)
        places = wider.places(self.count)
        kept = ritz.rotation[:, places]
        self.basis[: len(places)] = self.vectors(kept)
        self.images[: len(places)] = kept.T @ self.images[: self.count]
        self.count = len(places)
        self.inner[: self.count, : self.count] = np.diag(ritz.values[places])


def _error(values: Vector, lengths: Vector, place: int) -> float:
    """Kato and Temple's quadratic bound, with caution, where the values beside are farther than their residuals."""
    beside = [other for other in (place - 1, place + 1) if 0 <= other < len(values)]
    gap = min((abs(values[place] - values[other]) - lengths[other] for other in beside), default=0.0)
    length = float(lengths[place])
    return length * min(1.0, CAUTION * length / gap) if gap > 0 else length


def _result(space: _Space, ritz: _Ritz, wanted: _Wanted, products: int) -> Extremes:
    places = wanted.places(space.count)
    top = places[: wanted.largest]
    following = _Wanted(max(wanted.largest + 1, 2), wanted.smallest).places(space.count)
    second, second_bound = np.nan, np.nan
    if space.count > 1:
        second = float(ritz.values[-2])
        residual = space.residuals(ritz.values[[-2]], ritz.rotation[:, [-2]])
        second_bound = float(np.linalg.norm(residual)) + space.rounding
    return Extremes(
        largest=_pairs(space, ritz, top, slice(len(top))),
        smallest=_pairs(space, ritz, places[len(top) :], slice(len(top), None)),
        second=second,
        second_bound=second_bound,
        products=products,
        converged=ritz.settled and not space.coarse,
        start=space.vectors(ritz.rotation[:, sorted(set(following), reverse=True)]).T,
    )


def _pairs(space: _Space, ritz: _Ritz, places: list[int], part: slice) -> Pairs:
    return Pairs(
        values=ritz.values[places],
        vectors=space.vectors(ritz.rotation[:, places]).T,
        bounds=ritz.bounds[part],
        errors=ritz.errors[part],
    )


def _check(operator: Operator, wanted: _Wanted, *, start: Block | None, basis: int, limit: int) -> None:
    size, both = operator.size, wanted.largest + wanted.smallest
    if not (1 <= wanted.largest <= size and 0 <= wanted.smallest <= size):
        raise ValueError(
            f"largest={wanted.largest} and smallest={wanted.smallest} must be within 1 to {size} and 0 to {size}, "
            "the size of the operator; ask for fewer"
        )
    if basis < both + 2:
        raise ValueError(f"basis={basis} must be at least {both + 2}, two more than the pairs asked for; enlarge it")
    if limit < max(wanted.largest, wanted.smallest):
        raise ValueError(f"limit={limit} products cannot give the pairs asked for; allow at least one for each")
    if start is None:
        return
    if start.ndim != 2 or len(start) != size or not 0 < start.shape[1] < basis:
        raise ValueError(
            f"start of shape {start.shape} must have shape ({size}, k) with k from 1 to basis - 1 = {basis - 1}; "
            "leave it out for a random one"
        )
    if not np.isfinite(start).all():
        raise ValueError("start holds a value that is not finite; leave it out for a random one")
