"""Verdicts that are kept in the repository: studies/<study>/verdicts.json, which the READMEs are made of.

A file says at which scale, from which commit and on which machine the verdicts were reached, and holds them with the
estimate of every seed. Those of the first edition are known as words only (`ours`), and are marked as such.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.evidence.claims import Judged, Report, answers, ours
from common.evidence.registration import Standing
from common.evidence.verdicts import OUTCOMES, Outcome, Verdict
from common.runs import origin, records
from common.runs.place import FILES

EDITION = 2
NAME = "verdicts.json"


@dataclass(frozen=True)
class Kept:
    """One verdict as it is kept."""

    verdict: Outcome
    ours: str
    """Our number in words."""
    note: str = ""
    standing: Standing = "not registered"
    because: str = ""
    runs: int | None = None
    details: dict[str, Any] | None = None
    """The whole verdict, with the estimates of the seeds; None if it is of the first edition."""
    earlier: tuple[dict[str, str], ...] = ()
    """Verdicts that were kept before: word, number in words, commit and machine, oldest first."""

    @property
    def answers(self) -> str:
        """Direction and size in words; empty for the first edition."""
        return answers(Verdict.from_dict(self.details)) if self.details else ""


@dataclass(frozen=True)
class Committed:
    """What is kept of a study."""

    edition: int
    scale: str
    commit: str
    machine: str
    cost: str
    """What building the study took."""
    versions: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Kept] = field(default_factory=dict)

    def tally(self, ids: Iterable[str]) -> str:
        """How many of some claims have which verdict."""
        counts = Counter(self.claims[name].verdict for name in ids if name in self.claims)
        return ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])

    @property
    def origin(self) -> str:
        """Where the verdicts come from."""
        edition = "first edition, " if self.edition == 1 else ""
        return f"{edition}commit {self.commit[:7]}, {self.machine}"


def read(folder: Path) -> Committed:
    """What is kept in the folder of a study; nothing before its first build is taken.

    Raises: ValueError if the file is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return Committed(EDITION, scale="default", commit="", machine="", cost="")
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return Committed(**plain | {"claims": {name: _kept(each) for name, each in plain["claims"].items()}})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no verdicts or is damaged ({error!r}); take them from a build again") from None


def verdicts(folder: Path) -> dict[str, Verdict]:
    """By id, those that are kept in the folder of a study with the values of their seeds."""
    return {name: Verdict.from_dict(each.details) for name, each in read(folder).claims.items() if each.details}


def _kept(plain: dict[str, Any]) -> Kept:
    return Kept(**plain | {"earlier": tuple(plain.get("earlier", ()))})


def write(committed: Committed, folder: Path) -> None:
    """Keep verdicts in the folder of a study."""
    claims = {
        name: {key: value for key, value in vars(kept).items() if value not in ("", None, ())}
        for name, kept in committed.claims.items()
    }
    records.write_json(folder / NAME, {**vars(committed), "claims": claims})


def taken(report: Report, results: Path, *, before: Committed) -> Committed:
    """The verdicts of a build, with where they come from, and with those that were kept before.

    Args:
        report: the claims.json of a study.
        results: folder with the records of its runs.
        before: what is kept of the study; its cost stays.
    Raises: ValueError if there is no record of a run of the study.
    """
    found = [records.read_record(path) for path in sorted(results.glob(f"{report.study}/*/{FILES[0]}"))]
    if not found:
        raise ValueError(f"{results / report.study} holds no runs; build the study first")
    return Committed(
        edition=EDITION,
        scale=found[0]["scale"],
        commit=", ".join(sorted({str(record["git"]["commit"]) for record in found})),
        machine=origin.machine(found[0]["cpu"]),
        cost=before.cost,
        versions=found[0]["versions"],
        claims={item.id: _taken(item, before) for item in report.judged},
    )


def _taken(item: Judged, before: Committed) -> Kept:
    old = before.claims.get(item.id)
    earlier = () if old is None else (*old.earlier, {"verdict": old.verdict, "ours": old.ours, "from": before.origin})
    return Kept(
        verdict=item.verdict.verdict,
        ours=ours(item.verdict),
        note=item.verdict.note,
        standing=item.standing,
        because=item.because,
        runs=item.runs,
        details=item.verdict.to_dict(),
        earlier=earlier,
    )
