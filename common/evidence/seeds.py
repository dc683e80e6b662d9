"""Blocks of seeds: which seeds a study trains for what, so that nobody can choose them, or has seen them before.

A study numbers its seeds 0, 1, 2, ... A block says which seed stands for which number: `written` takes the numbers
themselves, `pilot` the seeds from 100 on, `confirmatory` and `replication-1`, `replication-2`, ... draw theirs from the
digest of the study's first registration, which is not known before the claims are.
"""

import re
from hashlib import sha256

WRITTEN, PILOT, CONFIRMATORY = "written", "pilot", "confirmatory"
REPLICATION = re.compile(r"replication-([1-9][0-9]*)")
FIRST_PILOT, PILOTS = 100, 100
"""Seeds of pilots are 100 to 199."""
PILOT_SEEDS = 3
"""How many of a run's seeds a pilot trains at most: enough to see the scatter and what it costs."""
LARGEST = 2**31


def replication(number: int) -> str:
    """Name of a block of replication."""
    return f"replication-{number}"


def problem(block: str) -> str | None:
    """The rule that a name of a block breaks, if it does."""
    if block in (WRITTEN, PILOT, CONFIRMATORY) or REPLICATION.fullmatch(block):
        return None
    return f"seeds={block!r} must be {WRITTEN}, {PILOT}, {CONFIRMATORY}, {replication(1)}, {replication(2)}, ..."


def seed_of(number: int, block: str, digest: str) -> int:
    """The seed that stands for a number in a block.

    Args:
        number: as a study has it: 0 for its first seed.
        block: see `problem`.
        digest: of the study's first registration; not used for the blocks `written` and `pilot`.
    Returns: for drawn blocks a whole number from 200 to 2**31 - 1.
    Raises: ValueError for a number that a pilot has no seed for.

    >>> seed_of(2, "written", ""), seed_of(2, "pilot", ""), seed_of(2, "confirmatory", "c0ffee")
    (2, 102, 1008000)
    """
    if block == WRITTEN:
        return number
    if block == PILOT:
        if number >= PILOTS:
            raise ValueError(f"seed {number} has none in a pilot, whose seeds are 100 to 199: number seeds from 0 on")
        return FIRST_PILOT + number
    least = FIRST_PILOT + PILOTS
    drawn = int.from_bytes(sha256(f"{digest}/{block}/{number}".encode()).digest()[:8])
    return least + drawn % (LARGEST - least)
