"""Fill in what a program knows of the READMEs, from the committed verdicts: `python -m common.pipeline.readme`.

A block begins with a line such as `<!-- claims -->` and ends with `<!-- end -->`; what stands between is made here.
With `--check` nothing is written, and a difference is an error; `--take results` first takes the verdicts and pictures
of a build at the default scale.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from common.config import Claim
from common.evidence import claims, committed
from common.evidence.claims import SIGN
from common.evidence.committed import Committed, Kept
from common.evidence.verdicts import Outcome
from common.pipeline import script
from common.pipeline.studies import Studies
from common.pipeline.study import Study
from common.runs.origin import ROOT

BLOCK = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
PICTURE = "docs/verdicts.png"
SCOREBOARD = "docs/claims.md"
FIRST_PICTURES = (
    "These pictures are of the first edition: verdicts stand in boxes, and the ids of claims may have another letter."
)


def documents(studies: Studies) -> dict[Path, str]:
    """Every document that holds blocks, as it should be."""
    kept = {study: committed.read(studies[study].folder) for study in studies}
    found = {ROOT / SCOREBOARD: scoreboard(studies, kept)}
    found[ROOT / "README.md"] = filled(ROOT / "README.md", {"studies": partial(overview, studies, kept)})
    for name in studies:
        study = studies[name]
        blocks = {"figures": partial(figures, study, kept[name]), "claims": partial(verdicts, study, kept[name])}
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


def overview(studies: Studies, kept: dict[str, Committed]) -> str:
    """The table of studies."""
    rows = [
        (
            f"[`{name}`](studies/{name}/README.md)",
            studies[name].question,
            ", ".join(f"`{name}_{figure}`" for figure in studies[name].figures),
            kept[name].tally,
            kept[name].cost,
        )
        for name in studies
    ]
    return table(("study", "question", "figures", "verdicts", "cost (2 cores)"), rows)


def figures(study: Study, kept: Committed) -> str:
    """The figures of a study with their captions."""
    rows = []
    for name in study.figures:
        label, text = f"{study.name}_{name}", script.read(study.folder / f"plot_{name}.py").text
        rows.append(
            (f"[![](../../docs/{label}.png)](../../docs/{label}.png)", f"**`{label}`** {' '.join(text.split())}")
        )
    drawn = table(("", ""), rows)
    return f"{drawn}\n\n{FIRST_PICTURES}" if kept.edition == 1 else drawn


def verdicts(study: Study, kept: Committed) -> str:
    """The claims of a study with their verdicts, and where these come from."""
    tally = f"{kept.tally} ({kept.origin})." if kept.claims else "Not judged yet."
    return f"{tally}\n\n{claim_table(study, kept)}"


def claim_table(study: Study, kept: Committed) -> str:
    """A row for each claim of a study; one that has not been judged yet says so."""
    rows = [row(claim, kept.claims.get(name)) for name, claim in study.claims.items()]
    return table(("id", "claim", "paper", "ours [95 % interval]", "verdict"), rows)


def row(claim: Claim, kept: Kept | None) -> tuple[str, ...]:
    """The cells of a claim."""
    paper = f"{claim.published} ({claim.mark}; {claim.source})" if claim.published else f"no number ({claim.source})"
    if kept is None:
        return claim.name, claim.statement, paper, "", "not judged yet"
    note = f" ({kept.note})" if kept.note else ""
    return claim.name, claim.statement, paper, kept.ours, f"{SIGN[kept.verdict]} {kept.verdict}{note}"


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


def chips(studies: Studies) -> dict[str, dict[str, Outcome]]:
    """By study and id, the verdict on each claim."""
    return {
        name: {claim: kept.verdict for claim, kept in committed.read(studies[name].folder).claims.items()}
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
        found = committed.taken(claims.read(results / name / "claims.json"), results, cost=committed.read(folder).cost)
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
