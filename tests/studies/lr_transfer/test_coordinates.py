"""The coordinate check, against updates written out by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from common.data.losses import half_squared_error
from common.evidence.statistics import log_log_slope
from common.models.roles import named_factors
from common.optim import optimizers
from studies.lr_transfer import measure_coordinates
from studies.lr_transfer.measure_coordinates import OPTIMIZERS, STEPS, activations, batch, student
from studies.lr_transfer.study import BASE_WIDTH


def rule_of(network, kind):
    optimizer, lr = OPTIMIZERS[kind]
    return optimizers.build(optimizer, network.named_parameters(), lr=lr, factors=named_factors(network))


def outputs_of(network, x):
    """Outputs of the four affine maps of a plain network, written out."""
    weights = dict(network.named_parameters())
    found = {}
    for name in ("embedding", "hidden.0", "hidden.1", "readout"):
        factor = network.get_submodule(name).factor
        found[name] = functional.linear(x, factor * weights[f"{name}.weight"], weights[f"{name}.bias"])
        x = found[name].tanh()
    return found


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_activations_are_those_before_and_after_each_update(kind):
    examples = batch(7)
    found = list(activations(watched := student("mup", width=32, seed=7), rule_of(watched, kind), examples))
    network = student("mup", width=32, seed=7)
    rule = rule_of(network, kind)
    assert len(found) == STEPS + 1
    for now in found:
        for name, outputs in outputs_of(network, examples.inputs).items():
            torch.testing.assert_close(now[name], outputs)
        rule.zero_grad()
        half_squared_error(network(examples.inputs), examples.targets).backward()
        rule.step()


def test_the_first_layer_moves_with_the_signs_of_its_gradient_under_adam():
    examples = batch(3)
    network = student("sp", width=16, seed=3)
    half_squared_error(network(examples.inputs), examples.targets).backward()
    signs = {name: parameter.grad.sign() for name, parameter in network.embedding.named_parameters()}
    moved = OPTIMIZERS["adam"][1] * functional.linear(examples.inputs, signs["weight"], signs["bias"])
    rows = list(measure_coordinates.coordinates(network, rule_of(network, "adam"), examples))
    [value] = [row["value"] for row in rows if row["step"] == 1 and row["layer"] == "embedding"]
    assert value == pytest.approx(np.sqrt(np.mean(moved.numpy() ** 2)), rel=1e-4)


def test_the_batch_has_one_teacher_and_inputs_of_its_seed():
    first, again, other = batch(1), batch(1), batch(2)
    assert torch.equal(first.inputs, again.inputs) and torch.equal(first.targets, again.targets)
    assert not torch.equal(first.inputs, other.inputs)
    seeds = [batch(seed) for seed in range(12)]
    inputs, targets = (torch.cat([part[k] for part in seeds]) for k in range(2))
    left = targets - inputs @ torch.linalg.lstsq(inputs, targets).solution
    assert left.square().mean() < 0.5 * targets.square().mean()  # nearly one linear map; of 12 teachers there is none


@pytest.fixture(scope="module")
def table():
    return measure_coordinates.measure(seeds=(100, 101), widths=(64, BASE_WIDTH, 512))


def test_every_layer_of_every_network_is_measured(table):
    kinds = table.groupby("optimizer").parametrization.unique().map(set).to_dict()
    assert kinds == {"sgd": {"sp", "ntp", "mup"}, "adam": {"sp", "ntp", "mup", "sp_layerwise"}}
    assert set(zip(table.step, table.quantity, strict=True)) == {(0, "size")} | {(s, "change") for s in (1, 2, 3)}
    assert len(table) == 7 * 3 * 2 * 4 * (1 + STEPS)
    assert not table.duplicated(["optimizer", "parametrization", "width", "seed", "step", "layer"]).any()
    assert (table.value > 0).all()


def test_all_parametrizations_are_one_at_the_base(table):
    rows = table[table.width == BASE_WIDTH]
    assert (rows.groupby(["optimizer", "seed", "step", "layer"]).value.nunique() == 1).all()


def slope(table, optimizer, parametrization, layer, step=3):
    chosen = (table.optimizer == optimizer) & (table.parametrization == parametrization)
    means = table[chosen & (table.layer == layer) & (table.step == step)].groupby("width").value.mean()
    return log_log_slope(list(means.index), list(means))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_coordinates_under_mup_do_not_depend_on_the_width(table, optimizer):
    found = {layer: slope(table, optimizer, "mup", layer) for layer in table.layer.unique()}
    assert all(abs(value) <= 0.15 for value in found.values()), found


def test_coordinates_grow_under_sp_and_fade_under_ntp(table):
    assert slope(table, "adam", "sp", "readout") >= 0.5
    assert slope(table, "sgd", "sp", "readout", step=1) == pytest.approx(1, abs=0.15)
    assert slope(table, "sgd", "ntp", "hidden.1", step=1) == pytest.approx(-0.5, abs=0.1)
    assert slope(table, "sgd", "mup", "readout", step=0) == pytest.approx(-0.5, abs=0.1)
