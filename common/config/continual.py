"""Continual-learning options."""

from collections.abc import Iterator
from typing import Literal

from common.config.data import Data, Mixture
from common.config.description import Kind, above, at_least, description, field

__all__ = ["Continual"]


@description
class Continual(Kind):
    """What a run does for the tasks before its own; with `past` alone nothing, which is plain fine-tuning.

    Update t descends, with k tasks seen and w = `new_weight` (see common/continual/update.py),

        w new + (1 - w) mean of the past tasks' losses + distillation + consolidation,

    and `projection` then corrects its gradient. Every part may be left out, and any of them may be joined.
    """

    kind = "continual"
    code = "common.continual.update:Retention"

    past: tuple[Data, ...]
    """The tasks before, in their order."""
    replay: Literal["none", "memory", "all"] = "none"
    """Train on the past too: on `memory` examples of each task (experience replay), or on all (joint training)."""
    memory: int | None = None
    """Training examples kept of each past task, for replay or, without it, for the projection."""
    selection: Literal["class_balanced", "reservoir"] | None = field(default=None, choice="common.continual.memory")
    """Which are kept: equally many of each class, or any, equally likely; reservoir if left out."""
    new_weight: float | None = None
    """Share w of the new task in the loss, with replay; 1 / (number of tasks seen) if left out."""
    ramp_steps: int | None = None
    """First updates over which the new task's weight grows linearly from 0 to its final value; none if left out."""
    projection: Literal["agem", "gem"] | None = field(default=None, choice="common.continual.projection")
    """Keep updates from raising the loss of past examples: of all together (A-GEM), or of each task (GEM)."""
    margin: float | None = None
    """gem: least multiplier of a past task's gradient in a corrected update; 0 if left out."""
    distillation: float | None = field(default=None, code="common.continual.regularisers:distillation")
    """Weight of the distance between the outputs of the starting network and the present one on the new inputs."""
    temperature: float | None = None
    """Divides the logits in that distance; 1 if left out."""
    consolidation: float | None = field(default=None, code="common.continual.regularisers:consolidation")
    """Strength of the pull of each weight to its starting value, by its Fisher information for the past tasks."""
    fisher_examples: int | None = None
    """Training examples of each past task that the Fisher information is taken from; all if left out."""

    def _rules(self) -> Iterator[str]:
        if not self.past:
            yield "past=() must hold the tasks before this one; leave out continual for a first task"
        yield from at_least(1, self, "memory", "ramp_steps", "fisher_examples")
        yield from at_least(0, self, "margin")
        if self.new_weight is not None and not 0 <= self.new_weight <= 1:
            yield f"new_weight={self.new_weight} is a share of the loss and must lie in [0, 1]"
        yield from above(0, self, "distillation", "temperature", "consolidation")
        yield from self._memory_rules()
        yield from self._belonging_rules()

    def _memory_rules(self) -> Iterator[str]:
        if self.replay == "memory" and self.memory is None:
            yield "memory is missing: replay='memory' needs the number of examples to keep of each past task"
        if self.replay == "all" and self.memory is not None:
            yield f"memory={self.memory} has no meaning for replay='all'; use replay='memory'"
        if self.replay == "none" and self.memory is not None and self.projection is None:
            yield f"memory={self.memory} has no meaning without replay='memory' or a projection that reads it"

    def _belonging_rules(self) -> Iterator[str]:
        """Fields that have no meaning without another."""
        trained_on = self.replay != "none"
        for name, belongs, needed in (
            ("selection", self.memory, "memory"),
            ("new_weight", trained_on, "replay"),
            ("ramp_steps", trained_on or self.distillation or self.consolidation, "another part of the loss"),
            ("margin", self.projection == "gem", "projection='gem'"),
            ("temperature", self.distillation, "distillation"),
            ("fisher_examples", self.consolidation, "consolidation"),
        ):
            if getattr(self, name) is not None and not belongs:
                yield f"{name}={getattr(self, name)!r} has no meaning without {needed}"

    def fits(self, data: Data, *, steps: int) -> Iterator[str]:
        """Problems of these parts with the own task, and with a run of `steps` updates."""
        for i, past in enumerate(self.past):
            if misfit := past.misfit(data):
                yield f"past[{i}] {misfit}"
            if isinstance(past, Mixture):
                yield f"past[{i}] is mixed, but its examples are read by themselves; name each part as a task"
        if self.ramp_steps is not None and self.ramp_steps > steps:
            yield f"ramp_steps={self.ramp_steps} must be at most steps={steps}"
        if self.selection == "class_balanced" and not data.classes_as_targets:
            yield f"selection='class_balanced' needs classes, data.kind={data.kind!r} has none; leave it out"
        if self.temperature is not None and data.loss == "mse":
            yield f"temperature={self.temperature} has no meaning for the squared error; leave it out"
        if self.consolidation is not None and data.context is not None:
            yield f"consolidation={self.consolidation} has no form for tokens; use it with digits or a teacher"
