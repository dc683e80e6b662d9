"""Claims: statements of a paper, each with the function that judges it on a study's runs.

The threshold is part of the claim and is frozen before the runs are made; see `verdicts` for what `supported`,
`contradicted` and `undecided` mean. A claim in ten lines, here with the runs written out:

>>> import pandas as pd
>>> from common.evidence.statistics import paired_differences
>>> from common.evidence.verdicts import equivalence

>>> runs = pd.DataFrame({"run": ["wsd-s0", "wsd-s1", "wsd-s2", "cosine-s0", "cosine-s1", "cosine-s2"],
...                      "arm": ["wsd"] * 3 + ["cosine"] * 3, "seed": [0, 1, 2] * 2,
...                      "val_loss": [1.502, 1.511, 1.493, 1.500, 1.508, 1.494]})

>>> @claim("C8", "WSD matches cosine", source="Haegele 2024", published="gap 0.006", published_mark="recalled", seeds=3)
... def wsd_matches_cosine(runs):
...     '''Equivalence within 0.02 nats, paired by seed.'''
...     loss = runs.pivot(index="seed", columns="arm", values="val_loss")
...     return equivalence(paired_differences(loss.wsd, loss.cosine), margin=0.02, unit="nats")

>>> [judged] = judge([wsd_matches_cosine], runs)
>>> judged.verdict.verdict, judged.verdict.rule, judged.runs
('supported', '95 % interval within ±0.02 nats', 6)

In a study these lines stand in `studies/<study>/claims.py`; `judge` takes that module and finds its claims in order.
The parameters of a claim name the tables that it needs: `runs` is the rows of the study's runs, any other name is what
`studies/<study>/measure_<name>.py` measured.
"""

import dataclasses
import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import pandas as pd

from common.evidence.verdicts import OUTCOMES, Verdict, leaves, number
from common.runs import records

Mark = Literal["published", "recalled", "derived", "none"]
"""How well a paper's number is known: read there, quoted from memory, derived by us, or no number exists."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a paper says, and the number that it gives."""

    id: str
    statement: str
    source: str
    published: str
    """The paper's own number, as text."""
    published_mark: Mark
    seeds: int
    """Paired seeds with which the claim is meant to be judged (see `shortfalls`)."""


@dataclass(frozen=True, kw_only=True)
class Claim(Statement):
    """A statement and the function that judges it; made by the decorator `claim`."""

    decide: Callable[..., Verdict]

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the tables that it is judged on."""
        return tuple(inspect.signature(self.decide).parameters)

    def __call__(self, runs: pd.DataFrame | None = None, **measured: pd.DataFrame) -> Verdict:
        """The verdict of these runs and measurements; tables that the claim does not need are ignored.

        Raises: LookupError if a table is missing.
        """
        tables = measured if runs is None else {"runs": runs, **measured}
        if missing := [name for name in self.needs if name not in tables]:
            raise LookupError(
                f"claim {self.id} needs the table {missing[0]!r}; given: {', '.join(tables) or 'none'}; it is named "
                "after its script measure_<name>.py, and a parameter of a claim after its table"
            )
        return self.decide(**{name: tables[name] for name in self.needs})


def claim(
    id: str, statement: str, *, source: str, published: str = "", published_mark: Mark = "none", seeds: int = 5
) -> Callable[[Callable[..., Verdict]], Claim]:
    """Decorator that makes a claim of a function from tables to a verdict; it lives in its module and nowhere else.

    Args:
        id: short and unique in its study, for example "C8".
        statement: one short sentence, without a full stop.
        source: paper, section.
        published: the paper's own number, as text; "" if it gives none.
        published_mark: how well that number is known (see `Mark`); "none" if there is none.
        seeds: how many paired seeds the claim is meant to be judged with.
    Raises: ValueError for an empty id or statement, or a number and a mark that do not fit together.
    """
    if not id or not statement:
        raise ValueError(f"id={id!r}, statement={statement!r}: a claim needs both")
    if (published == "") != (published_mark == "none"):
        raise ValueError(
            f"claim {id}: published={published!r} does not fit published_mark={published_mark!r}: "
            "a number needs a mark other than 'none', no number is published='' with published_mark='none'"
        )

    def register(decide: Callable[..., Verdict]) -> Claim:
        return Claim(
            id=id,
            statement=statement,
            source=source,
            published=published,
            published_mark=published_mark,
            seeds=seeds,
            decide=decide,
        )

    return register


@dataclass(frozen=True, kw_only=True)
class Judged(Statement):
    """A claim as it is written to claims.json: what was claimed and what the runs say."""

    runs: int
    """Runs whose rows the claim was given; 0 if it is judged on measurements alone."""
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Report:
    """A study's claims.json."""

    study: str
    question: str
    judged: tuple[Judged, ...]


def claims_of(module: ModuleType) -> list[Claim]:
    """The claims of a study's module, in the order in which they are written."""
    return [value for value in vars(module).values() if isinstance(value, Claim)]


def judge(claims: ModuleType | Iterable[Claim], runs: pd.DataFrame, **measured: pd.DataFrame) -> list[Judged]:
    """Judge each claim on the runs, and on what was measured on them.

    Args:
        claims: a study's claims module, or claims.
        runs: a study's rows; the column `run` names the run of each row.
        measured: tables by the name of their measurement.
    Raises: ValueError if there is no claim, an id occurs twice, or a claim returns no verdict; whatever a claim raises,
        with a note that names the claim.
    """
    found = claims_of(claims) if isinstance(claims, ModuleType) else list(claims)
    if not found:
        raise ValueError("there is no claim: decorate a function with @claim(...)")
    twice = [id for id, count in Counter(claim.id for claim in found).items() if count > 1]
    if twice:
        raise ValueError(f"claim {twice[0]} is defined twice: ids are unique in a study")
    return [_judged(claim, runs, measured) for claim in found]


def _judged(claim: Claim, runs: pd.DataFrame, measured: Mapping[str, pd.DataFrame]) -> Judged:
    try:
        verdict = claim(runs, **measured)
    except Exception as error:
        error.add_note(f"while judging claim {claim.id} ({claim.statement}), {claim.decide.__module__}")
        raise
    if not isinstance(verdict, Verdict):
        raise ValueError(f"claim {claim.id} returned {verdict!r}: return greater(...), all_of(...) or another verdict")
    about = {field.name: getattr(claim, field.name) for field in dataclasses.fields(claim) if field.name != "decide"}
    count = int(runs["run"].nunique()) if "runs" in claim.needs else 0
    return Judged(**about, runs=count, verdict=verdict)


def shortfalls(judged: Iterable[Judged]) -> list[str]:
    """One sentence for each claim that was judged on fewer seeds than it asks for.

    At full scale such a claim is a mistake of the study; at the smoke scale it is expected.
    """
    fewest = ((item, min(part.n for part in leaves(item.verdict))) for item in judged)
    return [f"{item.id} asks for {item.seeds} seeds and has {n}" for item, n in fewest if n < item.seeds]


def write(judged: Iterable[Judged], path: Path, *, study: str, question: str) -> None:
    """Write a study's claims.json: strict JSON (None for a missing bound), equal bytes for equal verdicts."""
    claims = [{**vars(item), "verdict": item.verdict.to_dict()} for item in judged]
    records.write_json(path, {"study": study, "question": question, "claims": claims})


def read(path: Path) -> Report:
    """The inverse of `write`."""
    plain = json.loads(path.read_text(encoding="utf-8"))
    judged = (Judged(**{**item, "verdict": Verdict.from_dict(item["verdict"])}) for item in plain["claims"])
    return Report(study=plain["study"], question=plain["question"], judged=tuple(judged))


def sentence(claim: Claim, runs: pd.DataFrame | None = None, **measured: pd.DataFrame) -> str:
    """A claim's verdict, what decided it, our number, and the paper's or what follows from theory, for a figure."""
    verdict = claim(runs, **measured)
    lines = [f"{claim.id} {verdict.verdict}{f' ({verdict.note})' if verdict.note else ''}", _ours(verdict)]
    origin = "theory" if claim.published_mark == "derived" else "paper"
    return "\n".join([*lines, f"{origin}: {claim.published}"] if claim.published else lines)


def scoreboard(paths: Iterable[Path]) -> str:
    """All claims of the given claims.json files as Markdown: a line with the counts, then one table per study."""
    reports = [read(path) for path in paths]
    counts = Counter(item.verdict.verdict for report in reports for item in report.judged)
    summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
    total = counts.total()
    lines = ["# Claims", "", f"{total} claim{'' if total == 1 else 's'}: {summary}."]
    for report in reports:
        lines += ["", f"## {report.study}", "", report.question, ""]
        lines += ["| id | claim | paper | ours [interval, n] | threshold | verdict |", "|---|---|---|---|---|---|"]
        lines += [_row(item) for item in report.judged]
    return "\n".join(lines) + "\n"


def _row(item: Judged) -> str:
    verdict = item.verdict
    paper = f"{item.published} ({item.published_mark}, {item.source})" if item.published else item.source
    note = f" ({verdict.note})" if verdict.note else ""
    cells = (item.id, item.statement, paper, _ours(verdict), verdict.rule, f"**{verdict.verdict}**{note}")
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _ours(verdict: Verdict) -> str:
    value = f"{number(verdict.estimate)} {verdict.unit}".rstrip()
    if verdict.low is None or verdict.high is None:
        return f"{value} [no interval, n = {verdict.n}]"
    return f"{value} [{number(verdict.low)}, {number(verdict.high)}; n = {verdict.n}]"
