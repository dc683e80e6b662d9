"""What a paper says, and what a verdict on it is judged from."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from common.config.description import DescriptionError
from common.config.study import Step

__all__ = ["Claim", "Mark"]

Mark = Literal["published", "recalled", "derived", "none"]
"""How well a paper's number is known: read there, quoted from memory, derived by us, or no number exists."""


@dataclass(frozen=True)
class Claim(Step):
    """A statement of a paper, judged by a function of the study's module `verdicts` on exactly these runs and tables.

    Its name is its id, unique over all studies: a letter for the study, a number, perhaps one more letter ("W6a").
    """

    statement: str
    """One short sentence, without a full stop."""
    verdict: str = field(kw_only=True)
    """Function of studies/<study>/verdicts.py from the tables to a verdict; its thresholds are part of the claim."""
    source: str = field(kw_only=True)
    """Paper, section."""
    published: str = field(default="", kw_only=True)
    """The paper's own number, as text; "" if it gives none."""
    mark: Mark = field(default="none", kw_only=True)
    """How well that number is known."""
    seeds: int = field(default=5, kw_only=True)
    """Paired seeds with which the claim is meant to be judged."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if wrong := list(self._wrong()):
            raise DescriptionError([f"Claim({self.name!r}): {text}" for text in wrong])

    def _wrong(self) -> Iterator[str]:
        if not self.name or not self.statement:
            yield f"name={self.name!r}, statement={self.statement!r}: a claim needs both"
        for name in ("statement", "verdict", "source", "published"):
            if not isinstance(getattr(self, name), str):
                yield f"{name}={getattr(self, name)!r} must be a text"
        if self.mark not in get_args(Mark):
            yield f"mark={self.mark!r} must be one of {', '.join(map(repr, get_args(Mark)))}"
        if (self.published == "") != (self.mark == "none"):
            yield (
                f"published={self.published!r} does not fit mark={self.mark!r}: a number needs a mark other than "
                "'none', no number is published='' with mark='none'"
            )
        if self.smoke:
            yield f"smoke={self.smoke!r} is of measurements alone; a claim has no sizes"
        if type(self.seeds) is not int or self.seeds < 1:
            yield f"seeds={self.seeds!r} must be a whole number of at least 1"
