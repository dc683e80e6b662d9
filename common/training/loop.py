"""The one training loop: a run in, rows out. No files, no clock, no global randomness.

Language and vision, minibatch and full batch, from fresh weights or from another run's state. A row is yielded whenever
something was measured; `step` counts all updates behind the weights, those of the parents included, so that a
continued run starts where its parent stood. `learning_rate` and `gradient_norm` of a row belong to the update that led
there; `train_loss` is the mean over the updates since the previous row.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from common import models
from common.config import Data, Probe, Run, validation_sets
from common.continual.update import Retention
from common.continual.update import columns as retention_columns
from common.data import Batch, Dataset
from common.data.losses import LOSSES
from common.models.metainit import metainit
from common.models.roles import named_factors, named_roles
from common.optim import optimizers, schedules
from common.optim.average import Average
from common.streams import torch_stream
from common.training import evaluation, probes, process

Row = dict[str, float | int]


@dataclass(frozen=True)
class State:
    """Everything that a training needs to go on."""

    tensors: dict[str, Tensor]
    """Weights ("model.<name>"), their average ("average.<name>") if the run keeps one, and optimizer state
    ("optimizer.<name>"), on the CPU."""
    step: int
    """Updates behind these weights, lineage included."""
    position: int
    """Training examples consumed, lineage included: the place in the stream of batches."""


def columns(run: Run, dataset: Dataset) -> list[str]:
    """Names of all that a run can measure, in the order of its table."""
    probed = [name for probe in run.probes for name in probe.columns]
    updates = ["learning_rate", "train_loss", "gradient_norm", *retention_columns(run)]
    whole = evaluated(run, dataset)
    curve = [f"{CURVE}{name}" for name in whole if run.curve_examples is not None]
    return ["step", *updates, *whole, *curve, *probed]


CURVE = "curve_"
"""Begins the names of what is evaluated on `Run.curve_examples` only."""


def evaluated(run: Run, dataset: Dataset) -> list[str]:
    """Names of all that an evaluation of a run on its whole validation sets gives, in the order of its table."""
    names = ["val_loss", *["val_accuracy"] * evaluation.classifies(dataset)]
    names += ["val_accuracy_within"] * run.within_classes
    raw = [f"{name}{end}" for end in validation_sets(run) for name in names]
    return raw + [f"average_{name}" for name in raw if run.average is not None]


@dataclass
class Training:
    """One run in progress. Iterate it for its rows; ask `state` between two rows.

    A loop of another kind (see common/training/vectorised.py) calls `initial_row`, then while it is `running` fills the
    gradients of the loss of the `next_batch` and calls `step`; that of a run with past tasks is up to `backward`.

    Making one sets torch's threads to the run's for the whole process, and what else `process.prepare` says.

    Args:
        run: a single run (a member, if the run is a sweep).
        dataset: what `run.data` describes, loaded.
        others: further data sets of the run, watched ones and past tasks, by description (see `data.load_all`).
        parent: the state to continue; `run.reset` says which of its parts start afresh.
        resumed: a state of this very run at which it was interrupted; takes the place of `parent`, whose step is
            then needed as `start_step`.
        inherited: what an evaluation of the parent's state on this very validation set gave, if that is known; it is
            taken over at the start instead of being measured again.
    """

    run: Run
    dataset: Dataset
    others: Mapping[Data, Dataset] = field(default_factory=dict, kw_only=True)
    parent: State | None = None
    resumed: State | None = None
    start_step: int = 0
    inherited: Row = field(default_factory=dict)
    kept: dict[int, State] = field(default_factory=dict)
    """States at `run.keep_steps`, by update of this run."""
    reason: str | None = None
    """Why the run ended early, in words; None while it is sound."""

    def __post_init__(self) -> None:
        process.prepare(threads=self.run.threads)
        self.device = _device(self.run)
        model = models.build(
            self.run.model,
            inputs=self.dataset.inputs,
            outputs=self.dataset.outputs,
            context=self.dataset.context,
            generator=torch_stream(self.run.seed, "weights"),
        )
        self.model: nn.Module = model.to(self.device)
        self.forward: Any = self._compiled(self.model)
        self._plain_loss = self._loss_of_model()
        self._loss = self._compiled(self._plain_loss)
        self.optimizer = optimizers.build(
            self.run.optimizer,
            self.model.named_parameters(),
            lr=self.run.lr,
            factors=named_factors(self.model),
            roles=named_roles(self.model),
        )
        self.schedule = schedules.build(self.run.schedule, steps=self.run.steps)
        self.position = 0
        self.done = 0
        datasets = {**self.others, self.run.data: self.dataset}
        watched = (self.run.watched or {}).values()
        self.ends = validation_sets(self.run)
        self.validated = {data.held_out: datasets[data] for data in (*watched, self.run.data)}
        self.within = {
            data: evaluation.classes(dataset).to(self.device)
            for data, dataset in self.validated.items()
            if self.run.within_classes
        }
        self.past = [datasets[data] for data in (self.run.continual.past if self.run.continual else ())]
        self.memory: dict[str, probes.Memory] = {probe.kind: {} for probe in self.run.probes}
        self.retention = self._retention() if self.run.continual else None
        if self.resumed:
            self._restore(self.resumed, ())
        elif self.parent:
            self.start_step = self.parent.step
            self._restore(self.parent, self.run.reset)
        elif self.run.model.metainit_steps:
            metainit(self.model, self._loss_of_batch, steps=self.run.model.metainit_steps)
        self.average = None if self.run.average is None else self._average(self.run.average)
        if self.retention and not self.resumed:
            with optimizers.evaluation(self.optimizer):
                self.retention.begin()
        self.done = self.resumed.step - self.start_step if self.resumed else 0
        self._last_norm = math.nan
        self._losses: list[float] = []

    def __iter__(self) -> Iterator[Row]:
        if (row := self.initial_row()) is not None:
            yield row
        while self.running:
            if (row := self.step(self.backward())) is not None:
                yield row

    @property
    def running(self) -> bool:
        """Whether updates are left and the run is sound."""
        return self.done < self.run.steps and self.reason is None

    def initial_row(self) -> Row | None:
        """The row of the start; None if the run was resumed."""
        return self._row() if self.done == 0 and self.resumed is None else None

    def next_batch(self) -> Batch:
        """The batch of the next update, on the device."""
        batch = self.dataset.batch(seed=self.run.seed, position=self.position, count=self.run.batch_size)
        return Batch(*(tensor.to(self.device, non_blocking=True) for tensor in batch))

    def backward(self) -> Tensor:
        """Fill the gradients of the next update; the loss that it descends, shape ()."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.retention:
            return self.retention.backward(self.next_batch(), update=self.done, position=self.position)
        loss = self.loss(self.next_batch())
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def step(self, loss: Tensor) -> Row | None:
        """Make the update whose gradients the weights hold; its row, if something is to be said after it.

        Args:
            loss: that the update descends, at the present weights, shape ().
        """
        optimizers.set_lr(self.optimizer, self.run.lr * self.schedule(self.done))
        self.position += self.run.batch_size or self.dataset.size
        self.done += 1
        if self.run.optimizer.clip is not None or self._due(self.run.log_every):
            self._last_norm = float(optimizers.clip(self.model.parameters(), self.run.optimizer.clip))
        self.optimizer.step()
        if self.average:
            self.average.update()
        self._losses.append(loss.item())
        if not math.isfinite(self._losses[-1]):
            self.reason = f"training loss {self._losses[-1]} at update {self.done - 1} of {self.run.steps}"
        if self.done in self.run.keep_steps:
            self.kept[self.done] = self.state()
        due = self._due(self.run.log_every) or self._evaluates() or self._probed() or self.reason
        return self._row() if due else None

    def state(self, *, resumable: bool = False) -> State:
        """A copy of the weights and of the optimizer's state, with the place in the run.

        Args:
            resumable: also what the probes and the retention of past tasks remember, which this run needs to go on as
                if never interrupted.
        """
        with optimizers.evaluation(self.optimizer):
            tensors = {f"model.{name}": tensor.clone() for name, tensor in self.model.state_dict().items()}
        moments = optimizers.state_tensors(self.optimizer)
        tensors |= {f"optimizer.{name}": tensor for name, tensor in moments.items()}
        tensors |= self.average.tensors() if self.average else {}
        if resumable:
            tensors |= {f"{prefix}{name}": t for prefix, kept in self._remembered() for name, t in kept.items()}
        copies = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        return State(tensors=copies, step=self.start_step + self.done, position=self.position)

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a batch (see common/data/losses.py), shape (), with its graph."""
        with self.autocast():
            return self._loss(batch.inputs, batch.targets)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of the run's forward passes, which chooses their precision."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.run.precision == "bf16" else nullcontext()

    def evaluate(self, *, examples: int | None = None) -> Row:
        """Loss over the validation set and the watched ones, also of the average; see `evaluation.evaluate`."""
        with optimizers.evaluation(self.optimizer):
            row = self._validated(self.model, examples)
        if self.average:
            averaged = self._validated(self.average.model, examples)
            row |= {f"average_{name}": value for name, value in averaged.items()}
        return row

    def _validated(self, model: nn.Module, examples: int | None) -> Row:
        found = {data: self._evaluated(model, data, examples) for data in self.validated}
        return {f"{name}{end}": value for end, data in self.ends.items() for name, value in found[data].items()}

    def _evaluated(self, model: nn.Module, data: Data, examples: int | None) -> dict[str, float]:
        dataset = self.validated[data]
        many = self.run.watched and dataset.context is None and self.run.model.norm != "batchnorm"
        return evaluation.evaluate(
            model,
            dataset,
            autocast=self.autocast(),
            chunk=evaluation.MANY if many else evaluation.EXAMPLES,
            examples=examples,
            within=self.within.get(data),
        )

    def _compiled(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """The function; of a run that is compiled, in a form that will be compiled at its first call."""
        return torch.compile(function, dynamic=False) if process.compiles(self.run) else function

    def _loss_of_model(self) -> Callable[[Tensor, Tensor], Tensor]:
        model, criterion = self.model, LOSSES[self.dataset.loss]
        return lambda inputs, targets: criterion(model(inputs), targets)

    def _average(self, decay: float) -> Average:
        """The average at the start: that of the state to go on with, or the present weights."""
        average = Average(self.model, decay=decay)
        state = self.resumed or (None if "weights" in self.run.reset else self.parent)
        if state:
            average.load(state.tensors)
        return average

    def _retention(self) -> Retention:
        return Retention(
            run=self.run,
            dataset=self.dataset,
            past=self.past,
            model=self.model,
            forward=self.forward,
            autocast=self.autocast,
        )

    def _remembered(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """What a resumed run needs besides weights and optimizer, with what its names in a state begin with."""
        yield from ((f"probe.{kind}.", kept) for kind, kept in self.memory.items())
        if self.retention:
            yield "retention.", self.retention.kept

    def _loss_of_batch(self, number: int) -> Tensor:
        """Loss of the batch that the update of this number will see, with its graph, which can be derived twice."""
        count = self.run.batch_size
        batch = self.dataset.batch(seed=self.run.seed, position=number * (count or self.dataset.size), count=count)
        with self.autocast():
            return self._plain_loss(*(tensor.to(self.device) for tensor in batch))

    def _row(self) -> Row:
        row: Row = {"step": self.start_step + self.done}
        losses, self._losses = self._losses, []
        if losses:
            row |= {
                "learning_rate": self.run.lr * self.schedule(self.done - 1),
                "train_loss": sum(losses) / len(losses),
            }
        if losses and (self.run.optimizer.clip is not None or self._due(self.run.log_every)):
            row["gradient_norm"] = self._last_norm
        if losses and self.retention:
            row |= self.retention.row()
        if self._evaluates() and self.reason is None:
            found = self._evaluations()
            self.reason = self._end_of(found)
            row |= found if self.reason is None else {}
        for probe in self.run.probes:
            if self._probe_due(probe.every, probe.steps) and self.reason is None:
                with optimizers.evaluation(self.optimizer):
                    row |= probes.measure(self._subject(probe))
        return row

    def _end_of(self, found: Row) -> str | None:
        """Why the run has diverged in its last update, after which no training loss tells it; None if it has not."""
        lost = next((f"{name} {value}" for name, value in found.items() if not math.isfinite(value)), None)
        return f"{lost} after the last update" if lost and self.done == self.run.steps else None

    def _evaluations(self) -> Row:
        """Of the whole sets, unless this is a point of the curve only; and of the examples of the curve."""
        few, row = self.run.curve_examples, Row()
        if few is None or self._marked():
            row |= self.inherited if self.inherited and self.done == 0 else self.evaluate()
        if few is not None:
            row |= {f"{CURVE}{name}": value for name, value in self.evaluate(examples=few).items()}
        return row

    def _subject(self, probe: Probe) -> probes.Subject:
        rate = self.run.lr * self.schedule(min(self.done, self.run.steps - 1))
        optimizers.set_lr(self.optimizer, rate)
        return probes.Subject(
            model=self.model,
            dataset=self.dataset,
            past=self.past,
            optimizer=self.optimizer,
            learning_rate=rate,
            run=self.run,
            probe=probe,
            memory=self.memory[probe.kind],
        )

    def _due(self, every: int | None) -> bool:
        return self.done == self.run.steps or (every is not None and self.done % every == 0)

    def _evaluates(self) -> bool:
        return self._marked() or self._due(self.run.evaluate_every)

    def _marked(self) -> bool:
        """At the start, a kept step or the end."""
        return self.done == 0 or self.done in self.run.keep_steps or self.done == self.run.steps

    def _probed(self) -> bool:
        return any(self._probe_due(probe.every, probe.steps) for probe in self.run.probes)

    def _probe_due(self, every: int | None, steps: tuple[int, ...] | None) -> bool:
        return self.done in steps if steps is not None else self._due(every)

    def _restore(self, state: State, reset: tuple[str, ...]) -> None:
        if "weights" not in reset:
            weights = {name.removeprefix("model."): t for name, t in state.tensors.items() if name.startswith("model.")}
            self.model.load_state_dict(weights)
        if "optimizer" not in reset:
            moments = {
                name.removeprefix("optimizer."): t for name, t in state.tensors.items() if name.startswith("optimizer.")
            }
            optimizers.load_state_tensors(self.optimizer, moments)
        for prefix, kept in self._remembered():
            kept |= {name.removeprefix(prefix): t for name, t in state.tensors.items() if name.startswith(prefix)}
        self.position = 0 if "data" in reset else state.position


def _device(run: Run) -> torch.device:
    """Where a run trains.

    Raises: RuntimeError if this machine has no such device.
    """
    if run.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            "device='cuda' needs a GPU, which torch does not see here; use device='cpu', or another machine"
        )
    return torch.device(run.device)
