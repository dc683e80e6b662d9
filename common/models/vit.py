"""Vision transformer for small square images with one channel (Dosovitskiy et al. 2021, arXiv:2010.11929)."""

import math

from torch import Tensor, nn

from common import config
from common.config.parametrization import Role
from common.models.layers import Layer, activation, attention, norms, scaled
from common.models.norms import layernorm, none
from common.models.roles import Initializer


class Block(nn.Module):
    """Self-attention among all patches and a feed-forward layer, each added to the residual stream."""

    def __init__(self, model: config.ViT, *, initial: Initializer) -> None:
        super().__init__()
        width, inner = model.width, model.width * model.expansion
        self.heads = model.heads
        self.factor = initial.scaling.branch
        self.scale = initial.scaling.attention / math.sqrt(width // model.heads)
        self.activation = activation(model)
        self.before, self.after = norms(model)
        self.match = layernorm if model.qk_norm else none
        self.qkv = Layer(Role.HIDDEN, inputs=width, outputs=3 * width, initial=initial, inside=True)
        self.out = Layer(Role.HIDDEN, inputs=width, outputs=width, initial=initial, inside=True)
        self.up = Layer(Role.HIDDEN, inputs=width, outputs=inner, initial=initial, inside=True)
        self.down = Layer(Role.HIDDEN, inputs=inner, outputs=width, initial=initial, inside=True)

    def forward(self, x: Tensor) -> Tensor:
        """Residual stream to residual stream, float32 (count, patches, width)."""
        x = self.after(x + scaled(self._mix(self.before(x)), self.factor))
        change = self.down(self.activation(self.up(self.before(x))))
        return self.after(x + scaled(change, self.factor))

    def _mix(self, x: Tensor) -> Tensor:
        """Softmax attention of every head over all patches, the same shape."""
        count, patches, width = x.shape
        qkv = self.qkv(x).view(count, patches, 3, self.heads, width // self.heads)
        q, k = self.match(qkv[:, :, :2]).permute(2, 0, 3, 1, 4).unbind()
        v = qkv[:, :, 2].transpose(1, 2)
        mixed = attention(q, k, v, scale=self.scale, causal=False)
        change: Tensor = self.out(mixed.transpose(1, 2).reshape(x.shape))
        return change


class ViT(nn.Module):
    """Patches of an image as a sequence, with learnt positions; the readout sees the mean over the patches.

    The mean takes the place of the class token of Dosovitskiy et al., after Beyer et al. 2022 (arXiv:2205.01580). A
    learnt position is what an embedding makes of the patch's number, one feature for each patch, so it starts and moves
    as an embedding does.

    Torch's fused attention has no second derivative: measure curvature under
    `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`.
    """

    positions: Tensor

    def __init__(self, model: config.ViT, *, side: int, outputs: int, initial: Initializer) -> None:
        super().__init__()
        self.patch, self.across = model.patch, side // model.patch
        patches = self.across**2
        self.factor = initial.forward_factor(Role.EMBEDDING)
        self.embedding = Layer(Role.EMBEDDING, inputs=model.patch**2, outputs=model.width, initial=initial)
        initial.parameter(self, "positions", Role.EMBEDDING, patches, model.width, fan_in=patches)
        self.blocks = nn.ModuleList(Block(model, initial=initial) for _ in range(model.depth))
        self.norm = norms(model)[0]
        self.readout = Layer(Role.READOUT, inputs=model.width, outputs=outputs, initial=initial)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, float32 (count, outputs), of images row by row, float32 (count, pixels)."""
        x = self.embedding(self._patches(x)) + scaled(self.positions, self.factor)
        for block in self.blocks:
            x = block(x)
        outputs: Tensor = self.readout(self.norm(x).mean(-2))
        return outputs

    def _patches(self, x: Tensor) -> Tensor:
        """Images (count, pixels) as patches row by row, each with its pixels row by row: (count, patches, pixels)."""
        tiles = x.view(-1, self.across, self.patch, self.across, self.patch)
        return tiles.transpose(2, 3).reshape(len(x), self.across**2, self.patch**2)


def vit(
    model: config.ViT,
    *,
    inputs: int,
    outputs: int,
    context: int | None,  # noqa: ARG001
    initial: Initializer,
) -> ViT:
    """The network of a description (see `common.models.build`).

    Raises: ValueError if the images cannot be cut into the patches.
    """
    side = math.isqrt(inputs)
    if side**2 != inputs or side % model.patch:
        raise ValueError(
            f"model.kind='vit' cuts square images into patches of patch={model.patch} pixels a side, but inputs="
            f"{inputs} is no square of a multiple of {model.patch}; choose another patch, or an MLP"
        )
    return ViT(model, side=side, outputs=outputs, initial=initial)
