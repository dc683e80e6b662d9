"""The network."""

from collections.abc import Iterator
from typing import Literal

from common.description import at_least, description, fits_kind
from common.parametrization import can_tie


@description
class Model:
    """A network. Shapes that follow from the data (vocabulary, context, classes) are not repeated here."""

    kind: Literal["transformer", "mlp", "convnet"] = "transformer"
    width: int = 64
    """Residual width of the transformer, hidden width of the MLP, channels of the convnet."""
    depth: int = 3
    """Blocks of the transformer and of the MLP with `block_layers`; else hidden layers; convolutions of the convnet."""
    heads: int | None = None
    """Attention heads (transformer); they must divide `width`."""
    expansion: int | None = None
    """Feed-forward width divided by `width` (transformer); 4 if left out."""
    activation: Literal["relu", "relu2", "gelu", "silu", "tanh", "linear"] = "relu2"
    """relu2 is the squared ReLU (So et al. 2021)."""
    norm: Literal["layernorm", "rmsnorm", "batchnorm", "none"] = "layernorm"
    """batchnorm (mlp) always takes the statistics of the batch at hand; it keeps no running ones."""
    norm_place: Literal["pre", "post"] = "pre"
    qk_norm: bool | None = None
    """Normalise queries and keys per head before their product (transformer); off if left out."""
    tied: bool | None = None
    """Read out with the transpose of the embedding (transformer); tied if left out."""
    residual: bool | None = None
    """Add each hidden layer to its input from the second on (mlp); off if left out."""
    block_layers: int | None = None
    """Weight layers k of each residual block x + W_k a(... W_1 a(x)) (mlp with residual); left out: x + a(W x)."""
    gated: bool | None = None
    """Multiply each residual branch with a learnt number that starts at 0 (mlp with residual); off if left out."""
    init_gain: float = 1.0
    """Factor on every initial weight matrix's standard deviation."""
    readout_gain: float | None = None
    """A further factor on that of the readout; 1 if left out, and 0 starts with outputs of 0."""
    readout_factor: float | None = None
    """Factor on the outputs before the bias, tuned at the base; 1 if left out."""
    embedding_factor: float | None = None
    """Factor on the embedding's product, tuned at the base; 1 if left out."""
    parametrization: Literal["sp", "ntp", "mup", "sp_layerwise"] = "sp"
    """How initial scales and learning rates follow the width (see common/parametrization.py)."""
    base_width: int | None = None
    """Width at which all parametrizations are one; sp does without."""
    base_heads: int | None = None
    """Attention heads at that width (transformer); as `heads` if left out."""
    depth_rule: Literal["none", "depth_mup", "completep"] | None = None
    """How residual branches and their learning rates follow the depth; they do not if left out."""
    base_depth: int | None = None
    """Depth at which all depth rules are one."""
    metainit_steps: int | None = None
    """Updates of MetaInit, which rescales the initial weights to a flat start (see common/metainit.py)."""

    def _rules(self) -> Iterator[str]:
        deep = ("depth_rule?", "base_depth?")
        fields = {
            "transformer": ("heads", "expansion?", "qk_norm?", "tied?", "base_heads?", *deep),
            "mlp": ("residual?", "gated?", "metainit_steps?", "block_layers?", *deep),
            "convnet": (),
        }
        yield from fits_kind(self, self.kind, fields)
        sizes = ("width", "depth", "heads", "expansion", "block_layers", "base_width", "base_heads", "base_depth")
        yield from at_least(1, self, *sizes, "metainit_steps")
        if self.norm == "batchnorm" and self.kind != "mlp":
            yield "norm='batchnorm' belongs to 'mlp'; choose layernorm, rmsnorm or none"
        yield from self._head_rules()
        for name in ("gated", "block_layers"):
            if getattr(self, name) and not self.residual:
                yield f"{name}={getattr(self, name)} needs residual=True: it belongs to residual branches"
        for name in ("init_gain", "readout_factor", "embedding_factor"):
            number = getattr(self, name)
            if number is not None and number <= 0:
                yield f"{name}={number} must be greater than 0"
        yield from at_least(0, self, "readout_gain")
        yield from self._size_rules()

    def _head_rules(self) -> Iterator[str]:
        for name, place in (("heads", "width"), ("base_heads" if self.base_heads else "heads", "base_width")):
            heads, width = getattr(self, name), getattr(self, place)
            if heads and width and width % heads:
                yield f"{name}={heads} must divide {place}={width}"
            elif heads and width and width // heads % 2:
                yield f"{name}={heads} gives heads of {width // heads} features; pairs need an even number"

    def _size_rules(self) -> Iterator[str]:
        """Rules of the parametrization."""
        if self.parametrization != "sp" and self.base_width is None:
            yield f"base_width is missing: parametrization={self.parametrization!r} needs the width where it equals sp"
        if self.base_heads and not self.base_width:
            yield f"base_heads={self.base_heads} has no meaning without base_width"
        if self.depth_rule not in (None, "none") and self.base_depth is None:
            yield f"base_depth is missing: depth_rule={self.depth_rule!r} needs the depth where it changes nothing"
        if self.kind == "mlp" and (self.depth_rule or self.base_depth) and not self.block_layers:
            yield "depth_rule and base_depth need residual=True and block_layers: depth then counts residual blocks"
        tied = self.kind == "transformer" and self.tied is not False
        if tied and not can_tie(self.parametrization):
            yield (
                f"parametrization={self.parametrization!r} treats embedding and readout differently; set tied=False to "
                "make them two tensors"
            )
        if tied and self.readout_gain is not None:
            yield f"readout_gain={self.readout_gain} has no meaning for the tied readout; set tied=False"
