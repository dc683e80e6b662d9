"""From the data of pages to HTML: one function for each kind of page; nothing is read here but rows and pictures."""

import posixpath
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from common.evidence import claims as wording
from common.evidence.claims import KINDS, SIGN
from common.evidence.comparison import decisive
from common.evidence.readings import words as reading_words
from common.evidence.verdicts import Verdict, number
from common.site import content, curves, intervals, prose
from common.site.content import NOT_JUDGED, Claim, Figure, Origin, Run, Site, Study
from common.site.gather import duration, minutes
from common.site.rows import Reader
from common.tracking.record import flatten

TITLE = "Training dynamics, reproduced"
GENERATOR = "common.site"
"""By which a folder is known to hold a site of ours."""
HERE = Path(__file__).parent
STATIC = ("style.css", "claims.js")


class Pages:
    """Every page of a site.

    Args:
        site: what they say.
        repository: address at which commits and code can be read, without a slash at its end; "" for no such links.
    """

    def __init__(self, site: Site, *, repository: str = "") -> None:
        self.site = site
        self.reader = Reader(site.runs)
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self.environment.globals |= {
            "site": site,
            "repository": repository.rstrip("/"),
            "title": TITLE,
            "generator": GENERATOR,
            "signs": {**SIGN, NOT_JUDGED: "–"},
            "kinds": KINDS,
            "by_kind": content.by_kind,
            "counts": content.counts,
            "inline": prose.inline,
            "cite": partial(prose.cited, known=site.papers),
            "css": css,
            "plural": plural,
            "capital": capital,
            "glance": glance,
            "size": size,
            "minutes": minutes,
            "command": command,
            "pilot": pilot,
            "ours": wording.ours,
        }

    def all(self) -> Iterator[tuple[str, str]]:
        """Path and text of each page."""
        yield "index.html", self._index()
        for study in self.site.studies.values():
            yield f"studies/{study.name}.html", self._study(study)
        names = list(self.site.claims)
        for before, name, after in zip(["", *names], names, [*names[1:], ""], strict=False):
            yield f"claims/{name}.html", self._claim(self.site.claims[name], before=before, after=after)
        for run in self.site.runs.values():
            yield f"runs/{run.label}.html", self._run(run)

    def pictures(self) -> dict[str, Path]:
        """By the path of its copy, each picture."""
        figures = self.site.figures.values()
        return {f"pictures/{figure.label}.png": figure.picture for figure in figures if figure.picture}

    def _render(self, template: str, path: str, **given: Any) -> str:
        return self.environment.get_template(f"{template}.html.j2").render(to=_links(path), **given) + "\n"

    def _index(self) -> str:
        claims = list(self.site.claims.values())
        origins: dict[str, tuple[Any, list[str]]] = {}
        for study in self.site.studies.values():
            origins.setdefault(repr(study.origin), (study.origin, []))[1].append(study.name)
        standings = sorted({claim.words.standing for claim in claims})
        return self._render("index", "index.html", claims=claims, origins=origins.values(), standings=standings)

    def _study(self, study: Study) -> str:
        return self._render("study", f"studies/{study.name}.html", study=study)

    def _claim(self, claim: Claim, *, before: str, after: str) -> str:
        shown = decisive(claim.verdict) if claim.verdict else None
        plotted = shown if shown is not None and not shown.parts and intervals.readable(shown) else None
        return self._render(
            "claim",
            f"claims/{claim.id}.html",
            claim=claim,
            shown=shown,
            plot=intervals.large(plotted, name="plot") if plotted else "",
            bar_words=_interval_words(plotted) if plotted else "",
            parts_of=list(_parts(claim)),
            before=before,
            after=after,
        )

    def _run(self, run: Run) -> str:
        panels = [panel for panel in self.reader.panels(run) if panel.curves]
        drawn = [
            (panel.column, curves.draw(panel, name=f"curve{place}"), curves.legend(panel))
            for place, panel in enumerate(panels)
        ]
        study = self.site.studies[run.study]
        facts = {"study": study, "curves": drawn, "facts": summary(run)}
        described = flatten(run.description).items()
        path = f"runs/{run.label}.html"
        return self._render("run", path, run=run, described=described, provenance=provenance(run), **facts)


def _links(path: str) -> Callable[[str], str]:
    """From the paths of other files to links on a page."""
    return partial(posixpath.relpath, start=posixpath.dirname(path) or ".")


def css(word: str) -> str:
    """A word as the name of a class."""
    return word.replace(" ", "-")


def plural(count: int, word: str) -> str:
    """A count with its word.

    >>> plural(1, "run"), plural(3, "run")
    ('1 run', '3 runs')
    """
    return f"{count} {word}{'' if count == 1 else 's'}"


def capital(text: str) -> str:
    """A text as a sentence begins."""
    return text[:1].upper() + text[1:]


def command(origin: Origin) -> str:
    """How a build begins that makes what is shown, at its scale."""
    return "snakemake" + ("" if origin.scale == "default" else f" --workflow-profile profiles/{origin.scale}")


def pilot(said: Mapping[str, Any]) -> str:
    """What the pilot of a claim said, in words.

    >>> pilot({"verdict": "supported", "estimate": 0.060686, "low": -0.0204054, "high": None, "n": 3})
    'supported, 0.0607 [-0.0204, open; n = 3]'
    """
    low, high = ("open" if said.get(end) is None else number(said[end]) for end in ("low", "high"))
    found = f", {number(said['estimate'])} [{low}, {high}; n = {said['n']}]" if said.get("estimate") is not None else ""
    return f"{said['verdict']}{found}"


def glance(claim: Claim) -> Markup:
    """The interval that decides a claim, for a line of a table; empty where none is known."""
    shown = decisive(claim.verdict) if claim.verdict else None
    if shown is None or shown.parts or not intervals.readable(shown):
        return Markup()
    return intervals.small(shown, name=f"i-{claim.id}")


def size(figure: Figure) -> Markup:
    """Width and height of a picture as attributes, so that a page does not jump when it arrives."""
    if figure.picture is None:
        return Markup()
    with figure.picture.open("rb") as file:
        head = file.read(24)
    if head[:8] != b"\x89PNG\r\n\x1a\n":
        return Markup()
    width, height = struct.unpack(">II", head[16:24])
    return Markup(' width="{}" height="{}"').format(width, height)


def _interval_words(verdict: Verdict) -> str:
    return reading_words(verdict.reading, verdict.confidence)


def _parts(claim: Claim) -> Iterator[tuple[Verdict, Markup]]:
    """The parts of a combined claim, each with its interval; those that are held against the same share an axis."""
    readable = [part for part in claim.parts if intervals.readable(part)]
    axes = intervals.shared(readable)
    for place, part in enumerate(claim.parts):
        drawn = Markup()
        if intervals.readable(part):
            drawn = intervals.small(part, name=f"part-{place}", axis=axes[intervals.band(part)])
        yield part, drawn


def summary(run: Run) -> str:
    """A run in a sentence."""
    facts, described = run.facts, run.description
    state = f"{facts['status']}: {facts['reason']}" if facts.get("reason") else str(facts["status"])
    updates = plural(int(facts.get("updates") or 0), "update")
    members = len(facts.get("members") or [])
    parts = [capital(state), f"arm {described['arm']}" if described.get("arm") else "", updates]
    parts += [f"{members} members" if members > 1 else f"seed {described.get('seed')}"]
    parts += [duration(float(facts["seconds"]))] if facts.get("seconds") is not None else []
    return ", ".join(filter(None, parts)) + "."


def provenance(run: Run) -> list[tuple[str, str]]:
    """Where the numbers of a run come from, as names and values."""
    facts = run.facts
    git: Mapping[str, Any] = facts.get("git") or {}
    data = [facts.get("data"), *(facts.get("other_data") or ())]
    found = {
        "commit": f"{git.get('commit') or 'unknown'}{' with changes' if git.get('dirty') else ''}",
        "code": facts.get("code"),
        "scale": facts.get("scale"),
        "device": ", ".join(str(facts[name]) for name in ("device", "cpu") if facts.get(name)),
        "threads": facts.get("threads"),
        "seconds": facts.get("seconds"),
        "memory, MB": facts.get("memory_mb"),
        "tokens per second": facts.get("tokens_per_second"),
        **{f"data {each['name']}": each.get("digest") for each in data if each},
        "rows, SHA-256": facts.get("metrics_sha256"),
        "versions": ", ".join(f"{name} {version}" for name, version in (facts.get("versions") or {}).items()),
    }
    return [(name, number(value) if isinstance(value, float) else str(value)) for name, value in found.items() if value]
