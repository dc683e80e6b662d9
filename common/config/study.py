"""What a study makes of its runs: figures and measurements, and which runs they read."""

import json
import reprlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from common.config.description import DescriptionError
from common.config.run import Run

__all__ = ["Figure", "Measure", "Select", "Step"]


@dataclass(frozen=True, init=False)
class Select:
    """Runs whose fields have given values: Select(arm=["wsd", "cosine"], lr=3e-3); all of a study without any.

    Two selections are joined by `|`.
    """

    where: Mapping[str, tuple[Any, ...]]
    """Values that a field of `Run` may have; each must occur."""
    study: str | None
    """The study whose runs they are; the own one if left out."""
    lineage: bool
    """Whether the rows of a run's parents stand before its own."""
    more: tuple["Select", ...] = ()

    def __init__(
        self, *, study: str | None = None, lineage: bool = False, more: tuple["Select", ...] = (), **where: Any
    ) -> None:
        known = [each.name for each in fields(Run)]
        for name in [name for name in where if name not in known]:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise DescriptionError([f"Select: {name}={where[name]!r} is no field of Run{hint}"])
        many = {name: tuple(v) if isinstance(v, list | tuple | set | range) else (v,) for name, v in where.items()}
        for name, value in {"where": many, "study": study, "lineage": lineage, "more": more}.items():
            object.__setattr__(self, name, value)

    def __or__(self, other: "Select") -> "Select":
        if self.lineage != other.lineage:
            raise DescriptionError(["Select: lineage must be the same on both sides of |, for all rows are one table"])
        return Select(study=self.study, lineage=self.lineage, more=(*self.more, other, *other.more), **self.where)

    @property
    def parts(self) -> Iterator["Select"]:
        """What is joined."""
        yield Select(study=self.study, lineage=self.lineage, **self.where)
        yield from self.more


@dataclass(frozen=True)
class Step:
    """Something made of a study's runs by a script of its own.

    Each entry of `runs`, `states` and `records` is a parameter of the script's function; a single selection is the
    parameter `runs`, `states` or `records`.
    """

    name: str
    """The script is studies/<study>/plot_<name>.py, or measure_<name>.py."""
    runs: Select | Mapping[str, Select] | None = field(default=None, kw_only=True)
    """Rows of runs, as a table."""
    states: Select | Mapping[str, Select] | None = field(default=None, kw_only=True)
    """Trained states of runs, as paths of state.safetensors."""
    records: Select | Mapping[str, Select] | None = field(default=None, kw_only=True)
    """Descriptions of runs as they were trained, by name."""
    tables: Sequence[str] = field(default=(), kw_only=True)
    """Measurements of the study, each as a table under its name."""
    smoke: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """Arguments of the script's function at the smoke scale, beside its inputs: sizes that let it end in about a
    second; they have defaults otherwise. Only of measurements, and plain JSON values."""

    def __post_init__(self) -> None:
        found = [
            f"{what}={reprlib.repr(getattr(self, what))} must be a Select(...), or a dictionary of them by parameter"
            for what in ("runs", "states", "records")
            if not all(isinstance(select, Select) for select in self.selections(what).values())
        ]
        if not isinstance(self.tables, list | tuple) or not all(isinstance(name, str) for name in self.tables):
            found.append(f"tables={self.tables!r} must be a list of names")
        if not isinstance(self.smoke, dict) or not is_plain(self.smoke):
            found.append(
                f"smoke={reprlib.repr(self.smoke)} must be a dictionary of plain JSON values by parameter: "
                "finite numbers, texts, lists and dictionaries, no tuples or ranges"
            )
        if not found:
            names = [name for what in ("runs", "states", "records") for name in self.selections(what)]
            twice = [name for name, count in Counter([*names, *self.tables, *self.smoke]).items() if count > 1]
            found = [f"{name!r} is given twice; each parameter of the script needs its own name" for name in twice]
        if found:
            raise DescriptionError([f"{type(self).__name__}({self.name!r}): {problem}" for problem in found])

    def selections(self, what: str) -> dict[str, Select]:
        """The selections of `runs`, `states` or `records` by parameter."""
        given = getattr(self, what)
        return dict(given) if isinstance(given, Mapping) else {} if given is None else {what: given}

    @property
    def sources(self) -> dict[str, str]:
        """What each parameter of the script is given: "runs", "lineage", "states", "records" or "table"."""
        found = {name: "lineage" if select.lineage else "runs" for name, select in self.selections("runs").items()}
        found |= {name: what for what in ("states", "records") for name in self.selections(what)}
        return found | dict.fromkeys(self.tables, "table")


@dataclass(frozen=True)
class Figure(Step):
    """A figure: `draw` of plot_<name>.py gives figures/<study>_<name>.pdf and the numbers drawn.

    With `claims`, `draw` has a parameter `verdicts`: what was judged, by the id of the claim.
    """

    claims: Sequence[str] = field(default=(), kw_only=True)
    """Ids of the claims whose verdicts it shows; it has all runs and tables that they are judged on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        found = []
        if not isinstance(self.claims, list | tuple) or not all(isinstance(name, str) for name in self.claims):
            found = [f"claims={self.claims!r} must be a list of ids"]
        elif twice := [name for name, count in Counter(self.claims).items() if count > 1]:
            found = [f"claims={self.claims!r} has {twice[0]!r} twice"]
        elif self.claims and "verdicts" in super().sources:
            found = ["'verdicts' is given twice; each parameter of the script needs its own name"]
        if self.smoke:
            found.append(f"smoke={reprlib.repr(self.smoke)} is of measurements alone; a figure has no sizes")
        if found:
            raise DescriptionError([f"Figure({self.name!r}): {problem}" for problem in found])

    @property
    def sources(self) -> dict[str, str]:
        """See `Step.sources`."""
        return super().sources | ({"verdicts": "verdicts"} if self.claims else {})


@dataclass(frozen=True)
class Measure(Step):
    """A measurement after the trainings: `measure` of measure_<name>.py gives results/<study>/<name>.csv."""

    seeds: Sequence[int] = field(default=(), kw_only=True)
    """Numbers of the seeds that it draws itself, given to `measure` as `seeds`: those of the block that a study is
    trained with (see `common.evidence.seeds`). The smoke scale gives those of `smoke`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(type(number) is int and number >= 0 for number in self.seeds):
            raise DescriptionError([f"Measure({self.name!r}): seeds={self.seeds!r} must be whole numbers from 0 on"])
        if self.seeds and "seeds" in self.sources:
            raise DescriptionError([f"Measure({self.name!r}): 'seeds' is given twice; name the selection otherwise"])


def is_plain(value: Any) -> bool:
    """Whether a value survives JSON unchanged."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False
