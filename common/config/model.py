"""The network. Shapes that follow from the data (vocabulary, context, classes) are not repeated here."""

from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

from common.config.description import Kind, above, at_least, chosen, description, field
from common.config.parametrization import can_tie

__all__ = ["MLP", "Convnet", "Model", "Transformer", "ViT", "Work"]

Examples = Literal["tokens", "vectors", "images"]
"""What a network can read: sequences of tokens, vectors of numbers, or square images row by row."""

Activation = Literal["relu", "relu2", "gelu", "silu", "tanh", "linear"]
"""Each is a function of common/models/activations.py; relu2 is the squared ReLU (So et al. 2021)."""

FILTER, PIXELS = 9, 64
"""Weights of a filter between two channels, and the places where it is used: digits have 8 x 8 pixels."""


class Work(NamedTuple):
    """What the blocks of a network do in a forward pass."""

    products: int
    """Multiplications with weights, for each example or token."""
    activations: int
    """Numbers that go from one operation to the next, for each example or token."""
    matrices: int
    """Weight matrices: calls of a library, for each pass."""


@description
class Model(Kind):
    """What all networks have."""

    formerly = "transformer"

    width: int = 64
    """Residual width of the transformers, hidden width of the MLP, channels of the convnet."""
    depth: int = 3
    """Blocks; hidden layers of an MLP without blocks; convolutions."""
    activation: Activation = field(default="relu2", choice="common.models.activations")
    norm: Literal["layernorm", "rmsnorm", "batchnorm", "none"] = field(
        default="layernorm", choice="common.models.norms"
    )
    """batchnorm (mlp) always takes the statistics of the batch at hand; it keeps no running ones."""
    norm_place: Literal["pre", "post"] = "pre"
    init_gain: float = field(default=1.0, neutral=1.0)
    """Factor on every initial weight matrix's standard deviation."""
    readout_gain: float = field(default=1.0, neutral=1.0)
    """A further factor on that of the readout; 0 starts with outputs of 0."""
    readout_factor: float = field(default=1.0, neutral=1.0)
    """Factor on the outputs before the bias, tuned at the base."""
    embedding_factor: float = field(default=1.0, neutral=1.0)
    """Factor on the embedding's product, tuned at the base."""
    parametrization: Literal["sp", "ntp", "mup", "sp_layerwise"] = field(
        default="sp", choice="common.config.parametrization"
    )
    """How initial scales and learning rates follow the width (see common/config/parametrization.py)."""
    base_width: int | None = None
    """Width at which all parametrizations are one; sp does without."""

    reads: ClassVar[Examples]
    """What it reads."""
    heads: ClassVar[int | None] = None
    base_heads: ClassVar[int | None] = None
    depth_rule: ClassVar[str] = "none"
    base_depth: ClassVar[int | None] = None
    metainit_steps: ClassVar[int | None] = None

    @property
    def work(self) -> Work:
        """What a pass through the blocks costs."""
        raise NotImplementedError(f"{type(self).__name__} must say what an example costs: give it `work`")

    def _rules(self) -> Iterator[str]:
        yield from at_least(1, self, "width", "depth", "base_width")
        if self.norm == "batchnorm" and not isinstance(self, MLP):
            yield "norm='batchnorm' belongs to MLP; choose layernorm, rmsnorm or none"
        yield from above(0, self, "init_gain", "readout_factor", "embedding_factor")
        yield from at_least(0, self, "readout_gain")
        if self.parametrization != "sp" and self.base_width is None:
            yield f"base_width is missing: parametrization={self.parametrization!r} needs the width where it equals sp"


@description
class _Deep(Model):
    """Networks with residual blocks."""

    depth_rule: Literal["none", "depth_mup", "completep"] = field(  # type: ignore[misc]
        default="none", choice="common.config.parametrization"
    )
    """How residual branches and their learning rates follow the depth; none: they do not."""
    base_depth: int | None = None  # type: ignore[misc]
    """Depth at which all depth rules are one."""

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(1, self, "base_depth")
        if self.depth_rule != "none" and self.base_depth is None:
            yield f"base_depth is missing: depth_rule={self.depth_rule!r} needs the depth where it changes nothing"


@description
class _Attending(_Deep):
    """Networks with attention."""

    heads: int = field()  # type: ignore[misc]
    """Attention heads; they must divide `width`."""
    expansion: int = 4
    """Feed-forward width divided by `width`."""
    qk_norm: bool = False
    """Normalise queries and keys per head before their product."""
    base_heads: int | None = None  # type: ignore[misc]
    """Attention heads at the base width; as `heads` if left out."""

    @property
    def work(self) -> Work:
        """Queries, keys, values and outputs, and the two matrices of the feed-forward layer."""
        wide = self.expansion * self.width
        return Work(
            products=self.depth * (4 * self.width**2 + 2 * self.width * wide),
            activations=self.depth * (6 * self.width + 2 * wide),
            matrices=self.depth * 6,
        )

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(1, self, "heads", "expansion", "base_heads")
        for name, heads, place, width in self._splits():
            if width % heads:
                yield f"{name}={heads} must divide {place}={width}"
        if self.base_heads and not self.base_width:
            yield f"base_heads={self.base_heads} has no meaning without base_width"

    def _splits(self) -> Iterator[tuple[str, int, str, int]]:
        """Heads and the width that they divide, here and at the base, each after the name of its field."""
        for name, place in (("heads", "width"), ("base_heads" if self.base_heads else "heads", "base_width")):
            heads, width = getattr(self, name), getattr(self, place)
            if heads > 0 and width:
                yield name, heads, place, width


@description
class Transformer(_Attending):
    """Decoder-only transformer over tokens, without biases and gains."""

    kind = "transformer"
    code = "common.models.transformer:transformer"
    reads = "tokens"

    tied: bool = True
    """Read out with the transpose of the embedding."""

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        for name, heads, _, width in self._splits():
            if width % heads == 0 and width // heads % 2:
                yield f"{name}={heads} gives heads of {width // heads} features; pairs need an even number"
        if self.tied and not can_tie(chosen(self, "parametrization")):
            yield (
                f"parametrization={self.parametrization!r} treats embedding and readout differently; set tied=False to "
                "make them two tensors"
            )
        if self.tied and self.readout_gain != 1:
            yield f"readout_gain={self.readout_gain} has no meaning for the tied readout; set tied=False"


@description
class ViT(_Attending):
    """Vision transformer over small square images with one channel."""

    kind = "vit"
    code = "common.models.vit:vit"
    reads = "images"

    patch: int = 2
    """Side of a patch in pixels; it must divide the side of an image."""

    @property
    def work(self) -> Work:
        """See `_Attending.work`, at every patch."""
        patches, each = PIXELS // self.patch**2, super().work
        return Work(patches * each.products, patches * each.activations, each.matrices)

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(1, self, "patch")


@description
class MLP(_Deep):
    """Fully connected network over vectors."""

    kind = "mlp"
    code = "common.models.mlp:mlp"
    reads = "vectors"

    residual: bool = False
    """Add each hidden layer to its input from the second on."""
    block_layers: int | None = field(default=None, code="common.models.mlp:ResidualMLP")
    """Weight layers k of each residual block x + W_k a(... W_1 a(x)) (with residual); left out: x + a(W x)."""
    gated: bool = False
    """Multiply each residual branch with a learnt number that starts at 0 (with residual)."""
    metainit_steps: int | None = field(  # type: ignore[misc]
        default=None, code="common.models.metainit:metainit"
    )
    """Updates of MetaInit, which rescales the initial weights to a flat start."""

    @property
    def work(self) -> Work:
        """The hidden matrices."""
        layers = self.depth * (self.block_layers or 1)
        return Work(products=layers * self.width**2, activations=layers * self.width, matrices=layers)

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(1, self, "block_layers", "metainit_steps")
        for name in ("gated", "block_layers"):
            if getattr(self, name) and not self.residual:
                yield f"{name}={getattr(self, name)} needs residual=True: it belongs to residual branches"
        if (self.depth_rule != "none" or self.base_depth) and not self.block_layers:
            yield "depth_rule and base_depth need residual=True and block_layers: depth then counts residual blocks"


@description
class Convnet(Model):
    """Convolutional network over small square images with one channel."""

    kind = "convnet"
    code = "common.models.convnet:convnet"
    reads = "images"

    @property
    def work(self) -> Work:
        """Every filter at every pixel."""
        values = self.depth * PIXELS * self.width
        return Work(products=FILTER * values * self.width, activations=FILTER * values, matrices=self.depth)
