"""Measurements in training (see common/training/probes.py)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from common.config.description import Kind, at_least, description
from common.config.optimizer import Optimizer

if TYPE_CHECKING:
    from common.config.run import Run

__all__ = ["EffectiveSharpness", "Gradients", "NearestMean", "Norms", "Probe", "Sharpness", "TrainAccuracy"]

EIGENVALUE = ("", "_bound", "_second", "_products", "_converged")
"""Ends of the columns of an eigenvalue."""


@description
class Probe(Kind):
    """When to measure: give exactly one of the two."""

    every: int | None = None
    """Measure after every so many updates, at the start and at the end."""
    steps: tuple[int, ...] | None = None
    """Measure after these many updates of the run (0 is the start)."""

    columns: ClassVar[tuple[str, ...]]
    """What it measures, in the order of its columns."""
    gradients: ClassVar[float] = 0.0
    """ASSUME: what it costs, in gradients over the examples that it reads."""

    def _rules(self) -> Iterator[str]:
        if (self.every is None) == (self.steps is None):
            yield f"every={self.every!r}, steps={self.steps!r}: give exactly one of the two"
        yield from at_least(1, self, "every")
        if self.steps is not None and any(step < 0 for step in self.steps):
            yield f"steps={self.steps} must not be negative"

    def fits(self, run: "Run") -> Iterator[str]:  # noqa: ARG002
        """What keeps a run from being measured like this."""
        yield from ()


@description
class Norms(Probe):
    """Norms of the weights."""

    kind = "norms"
    code = "common.training.probes:norms"
    columns = ("weight_norm", "weight_max")


@description
class Reading(Probe):
    """A probe that reads training examples."""

    examples: int | None = None
    """Training examples (of each task) that are read, the first of a fixed order; all if left out."""

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(1, self, "examples")

    def fits(self, run: "Run") -> Iterator[str]:
        """See `Probe.fits`."""
        if self.examples is None and run.data.endless:
            yield f"needs examples, how many to read: data.kind={run.data.kind!r} has no full batch"


@description
class Sharpness(Reading):
    """Largest eigenvalue of the Hessian of the training loss."""

    kind = "sharpness"
    code = "common.training.probes:sharpness"
    gradients = 20.0
    columns = tuple(f"sharpness{end}" for end in EIGENVALUE)


@description
class EffectiveSharpness(Reading):
    """Largest eigenvalue of the curvature that the update rule sees, also over the rule's threshold."""

    kind = "effective_sharpness"
    code = "common.training.probes:effective_sharpness"
    gradients = 20.0
    columns = (*(f"effective_sharpness{end}" for end in EIGENVALUE), "normalised_sharpness")

    def fits(self, run: "Run") -> Iterator[str]:
        """See `Probe.fits`."""
        yield from super().fits(run)
        if run.optimizer.threshold is None:
            known = [kind.__name__ for kind in Optimizer.kinds().values() if kind.threshold]
            yield (
                f"needs the largest stable curvature, which is not known for optimizer.kind={run.optimizer.kind!r}; "
                f"known for {', '.join(known)}"
            )


@description
class Gradients(Reading):
    """Gradients of the new task and of the past ones, and their cosine."""

    kind = "gradients"
    code = "common.training.probes:gradients"
    gradients = 1.0
    columns = ("stability_gradient", "plasticity_gradient", "joint_gradient", "gradient_cosine")

    def fits(self, run: "Run") -> Iterator[str]:
        """See `Probe.fits`."""
        yield from super().fits(run)
        if run.continual is None:
            yield "needs continual, which names the past tasks"


@description
class NearestMean(Reading):
    """Accuracy of the nearest class mean of the features."""

    kind = "nearest_mean"
    code = "common.training.probes:nearest_mean"
    gradients = 1.0
    columns = ("nearest_mean_accuracy", "nearest_mean_accuracy_past")

    def fits(self, run: "Run") -> Iterator[str]:
        """See `Probe.fits`."""
        yield from super().fits(run)
        if not run.data.classes_as_targets:
            data = f"data.kind={run.data.kind!r} with loss={run.data.loss!r}"
            yield f"needs classes as targets, and {data} has none; leave it out"


@description
class TrainAccuracy(Reading):
    """Share of right answers on the training examples."""

    kind = "train_accuracy"
    code = "common.training.probes:train_accuracy"
    gradients = 0.33
    columns = ("train_accuracy",)

    def fits(self, run: "Run") -> Iterator[str]:
        """See `Probe.fits`."""
        yield from super().fits(run)
        if run.data.loss != "cross_entropy":
            yield f"needs answers that are right or wrong, and loss={run.data.loss!r} has none; leave it out"
