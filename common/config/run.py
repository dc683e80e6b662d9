"""One training, and what follows from its description."""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from common.config.continual import Continual
from common.config.data import Data
from common.config.description import above, at_least, chosen, collecting, description, field, problems
from common.config.model import Model
from common.config.optimizer import AdamW, Optimizer, ScheduleFree
from common.config.parametrization import defined_for
from common.config.probe import Probe
from common.config.schedule import Constant, Schedule

__all__ = ["Run", "combinations", "continued", "datasets_of", "full_name", "members", "validation_sets"]

SWEEPABLE = ("lr", "seed", "steps", "batch_size")


def _unsure(name: str, values: tuple[Any, ...]) -> list[Any]:
    """Values of a sweep that could break a rule: all but ordinary rates and seeds, which are many and cost time."""
    kinds, least = {"lr": ((int, float), 1e-100), "seed": ((int,), 0)}.get(name, ((), 0))
    return [value for value in values if type(value) not in kinds or not least <= value <= 1e100]


WORD = re.compile("[a-z][a-z0-9_]*")
"""What names a column."""


@description
class Run:
    """One training: what one job does, and one row of a study's table."""

    name: str = field(default="", kw_only=False, label=True)
    """What tells it from the other runs of its study; never parsed."""
    model: Model
    data: Data
    lr: float
    """Peak learning rate."""
    steps: int
    """Updates of this run (those of its parents not counted)."""
    seed: int
    """Seeds every named stream of the run: initial weights, order of the data."""
    optimizer: Optimizer = AdamW()
    schedule: Schedule = Constant()
    batch_size: int | None = None
    """Examples (windows of text) per update; the whole training set if left out."""
    log_every: int = 10
    """Updates between two rows with the training loss."""
    evaluate_every: int | None = None
    """Updates between two evaluations; start, kept steps and end are always evaluated."""
    curve_examples: int | None = None
    """Examples (windows of text) of each validation set, its first ones, that every evaluation reads for a curve, in
    columns curve_val_loss, ...; the whole set is then read at start, kept steps and end only. The whole set each time
    if left out."""
    watched: dict[str, Data] | None = None
    """Further validation sets by a word, evaluated with the run's own: columns val_loss_<word>, val_accuracy_<word>.
    One that equals the run's own is not evaluated twice: its columns repeat those of the run's own."""
    average: float | None = field(default=None, code="common.optim.average:Average")
    """Decay a of an average of the weights, avg <- a avg + (1 - a) w after each update from the starting weights on, or
    from the parent's average if it kept one. It is evaluated with them: columns average_val_loss, ... (see
    common/optim/average.py); no average if left out."""
    continual: Continual | None = None
    """The tasks before this one, and what is done not to forget them."""
    keep_steps: tuple[int, ...] = ()
    """Updates after which the state is kept, besides the end, so that other runs can continue there."""
    parent: str | None = None
    """Run whose state this one continues: "name", or "study/name"; of a sweep, the member with this run's values."""
    parent_step: int | None = None
    """One of the parent's `keep_steps`; its end if left out."""
    reset: tuple[Literal["weights", "optimizer", "data"], ...] = ()
    """Parts of the parent's state that start afresh; data means the position in the stream of batches."""
    probes: tuple[Probe, ...] = ()
    sweep: dict[str, tuple[int | float, ...]] | None = None
    """Fields of this run and the values that its members take, every combination trained in one job."""
    stacked: bool = field(default=False, code="common.training.vectorised:together")
    """Train the members of a sweep over lr and seed side by side (see common/training/vectorised.py), not one by one.
    Pays for small networks, transformers up to width 32 and context 32; where one has weights of half a megabyte or
    more, together they leave the cache."""
    arm: str | None = None
    """A word that names this run's group in comparisons; no number depends on it."""
    rung: str | None = None
    """Name of the study's `Rung` that this run belongs to; no number depends on it."""
    device: Literal["cpu", "cuda"] = field(default="cpu", neutral="cpu")
    """Where it trains; another kind of device changes the bits of the result."""
    ranks: int = field(default=1, neutral=1, code="common.training.data_parallel:DataParallel")
    """Processes that train together, each on its slice of every batch (see common/training/data_parallel.py); their
    number changes the order of sums and so the bits of the result."""
    precision: Literal["fp32", "bf16"] = field(default="fp32", neutral="fp32")
    """bf16 computes the forward pass under autocast; weights stay in fp32."""
    compile: bool = False
    """Train with torch.compile, whose sums run in another order. Without a C++ compiler it trains as with False, and
    run.json says so. Compiling takes up to a minute of a core, once for all runs of one shape on a machine."""
    threads: int = field(default=1, neutral=1)
    """torch threads; the number changes the bits of the result, so it belongs to the description."""

    @property
    def within_classes(self) -> bool:
        """Whether evaluations tell the accuracy within the classes of each validation set: some data has not all."""
        some = any(getattr(part, "classes", None) for data in datasets_of(self) for part in data.parts)
        return some and self.data.classes_as_targets

    def _rules(self) -> Iterator[str]:
        yield from at_least(
            1, self, "steps", "batch_size", "log_every", "evaluate_every", "curve_examples", "threads", "ranks"
        )
        yield from at_least(0, self, "seed")
        yield from above(0, self, "lr")
        yield from self._ranks_rules()
        yield from self._average_rules()
        yield from self._fitting_rules()
        if any(not 0 < step < self.steps for step in self.keep_steps):
            yield f"keep_steps={self.keep_steps} must lie between 1 and steps - 1 = {self.steps - 1}"
        for name in ("parent_step", "reset"):
            if self.parent is None and getattr(self, name):
                yield f"{name}={getattr(self, name)!r} has no meaning without a parent"
        if len(set(self.keep_steps)) < len(self.keep_steps):
            yield f"keep_steps={self.keep_steps} must be different"
        yield from (f"schedule.{problem}" for problem in self.schedule.fits(self.steps))
        yield from (f"continual.{problem}" for problem in self._continual_rules())
        yield from self._watched_rules()
        yield from self._probe_rules()
        yield from self._sweep_rules()

    def _fitting_rules(self) -> Iterator[str]:
        """Whether network, data and update rule fit each other."""
        if self.model.reads not in self.data.gives:
            yield (
                f"model.kind={self.model.kind!r} reads {self.model.reads}, but data.kind={self.data.kind!r} gives "
                f"{' or '.join(self.data.gives)}"
            )
        for name in ("parametrization", "depth_rule"):
            word = getattr(self.model, name)
            if word != "none" and not defined_for(chosen(self.model, name), self.optimizer.sizes):
                known = [
                    kind.__name__
                    for kind in Optimizer.kinds().values()
                    if defined_for(chosen(self.model, name), kind.sizes)
                ]
                yield (
                    f"model.{name}={word!r} has no rates for optimizer.kind={self.optimizer.kind!r}; it has some for "
                    f"{', '.join(known)}"
                )
        if self.data.endless and self.batch_size is None:
            yield f"batch_size is missing: data.kind={self.data.kind!r} has no full batch"

    def _ranks_rules(self) -> Iterator[str]:
        if self.ranks == 1:
            return
        if self.batch_size is None or self.batch_size % self.ranks:
            yield f"ranks={self.ranks} must divide batch_size={self.batch_size}: each takes its slice of a batch"
        if self.stacked:
            yield f"ranks={self.ranks} trains one member at a time; leave out stacked=True"
        if self.continual is not None:
            yield f"ranks={self.ranks} has no form for past tasks; leave out ranks or continual"
        if self.model.norm == "batchnorm":
            yield f"ranks={self.ranks} would norm each slice of a batch by itself; leave out ranks, or norm='batchnorm'"

    def _average_rules(self) -> Iterator[str]:
        if self.average is None:
            return
        if not 0 < self.average < 1:
            yield f"average={self.average} must lie between 0 and 1; without an average leave it out"
        if isinstance(self.optimizer, ScheduleFree):
            yield f"average={self.average}: optimizer.kind='schedule_free' evaluates an average already; leave it out"
        if self.stacked:
            yield f"average={self.average} is not kept for members side by side; leave out stacked=True"

    def _continual_rules(self) -> Iterator[str]:
        if self.continual is None:
            return
        yield from self.continual.fits(self.data, steps=self.steps)
        for name in ("distillation", "consolidation"):
            strength = getattr(self.continual, name)
            if strength is not None and (self.parent is None or "weights" in self.reset):
                yield f"{name}={strength} needs the weights of a parent: it holds on to what they learnt"
        if self.continual.consolidation is not None and self.model.norm == "batchnorm":
            strength = self.continual.consolidation
            yield f"consolidation={strength} needs outputs of single examples; norm='batchnorm' has none"
        if self.stacked:
            yield "stacked=True trains members in one pass, which knows no past tasks; leave out stacked"

    def _watched_rules(self) -> Iterator[str]:
        for name, data in (self.watched or {}).items():
            if not isinstance(name, str) or not WORD.fullmatch(name):
                yield f"watched={{{name!r}: ...}} must be named by a word of small letters, digits and _"
            elif name.partition("_")[0] == "within":
                yield f"watched={{{name!r}: ...}} would name a column like val_accuracy_within; choose another word"
            if misfit := data.misfit(self.data):
                yield f"watched[{name!r}] {misfit}"
        if self.watched is not None and not self.watched:
            yield "watched={} is empty; leave it out"

    def _probe_rules(self) -> Iterator[str]:
        kinds = [probe.kind for probe in self.probes]
        for i, probe in enumerate(self.probes):
            place = f"probes[{i}]"
            if probe.kind in kinds[:i]:
                yield f"{place}: {probe.kind!r} is given twice; put all of its steps into one probe"
            yield from (f"{place}: {probe.kind!r} {problem}" for problem in probe.fits(self))
            if probe.steps and max(probe.steps) > self.steps:
                yield f"{place}.steps={probe.steps} must be at most steps={self.steps}"

    def _sweep_rules(self) -> Iterator[str]:
        for name, values in (self.sweep or {}).items():
            if name not in SWEEPABLE:
                yield f"sweep={{{name!r}: ...}} must name one of {', '.join(SWEEPABLE)}"
            elif not values or len(set(values)) < len(values):
                yield f"sweep={{{name!r}: {values}}} must have different values, at least one"
            else:
                for value in _unsure(name, values):
                    trial = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
                    trial["stacked"] = False
                    with collecting():
                        found = problems(Run(**(trial | {name: value, "sweep": None})))
                    yield from (f"sweep: {problem}" for problem in found)
        if self.stacked and not {"lr", "seed"} >= (self.sweep or {"none": ()}).keys():
            yield f"stacked=True needs a sweep over lr or seed and nothing else; sweep={self.sweep} trains one by one"
        if self.stacked and self.compile:
            yield "stacked=True has no compiled form; leave out compile=True"
        if self.sweep is not None and not self.sweep:
            yield "sweep={} is empty; leave it out for a single run"


def full_name(study: str, run: str) -> str:
    """`study/run` for a run that is written in a study as `run` or as `study/run`."""
    return run if "/" in run else f"{study}/{run}"


def datasets_of(run: Run) -> list[Data]:
    """Every data set that a run reads, its own first, each once."""
    past = run.continual.past if run.continual else ()
    return list(dict.fromkeys([run.data, *(run.watched or {}).values(), *past]))


def continued(run: Run, parent: Run) -> int:
    """Place of the member of `parent` whose state a single run continues: the one with this run's swept values.

    Raises: LookupError if the parent has no such member.
    """
    place = 0
    for name, values in (parent.sweep or {}).items():
        wanted = getattr(run, name)
        if wanted not in values:
            raise LookupError(f"has no member with {name}={wanted} to continue; its sweep is {parent.sweep}")
        place = place * len(values) + values.index(wanted)
    return place


def validation_sets(run: Run) -> dict[str, Data]:
    """What a run evaluates, by the ends of its columns: its own as "", watched sets as "_<word>"."""
    named = {"": run.data} | {f"_{word}": data for word, data in (run.watched or {}).items()}
    return {end: data.held_out for end, data in named.items()}


def combinations(sweep: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Fields and values of each member of a sweep, in their order: the values of the last field change first."""
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]


def members(run: Run) -> list[Run]:
    """The single runs of a sweep, in the order of its values; a run without sweep is its only member."""
    return [dataclasses.replace(run, sweep=None, stacked=False, **swept) for swept in combinations(run.sweep or {})]
