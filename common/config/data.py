"""What is learnt: sources of data and their fields."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from common.description import at_least, between, description, fits_kind

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
