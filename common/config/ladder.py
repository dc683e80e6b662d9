"""A ladder of sizes: the networks of growing size on which a study measures the same effects."""

from collections.abc import Iterator

from common.config.data import Bigram, Corpus, Files, HuggingFace
from common.config.description import above, at_least, description, field
from common.config.model import Transformer
from common.config.run import Run

__all__ = ["Rung", "parameters_of"]

BYTES = 256
"""Tokens of a text."""
TOLERANCE = 0.01
"""Relative difference between the parameters of a rung and those of its runs."""


@description
class Rung:
    """One size of a study's ladder: Rung("25k", parameters=25_984, bytes_per_parameter=30, batch=16).

    The rungs of a study stand in `RUNGS` of its study.py; a run names its own, `Run(rung="25k", ...)`. With equal bytes
    per parameter, size and data grow together, and a trend is one in both.
    """

    name: str = field(default="", kw_only=False, label=True)
    """What tells it from the other rungs of its study."""
    parameters: int
    """Weights of the network; those of each of its runs differ by at most 1 %."""
    bytes_per_parameter: float
    """Tokens that a whole training reads, for each parameter (bytes, for text)."""
    batch: int
    """Examples (windows of text) per update of its runs."""
    large: bool = False
    """Whether its runs exist at the scale `large` alone."""

    def _rules(self) -> Iterator[str]:
        if not self.name:
            yield 'name is missing: a rung needs one, and it stands first: Rung("25k", parameters=...)'
        yield from at_least(1, self, "parameters", "batch")
        yield from above(0, self, "bytes_per_parameter")

    def steps(self, *, context: int) -> int:
        """Updates of a whole training: those that read `bytes_per_parameter` with windows of `context` tokens.

        >>> Rung("25k", parameters=25_600, bytes_per_parameter=30, batch=16).steps(context=64)
        750
        """
        return max(1, round(self.parameters * self.bytes_per_parameter / (self.batch * context)))

    def misfit(self, run: Run) -> str | None:
        """Why a run that names this rung does not belong to it, if so."""
        if run.batch_size != self.batch:
            return f"batch_size={run.batch_size} is not batch={self.batch} of Rung({self.name!r}); make them equal"
        own = parameters_of(run)
        if own is not None and abs(own - self.parameters) > TOLERANCE * self.parameters:
            return (
                f"model has {own} parameters, but Rung({self.name!r}) says parameters={self.parameters}; "
                f"write parameters={own}, or change the model"
            )
        return None


def parameters_of(run: Run) -> int | None:
    """Weights of a run's network where its description tells them: a transformer without gains on tokens.

    >>> from common.config import Corpus, Transformer
    >>> model, data = Transformer(width=28, depth=2, heads=2), Corpus("python", context=64)
    >>> parameters_of(Run(model=model, data=data, lr=1e-3, steps=1, batch_size=16, seed=0))
    25984
    """
    model, data = run.model, run.data.parts[0]
    if not isinstance(model, Transformer) or not isinstance(data, Bigram | Corpus | Files | HuggingFace):
        return None
    tokens = data.vocabulary if isinstance(data, Bigram) else BYTES
    return model.work.products + (1 if model.tied else 2) * tokens * model.width
