"""Register what a study claims before its confirmatory seeds are trained: `python -m common.pipeline.register STUDY`.

First comes a pilot (`make pilot STUDY=...`): it trains the seeds 100, 101 and 102, and its verdicts count nowhere. Then
this writes studies/STUDY/registration.json, refusing a claim that its planned seeds will probably not decide, and a
PRML manifest for each claim. From then on the study is trained with seeds drawn from that file.
"""

import argparse
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import stdev
from typing import Any

from common.config import Claim
from common.evidence import claims, comparison, ledger, power, registration
from common.evidence.claims import Judged
from common.evidence.registration import Registered, Registration
from common.evidence.verdicts import Verdict
from common.pipeline import prml, provenance, standing
from common.pipeline.scales import REGISTERED
from common.pipeline.studies import Studies
from common.runs import origin

PILOT = Path("scales/pilot")
"""Where `make pilot` builds."""


def register(studies: Mapping[str, Studies], name: str, *, pilot: Path, underpowered: Collection[str]) -> list[str]:
    """Write the registration of a study.

    Args:
        studies: all studies, by each scale at which claims are registered.
        name: of the study.
        pilot: folder in which its pilot was built.
        underpowered: ids of claims that are registered although their seeds will probably not decide them.
    Returns: ids of the claims that are new or changed.
    Raises: ValueError with a line for each claim that cannot be registered; nothing is written then.
    """
    study = studies["default"][name]
    if unknown := set(underpowered) - set(study.claims):
        raise ValueError(f"--underpowered: {', '.join(sorted(unknown))}: no claim of {name}")
    stands, date, commit = study.registration, datetime.now(UTC).isoformat(timespec="seconds"), _commit()
    judged = _pilot(pilot, name)
    entries: dict[str, Registered] = {}
    refused: list[str] = []
    for claim in study.claims.values():
        plan = _plan(studies, name, claim, judged.get(claim.name))
        if stands and _same(plan, stands.claims.get(claim.name)):
            continue
        weak = claim.name in underpowered
        refused += [] if weak else _refusals(claim, plan, judged.get(claim.name))
        entries[claim.name] = Registered(**plan, underpowered=weak, date=date, commit=commit)
    if refused:
        raise ValueError("\n".join(refused))
    if not entries:
        return []
    if stands is None:
        new = registration.first(name, entries, date=date, commit=commit)
    else:
        new = registration.amended(stands, entries, seen=ledger.seen(study.folder))
    _write(new, study.folder)
    return list(entries)


def _commit() -> str:
    """The commit that is checked out.

    Raises: ValueError if the tree differs from it: what is registered must be what is kept.
    """
    state = origin.git_state()
    if state["commit"] is None or state["dirty"]:
        raise ValueError("a registration names the commit that it was made of: commit your changes first")
    return str(state["commit"])


def _write(new: Registration, folder: Path) -> None:
    registration.write(new, folder)
    prml.write(new, folder)


def _pilot(folder: Path, name: str) -> dict[str, Judged]:
    path = folder / "results" / name / "claims.json"
    if not path.is_file():
        raise ValueError(f"{path} is missing: run the pilot first, make pilot STUDY={name}")
    judged = claims.read(path).judged
    if other := {item.standing for item in judged} - {"pilot"}:
        raise ValueError(f"{path} is of no pilot ({', '.join(sorted(other))}): make pilot STUDY={name}")
    return {item.id: item for item in judged}


def _plan(studies: Mapping[str, Studies], name: str, claim: Claim, pilot: Judged | None) -> dict[str, Any]:
    """What is written down of a claim, without date and commit."""
    if pilot is None:
        raise ValueError(f"{claim.name} is not in the pilot: run it again, make pilot STUDY={name}")
    verdict = pilot.verdict
    by_scale = {scale: standing.settings(each, name, claim) for scale, each in studies.items()}
    return {
        **{part: by_scale["default"][part] for part in registration.COMPARED},
        "rule": registration.rule_of(verdict),
        "runs": {scale: found["runs"] for scale, found in by_scale.items()},
        "pilot": _numbers(verdict),
        "power": _power(claim, pilot),
        "code": provenance.digest([f"studies.{name}.verdicts:{claim.verdict}"]),
    }


def _numbers(verdict: Verdict) -> dict[str, Any]:
    """What a pilot says: its verdict, and the standard deviation over seeds of the part that decides it."""
    values = comparison.decisive(verdict).values
    said = {part: getattr(verdict, part) for part in ("verdict", "estimate", "low", "high", "n")}
    return said | {"standard_deviation": stdev(values) if len(values) > 1 else None}


def _power(claim: Claim, pilot: Judged) -> float | None:
    try:
        return power.power(pilot.verdict, claim.seeds)
    except ValueError:
        return 0.0


def _same(plan: Mapping[str, Any], entry: Registered | None) -> bool:
    """Whether a claim is as it was registered; what a pilot says may change, and so may code."""
    if entry is None:
        return False
    compared = (*registration.COMPARED, "rule", "runs")
    return all(plan[part] == asdict(entry)[part] for part in compared)


def _refusals(claim: Claim, plan: Mapping[str, Any], pilot: Judged | None) -> Iterator[str]:
    chance = plan["power"]
    if chance is None or chance >= power.ENOUGH:
        return
    try:
        enough = power.needed(pilot.verdict) if pilot else None
    except ValueError as error:
        enough, problem = None, f" ({error})"
    else:
        problem = ""
    way = f"{enough} would have {100 * power.ENOUGH:.0f} %" if enough else f"{power.MOST} would not be enough{problem}"
    yield (
        f"{claim.name}: with {claim.seeds} seeds {100 * chance:.0f} % of studies like the pilot decide, {way}; "
        f"give claim and runs more seeds, move its bar, or register it with --underpowered {claim.name}"
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m common.pipeline.register", description=__doc__)
    parser.add_argument("study", metavar="STUDY")
    parser.add_argument("--pilot", type=Path, default=PILOT, help="folder in which the pilot was built")
    parser.add_argument("--underpowered", nargs="*", default=(), metavar="ID", help="claims to register nevertheless")
    given = parser.parse_args()
    try:
        studies = {scale: Studies.load(scale=scale) for scale in REGISTERED}
        ids = register(studies, given.study, pilot=given.pilot, underpowered=given.underpowered)
    except (ValueError, LookupError) as error:
        sys.exit(str(error))
    folder = f"studies/{given.study}"
    print(f"registered: {', '.join(ids)}; commit {folder}" if ids else f"{folder}: all claims are as registered")


if __name__ == "__main__":
    main()
