"""The learning rate over a run."""

from collections.abc import Iterator
from typing import Literal, get_args

from common.description import at_least, description, fits_kind

DecayShape = Literal["linear", "cosine", "sqrt", "inverse", "exponential", "square", "inverse_sqrt"]
DECAY_SHAPES: tuple[str, ...] = get_args(DecayShape)


@description
class Schedule:
    """The learning rate as a factor of its peak, by update (see common/schedules.py for the formulas)."""

    kind: Literal["constant", "linear", "cosine", "wsd", "wsd_s", "cyclic_cosine", "infinite", "rewarm"] = "constant"
    warmup_steps: int = 0
    """Linear warm-up: update t < warmup_steps has (t + 1) / warmup_steps."""
    floor: float | None = None
    """Factor of the last update of a decay; 0.1 if left out."""
    start: float | None = None
    """rewarm, infinite: factor from which the warm-up starts; 0 if left out."""
    decay_steps: int | tuple[int, ...] | None = None
    """wsd, infinite: updates of the final decay; wsd_s: updates of each decay, one number or one for each end."""
    decay_shape: DecayShape | None = None
    """wsd, wsd_s: linear if left out. sqrt is 1 - sqrt(u)."""
    decay_ends: tuple[int, ...] | None = None
    """wsd_s: updates after which a decay has ended; the last one is the end of the run."""
    cycle_ends: tuple[int, ...] | None = None
    """cyclic_cosine: updates after which a cosine has ended; the last one is the end of the run."""
    rewarm_steps: int | None = None
    """wsd_s, cyclic_cosine: linear warm-up after each end; 0 if left out."""
    cooldown_steps: int | None = None
    """infinite: updates from the peak to the constant level."""
    cooldown_shape: DecayShape | None = None
    """infinite: shape of the cooldown; cosine if left out."""
    level: float | None = None
    """infinite: factor of the constant phase."""

    def _rules(self) -> Iterator[str]:
        fields = {
            "constant": (),
            "linear": ("floor?",),
            "cosine": ("floor?",),
            "wsd": ("decay_steps", "decay_shape?", "floor?"),
            "wsd_s": ("decay_steps", "decay_shape?", "decay_ends", "rewarm_steps?", "floor?"),
            "cyclic_cosine": ("cycle_ends", "rewarm_steps?", "floor?"),
            "infinite": ("start?", "cooldown_steps", "cooldown_shape?", "level", "decay_steps", "floor?"),
            "rewarm": ("start?", "floor?"),
        }
        yield from fits_kind(self, self.kind, fields)
        yield from at_least(0, self, "warmup_steps", "rewarm_steps", "cooldown_steps")
        yield from self._decay_rules()
        for name in ("floor", "start", "level"):
            number = getattr(self, name)
            if number is not None and not 0 <= number <= 1:
                yield f"{name}={number} is a factor of the peak and must lie in [0, 1]"
        if self.decay_shape in ("inverse", "exponential") and self.floor == 0:
            yield f"floor=0.0 is never reached by a decay of shape {self.decay_shape!r}; choose a floor above 0"
        for name in ("decay_ends", "cycle_ends"):
            ends = getattr(self, name)
            if ends is not None and (not ends or ends[0] < 1 or list(ends) != sorted(set(ends))):
                yield f"{name}={ends} must be increasing counts of updates"

    def _decay_rules(self) -> Iterator[str]:
        decays = self.decay_steps if isinstance(self.decay_steps, tuple) else (self.decay_steps or 0,)
        if min(decays, default=0) < 0:
            yield f"decay_steps={self.decay_steps} must be at least 0"
        if isinstance(self.decay_steps, tuple) and self.kind != "wsd_s":
            yield f"decay_steps={self.decay_steps} must be one number for {self.kind!r}"
        if isinstance(self.decay_steps, tuple) and self.decay_ends and len(decays) != len(self.decay_ends):
            yield f"decay_steps={self.decay_steps} must have one number for each of decay_ends={self.decay_ends}"
        if self.kind == "infinite" and self.level is not None:
            floor = 0.1 if self.floor is None else self.floor
            if not 0 < floor <= self.level:
                yield f"floor={floor} must be above 0 and at most level={self.level}"

    def fits(self, steps: int) -> Iterator[str]:
        """Problems of this schedule over a run of `steps` updates: phases that overlap or do not fill it."""
        phases = {"warmup_steps": self.warmup_steps}
        if isinstance(self.decay_steps, int) and self.kind in ("wsd", "infinite"):
            phases |= {"cooldown_steps": self.cooldown_steps or 0, "decay_steps": self.decay_steps}
        if sum(phases.values()) > steps:
            spans = " + ".join(f"{name}={count}" for name, count in phases.items() if count)
            yield f"{spans} overlap: they must fit into steps={steps}"
        for name in ("decay_ends", "cycle_ends"):
            ends = getattr(self, name)
            if ends and ends[-1] != steps:
                yield f"{name}={ends} must end with steps={steps}"
            if ends:
                yield from self._segments_fit(name, ends)

    def _segments_fit(self, name: str, ends: tuple[int, ...]) -> Iterator[str]:
        decays = self.decay_steps if isinstance(self.decay_steps, tuple) else (self.decay_steps or 0,) * len(ends)
        for i, (begin, end, decay) in enumerate(zip((0, *ends), ends, decays, strict=False)):
            warm = self.rewarm_steps or 0 if i else self.warmup_steps
            if warm + decay > end - begin:
                yield f"{name}={ends}: warm-up ({warm}) and decay ({decay}) overlap before update {end}"
