"""Distances from a teacher, Fisher information and consolidation against their definitions."""

import math

import pytest
import torch
from torch import nn

from common import models
from common.config import MLP, Convnet
from common.continual.regularisers import consolidation, distillation, fisher

LOGITS = torch.tensor([[0.2, -1.0, 0.5], [2.0, 0.1, 0.0]])
TAUGHT = torch.tensor([[1.0, -0.5, 0.0], [0.3, 0.3, 1.0]])


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("classes", [None, [0, 2]])
def test_distillation_is_the_divergence_of_the_softened_predictions(temperature, classes):
    total = 0.0
    for student, teacher in zip(LOGITS.tolist(), TAUGHT.tolist(), strict=True):
        chosen = classes or range(3)
        q, p = ([math.exp(row[c] / temperature) for c in chosen] for row in (student, teacher))
        q, p = ([value / sum(row) for value in row] for row in (q, p))
        total += temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 2
    found = distillation(
        LOGITS, TAUGHT, loss="cross_entropy", temperature=temperature, classes=classes and torch.tensor(classes)
    )
    assert float(found) == pytest.approx(total, rel=1e-5)


def test_distillation_of_tokens_is_the_mean_over_targets():
    windows = [part.view(2, 1, 3).expand(2, 4, 3) for part in (LOGITS, TAUGHT)]
    assert float(distillation(*windows, loss="cross_entropy")) == pytest.approx(
        float(distillation(LOGITS, TAUGHT, loss="cross_entropy")), rel=1e-6
    )


def test_distillation_of_numbers_is_half_the_squared_difference():
    assert float(distillation(LOGITS, TAUGHT, loss="mse")) == pytest.approx(float((LOGITS - TAUGHT).square().sum() / 4))


def test_nothing_is_to_be_learnt_from_an_equal_teacher():
    outputs = LOGITS.clone().requires_grad_()
    value = distillation(outputs, LOGITS, loss="cross_entropy", temperature=2.0)
    value.backward()
    assert abs(float(value.detach())) < 1e-7 and float(outputs.grad.abs().max()) < 1e-7


def test_fisher_of_a_linear_classifier():
    """F of the weight from x_j to class c is the mean of p_c (1 - p_c) x_j**2."""
    model, inputs = nn.Linear(4, 3), torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    p = model(inputs).softmax(-1).detach()
    found = fisher(model, inputs, loss="cross_entropy")
    wanted = torch.einsum("nc,nj->cj", p * (1 - p), inputs**2) / 20
    torch.testing.assert_close(found["weight"], wanted)
    torch.testing.assert_close(found["bias"], (p * (1 - p)).mean(0))


def test_fisher_of_linear_regression_is_the_mean_square_of_the_inputs():
    model, inputs = nn.Linear(4, 2), torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    found = fisher(model, inputs, loss="mse")
    torch.testing.assert_close(found["weight"], (inputs**2).mean(0).expand(2, 4))
    torch.testing.assert_close(found["bias"], torch.ones(2))


@pytest.mark.parametrize("kind", [MLP, Convnet])
def test_fisher_is_the_expected_squared_gradient_of_the_log_probability(kind):
    described = kind(width=3, depth=2, activation="tanh")
    model = models.build(described, inputs=64, outputs=5, context=None, generator=torch.Generator().manual_seed(0))
    inputs = torch.rand(11, 64, generator=torch.Generator().manual_seed(1))
    found = fisher(model, inputs, loss="cross_entropy")
    wanted = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    for example in inputs:
        for label in range(5):
            logs = model(example[None]).log_softmax(-1)[0]
            gradients = torch.autograd.grad(logs[label], list(model.parameters()))
            for name, gradient in zip(wanted, gradients, strict=True):
                wanted[name] += float(logs[label].detach().exp()) * gradient**2 / len(inputs)
    for name, values in wanted.items():
        torch.testing.assert_close(found[name], values, rtol=1e-4, atol=1e-8)


def test_consolidation_is_half_the_weighted_squared_distance():
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -4.0]]))
        model.bias.copy_(torch.tensor([1.0]))
    anchor = {"weight": torch.tensor([[1.0, -1.0]]), "bias": torch.tensor([1.0])}
    importance = {"weight": torch.tensor([[0.5, 2.0]]), "bias": torch.tensor([9.0])}
    value = consolidation(model, anchor=anchor, importance=importance)
    assert float(value.detach()) == 0.5 * (0.5 * 4 + 2 * 9)
    value.backward()
    assert model.weight.grad.tolist() == [[1.0, -6.0]]
