"""Extreme eigenvalues of a symmetric operator by Lanczos with full reorthogonalisation.

Beside the basis those directions are kept that its images need and it lacks, so that the residual of every estimate is
known without a pass over the vectors, a start may be any set of directions (the vectors of the last measurement, the
gradient), and neither costs a product.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from common.curvature.basis import ROUNDING, combine, deflate
from common.curvature.objective import Block, Vector
from common.curvature.operators import Operator
from common.streams import stream

Progress = Callable[[int, float], None]
"""Called after each product with the number of products so far and the largest residual bound of the wanted pairs."""

DOUBT = 0.1
"""A search from one random vector goes on while the vector may have more than this share of its usual part along an
eigenvector beyond the tolerance. One random vector in 12.5 has less, so no more values are wrong, whatever the
spectrum. Of 1,400 hard ones (`benchmarks/curvature.py --missed`) 0.07 % were at a tolerance of 1e-3 and 0.36 % at 1e-2,
against 0.50 and 2.1 % by the rule of `COLD_PRODUCTS` and `CONFIRMING`, which took 9 % more products. At 0.5 there are
8 % fewer at 1e-3, and 1.2 % are wrong at 1e-2."""
COLD_PRODUCTS = 10
"""Products before a start of several random vectors may stop, of which nobody knows what they miss: at a tolerance of
1e-2 these halve the gross misses in simulations."""
CONFIRMING = 2
"""Products over which the values from such a start must stand still after their bounds have met the tolerance."""
COARSE = 1e-3
"""Arithmetic whose rounding is larger than this and than the tolerance (bfloat16, float16) never converges: the
products are those of another matrix, whose eigenvalues no residual can tell from the true ones."""
COARSE_PRODUCTS = 30
"""Products after which a search in such arithmetic ends: more would only refine the eigenvalues of the other matrix."""
CAUTION = 3.0
"""Factor on the quadratic errors, whose gap is known only as far as the basis reaches."""


@dataclass(frozen=True)
class Pairs:
    """Estimates of eigenvalues and eigenvectors."""

    values: Vector
    """Float64 (k,), in units of loss per squared weight for a Hessian."""
    vectors: Block = field(repr=False)
    """Columns, float64 (size, k), orthonormal to the precision of the operator's `dtype`."""
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
    in every direction that may matter. From one random vector the search goes on until the bounds meet the tolerance
    and an eigenvalue beyond it would be evident unless the vector has almost nothing of it (`DOUBT`). From several,
    the values must stand still for `CONFIRMING` products more instead. A given start is taken to hold much of the
    wanted vectors; then the errors must meet the tolerance, which are far smaller but rest on nothing near being
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
        basis: most vectors kept, beside as many as the start has, in the operator's `dtype`: 4 * basis * size bytes for
            float32 weights, 8 * basis * size for float64.
        least: products before the first stop; if left out one more than `start` has, `COLD_PRODUCTS` from several
            random vectors, and as many as it takes from one.
        limit: products after which to stop without having converged.
        progress: told after each product.
    Returns: values with vectors, bounds, the second eigenvalue and whether all have converged.
    Raises: ValueError for more pairs than the operator has, or a start of another shape; ArithmeticError if a product
        is not finite.
    Source: Lanczos 1950; Wu and Simon 2000 (SIAM J. Matrix Anal. Appl. 22) for the thick restart; the bound is
        theorem 4.5.1 of Parlett 1998, the error theorem 11.7.1 there with the gap estimated; van Dorsselaer,
        Hochstenbach and van der Vorst 2000 (SIAM J. Matrix Anal. Appl. 22, section 3) for what a random start can miss.

    >>> from common.curvature.operators import Dense
    >>> found = extremes(Dense(np.diag([3.0, 1.0, -5.0])), smallest=1)
    >>> round(found.value, 6), round(found.second, 6), found.smallest.values.round(6).tolist(), found.products
    (3.0, 1.0, [-5.0], 3)
    """
    wanted = _Wanted(largest, smallest, tolerance, floor, cold=start is None)
    _check(operator, wanted, start=start, basis=basis, limit=limit)
    source = stream(seed, "lanczos")
    if least is None:
        least = start.shape[1] + 1 if start is not None else COLD_PRODUCTS if wanted.several else 1
    if start is None:
        start = source.standard_normal((operator.size, max(largest, smallest)))
    space = _Space(operator, start, capacity=min(basis, operator.size), tolerance=tolerance, source=source)
    before, settled = operator.products, _Settled(wanted)
    while True:
        space.add()
        ritz = space.ritz(wanted)
        products = operator.products - before
        if progress:
            progress(products, float(ritz.bounds.max()))
        full = not space.waiting and space.count >= max(largest, smallest, 2 if wanted.cold else 3)
        settled.see(ritz, products if full else 0)
        done = settled.confirmed(products) or (space.coarse and products >= COARSE_PRODUCTS)
        if (done and products >= least) or space.count == operator.size or products >= limit:
            return _result(space, ritz, wanted, products)
        if space.count == space.capacity:
            space.cut(wanted, ritz)
        if not space.waiting:
            space.turn(ritz.further)


@dataclass(frozen=True)
class _Wanted:
    """Which pairs are asked for, and how well."""

    largest: int
    smallest: int
    tolerance: float = 0.0
    floor: float = 0.0
    cold: bool = True
    """Whether the start is random, so that the bounds decide and not the errors."""

    @property
    def several(self) -> bool:
        """Whether the start is several random vectors."""
        return self.cold and max(self.largest, self.smallest) > 1

    @property
    def single(self) -> bool:
        """Whether it is one random vector, so that what it may have missed can be told."""
        return self.cold and not self.several

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
    allowed: Vector
    """What the residuals (errors) of the wanted pairs may be."""
    settled: bool
    """Whether their residuals (errors) are within the tolerance, as far as this arithmetic can tell."""
    doubt: float
    """Largest part that a start of one random vector can have along an eigenvector beyond the wanted ends by more than
    the tolerance, in units of the usual part, 1 / sqrt(size)."""
    further: Vector
    """The residual of the first wanted pair that has not converged, or of the worst, by the directions outside."""


class _Settled:
    """Since when the wanted values have converged and not moved by more than the tolerance."""

    def __init__(self, wanted: _Wanted) -> None:
        self.wanted = wanted
        self.since: int | None = None
        self.values = np.empty(0)

    def see(self, ritz: _Ritz, products: int) -> None:
        """Take note of the estimates after so many products; 0 if they are too few to judge."""
        values = ritz.values[self.wanted.places(len(ritz.values))]
        if not (products and ritz.settled and (ritz.doubt <= DOUBT or not self.wanted.single)):
            self.since = None
        elif self.since is None or (np.abs(values - self.values) > ritz.allowed).any():
            self.since, self.values = products, values

    def confirmed(self, products: int) -> bool:
        """Whether that is long enough: at once but from several random vectors."""
        return self.since is not None and products - self.since >= (CONFIRMING if self.wanted.several else 0)


class _Space:
    """An orthonormal basis Q as rows, directions E outside it, and the operator A within both: A Q' = Q' H + E' C.

    Every image lies in the span of both, so the residual of a pair with the vector Q's is E'Cs, and no image is kept.
    From one start E is one row, the next vector of Lanczos; of several starts it first holds those that wait.
    """

    def __init__(
        self, operator: Operator, start: Block, *, capacity: int, tolerance: float, source: np.random.Generator
    ) -> None:
        self.operator, self.capacity, self.source = operator, capacity, source
        self.coarse = ROUNDING * operator.precision > max(tolerance, COARSE)
        self.count = 0
        """Rows of the basis."""
        self.rows = np.empty((capacity + start.shape[1], operator.size), operator.dtype)
        """The basis, then the directions outside."""
        self.inner = np.zeros((capacity, capacity))
        """H."""
        self.outer = np.zeros((0, 0))
        """C, float64 (directions outside, count)."""
        self.scale = 0.0
        """Largest known size of an eigenvalue."""
        self.growth = 0.0
        """Logarithm of |p(A) v| for one start v of length 1, with p the polynomial with leading coefficient 1 whose
        roots are all Ritz values, those cut off included."""
        self.roots = np.empty(0)
        """The ones cut off."""
        self.cuts = 0
        for column in start.T:
            self._await(column)
        self.waiting = len(self.outer)
        """Starts that are not yet in the basis."""

    def _await(self, vector: Vector) -> None:
        """Put the new part of a vector behind the directions outside, if there is one."""
        last = self.count + len(self.outer)
        self.rows[last] = vector
        _, rest = deflate(self.rows[:last], self.rows[last])
        if rest:
            self.rows[last] /= rest
            self.outer = np.vstack([self.outer, np.zeros((1, self.count))])

    def add(self) -> None:
        """Take the first direction outside into the basis, for one product; a random one if there is none."""
        while not len(self.outer):
            self._await(self.source.standard_normal(self.operator.size))
        self.waiting = max(self.waiting - 1, 0)
        vector, count, last = self.rows[self.count], self.count + 1, self.count + len(self.outer)
        image = self.operator(vector[:, None])[:, 0]
        parts, rest = deflate(self.rows[:last], image)
        self.inner[self.count, :count] = self.inner[:count, self.count] = parts[:count]
        self.outer = np.column_stack([self.outer[1:], parts[count:]])
        if rest:
            np.multiply(image, image.dtype.type(1 / rest), out=self.rows[last])
            self.outer = np.vstack([self.outer, rest * np.eye(1, count, self.count)])
        self.growth += np.log(rest) if rest else -np.inf
        self.count = count

    def turn(self, weights: Vector) -> None:
        """Turn the directions outside so that the first is their combination by `weights`."""
        length = np.linalg.norm(weights)
        if len(weights) < 2 or not length:
            return
        mirror = weights / length
        mirror[0] += np.copysign(1.0, mirror[0])
        turned = np.eye(len(mirror)) - np.outer(mirror, mirror) / abs(mirror[0])
        self.outer = turned @ self.outer
        outside = self.rows[self.count : self.count + len(mirror)]
        combine(turned, outside, outside)

    @property
    def rounding(self) -> float:
        """Of an eigenvalue: that of the products, and that of the basis, which grows by each cut."""
        basis = (ROUNDING + self.cuts) * float(np.finfo(self.operator.dtype).eps)
        return (ROUNDING * self.operator.precision + basis) * self.scale

    def ritz(self, wanted: _Wanted) -> _Ritz:
        values, rotation = np.linalg.eigh(self.inner[: self.count, : self.count])
        self.scale = max(self.scale, float(np.abs(values).max()))
        places = wanted.places(self.count)
        residuals = self.outer @ rotation
        lengths = np.linalg.norm(residuals, axis=0)
        norms = lengths[places]
        errors = np.array([_error(values, lengths, place) for place in places])
        enough = max(wanted.floor * self.scale, 0.0 if self.coarse else self.rounding)
        allowed = np.maximum(wanted.tolerance * np.abs(values[places]), enough)
        open_pairs = (norms if wanted.cold else errors) > allowed
        worst = int(np.argmax(open_pairs if open_pairs.any() else norms))
        beyond = [values[-1] + allowed[0]] + ([values[0] - allowed[-1]] if wanted.smallest else [])
        return _Ritz(
            values=values,
            rotation=rotation,
            bounds=norms + self.rounding,
            errors=errors + self.rounding,
            allowed=allowed,
            settled=not open_pairs.any(),
            doubt=max(self.unseen(values, limit) for limit in beyond) if wanted.single else 0.0,
            further=residuals[:, places[worst]],
        )

    def unseen(self, values: Vector, limit: float) -> float:
        """What the start can have along an eigenvector with its value at or beyond a limit; see `_Ritz.doubt`.

        With the part c along it and the value t, |c p(t)| <= |p(A) v|, and |p| grows beyond all its roots.
        """
        if self.growth == -np.inf:
            return 0.0
        distances = np.abs(limit - np.append(values, self.roots))
        if not distances.all():
            return np.inf
        return float(np.exp(min(0.5 * np.log(self.operator.size) + self.growth - np.log(distances).sum(), 100.0)))

    def vectors(self, rotation: Block) -> Block:
        """Vectors of weight space, as rows, float64 (k, size)."""
        found = np.empty((rotation.shape[1], self.operator.size))
        return combine(rotation.T, self.rows[: self.count], found)

    def cut(self, wanted: _Wanted, ritz: _Ritz) -> None:
        """Keep the Ritz vectors nearest to the wanted ends: half of the basis, and at least one more than wanted."""
        spare = max(self.capacity // 2 - wanted.largest - wanted.smallest, 1)
        low = spare // 2 if wanted.smallest else 0
        wider = _Wanted(wanted.largest + spare - low, wanted.smallest + low)
        places = wider.places(self.count)
        kept, left, outside = ritz.rotation[:, places], len(places), len(self.outer)
        combine(kept.T, self.rows[: self.count], self.rows[:left])
        self.rows[left : left + outside] = self.rows[self.count : self.count + outside]
        self.count, self.outer = left, self.outer @ kept
        self.inner[:left, :left] = np.diag(ritz.values[places])
        self.roots = np.append(self.roots, np.delete(ritz.values, places))
        self.cuts += 1


def _error(values: Vector, lengths: Vector, place: int) -> float:
    """Kato and Temple's quadratic bound, with caution, where the values beside are farther than their residuals."""
    beside = [other for other in (place - 1, place + 1) if 0 <= other < len(values)]
    gap = min((abs(values[place] - values[other]) - lengths[other] for other in beside), default=0.0)
    length = float(lengths[place])
    return length * min(1.0, CAUTION * length / gap) if gap > 0 else length


def _result(space: _Space, ritz: _Ritz, wanted: _Wanted, products: int) -> Extremes:
    places = wanted.places(space.count)
    following = _Wanted(max(wanted.largest + 1, 2), wanted.smallest).places(space.count)
    kept = sorted(set(following), reverse=True)
    vectors = space.vectors(ritz.rotation[:, kept]).T
    second, second_bound = np.nan, np.nan
    if space.count > 1:
        second = float(ritz.values[-2])
        second_bound = float(np.linalg.norm(space.outer @ ritz.rotation[:, -2])) + space.rounding

    def pairs(part: slice, columns: Block) -> Pairs:
        return Pairs(ritz.values[places[part]], columns, ritz.bounds[part], ritz.errors[part])

    return Extremes(
        largest=pairs(slice(wanted.largest), vectors[:, : wanted.largest]),
        smallest=pairs(slice(wanted.largest, None), vectors[:, ::-1][:, : wanted.smallest]),
        second=second,
        second_bound=second_bound,
        products=products,
        converged=ritz.settled and not space.coarse,
        start=vectors,
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
