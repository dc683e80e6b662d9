"""What a run is: descriptions with every default and every rule (layer 0, standard library only)."""

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from common.description import at_least, between, collecting, description, fits_kind, problems
from common.parametrization import can_tie, defined_for


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


CORPORA = ("prose", "python", "cpp", "documented", "python_torch", "python_science")
"""Byte corpora that a rule builds from the installed packages (see common/data/corpora.py)."""

HASH_COMMENTS = ("python", "documented", "python_torch", "python_science")
"""Those whose comments begin with `#`."""

EXCHANGEABLE = b"\n" + bytes(range(32, 127))
"""The newline and the printable ASCII characters, of which `Data.permuted` exchanges a share."""

TEXT = ("corpus", "files", "huggingface")
"""Sources of text, whose tokens are bytes."""


@description
class Data:
    """What is learnt, and the fixed validation set."""

    source: Literal["corpus", "files", "huggingface", "digits", "teacher", "tanh_teacher", "bigram"] = "corpus"
    name: str | None = None
    """corpus: one of `CORPORA`. huggingface: the data set's name, e.g. "roneneldan/TinyStories"."""
    path: str | None = None
    """files: a text file, or a folder of text files; absolute, or relative to the repository."""
    text_field: str | None = None
    """huggingface: the column that holds the text; "text" if left out."""
    bytes_limit: int | None = None
    """huggingface: how many bytes to stream."""
    context: int | None = None
    """Length of a training window in tokens (text sources and bigram)."""
    validation_windows: int | None = None
    """How many windows the validation set has (text sources and bigram); 1024 if left out."""
    classes: tuple[int, ...] | None = None
    """digits: the classes kept; all ten if left out."""
    split: tuple[int, int] | None = None
    """digits: (i, n) keeps part i, from 0, of n random parts of the training images; all if left out."""
    rotation: float | None = None
    """digits: degrees by which each image is turned; 0 if left out."""
    permutation: int | None = None
    """digits: number of the fixed pixel permutation; none if left out."""
    standardised: bool | None = None
    """digits: each pixel with mean 0 and variance 1 over the training images; off if left out."""
    label_noise: float | None = None
    """digits: share of the training labels that are replaced by another class; none if left out."""
    loss: Literal["cross_entropy", "mse"] | None = None
    """digits: mse is half the squared error against one-hot targets; cross_entropy if left out. tanh_teacher: mse if
    left out; cross_entropy has the largest target for a class."""
    inputs: int | None = None
    """Teachers: dimension of the inputs."""
    samples: int | None = None
    """Teachers, digits: number of training examples; of the digits all if left out. corpus, files: number of training
    windows, the same for every run and evenly apart, read again and again in a fresh order; all if left out."""
    ranked: Literal["comments"] | None = None
    """corpus, files: `samples` are the windows with the largest share of bytes in `#` comments instead."""
    permuted: float | None = None
    """corpus: share of the printable characters and the newline that change places (see common/data/exchange.py)."""
    exponent: float | None = None
    """Teachers: input variances fall like k**-exponent."""
    noise: float | None = None
    """Teachers: standard deviation of the label noise; 0 if left out."""
    hidden: int | None = None
    """tanh_teacher: its hidden units."""
    outputs: int | None = None
    """tanh_teacher: dimension of the targets, or number of classes."""
    vocabulary: int | None = None
    """bigram: number of tokens."""
    successors: int | None = None
    """bigram: after a token of the uncertain half it is uniform over this many; else it is certain."""
    mixed_with: "Data | None" = None
    """Other data of this kind, of which training takes a share of its examples: replay, or joint training."""
    mixed_share: float | None = None
    """That share, above 0 and below 1."""

    def _rules(self) -> Iterator[str]:
        text = ("context", "validation_windows?")
        labels = ("standardised?", "label_noise?", "loss?")
        fields = {
            "corpus": ("name", *text, "samples?", "ranked?", "permuted?"),
            "files": ("path", *text, "samples?", "ranked?"),
            "huggingface": ("name", "text_field?", "bytes_limit", *text),
            "digits": ("samples?", "classes?", "split?", "rotation?", "permutation?", *labels),
            "teacher": ("inputs", "samples", "exponent", "noise?"),
            "tanh_teacher": ("inputs", "hidden", "outputs", "samples", "exponent", "noise?", "loss?"),
            "bigram": ("vocabulary", "successors", *text),
        }
        yield from fits_kind(self, self.source, fields)
        if self.source == "corpus" and self.name not in (None, *CORPORA):
            yield f"name={self.name!r} must be one of {', '.join(map(repr, CORPORA))}"
        yield from at_least(2, self, "context", "vocabulary", "successors", "samples")
        yield from at_least(1, self, "validation_windows", "bytes_limit", "inputs", "hidden", "outputs")
        yield from at_least(0, self, "permutation", "noise", "exponent")
        yield from between(0, 1, self, "label_noise")
        if self.classes is not None:
            different = set(self.classes)
            if len(different) < 2 or len(different) < len(self.classes) or not different <= set(range(10)):
                yield f"classes={self.classes} must be at least two different digits from 0 to 9"
        if self.split is not None and (len(self.split) != 2 or not 0 <= self.split[0] < self.split[1] >= 2):
            yield f"split={self.split} must be (i, n), part i from 0 to n - 1 of n parts, with n at least 2"
        if self.vocabulary and self.successors and self.successors > self.vocabulary // 2:
            yield f"successors={self.successors} must be at most half of vocabulary={self.vocabulary}"
        yield from self._text_rules()
        yield from self._mixing_rules()

    def _text_rules(self) -> Iterator[str]:
        if self.ranked is not None and self.samples is None:
            yield f"ranked={self.ranked!r} has no meaning without samples, the number of windows to take"
        if self.ranked == "comments" and self.source == "corpus" and self.name not in (None, *HASH_COMMENTS):
            yield f"ranked='comments' counts '#' comments, which name={self.name!r} does not have; leave it out"
        if self.permuted is not None and (self.permuted > 1 or round(self.permuted * len(EXCHANGEABLE)) < 2):
            yield (
                f"permuted={self.permuted} must be at most 1 and exchange at least two of {len(EXCHANGEABLE)} "
                "characters; leave it out for none"
            )

    def _mixing_rules(self) -> Iterator[str]:
        if (self.mixed_with is None) != (self.mixed_share is None):
            yield f"mixed_with={self.mixed_with}, mixed_share={self.mixed_share}: give both or none"
        if self.mixed_share is not None and not 0 < self.mixed_share < 1:
            yield f"mixed_share={self.mixed_share} must lie between 0 and 1; without a share leave out mixed_with"
        if self.mixed_with is not None and (misfit := self.mixed_with.misfit(self)):
            yield f"mixed_with {misfit}"

    @property
    def parts(self) -> list["Data"]:
        """What is mixed, each by itself; of data that is not mixed, itself."""
        own = dataclasses.replace(self, mixed_with=None, mixed_share=None) if self.mixed_with else self
        return [own, *(self.mixed_with.parts if self.mixed_with else [])]

    @property
    def held_out(self) -> "Data":
        """What it is validated on: its first part without what chooses training examples only."""
        own = self.parts[0]
        if self.source in TEXT:
            return dataclasses.replace(own, samples=None, ranked=None)
        return dataclasses.replace(own, split=None)

    @property
    def classes_as_targets(self) -> bool:
        """Whether the loss is the cross-entropy of classes, not of tokens."""
        return self.context is None and self.interface()["loss"] == "cross_entropy"

    def interface(self) -> dict[str, Any]:
        """All that a network and its loss see of the kind of data; where it is equal, one network reads both."""
        source = "text" if self.source in TEXT else self.source
        sizes = {name: getattr(self, name) for name in ("context", "vocabulary", "inputs", "outputs")}
        return {"source": source, **sizes, "loss": self.loss or LOSS_LEFT_OUT[source]}

    def misfit(self, other: "Data") -> str | None:
        """What keeps a network for other data from reading this; None if nothing does."""
        for name, wanted in other.interface().items():
            if (found := self.interface()[name]) != wanted:
                return f"has {name}={found!r}, but data has {wanted!r}: one network reads both, so make them equal"
        return None


LOSS_LEFT_OUT = {
    "text": "cross_entropy",
    "bigram": "cross_entropy",
    "digits": "cross_entropy",
    "teacher": "mse",
    "tanh_teacher": "mse",
}
"""Loss of a source whose description does not choose one."""


@description
class Optimizer:
    """An update rule. The learning rate is `Run.lr` times the schedule."""

    kind: Literal["sgd", "adam", "adamw", "schedule_free"] = "adamw"
    """adam couples its weight decay to the gradient, adamw and schedule_free (on AdamW) decouple it."""
    momentum: float | None = None
    """sgd: heavy-ball coefficient; 0 if left out."""
    nesterov: bool | None = None
    """sgd: Nesterov's form of the momentum; off if left out."""
    beta1: float | None = None
    """Average of the gradient (adam, adamw; 0.9 if left out), interpolation towards x (schedule_free; 0.9)."""
    beta2: float | None = None
    """Average of the squared gradient; 0.95 if left out."""
    epsilon: float | None = None
    """Added to the root of the second moment; 1e-8 if left out."""
    weight_decay: float = 0.0
    """Acts on weight matrices and embeddings, not on gains and biases."""
    clip: float | None = None
    """Largest Euclidean norm of the whole gradient; no clipping if left out."""

    def _rules(self) -> Iterator[str]:
        moments = ("beta1?", "beta2?", "epsilon?")
        fields = {"sgd": ("momentum?", "nesterov?"), "adam": moments, "adamw": moments, "schedule_free": moments}
        yield from fits_kind(self, self.kind, fields)
        yield from between(0, 1, self, "momentum", "beta1", "beta2")
        yield from at_least(0, self, "weight_decay")
        for name in ("clip", "epsilon"):
            number = getattr(self, name)
            if number is not None and number <= 0:
                yield f"{name}={number} must be greater than 0; leave it out for none"
        if self.nesterov and not self.momentum:
            yield "nesterov=True needs a momentum greater than 0"


DecayShape = Literal["linear", "cosine", "sqrt", "inverse", "exponential", "square", "inverse_sqrt"]
DECAY_SHAPES: tuple[str, ...] = get_args(DecayShape)


@description
class Schedule:
    """The learning rate as a factor of its peak, by update (see common/schedules.py for the formulas)."""

    kind: Literal["constant", "linear", "cosine", "wsd", "wsd_s", "cyclic_cosine", "infinite", "rewarm"] = "constant"
    warmup_steps: int = 0
    """Linear warm-up: update t < warmup_steps has (t + 1) / warmup_steps."""
    floor: float | None = None
    """Factor of the last update of a decay; 0.1 if left out."""
    start: float | None = None
    """rewarm, infinite: factor from which the warm-up starts; 0 if left out."""
    decay_steps: int | tuple[int, ...] | None = None
    """wsd, infinite: updates of the final decay; wsd_s: updates of each decay, one number or one for each end."""
    decay_shape: DecayShape | None = None
    """wsd, wsd_s: linear if left out. sqrt is 1 - sqrt(u)."""
    decay_ends: tuple[int, ...] | None = None
    """wsd_s: updates after which a decay has ended; the last one is the end of the run."""
    cycle_ends: tuple[int, ...] | None = None
    """cyclic_cosine: updates after which a cosine has ended; the last one is the end of the run."""
    rewarm_steps: int | None = None
    """wsd_s, cyclic_cosine: linear warm-up after each end; 0 if left out."""
    cooldown_steps: int | None = None
    """infinite: updates from the peak to the constant level."""
    cooldown_shape: DecayShape | None = None
    """infinite: shape of the cooldown; cosine if left out."""
    level: float | None = None
    """infinite: factor of the constant phase."""

    def _rules(self) -> Iterator[str]:
        fields = {
            "constant": (),
            "linear": ("floor?",),
            "cosine": ("floor?",),
            "wsd": ("decay_steps", "decay_shape?", "floor?"),
            "wsd_s": ("decay_steps", "decay_shape?", "decay_ends", "rewarm_steps?", "floor?"),
            "cyclic_cosine": ("cycle_ends", "rewarm_steps?", "floor?"),
            "infinite": ("start?", "cooldown_steps", "cooldown_shape?", "level", "decay_steps", "floor?"),
            "rewarm": ("start?", "floor?"),
        }
        yield from fits_kind(self, self.kind, fields)
        yield from at_least(0, self, "warmup_steps", "rewarm_steps", "cooldown_steps")
        yield from self._decay_rules()
        for name in ("floor", "start", "level"):
            number = getattr(self, name)
            if number is not None and not 0 <= number <= 1:
                yield f"{name}={number} is a factor of the peak and must lie in [0, 1]"
        if self.decay_shape in ("inverse", "exponential") and self.floor == 0:
            yield f"floor=0.0 is never reached by a decay of shape {self.decay_shape!r}; choose a floor above 0"
        for name in ("decay_ends", "cycle_ends"):
            ends = getattr(self, name)
            if ends is not None and (not ends or ends[0] < 1 or list(ends) != sorted(set(ends))):
                yield f"{name}={ends} must be increasing counts of updates"

    def _decay_rules(self) -> Iterator[str]:
        decays = self.decay_steps if isinstance(self.decay_steps, tuple) else (self.decay_steps or 0,)
        if min(decays, default=0) < 0:
            yield f"decay_steps={self.decay_steps} must be at least 0"
        if isinstance(self.decay_steps, tuple) and self.kind != "wsd_s":
            yield f"decay_steps={self.decay_steps} must be one number for {self.kind!r}"
        if isinstance(self.decay_steps, tuple) and self.decay_ends and len(decays) != len(self.decay_ends):
            yield f"decay_steps={self.decay_steps} must have one number for each of decay_ends={self.decay_ends}"
        if self.kind == "infinite" and self.level is not None:
            floor = 0.1 if self.floor is None else self.floor
            if not 0 < floor <= self.level:
                yield f"floor={floor} must be above 0 and at most level={self.level}"

    def fits(self, steps: int) -> Iterator[str]:
        """Problems of this schedule over a run of `steps` updates: phases that overlap or do not fill it."""
        phases = {"warmup_steps": self.warmup_steps}
        if isinstance(self.decay_steps, int) and self.kind in ("wsd", "infinite"):
            phases |= {"cooldown_steps": self.cooldown_steps or 0, "decay_steps": self.decay_steps}
        if sum(phases.values()) > steps:
            spans = " + ".join(f"{name}={count}" for name, count in phases.items() if count)
            yield f"{spans} overlap: they must fit into steps={steps}"
        for name in ("decay_ends", "cycle_ends"):
            ends = getattr(self, name)
            if ends and ends[-1] != steps:
                yield f"{name}={ends} must end with steps={steps}"
            if ends:
                yield from self._segments_fit(name, ends)

    def _segments_fit(self, name: str, ends: tuple[int, ...]) -> Iterator[str]:
        decays = self.decay_steps if isinstance(self.decay_steps, tuple) else (self.decay_steps or 0,) * len(ends)
        for i, (begin, end, decay) in enumerate(zip((0, *ends), ends, decays, strict=False)):
            warm = self.rewarm_steps or 0 if i else self.warmup_steps
            if warm + decay > end - begin:
                yield f"{name}={ends}: warm-up ({warm}) and decay ({decay}) overlap before update {end}"


@description
class Continual:
    """What a run does for the tasks before its own; with `past` alone nothing, which is plain fine-tuning.

    Update t descends, with k tasks seen and w = `new_weight` (see common/retention.py),

        w new + (1 - w) mean of the past tasks' losses + distillation + consolidation,

    and `projection` then corrects its gradient. Every part may be left out, and any of them may be joined.
    """

    past: tuple[Data, ...]
    """The tasks before, in their order."""
    replay: Literal["none", "memory", "all"] = "none"
    """Train on the past too: on `memory` examples of each task (experience replay), or on all (joint training)."""
    memory: int | None = None
    """Training examples kept of each past task, for replay or, without it, for the projection."""
    selection: Literal["class_balanced", "reservoir"] | None = None
    """Which are kept: equally many of each class, or any, equally likely; reservoir if left out."""
    new_weight: float | None = None
    """Share w of the new task in the loss, with replay; 1 / (number of tasks seen) if left out."""
    ramp_steps: int | None = None
    """First updates over which the new task's weight grows linearly from 0 to its final value; none if left out."""
    projection: Literal["agem", "gem"] | None = None
    """Keep updates from raising the loss of past examples: of all together (A-GEM), or of each task (GEM)."""
    margin: float | None = None
    """gem: least multiplier of a past task's gradient in a corrected update; 0 if left out."""
    distillation: float | None = None
    """Weight of the distance between the outputs of the starting network and the present one on the new inputs."""
    temperature: float | None = None
    """Divides the logits in that distance; 1 if left out."""
    consolidation: float | None = None
    """Strength of the pull of each weight to its starting value, by its Fisher information for the past tasks."""
    fisher_examples: int | None = None
    """Training examples of each past task that the Fisher information is taken from; all if left out."""

    def _rules(self) -> Iterator[str]:
        if not self.past:
            yield "past=() must hold the tasks before this one; leave out continual for a first task"
        yield from at_least(1, self, "memory", "ramp_steps", "fisher_examples")
        yield from at_least(0, self, "margin")
        if self.new_weight is not None and not 0 <= self.new_weight <= 1:
            yield f"new_weight={self.new_weight} is a share of the loss and must lie in [0, 1]"
        for name in ("distillation", "temperature", "consolidation"):
            number = getattr(self, name)
            if number is not None and number <= 0:
                yield f"{name}={number} must be greater than 0; leave it out for none"
        yield from self._memory_rules()
        yield from self._belonging_rules()

    def _memory_rules(self) -> Iterator[str]:
        if self.replay == "memory" and self.memory is None:
            yield "memory is missing: replay='memory' needs the number of examples to keep of each past task"
        if self.replay == "all" and self.memory is not None:
            yield f"memory={self.memory} has no meaning for replay='all'; use replay='memory'"
        if self.replay == "none" and self.memory is not None and self.projection is None:
            yield f"memory={self.memory} has no meaning without replay='memory' or a projection that reads it"

    def _belonging_rules(self) -> Iterator[str]:
        """Fields that have no meaning without another."""
        trained_on = self.replay != "none"
        for name, belongs, needed in (
            ("selection", self.memory, "memory"),
            ("new_weight", trained_on, "replay"),
            ("ramp_steps", trained_on or self.distillation or self.consolidation, "another part of the loss"),
            ("margin", self.projection == "gem", "projection='gem'"),
            ("temperature", self.distillation, "distillation"),
            ("fisher_examples", self.consolidation, "consolidation"),
        ):
            if getattr(self, name) is not None and not belongs:
                yield f"{name}={getattr(self, name)!r} has no meaning without {needed}"

    def fits(self, run: "Run") -> Iterator[str]:
        """Problems of these parts with the model, the data and the length of a run."""
        for i, past in enumerate(self.past):
            if misfit := past.misfit(run.data):
                yield f"past[{i}] {misfit}"
            if past.mixed_with:
                yield f"past[{i}] is mixed, but its examples are read by themselves; name each part as a task"
        if self.ramp_steps is not None and self.ramp_steps > run.steps:
            yield f"ramp_steps={self.ramp_steps} must be at most steps={run.steps}"
        if self.selection == "class_balanced" and not run.data.classes_as_targets:
            yield f"selection='class_balanced' needs classes, data.source={run.data.source!r} has none; leave it out"
        if self.temperature is not None and run.data.interface()["loss"] == "mse":
            yield f"temperature={self.temperature} has no meaning for the squared error; leave it out"
        for name in ("distillation", "consolidation"):
            if getattr(self, name) is not None and (run.parent is None or "weights" in run.reset):
                yield f"{name}={getattr(self, name)} needs the weights of a parent: it holds on to what they learnt"
        if self.consolidation is not None and run.data.context is not None:
            yield f"consolidation={self.consolidation} has no form for tokens; use it with digits or a teacher"
        if self.consolidation is not None and run.model.norm == "batchnorm":
            yield f"consolidation={self.consolidation} needs outputs of single examples; norm='batchnorm' has none"
        if run.stacked:
            yield "stacked=True trains members in one pass, which knows no past tasks; leave out stacked"


CURVATURE = ("sharpness", "effective_sharpness")
"""Kinds of probe that take products with the Hessian."""

PROBE_SET = (*CURVATURE, "gradients")
"""Kinds of probe that take derivatives over some training examples."""

READING = (*PROBE_SET, "nearest_mean")
"""Kinds of probe that read training examples."""


@description
class Probe:
    """A measurement of the model in training, called at its steps (see common/probes.py)."""

    kind: Literal["norms", "sharpness", "effective_sharpness", "gradients", "nearest_mean"]
    every: int | None = None
    """Measure after every so many updates, at the start and at the end."""
    steps: tuple[int, ...] | None = None
    """Measure after these many updates of the run (0 is the start)."""
    examples: int | None = None
    """All kinds but norms: training examples (of each task) that are read, the first of a fixed order; all if left
    out."""

    def _rules(self) -> Iterator[str]:
        if (self.every is None) == (self.steps is None):
            yield f"every={self.every!r}, steps={self.steps!r}: give exactly one of the two"
        yield from at_least(1, self, "every")
        yield from fits_kind(self, self.kind, {"norms": (), **dict.fromkeys(READING, ("examples?",))})
        yield from at_least(1, self, "examples")
        if self.steps is not None and any(step < 0 for step in self.steps):
            yield f"steps={self.steps} must not be negative"


SWEEPABLE = ("lr", "seed", "steps", "batch_size")


def _unlike(name: str, values: tuple[Any, ...]) -> list[Any]:
    """Values of a sweep that rules can tell apart: of rates and seeds they see only the type and the sign."""
    if name not in ("lr", "seed") or not all(isinstance(value, int | float) for value in values):
        return list(values)
    return list({(type(value), value > 0, value < 0): value for value in reversed(values)}.values())[::-1]


WORD = re.compile("[a-z][a-z0-9_]*")
"""What names a column."""


@description
class Run:
    """One training: what one job does, and one row of a study's table."""

    model: Model
    data: Data
    lr: float
    """Peak learning rate."""
    steps: int
    """Updates of this run (those of its parents not counted)."""
    seed: int
    """Seeds every named stream of the run: initial weights, order of the data."""
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    batch_size: int | None = None
    """Examples (windows of text) per update; the whole training set if left out."""
    log_every: int = 10
    """Updates between two rows with the training loss."""
    evaluate_every: int | None = None
    """Updates between two evaluations; start, kept steps and end are always evaluated."""
    watched: dict[str, Data] | None = None
    """Further validation sets by a word, evaluated with the run's own: columns val_loss_<word>, val_accuracy_<word>.
    One that equals the run's own is not evaluated twice: its columns repeat those of the run's own."""
    average: float | None = None
    """Decay a of an average of the weights, avg <- a avg + (1 - a) w after each update from the starting weights on, or
    from the parent's average if it kept one. It is evaluated with them: columns average_val_loss, ... (see
    common/average.py); no average if left out."""
    continual: Continual | None = None
    """The tasks before this one, and what is done not to forget them."""
    keep_steps: tuple[int, ...] = ()
    """Updates after which the state is kept, besides the end, so that other runs can continue there."""
    parent: str | None = None
    """Run whose state this one continues: "name", or "study/name"; of a sweep, the member with this run's values."""
    parent_step: int | None = None
    """One of the parent's `keep_steps`; its end if left out."""
    reset: tuple[Literal["weights", "optimizer", "data"], ...] = ()
    """Parts of the parent's state that start afresh; data means the position in the stream of batches."""
    probes: tuple[Probe, ...] = ()
    sweep: dict[str, tuple[int | float, ...]] | None = None
    """Fields of this run and the values that its members take, every combination trained in one job."""
    stacked: bool = False
    """Train the members of a sweep over lr and seed side by side (see common/stack.py), not one by one. Pays for small
    networks; where one has weights of half a megabyte or more, together they leave the cache."""
    arm: str | None = None
    """A word that names this run's group in comparisons; no number depends on it."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 computes the forward pass under autocast; weights stay in fp32."""
    compile: bool = False
    """Train with torch.compile (needs a C++ compiler)."""
    threads: int = 1
    """torch threads; the number changes the bits of the result, so it belongs to the description."""

    @property
    def within_classes(self) -> bool:
        """Whether evaluations tell the accuracy within the classes of each validation set: some data has not all."""
        some = any(part.classes for data in datasets_of(self) for part in data.parts)
        return some and self.data.classes_as_targets

    def _rules(self) -> Iterator[str]:
        yield from at_least(1, self, "steps", "batch_size", "log_every", "evaluate_every", "threads")
        yield from at_least(0, self, "seed")
        if self.lr <= 0:
            yield f"lr={self.lr} must be greater than 0"
        yield from self._average_rules()
        text = self.data.source in (*TEXT, "bigram")
        if text != (self.model.kind == "transformer"):
            yield f"model.kind={self.model.kind!r} cannot read data.source={self.data.source!r}"
        if self.model.kind == "convnet" and self.data.source in ("teacher", "tanh_teacher"):
            source = self.data.source
            yield f"model.kind='convnet' reads images, but data.source={source!r} has none; use 'digits' or an mlp"
        if not defined_for(self.model.parametrization, self.optimizer.kind):
            yield (
                f"model.parametrization={self.model.parametrization!r} has no rates for optimizer.kind="
                f"{self.optimizer.kind!r}; use adam, adamw or schedule_free"
            )
        if text and self.batch_size is None:
            yield f"batch_size is missing: data.source={self.data.source!r} has no full batch"
        if self.data.mixed_with and self.batch_size is None:
            yield "batch_size is missing: data.mixed_with has no full batch"
        if any(not 0 < step < self.steps for step in self.keep_steps):
            yield f"keep_steps={self.keep_steps} must lie between 1 and steps - 1 = {self.steps - 1}"
        for name in ("parent_step", "reset"):
            if self.parent is None and getattr(self, name):
                yield f"{name}={getattr(self, name)!r} has no meaning without a parent"
        if len(set(self.keep_steps)) < len(self.keep_steps):
            yield f"keep_steps={self.keep_steps} must be different"
        yield from (f"schedule.{problem}" for problem in self.schedule.fits(self.steps))
        if self.continual:
            yield from (f"continual.{problem}" for problem in self.continual.fits(self))
        yield from self._watched_rules()
        yield from self._probe_rules()
        yield from self._sweep_rules()

    def _average_rules(self) -> Iterator[str]:
        if self.average is None:
            return
        if not 0 < self.average < 1:
            yield f"average={self.average} must lie between 0 and 1; without an average leave it out"
        if self.optimizer.kind == "schedule_free":
            yield f"average={self.average}: optimizer.kind='schedule_free' evaluates an average already; leave it out"
        if self.stacked:
            yield f"average={self.average} is not kept for members side by side; leave out stacked=True"

    def _watched_rules(self) -> Iterator[str]:
        for name, data in (self.watched or {}).items():
            if not isinstance(name, str) or not WORD.fullmatch(name):
                yield f"watched={{{name!r}: ...}} must be named by a word of small letters, digits and _"
            elif name.partition("_")[0] == "within":
                yield f"watched={{{name!r}: ...}} would name a column like val_accuracy_within; choose another word"
            if misfit := data.misfit(self.data):
                yield f"watched[{name!r}] {misfit}"
        if self.watched is not None and not self.watched:
            yield "watched={} is empty; leave it out"

    def _probe_rules(self) -> Iterator[str]:
        kinds = [probe.kind for probe in self.probes]
        for i, probe in enumerate(self.probes):
            if probe.kind in kinds[:i]:
                yield f"probes[{i}].kind={probe.kind!r} is given twice; put all of its steps into one probe"
            if probe.kind == "gradients" and self.continual is None:
                yield f"probes[{i}].kind='gradients' needs continual, which names the past tasks"
            if probe.kind == "nearest_mean" and not self.data.classes_as_targets:
                yield (
                    f"probes[{i}].kind='nearest_mean' needs classes as targets, and data.source={self.data.source!r} "
                    f"with loss={self.data.interface()['loss']!r} has none; leave it out"
                )
            if probe.kind in READING and probe.examples is None and self.data.context is not None:
                yield f"probes[{i}].examples is missing: data.source={self.data.source!r} has no full batch"
            if probe.kind in READING and probe.examples is None and self.data.mixed_with:
                yield f"probes[{i}].examples is missing: data.mixed_with has no full batch"
            if probe.steps and max(probe.steps) > self.steps:
                yield f"probes[{i}].steps={probe.steps} must be at most steps={self.steps}"

    def _sweep_rules(self) -> Iterator[str]:
        for name, values in (self.sweep or {}).items():
            if name not in SWEEPABLE:
                yield f"sweep={{{name!r}: ...}} must name one of {', '.join(SWEEPABLE)}"
            elif not values or len(set(values)) < len(values):
                yield f"sweep={{{name!r}: {values}}} must have different values, at least one"
            else:
                for value in _unlike(name, values):
                    trial = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
                    trial["stacked"] = False
                    with collecting():
                        found = problems(Run(**(trial | {name: value, "sweep": None})))
                    yield from (f"sweep: {problem}" for problem in found)
        if self.stacked and not {"lr", "seed"} >= (self.sweep or {"none": ()}).keys():
            yield f"stacked=True needs a sweep over lr or seed and nothing else; sweep={self.sweep} trains one by one"
        if self.stacked and self.compile:
            yield "stacked=True has no compiled form; leave out compile=True"
        if self.sweep is not None and not self.sweep:
            yield "sweep={} is empty; leave it out for a single run"


def to_dict(value: Any) -> Any:
    """A description as plain dictionaries, lists, strings and numbers. Fields that are None are left out."""
    if dataclasses.is_dataclass(value):
        items = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: to_dict(item) for name, item in items if item is not None}
    if isinstance(value, tuple):
        return [to_dict(item) for item in value]
    if isinstance(value, dict):
        return {key: to_dict(item) for key, item in value.items()}
    return value


def full_name(study: str, run: str) -> str:
    """`study/run` for a run that is written in a study as `run` or as `study/run`."""
    return run if "/" in run else f"{study}/{run}"


def run_from_dict(plain: Mapping[str, Any]) -> Run:
    """The inverse of `to_dict` for a run.

    >>> run = Run(model=Model(kind="mlp"), data=Data(source="digits"), lr=0.1, steps=3, seed=0)
    >>> run_from_dict(to_dict(run)) == run
    True
    """
    return typing.cast(Run, _from_plain(plain, Run))


def _from_plain(plain: Any, hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        build = typing.cast(type, hint)
        return build(**{name: _from_plain(item, hints.get(name, Any)) for name, item in plain.items()})
    if origin in (typing.Union, types.UnionType) and plain is not None:
        return _from_plain(plain, next(arg for arg in args if arg is not type(None)))
    if origin is tuple:
        return tuple(_from_plain(item, args[0]) for item in plain)
    if origin is dict:
        return {key: _from_plain(item, args[1]) for key, item in plain.items()}
    return plain


def datasets_of(run: Run) -> list[Data]:
    """Every data set that a run reads, its own first, each once."""
    past = run.continual.past if run.continual else ()
    return list(dict.fromkeys([run.data, *(run.watched or {}).values(), *past]))


def continued(run: Run, parent: Run) -> int:
    """Place of the member of `parent` whose state a single run continues: the one with this run's swept values.

    Raises: LookupError if the parent has no such member.
    """
    place = 0
    for name, values in (parent.sweep or {}).items():
        wanted = getattr(run, name)
        if wanted not in values:
            raise LookupError(f"has no member with {name}={wanted} to continue; its sweep is {parent.sweep}")
        place = place * len(values) + values.index(wanted)
    return place


def validation_sets(run: Run) -> dict[str, Data]:
    """What a run evaluates, by the ends of its columns: its own as "", watched sets as "_<word>"."""
    named = {"": run.data} | {f"_{word}": data for word, data in (run.watched or {}).items()}
    return {end: data.held_out for end, data in named.items()}


def members(run: Run) -> list[Run]:
    """The single runs of a sweep, in the order of its values; a run without sweep is its only member."""
    singles = [dataclasses.replace(run, sweep=None, stacked=False)]
    for name, values in (run.sweep or {}).items():
        swept: list[dict[str, Any]] = [{name: value} for value in values]
        singles = [dataclasses.replace(single, **field) for single in singles for field in swept]
    return singles
