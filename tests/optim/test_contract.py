"""What torch's users expect of every rule: closures, copies, `state_dict`, any memory order, missing gradients."""

import copy
import dataclasses
import pickle
import warnings

import pytest
import torch

from common.config import Muon, ScheduleFree
from common.config.parametrization import Role
from common.optim import optimizers
from common.runs import checkpoint
from common.training.loop import State
from tests.optim.cases import RULES, gradient

ROLES = {"matrix": Role.HIDDEN, "filters": Role.HIDDEN, "bias": Role.VECTOR, "spare": Role.VECTOR}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())


def parameters() -> dict[str, torch.nn.Parameter]:
    """A transposed matrix, filters in channels_last, and two vectors, of which the last never has a gradient."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    filters = random(3, 2, 3, 3).to(memory_format=torch.channels_last)
    tensors = {"matrix": random(4, 3).t(), "filters": filters, "bias": random(3), "spare": random(2)}
    assert not tensors["matrix"].is_contiguous() and not filters.is_contiguous()
    return {name: torch.nn.Parameter(tensor) for name, tensor in tensors.items()}


def build(rule, weights):
    return optimizers.build(rule, weights.items(), lr=0.02, roles=ROLES)


def update(optimizer, weights, first, last):
    for k in range(first, last):
        for name, weight in weights.items():
            weight.grad = None if name == "spare" else gradient(weight.detach(), k)
        optimizer.step()


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def trained(rule, updates):
    weights = parameters()
    optimizer = build(rule, weights)
    update(optimizer, weights, 0, updates)
    return weights, optimizer


@every_rule
def test_a_state_that_was_on_disk_goes_on_in_the_same_bits_in_any_memory_order(rule, tmp_path):
    whole, _ = trained(rule, 7)
    weights, optimizer = trained(rule, 4)
    tensors = {f"w/{name}": weight.detach() for name, weight in weights.items()} | optimizers.state_tensors(optimizer)
    checkpoint.save(tmp_path / "state", {"final": State(tensors, step=4, position=0)})
    kept = checkpoint.load(tmp_path / "state", "final").tensors
    fresh = parameters()
    with torch.no_grad():
        for name, weight in fresh.items():
            weight.copy_(kept.pop(f"w/{name}"))
    resumed = build(rule, fresh)
    optimizers.load_state_tensors(resumed, kept)
    update(resumed, fresh, 4, 7)
    assert same(fresh, whole)


@every_rule
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_goes_on_like_the_original(rule, duplicate):
    whole, _ = trained(rule, 6)
    weights, optimizer = duplicate(trained(rule, 3))
    assert all(a is b for a, b in zip(weights.values(), in_order(optimizer, weights), strict=True))
    update(optimizer, weights, 3, 6)
    assert same(weights, whole)


def in_order(optimizer, weights):
    named = {
        name: tensor
        for group in optimizer.param_groups
        for name, tensor in zip(group["param_names"], group["params"], strict=True)
    }
    return [named[name] for name in weights]


@every_rule
def test_torchs_own_state_goes_on_in_the_same_bits(rule):
    whole, _ = trained(rule, 6)
    weights, optimizer = trained(rule, 3)
    resumed = build(rule, weights)
    resumed.load_state_dict(optimizer.state_dict())
    update(resumed, weights, 3, 6)
    assert same(weights, whole)


def in_plain_order(weights):
    return {name: torch.nn.Parameter(weight.detach().contiguous()) for name, weight in weights.items()}


@every_rule
def test_torchs_own_state_goes_on_over_weights_in_another_memory_order(rule):
    weights, optimizer = trained(rule, 3)
    plain = in_plain_order(weights)
    resumed = build(rule, plain)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for built, tensors in ((optimizer, weights), (resumed, plain)):
        update(built, tensors, 3, 6)
    for name, weight in weights.items():
        torch.testing.assert_close(plain[name], weight, rtol=1e-3, atol=1e-3)  # Muon computes in bfloat16


ORDERS = {
    "transposed": lambda gradient: gradient.t().contiguous().t(),
    "expanded": lambda gradient: gradient[:1, :1].expand(gradient.shape),
    "a block": lambda gradient: torch.cat([gradient, gradient], dim=1)[:, : gradient.shape[1]],
}


@every_rule
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("in_closure", [False, True])
def test_gradients_may_lie_in_any_memory_order(rule, order, in_closure):
    ends = []
    for reorder in (order, lambda gradient: order(gradient).contiguous()):
        matrix = torch.nn.Parameter(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))
        optimizer = optimizers.build(rule, [("matrix", matrix)], lr=0.02, roles=ROLES)
        for k in range(3):

            def assign(matrix=matrix, reorder=reorder, k=k):
                matrix.grad = reorder(gradient(matrix.detach(), k))

            assign() if not in_closure else None
            optimizer.step(assign if in_closure else None)
        ends.append(matrix)
    assert torch.equal(*ends)


BLOCKS = {
    "columns": lambda: torch.ones(4, 6)[:, :3],
    "every second row": lambda: torch.ones(8, 3)[::2],
    "one row for all": lambda: torch.ones(1, 3).expand(4, 3),
}


@every_rule
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_weights_with_gaps_in_memory_are_refused_where_they_would_be_missed(rule, block):
    weight = {"spare": torch.nn.Parameter(block())} | {"matrix": torch.nn.Parameter(torch.ones(4, 3))}
    if isinstance(rule, ScheduleFree):
        build(rule, weight)
    else:
        with pytest.raises(
            ValueError, match=r"weight 'spare' is a part of another tensor, .*nn\.Parameter\(weight\.cl"
        ):
            build(rule, weight)
    build(rule, weight | {"spare": torch.nn.Parameter(block().clone())})


@every_rule
def test_a_rate_may_be_a_tensor_of_one_number(rule):
    weights = parameters()
    optimizer = optimizers.build(rule, weights.items(), lr=torch.tensor(0.5), roles=ROLES)
    optimizers.set_lr(optimizer, torch.tensor([0.25]))
    assert {type(group["lr"]) for group in optimizer.param_groups} == {float}
    update(optimizer, weights, 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizers.state_tensors(optimizer)


@every_rule
def test_a_closure_is_called_with_gradients_enabled_and_its_loss_returned(rule):
    plain, _ = trained(rule, 1)
    weights = parameters()
    optimizer = build(rule, weights)

    def closure():
        loss = sum(w.pow(4).sum() / 4 + w.pow(2).sum() + 0.1 * w.sum() for n, w in weights.items() if n != "spare")
        loss.backward()
        return loss

    assert optimizer.step(closure).requires_grad
    for name, weight in weights.items():
        torch.testing.assert_close(weight, plain[name], rtol=1e-4, atol=1e-4)


@every_rule
def test_a_group_without_any_gradient_stands_still(rule):
    weights = parameters()
    optimizer = build(rule, weights)
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    for name in ("matrix", "filters"):
        weights[name].grad = gradient(weights[name].detach(), 0)
    optimizer.step()
    with optimizers.evaluation(optimizer):
        assert [name for name in weights if torch.equal(weights[name], before[name])] == ["bias", "spare"]


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if isinstance(rule, ScheduleFree)], ids=repr)
def test_the_state_of_torch_tells_the_average_from_the_iterate(rule):
    weights, optimizer = trained(rule, 3)
    optimizer.eval()
    resumed = build(rule, weights)
    resumed.load_state_dict(optimizer.state_dict())
    with pytest.raises(RuntimeError, match=r"call train\(\) before the update"):
        update(resumed, weights, 3, 4)
    resumed.train()
    update(resumed, weights, 3, 6)
    assert same(weights, trained(rule, 6)[0])


def test_half_precision_weights_are_refused_where_epsilon_would_vanish():
    with pytest.raises(ValueError, match=r"cannot add epsilon=1e-08 to a float16 tensor; keep the weights in float32"):
        optimizers.build(ScheduleFree(), [("w", torch.nn.Parameter(torch.ones(2, dtype=torch.float16)))], lr=0.1)


def test_a_state_with_half_of_what_a_parameter_keeps_is_refused():
    rule = dataclasses.replace(Muon(), weight_decay=0.0)
    _, optimizer = trained(rule, 2)
    tensors = optimizers.state_tensors(optimizer)
    del tensors["parameter/bias/exp_avg"]
    with pytest.raises(ValueError, match="lacks 'parameter/bias/exp_avg'"):
        optimizers.load_state_tensors(optimizer, tensors)
