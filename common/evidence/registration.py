"""Registration: what a study claims, and how it will be judged, written down before its confirmatory seeds are trained.

`studies/<study>/registration.json` has, for each claim, its words, the rule by which it is judged (null value, bar,
reading of the noise), its settings, digests of its runs, the planned seeds, and what the pilot said. The tool compares:
whoever changes one of these afterwards finds the claim marked `exploratory` wherever it is shown. Other code with equal
settings is no other claim; its verdicts before and after stand side by side (`committed.Kept`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from common.runs import records

if TYPE_CHECKING:
    from common.evidence.verdicts import Verdict

NAME = "registration.json"
COMPARED = ("statement", "kind", "published", "settings", "seeds")
"""What of a claim must be as registered, beside its runs and its rule."""

Standing = Literal["registered", "underpowered", "exploratory", "not registered", "pilot", "smoke"]
"""How a claim stands to its registration. underpowered: registered, though its seeds will probably not decide it.
Verdicts of a pilot and of the smoke scale count nowhere."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A claim as it was written down."""

    statement: str
    kind: str
    published: str
    settings: dict[str, Any]
    """Arguments of the function that judges it."""
    rule: dict[str, Any]
    """What its verdict is held against (see `rule_of`)."""
    runs: dict[str, str]
    """By scale, a digest of the descriptions of the runs that it is judged on, seeds as numbers, without device."""
    seeds: int
    """Planned."""
    pilot: dict[str, Any]
    """What the pilot said: verdict, estimate, low, high, n, standard deviation over seeds."""
    power: float | None
    """Share of simulated studies, with the pilot's effect and scatter, that decide; None if nothing is decided."""
    underpowered: bool = False
    exploratory: str = ""
    """Why it is no confirmation, if it was written down only after seeds had been seen."""
    code: str = ""
    """Digest of the code that judged it then."""
    date: str = ""
    commit: str = ""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What a study has written down."""

    study: str
    digest: str
    """Of the first registration: its seeds are drawn from it."""
    date: str
    commit: str
    claims: dict[str, Registered]
    earlier: list[dict[str, Any]] = field(default_factory=list)
    """Entries that a later registration replaced, with their id."""


def read(folder: Path) -> Registration | None:
    """What the study in a folder has registered; None if it has not.

    Raises: ValueError if the file is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        claims = {name: Registered(**entry) for name, entry in plain["claims"].items()}
        return Registration(**plain | {"claims": claims})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no registration or is damaged ({error!r}); take it from the history") from None


def write(registration: Registration, folder: Path) -> None:
    """Write registration.json."""
    records.write_json(folder / NAME, asdict(registration))


def first(study: str, claims: Mapping[str, Registered], *, date: str, commit: str) -> Registration:
    """The first registration of a study, whose digest decides its seeds."""
    content = {"study": study, "claims": {name: asdict(entry) for name, entry in claims.items()}}
    return Registration(study=study, digest=digest_of(content), date=date, commit=commit, claims=dict(claims))


def amended(registration: Registration, claims: Mapping[str, Registered], *, seen: bool) -> Registration:
    """A later registration: new and changed claims take the place of what stood there; seeds stay.

    Args:
        registration: that stands.
        claims: new and changed entries by id.
        seen: whether confirmatory seeds have been trained; what is written down now is then exploratory.
    """
    reason = "registered after its seeds had been seen" if seen else ""
    new = {name: Registered(**asdict(entry) | {"exploratory": reason}) for name, entry in claims.items()}
    replaced = [{"id": name, **asdict(registration.claims[name])} for name in claims if name in registration.claims]
    kept = registration.claims | new
    return Registration(**vars(registration) | {"claims": kept, "earlier": [*registration.earlier, *replaced]})


def rule_of(verdict: "Verdict") -> dict[str, Any]:
    """What a verdict is held against, without anything that the runs decide.

    A pair of a crossover has no sides of its own: which order comes first is what the runs say.
    """
    if verdict.combination == "order":
        return {"combination": "order", "reading": verdict.parts[0].reading.kind}
    if verdict.combination is not None:
        return {"combination": verdict.combination, "parts": [rule_of(part) for part in verdict.parts]}
    names = ("threshold", "null", "negligible", "published", "factor", "unit")
    reading = verdict.reading
    rule: dict[str, Any] = {name: getattr(verdict, name) for name in names}
    rule |= {"threshold": list(verdict.threshold), "reading": reading.kind}
    return rule | {"minimum": reading.minimum, "tail": reading.tail}


def digest_of(plain: Any) -> str:
    """Digest of plain values, whatever the order of their keys."""
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def standing(entry: Registered | None, now: Mapping[str, Any], *, scale: str) -> tuple[Standing, str]:
    """How a claim stands to what was registered, as far as it can be said before it is judged, and why.

    Args:
        entry: what was registered; None if nothing was.
        now: its words, settings, runs (digest at this scale) and seeds as they are.
        scale: at which it is judged.
    """
    if scale == "smoke":
        return "smoke", ""
    if entry is None:
        return "not registered", ""
    if entry.exploratory:
        return "exploratory", entry.exploratory
    if changed := [name for name in COMPARED if now[name] != getattr(entry, name)]:
        return "exploratory", f"not as registered: {_listed(changed)}"
    if now["runs"] not in entry.runs.values():
        return "exploratory", "not as registered: its runs"
    return ("underpowered", "its seeds will probably not decide it") if entry.underpowered else ("registered", "")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"its {name}" for name in names)


def judged(found: tuple[Standing, str], rule: Mapping[str, Any] | None, verdict: "Verdict") -> tuple[Standing, str]:
    """The standing of a claim that has been judged: exploratory if by another rule than the registered one."""
    if found[0] in ("registered", "underpowered") and rule is not None and rule_of(verdict) != rule:
        return "exploratory", "not as registered: its rule"
    return found
