"""Replications that are kept in the repository: studies/<study>/replications/<number>.json."""

import json
from dataclasses import dataclass
from pathlib import Path

from common.evidence.comparison import Compared
from common.runs import records

FOLDER = "replications"


@dataclass(frozen=True, kw_only=True)
class Replication:
    """How the verdicts of a study compare with those on fresh seeds."""

    study: str
    number: int
    commit: str
    machine: str
    claims: list[Compared]

    @property
    def flips(self) -> list[str]:
        """Ids of the claims that flipped."""
        return [claim.id for claim in self.claims if claim.flip]

    @property
    def changed(self) -> list[str]:
        """Ids of the claims with another word."""
        return [claim.id for claim in self.claims if not claim.same]

    @property
    def expected(self) -> float:
        """How many of the supported claims were expected to be supported again."""
        return sum(claim.expected for claim in self.claims if claim.expected is not None)

    @property
    def supported(self) -> list[Compared]:
        """The claims that were supported, of those whose chance to repeat is known."""
        return [claim for claim in self.claims if claim.expected is not None]

    @property
    def summary(self) -> str:
        """One sentence."""
        same = len(self.claims) - len(self.changed)
        again = sum(claim.same for claim in self.supported)
        return (
            f"{same} of {len(self.claims)} verdicts are the same; of {len(self.supported)} supported ones {again} are "
            f"supported again, {self.expected:.1f} were expected; flips: {', '.join(self.flips) or 'none'}"
        )


def next_number(folder: Path) -> int:
    """Number of the next replication of the study in a folder."""
    return 1 + max((found.number for found in read(folder)), default=0)


def write(found: Replication, folder: Path) -> None:
    """Keep a replication in the folder of its study."""
    (folder / FOLDER).mkdir(exist_ok=True)
    plain = {**vars(found), "claims": [claim.to_dict() for claim in found.claims]}
    records.write_json(folder / FOLDER / f"{found.number}.json", plain)


def read(folder: Path) -> list[Replication]:
    """The replications of the study in a folder, in order.

    Raises: ValueError if a file is damaged.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("*.json"), key=lambda path: (len(path.name), path.name)):
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            found.append(Replication(**plain | {"claims": [Compared(**each) for each in plain["claims"]]}))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no replication or is damaged ({error!r}); take it from the history") from None
    return found
