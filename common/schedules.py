"""Learning rates as pure functions of the update (layer 1, no torch).

One constructor for each kind of `config.Schedule`, with the same name; it returns a function t -> factor of the peak.

Convention, the same for every kind: a run makes the updates t = 0 .. steps - 1, and update t uses schedule(t).
A warm-up of W updates gives (t + 1)/W, so no update is wasted at rate 0 and the last one of the warm-up has the peak.
A decay of D updates that begins at update Ts is a function of u = (t - Ts + 1)/D in (0, 1]: its last update has exactly
the floor, and no update of it has the peak. A schedule is a row of phases, each counted from its own first update, so
a run that continues another at the start of a phase has the same rates, bit for bit, as one run over both.

Constructors refuse senseless arguments with a ValueError when they are called; the schedules themselves then refuse
only an update outside the run.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from common import config

Factor = Callable[[int], float]
"""Update of the run, or of one phase -> factor of the peak learning rate."""

FLOOR = 0.1
"""Factor of a decay's last update unless the schedule says otherwise (Wen et al. 2024, Ibrahim et al. 2024)."""


def linear_decay(u: float, floor: float) -> float:
    """Factor 1 - (1 - floor) u (Defazio et al. 2023, arXiv:2310.07831)."""
    return floor + (1 - floor) * (1 - u)


def cosine_decay(u: float, floor: float) -> float:
    """Factor floor + (1 - floor)(1 + cos(pi u))/2 (Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5)."""
    return floor + (1 - floor) * (1 + math.cos(math.pi * u)) / 2


def sqrt_decay(u: float, floor: float) -> float:
    """Factor floor + (1 - floor)(1 - sqrt(u)) (Haegele et al. 2024, arXiv:2405.18392)."""
    return floor + (1 - floor) * (1 - math.sqrt(u))


def inverse_decay(u: float, floor: float) -> float:
    """1/factor = u/floor + (1 - u): linear in 1/rate; the floor must be above 0 (Wen et al. 2024, arXiv:2410.05192)."""
    return floor / (floor + (1 - floor) * u)


def exponential_decay(u: float, floor: float) -> float:
    """Factor floor**u; the floor must be above 0 (Haegele et al. 2024, arXiv:2405.18392, in the authors' code)."""
    return float(floor**u)


def square_decay(u: float, floor: float) -> float:
    """Factor floor + (1 - floor)(1 - u**2) (Haegele et al. 2024, arXiv:2405.18392, in the authors' code)."""
    return floor + (1 - floor) * (1 - u * u)


def inverse_sqrt_decay(u: float, floor: float) -> float:
    """Factor 1 - (1 - floor) h(u)/h(1), h(u) = 1/sqrt(1 + 10 u) - 1 (Ibrahim et al. 2024, arXiv:2403.08763).

    The steepness 10 is ours.
    """
    steepness = 10.0
    done = (1 - 1 / math.sqrt(1 + steepness * u)) / (1 - 1 / math.sqrt(1 + steepness))
    return floor + (1 - floor) * (1 - done)


SHAPES: dict[str, Callable[[float, float], float]] = {
    "linear": linear_decay,
    "cosine": cosine_decay,
    "sqrt": sqrt_decay,
    "inverse": inverse_decay,
    "exponential": exponential_decay,
    "square": square_decay,
    "inverse_sqrt": inverse_sqrt_decay,
}


def decay(shape: str, u: float, floor: float) -> float:
    """Factor at progress u of a decay from 1 (u = 0) to exactly `floor` (u = 1).

    Args:
        shape: one of `config.DECAY_SHAPES`.
        u: share of the decay that is done after this update, in [0, 1].
        floor: last factor, in [0, 1]; above 0 for the shapes inverse and exponential.

    Raises: ValueError if the shape is unknown or cannot reach the floor, or a number lies outside its interval.

    >>> [round(1 / decay("inverse", j / 3, 0.1), 9) for j in (1, 2, 3)]
    [4.0, 7.0, 10.0]
    """
    _check_decay(shape, floor)
    if not 0 <= u <= 1:
        raise ValueError(f"{u=} is the progress of a decay and must lie in [0, 1]")
    return SHAPES[shape](u, floor)


class Phase(NamedTuple):
    """A stretch of a schedule: its number of updates, and its factor by update of the phase (0 .. steps - 1)."""

    steps: int
    factor: Factor


def rise(steps: int, start: float = 0.0) -> Phase:
    """Linear warm-up to 1: start + (1 - start)(i + 1)/steps; its last update has 1."""
    return Phase(steps, lambda i: start + (1 - start) * ((i + 1) / steps))


def hold(steps: int, level: float = 1.0) -> Phase:
    """The same factor at each update."""
    return Phase(steps, lambda _: level)


def fall(steps: int, shape: str, floor: float) -> Phase:
    """Decay from 1: its update i has decay(shape, (i + 1)/steps, floor); its last update has `floor`."""
    _check_decay(shape, floor)
    curve = SHAPES[shape]
    return Phase(steps, lambda i: curve((i + 1) / steps, floor))


def anneal(steps: int, level: float, floor: float) -> Phase:
    """Exponential decay from `level`: level (floor/level)**u, u = (i + 1)/steps; its last update has `floor`."""
    return Phase(steps, lambda i: float(floor * (level / floor) ** (1 - (i + 1) / steps)))


def join(phases: Sequence[Phase]) -> Factor:
    """The schedule that runs through the phases one after another; a phase of 0 updates is passed over."""
    ends = list(accumulate(phase.steps for phase in phases))
    steps = ends[-1]

    def schedule(t: int) -> float:
        if not 0 <= t < steps:
            raise ValueError(f"{t=} is no update of this schedule; its updates are 0 .. {steps - 1}")
        k = bisect_right(ends, t)
        return phases[k].factor(t - ends[k] + phases[k].steps)

    return schedule


def constant(*, steps: int, warmup_steps: int = 0) -> Factor:
    """Warm-up, then the peak. First update 1/warmup_steps (1 without warm-up), last update 1.

    Raises: ValueError if a count is negative or the warm-up does not fit into `steps`.
    """
    rest = _rest(steps, warmup_steps=warmup_steps)
    return join([rise(warmup_steps), hold(rest)])


def linear(*, steps: int, warmup_steps: int = 0, floor: float = FLOOR) -> Factor:
    """Warm-up W, then linear decay over the rest: 1 - (1 - floor) u, u = (t - W + 1)/(T - W) (arXiv:2310.07831).

    First update 1/W, or 1 - (1 - floor)/T without warm-up; last update `floor`.

    Raises: ValueError if the warm-up does not fit into `steps`, or the floor does not lie in [0, 1].
    """
    rest = _rest(steps, warmup_steps=warmup_steps)
    return join([rise(warmup_steps), fall(rest, "linear", floor)])


def cosine(*, steps: int, warmup_steps: int = 0, floor: float = FLOOR) -> Factor:
    """Warm-up W, then one cosine over the rest: floor + (1 - floor)(1 + cos(pi u))/2, u = (t - W + 1)/(T - W).

    Source: Loshchilov and Hutter 2017 (arXiv:1608.03983, equation 5), where u = (t - W)/(T - W) would put the floor on
    the update after the last. First update 1/W, or just below 1 without warm-up; last update `floor`.

    Raises: ValueError if the warm-up does not fit into `steps`, or the floor does not lie in [0, 1].
    """
    rest = _rest(steps, warmup_steps=warmup_steps)
    return join([rise(warmup_steps), fall(rest, "cosine", floor)])


def wsd(
    *, steps: int, decay_steps: int, warmup_steps: int = 0, decay_shape: str = "linear", floor: float = FLOOR
) -> Factor:
    """Warmup-stable-decay: warm-up, the peak, and a decay over the last updates (Wen et al. 2024, arXiv:2410.05192).

    With Ts = steps - decay_steps, update t >= Ts has decay(decay_shape, (t - Ts + 1)/decay_steps, floor). First update
    1/warmup_steps (1 without warm-up), update Ts - 1 has 1, last update `floor`.

    Raises: ValueError if warm-up and decay do not fit into `steps`, or the shape cannot reach the floor.

    >>> schedule = wsd(steps=8, warmup_steps=2, decay_steps=3, decay_shape="inverse", floor=0.1)
    >>> [round(schedule(t), 4) for t in range(8)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.25, 0.1429, 0.1]
    """
    rest = _rest(steps, warmup_steps=warmup_steps, decay_steps=decay_steps)
    return join([rise(warmup_steps), hold(rest), fall(decay_steps, decay_shape, floor)])


def wsd_s(
    *,
    steps: int,
    decay_ends: Sequence[int],
    decay_steps: int | Sequence[int],
    warmup_steps: int = 0,
    rewarm_steps: int = 0,
    decay_shape: str = "linear",
    floor: float = FLOOR,
) -> Factor:
    """WSD-S: one run that decays before each end and then goes on at the peak (Wen et al. 2024, arXiv:2410.05192).

    Between two ends it is `wsd`; after an end the rate jumps back to the peak, or rises to it linearly from the floor
    in `rewarm_steps` updates. `decay_ends` are the counts of updates after which a decay has ended, the last of them
    `steps`; `decay_steps` is the length of every decay, or one length for each. First update 1/warmup_steps (1 without
    warm-up); update e - 1 has `floor` for each end e, so the last update has it too.

    Raises: ValueError if the ends are not such, or a warm-up and a decay do not fit between two of them, or the shape
        cannot reach the floor.
    """
    lengths = [decay_steps] * len(decay_ends) if isinstance(decay_steps, int) else list(decay_steps)
    if len(lengths) != len(decay_ends):
        raise ValueError(f"{decay_steps=} must be one number, or one for each of {decay_ends=}")
    phases: list[Phase] = []
    warm = rise(warmup_steps)
    for span, length in zip(_spans("decay_ends", decay_ends, steps), lengths, strict=True):
        rest = _rest(span, warmup_steps=warm.steps, decay_steps=length)
        phases += [warm, hold(rest), fall(length, decay_shape, floor)]
        warm = rise(rewarm_steps, start=floor)
    return join(phases)


def cyclic_cosine(
    *, steps: int, cycle_ends: Sequence[int], warmup_steps: int = 0, rewarm_steps: int = 0, floor: float = FLOOR
) -> Factor:
    """One cosine to the floor before each end (the cyclic baseline of Wen et al. 2024, arXiv:2410.05192).

    Between two ends it is `cosine`; after an end the rate jumps back to the peak, or rises to it linearly from the
    floor in `rewarm_steps` updates. `cycle_ends` are the counts of updates after which a cosine has ended, the last of
    them `steps`. First update 1/warmup_steps, or just below 1 without warm-up; update e - 1 has `floor` for each end e,
    so the last update has it too.

    Raises: ValueError if the ends are not such, or a warm-up does not fit between two of them, or the floor does not
        lie in [0, 1].
    """
    phases: list[Phase] = []
    warm = rise(warmup_steps)
    for span in _spans("cycle_ends", cycle_ends, steps):
        rest = _rest(span, warmup_steps=warm.steps)
        phases += [warm, fall(rest, "cosine", floor)]
        warm = rise(rewarm_steps, start=floor)
    return join(phases)


def infinite(
    *,
    steps: int,
    cooldown_steps: int,
    level: float,
    decay_steps: int,
    warmup_steps: int = 0,
    cooldown_shape: str = "cosine",
    start: float = 0.0,
    floor: float = FLOOR,
) -> Factor:
    """Warm-up, cooldown to a constant level, that level for any time, exponential annealing to the floor.

    Cooldown: decay(cooldown_shape, u, level), cosine or inverse_sqrt in the papers; annealing: level (floor/level)**u.
    First update start + (1 - start)/warmup_steps, or the first of the cooldown without warm-up; last update `floor`, or
    `level` if decay_steps is 0. Only the constant phase depends on `steps`: `decay_steps=0` is the endless trunk, and
    `cooldown_steps=0, decay_steps=steps` its annealing as a run of its own.

    Source: Ibrahim et al. 2024 (arXiv:2403.08763), Singh et al. 2025 (arXiv:2503.02844); formulas as in their code.
    Raises: ValueError if the phases do not fit into `steps`, a factor does not lie in [0, 1], or not
        0 < floor <= level.
    """
    _check_factors(start=start, level=level, floor=floor)
    if not 0 < floor <= level:
        raise ValueError(f"{floor=} must be above 0 and at most {level=}: the annealing falls from level to floor")
    rest = _rest(steps, warmup_steps=warmup_steps, cooldown_steps=cooldown_steps, decay_steps=decay_steps)
    cooldown = fall(cooldown_steps, cooldown_shape, level)
    return join([rise(warmup_steps, start), cooldown, hold(rest, level), anneal(decay_steps, level, floor)])


def rewarm(*, steps: int, warmup_steps: int = 0, start: float = 0.0, floor: float = FLOOR) -> Factor:
    """Re-warm and re-decay of a trained model: linear from `start` to the peak, then one cosine to the floor.

    Update t < W has start + (1 - start)(t + 1)/W, the others are those of `cosine`; `start` is 0, or the factor at
    which the training before ended. First update start + (1 - start)/W, or just below 1 without warm-up; last update
    `floor`.

    Source: Gupta et al. 2023 (arXiv:2308.04014), Ibrahim et al. 2024 (arXiv:2403.08763).
    Raises: ValueError if the warm-up does not fit into `steps`, or a factor does not lie in [0, 1].
    """
    _check_factors(start=start)
    rest = _rest(steps, warmup_steps=warmup_steps)
    return join([rise(warmup_steps, start), fall(rest, "cosine", floor)])


KINDS: dict[str, Callable[..., Factor]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "wsd": wsd,
    "wsd_s": wsd_s,
    "cyclic_cosine": cyclic_cosine,
    "infinite": infinite,
    "rewarm": rewarm,
}


def build(schedule: config.Schedule, *, steps: int) -> Factor:
    """The function t -> factor that a description means over a run of `steps` updates.

    Fields that the description leaves out take the defaults in the signature of the kind's constructor.

    Raises: ValueError if the description does not fit a run of this length.
    """
    given = {name: value for name, value in config.to_dict(schedule).items() if name != "kind"}
    return KINDS[schedule.kind](steps=steps, **given)


def rates(schedule: config.Schedule, *, steps: int, lr: float) -> list[float]:
    """Learning rate of each update t = 0 .. steps - 1, for a peak of `lr`."""
    factor = build(schedule, steps=steps)
    return [lr * factor(t) for t in range(steps)]


def _rest(steps: int, **phases: int) -> int:
    """Updates that the named phases leave over."""
    if steps < 1:
        raise ValueError(f"{steps=} must be at least 1")
    for name, count in phases.items():
        if count < 0:
            raise ValueError(f"{name}={count} must be at least 0")
    rest = steps - sum(phases.values())
    if rest < 0:
        spans = " + ".join(f"{name}={count}" for name, count in phases.items())
        raise ValueError(f"{spans} must fit into {steps} updates; shorten one of them by {-rest}, or train longer")
    return rest


def _spans(name: str, ends: Sequence[int], steps: int) -> Iterator[int]:
    """Updates between one end and the next."""
    begins = [0, *ends]
    if not ends or any(later <= earlier for earlier, later in pairwise(begins)) or ends[-1] != steps:
        raise ValueError(f"{name}={tuple(ends)} must be increasing counts of updates, the last of them {steps=}")
    return (later - earlier for earlier, later in pairwise(begins))


def _check_factors(**factors: float) -> None:
    for name, value in factors.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name}={value} is a factor of the peak and must lie in [0, 1]")


def _check_decay(shape: str, floor: float) -> None:
    if shape not in SHAPES:
        raise ValueError(f"decay shape {shape!r} must be one of {', '.join(SHAPES)}")
    _check_factors(floor=floor)
    if shape in ("inverse", "exponential") and floor == 0:
        raise ValueError(f"{floor=} is never reached by a decay of shape {shape!r}; choose a floor above 0")
