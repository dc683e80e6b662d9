"""Write the pages of all claims, studies and runs: `python -m common.site --results results --out site`."""

import argparse
import sys
from pathlib import Path

from common.pipeline.studies import Studies
from common.runs.place import RESULTS
from common.site import write
from common.site.gather import gather
from common.site.pages import plural


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m common.site", description=__doc__)
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="results of a build, such as scales/smoke/results; studies that it lacks, and all without it, are shown "
        f"as the repository keeps them; {RESULTS}/ if it holds verdicts",
    )
    parser.add_argument("--out", type=Path, default=Path("site"), metavar="DIR", help="folder to write (site)")
    parser.add_argument("--repository", default="", metavar="URL", help="where commits and code can be read")
    given = parser.parse_args()
    results = given.results or (RESULTS if any(RESULTS.glob("*/claims.json")) else None)
    if results is not None and not any(results.glob("*/claims.json")):
        sys.exit(f"{results} holds no verdicts (claims.json of a study); build it first")
    studies = Studies.load()
    studies.report()
    try:
        count = write.write(gather(studies, results=results), given.out, repository=given.repository)
    except ValueError as error:
        sys.exit(str(error))
    print(f"{plural(count, 'page')}: open {given.out / 'index.html'}")


if __name__ == "__main__":
    main()
