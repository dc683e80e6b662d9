"""How the claims of a study stand to its registration, and with which seeds its runs are trained."""

import dataclasses
import platform
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from common.config import Claim, DescriptionError, Measure, Run, Step, identity
from common.evidence import ledger, registration, seeds
from common.evidence.ledger import Entry
from common.evidence.registration import digest_of
from common.pipeline.scales import fewer_seeds
from common.runs import origin
from common.runs.place import Place

if TYPE_CHECKING:
    from common.pipeline.studies import Studies
    from common.pipeline.study import Study

SMALL = ("smoke",)
"""Scales whose seeds are those that are written, and whose verdicts count nowhere."""


def block_of(study: "Study", wanted: str | None, scale: str) -> str:
    """The block of seeds that a study is trained with.

    Args:
        study: of any block.
        wanted: a block by name; without, that of the registration, or what is written if there is none.
        scale: the smoke scale has the seeds that are written.
    """
    if scale in SMALL:
        return seeds.WRITTEN
    if wanted is not None and (wanted == seeds.PILOT or study.registration is not None):
        return wanted
    return seeds.WRITTEN if study.registration is None else seeds.CONFIRMATORY


def drawn(study: "Study", block: str) -> "Study":
    """The study with the seeds of a block in place of their numbers.

    Raises: DescriptionError if a run has a number that the block has no seed for.
    """
    numbered = fewer_seeds(study.runs, seeds.PILOT_SEEDS) if block == seeds.PILOT else study.runs
    digest = study.registration.digest if study.registration else ""
    try:
        runs = {name: _drawn(run, block, digest) for name, run in numbered.items()}
    except ValueError as error:
        raise DescriptionError([str(error)]) from None
    return dataclasses.replace(study, runs=runs, numbered=numbered, block=block)


def _drawn(run: Run, block: str, digest: str) -> Run:
    if block == seeds.WRITTEN:
        return run
    sweep = run.sweep
    if sweep and "seed" in sweep:
        sweep = {**sweep, "seed": tuple(seeds.seed_of(int(number), block, digest) for number in sweep["seed"])}
    return dataclasses.replace(run, seed=seeds.seed_of(run.seed, block, digest), sweep=sweep)


def own_seeds(study: "Study", step: Step) -> list[int]:
    """Seeds that a measurement of a study draws itself, of its block."""
    digest = study.registration.digest if study.registration else ""
    numbers = step.seeds if isinstance(step, Measure) else ()
    return [seeds.seed_of(number, study.block, digest) for number in numbers]


def statement(studies: "Studies", study: str, claim: Claim) -> dict[str, Any]:
    """The words of a claim, how it stands to its registration, and the rule that was registered."""
    home = studies[study]
    entry = home.registration.claims.get(claim.name) if home.registration else None
    if home.block == seeds.PILOT:
        found: tuple[str, str] = ("pilot", "")
    else:
        now = settings(studies, study, claim) if entry else {}
        found = registration.standing(entry, now, scale=studies.scale)
    return claim.words | {"standing": found[0], "because": found[1], "registered_rule": entry.rule if entry else None}


def settings(studies: "Studies", study: str, claim: Claim) -> dict[str, Any]:
    """What of a claim is compared with its registration."""
    names = ("statement", "kind", "published", "seeds")
    found: dict[str, Any] = {name: getattr(claim, name) for name in names}
    return found | {"settings": dict(claim.settings), "runs": digest_of(sorted(_runs(studies, study, claim)))}


def _runs(studies: "Studies", study: str, claim: Claim) -> Iterator[tuple[str, str]]:
    """The runs behind a claim, those behind its tables and their parents included, each with its description."""
    steps = [claim, *(studies[study].measures[table] for table in claim.tables)]
    found: dict[Place, None] = {}
    for step in steps:
        if isinstance(step, Measure) and step.seeds:
            yield f"measure {step.name}", digest_of(list(step.seeds))
        for select in (one for what in ("runs", "states", "records") for one in step.selections(what).values()):
            for place in studies.selected(study, select):
                found |= dict.fromkeys(_lineage(studies, place))
    for place in found:
        described: Mapping[str, Any] = identity(studies[place.study].numbered[place.run])
        yield place.label, digest_of({name: value for name, value in described.items() if name != "device"})


def _lineage(studies: "Studies", place: Place) -> Iterator[Place]:
    yield place
    parent = studies.run(place.study, place.run).parent
    if parent is not None:
        yield from _lineage(studies, Place.named(parent, study=place.study))


def trained_seeds(study: "Study") -> list[int]:
    """All seeds of a study's runs, in order."""
    found = {seed for run in study.runs.values() for seed in (*_sweep_seeds(run), run.seed)}
    return sorted(found)


def _sweep_seeds(run: Run) -> tuple[int, ...]:
    return tuple(int(seed) for seed in (run.sweep or {}).get("seed", ()))


def note(studies: "Studies", names: Iterable[str]) -> None:
    """Write down in their ledgers which seeds of some studies are about to be trained, as far as that counts."""
    for name in dict.fromkeys(names):
        study = studies[name]
        if study.block != seeds.WRITTEN and studies.scale not in SMALL:
            entry = Entry(
                block=study.block,
                seeds=trained_seeds(study),
                scale=studies.scale,
                claims=list(study.claims),
                commit=str(origin.git_state()["commit"]),
                machine=origin.machine(platform.machine()),
                date=datetime.now(UTC).date().isoformat(),
            )
            ledger.note(entry, study.folder)
