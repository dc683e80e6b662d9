"""What the pages say, as data: a site with its studies, claims, figures and runs, and what links them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.config import Kind, Rung
from common.evidence.claims import KINDS, Statement
from common.evidence.comparison import Compared
from common.evidence.registration import Registered
from common.evidence.verdicts import OUTCOMES, Verdict, leaves

NOT_JUDGED = "not judged"
"""In place of an outcome where nothing is kept and nothing built."""
SHORT = 7
"""Digits of a commit that are shown."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where numbers come from."""

    scale: str
    commits: tuple[str, ...] = ()
    machine: str = ""
    edition: int = 2
    built: bool = False
    """From the results of a build; otherwise from what the repository keeps."""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        """Commits in short."""
        return ", ".join(commit[:SHORT] for commit in self.commits)

    @property
    def smoke(self) -> bool:
        """Whether the numbers mean nothing."""
        return self.scale == "smoke"


@dataclass(frozen=True, kw_only=True)
class Code:
    """A function as it is written."""

    path: str
    """From the top of the repository."""
    first: int
    """Number of its first line."""
    last: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What trainings take."""

    runs: int
    seconds: float
    """Of one core: as measured, or as expected on the machine of benchmarks/README.md."""
    measured: bool


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim with all that is known of its verdict."""

    study: str
    words: Statement
    outcome: str
    """A verdict's word, or `NOT_JUDGED`."""
    ours: str
    """Our number in words."""
    note: str = ""
    answers: str = ""
    """Direction, size and strength in words."""
    verdict: Verdict | None = None
    """The whole one; None if it is known as words only."""
    origin: Origin
    settings: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    """Full names of the runs that it is judged on, those behind its tables and their parents included."""
    figures: tuple[str, ...] = ()
    """Labels of the figures that show it."""
    code: Code | None = None
    registered: Registered | None = None
    earlier: tuple[Mapping[str, str], ...] = ()
    """Verdicts of before, oldest first."""
    replications: tuple[tuple[int, Compared], ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    """Digests of the data sets that its runs have read, by name."""
    cost: Cost | None = None

    @property
    def id(self) -> str:
        """Unique over all studies."""
        return self.words.id

    @property
    def parts(self) -> list[Verdict]:
        """What the verdict is combined of; empty for a single one."""
        return list(leaves(self.verdict)) if self.verdict and self.verdict.parts else []

    @property
    def changed_from(self) -> str:
        """The word of before, if it was another one."""
        before = self.earlier[-1]["verdict"] if self.earlier else self.outcome
        return before if before != self.outcome else ""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture with its caption."""

    label: str
    """<study>_<name>, as its files are named."""
    study: str
    name: str
    caption: tuple[str, ...]
    """Paragraphs."""
    picture: Path | None
    """Its PNG; None if it is not drawn."""
    claims: tuple[str, ...]
    runs: tuple[str, ...]
    commit: str = ""
    old: bool = False
    """Whether it is of the first edition."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that has been trained."""

    study: str
    name: str
    facts: Mapping[str, Any]
    """Contents of run.json."""
    metrics: Path
    log: tuple[str, ...]
    """Last lines of its log."""
    parent: str = ""
    """Full name; empty if it starts afresh."""
    children: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Full name."""
        return f"{self.study}/{self.name}"

    @property
    def description(self) -> Mapping[str, Any]:
        """What it is, with all defaults."""
        found: Mapping[str, Any] = self.facts["description"]
        return found


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question with what answers it."""

    name: str
    question: str
    answer: str
    """As its README has it, in Markdown; empty if it gives none."""
    claims: tuple[str, ...]
    figures: tuple[str, ...]
    runs: tuple[str, ...]
    """Full names of all runs that its study.py describes at this scale."""
    rungs: tuple[Rung, ...]
    origin: Origin
    cost: str
    """What building it took, in words."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """All pages."""

    studies: Mapping[str, Study]
    claims: Mapping[str, Claim]
    figures: Mapping[str, Figure]
    runs: Mapping[str, Run]
    """Those with a page: none without a build."""
    version: str = ""
    before: str = ""
    """The last version that was released; empty if none was."""
    news: tuple[str, ...] = ()
    """What the changelog says of verdicts since then, in Markdown."""
    papers: Mapping[str, str] = field(default_factory=dict)
    """Number on arXiv by "Surname year"."""

    @property
    def scales(self) -> list[str]:
        """At which its numbers were made."""
        return sorted({study.origin.scale for study in self.studies.values()})

    @property
    def smoke(self) -> bool:
        """Whether some of its numbers mean nothing."""
        return "smoke" in self.scales

    def of(self, names: Iterable[str]) -> list[Claim]:
        """Claims by their ids."""
        return [self.claims[name] for name in names]


def by_kind(claims: Iterable[Claim]) -> dict[Kind, list[Claim]]:
    """Claims by whose they are, in the order in which kinds are shown."""
    items = list(claims)
    found = {kind: [item for item in items if item.words.kind == kind] for kind in KINDS}
    return {kind: some for kind, some in found.items() if some}


def counts(claims: Iterable[Claim]) -> dict[str, int]:
    """How many claims have which outcome; the words of verdicts always occur."""
    found = Counter(claim.outcome for claim in claims)
    more = {NOT_JUDGED: found[NOT_JUDGED]} if found[NOT_JUDGED] else {}
    return {outcome: found[outcome] for outcome in OUTCOMES} | more
