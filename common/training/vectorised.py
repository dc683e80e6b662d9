"""Members of a sweep that train side by side: one forward and one backward pass for all of them.

Small networks leave a processor waiting between small operations. Here every weight of the members lies in one tensor,
the member in front, and each member's model holds its slice. All else stays with the members: each has its optimizer,
clipping, probes and states, as `loop.Training` gives them. Sums run in another order than one by one, so that
numbers differ by rounding.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from common.data import Batch
from common.data.losses import LOSSES
from common.training.loop import Row, Training


def together(trainings: Sequence[Training]) -> Iterator[dict[int, Row]]:
    """Train members in step with each other; the rows of those that have one, by place in the sequence.

    A member that ends early leaves the stack, and the others go on without it.

    Args:
        trainings: of equal models, data, batch sizes and places in the run; each on its own state.
    """
    stack: _Stack | None = None
    if first := {i: row for i, each in enumerate(trainings) if (row := each.initial_row()) is not None}:
        yield first
    while running := {i: each for i, each in enumerate(trainings) if each.running}:
        if stack is None or len(stack.members) > len(running):
            stack = _Stack(list(running.values()))
        losses = stack.backward()
        taken = {i: each.step(loss) for (i, each), loss in zip(running.items(), losses, strict=True)}
        if rows := {i: row for i, row in taken.items() if row is not None}:
            yield rows


class _Stack:
    """Trainings whose models share the storage of their weights."""

    def __init__(self, members: list[Training]) -> None:
        self.members = members
        self._named = [dict(each.model.named_parameters()) for each in members]
        self._weights = {
            name: torch.stack([named[name].detach() for named in self._named]).requires_grad_()
            for name in self._named[0]
        }
        for place, named in enumerate(self._named):
            for name, weight in named.items():
                weight.data = self._weights[name].data[place]

    def backward(self) -> Sequence[Tensor]:
        """Give every member the gradients of its next batch; the losses, each of shape ()."""
        first = self.members[0]
        batch = self._batch()
        with first.autocast(), _batched_attention(first.device):
            losses: Tensor = vmap(self._loss)(self._weights, batch.inputs, batch.targets)
        gradients = torch.autograd.grad(losses.sum(), list(self._weights.values()))
        for name, gradient in zip(self._weights, gradients, strict=True):
            laid_out = gradient.contiguous()  # fused optimizers read a gradient in the order of its weight
            for named, part in zip(self._named, laid_out.unbind(), strict=True):
                named[name].grad = part
        return losses.detach().cpu().unbind()

    def _loss(self, weights: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        first = self.members[0]
        return LOSSES[first.dataset.loss](functional_call(first.model, weights, (inputs,)), targets)

    def _batch(self) -> Batch:
        """The next batches of all members, (members, count, ...); members of one seed share theirs."""
        seeds = [each.run.seed for each in self.members]
        drawn = {seed: self.members[seeds.index(seed)].next_batch() for seed in set(seeds)}
        return Batch(*(torch.stack(parts) for parts in zip(*(drawn[seed] for seed in seeds), strict=True)))


def _batched_attention(device: torch.device) -> AbstractContextManager[None]:
    """On the processor attention in plain steps: torch's fused one would go through the members one by one there."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
