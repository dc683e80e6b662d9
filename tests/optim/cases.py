"""What the tests of the update rules share: descriptions, a small problem, and a tiny network in training."""

import numpy as np
import torch
from safetensors.torch import load, save

from common.config import SGD, Adam, AdamW, Muon, ScheduleFree
from common.config.parametrization import Role
from common.optim import optimizers

SCHEDULE_FREE = {
    "schedule_free": ScheduleFree(),
    "schedule_free, all set": ScheduleFree(beta1=0.95, beta2=0.99, epsilon=1e-4, weight_decay=0.1),
    "schedule_free, beta1 = 0": ScheduleFree(beta1=0.0, weight_decay=0.1),
}
RULES = {
    "sgd": SGD(),
    "sgd, decay": SGD(weight_decay=0.1),
    "momentum": SGD(momentum=0.9, weight_decay=0.1),
    "nesterov": SGD(momentum=0.8, nesterov=True, weight_decay=0.1),
    "adam": Adam(),
    "adam, all set": Adam(beta1=0.8, beta2=0.99, epsilon=1e-3, weight_decay=0.1),
    "adamw": AdamW(weight_decay=0.1),
    "adamw, all set": AdamW(beta1=0.0, beta2=0.9, epsilon=1e-4, weight_decay=0.3),
    "muon": Muon(weight_decay=0.1),
    **SCHEDULE_FREE,
}

FACTORS = [0.25, 0.5, 0.75, *[1.0] * 11, *[1 - j / 7 for j in range(1, 7)]]
"""Learning rate factors of 20 updates: warm-up, peak, decay."""


def start(dtype=torch.float64):
    """Named parameters: a matrix and a vector."""
    numbers = np.random.default_rng(0).normal(size=16)
    return {
        "layer.weight": torch.nn.Parameter(torch.tensor(numbers[:12].reshape(3, 4), dtype=dtype)),
        "layer.bias": torch.nn.Parameter(torch.tensor(numbers[12:], dtype=dtype)),
    }


def gradient(w, k):
    """A gradient that depends on place and update, for numpy arrays and tensors; ill-conditioned, never 0."""
    return w**3 + (2 + k % 3) * w + 0.1 * (k + 1)


def train(optimizer, parameters, factors, lr, first=0):
    for k, factor in enumerate(factors, start=first):
        for parameter in parameters.values():
            parameter.grad = gradient(parameter.detach(), k)
        optimizers.set_lr(optimizer, lr * factor)
        optimizer.step()


ROLES = {
    "0.weight": Role.HIDDEN,
    "0.bias": Role.VECTOR,
    "1.weight": Role.VECTOR,
    "1.bias": Role.VECTOR,
    "2.weight": Role.READOUT,
    "2.bias": Role.FINITE,
}
"""Of the model in `Training`."""


class Training:
    """A tiny model in single precision and its optimizer."""

    def __init__(self, description):
        generator = torch.Generator().manual_seed(1)
        self.model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.LayerNorm(7), torch.nn.Linear(7, 3))
        for parameter in self.model.parameters():
            torch.nn.init.normal_(parameter, generator=generator)
        self.optimizer = optimizers.build(description, self.model.named_parameters(), lr=0.1, roles=ROLES)

    def run(self, rates, first, end, *, evaluate=False):
        for t in range(first, end):
            inputs = torch.randn(8, 5, generator=torch.Generator().manual_seed(t))
            self.optimizer.zero_grad()
            self.model(inputs).tanh().square().mean().backward()
            optimizers.clip(self.model.parameters(), 0.5)
            optimizers.set_lr(self.optimizer, rates[t])
            self.optimizer.step()
            if evaluate:
                with optimizers.evaluation(self.optimizer), torch.no_grad():
                    self.model(inputs)

    def saved(self):
        with optimizers.evaluation(self.optimizer):
            return save(self.model.state_dict()), save(optimizers.state_tensors(self.optimizer))

    def restore(self, saved):
        self.model.load_state_dict(load(saved[0]))
        optimizers.load_state_tensors(self.optimizer, load(saved[1]))

    def bits(self):
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= optimizers.state_tensors(self.optimizer)
        return {name: (tensor.dtype, tensor.numpy().tobytes()) for name, tensor in tensors.items()}
