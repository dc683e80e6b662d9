"""Update with replay, regularisation and projection."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from common.config import Continual, Run, chosen
from common.continual import regularisers
from common.continual.memory import Past
from common.data import Batch, DataError, Dataset
from common.data.losses import LOSSES


def columns(run: Run) -> list[str]:
    """Names of what a run with past tasks tells of its updates, in the order of its table."""
    if run.continual is None:
        return []
    weighted = run.continual.replay != "none" or run.continual.ramp_steps is not None
    return ["new_weight"] * weighted + ["projected"] * (run.continual.projection is not None)


def new_weight(continual: Continual, update: int) -> float:
    """Weight of the new task's loss in an update, counted from 0.

    Its final value is `new_weight`, or 1 / (number of tasks seen), and 1 without replay. As in a warm-up, update t of
    the ramp has the share (t + 1) / ramp_steps of it.
    """
    final = 1.0
    if continual.replay != "none":
        final = 1 / (len(continual.past) + 1) if continual.new_weight is None else continual.new_weight
    return final * min(1.0, (update + 1) / (continual.ramp_steps or 1))


@dataclass
class Retention:
    """What a run does not to forget its past tasks (see `config.Continual`). Call `begin` unless the run is resumed.

    Args:
        run: with `continual`.
        dataset: of the new task.
        past: data sets of the past tasks, in their order.
        model: the network in training.
        forward: the network, perhaps compiled.
        autocast: makes the context of the forward passes.
        kept: tensors that a resumed run needs: the starting weights "start.<name>", and their importance
            "fisher.<name>".
    """

    run: Run
    dataset: Dataset
    past: Sequence[Dataset]
    model: nn.Module
    forward: Callable[[Tensor], Tensor]
    autocast: Callable[[], AbstractContextManager[Any]]
    kept: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.run.continual is not None
        self.continual = self.run.continual
        self.device = next(self.model.parameters()).device
        self._weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self._examples = Past.of(self.continual, self.past, seed=self.run.seed)
        self._weight = 1.0
        self._projected: list[bool] = []

    def begin(self) -> None:
        """Remember the network as it is now, at the start of the new task.

        ASSUME: one quadratic around the starting weights holds for all past tasks, with the sum of their Fisher
        information there, where Kirkpatrick et al. 2017 have one around the end of each task.
        """
        if self.continual.distillation is not None or self.continual.consolidation is not None:
            named = self.model.named_parameters()
            self.kept |= {f"start.{name}": weight.detach().clone() for name, weight in named}
        if self.continual.consolidation is not None:
            each = [self._fisher(task) for task in self.past]
            self.kept |= {f"fisher.{name}": torch.stack([found[name] for found in each]).sum(0) for name in each[0]}

    def backward(self, batch: Batch, *, update: int, position: int) -> Tensor:
        """Leave the gradients of an update in the weights.

        Args:
            batch: of the new task, on the device.
            update: of this run, counted from 0.
            position: training examples of the new task consumed before.
        Returns: the loss that the update descends, before the projection, shape ().
        """
        self._weight = new_weight(self.continual, update)
        replayed = self.continual.replay != "none" and self._weight < 1
        with self.autocast():
            past = self._past_losses(position) if replayed or self.continual.projection else []
            loss = self._new_loss(batch)
            if replayed:
                loss = loss + (1 - self._weight) * torch.stack(past).mean()
        references = [self._gradient(each) for each in past] if self.continual.projection else []
        loss.backward()  # type: ignore[no-untyped-call]
        if references:
            self._project(torch.stack(references))
        return loss

    def row(self) -> dict[str, float]:
        """What there is to tell of the updates since the last row: the last weight, the share that was projected."""
        projected, self._projected = self._projected, []
        values = {"new_weight": self._weight, "projected": sum(projected) / max(1, len(projected))}
        return {name: values[name] for name in columns(self.run)}

    def _past_losses(self, position: int) -> list[Tensor]:
        batches = self._examples.batches(position=position, count=self.run.batch_size)
        return [self._loss(self.forward(each.inputs), each.targets) for each in map(self._moved, batches)]

    def _new_loss(self, batch: Batch) -> Tensor:
        """Weighted loss of the new batch, with what regularises it."""
        outputs = self.forward(batch.inputs)
        loss = self._loss(outputs, batch.targets)
        if self._weight != 1:
            loss = self._weight * loss
        for part in self._regularisers(batch.inputs, outputs):
            loss = loss + part
        return loss

    def _regularisers(self, inputs: Tensor, outputs: Tensor) -> Iterator[Tensor]:
        if self.continual.distillation is not None:
            with torch.no_grad():
                taught = functional_call(self.model, self._start, (inputs,))
            yield self.continual.distillation * regularisers.distillation(
                outputs,
                taught,
                loss=self.dataset.loss,
                temperature=self.continual.temperature or 1.0,
                classes=self._classes,
            )
        if self.continual.consolidation is not None:
            yield self.continual.consolidation * regularisers.consolidation(
                self.model, anchor=self._start, importance=self._importance
            )

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return LOSSES[self.dataset.loss](outputs, targets)

    def _moved(self, batch: Batch) -> Batch:
        return Batch(*(tensor.to(self.device, non_blocking=True) for tensor in batch))

    def _gradient(self, loss: Tensor) -> Tensor:
        """Gradient as one vector, float64 (size,); the graph stays for the loss that holds this one."""
        parts = torch.autograd.grad(loss, self._weights, retain_graph=True)
        return torch.cat([part.flatten() for part in parts]).double()

    def _project(self, references: Tensor) -> None:
        """Correct the gradients in the weights."""
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        before = torch.cat([gradient.flatten() for gradient in gradients]).double()
        after = chosen(self.continual, "projection")(before, references, margin=self.continual.margin or 0.0)
        self._projected.append(after is not before)
        if after is not before:
            sizes = [gradient.numel() for gradient in gradients]
            for gradient, part in zip(gradients, torch.split(after, sizes), strict=True):
                gradient.copy_(part.view_as(gradient))

    def _fisher(self, task: Dataset) -> dict[str, Tensor]:
        if (self.continual.fisher_examples or 0) > task.size:
            raise DataError(
                f"continual.fisher_examples={self.continual.fisher_examples} must be at most {task.size}, the training "
                f"examples of data {task.name!r}; take fewer, or leave it out for all"
            )
        whole = task.batch(seed=self.run.seed, position=0, count=self.continual.fisher_examples)
        return regularisers.fisher(self.model, whole.inputs.to(self.device), loss=task.loss)

    @cached_property
    def _start(self) -> dict[str, Tensor]:
        return self._named("start.")

    @cached_property
    def _importance(self) -> dict[str, Tensor]:
        return self._named("fisher.")

    def _named(self, prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): tensor.to(self.device)
            for name, tensor in self.kept.items()
            if name.startswith(prefix)
        }

    @cached_property
    def _classes(self) -> Tensor | None:
        """Outputs that past tasks have examples of; None for tokens, and where there are no classes."""
        if not self.run.data.classes_as_targets:
            return None
        wholes = [task.batch(seed=self.run.seed, position=0, count=None) for task in self.past]
        found: Tensor = torch.unique(torch.cat([whole.targets for whole in wholes]))
        return found.to(self.device)
