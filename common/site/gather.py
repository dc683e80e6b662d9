"""Bring together what pages say: studies as described, the results of a build, and what the repository keeps."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from common import config
from common.config import Step
from common.evidence import claims, committed, replications
from common.evidence.claims import Judged, Statement
from common.evidence.committed import Committed, Kept
from common.evidence.verdicts import Verdict
from common.pipeline import cost, script
from common.pipeline.scales import SCALES
from common.pipeline.studies import Studies
from common.pipeline.study import Study as Described
from common.runs import identity
from common.runs.origin import ROOT
from common.runs.place import FILES, Place
from common.site import content, prose
from common.site.content import NOT_JUDGED, Claim, Code, Cost, Figure, Origin, Run, Site, Study

LINES = 40
"""Last lines of a log that are shown."""


def gather(studies: Studies, *, results: Path | None = None, root: Path = ROOT) -> Site:
    """All pages.

    Args:
        studies: at the default scale.
        results: folder of the results of a build; studies that it has not judged are shown as the repository keeps
            them.
        root: the repository.
    Raises: ValueError if a file of verdicts is damaged.
    """
    build = Build(results)
    at = studies if build.scale == studies.scale else Studies.load(scale=build.scale)
    found = [_Gathered(at if name in build.judged else studies, name, build, root) for name in studies]
    runs = dict(sorted((run.label, run) for run in _runs(build, found)))
    texts = [path.read_text(encoding="utf-8") for each in found for path in _written(each.described.folder)]
    version, before, news = prose.news((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    return Site(
        studies={each.name: each.study for each in found},
        claims={claim.id: claim for each in found for claim in each.claims},
        figures={figure.label: figure for each in found for figure in each.figures},
        runs=runs,
        version=version,
        before=before,
        news=news,
        papers=prose.papers(texts),
    )


def _written(folder: Path) -> list[Path]:
    """The texts of a study that cite papers."""
    return sorted([*folder.glob("*.py"), *folder.glob("README.md")])


@dataclass(frozen=True)
class Build:
    """The results of a build; without a folder, of none."""

    results: Path | None

    @cached_property
    def records(self) -> dict[str, dict[str, Any]]:
        """What run.json of each run says, by full name; damaged ones are left out."""
        found = {}
        for path in sorted(self.results.glob(f"*/*/{FILES[0]}")) if self.results else ():
            if record := identity.read(path):
                found[Place.of(path).label] = record
        return found

    @cached_property
    def judged(self) -> dict[str, claims.Report]:
        """The verdicts of each study that has some."""
        paths = sorted(self.results.glob("*/claims.json")) if self.results else ()
        return {report.study: report for report in map(claims.read, paths)}

    @cached_property
    def scale(self) -> str:
        """At which it was made."""
        found = {str(record.get("scale")) for record in self.records.values()} & set(SCALES)
        return min(found, default="default")

    @property
    def figures(self) -> Path | None:
        """Folder of its pictures."""
        return self.results.parent / "figures" if self.results else None

    def lines(self, place: Place) -> tuple[str, ...]:
        """The end of a run's log."""
        path = self.results.parent / "logs" / place.study / f"{place.run}.log" if self.results else None
        text = path.read_text(encoding="utf-8", errors="replace") if path and path.is_file() else ""
        return tuple(text.splitlines()[-LINES:])

    def origin(self, labels: Iterable[str]) -> Origin:
        """Where the numbers of some runs come from."""
        found = [self.records[label] for label in labels if label in self.records]
        processors = sorted({f"{record.get('device')}, {record.get('cpu')}" for record in found})
        return Origin(
            scale=self.scale,
            commits=tuple(sorted({str(commit) for record in found if (commit := _commit(record))})),
            machine="; ".join(processors),
            built=True,
            versions=found[0].get("versions", {}) if found else {},
        )


@dataclass(frozen=True)
class _Gathered:
    """What there is of one study."""

    studies: Studies
    name: str
    build: Build
    root: Path
    prices: dict[Place, float] = field(default_factory=dict)
    """Seconds that runs are expected to take, as far as somebody has asked."""

    @cached_property
    def described(self) -> Described:
        return self.studies[self.name]

    @cached_property
    def kept(self) -> Committed:
        return committed.read(self.described.folder)

    @cached_property
    def origin(self) -> Origin:
        if self.name in self.build.judged:
            return self.build.origin(f"{self.name}/{run}" for run in self.described.runs)
        commits = tuple(filter(None, self.kept.commit.split(", ")))
        kept = self.kept
        return Origin(
            scale=kept.scale,
            commits=commits,
            machine=kept.machine,
            edition=kept.edition,
            versions=kept.versions,
        )

    @cached_property
    def study(self) -> Study:
        labels = tuple(f"{self.name}/{run}" for run in self.described.runs)
        readme = self.described.folder / "README.md"
        spent = self._cost(labels)
        return Study(
            name=self.name,
            question=self.described.question,
            answer=prose.answer(readme.read_text(encoding="utf-8")) if readme.is_file() else "",
            claims=tuple(claim.id for claim in self.claims),
            figures=tuple(figure.label for figure in self.figures),
            runs=labels,
            rungs=tuple(self.described.rungs.values()),
            origin=self.origin,
            cost=minutes(spent) if spent and self.origin.built else self.kept.cost,
        )

    @cached_property
    def claims(self) -> list[Claim]:
        if report := self.build.judged.get(self.name):
            return [self._claim(_words(item), self._judged(item)) for item in report.judged]
        return [self._claim(*self._kept(claim)) for claim in self.described.claims.values()]

    def _judged(self, item: Judged) -> dict[str, Any]:
        """What a build says of a claim, after what is kept of it."""
        old, now = self.kept.claims.get(item.id), item.verdict
        before = () if old is None else (*old.earlier, {"verdict": old.verdict, "ours": old.ours, "from": self._from})
        return {
            "outcome": now.verdict,
            "ours": claims.ours(now),
            "note": now.note,
            "answers": claims.answers(now),
            "verdict": now,
            "earlier": before,
        }

    @property
    def _from(self) -> str:
        return f"kept: {self.kept.origin}"

    def _kept(self, claim: config.Claim) -> tuple[Statement, Mapping[str, Any]]:
        kept = self.kept.claims.get(claim.name)
        if kept is None:
            [known] = self.studies.statements(self.name, [claim.name])
            about = {name: known[name] for name in ("standing", "because")}
            return Statement(**claim.words | about), {"outcome": NOT_JUDGED, "ours": ""}
        words = Statement(**claim.words | {"standing": kept.standing, "because": kept.because})
        return words, _as_kept(kept)

    def _claim(self, words: Statement, found: Mapping[str, Any]) -> Claim:
        claim = self.described.claims.get(words.id)
        labels = tuple(self._behind(claim)) if claim else ()
        entry = self.described.registration
        return Claim(
            study=self.name,
            words=words,
            origin=self.origin,
            settings=claim.settings if claim else {},
            tables=tuple(claim.tables) if claim else (),
            runs=labels,
            figures=tuple(figure.label for figure in self.figures if words.id in figure.claims),
            code=self._code(claim.verdict) if claim else None,
            registered=entry.claims.get(words.id) if entry else None,
            replications=self._replicated(words.id),
            data=self._data(labels),
            cost=self._cost(labels),
            **found,
        )

    def _behind(self, step: Step) -> Iterator[str]:
        """Full names of the runs that a step rests on, each once."""
        steps = [step, *(self.described.measures[table] for table in step.tables)]
        selects = [
            select
            for each in steps
            for what in ("runs", "states", "records")
            for select in each.selections(what).values()
        ]
        places = (place for select in selects for place in self.studies.selected(self.name, select))
        yield from dict.fromkeys(label for place in places for label in self._lineage(place))

    def _lineage(self, place: Place) -> Iterator[str]:
        parent = self.studies.run(place.study, place.run).parent
        if parent is not None:
            yield from self._lineage(Place.named(parent, study=place.study))
        yield place.label

    def _replicated(self, name: str) -> tuple[tuple[int, Any], ...]:
        found = replications.read(self.described.folder)
        return tuple((each.number, claim) for each in found for claim in each.claims if claim.id == name)

    def _code(self, function: str) -> Code | None:
        folder = self.described.folder
        for path in [folder / "verdicts.py", *sorted(folder.glob("verdicts/*.py"))]:
            node = script.read(path).functions.get(function) if path.is_file() else None
            if node is not None:
                return _code(path, node, self.described.folder.parents[1])
        return None

    def _data(self, labels: Iterable[str]) -> dict[str, str]:
        records = [self.build.records[label] for label in labels if label in self.build.records]
        read = [entry for record in records for entry in (record.get("data"), *(record.get("other_data") or ()))]
        return {entry["name"]: entry["digest"] for entry in read if entry and entry.get("digest")}

    def _cost(self, labels: Iterable[str]) -> Cost | None:
        """Of trainings: as measured if all have been recorded, else as expected."""
        places = [Place.named(label, study=self.name) for label in labels]
        if not places:
            return None
        spent = [self.build.records.get(place.label, {}).get("seconds") for place in places]
        if self.origin.built and None not in spent:
            return Cost(runs=len(places), seconds=sum(filter(None, spent)), measured=True)
        return Cost(runs=len(places), seconds=sum(map(self._price, places)), measured=False)

    def _price(self, place: Place) -> float:
        if place not in self.prices:
            self.prices[place] = cost.seconds(self.studies.run(place.study, place.run), {})
        return self.prices[place]

    @cached_property
    def figures(self) -> list[Figure]:
        return [self._figure(figure) for figure in self.described.figures.values()]

    def _figure(self, figure: config.Figure) -> Figure:
        label, built = f"{self.name}_{figure.name}", self.origin.built
        folder = self.build.figures if built and self.build.figures else self.root / "docs"
        picture, about = folder / f"{label}.png", identity.read(folder / f"{label}.json") or {}
        caption = script.read(self.described.folder / f"plot_{figure.name}.py").text
        return Figure(
            label=label,
            study=self.name,
            name=figure.name,
            caption=tuple(" ".join(part.split()) for part in caption.split("\n\n") if part.strip()),
            picture=picture if picture.is_file() else None,
            claims=tuple(name for name in figure.claims if name in self.described.claims),
            runs=tuple(self._behind(figure)),
            commit=str(_commit(about) or "")[: content.SHORT],
            old=self.origin.edition == 1,
        )


def _commit(record: Mapping[str, Any]) -> Any:
    return (record.get("git") or {}).get("commit")


def _words(item: Judged) -> Statement:
    return Statement(**{name: getattr(item, name) for name in Statement.__dataclass_fields__})


def _as_kept(kept: Kept) -> Mapping[str, Any]:
    return {
        "outcome": kept.verdict,
        "ours": kept.ours,
        "note": kept.note,
        "answers": kept.answers,
        "verdict": Verdict.from_dict(kept.details) if kept.details else None,
        "earlier": kept.earlier,
    }


def _code(path: Path, node: ast.FunctionDef, top: Path) -> Code:
    first, last = min([node.lineno, *(each.lineno for each in node.decorator_list)]), node.end_lineno or node.lineno
    lines = path.read_text(encoding="utf-8-sig").splitlines()[first - 1 : last]
    return Code(path=path.relative_to(top).as_posix(), first=first, last=last, text="\n".join(lines))


def _runs(build: Build, found: Iterable[_Gathered]) -> Iterator[Run]:
    """A page for each run that has been recorded and that a study describes."""
    figures, judged = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    children, labels = defaultdict[str, list[str]](list), []
    for each in found:
        for figure in each.figures:
            for label in figure.runs:
                figures[label].append(figure.label)
        for claim in each.claims:
            for label in claim.runs:
                judged[label].append(claim.id)
        labels += [f"{each.name}/{run}" for run in each.described.runs if each.origin.built]
    recorded = [label for label in labels if label in build.records]
    parents = {label: _parent(label, build.records[label]) for label in recorded}
    for label, parent in parents.items():
        children[parent].append(label)
    for label in recorded:
        place = Place.named(label, study="", results=build.results or Path())
        yield Run(
            study=place.study,
            name=place.run,
            facts=build.records[label],
            metrics=place.metrics,
            log=build.lines(place),
            parent=parents[label],
            children=tuple(sorted(children[label])),
            figures=tuple(figures[label]),
            claims=tuple(judged[label]),
        )


def _parent(label: str, record: Mapping[str, Any]) -> str:
    parent = record["description"].get("parent")
    return Place.named(parent, study=label.partition("/")[0]).label if parent else ""


def minutes(spent: Cost) -> str:
    """A cost in words."""
    return f"{duration(spent.seconds)} of one core, {spent.runs} run{'s' * (spent.runs != 1)}"


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(0.04), duration(42.4), duration(600), duration(9000)
    ('less than a second', '42 s', '10 min', '2.5 h')
    """
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
