"""Fill in what a program knows of the READMEs, from the committed verdicts: `python -m common.pipeline.readme`.

A block begins with a line such as `<!-- claims -->` and ends with `<!-- end -->`; what stands between is made here.
With `--check` nothing is written, and a difference is an error; `--take results` first takes the verdicts and pictures
of a build at the default scale.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from common.config import Claim, Kind
from common.evidence import claims, committed, comparison, replications
from common.evidence.claims import KINDS, SIGN
from common.evidence.committed import Committed, Kept
from common.evidence.replications import Replication
from common.evidence.verdicts import OUTCOMES, Outcome
from common.pipeline import codecheck, script
from common.pipeline.studies import Studies
from common.pipeline.study import Study
from common.runs import origin
from common.runs.origin import ROOT

BLOCK = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
PICTURE = "docs/verdicts.png"
SCOREBOARD = "docs/claims.md"
REPLICATION = "docs/replication.md"
FIRST_EDITION = "first_edition.json"
"""In the folder of a study whose claims are new: what the first edition had in their place."""
FIRST_PICTURES = (
    "These pictures are of the first edition: verdicts stand in boxes, and the ids of claims may have another letter."
)


def documents(studies: Studies) -> dict[Path, str]:
    """Every document that holds blocks, as it should be."""
    kept = {study: committed.read(studies[study].folder) for study in studies}
    found = {ROOT / SCOREBOARD: scoreboard(studies, kept)}
    found[ROOT / codecheck.FILE] = codecheck.text(studies, codecheck.citation())
    repeated = [each for name in studies for each in replications.read(studies[name].folder)]
    found[ROOT / REPLICATION] = filled(ROOT / REPLICATION, {"replications": partial(replicated, repeated)})
    blocks = {
        "headlines": partial(headlines, studies, kept),
        "studies": partial(overview, studies, kept),
        "replications": partial(held, repeated),
    }
    found[ROOT / "README.md"] = filled(ROOT / "README.md", blocks)
    for name in studies:
        study = studies[name]
        blocks = {
            "figures": partial(figures, study, kept[name]),
            "claims": partial(verdicts, study, kept[name]),
            "first_edition": partial(first_edition, study, kept[name]),
        }
        found[study.folder / "README.md"] = filled(study.folder / "README.md", blocks)
    return found


def filled(path: Path, blocks: Mapping[str, Callable[[], str]]) -> str:
    """A document with its blocks made anew.

    Raises: LookupError for a block that is not known here.
    """

    def made(match: re.Match[str]) -> str:
        if match[2] not in blocks:
            raise LookupError(f"{path}: there is no block {match[2]!r}; known are {', '.join(blocks)}")
        return f"{match[1]}{blocks[match[2]]()}\n{match[3]}"

    return BLOCK.sub(made, path.read_text(encoding="utf-8"))


def headlines(studies: Studies, kept: Mapping[str, Committed]) -> str:
    """A sentence for the claim that stands for each study, unless its seeds cannot decide it or had been chosen.

    One that is not judged yet is named as well: a study is never missing.
    """
    lines = []
    for name in studies:
        for claim in studies[name].claims.values():
            found = kept[name].claims.get(claim.name)
            if claim.headline and (found is None or found.standing in ("registered", "not registered")):
                lines.append(f"* [`{name}`](studies/{name}/README.md) {headline(claim, found)}")
    return "\n".join([*lines, "", f"All of them: {'; '.join(total(studies, kept))}."])


def total(studies: Studies, kept: Mapping[str, Committed]) -> Iterator[str]:
    """How many claims of each kind have which verdict, in all studies."""
    for kind in KINDS:
        chosen = ((kept[name].claims, by_kind(studies[name]).get(kind, {})) for name in studies)
        found = [claims[name].verdict for claims, ids in chosen for name in ids if name in claims]
        if counts := ", ".join(f"{found.count(outcome)} {outcome}" for outcome in OUTCOMES if outcome in found):
            yield f"{kind} {counts}"


def headline(claim: Claim, found: Kept | None) -> str:
    """A claim as a sentence: what was found, with which numbers, beside the paper's."""
    paper = f" {claim.source.partition(',')[0]}: {claim.published}." if claim.published else ""
    if found is None:
        return f"**– not judged yet**: {claim.statement}.{paper} {claim.name}."
    words = f"**{SIGN[found.verdict]} {found.verdict}**: {claim.statement}. Here {found.ours}."
    return f"{words}{paper} {claim.name}, {found.standing}."


def overview(studies: Studies, kept: dict[str, Committed]) -> str:
    """The table of studies."""
    rows = [
        (
            f"[`{name}`](studies/{name}/README.md)",
            studies[name].question,
            ", ".join(f"`{name}_{figure}`" for figure in studies[name].figures),
            tally(studies[name], kept[name]) or "not judged yet",
            kept[name].cost,
        )
        for name in studies
    ]
    return table(("study", "question", "figures", "verdicts", "cost (2 cores)"), rows)


def replicated(found: Sequence[Replication]) -> str:
    """Every replication, and each claim of it."""
    if not found:
        return "No study has been replicated yet."
    parts = []
    for each in found:
        parts += [f"## {each.study}, replication {each.number}"]
        parts += [f"Commit {each.commit[:7]}, {each.machine}. {each.summary}."]
        head, *rows = zip(*comparison.filled([comparison.HEAD, *map(comparison.cells, each.claims)]), strict=True)
        parts += [table(head, rows)]
    return "\n\n".join(parts)


def held(found: Sequence[Replication]) -> str:
    """How often verdicts held on fresh seeds, in a sentence."""
    claims = [claim for each in found for claim in each.claims]
    if not claims:
        return "No study has been replicated on fresh seeds yet (see [docs/replication.md](docs/replication.md))."
    same, flips = sum(claim.same for claim in claims), sum(claim.flip for claim in claims)
    return (
        f"On fresh seeds {same} of {len(claims)} verdicts were the same and {flips} flipped "
        "(see [docs/replication.md](docs/replication.md))."
    )


def figures(study: Study, kept: Committed) -> str:
    """The figures of a study with their captions; one without a picture in docs/ says so."""
    rows = []
    for name in study.figures:
        label, text = f"{study.name}_{name}", script.read(study.folder / f"plot_{name}.py").text
        drawn = (origin.ROOT / "docs" / f"{label}.png").is_file()
        picture = f"[![](../../docs/{label}.png)](../../docs/{label}.png)" if drawn else "not kept yet"
        rows.append((picture, f"**`{label}`** {' '.join(text.split())}"))
    listed = table(("", ""), rows)
    return f"{listed}\n\n{FIRST_PICTURES}" if kept.edition == 1 else listed


def verdicts(study: Study, kept: Committed) -> str:
    """The claims of a study with their verdicts, those of each kind apart, and where the verdicts come from."""
    parts = [f"Verdicts: {kept.origin}." if kept.claims else "Not judged yet."]
    for kind, chosen in by_kind(study).items():
        counts = kept.tally(chosen)
        parts += [f"**{KINDS[kind]}**{f': {counts}' if counts else ''}.", claim_table(chosen, kept)]
    return "\n\n".join(parts)


def first_edition(study: Study, kept: Committed) -> str:
    """Claims, verdicts and numbers of a study's first edition, what of each has changed since, and the verdict now."""
    plain = json.loads((study.folder / FIRST_EDITION).read_text(encoding="utf-8"))
    rows = [
        (name, old["statement"], old["verdict"], old["ours"], old["changed"], _now(kept.claims.get(name)))
        for name, old in plain["claims"].items()
    ]
    head = ("id", "claim as it stood", "verdict", "ours", "what changed", "now")
    return f"Verdicts: {plain['from']}.\n\n{table(head, rows)}"


def _now(kept: Kept | None) -> str:
    """The verdict of today with its number."""
    return f"{SIGN[kept.verdict]} {kept.verdict}: {kept.ours}" if kept else "no claim any more"


def by_kind(study: Study) -> dict[Kind, dict[str, Claim]]:
    """The claims of a study by their kind."""
    found = {kind: {n: each for n, each in study.claims.items() if each.kind == kind} for kind in KINDS}
    return {kind: some for kind, some in found.items() if some}


def tally(study: Study, kept: Committed) -> str:
    """How many claims of each kind have which verdict."""
    found = {kind: kept.tally(claims) for kind, claims in by_kind(study).items()}
    return "; ".join(f"{kind}: {text}" for kind, text in found.items() if text)


def claim_table(claims: Mapping[str, Claim], kept: Committed) -> str:
    """A row for each claim; one that has not been judged yet says so."""
    rows = [row(claim, kept.claims.get(name)) for name, claim in claims.items()]
    return table(("id", "claim", "paper", "ours [95 % interval]", "verdict", "standing"), rows)


def row(claim: Claim, kept: Kept | None) -> tuple[str, ...]:
    """The cells of a claim."""
    paper = f"{claim.published} ({claim.mark}; {claim.source})" if claim.published else f"no number ({claim.source})"
    if kept is None:
        return claim.name, claim.statement, paper, "", "not judged yet", claim.caveat
    note = f" ({kept.note})" if kept.note else ""
    because = f" ({kept.because})" if kept.because else ""
    word = joined(f"{SIGN[kept.verdict]} {kept.verdict}{note}", kept.answers, *map(was, kept.earlier))
    return claim.name, claim.statement, paper, kept.ours, word, joined(f"{kept.standing}{because}", claim.caveat)


def joined(*parts: str) -> str:
    """Parts of a cell."""
    return "; ".join(filter(None, parts))


def was(earlier: Mapping[str, str]) -> str:
    """An earlier verdict in words."""
    return f"was {earlier['verdict']}, {earlier['ours']} ({earlier['from']})"


def scoreboard(studies: Studies, kept: dict[str, Committed]) -> str:
    """All claims of all studies."""
    parts = ["# Claims", "Made by `make readme` from studies/*/verdicts.json."]
    for name in studies:
        parts += [f"## {name}", studies[name].question, verdicts(studies[name], kept[name])]
    return "\n\n".join(parts) + "\n"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in rows]
    lines = [list(head), ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def differing(studies: Studies) -> Iterator[Path]:
    """Documents that are not as they should be, and the picture if it shows other verdicts."""
    for path, text in documents(studies).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield path
    from common.plotting import overview as picture

    if picture.shown(ROOT / PICTURE) != picture.digest(chips(studies)):
        yield ROOT / PICTURE


def chips(studies: Studies) -> dict[str, dict[Kind, dict[str, Outcome]]]:
    """By study, kind and id, the verdict on each claim that is kept."""
    kept = {name: committed.read(studies[name].folder).claims for name in studies}
    return {
        name: {
            kind: {claim: kept[name][claim].verdict for claim in claims if claim in kept[name]}
            for kind, claims in by_kind(studies[name]).items()
        }
        for name in studies
    }


def fill(studies: Studies) -> None:
    """Write every document, and the picture of all verdicts."""
    from common.plotting import overview as picture

    for path, text in documents(studies).items():
        path.write_text(text, encoding="utf-8")
    picture.write(chips(studies), ROOT / PICTURE)


def take(studies: Studies, results: Path) -> None:
    """Keep the verdicts of a build, and its pictures, of every study that it has.

    Raises: ValueError if the build is not at the default scale.
    """
    for name in studies:
        if not (results / name / "claims.json").is_file():
            continue
        folder = studies[name].folder
        report = claims.read(results / name / "claims.json")
        found = committed.taken(report, results, before=committed.read(folder))
        if found.scale != "default":
            raise ValueError(f"{results} holds results at the scale {found.scale}; only those of `default` are kept")
        committed.write(found, folder)
        for figure in studies[name].figures:
            picture = results.parent / "figures" / f"{name}_{figure}.png"
            if picture.is_file():
                shutil.copy(picture, ROOT / "docs" / picture.name)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m common.pipeline.readme", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say which documents differ")
    parser.add_argument("--take", type=Path, metavar="RESULTS", help="take the verdicts of a build first")
    given = parser.parse_args()
    studies = Studies.load()
    try:
        if given.take:
            take(studies, given.take)
        if not given.check:
            fill(studies)
        elif names := ", ".join(str(path.relative_to(ROOT)) for path in differing(studies)):
            sys.exit(f"{names}: not what studies/*/verdicts.json, claims.py and the figures say; run `make readme`")
    except (ValueError, LookupError, FileNotFoundError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
