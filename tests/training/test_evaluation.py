"""Loss over the validation set: the mean against the tokens, and both against their definitions."""

import math

import pytest
import torch
from torch.nn import functional

from common import data, models
from common.config import MLP, Bigram, Digits, Teacher, Transformer
from common.training.evaluation import MANY, classes, evaluate, token_entropies, token_losses

LANGUAGE = Bigram(vocabulary=8, successors=4, context=6, validation_windows=70)
DIGITS = Digits()
TEACHER = Teacher(inputs=5, samples=20, exponent=1.0)


def network(dataset):
    model = Transformer(width=8, depth=1, heads=2) if dataset.context else MLP(depth=1)
    shapes = {"inputs": dataset.inputs, "outputs": dataset.outputs, "context": dataset.context}
    return models.build(model, **shapes, generator=torch.Generator().manual_seed(1))


def whole(dataset):
    """The validation set as one batch."""
    return next(iter(dataset.validation(chunk=10**6)))


@pytest.fixture
def language(tmp_path):
    dataset = data.load(LANGUAGE, corpora=tmp_path)
    return network(dataset), dataset


def test_loss_of_tokens_is_minus_the_log_of_their_probability(language):
    model, dataset = language
    inputs, targets = whole(dataset)
    probability = model(inputs).softmax(-1).gather(-1, targets[..., None])[..., 0]
    assert torch.allclose(token_losses(model, dataset), -probability.log(), atol=1e-6)


def test_mean_loss_is_the_mean_of_the_tokens(language):
    assert evaluate(*language) == {"val_loss": pytest.approx(float(token_losses(*language).mean()), rel=1e-6)}


@pytest.mark.parametrize("examples", [1, 31, 32, 33, 64, 70, 1000])
def test_the_first_examples_alone(language, examples):
    first = float(token_losses(*language)[:examples].mean())
    assert evaluate(*language, examples=examples)["val_loss"] == pytest.approx(first, rel=1e-6)


def test_entropy_of_a_uniform_prediction(language):
    model, dataset = language
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.allclose(token_entropies(model, dataset), torch.tensor(math.log(8)))


def test_entropy_against_its_definition(language):
    model, dataset = language
    p = model(whole(dataset).inputs).softmax(-1)
    assert torch.allclose(token_entropies(model, dataset), -(p * p.log()).sum(-1), atol=1e-6)


def test_classes_have_an_accuracy(tmp_path):
    dataset = data.load(DIGITS, corpora=tmp_path)
    model = network(dataset)
    inputs, targets = whole(dataset)
    found = evaluate(model, dataset)
    assert found["val_accuracy"] == pytest.approx(float((model(inputs).argmax(-1) == targets).float().mean()))
    assert found["val_loss"] == pytest.approx(float(functional.cross_entropy(model(inputs), targets)), rel=1e-5)


def test_squared_error_is_half_the_sum_over_outputs(tmp_path):
    dataset = data.load(TEACHER, corpora=tmp_path)
    model = network(dataset)
    inputs, targets = whole(dataset)
    assert evaluate(model, dataset)["val_loss"] == pytest.approx(
        float(0.5 * (model(inputs) - targets).square().sum(-1).mean()), rel=1e-5
    )


@pytest.mark.parametrize("described", [DIGITS, TEACHER, LANGUAGE], ids=lambda data: data.kind)
def test_the_number_of_examples_in_a_pass_changes_the_last_bits_only(tmp_path, described):
    dataset = data.load(described, corpora=tmp_path)
    model = network(dataset)
    few, many = (evaluate(model, dataset, chunk=chunk) for chunk in (32, MANY))
    assert few == pytest.approx(many, rel=1e-6)
    assert few == evaluate(model, dataset)


@pytest.mark.parametrize("kept", [(7, 2, 9), None])
def test_accuracy_within_the_classes_of_the_set_image_by_image(tmp_path, kept):
    dataset = data.load(Digits(classes=kept), corpora=tmp_path)
    model = network(dataset)
    assert classes(dataset).tolist() == sorted(kept or range(10))
    inputs, targets = whole(dataset)
    right = 0
    for outputs, target in zip(model(inputs).tolist(), targets.tolist(), strict=True):
        right += max(kept or range(10), key=lambda label: outputs[label]) == target
    found = evaluate(model, dataset, within=classes(dataset))
    assert found["val_accuracy_within"] == right / len(targets)
    assert (found["val_accuracy_within"] == found["val_accuracy"]) == (kept is None)
    assert {n: v for n, v in found.items() if n != "val_accuracy_within"} == evaluate(model, dataset)


def test_a_head_that_gives_all_to_new_classes_keeps_what_it_has_within(tmp_path):
    dataset = data.load(Digits(classes=(3, 8)), corpora=tmp_path)
    model = network(dataset)
    before = evaluate(model, dataset, within=classes(dataset))
    with torch.no_grad():
        model.readout.bias[5] += 1e6
    after = evaluate(model, dataset, within=classes(dataset))
    assert after["val_accuracy"] == 0 and after["val_accuracy_within"] == before["val_accuracy_within"] > 0


@pytest.mark.parametrize("measure", [token_losses, token_entropies])
def test_only_tokens_have_token_losses(measure, tmp_path):
    dataset = data.load(DIGITS, corpora=tmp_path)
    with pytest.raises(ValueError, match="has no tokens"):
        measure(network(dataset), dataset)


class Scored:
    """A data set of tokens whose targets are partly ignored, in the first windows all of them."""

    name, loss, inputs, outputs, context = "scored", "cross_entropy", 8, 8, 6

    def __init__(self):
        source = torch.Generator().manual_seed(3)
        tokens = torch.randint(8, (70, 7), generator=source)
        unscored = torch.rand(70, 6, generator=source) < 0.6
        unscored[:33] = True
        self.whole = data.Batch(tokens[:, :-1], tokens[:, 1:].masked_fill(unscored, -100))
        self.scored = ~unscored

    def validation(self, *, chunk):
        for first in range(0, 70, chunk):
            yield data.Batch(*(part[first : first + chunk] for part in self.whole))


@pytest.fixture
def scored():
    dataset = Scored()
    return network(dataset), dataset


def test_of_partly_scored_targets_the_loss_is_the_mean_over_those(scored):
    model, dataset = scored
    losses = token_losses(model, dataset)
    assert torch.equal(losses.isnan(), ~dataset.scored)
    logs = model(dataset.whole.inputs).log_softmax(-1)
    each = [-float(logs[w, c, dataset.whole.targets[w, c]].detach()) for w, c in dataset.scored.nonzero().tolist()]
    assert losses[dataset.scored].tolist() == pytest.approx(each, rel=1e-5)
    for chunk in (1, 32, 70):
        assert evaluate(model, dataset, chunk=chunk) == {"val_loss": pytest.approx(sum(each) / len(each), rel=1e-5)}


def test_entropies_stand_where_losses_stand(scored):
    assert torch.equal(token_entropies(*scored).isnan(), token_losses(*scored).isnan())
