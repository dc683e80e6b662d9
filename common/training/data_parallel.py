"""One rank of a run that trains on several processes: a slice of every batch, the gradient of the whole of it."""

from typing import Any

import torch
import torch.distributed
from torch import Tensor

from common.data import Batch
from common.data.losses import count_targets
from common.training.loop import Row, Training


class DataParallel(Training):
    """A training whose processes make the same updates, in a process group that is there already.

    Each rank holds all weights and takes the slice of the batch that is its turn. Losses and gradients are summed over
    the ranks with the number of scored targets of each slice as weight, in one message, so that they are those of the
    whole batch; sums run in another order than in one process, but in the same at every repeat. Only rank 0 evaluates
    and probes.
    """

    def next_batch(self) -> Batch:
        """This rank's slice of the batch of the next update, on the device."""
        assert self.run.batch_size is not None
        batch = self.dataset.batch(seed=self.run.seed, position=self.position, count=self.run.batch_size)
        size = self.run.batch_size // self.run.ranks
        part = slice(self.rank * size, (self.rank + 1) * size)
        return Batch(*(tensor[part].to(self.device, non_blocking=True) for tensor in batch))

    def backward(self) -> Tensor:
        """Fill the gradients of the next update, those of the whole batch; its loss, shape ()."""
        self.optimizer.zero_grad(set_to_none=True)
        batch = self.next_batch()
        scored = count_targets(batch.targets)
        weighted = torch.zeros((), device=self.device)
        if scored:  # the mean over no targets is not a number
            weighted = scored * self.loss(batch)
            weighted.backward()  # type: ignore[no-untyped-call]
        return self._summed(weighted.detach(), scored)

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return torch.distributed.get_rank()

    def _summed(self, weighted: Tensor, scored: int) -> Tensor:
        """Put the mean gradient over all ranks into the weights; the mean loss."""
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        reached = weighted.new_tensor([weight.grad is not None for weight in weights])
        gradients = [(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in weights]
        message = torch.cat([*gradients, reached, weighted[None], weighted.new_tensor([scored])])
        torch.distributed.all_reduce(message)
        sizes = [*(weight.numel() for weight in weights), len(weights), 1, 1]
        *parts, reached, loss, total = torch.split(message, sizes)
        for weight, part, found in zip(weights, parts, reached.tolist(), strict=True):
            weight.grad = (part / total).view_as(weight) if found else None
        mean: Tensor = (loss / total).squeeze()
        return mean

    def _row(self) -> Row:
        if self.rank == 0:
            return super()._row()
        self._losses = []
        return {"step": self.start_step + self.done}


def agreed(flag: bool) -> bool:
    """Whether any rank says so; all must ask."""
    votes = torch.tensor(float(flag), device=_device())
    torch.distributed.all_reduce(votes)
    return bool(votes)


def shared(value: Any) -> Any:
    """What rank 0 gives, on every rank; all must ask."""
    values = [value]
    torch.distributed.broadcast_object_list(values)
    return values[0]


def _device() -> torch.device:
    return torch.device("cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
