"""What is learnt, and the fixed validation set."""

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, get_args

from common.config.description import Kind, above, at_least, between, description, field
from common.config.model import Examples

__all__ = [
    "CORPORA",
    "EXCHANGEABLE",
    "Bigram",
    "Corpus",
    "Data",
    "Digits",
    "Files",
    "HuggingFace",
    "Loss",
    "Mixture",
    "ModularAddition",
    "TanhTeacher",
    "Teacher",
]

CorpusName = Literal["prose", "python", "cpp", "documented", "python_torch", "python_science"]
"""Byte corpora that a rule builds from the installed packages (see common/data/corpora.py)."""
CORPORA: tuple[str, ...] = get_args(CorpusName)

HASH_COMMENTS = ("python", "documented", "python_torch", "python_science")
"""Those whose comments begin with `#`."""

EXCHANGEABLE = b"\n" + bytes(range(32, 127))
"""The newline and the printable ASCII characters, of which `Corpus.permuted` exchanges a share."""

Loss = Literal["cross_entropy", "mse"]


@description
class Data(Kind):
    """What all sources have. One network reads two of them if their `interface` is the same."""

    formerly = "corpus"
    moved = dict.fromkeys(("mixed_with", "mixed_share"), "to mix two data sets write Mixture(first, second, share=...)")

    gives: ClassVar[tuple[Examples, ...]]
    """What its examples can be read as."""
    endless: ClassVar[bool] = False
    """Whether it has no full batch."""

    context: ClassVar[int | None] = None
    """Length of a window of tokens; None where examples are no windows."""
    validation_windows: ClassVar[int | None] = None
    """Windows of the validation set; None where examples are no windows."""
    loss: ClassVar[Loss] = "cross_entropy"
    """What is descended."""

    @property
    def label(self) -> str:
        """A word for tables and pictures."""
        return self.kind

    @property
    def parts(self) -> list["Data"]:
        """What is mixed, each by itself; of data that is not mixed, itself."""
        return [self]

    @property
    def held_out(self) -> "Data":
        """What it is validated on: itself without what chooses training examples only."""
        return self

    @property
    def classes_as_targets(self) -> bool:
        """Whether the loss is the cross-entropy of classes, not of tokens."""
        return "tokens" not in self.gives and self.loss == "cross_entropy"

    def interface(self) -> dict[str, Any]:
        """All that a network and its loss see of the kind of data; where it is equal, one network reads both."""
        return {"kind": self.kind, "loss": self.loss}

    def misfit(self, other: "Data") -> str | None:
        """What keeps a network for other data from reading this; None if nothing does."""
        own, wanted = self.interface(), other.interface()
        for name in dict.fromkeys([*wanted, *own]):
            if own.get(name) != wanted.get(name):
                return (
                    f"has {name}={own.get(name)!r}, but data has {wanted.get(name)!r}: one network reads both, so make "
                    "them equal"
                )
        return None

    def _rules(self) -> Iterator[str]:
        yield from ()


@description
class _Windows(Data):
    """Windows of tokens."""

    context: int = field()  # type: ignore[misc]
    """Length of a training window in tokens."""
    validation_windows: int = 1024  # type: ignore[misc]
    """How many windows the validation set has."""

    gives = ("tokens",)
    endless = True

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(2, self, "context")
        yield from at_least(1, self, "validation_windows")


@description
class _Text(_Windows):
    """Text, whose tokens are bytes."""

    def interface(self) -> dict[str, Any]:
        """See `Data.interface`: texts of any source are alike."""
        return {"kind": "text", "context": self.context, "loss": self.loss}


@description
class _Sampled(_Text):
    """Text of which some windows can be chosen."""

    samples: int | None = field(default=None, code="common.data.subset:choose")
    """Number of training windows, the same for every run and evenly apart, read again and again in a fresh order; all
    if left out."""
    ranked: Literal["comments"] | None = None
    """`samples` are the windows with the largest share of bytes in `#` comments instead."""

    @property
    def held_out(self) -> Data:
        """See `Data.held_out`."""
        return dataclasses.replace(self, samples=None, ranked=None)

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(2, self, "samples")
        if self.ranked is not None and self.samples is None:
            yield f"ranked={self.ranked!r} has no meaning without samples, the number of windows to take"


@description
class Corpus(_Sampled):
    """A byte corpus, built from the installed packages: Corpus("prose", context=64)."""

    kind = "corpus"
    code = "common.data.text:corpus"

    name: CorpusName = field(kw_only=False)
    permuted: float | None = field(default=None, code="common.data.byte_permutation:table")
    """Share of the printable characters and the newline that change places."""

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        if self.ranked == "comments" and self.name not in HASH_COMMENTS:
            yield f"ranked='comments' counts '#' comments, which name={self.name!r} does not have; leave it out"
        if self.permuted is not None and (self.permuted > 1 or round(self.permuted * len(EXCHANGEABLE)) < 2):
            yield (
                f"permuted={self.permuted} must be at most 1 and exchange at least two of {len(EXCHANGEABLE)} "
                "characters; leave it out for none"
            )


@description
class Files(_Sampled):
    """Your own text: a file, or a folder of text files, split by file.

    Its bytes are read as they are: byte order marks and CRLF stay, and a copy with other line ends is a second text.
    """

    kind = "files"
    code = "common.data.text:files"

    path: str = field(kw_only=False)
    """Absolute, or relative to the repository."""


@description
class HuggingFace(_Text):
    """A text data set of the Hugging Face hub, streamed once."""

    kind = "huggingface"
    code = "common.data.huggingface:huggingface"

    name: str = field(kw_only=False)
    """For example "roneneldan/TinyStories"."""
    bytes_limit: int
    """How many bytes to stream."""
    text_field: str = "text"
    """The column that holds the text."""
    configuration: str | None = None
    """Which of the data set's configurations, for example "wikitext-103-raw-v1"; its usual one if left out."""
    revision: str | None = None
    """Branch, tag or commit of the data set; its newest state if left out, which may be another one tomorrow."""
    split: str = field(default="train", neutral="train")
    """Which of its splits is streamed."""

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(1, self, "bytes_limit")


@description
class Digits(Data):
    """The 8 x 8 digits of scikit-learn."""

    kind = "digits"
    code = "common.data.digits:digits"
    gives = ("images", "vectors")

    samples: int | None = None
    """Number of training examples; all if left out."""
    classes: tuple[int, ...] | None = None
    """The classes kept; all ten if left out."""
    split: tuple[int, int] | None = None
    """(i, n) keeps part i, from 0, of n random parts of the training images; all if left out."""
    rotation: float = field(default=0.0, neutral=0.0)
    """Degrees by which each image is turned."""
    permutation: int | None = None
    """Number of the fixed pixel permutation; none if left out."""
    standardised: bool = False
    """Each pixel with mean 0 and variance 1 over the training images."""
    label_noise: float = field(default=0.0, neutral=0.0)
    """Share of the training labels that are replaced by another class."""
    loss: Loss = "cross_entropy"  # type: ignore[misc]
    """mse is half the squared error against one-hot targets."""

    @property
    def held_out(self) -> Data:
        """See `Data.held_out`: parts have the validation set in common."""
        return dataclasses.replace(self, split=None)

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(2, self, "samples")
        yield from at_least(0, self, "permutation")
        yield from between(0, 1, self, "label_noise")
        if self.classes is not None:
            different = set(self.classes)
            if len(different) < 2 or len(different) < len(self.classes) or not different <= set(range(10)):
                yield f"classes={self.classes} must be at least two different digits from 0 to 9"
        if self.split is not None and (len(self.split) != 2 or not 0 <= self.split[0] < self.split[1] >= 2):
            yield f"split={self.split} must be (i, n), part i from 0 to n - 1 of n parts, with n at least 2"


@description
class Teacher(Data):
    """Power-law regression: a linear teacher."""

    kind = "teacher"
    code = "common.data.synthetic:teacher"
    gives = ("vectors",)
    loss = "mse"

    inputs: int
    """Dimension of the inputs."""
    samples: int
    """Number of training examples."""
    exponent: float
    """Input variances fall like k**-exponent."""
    noise: float = field(default=0.0, neutral=0.0)
    """Standard deviation of the label noise."""

    def interface(self) -> dict[str, Any]:
        """See `Data.interface`."""
        return {"kind": self.kind, "inputs": self.inputs, "loss": self.loss}

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(1, self, "inputs")
        yield from at_least(2, self, "samples")
        yield from at_least(0, self, "noise", "exponent")


@description
class TanhTeacher(Data):
    """The outputs of a random network of two layers."""

    kind = "tanh_teacher"
    code = "common.data.synthetic:tanh_teacher"
    gives = ("vectors",)

    inputs: int
    """Dimension of the inputs."""
    hidden: int
    """Its hidden units."""
    outputs: int
    """Dimension of the targets, or number of classes."""
    samples: int
    """Number of training examples."""
    exponent: float
    """Input variances fall like k**-exponent."""
    noise: float = field(default=0.0, neutral=0.0)
    """Standard deviation of the label noise."""
    loss: Loss = "mse"  # type: ignore[misc]
    """cross_entropy has the largest target for a class."""

    def interface(self) -> dict[str, Any]:
        """See `Data.interface`."""
        return {"kind": self.kind, "inputs": self.inputs, "outputs": self.outputs, "loss": self.loss}

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(1, self, "inputs", "hidden", "outputs")
        yield from at_least(2, self, "samples")
        yield from at_least(0, self, "noise", "exponent")


@description
class Bigram(_Windows):
    """A language in which every other step is certain, and whose entropy is known."""

    kind = "bigram"
    code = "common.data.synthetic:bigram"

    vocabulary: int
    """Number of tokens."""
    successors: int
    """After a token of the uncertain half it is uniform over this many; else it is certain."""

    def interface(self) -> dict[str, Any]:
        """See `Data.interface`."""
        return {"kind": self.kind, "context": self.context, "vocabulary": self.vocabulary, "loss": self.loss}

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(2, self, "vocabulary", "successors")
        if self.successors > self.vocabulary // 2:
            yield f"successors={self.successors} must be at most half of vocabulary={self.vocabulary}"


@description
class ModularAddition(Data):
    """Sums of two numbers modulo another, of which some are shown and the others asked."""

    kind = "modular_addition"
    code = "common.data.modular:modular_addition"
    gives = ("tokens",)
    context = 3

    modulus: int
    """How many numbers there are; the vocabulary has one token more."""
    train_share: float
    """Share of all pairs of numbers that is trained on; the others are the validation set."""

    @property
    def train_pairs(self) -> int:
        """That share in pairs."""
        return round(self.train_share * self.modulus**2)

    def interface(self) -> dict[str, Any]:
        """See `Data.interface`."""
        return {"kind": self.kind, "modulus": self.modulus, "loss": self.loss}

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from at_least(2, self, "modulus")
        if not 0 < self.train_pairs < self.modulus**2:
            yield (
                f"train_share={self.train_share} gives {self.train_pairs} of {self.modulus**2} pairs to training; some "
                "must be trained on, and some left to validate on"
            )


@description
class Mixture(Data):
    """Two data sets interleaved in a fixed share: replay, or joint training. Validated on the first."""

    kind = "mixture"
    code = "common.data.mixture:mixture"
    endless = True

    first: Data = field(kw_only=False)
    """The new data, if the second is replayed."""
    second: Data = field(kw_only=False)
    """Data of the same interface, of which training takes a share of its examples."""
    share: float
    """That share, above 0 and below 1."""

    @property
    def gives(self) -> tuple[Examples, ...]:  # type: ignore[override]
        """What its examples can be read as."""
        return self.first.gives

    @property
    def label(self) -> str:
        """That of the first."""
        return self.first.label

    @property
    def context(self) -> int | None:  # type: ignore[override]
        """That of the first."""
        return self.first.context

    @property
    def validation_windows(self) -> int | None:  # type: ignore[override]
        """Those of the first."""
        return self.first.validation_windows

    @property
    def loss(self) -> Loss:  # type: ignore[override]
        """That of the first."""
        return self.first.loss

    @property
    def parts(self) -> list[Data]:
        """What is mixed."""
        return [*self.first.parts, *self.second.parts]

    @property
    def held_out(self) -> Data:
        """That of the first."""
        return self.first.held_out

    def interface(self) -> dict[str, Any]:
        """See `Data.interface`: that of the first."""
        return self.first.interface()

    def _rules(self) -> Iterator[str]:
        yield from super()._rules()
        yield from above(0, self, "share")
        if self.share >= 1:
            yield f"share={self.share} must be below 1; without a mixture give the second alone"
        if misfit := self.second.misfit(self.first):
            yield f"second {misfit}"
