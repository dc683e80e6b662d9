import pytest
import torch

from common import probes


def test_norms_are_those_of_all_weights_together():
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -4.0]]))
        model.bias.copy_(torch.tensor([12.0]))
    assert probes.norms(model) == pytest.approx({"weight_norm": 13.0, "weight_max": 12.0})


def test_every_kind_names_its_columns():
    model = torch.nn.Linear(2, 1)
    assert {kind: tuple(measure(model)) for kind, measure in probes.KINDS.items()} == probes.COLUMNS
