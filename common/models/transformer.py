"""Decoder-only transformer without biases (Vaswani et al. 2017; pre-norm as in Radford et al. 2019)."""

import torch.nn.functional as F
from torch import Tensor, nn

from common.config import Model
from common.models.layers import ACTIVATIONS, NORMS
from common.parametrization import Initializer, Role


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each added to the residual stream."""

    def __init__(self, model: Model, *, initial: Initializer) -> None:
        super().__init__()
        width, inner = model.width, model.width * (model.expansion or 4)
        self.heads = model.heads or 1
        self.activation, self.norm = ACTIVATIONS[model.activation], NORMS[model.norm]
        self.pre, self.qk_norm = model.norm_place == "pre", bool(model.qk_norm)
        initial.parameter(self, "qkv", Role.HIDDEN, 3 * width, width, fan_in=width)
        initial.parameter(self, "out", Role.HIDDEN, width, width, fan_in=width)
        initial.parameter(self, "up", Role.HIDDEN, inner, width, fan_in=width)
        initial.parameter(self, "down", Role.HIDDEN, width, inner, fan_in=inner)

    def forward(self, x: Tensor) -> Tensor:
        """Residual stream to residual stream, float32 (count, context, width)."""
        if self.pre:
            x = x + self.attention(self.norm(x))
            return x + self.feed_forward(self.norm(x))
        x = self.norm(x + self.attention(x))
        return self.norm(x + self.feed_forward(x))

    def attention(self, x: Tensor) -> Tensor:
        count, context, width = x.shape
        qkv = F.linear(x, self.qkv).view(count, context, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.qk_norm:
            q, k = NORMS["rmsnorm"](q), NORMS["rmsnorm"](k)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return F.linear(mixed.transpose(1, 2).reshape(count, context, width), self.out)

    def feed_forward(self, x: Tensor) -> Tensor:
        return F.linear(self.activation(F.linear(x, self.up)), self.down)


class Transformer(nn.Module):
    """Tokens to the logits of each next token, with learned absolute positions."""

    def __init__(self, model: Model, *, inputs: int, outputs: int, context: int, initial: Initializer) -> None:
        super().__init__()
        initial.parameter(self, "embedding", Role.EMBEDDING, inputs, model.width, fan_in=model.width)
        initial.parameter(self, "positions", Role.EMBEDDING, context, model.width, fan_in=model.width)
        self.blocks = nn.ModuleList(Block(model, initial=initial) for _ in range(model.depth))
        self.norm = NORMS[model.norm if model.norm_place == "pre" else "none"]
        self.tied = model.tied is not False
        if not self.tied:
            initial.parameter(self, "readout", Role.READOUT, outputs, model.width, fan_in=model.width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, float32 (count, context, outputs), of int64 tokens (count, context)."""
        x = F.embedding(tokens, self.embedding) + self.positions[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.embedding if self.tied else self.readout)
