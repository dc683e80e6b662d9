"""Slices of a batch, weighted by their targets, give the gradient of the whole batch."""

import dataclasses

import pytest
import torch

from common import data
from common.config import Run
from common.data import Batch
from common.data.losses import IGNORED
from common.training.data_parallel import DataParallel
from common.training.loop import Training


class Unscored:
    """A data set of which the first examples of each batch are scored in part, or not at all."""

    def __init__(self, dataset: data.Dataset, ignored: int) -> None:
        self.dataset, self.ignored = dataset, ignored

    def __getattr__(self, name: str):
        return getattr(self.dataset, name)

    def batch(self, **place) -> Batch:
        inputs, targets = self.dataset.batch(**place)
        targets = targets.clone()
        targets.view(-1)[: self.ignored] = IGNORED
        return Batch(inputs, targets)


@pytest.fixture
def run(text_run) -> Run:
    return dataclasses.replace(text_run, batch_size=4)


def gradients(training: Training) -> dict[str, torch.Tensor | None]:
    return {name: weight.grad for name, weight in training.model.named_parameters()}


@pytest.mark.parametrize("ignored", [0, 5, 32])
def test_ranks_have_the_loss_and_the_gradients_of_the_whole_batch(run, monkeypatch, ignored):
    dataset = Unscored(data.load(run.data, corpora=None), ignored)
    whole = Training(run, dataset)
    expected = whole.backward()
    messages = []
    for rank in (0, 1):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        monkeypatch.setattr(torch.distributed, "all_reduce", lambda message: messages.append(message.clone()))
        DataParallel(dataclasses.replace(run, ranks=2), dataset).backward()
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda message: message.copy_(sum(messages)))
    part = DataParallel(dataclasses.replace(run, ranks=2), dataset)
    torch.testing.assert_close(part.backward(), expected.detach())
    found = gradients(part)
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-7)


def test_weights_that_no_rank_reaches_stay_without_gradient(run, monkeypatch):
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda message: None)
    part = DataParallel(dataclasses.replace(run, ranks=2), data.load(run.data, corpora=None))
    part.model.spare = torch.nn.Parameter(torch.ones(2))
    part.backward()
    assert part.model.spare.grad is None and part.model.embedding.grad is not None


def test_only_rank_zero_measures(run, monkeypatch):
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda message: None)
    part = DataParallel(dataclasses.replace(run, ranks=2, evaluate_every=1), data.load(run.data, corpora=None))
    assert [list(row) for row in part] == [["step"]] * (run.steps + 1)
