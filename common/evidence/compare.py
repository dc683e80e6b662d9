"""Compare the verdicts of two builds, of two machines for example: `python -m common.evidence.compare A B`.

A and B are folders of builds (with results/<study>/claims.json), or two checkouts with committed verdicts. Prints a
line for each claim of both; ends with 1 if a verdict flips (see `comparison`).
"""

import argparse
import json
import sys
from pathlib import Path

from common.evidence import claims, committed, comparison
from common.evidence.comparison import Compared
from common.evidence.verdicts import Verdict


def verdicts(folder: Path) -> dict[str, Verdict]:
    """By study/id, those of a build, else those that are kept in a checkout.

    Raises: ValueError if there is none.
    """
    found: dict[str, Verdict] = {}
    for path in sorted(folder.glob("results/*/claims.json")):
        report = claims.read(path)
        found |= {f"{report.study}/{item.id}": item.verdict for item in report.judged}
    for path in [] if found else sorted(folder.glob(f"studies/*/{committed.NAME}")):
        kept = committed.verdicts(path.parent)
        found |= {f"{path.parent.name}/{name}": verdict for name, verdict in kept.items()}
    if not found:
        raise ValueError(f"{folder}: neither results/*/claims.json nor studies/*/{committed.NAME} with seeds")
    return found


def compare(first: Path, second: Path) -> list[Compared]:
    """The claims that both builds have."""
    before, after = verdicts(first), verdicts(second)
    return [comparison.compare(name, before[name], after[name]) for name in before if name in after]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m common.evidence.compare", description=__doc__)
    parser.add_argument("first", type=Path, metavar="A")
    parser.add_argument("second", type=Path, metavar="B")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the comparison, too")
    given = parser.parse_args()
    try:
        found = compare(given.first, given.second)
    except ValueError as error:
        sys.exit(str(error))
    print(comparison.table(found))
    if given.json:
        given.json.write_text(json.dumps([claim.to_dict() for claim in found], indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if any(claim.flip for claim in found) else 0)


if __name__ == "__main__":
    main()
