"""Sharpness of random batches: sharper than the whole, and the whole if the batch is all."""

import numpy as np
import pytest

from common import models
from common.config import MLP, Digits
from common.curvature.batches import batch_sharpness, random_batches
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective
from common.curvature.operators import Hessian
from common.data import load
from tests.curvature.cases import dense, generator


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    data = load(Digits(), corpora=tmp_path_factory.mktemp("none"))
    model = MLP(width=6, depth=1, activation="tanh", norm="none")
    return models.build(
        model, inputs=data.inputs, outputs=data.outputs, context=None, generator=generator()
    ).double(), data


def doubled(objective):
    objective._batches = [(inputs.double(), targets) for inputs, targets in objective._batches]
    return objective


def test_each_batch_against_its_dense_hessian(digits):
    batches = [doubled(one) for one in random_batches(*digits, batch_size=8, batches=3)]
    found = batch_sharpness(batches, tolerance=1e-6)
    for number, objective in enumerate(batches):
        matrix, gradient = dense(objective), objective.gradient()
        assert found.each[number].value == pytest.approx(np.linalg.eigvalsh(matrix)[-1], rel=1e-6)
        along = gradient @ matrix @ gradient / (gradient @ gradient)
        assert found.along_gradients[number] == pytest.approx(along, rel=1e-9)
    values = [one.value for one in found.each]
    assert found.mean == pytest.approx(np.mean(values))
    assert found.error == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
    assert found.converged
    assert found.products == sum(one.products + 1 for one in found.each)


def test_small_batches_are_sharper(digits):
    network, data = digits
    whole = extremes(Hessian(doubled(Objective.of_dataset(network, data)))).value
    small, large = (
        batch_sharpness([doubled(one) for one in random_batches(network, data, batch_size=size, batches=5)]).mean
        for size in (4, 128)
    )
    assert small > 1.2 * whole
    assert whole * 0.95 < large < small


def test_batches_are_disjoint_and_fixed_by_the_seed(digits):
    first, second = random_batches(*digits, batch_size=5, batches=2)
    again, _ = random_batches(*digits, batch_size=5, batches=2)
    other, _ = random_batches(*digits, batch_size=5, batches=2, seed=1)
    inputs = [one._batches[0][0].tolist() for one in (first, second, again, other)]
    assert inputs[0] == inputs[2]
    assert inputs[0] != inputs[3]
    assert not any(row in inputs[1] for row in inputs[0])


def test_one_batch_and_none(digits):
    found = batch_sharpness(doubled(one) for one in random_batches(*digits, batch_size=5, batches=1))
    assert np.isnan(found.error)
    with pytest.raises(ValueError, match="objectives is empty"):
        batch_sharpness([])
