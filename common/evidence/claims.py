"""Claims with their verdicts: judged once, stored, and read by figures, the scoreboard, MLflow and the READMEs.

A study's claims.py says what is claimed and on which runs and tables it is judged (`config.Claim`); a function of its
verdicts.py says when it holds, with thresholds that are frozen before the confirmatory seeds run (see `verdicts` for
what `supported`, `contradicted` and `undecided` mean). Such a function in five lines, here with the runs written out:

>>> import pandas as pd
>>> from common.config import Claim, Select
>>> from common.evidence.statistics import paired_differences
>>> from common.evidence.verdicts import Verdict, equivalence

>>> def wsd_matches_cosine(runs: pd.DataFrame) -> Verdict:
...     '''Equivalence within 0.02 nats, paired by seed.'''
...     loss = runs.pivot(index="seed", columns="arm", values="val_loss")
...     return equivalence(paired_differences(loss.wsd, loss.cosine), margin=0.02, unit="nats")

>>> claim = Claim("X1", "WSD matches cosine", verdict="wsd_matches_cosine", runs=Select(arm=["wsd", "cosine"]),
...               source="Haegele 2024", published="gap 0.006", mark="second-hand", seeds=3)
>>> runs = pd.DataFrame({"run": ["wsd-s0", "wsd-s1", "wsd-s2", "cosine-s0", "cosine-s1", "cosine-s2"],
...                      "arm": ["wsd"] * 3 + ["cosine"] * 3, "seed": [0, 1, 2] * 2,
...                      "val_loss": [1.502, 1.511, 1.493, 1.500, 1.508, 1.494]})

>>> found = judge(claim.name, wsd_matches_cosine, runs=runs)
>>> found.verdict.verdict, found.verdict.rule, found.runs
('supported', '95 % interval within ±0.02 nats', 6)
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from common.config import Kind, Mark
from common.evidence import registration
from common.evidence.registration import Standing
from common.evidence.verdicts import OUTCOMES, Verdict, leaves, number
from common.runs import records

SIGN = {"supported": "\u2713", "weaker": "\u2193", "contradicted": "\u2717", "undecided": "?", "reported": "\u2022"}
"""A sign beside the colour of each verdict."""

THIN, FIRM = 1.5, 3.0
"""Strengths below which a supported claim is thin, and from which it is firm (see `Verdict.strength`)."""

KINDS: dict[Kind, str] = {
    "paper": "What papers report",
    "theory": "What follows from theory, and our code must meet",
    "ours": "Hypotheses of our own",
    "informal": "From theses, comments and discussions",
}
"""Kinds of claims in the order in which they are shown, apart from each other."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is claimed, and the number that the paper gives, as `config.Claim` has it."""

    id: str
    statement: str
    kind: Kind
    source: str
    published: str
    """The paper's own number, as text."""
    mark: Mark
    seeds: int
    """Paired seeds with which the claim is meant to be judged (see `shortfalls`)."""
    caveat: str
    """What keeps it from testing its source."""
    standing: Standing = "not registered"
    because: str = ""
    """Why it is exploratory or underpowered."""


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


class Found(NamedTuple):
    """A verdict, and how many runs it was judged on."""

    verdict: Verdict
    runs: int


def judge(name: str, decide: Callable[..., Verdict], **tables: Any) -> Found:
    """The verdict on a claim.

    Args:
        name: its id.
        decide: the function that it names.
        tables: what the function is given; in a table with a column `run` the runs are counted.
    Raises: ValueError if the function returns no verdict; whatever it raises, with a note that names the claim.
    """
    try:
        verdict = decide(**tables)
    except Exception as error:
        error.add_note(f"while judging claim {name}, {decide.__module__}.{decide.__name__}")
        raise
    if not isinstance(verdict, Verdict):
        raise ValueError(
            f"claim {name}: {decide.__name__} returned {verdict!r}: return greater(...) or another verdict"
        )
    rows = [table["run"] for table in tables.values() if isinstance(table, pd.DataFrame) and "run" in table]
    return Found(verdict, int(pd.concat(rows).nunique()) if rows else 0)


def keep(name: str, found: Found, path: Path) -> None:
    """Write a verdict to a file of its own, without the words of the claim: rewording it judges nothing again."""
    records.write_json(path, {"id": name, "runs": found.runs, "verdict": found.verdict.to_dict()})


def kept(path: Path, statement: Statement, *, rule: Mapping[str, Any] | None = None) -> Judged:
    """A verdict read back, with the words of its claim.

    Args:
        path: file of the verdict.
        statement: the words, and how the claim stands before it is judged.
        rule: that was registered: by another one the claim is exploratory.
    Raises: ValueError if the file is damaged.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        verdict = Verdict.from_dict(plain["verdict"])
        found = registration.judged((statement.standing, statement.because), rule, verdict)
        words = vars(statement) | dict(zip(("standing", "because"), found, strict=True))
        return Judged(**words, runs=plain["runs"], verdict=verdict)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no verdict or is damaged ({error!r}); delete it and run again") from None


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
    """The inverse of `write`.

    Raises: ValueError if the file is damaged.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        judged = (Judged(**{**item, "verdict": Verdict.from_dict(item["verdict"])}) for item in plain["claims"])
        return Report(study=plain["study"], question=plain["question"], judged=tuple(judged))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no claims or is damaged ({error!r}); delete it and run again") from None


def sentence(judged: Judged) -> str:
    """A claim, its verdict, what decided it, our number, the paper's or what follows from theory, and its standing."""
    verdict = judged.verdict
    note = f" ({verdict.note})" if verdict.note else ""
    origin = "theory" if judged.mark == "derived" else "paper"
    published = f" {origin.capitalize()}: {judged.published}." if judged.published else ""
    words = f"{SIGN[verdict.verdict]} {verdict.verdict}{note}: {judged.statement}. Ours: {ours(verdict)}."
    more = [judged.caveat, "" if judged.standing in ("registered", "not registered", "smoke") else standing(judged)]
    return " ".join([f"{judged.id} {words}{published}", *(f"{text[:1].upper()}{text[1:]}." for text in more if text)])


def scoreboard(paths: Iterable[Path], *, scale: str = "default") -> str:
    """All claims of the given claims.json files as Markdown: the counts by kind, then the tables of each study."""
    reports = [read(path) for path in paths]
    heading = "# Claims" if scale == "default" else f"# Claims at the scale `{scale}`: these numbers mean nothing"
    lines = [heading, "", *counts(item for report in reports for item in report.judged)]
    for report in reports:
        lines += ["", f"## {report.study}", "", report.question]
        for kind, judged in by_kind(report.judged).items():
            lines += ["", f"### {KINDS[kind]}", ""]
            lines += ["| id | claim | paper | ours [interval, n] | threshold | verdict | standing |", f"|{'---|' * 7}"]
            lines += [_row(item) for item in judged]
    return "\n".join(lines) + "\n"


def counts(judged: Iterable[Judged]) -> list[str]:
    """A line for each kind of claims: how many have which verdict."""
    lines = []
    for kind, items in by_kind(judged).items():
        found = Counter(item.verdict.verdict for item in items)
        summary = ", ".join(f"{found[outcome]} {outcome}" for outcome in OUTCOMES)
        lines.append(f"- {KINDS[kind]}: {len(items)} claim{'' if len(items) == 1 else 's'}: {summary}.")
    return lines or ["No claims."]


def by_kind(judged: Iterable[Judged]) -> dict[Kind, list[Judged]]:
    """Claims by their kind, the kinds in the order in which they are shown."""
    items = list(judged)
    found = {kind: [item for item in items if item.kind == kind] for kind in KINDS}
    return {kind: some for kind, some in found.items() if some}


def _row(item: Judged) -> str:
    verdict = item.verdict
    paper = f"{item.published} ({item.mark}, {item.source})" if item.published else item.source
    note = f" ({verdict.note})" if verdict.note else ""
    two = answers(verdict)
    cells = (
        item.id,
        item.statement,
        paper,
        ours(verdict),
        verdict.rule,
        f"{SIGN[verdict.verdict]} **{verdict.verdict}**{note}{f'; {two}' if two else ''}",
        "; ".join(filter(None, (standing(item), item.caveat))),
    )
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def standing(item: Judged) -> str:
    """How a claim stands to its registration, with the reason."""
    return f"{item.standing} ({item.because})" if item.because else item.standing


def answers(verdict: Verdict) -> str:
    """The two answers in words, and how firm a verdict is that was decided."""
    words = [] if verdict.direction == "none" else [f"direction {verdict.direction}"]
    words += [] if verdict.size == "no number" else [f"size {verdict.size}"]
    if verdict.verdict == "supported" and verdict.reading.kind != "exact":
        words += ["thin"] if verdict.strength < THIN else ["firm"] if verdict.strength >= FIRM else []
    return ", ".join(words)


def ours(verdict: Verdict) -> str:
    """Our number with its interval and its seeds."""
    value = f"{number(verdict.estimate)} {verdict.unit}".rstrip()
    if verdict.low is None or verdict.high is None:
        return f"{value} [no interval, n = {verdict.n}]"
    return f"{value} [{number(verdict.low)}, {number(verdict.high)}; n = {verdict.n}]"
