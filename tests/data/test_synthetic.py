"""Teachers and bigram language against what is known of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common import config
from common.data import DataError, load
from common.data.synthetic import BLOCK, Bigram, Teacher
from common.streams import stream


def teacher(*, inputs=8, samples=20_000, exponent=1.0, noise=0.5) -> Teacher:
    data = config.Teacher(inputs=inputs, samples=samples, exponent=exponent, noise=noise)
    return load(data, corpora=None)


def squared_error(data: Teacher, weights: np.ndarray, part: str = "train") -> float:
    batch = getattr(data, part)
    return float(((batch.inputs.double().numpy() @ weights - batch.targets[:, 0].double().numpy()) ** 2).mean())


def test_inputs_have_a_power_law_spectrum():
    data = teacher(exponent=1.5)
    covariance = np.cov(data.train.inputs.numpy().T)
    np.testing.assert_allclose(np.diag(covariance), np.arange(1, 9) ** -1.5, rtol=0.05)
    np.testing.assert_allclose(covariance, np.diag(data.variances), atol=4 / math.sqrt(20_000))


def test_the_teacher_reaches_the_optimum_and_explains_variance_one():
    data = teacher()
    assert data.optimum == 0.25
    assert squared_error(data, data.weights) == pytest.approx(data.optimum, rel=0.05)
    assert squared_error(data, data.weights, "held_out") == pytest.approx(data.optimum, rel=0.2)
    assert squared_error(data, 0 * data.weights) == pytest.approx(1 + data.optimum, rel=0.05)


def test_another_student_pays_what_the_closed_form_says():
    data = teacher()
    student = data.weights + np.linspace(-1, 1, 8)
    expected = data.optimum + data.variances @ np.linspace(-1, 1, 8) ** 2
    assert squared_error(data, student) == pytest.approx(expected, rel=0.05)


def test_least_squares_trains_below_the_optimum_by_the_share_of_inputs():
    """20 inputs, 100 examples: noise**2 * (1 - 20 / 100), whose estimate has a relative deviation of sqrt(2 / 80)."""
    data = teacher(inputs=20, samples=100)
    x, y = (part.double().numpy() for part in data.train)
    fitted = np.linalg.lstsq(x, y[:, 0], rcond=None)[0]
    assert squared_error(data, fitted) == pytest.approx(0.25 * 0.8, rel=3 * math.sqrt(2 / 80))
    assert squared_error(data, fitted) < squared_error(data, data.weights)


def test_without_noise_the_teacher_is_exact():
    assert squared_error(teacher(noise=0.0), teacher(noise=0.0).weights) < 1e-12


def test_teacher_fits_the_contract():
    data = teacher(samples=50)
    batch = data.batch(seed=0, position=40, count=20)
    assert (data.loss, data.inputs, data.outputs, data.size, data.context) == ("mse", 8, 1, 50, None)
    assert (batch.inputs.shape, batch.targets.shape) == ((20, 8), (20, 1))
    assert batch.inputs.dtype == batch.targets.dtype == torch.float32
    assert torch.equal(data.train.inputs, teacher(samples=50).train.inputs)
    assert data.digest == teacher(samples=50).digest != teacher(samples=51).digest


def tanh_teacher(**fields):
    fields = {"inputs": 6, "hidden": 4, "outputs": 3, "samples": 20_000, "exponent": 1.0, "noise": 0.5, **fields}
    return load(config.TanhTeacher(**fields), corpora=None)


def test_inputs_of_the_tanh_teacher_have_the_norm_of_white_ones():
    variances = np.cov(tanh_teacher().train.inputs.numpy().T).diagonal()
    np.testing.assert_allclose(variances / variances[0], np.arange(1, 7) ** -1.0, rtol=0.05)
    assert variances.sum() == pytest.approx(6, rel=0.02)


def test_targets_of_the_tanh_teacher_have_variance_one_and_its_noise():
    clean, noisy = tanh_teacher(noise=0.0).train.targets, tanh_teacher(noise=0.5).train.targets
    np.testing.assert_allclose(clean.std(0, correction=0), 1, rtol=1e-5)
    np.testing.assert_allclose(clean.mean(0), 0, atol=0.03)
    np.testing.assert_allclose((noisy - clean).std(0), 0.5, rtol=0.02)


def test_the_tanh_teacher_is_a_network_of_two_layers():
    """Odd features of the inputs that no linear map gives, but those of its own hidden layer do."""
    data = tanh_teacher(noise=0.0)
    inputs, targets = (part.double().numpy() for part in data.train)
    weights = stream(0, "tanh_teacher", "weights").standard_normal((6, 4)) / math.sqrt(6)

    def unexplained(features):
        return np.var(targets - features @ np.linalg.lstsq(features, targets, rcond=None)[0])

    assert unexplained(np.tanh(inputs @ weights)) < 1e-10 < 1e-3 < unexplained(inputs)


def test_classes_of_the_tanh_teacher_are_the_largest_targets():
    data, classes = tanh_teacher(), tanh_teacher(loss="cross_entropy")
    assert (data.loss, classes.loss, classes.outputs) == ("mse", "cross_entropy", 3)
    for part in ("train", "held_out"):
        assert torch.equal(getattr(classes, part).targets, getattr(data, part).targets.argmax(1))


def bigram(*, vocabulary=16, successors=4, context=12, windows=64) -> Bigram:
    data = config.Bigram(vocabulary=vocabulary, successors=successors, context=context, validation_windows=windows)
    return load(data, corpora=None)


LANGUAGE = bigram()


@given(seed=st.integers(0, 3), position=st.integers(0, 3 * BLOCK), count=st.integers(1, 40))
def test_a_batch_is_its_single_examples_side_by_side(seed, position, count):
    batch = LANGUAGE.batch(seed=seed, position=position, count=count)
    singles = [LANGUAGE.batch(seed=seed, position=position + i, count=1) for i in range(count)]
    assert torch.equal(batch.inputs, torch.cat([single.inputs for single in singles]))
    assert torch.equal(batch.targets, torch.cat([single.targets for single in singles]))


def test_a_batch_may_span_several_blocks():
    whole = bigram().batch(seed=1, position=BLOCK - 3, count=2 * BLOCK)
    halves = [bigram().batch(seed=1, position=BLOCK - 3 + i * BLOCK, count=BLOCK) for i in range(2)]
    assert torch.equal(whole.inputs, torch.cat([half.inputs for half in halves]))


@pytest.mark.parametrize("vocabulary", [16, 17])
def test_every_step_follows_the_language(vocabulary):
    data = bigram(vocabulary=vocabulary)
    batch = data.batch(seed=0, position=0, count=2000)
    here, after = batch.inputs.numpy(), batch.targets.numpy()
    assert (here[:, ::2] < 8).all()
    assert (after[:, ::2] == data.certain[here[:, ::2]]).all()
    choices = data.uncertain[here[:, 1::2] - 8]
    assert (choices == after[:, 1::2, None]).any(axis=-1).all()
    assert len(set(data.certain)) == 8
    assert min(data.certain) >= 8
    assert all(len(set(row)) == 4 for row in data.uncertain)


@pytest.mark.parametrize("context", [12, 13])
def test_the_entropy_is_that_of_the_samples(context):
    """Plug-in estimate from 300,000 bigrams; its bias is about (number of successors) / (2 * count)."""
    data = bigram(context=context)
    batch = data.batch(seed=0, position=0, count=300_000 // context)
    counts = np.zeros((16, 16))
    np.add.at(counts, (batch.inputs.numpy().ravel(), batch.targets.numpy().ravel()), 1)
    rows = counts.sum(axis=1, keepdims=True)
    chances = np.divide(counts, rows, where=rows > 0, out=np.zeros_like(counts))
    entropy = -(counts[counts > 0] * np.log(chances[counts > 0])).sum() / counts.sum()
    assert entropy == pytest.approx(data.entropy_nats, abs=1e-3)
    assert data.entropy_nats == pytest.approx(6 / context * math.log(4))


def test_validation_is_fixed_and_not_in_the_training_stream():
    data = bigram(vocabulary=64, successors=16, context=24)
    first, second = (torch.cat([batch.inputs for batch in data.validation(chunk=chunk)]) for chunk in (7, 64))
    assert torch.equal(first, second)
    assert first.shape == (64, 24)
    drawn = {tuple(row) for row in data.batch(seed=0, position=0, count=BLOCK).inputs.tolist()}
    assert not drawn & {tuple(row) for row in first.tolist()}


def test_seeds_draw_different_windows_of_one_language():
    one, two = bigram(), bigram()
    assert np.array_equal(one.uncertain, two.uncertain)
    assert not torch.equal(one.batch(seed=0, position=0, count=9).inputs, two.batch(seed=1, position=0, count=9).inputs)


def test_what_has_no_meaning_is_refused():
    with pytest.raises(DataError, match="no full batch"):
        LANGUAGE.batch(seed=0, position=0, count=None)
