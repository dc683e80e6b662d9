"""Learning rates as pure functions of the update.

One constructor for each kind of `config.Schedule`, named like its word: from the description, and the updates of the
run, to a function t -> factor of the peak. `build` finds it.

Convention, the same for every kind: a run makes the updates t = 0 .. steps - 1, and update t uses schedule(t).
A warm-up of W updates gives (t + 1)/W, so no update is wasted at rate 0 and the last one of the warm-up has the peak.
A decay of D updates that begins at update Ts is a function of u = (t - Ts + 1)/D in (0, 1]: its last update has exactly
the floor, and no update of it has the peak. A schedule is a row of phases, each counted from its own first update, so
a run that continues another at the start of a phase has the same rates, bit for bit, as one run over both.

A description checks itself, and its constructor checks that it fits the run; the schedules themselves then refuse only
an update outside the run.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from common import config
from common.config import chosen, implementation
from common.optim import decays

Factor = Callable[[int], float]
"""Update of the run, or of one phase -> factor of the peak learning rate."""

Decay = Callable[[float, float], float]
"""Share of the decay that is done, floor -> factor (see common/optim/decays.py)."""


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


def fall(steps: int, curve: Decay, floor: float) -> Phase:
    """Decay from 1: its update i has curve((i + 1)/steps, floor); its last update has `floor`."""
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


def constant(schedule: config.Constant, *, steps: int) -> Factor:
    """Warm-up, then the peak. First update 1/warmup_steps (1 without warm-up), last update 1."""
    rest = _rest(schedule, steps, schedule.warmup_steps)
    return join([rise(schedule.warmup_steps), hold(rest)])


def linear(schedule: config.Linear, *, steps: int) -> Factor:
    """Warm-up W, then linear decay over the rest: 1 - (1 - floor) u, u = (t - W + 1)/(T - W) (arXiv:2310.07831).

    First update 1/W, or 1 - (1 - floor)/T without warm-up; last update `floor`.
    """
    rest = _rest(schedule, steps, schedule.warmup_steps)
    return join([rise(schedule.warmup_steps), fall(rest, decays.linear, schedule.floor)])


def cosine(schedule: config.Cosine, *, steps: int) -> Factor:
    """Warm-up W, then one cosine over the rest: floor + (1 - floor)(1 + cos(pi u))/2, u = (t - W + 1)/(T - W).

    Source: Loshchilov and Hutter 2017 (arXiv:1608.03983, equation 5), where u = (t - W)/(T - W) would put the floor on
    the update after the last. First update 1/W, or just below 1 without warm-up; last update `floor`.
    """
    rest = _rest(schedule, steps, schedule.warmup_steps)
    return join([rise(schedule.warmup_steps), fall(rest, decays.cosine, schedule.floor)])


def wsd(schedule: config.WSD, *, steps: int) -> Factor:
    """Warmup-stable-decay: warm-up, the peak, and a decay over the last updates (Wen et al. 2024, arXiv:2410.05192).

    With Ts = steps - decay_steps, update t >= Ts has the decay at u = (t - Ts + 1)/decay_steps. First update
    1/warmup_steps (1 without warm-up), update Ts - 1 has 1, last update `floor`.

    >>> described = config.WSD(warmup_steps=2, decay_steps=3, decay_shape="inverse")
    >>> schedule = wsd(described, steps=8)
    >>> [round(schedule(t), 4) for t in range(8)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.25, 0.1429, 0.1]
    """
    rest = _rest(schedule, steps, schedule.warmup_steps, schedule.decay_steps)
    decay = fall(schedule.decay_steps, chosen(schedule, "decay_shape"), schedule.floor)
    return join([rise(schedule.warmup_steps), hold(rest), decay])


def wsd_s(schedule: config.WSDS, *, steps: int) -> Factor:
    """WSD-S: one run that decays before each end and then goes on at the peak (Wen et al. 2024, arXiv:2410.05192).

    Between two ends it is `wsd`; after an end the rate jumps back to the peak, or rises to it linearly from the floor
    in `rewarm_steps` updates. First update 1/warmup_steps (1 without warm-up); update e - 1 has `floor` for each end e,
    so the last update has it too.
    """
    _check(schedule, steps)
    curve: Decay = chosen(schedule, "decay_shape")
    phases: list[Phase] = []
    warm = rise(schedule.warmup_steps)
    for span, length in zip(_spans(schedule.decay_ends), schedule.decays, strict=True):
        phases += [warm, hold(span - warm.steps - length), fall(length, curve, schedule.floor)]
        warm = rise(schedule.rewarm_steps, start=schedule.floor)
    return join(phases)


def cyclic_cosine(schedule: config.CyclicCosine, *, steps: int) -> Factor:
    """One cosine to the floor before each end (the cyclic baseline of Wen et al. 2024, arXiv:2410.05192).

    Between two ends it is `cosine`; after an end the rate jumps back to the peak, or rises to it linearly from the
    floor in `rewarm_steps` updates. First update 1/warmup_steps, or just below 1 without warm-up; update e - 1 has
    `floor` for each end e, so the last update has it too.
    """
    _check(schedule, steps)
    phases: list[Phase] = []
    warm = rise(schedule.warmup_steps)
    for span in _spans(schedule.cycle_ends):
        phases += [warm, fall(span - warm.steps, decays.cosine, schedule.floor)]
        warm = rise(schedule.rewarm_steps, start=schedule.floor)
    return join(phases)


def infinite(schedule: config.Infinite, *, steps: int) -> Factor:
    """Warm-up, cooldown to a constant level, that level for any time, exponential annealing to the floor.

    Cooldown: the decay of shape `cooldown_shape` to the level, cosine or inverse_sqrt in the papers; annealing:
    level (floor/level)**u. First update start + (1 - start)/warmup_steps, or the first of the cooldown without warm-up;
    last update `floor`, or `level` if decay_steps is 0. Only the constant phase depends on `steps`: `decay_steps=0` is
    the endless trunk, and `cooldown_steps=0, decay_steps=steps` its annealing as a run of its own.

    Source: Ibrahim et al. 2024 (arXiv:2403.08763), Singh et al. 2025 (arXiv:2503.02844); formulas as in their code.
    """
    rest = _rest(schedule, steps, schedule.warmup_steps, schedule.cooldown_steps, schedule.decay_steps)
    cooldown = fall(schedule.cooldown_steps, chosen(schedule, "cooldown_shape"), schedule.level)
    annealing = anneal(schedule.decay_steps, schedule.level, schedule.floor)
    return join([rise(schedule.warmup_steps, schedule.start), cooldown, hold(rest, schedule.level), annealing])


def rewarm(schedule: config.Rewarm, *, steps: int) -> Factor:
    """Re-warm and re-decay of a trained model: linear from `start` to the peak, then one cosine to the floor.

    Update t < W has start + (1 - start)(t + 1)/W, the others are those of `cosine`; `start` is 0, or the factor at
    which the training before ended. First update start + (1 - start)/W, or just below 1 without warm-up; last update
    `floor`.

    Source: Gupta et al. 2023 (arXiv:2308.04014), Ibrahim et al. 2024 (arXiv:2403.08763).
    """
    rest = _rest(schedule, steps, schedule.warmup_steps)
    return join([rise(schedule.warmup_steps, schedule.start), fall(rest, decays.cosine, schedule.floor)])


def build(schedule: config.Schedule, *, steps: int) -> Factor:
    """The function t -> factor that a description means over a run of `steps` updates.

    Raises: ValueError if the description does not fit a run of this length.
    """
    factor: Factor = implementation(schedule)(schedule, steps=steps)
    return factor


def rates(schedule: config.Schedule, *, steps: int, lr: float) -> list[float]:
    """Learning rate of each update t = 0 .. steps - 1, for a peak of `lr`."""
    factor = build(schedule, steps=steps)
    return [lr * factor(t) for t in range(steps)]


def _check(schedule: config.Schedule, steps: int) -> None:
    if steps < 1:
        raise ValueError(f"{steps=} must be at least 1")
    if misfits := list(schedule.fits(steps)):
        raise ValueError("; ".join(misfits))


def _rest(schedule: config.Schedule, steps: int, *phases: int) -> int:
    """Updates that some phases leave over, checked."""
    _check(schedule, steps)
    return steps - sum(phases)


def _spans(ends: Sequence[int]) -> Iterator[int]:
    """Updates between one end and the next."""
    return (later - earlier for earlier, later in pairwise([0, *ends]))
