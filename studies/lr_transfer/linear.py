"""Two-layer linear networks f(x) = c v'Wx under gradient descent, with the exact top eigenvalues of their Hessian.

The loss is the mean over samples of half the squared error, so the gradients are those of the coefficients u = c W'v.
Curvature is the effective one, D^(1/2) H D^(1/2): D multiplies the learning rate of each tensor, and plain gradient
descent at the base rate is stable up to 2 / rate. Derived here:

* With g = X'(Xu - y) / n, descent moves each row of W along g by a multiple of v, and v by W g. So v and the columns of
  W never leave the span of their initial values, which has at most 1 + features dimensions, and a rotation of the
  neurons changes neither losses nor curvature. A network of any width is one of width 1 + features: `reduced`.
* The Hessian is G + R. The Gauss-Newton part G = J'SJ (J the derivative of u, S = X'X / n) has the nonzero eigenvalues
  of S^(1/2) JJ' S^(1/2) with JJ' = c**2 (d_W |v|**2 I + d_v W'W).
* The residual part maps a change (A, b) of W and v to k (b g', A g) with k = c sqrt(d_W d_v). Its eigenvalues are
  k |g| and -k |g|, each as often as the network is wide, and 0.
* After a rotation that turns v into the first axis, both parts keep the space of all (A, b) in which A is zero except
  along the first row and along g: 3 features + 1 dimensions at most. On the rest G is 0, and H no larger than k |g|,
  which H exceeds or meets on the space itself.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.config.parametrization import Role, Scaling
from common.streams import stream

Array = NDArray[np.float64]

INFINITE = 2**40
"""ASSUME: so many times the base width is infinite; what is left out is of relative order 2**-20."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A regression."""

    inputs: Array
    """X, (samples, features)."""
    targets: Array
    """y, (samples,)."""

    def errors(self, coefficients: Array) -> Array:
        """Xu - y, (samples,), for coefficients u, (features,)."""
        return self.inputs @ coefficients - self.targets

    def gradient(self, coefficients: Array) -> Array:
        """g, (features,): derivative of the loss by the coefficients."""
        return self.inputs.T @ self.errors(coefficients) / len(self.inputs)

    @property
    def covariance(self) -> Array:
        """S = X'X / n, (features, features): second derivative of the loss by the coefficients."""
        return self.inputs.T @ self.inputs / len(self.inputs)


@dataclass(frozen=True, kw_only=True)
class Network:
    """f(x) = c v'Wx, and by what the base learning rate is multiplied for each of its tensors."""

    weights: Array
    """W, (width, features)."""
    readout: Array
    """v, (width,)."""
    forward: float
    """c."""
    weights_rate: float
    """d_W."""
    readout_rate: float
    """d_v."""

    @property
    def coefficients(self) -> Array:
        """u, (features,), of the linear function that the network is."""
        return self.forward * self.readout @ self.weights

    def loss(self, task: Task) -> float:
        """Mean over samples of half the squared error."""
        return float(np.mean(task.errors(self.coefficients) ** 2)) / 2


class Curvature(NamedTuple):
    """Largest eigenvalues of the effective Hessian and of its two parts."""

    hessian: float
    gauss_newton: float
    residual: float


def random_task(seed: int, *, samples: int, features: int) -> Task:
    """Standard normal inputs; targets are a linear function of them with coefficients of norm 1 and random direction.

    ASSUME: no noise in the targets. It would leave a loss that no coefficients remove, but G, R and g depend on the
    targets only through the best coefficients.
    """
    inputs = stream(seed, "inputs").standard_normal((samples, features))
    direction = stream(seed, "teacher").standard_normal(features)
    return Task(inputs=inputs, targets=inputs @ direction / np.linalg.norm(direction))


def random_network(
    seed: int, *, width: float, features: int, parametrization: str, base_width: int, gain: float
) -> Network:
    """Normal initial values of standard deviation gain / sqrt(fan-in), scaled from the base width as `Scaling` says.

    Parametrizations share their standard normal numbers, so that they are one network at the base width.

    Args:
        seed: of the initial values.
        width: number of neurons; infinite for the limit, which comes `reduced`.
        features: number of inputs.
        parametrization: a name in `common.config.parametrization`, such as "mup".
        base_width: where all parametrizations are equal.
        gain: of both tensors.
    """
    multiple = INFINITE if math.isinf(width) else width / base_width
    normal = _limit_values if math.isinf(width) else _normal_values
    weights, readout = normal(seed, width=round(multiple * base_width), features=features)
    scaling = Scaling(parametrization=parametrization, width=multiple)
    first, last = scaling.factors(Role.EMBEDDING), scaling.factors(Role.READOUT)
    return Network(
        weights=gain * first.std * weights,
        readout=gain * last.std * readout,
        forward=first.forward * last.forward,
        weights_rate=first.rate("sgd"),
        readout_rate=last.rate("sgd"),
    )


def _normal_values(seed: int, *, width: int, features: int) -> tuple[Array, Array]:
    """W and v, normal with variances 1 / features and 1 / width."""
    weights = stream(seed, "weights", width).standard_normal((width, features))
    readout = stream(seed, "readout", width).standard_normal(width)
    return weights * features**-0.5, readout * width**-0.5


def _limit_values(seed: int, *, width: int, features: int) -> tuple[Array, Array]:
    """The same rotated as by `reduced` for a large width: each length is its mean, the columns of W are orthogonal.

    But along v each column stays normal with variance 1 / features, however large the width: this makes u.
    """
    along = stream(seed, "limit").standard_normal(features)
    return np.vstack([along, width**0.5 * np.eye(features)]) * features**-0.5, np.eye(1 + features)[0]


def reduced(network: Network) -> Network:
    """The same network after a rotation of its neurons, without those that are 0 then and stay so.

    The width is at most 1 + features, and all entries of v but the first are 0.
    """
    triangle = np.linalg.qr(np.column_stack([network.readout, network.weights])).R
    return replace(network, readout=triangle[:, 0], weights=triangle[:, 1:])


def descended(network: Network, task: Task, *, lr: float) -> Network:
    """The network after one update of gradient descent at this base learning rate."""
    pull = lr * network.forward * task.gradient(network.coefficients)
    return replace(
        network,
        weights=network.weights - network.weights_rate * np.outer(network.readout, pull),
        readout=network.readout - network.readout_rate * network.weights @ pull,
    )


def curvature(network: Network, task: Task) -> Curvature:
    """Exact, from matrices whose sizes do not depend on the width; see the head of this file."""
    network = reduced(network)
    return Curvature(
        hessian=_top(_hessian(network, task)),
        gauss_newton=_gauss_newton(network, task),
        residual=_residual(network, task),
    )


def _top(matrix: Array) -> float:
    return float(np.linalg.eigvalsh(matrix)[-1])


def _gauss_newton(network: Network, task: Task) -> float:
    """Largest eigenvalue of F JJ' F' with F'F = S."""
    factor = np.linalg.qr(task.inputs).R / len(task.inputs) ** 0.5
    length = network.readout @ network.readout
    kernel = network.weights_rate * length * np.eye(len(factor.T))
    kernel += network.readout_rate * network.weights.T @ network.weights
    return network.forward**2 * _top(factor @ kernel @ factor.T)


def _coupling(network: Network) -> float:
    """k: how strongly the residual part couples both tensors."""
    return network.forward * math.sqrt(network.weights_rate * network.readout_rate)


def _residual(network: Network, task: Task) -> float:
    return _coupling(network) * float(np.linalg.norm(task.gradient(network.coefficients)))


def _hessian(network: Network, task: Task) -> Array:
    """G + R of a `reduced` network on its invariant space.

    Coordinates: first row of A (features), other rows of A along g (width - 1), b (width).
    """
    width, features = network.weights.shape
    rows = network.weights_rate**0.5 * network.readout[0] * np.eye(features)
    others = np.zeros((features, width - 1))
    jacobian = network.forward * np.hstack([rows, others, network.readout_rate**0.5 * network.weights.T])
    gradient = task.gradient(network.coefficients)
    residual = np.zeros((jacobian.shape[1], width))
    residual[:features, 0] = gradient
    residual[features:-width, 1:] = np.linalg.norm(gradient) * np.eye(width - 1)
    hessian: Array = jacobian.T @ task.covariance @ jacobian
    hessian[:, -width:] += _coupling(network) * residual
    hessian[-width:] += _coupling(network) * residual.T
    return hessian


def trajectory(network: Network, task: Task, *, lr: float, steps: int) -> Iterator[Network]:
    """The `reduced` network at its start and after each update of gradient descent: `steps` + 1 networks."""
    network = reduced(network)
    yield network
    for _ in range(steps):
        network = descended(network, task, lr=lr)
        yield network
