"""A river in a valley: straight and winding toys of the loss landscape, SGD in them, and what theory says about it.

The river is gentle and runs on; the hills beside it are steep. A large learning rate moves far along the river and
keeps the noise of the gradient bouncing between the hills; a decay of the rate lets it settle. The picture is that of
Wen et al. 2024 (arXiv:2410.05192); the toys, their constants and the formulas are derived here unless a source is
named. The clock of a run is the sum of its learning rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize.elementwise import find_root

from common.streams import stream


@dataclass(frozen=True, kw_only=True)
class Valley:
    """Loss L(x, y) = -g x + (lam/2)(y - f(x))**2 with the floor f(x) = a sin(k x); straight if a = 0.

    ASSUME: one hill coordinate, and gradient noise on it alone; in a straight valley each further one adds the same.

    Raises: ValueError if a number lies outside its range.
    """

    slope: float
    """g: fall of the loss along the floor for each unit of x, above 0."""
    curvature: float
    """lam: second derivative of the loss across a straight valley, above 0."""
    noise: float
    """sigma: standard deviation of the gradient's noise in y, at least 0."""
    bend: float = 0.0
    """a: amplitude of the floor, in units of y."""
    wavenumber: float = 1.0
    """k: of the floor, in radians for each unit of x."""

    def __post_init__(self) -> None:
        for name in ("slope", "curvature", "wavenumber"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0; a straight valley has bend=0")
        if not self.noise >= 0:
            raise ValueError(f"noise={self.noise} is a standard deviation and must be at least 0")

    def floor(self, x: np.ndarray) -> np.ndarray:
        """f(x): where the loss is lowest across the valley."""
        return self.bend * np.sin(self.wavenumber * x)

    def heading(self, x: np.ndarray) -> np.ndarray:
        """f'(x): by how much the floor turns away from the x axis."""
        return self.bend * self.wavenumber * np.cos(self.wavenumber * x)

    def stretch(self, x: np.ndarray) -> np.ndarray:
        """1 + f'(x)**2: squared length of the floor for each unit of x."""
        return 1 + self.heading(x) ** 2

    def loss(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """L at points given by two arrays of one shape."""
        loss: np.ndarray = -self.slope * x + self.curvature / 2 * (y - self.floor(x)) ** 2
        return loss

    def gradient(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dL/dx and dL/dy, without noise."""
        across = self.curvature * (y - self.floor(x))
        return -self.slope - across * self.heading(x), across

    def hessian(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Second derivatives of L, of shape (..., 2, 2) for points of shape (...)."""
        heading, turn = self.heading(x), -(self.wavenumber**2) * self.floor(x)
        along = heading**2 - (y - self.floor(x)) * turn
        rows = np.array([[along, -heading], [-heading, np.ones_like(heading)]])
        return self.curvature * np.moveaxis(rows, (0, 1), (-2, -1))


class Trajectory(NamedTuple):
    """Positions before the first update and after each, both of shape (updates + 1, seeds)."""

    x: np.ndarray
    y: np.ndarray


def gradient_noise(seeds: Sequence[int], steps: int) -> np.ndarray:
    """Standard normal noise of each update and seed, of shape (steps, seeds).

    Each seed has its own stream: its first n numbers are the same however many steps, seeds, rates or schedules there
    are, so that schedules are compared under equal noise.
    """
    drawn = np.array([stream(seed, "river", "gradient noise").standard_normal(steps) for seed in seeds])
    return np.ascontiguousarray(drawn.T)


def descend(
    valley: Valley,
    *,
    rates: Sequence[float],
    noise: np.ndarray,
    start: tuple[np.ndarray | float, np.ndarray | float] = (0.0, 0.0),
) -> Trajectory:
    """SGD from one start under many noises at once; each update uses the gradient at the point that it leaves.

    Args:
        valley: the loss, and by how much the noise is multiplied.
        rates: learning rate of each update.
        noise: as `gradient_noise`, at least as many updates as `rates`; zeros of shape (updates, seeds) for none.
        start: x and y before the first update, for all seeds or one for each.
    """
    shape = (len(rates) + 1, noise.shape[1])
    path = Trajectory(np.full(shape, start[0]), np.full(shape, start[1]))
    for t, rate in enumerate(rates):
        x, y = path.x[t], path.y[t]
        along, across = valley.gradient(x, y)
        path.x[t + 1] = x - rate * along
        path.y[t + 1] = y - rate * (across + valley.noise * noise[t])
    return path


def push(valley: Valley, path: Trajectory, *, rates: Sequence[float], noise: np.ndarray) -> np.ndarray:
    """By how much the noise has moved x along the river in all: -sum of eta_t sigma xi_t f'/(1 + f'**2), for each seed.

    A step of the noise in y ends, once the hills have relaxed, by f'/(1 + f'**2) of it farther along x (derived here,
    to first order). Noise xi_t and the position before it are independent, so the mean over seeds is exactly 0: x less
    this push has the same expectation as x and a small part of its spread.

    Args:
        valley: as of the trajectory.
        path: result of `descend`.
        rates: its learning rates.
        noise: its noise.
    """
    x, count = path.x[:-1], len(rates)
    moves = np.asarray(rates)[:, np.newaxis] * valley.noise * noise[:count]
    moved: np.ndarray = -(moves * valley.heading(x) / valley.stretch(x)).sum(axis=0)
    return moved


def off_tangent(valley: Valley, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Component of the gradient across the Hessian's eigenvector of the smallest eigenvalue, which points towards +x.

    Its zeros, as long as the eigenvalues differ, are the river (Wen et al. 2024, recalled).
    """
    vectors = np.linalg.eigh(valley.hessian(x, y)).eigenvectors
    tangent = vectors[..., 0] * np.sign(vectors[..., :1, 0])
    along, across = valley.gradient(x, y)
    component: np.ndarray = across * tangent[..., 0] - along * tangent[..., 1]
    return component


def river_offset(valley: Valley, x: np.ndarray) -> np.ndarray:
    """Offset y - f(x) of the river, where the gradient is the Hessian's eigenvector of the smallest eigenvalue.

    Solved for each x within slope/curvature of `first_order_offset`.

    Raises: ArithmeticError if there is no change of sign there: the hills are not steep against the river's bends.
    """
    guess, reach = first_order_offset(valley, x), valley.slope / valley.curvature
    found = find_root(
        lambda offset, x: off_tangent(valley, x, valley.floor(x) + offset), (guess - reach, guess + reach), args=(x,)
    )
    if not np.all(found.success):
        lost = np.asarray(x)[~found.success].flat[0]
        raise ArithmeticError(
            f"no river found at x={lost:g} within slope/curvature={reach:g} of its first order; "
            f"the valley needs a larger curvature than {valley.curvature:g}, or less slope or bend"
        )
    offset: np.ndarray = found.x
    return offset


def first_order_offset(valley: Valley, x: np.ndarray) -> np.ndarray:
    """First order of `river_offset` in g/lam: -g f'/(lam (1 + f'**2)) (derived here)."""
    return -valley.slope * valley.heading(x) / (valley.curvature * valley.stretch(x))


def descent_lag(valley: Valley, x: np.ndarray) -> np.ndarray:
    """By how much gradient flow runs beside `first_order_offset` h, to second order: -h' g/(lam (1 + f'**2)**2).

    Gradient flow has dx/dt = g + lam h f' and dh/dt = -lam h (1 + f'**2) - g f', so it relaxes to a curve on which
    h = -(g f' + dh/dt)/(lam (1 + f'**2)); with dh/dt = h' dx/dt, both at first order, this is the formula (derived
    here). The river's own second order is another one, so the flow follows the river only to first order.
    """
    heading, stretch = valley.heading(x), valley.stretch(x)
    turn = -(valley.wavenumber**2) * valley.floor(x)
    offset_change = -valley.slope / valley.curvature * turn * (1 - heading**2) / stretch**2
    lag: np.ndarray = -offset_change * valley.slope / (valley.curvature * stretch**2)
    return lag


def river_clock(valley: Valley, x: np.ndarray) -> np.ndarray:
    """Clock at which the river flow dx/dt = g/(1 + f'(x)**2) from 0 reaches x: an elementary integral."""
    k, square = valley.wavenumber, (valley.bend * valley.wavenumber) ** 2
    return (x + square * (x / 2 + np.sin(2 * k * x) / (4 * k))) / valley.slope


def river_position(valley: Valley, clock: np.ndarray) -> np.ndarray:
    """Position x that the river flow from 0 has reached when the sum of the learning rates is `clock`, at least 0.

    Source: the river flow of Wen et al. 2024 (recalled) at first order in g/lam, dx/dt = g/(1 + f'(x)**2).
    """
    farthest = valley.slope * np.asarray(clock, dtype=float)
    nearest = farthest / (1 + (valley.bend * valley.wavenumber) ** 2)
    bracket = (nearest * (1 - 1e-9) - 1e-9, farthest * (1 + 1e-9) + 1e-9)
    found = find_root(lambda x, clock: river_clock(valley, x) - clock, bracket, args=(farthest / valley.slope,))
    position: np.ndarray = found.x
    return position


def river_loss(valley: Valley, x: np.ndarray) -> np.ndarray:
    """Loss on the river at first order: -g x + g**2 f'**2/(2 lam (1 + f'**2)**2) (derived here)."""
    return -valley.slope * x + valley.curvature / 2 * first_order_offset(valley, x) ** 2


def stationary_variance(*, rate: float, curvature: np.ndarray | float, noise: float) -> np.ndarray | float:
    """Variance of a hill coordinate under SGD at a constant rate: eta sigma**2/(lam (2 - eta lam)).

    Source: exact for a quadratic hill with independent noise; fixed point of `variances`.
    Raises: ValueError if rate * curvature does not lie in (0, 2): SGD diverges.
    """
    product = rate * np.asarray(curvature)
    if not np.all((product > 0) & (product < 2)):
        raise ValueError(f"{rate=} times {curvature=} must lie in (0, 2): beyond 2 SGD diverges; lower the rate")
    return rate * noise**2 / (curvature * (2 - product))


def stationary_excess(valley: Valley, *, rate: float, x: np.ndarray | float = 0.0) -> np.ndarray | float:
    """Mean loss above the river at a constant rate, eta sigma**2/(2 s (2 - eta lam s)) with s = 1 + f'(x)**2.

    A straight valley has s = 1, exactly. In a winding one the distance from the river shrinks by eta lam s in each
    update, since x moves too (derived here).

    ASSUME: x, and with it s, changes little while the distance relaxes.
    """
    sharpness = valley.curvature * valley.stretch(np.asarray(x))
    return valley.curvature / 2 * stationary_variance(rate=rate, curvature=sharpness, noise=valley.noise)


def small_rate_excess(valley: Valley, *, rate: np.ndarray | float) -> np.ndarray | float:
    """Limit of the excess for rate * curvature << 1: eta sigma**2/4, whatever the curvature (derived here)."""
    return rate * valley.noise**2 / 4


def excess_bound(valley: Valley, *, rate: np.ndarray | float) -> np.ndarray | float:
    """The bound eta sigma**2/2 for each hill coordinate (Wen et al. 2024, recalled).

    It holds in a straight valley as long as rate * curvature <= 1, with equality there, and for no larger rate.
    """
    return rate * valley.noise**2 / 2


def variances(*, rates: Sequence[float], curvature: np.ndarray | float, noise: float, start: float = 0.0) -> np.ndarray:
    """Variance of a hill coordinate before the first update and after each: V <- (1 - eta lam)**2 V + (eta sigma)**2.

    Args:
        rates: learning rate of each update.
        curvature: lam, one number or one for each update.
        noise: sigma of the gradient.
        start: variance before the first update.
    Returns: shape (updates + 1,).
    """
    values = [start]
    for rate, sharpness in zip(rates, np.broadcast_to(curvature, len(rates)), strict=True):
        values.append((1 - rate * sharpness) ** 2 * values[-1] + (rate * noise) ** 2)
    return np.array(values)


class Expectation(NamedTuple):
    """What theory expects before the first update and after each, all of shape (updates + 1,)."""

    clock: np.ndarray
    x: np.ndarray
    loss: np.ndarray


def expect(valley: Valley, rates: Sequence[float]) -> Expectation:
    """River flow from the origin by the clock, and the river's loss plus the hills' excess under any schedule.

    ASSUME: position and distance from the river do not influence each other beyond `stationary_excess`'s s(x).
    """
    clock = np.append(0.0, np.cumsum(rates))
    x = river_position(valley, clock)
    sharpness = valley.curvature * valley.stretch(x[:-1])
    excess = valley.curvature / 2 * variances(rates=rates, curvature=sharpness, noise=valley.noise)
    return Expectation(clock, x, river_loss(valley, x) + excess)


def optimal_rates(*, curvature: float, noise: float, variance: float, steps: int) -> np.ndarray:
    """Rates that leave the least variance of one hill coordinate after `steps` updates: 1/rate grows by lam in each.

    The best next update has eta = lam V/(lam**2 V + sigma**2), after which 1/V has grown by lam**2/sigma**2; less
    variance now is never worse later, so the best next one is best for every horizon (derived here).

    Args:
        curvature: lam of the hill.
        noise: sigma of the gradient, above 0.
        variance: V before the first update, above 0.
        steps: updates.
    Raises: ValueError if noise or variance is not above 0.
    """
    if min(noise, variance) <= 0:
        raise ValueError(f"{noise=} and {variance=} must be above 0: without them the best rate stays 1/curvature or 0")
    return 1 / (curvature * (1 + np.arange(steps)) + noise**2 / (curvature * variance))
