"""The spectra of one state, against dense matrices of a tiny network."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.autograd.functional import hessian, jacobian
from torch.func import functional_call

from common import data, models
from common.config import MLP, SGD, Run, TanhTeacher
from common.data.losses import half_squared_error
from common.models.roles import named_factors
from common.runs.job import Job, train
from common.runs.place import Place
from common.streams import torch_stream
from studies.lr_transfer import measure_spectrum

SAMPLES = 12
RUN = Run(
    model=MLP(width=8, depth=2, activation="tanh", norm="none", parametrization="mup", base_width=2, init_gain=2.0),
    data=TanhTeacher(inputs=4, hidden=3, outputs=3, samples=SAMPLES, exponent=1.0),
    optimizer=SGD(),
    lr=0.1,
    steps=10,
    seed=1,
)


@pytest.fixture(scope="module")
def dense():
    """The rows of `spectrum`, and D^(1/2) H D^(1/2), the kernel J D J' / n and D^(1/2) g written out in float64."""
    dataset = data.load(RUN.data, corpora=Path("unused"))
    network = models.build(
        RUN.model, inputs=dataset.inputs, outputs=dataset.outputs, context=None, generator=torch_stream(1, "weights")
    ).double()
    inputs, targets = (part.double() for part in dataset.batch(seed=0, position=0, count=None))
    weights = {name: one.detach() for name, one in network.named_parameters()}
    shapes = [one.shape for one in weights.values()]
    flat = torch.cat([one.flatten() for one in weights.values()])

    def outputs(vector):
        parts = torch.split(vector, [shape.numel() for shape in shapes])
        named = {name: part.view(shape) for name, part, shape in zip(weights, parts, shapes, strict=True)}
        return functional_call(network, named, (inputs,))

    def loss(vector):
        return half_squared_error(outputs(vector), targets)

    factors = named_factors(network)
    root = torch.cat([torch.full((one.numel(),), factors[name].sgd ** 0.5) for name, one in weights.items()]).double()
    slopes = jacobian(outputs, flat).reshape(-1, len(flat)) * root
    curvature = root[:, None] * hessian(loss, flat) * root
    gradient = root * jacobian(loss, flat)
    rows = pd.DataFrame(measure_spectrum.spectrum(network.float(), dataset, RUN))
    return rows, curvature.numpy(), (slopes @ slopes.T / SAMPLES).numpy(), gradient.numpy()


def found(rows: pd.DataFrame, quantity: str) -> np.ndarray:
    return rows.value[rows.quantity == quantity].to_numpy()


def test_eigenvalues_are_those_of_the_scaled_hessian(dense):
    rows, curvature, *_ = dense
    top = np.linalg.eigvalsh(curvature)[::-1][: measure_spectrum.TOP]
    assert found(rows, "hessian") == pytest.approx(top, rel=1e-2, abs=measure_spectrum.FLOOR * top[0])


def test_those_of_the_kernel_are_those_of_the_scaled_gauss_newton_part(dense):
    rows, _, kernel, _ = dense
    top = np.linalg.eigvalsh(kernel)[::-1][: measure_spectrum.TOP]
    assert found(rows, "ntk") == pytest.approx(top, rel=1e-2, abs=measure_spectrum.FLOOR * top[0])


def test_shares_are_those_of_the_scaled_gradient(dense):
    rows, curvature, _, gradient = dense
    vectors = np.linalg.eigh(curvature)[1][:, ::-1][:, : measure_spectrum.TOP]
    shares = (gradient @ vectors) ** 2 / (gradient @ gradient)
    assert found(rows, "share").sum() == pytest.approx(shares.sum(), abs=0.02)
    assert found(rows, "share")[0] == pytest.approx(shares[0], abs=0.02)


@pytest.mark.parametrize(("quantity", "place"), [("trace", 1), ("ntk_trace", 2)])
def test_traces_agree_within_their_errors(dense, quantity, place):
    rows, trace = dense[0], np.trace(dense[place])
    found = rows[rows.quantity == quantity].iloc[0]
    assert 0 < found.error < 0.3 * abs(trace)
    assert abs(found.value - trace) < 4 * found.error


def test_the_kept_states_of_the_wanted_seeds_are_measured(tmp_path):
    run = dataclasses.replace(RUN, steps=4, log_every=4, keep_steps=(2,), sweep={"seed": (1, 2, 3)})
    place = Place("lr_transfer", "swept", tmp_path)
    train(Job(place, run, "code", "default", save_seconds=1e9))
    sizes = {"top": 2, "tolerance": 0.1, "products": 6}
    table = measure_spectrum.measure([place.state], seeds={"mup": [1, 3], "ntp": [2]}, **sizes)
    assert table[["seed", "step"]].drop_duplicates().values.tolist() == [[1, 2], [1, 4], [3, 2], [3, 4]]
    assert (
        table.groupby(["seed", "step"])
        .quantity.value_counts()
        .unstack()
        .eq({"hessian": 2, "ntk": 2, "share": 2, "trace": 1, "ntk_trace": 1})
        .all(axis=None)
    )
