import dataclasses

import pytest
import torch

from common import data, probes
from common.config import Data, Model, Probe, Run

RUN = Run(model=Model(kind="mlp", width=4, depth=1), data=Data(source="digits"), lr=0.1, steps=3, seed=0)


def subject(kind, **fields):
    """A subject whose model is one layer with the weights 3, -4 and the bias 12."""
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -4.0]]))
        model.bias.copy_(torch.tensor([12.0]))
    whole = probes.Subject(
        model=model,
        dataset=data.load(RUN.data, corpora=None),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        learning_rate=0.1,
        run=RUN,
        probe=Probe(kind=kind, every=1),
        memory={},
    )
    return dataclasses.replace(whole, **fields)


def test_norms_are_those_of_all_weights_together():
    assert probes.norms(subject("norms")) == pytest.approx({"weight_norm": 13.0, "weight_max": 12.0})


def test_every_kind_names_its_columns():
    assert {kind: tuple(measure(subject(kind))) for kind, measure in probes.KINDS.items()} == probes.COLUMNS
