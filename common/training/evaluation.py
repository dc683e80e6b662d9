"""A model's loss over the fixed validation set: its mean, and token by token.

The model is used as it is: call these where its weights are those to be measured (for Schedule-Free, its average).
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.data import Dataset
from common.data.losses import IGNORED, count_targets

EXAMPLES = 32
"""Validation examples per forward pass; part of the convention, since the order of summation changes the last bits."""

MANY = 1024
"""The same where evaluations are frequent: of small examples, so many at once cost about as much as `EXAMPLES`."""

Context = AbstractContextManager[Any]


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    dataset: Dataset,
    *,
    autocast: Context | None = None,
    chunk: int = EXAMPLES,
    examples: int | None = None,
    within: Tensor | None = None,
) -> dict[str, float]:
    """Mean validation loss, and for classes (not tokens) the share of right answers.

    Among the classes of the validation set alone it tells lost features from a head that gives all of its probability
    to other classes, as it does after it has learnt those (Caccia et al. 2022, arXiv:2104.05025).

    Args:
        model: the network, on any device.
        dataset: its validation examples are used.
        autocast: context in which the forward pass runs.
        chunk: examples per forward pass.
        examples: how many validation examples, the first ones; all if left out.
        within: the classes that compete for val_accuracy_within, as `classes` gives them; not measured if left out.
    Returns: val_loss, in nats per scored target for cross-entropy, half the squared error summed over outputs
        otherwise; and val_accuracy if the data set has classes, with val_accuracy_within.
    """
    total, right, right_within, count = 0.0, 0, 0, 0
    for outputs, targets in _predictions(model, dataset, autocast or nullcontext(), chunk=chunk, examples=examples):
        if dataset.loss == "cross_entropy":
            logits = outputs.flatten(0, -2)
            total += float(functional.cross_entropy(logits, targets.flatten(), reduction="sum"))
            right += int((logits.argmax(-1) == targets).sum()) if classifies(dataset) else 0
            right_within += 0 if within is None else int((within[logits[:, within].argmax(-1)] == targets).sum())
        else:
            total += float(0.5 * (outputs - targets).square().sum())
        count += count_targets(targets)
    accuracy = {"val_accuracy": right / count} if classifies(dataset) else {}
    among = {} if within is None else {"val_accuracy_within": right_within / count}
    return {"val_loss": total / count, **accuracy, **among}


def classifies(dataset: Dataset) -> bool:
    """Whether the data set has classes, as opposed to tokens and numbers."""
    return dataset.loss == "cross_entropy" and dataset.context is None


def classes(dataset: Dataset) -> Tensor:
    """The classes that occur in the validation set, in their order: int64 (classes,)."""
    found: Tensor = torch.unique(torch.cat([batch.targets for batch in dataset.validation(chunk=MANY)]))
    return found


@torch.inference_mode()
def token_losses(model: nn.Module, dataset: Dataset) -> Tensor:
    """Cross-entropy of each validation token, in nats: float32 (windows, context); NaN where it is not scored."""
    parts = []
    for logits, targets in _predictions(model, _tokens(dataset), nullcontext()):
        losses = functional.cross_entropy(logits.transpose(1, -1), targets, reduction="none")
        parts.append(_scored(losses, targets))
    return torch.cat(parts)


@torch.inference_mode()
def token_entropies(model: nn.Module, dataset: Dataset) -> Tensor:
    """Entropy of the model's prediction before each validation token, in nats: float32 (windows, context).

    NaN where the token is not scored, as in `token_losses`.
    """
    parts = []
    for logits, targets in _predictions(model, _tokens(dataset), nullcontext()):
        logs = logits.log_softmax(-1)
        parts.append(_scored(-(logs.exp() * logs).sum(-1), targets))
    return torch.cat(parts)


def _scored(values: Tensor, targets: Tensor) -> Tensor:
    return values.masked_fill(targets == IGNORED, torch.nan).cpu()


def _tokens(dataset: Dataset) -> Dataset:
    if dataset.context is None or dataset.loss != "cross_entropy":
        raise ValueError(f"data {dataset.name!r} has no tokens, so no loss of a token; use a text source or bigram")
    return dataset


def _predictions(
    model: nn.Module, dataset: Dataset, autocast: Context, *, chunk: int = EXAMPLES, examples: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs (float32) and targets, chunk by chunk."""
    device = next(model.parameters()).device
    left = math.inf if examples is None else examples
    for batch in dataset.validation(chunk=chunk):
        count = int(min(left, len(batch.inputs)))
        inputs, targets = (tensor[:count].to(device) for tensor in batch)
        with autocast:
            outputs = model(inputs)
        yield outputs.float(), targets
        left -= count
        if left <= 0:
            return
