"""Write the digests of this class of machine, and the rows, from the results of a smoke build."""

import argparse
from pathlib import Path

from tests.golden import rows


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("results", type=Path, help="folder of results, such as scales/smoke/results")
    rows.record(parser.parse_args().results)


if __name__ == "__main__":
    main()
