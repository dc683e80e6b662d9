"""What a paper says, and what a verdict on it is judged from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from common.config.description import DescriptionError
from common.config.study import Step, is_plain

__all__ = ["Claim", "Kind", "Mark"]

Kind = Literal["paper", "theory", "ours", "informal"]
"""What is claimed: by a publication on what it measured; by a derivation that our code must meet; by ourselves, as a
hypothesis; or in a thesis, a comment, a discussion."""
Mark = Literal["published", "second-hand", "derived", "none"]
"""How a paper's number is known: read there, read where another quotes it, derived by us, or no number exists."""


@dataclass(frozen=True)
class Claim(Step):
    """A statement of a paper, judged by a function of the study's module `verdicts` on exactly these runs and tables.

    Its name is its id, unique over all studies: a letter for the study, a number, perhaps one more letter ("W6a").
    """

    statement: str
    """One short sentence, without a full stop."""
    verdict: str = field(kw_only=True)
    """Function of studies/<study>/verdicts.py from the tables to a verdict; its thresholds are part of the claim."""
    kind: Kind = field(default="paper", kw_only=True)
    source: str = field(kw_only=True)
    """Paper, section."""
    published: str = field(default="", kw_only=True)
    """The paper's own number, as text; "" if it gives none."""
    mark: Mark = field(default="none", kw_only=True)
    """How well that number is known."""
    seeds: int = field(default=5, kw_only=True)
    """Paired seeds with which the claim is meant to be judged."""
    headline: bool = field(default=False, kw_only=True)
    """Whether it stands for its study on the first page; one claim of a study at most."""
    settings: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """Arguments of the verdict's function beside its tables, for example its bar; they are registered with it."""
    caveat: str = field(default="", kw_only=True)
    """What keeps it from testing its source, in a few words that are shown with the verdict; "" if nothing does."""

    @property
    def words(self) -> dict[str, Any]:
        """What is said of it wherever its verdict is shown: a change of these judges nothing again."""
        names = ("statement", "kind", "source", "published", "mark", "seeds", "caveat")
        return {"id": self.name} | {name: getattr(self, name) for name in names}

    def __post_init__(self) -> None:
        super().__post_init__()
        if wrong := list(self._wrong()):
            raise DescriptionError([f"Claim({self.name!r}): {text}" for text in wrong])

    def _wrong(self) -> Iterator[str]:
        if not self.name or not self.statement:
            yield f"name={self.name!r}, statement={self.statement!r}: a claim needs both"
        for name in ("statement", "verdict", "source", "published", "caveat"):
            if not isinstance(getattr(self, name), str):
                yield f"{name}={getattr(self, name)!r} must be a text"
        for name, known in (("kind", get_args(Kind)), ("mark", get_args(Mark))):
            if getattr(self, name) not in known:
                yield f"{name}={getattr(self, name)!r} must be one of {', '.join(map(repr, known))}"
        if (self.published == "") != (self.mark == "none"):
            yield (
                f"published={self.published!r} does not fit mark={self.mark!r}: a number needs a mark other than "
                "'none', no number is published='' with mark='none'"
            )
        if not isinstance(self.settings, dict) or not is_plain(self.settings):
            yield f"settings={self.settings!r} must be a dictionary of plain JSON values: they are registered"
        if self.smoke:
            yield f"smoke={self.smoke!r} is of measurements alone; a claim has no sizes"
        if type(self.seeds) is not int or self.seeds < 1:
            yield f"seeds={self.seeds!r} must be a whole number of at least 1"
