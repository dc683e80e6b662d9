"""Small objectives in float64, and their Hessians the slow obvious way."""

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from common import models
from common.config import Transformer
from common.curvature.objective import Objective
from common.data.losses import cross_entropy, half_squared_error


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mlp(*, inputs=4, width=5, outputs=3, activation=nn.Tanh, seed=0, dtype=torch.float64):
    network = nn.Sequential(nn.Linear(inputs, width), activation(), nn.Linear(width, outputs)).to(dtype)
    return drawn(network, seed)


@torch.no_grad()
def drawn(network, seed):
    source = generator(seed)
    for parameter in network.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=source, dtype=parameter.dtype) * 0.6)
    return network


def classes(*, count=12, inputs=4, outputs=3, seed=1, dtype=torch.float64):
    source = generator(seed)
    features = torch.randn(count, inputs, generator=source, dtype=dtype)
    return features, torch.randint(outputs, (count,), generator=source)


def regression(*, count=12, inputs=4, outputs=3, seed=1):
    source = generator(seed)
    features = torch.randn(count, inputs, generator=source, dtype=torch.float64)
    return features, torch.randn(count, outputs, generator=source, dtype=torch.float64)


def transformer(**changes):
    """A network of the repository with attention, norms, tied embedding and a custom activation."""
    model = Transformer(width=4, depth=1, heads=2, expansion=2, **changes)
    return models.build(model, inputs=7, outputs=7, context=5, generator=generator(3)).double()


def tokens(*, count=6, seed=2):
    windows = torch.randint(7, (count, 6), generator=generator(seed))
    return windows[:, :-1], windows[:, 1:]


def case(name):
    if name == "mlp-cross-entropy":
        return Objective(mlp(), cross_entropy, [classes()])
    if name == "mlp-squared":
        return Objective(mlp(activation=nn.GELU), half_squared_error, [regression()])
    if name == "transformer":
        return Objective(transformer(), cross_entropy, [tokens()])
    return Objective(transformer(norm="rmsnorm", activation="gelu", qk_norm=True), cross_entropy, [tokens()])


def cube(mark):
    """x**3 by a backward pass of its own, with a mark on it."""

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        @mark
        def backward(ctx, slope):
            return 3 * ctx.saved_tensors[0] ** 2 * slope

    return Cube.apply


class Within(nn.Module):
    """A network with a function of one's own between its layers."""

    def __init__(self, function):
        super().__init__()
        self.network, self.function = mlp(), function

    def forward(self, x):
        return self.network[2](self.function(self.network[0](x)))


CASES = ("mlp-cross-entropy", "mlp-squared", "transformer", "transformer-rms")


def loss_at(objective, flat):
    """The mean loss as a differentiable function of one flat tensor, over all batches at once."""
    parts = flat.split([parameter.numel() for parameter in objective.parameters])
    pairs = zip(objective.named.items(), parts, strict=True)
    named = {name: part.view(parameter.shape) for (name, parameter), part in pairs}
    total = 0.0
    for (inputs, targets), share in zip(objective._batches, objective._shares, strict=True):
        total = total + share * objective._loss(functional_call(objective.model, named, (inputs,)), targets)
    return total


def dense(objective):
    """Hessian by differentiating each entry of the gradient, float64 (size, size)."""
    flat = torch.from_numpy(objective.weights()).requires_grad_()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        (gradient,) = torch.autograd.grad(loss_at(objective, flat), flat, create_graph=True)
    rows = [torch.autograd.grad(entry, flat, retain_graph=True)[0] for entry in gradient]
    return torch.stack(rows).numpy()


def outputs_jacobian(objective):
    """Derivative of all outputs of the only batch by the weights, float64 (outputs, size)."""
    ((inputs, _),) = objective._batches
    outputs = objective.model(inputs).flatten()
    rows = [torch.autograd.grad(entry, objective.parameters, retain_graph=True) for entry in outputs]
    return np.array([torch.cat([part.flatten() for part in row]).numpy() for row in rows])
