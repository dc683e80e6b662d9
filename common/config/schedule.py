"""The learning rate over a run, as a factor of its peak by update (see common/optim/schedules.py for the formulas)."""

from collections.abc import Iterator
from typing import Literal

from common.config.description import Kind, at_least, description, field

__all__ = [
    "WSD",
    "WSDS",
    "Constant",
    "Cosine",
    "CyclicCosine",
    "DecayShape",
    "Infinite",
    "Linear",
    "Rewarm",
    "Schedule",
]

DecayShape = Literal["linear", "cosine", "sqrt", "inverse", "exponential", "square", "inverse_sqrt"]
"""Each is a function of common/optim/decays.py."""

DECAYS = "common.optim.decays"
NEVER_ZERO = ("inverse", "exponential")
"""Shapes that reach no floor of 0."""


@description
class Schedule(Kind):
    """What all schedules have."""

    formerly = "constant"

    warmup_steps: int = field(default=0, neutral=0)
    """Linear warm-up: update t < warmup_steps has (t + 1) / warmup_steps."""

    def _rules(self) -> Iterator[str]:
        yield from at_least(0, self, "warmup_steps")

    def _factors(self, *names: str) -> Iterator[str]:
        for name in names:
            number = getattr(self, name)
            if not 0 <= number <= 1:
                yield f"{name}={number} is a factor of the peak and must lie in [0, 1]"

    def fits(self, steps: int) -> Iterator[str]:
        """Problems of this schedule over a run of `steps` updates: phases that overlap or do not fill it."""
        yield from _overlap(steps, warmup_steps=self.warmup_steps)


def _overlap(steps: int, **phases: int) -> Iterator[str]:
    if sum(phases.values()) > steps:
        spans = " + ".join(f"{name}={count}" for name, count in phases.items() if count)
        yield f"{spans} overlap: they must fit into steps={steps}"


def _never_zero(shape: str, floor: float) -> Iterator[str]:
    if shape in NEVER_ZERO and floor == 0:
        yield f"floor=0.0 is never reached by a decay of shape {shape!r}; choose a floor above 0"


@description
class Constant(Schedule):
    """Warm-up, then the peak."""

    kind = "constant"
    code = "common.optim.schedules:constant"


@description
class Linear(Schedule):
    """Warm-up, then a linear decay over the rest."""

    kind = "linear"
    code = "common.optim.schedules:linear"

    floor: float = 0.1
    """Factor of the last update (Wen et al. 2024, Ibrahim et al. 2024)."""

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from self._factors("floor")


@description
class Cosine(Linear):
    """Warm-up, then one cosine over the rest."""

    kind = "cosine"
    code = "common.optim.schedules:cosine"


@description
class Rewarm(Linear):
    """Re-warm and re-decay of a trained model: linear from `start` to the peak, then one cosine."""

    kind = "rewarm"
    code = "common.optim.schedules:rewarm"

    start: float = field(default=0.0, neutral=0.0)
    """Factor from which the warm-up starts."""

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from self._factors("start")


@description
class WSD(Linear):
    """Warm-up, the peak, and a decay over the last updates."""

    kind = "wsd"
    code = "common.optim.schedules:wsd"

    decay_steps: int
    """Updates of the final decay."""
    decay_shape: DecayShape = field(default="linear", choice=DECAYS)
    """sqrt is 1 - sqrt(u)."""

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(0, self, "decay_steps")
        yield from _never_zero(self.decay_shape, self.floor)

    def fits(self, steps: int) -> Iterator[str]:
        """See `Schedule.fits`."""
        yield from _overlap(steps, warmup_steps=self.warmup_steps, decay_steps=self.decay_steps)


@description
class Infinite(Linear):
    """Warm-up, cooldown to a constant level, that level for any time, exponential annealing to the floor."""

    kind = "infinite"
    code = "common.optim.schedules:infinite"

    start: float = field(default=0.0, neutral=0.0)
    """Factor from which the warm-up starts."""
    cooldown_steps: int
    """Updates from the peak to the constant level."""
    cooldown_shape: DecayShape = field(default="cosine", choice=DECAYS)
    level: float
    """Factor of the constant phase."""
    decay_steps: int
    """Updates of the annealing."""

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(0, self, "cooldown_steps", "decay_steps")
        yield from self._factors("start", "level")
        if not 0 < self.floor <= self.level:
            yield f"floor={self.floor} must be above 0 and at most level={self.level}"

    def fits(self, steps: int) -> Iterator[str]:
        """See `Schedule.fits`."""
        cooldown, decay = self.cooldown_steps, self.decay_steps
        yield from _overlap(steps, warmup_steps=self.warmup_steps, cooldown_steps=cooldown, decay_steps=decay)


@description
class _Cycles(Linear):
    """One segment after another, each with an end at which a finished model is wanted."""

    rewarm_steps: int = field(default=0, neutral=0)
    """Linear warm-up after each end."""

    def _ends_rules(self, name: str) -> Iterator[str]:
        ends = getattr(self, name)
        yield from at_least(0, self, "rewarm_steps")
        if not ends or ends[0] < 1 or list(ends) != sorted(set(ends)):
            yield f"{name}={ends} must be increasing counts of updates"

    def _segments(self, name: str, steps: int, decays: tuple[int, ...]) -> Iterator[str]:
        ends = getattr(self, name)
        yield from _overlap(steps, warmup_steps=self.warmup_steps)
        if ends and ends[-1] != steps:
            yield f"{name}={ends} must end with steps={steps}"
        for i, (begin, end, decay) in enumerate(zip((0, *ends), ends, decays, strict=False)):
            warm = self.rewarm_steps if i else self.warmup_steps
            if warm + decay > end - begin:
                yield f"{name}={ends}: warm-up ({warm}) and decay ({decay}) overlap before update {end}"


@description
class WSDS(_Cycles):
    """WSD-S: one run that decays before each end and then goes on at the peak."""

    kind = "wsd_s"
    code = "common.optim.schedules:wsd_s"

    decay_ends: tuple[int, ...]
    """Updates after which a decay has ended; the last one is the end of the run."""
    decay_steps: int | tuple[int, ...]
    """Updates of each decay, one number or one for each end."""
    decay_shape: DecayShape = field(default="linear", choice=DECAYS)

    @property
    def decays(self) -> tuple[int, ...]:
        """Updates of the decay before each end."""
        return self.decay_steps if isinstance(self.decay_steps, tuple) else (self.decay_steps,) * len(self.decay_ends)

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from self._ends_rules("decay_ends")
        yield from _never_zero(self.decay_shape, self.floor)
        if min(self.decays, default=0) < 0:
            yield f"decay_steps={self.decay_steps} must be at least 0"
        if self.decay_ends and len(self.decays) != len(self.decay_ends):
            yield f"decay_steps={self.decay_steps} must have one number for each of decay_ends={self.decay_ends}"

    def fits(self, steps: int) -> Iterator[str]:
        """See `Schedule.fits`."""
        yield from self._segments("decay_ends", steps, self.decays)


@description
class CyclicCosine(_Cycles):
    """One cosine to the floor before each end."""

    kind = "cyclic_cosine"
    code = "common.optim.schedules:cyclic_cosine"

    cycle_ends: tuple[int, ...]
    """Updates after which a cosine has ended; the last one is the end of the run."""

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from self._ends_rules("cycle_ends")

    def fits(self, steps: int) -> Iterator[str]:
        """See `Schedule.fits`."""
        yield from self._segments("cycle_ends", steps, (0,) * len(self.cycle_ends))
