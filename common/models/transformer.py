"""Decoder-only transformer without biases and without gains (Vaswani et al. 2017; pre-norm as Radford et al. 2019)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from common import config
from common.config.parametrization import Role
from common.models.layers import activation, attention, norms, scaled
from common.models.norms import layernorm, none
from common.models.roles import Initializer
from common.models.rotary import rotations, turned


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each added to the residual stream.

    The stream is a matrix (count * context, width): each branch then ends in one fused product and sum.
    """

    qkv: Tensor
    out: Tensor
    up: Tensor
    down: Tensor

    def __init__(self, model: config.Transformer, *, initial: Initializer) -> None:
        super().__init__()
        width, inner = model.width, model.width * model.expansion
        self.heads = model.heads
        self.factor = initial.scaling.branch
        self.scale = initial.scaling.attention / math.sqrt(width // model.heads)
        self.activation = activation(model)
        self.before, self.after = norms(model)
        self.match = layernorm if model.qk_norm else none
        initial.parameter(self, "qkv", Role.HIDDEN, 3 * width, width, fan_in=width, inside=True)
        initial.parameter(self, "out", Role.HIDDEN, width, width, fan_in=width, inside=True)
        initial.parameter(self, "up", Role.HIDDEN, inner, width, fan_in=width, inside=True)
        initial.parameter(self, "down", Role.HIDDEN, width, inner, fan_in=inner, inside=True)

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        """Residual stream to residual stream, float32 (count * context, width); `turns` as from `rotations`."""
        x = self.after(_add(x, self._mix(self.before(x), turns), self.out, factor=self.factor))
        inner = self.activation(torch.mm(self.before(x), self.up.t()))
        return self.after(_add(x, inner, self.down, factor=self.factor))

    def _mix(self, x: Tensor, turns: Tensor) -> Tensor:
        """Softmax attention of every head over its past, (count * context, width)."""
        qkv = torch.mm(x, self.qkv.t()).view(-1, len(turns), 3, self.heads, x.shape[1] // self.heads)
        q, k, v = qkv.unbind(2)
        q, k, v = (part.transpose(1, 2) for part in (turned(self.match(q), turns), turned(self.match(k), turns), v))
        mixed = attention(q, k, v, scale=self.scale, causal=True)
        return mixed.transpose(1, 2).reshape(x.shape)


def _add(x: Tensor, branch: Tensor, weight: Tensor, *, factor: float) -> Tensor:
    """`x + factor * branch @ weight.T`; under autocast the sum keeps the precision of `x`, which addmm would lower."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.add(x, torch.mm(branch, weight.t()), alpha=factor)
    return torch.addmm(x, branch, weight.t(), alpha=factor)


class Transformer(nn.Module):
    """Tokens to the logits of each next token, with rotary positions.

    Torch's fused attention has no second derivative: measure curvature under
    `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`.
    """

    embedding: Tensor
    turns: Tensor
    readout: Tensor

    def __init__(
        self, model: config.Transformer, *, inputs: int, outputs: int, context: int, initial: Initializer
    ) -> None:
        super().__init__()
        width = model.width
        self.tied = model.tied
        self.factors = initial.forward_factor(Role.TOKENS), initial.forward_factor(Role.READOUT)
        initial.parameter(self, "embedding", Role.TOKENS, inputs, width, fan_in=width)
        self.register_buffer("turns", rotations(context=context, size=width // model.heads), persistent=False)
        self.blocks = nn.ModuleList(Block(model, initial=initial) for _ in range(model.depth))
        self.norm = norms(model)[0]
        if not self.tied:
            initial.parameter(self, "readout", Role.READOUT, outputs, width, fan_in=width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, float32 (count, context, outputs), of int64 tokens (count, context)."""
        count, context = tokens.shape
        embedding_factor, readout_factor = self.factors
        x = scaled(functional.embedding(tokens, self.embedding).view(count * context, -1), embedding_factor)
        turns = self.turns[:context].to(torch.promote_types(self.embedding.dtype, torch.float32))
        for block in self.blocks:
            x = block(x, turns)
        readout = scaled(self.embedding if self.tied else self.readout, readout_factor)
        return torch.mm(self.norm(x), readout.t()).view(count, context, -1)


def transformer(
    model: config.Transformer, *, inputs: int, outputs: int, context: int, initial: Initializer
) -> Transformer:
    """The network of a description (see `common.models.build`).

    Raises: ValueError if embedding and readout cannot be one tensor.
    """
    if model.tied and inputs != outputs:
        raise ValueError(f"tied=True shares one matrix: inputs={inputs} must equal outputs={outputs}; set tied=False")
    return Transformer(model, inputs=inputs, outputs=outputs, context=context, initial=initial)
