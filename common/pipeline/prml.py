"""A registered claim as a PRML manifest (`<id>.prml.yaml`), which others can verify without this project.

PRML ("pre-registered ML manifest", prml/0.1, media type application/vnd.prml+yaml) fixes metric, comparator,
threshold, data and seed; the SHA-256 of its canonical bytes is the receipt. Our rules are richer than one threshold, so
the metric is the strength of the verdict (`verdicts.Verdict.strength`): above 1 if and only if the claim is supported.
`dataset` is the registered entry itself, by its digest, and `seed` the first confirmatory seed.
"""

from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from common.evidence import seeds
from common.evidence.registration import Registered, Registration, digest_of

FOLDER = "prml"


def manifest(registration: Registration, name: str) -> dict[str, Any]:
    """The manifest of a registered claim."""
    entry = registration.claims[name]
    digest = digest_of(asdict(entry))
    return {
        "version": "prml/0.1",
        "claim_id": str(_identifier(entry, digest)),
        "created_at": entry.date,
        "metric": f"strength of the verdict on {registration.study}/{name}",
        "comparator": ">",
        "threshold": 1.0,
        "dataset": {"id": f"studies/{registration.study}/registration.json#{name}", "hash": digest},
        "seed": seeds.seed_of(0, seeds.CONFIRMATORY, registration.digest),
        "producer": {"id": f"commit {entry.commit}"},
        "notes": f"{entry.statement}. {entry.seeds} seeds; supported if and only if the strength is above 1.",
    }


def _identifier(entry: Registered, digest: str) -> UUID:
    """A UUID of version 7: the time of the registration, and bits of the entry's digest in place of chance."""
    milliseconds = round(datetime.fromisoformat(entry.date).timestamp() * 1000)
    bits = int(digest, 16)
    value = milliseconds << 80 | 7 << 76 | (bits >> 100 & 0xFFF) << 64 | 2 << 62 | bits & (1 << 62) - 1
    return UUID(int=value)


def canonical(plain: dict[str, Any]) -> bytes:
    """The bytes that the receipt is taken of: keys sorted, block style, one line end at the end."""
    text: str = yaml.safe_dump(plain, sort_keys=True, default_flow_style=False, width=float("inf"), allow_unicode=True)
    return (text.rstrip() + "\n").encode()


def write(registration: Registration, folder: Path) -> None:
    """Write the manifests of all claims into a folder of the study's, each with its receipt where `falsify` looks."""
    home = folder / FOLDER
    home.mkdir(exist_ok=True)
    for name in registration.claims:
        content = canonical(manifest(registration, name))
        path = home / f"{name}.prml.yaml"
        path.write_bytes(content)
        (home / f"{name}.prml.prml.sha256").write_text(f"{sha256(content).hexdigest()}\n", encoding="utf-8")
