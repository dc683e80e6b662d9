"""The loss over a probe set and its exact derivatives, whatever the chunks, the mode and the device of the sums."""

import weakref

import numpy as np
import pytest
import torch
from torch import nn

from common.config import MLP, SGD, Bigram, Digits, Run, Teacher, Transformer
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective
from common.curvature.operators import Hessian, Scaled
from common.data import load
from common.data.losses import cross_entropy, half_squared_error
from common.training.loop import Training
from tests.curvature.cases import CASES, case, classes, dense, drawn, mlp, outputs_jacobian, regression, transformer

RNG = np.random.default_rng(0)


def close(actual, expected, *, share=1e-12):
    assert np.abs(actual - expected).max() <= share * np.abs(expected).max()


@pytest.mark.parametrize("name", CASES)
def test_products_are_those_of_the_dense_hessian(name):
    objective = case(name)
    block = RNG.standard_normal((objective.size, 3))
    close(objective.hessian_products(block), dense(objective) @ block)


@pytest.mark.parametrize("name", CASES)
def test_gauss_newton_and_remainder(name):
    objective = case(name)
    ((inputs, targets),) = objective._batches
    outputs = objective.model(inputs).detach()
    curvature = torch.autograd.functional.hessian(
        lambda z: objective._loss(z.view(outputs.shape), targets), outputs.flatten()
    )
    jacobian = outputs_jacobian(objective)
    expected = jacobian.T @ curvature.numpy() @ jacobian
    identity = np.eye(objective.size)
    close(objective.gauss_newton_products(identity), expected)
    close(objective.remainder_products(identity), dense(objective) - expected, share=1e-10)


def test_gradient_and_loss():
    objective = case("mlp-cross-entropy")
    weights, step = objective.weights(), 1e-6
    direction = RNG.standard_normal(objective.size)
    slope = (objective.loss(weights + step * direction) - objective.loss(weights - step * direction)) / (2 * step)
    assert objective.gradient() @ direction == pytest.approx(slope, rel=1e-7)
    assert objective.loss(weights) == objective.loss()
    assert np.array_equal(objective.weights(), weights)


@pytest.mark.parametrize("sizes", [(12,), (6, 6), (5, 4, 3), (1, 11)])
def test_any_chunks_give_the_mean_over_all_targets(sizes):
    x, y = classes()
    whole = Objective(mlp(), cross_entropy, [(x, y)])
    parts = Objective(mlp(), cross_entropy, list(zip(x.split(sizes), y.split(sizes), strict=True)))
    block = RNG.standard_normal((whole.size, 2))
    assert parts.loss() == pytest.approx(whole.loss(), rel=1e-13)
    for name in ("hessian_products", "gauss_newton_products", "remainder_products"):
        close(getattr(parts, name)(block), getattr(whole, name)(block))
    close(parts.gradient(), whole.gradient())
    with parts.cached_graphs(chunks=2):
        close(parts.hessian_products(block), whole.hessian_products(block))
        close(parts.hessian_products(block), whole.hessian_products(block))


def test_one_forward_pass_for_a_block_and_none_for_a_held_graph():
    objective = case("mlp-squared")
    block = RNG.standard_normal((objective.size, 4))
    free = objective.hessian_products(block)
    assert objective.forwards == 1
    with objective.cached_graphs():
        first = objective.hessian_products(block)
        objective.gradient(), objective.gauss_newton_products(block)
        assert np.array_equal(first, objective.hessian_products(block))
        assert objective.forwards == 2
    assert not objective._held
    assert np.array_equal(first, free)
    objective.hessian_products(block)
    assert objective.forwards == 3


def test_leaving_frees_the_graph():
    objective = case("transformer")
    with objective.cached_graphs():
        objective.hessian_products(np.ones((objective.size, 1)))
        graph = weakref.ref(objective._held[0])
        assert graph() is not None
    assert graph() is None


def test_a_held_graph_notices_new_weights_and_a_new_mode():
    objective = case("mlp-squared")
    block = np.eye(objective.size)
    with objective.cached_graphs():
        objective.hessian_products(block)
        with torch.no_grad():
            objective.parameters[0].mul_(1.1)
        close(objective.hessian_products(block), dense(objective))
        objective.model.eval()
        objective.hessian_products(block)
        assert objective.forwards == 3


def test_products_keep_the_precision_of_the_weights():
    x, y = classes(dtype=torch.float32)
    objective = Objective(mlp(dtype=torch.float32), cross_entropy, [(x, y)])
    exact = Objective(mlp(dtype=torch.float32).double(), cross_entropy, [(x.double(), y)])
    block = RNG.standard_normal((objective.size, 2))
    error = np.abs(objective.hessian_products(block) - exact.hessian_products(block)).max()
    assert 0 < error < 1e-5
    assert objective.precision == pytest.approx(1.2e-7, rel=0.01)
    assert exact.precision < 1e-15


class Automatic(nn.Module):
    """A network that computes in bfloat16, within its forward pass."""

    def __init__(self, cast):
        super().__init__()
        self.network, self.cast = mlp(dtype=torch.float32), cast

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            outputs = self.network(x)
        return outputs.float() if self.cast else outputs


@pytest.mark.parametrize("cast", [False, True])
def test_precision_is_that_of_what_is_computed(cast):
    objective = Objective(Automatic(cast), cross_entropy, [classes(dtype=torch.float32)])
    with torch.inference_mode(), objective.cached_graphs():
        operator = Scaled(Hessian(objective), np.ones(objective.size))
        assert operator.precision == objective.precision == torch.finfo(torch.bfloat16).eps
        assert objective.forwards == 1
    assert not extremes(Hessian(objective)).converged


def test_whole_numbers_on_the_way_have_no_precision():
    network = nn.Sequential(nn.Conv1d(1, 2, 2), nn.MaxPool1d(3), nn.Flatten(), nn.Embedding(3, 2))
    network.forward = lambda x: network[2](network[1](network[0](x[:, None])))
    objective = Objective(network.double(), lambda z, _: z.square().mean(), [classes()])
    assert objective.precision == torch.finfo(torch.float64).eps


def normalised():
    network = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    return drawn(network, 4)


def test_batch_normalisation_by_mode():
    network = normalised()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x, y = classes()
    objective = Objective(network, cross_entropy, [(x, y)])
    block = np.eye(objective.size)
    train, mode = objective.hessian_products(block), objective.mode
    network.eval()
    evaluated, other = objective.hessian_products(block), objective.mode
    network[1].train()
    assert (mode, other, objective.mode) == ("train", "eval", "mixed")
    assert np.abs(train - evaluated).max() > 0.01
    close(train, train.T, share=1e-10)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    network.train()
    halves = Objective(network, cross_entropy, [(x[:6], y[:6]), (x[6:], y[6:])])
    assert np.abs(halves.hessian_products(block) - train).max() > 0.01


def test_gradients_and_frozen_weights_stay_as_they_were():
    network = mlp()
    network[0].weight.requires_grad_(False)
    objective = Objective(network, cross_entropy, [classes()])
    objective.hessian_products(np.eye(objective.size))
    assert objective.size == 5 + 15 + 3
    assert list(objective.named) == ["0.bias", "2.weight", "2.bias"]
    assert all(parameter.grad is None for parameter in network.parameters())


def test_products_within_no_grad():
    objective = case("mlp-squared")
    block = np.eye(objective.size)
    with torch.no_grad():
        inside = objective.hessian_products(block), objective.gauss_newton_products(block)
    assert np.array_equal(inside[0], objective.hessian_products(block))
    assert np.array_equal(inside[1], objective.gauss_newton_products(block))


@pytest.mark.parametrize("name", ["mlp-squared", "transformer"])
def test_products_within_inference_mode(name):
    """Where torch records nothing, unless told to: also for batches that were made there."""
    objective = case(name)
    block = np.eye(objective.size)[:, :7]
    gradient, loss = objective.gradient(), objective.loss()
    with torch.inference_mode():
        inside = Objective(objective.model, objective._loss, [(x.clone(), y.clone()) for x, y in objective._batches])
        products = inside.hessian_products(block), inside.gauss_newton_products(block), inside.remainder_products(block)
        assert np.array_equal(inside.gradient(), gradient) and inside.loss() == loss
    for found, wanted in zip(products, ("hessian", "gauss_newton", "remainder"), strict=True):
        assert np.array_equal(found, getattr(objective, f"{wanted}_products")(block)) and found.any()


def test_weights_that_nothing_reaches_are_flat_beside_others():
    network = mlp()
    network.spare = nn.Linear(2, 2).double()
    network.forward = lambda x: network[2](network[1](network[0](x)))
    objective = Objective(network, cross_entropy, [classes()])
    products = objective.hessian_products(np.eye(objective.size))
    assert products[:43, :43].any() and not products[43:].any() and not products[:, 43:].any()


def test_a_loss_without_curvature_or_slope():
    network = mlp()
    linear = Objective(nn.Linear(4, 3).double(), lambda z, _: z.mean(), [classes()])
    assert not linear.hessian_products(np.eye(linear.size)).any()
    assert not linear.gauss_newton_products(np.eye(linear.size)).any()
    unused = Objective(network, lambda z, _: 0 * z.sum(), [classes()])
    assert not unused.hessian_products(np.eye(unused.size)).any()


def test_ignored_targets_are_counted_by_the_caller():
    x, y = classes()
    y[:5] = -100

    def count(targets):
        return int((targets >= 0).sum())

    halves = [(x[:6], y[:6]), (x[6:], y[6:])]
    whole, parts = (Objective(mlp(), cross_entropy, batches, count=count) for batches in ([(x, y)], halves))
    assert parts.targets == 7
    assert parts.loss() == pytest.approx(whole.loss(), rel=1e-13)


@pytest.mark.parametrize(
    "data",
    [
        Digits(),
        Teacher(inputs=6, samples=20, exponent=1.0, noise=0.1),
        Bigram(vocabulary=8, successors=2, context=6, validation_windows=10),
    ],
    ids=["digits", "teacher", "bigram"],
)
def test_the_loss_of_a_data_set_is_that_of_training(data, tmp_path):
    run = Run(
        model=MLP(width=8, depth=1) if data.context is None else Transformer(width=8, depth=1, heads=2),
        data=data,
        optimizer=SGD(),
        lr=0.1,
        steps=1,
        batch_size=16,
        seed=0,
    )
    training = Training(run, load(data, corpora=tmp_path))
    objective = Objective.of_dataset(training.model, training.dataset, examples=16, chunk=7)
    batch = training.dataset.batch(seed=0, position=0, count=16)
    assert objective.loss() == pytest.approx(training.loss(batch).item(), rel=1e-5)
    held_out = Objective.of_dataset(training.model, training.dataset, part="validation")
    assert held_out.loss() == pytest.approx(training.evaluate()["val_loss"], rel=1e-5)


def test_linear_regression():
    """H = X'X / n for each output."""
    x, y = regression()
    objective = Objective(nn.Linear(4, 3, bias=False).double(), half_squared_error, [(x, y)])
    close(objective.hessian_products(np.eye(12)), np.kron(np.eye(3), (x.T @ x).numpy() / 12))


def test_logistic_regression():
    """H = X' diag(p (1 - p)) X / n."""
    x, y = classes(outputs=2)
    network = drawn(nn.Linear(4, 1, bias=False).double(), 5)

    def loss(logits, targets):
        return nn.functional.binary_cross_entropy_with_logits(logits[:, 0], targets.double())

    p = torch.sigmoid(network(x)).detach()
    close(Objective(network, loss, [(x, y)]).hessian_products(np.eye(4)), (x.T @ (p * (1 - p) * x)).numpy() / 12)


def test_softmax_regression():
    """H = mean of (diag(p) - p p') (x) x x'."""
    x, y = classes()
    network = drawn(nn.Linear(4, 3, bias=False).double(), 5)
    p = network(x).softmax(-1).detach()
    blocks = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    expected = torch.einsum("nij,na,nb->iajb", blocks, x, x).reshape(12, 12).numpy() / 12
    objective = Objective(network, cross_entropy, [(x, y)])
    close(objective.hessian_products(np.eye(12)), expected)
    close(objective.gauss_newton_products(np.eye(12)), expected)


def test_attention_has_second_derivatives_here_alone():
    network = transformer()
    objective = Objective(network, cross_entropy, case("transformer")._batches)
    objective.hessian_products(np.ones((objective.size, 1)))
    assert torch.backends.cuda.flash_sdp_enabled()


def test_a_part_holds_the_first_examples():
    """Over batches of different sizes, cut within one of them."""
    inputs, targets = classes(count=12)
    batches = list(zip(inputs.split([5, 4, 3]), targets.split([5, 4, 3]), strict=True))
    network = mlp()
    whole = Objective(network, cross_entropy, batches)
    for divisor, count in ((1, 12), (2, 6), (5, 2), (50, 1)):
        part = whole.part(divisor)
        assert part.targets == count
        assert part.loss() == pytest.approx(
            Objective(network, cross_entropy, [(inputs[:count], targets[:count])]).loss()
        )


def test_targets_that_are_not_scored_do_not_count():
    """Chunks with different numbers of scored targets, one of them with none, against the scored ones in one batch."""
    source = torch.Generator().manual_seed(5)
    inputs, targets = torch.randn(12, 3, generator=source), torch.randint(4, (12,), generator=source)
    targets[[0, 1, 2, 3, 5, 9, 10]] = -100
    model = nn.Linear(3, 4)
    chunks = [(inputs[i : i + 4], targets[i : i + 4]) for i in (0, 4, 8)]
    some, alone = targets != -100, Objective(model, cross_entropy, chunks)
    wanted = Objective(model, cross_entropy, [(inputs[some], targets[some])])
    assert alone.targets == wanted.targets == 5
    block = np.eye(alone.size)
    assert alone.loss() == pytest.approx(wanted.loss(), rel=1e-6)
    for one, two in [
        (alone.gradient(), wanted.gradient()),
        (alone.hessian_products(block), wanted.hessian_products(block)),
        (alone.gauss_newton_products(block), wanted.gauss_newton_products(block)),
    ]:
        assert np.allclose(one, two, atol=1e-6)
    with pytest.raises(ValueError, match="batches hold 0 targets in 1 batches"):
        Objective(model, cross_entropy, chunks[:1])
