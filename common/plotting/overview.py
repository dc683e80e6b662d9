"""The scoreboard at a glance: a chip for each claim, coloured by its verdict (figures/verdicts.pdf)."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from PIL import Image

from common.config import Kind
from common.evidence.claims import SIGN, Report, by_kind
from common.evidence.verdicts import OUTCOMES, Outcome
from common.plotting.panels import PALETTE, Axes, Figure, figure

PER_LINE = 11
LINE = 0.23
"""Height of a line of chips in inches."""
GAP = 0.6
"""Between two studies, in lines."""
APART = 3
"""Between two counts, in letters."""
LEFT = 2.6
"""Room for names and counts, in chips."""


Chips = Mapping[str, Mapping[Kind, Mapping[str, Outcome]]]
"""By study, kind and id, the verdict on each claim."""


def chips(reports: Iterable[Report]) -> Chips:
    """Those of some claims.json."""
    return {
        report.study: {
            kind: {item.id: item.verdict.verdict for item in items} for kind, items in by_kind(report.judged).items()
        }
        for report in reports
    }


def table(verdicts: Chips) -> pd.DataFrame:
    """One row for each claim: what is drawn."""
    rows = (
        (study, kind, name, outcome)
        for study, kinds in verdicts.items()
        for kind, claims in kinds.items()
        for name, outcome in claims.items()
    )
    return pd.DataFrame(rows, columns=["study", "kind", "claim", "verdict"])


def draw(verdicts: Chips) -> Figure:
    """Rows of chips for each study, its kinds of claims apart, with how many claims have which verdict."""
    lines = {study: max(1, sum(_lines(claims) for claims in kinds.values())) for study, kinds in verdicts.items()}
    height = sum(lines.values()) + GAP * len(lines)
    fig, ax = figure(width="page", height=LINE * (1.2 + height))
    ax.set(xlim=(-LEFT, PER_LINE), ylim=(height + 0.2, -1.2))
    ax.set_axis_off()
    draw_counts(ax, table(verdicts).verdict.tolist())
    top = 0.0
    for study, kinds in verdicts.items():
        ax.text(-LEFT, top + 0.5, study, va="center", fontsize=8, weight="bold")
        draw_kinds(ax, kinds, top)
        top += lines[study] + GAP
    return fig


def _lines(claims: Mapping[str, Outcome]) -> int:
    """Lines that the claims of one kind take."""
    return -(-len(claims) // PER_LINE)


def draw_kinds(ax: Axes, kinds: Mapping[Kind, Mapping[str, Outcome]], top: float) -> None:
    """The chips of a study from a height on; each kind begins a line, and has its name there unless it is a paper's."""
    for kind, claims in kinds.items():
        if kind != "paper":
            ax.text(-0.1, top + 0.5, kind, ha="right", va="center", fontsize=7, color="0.35")
        for place, (name, outcome) in enumerate(claims.items()):
            draw_chip(ax, name, outcome, place % PER_LINE + 0.5, top + place // PER_LINE + 0.5)
        top += _lines(claims)


def draw_counts(ax: Axes, outcomes: Sequence[Outcome]) -> None:
    """How many claims have which verdict; this explains colours and signs as well."""
    counts = Counter(outcomes)
    ax.text(-LEFT, -0.7, f"{len(outcomes)} claims", va="center", fontsize=8)
    written = {outcome: f"{SIGN[outcome]} {counts[outcome]} {outcome}" for outcome in OUTCOMES}
    letter = PER_LINE / (sum(map(len, written.values())) + APART * (len(written) - 1))
    x = 0.1
    for outcome, words in written.items():
        ax.text(x, -0.7, words, va="center", fontsize=8, weight="bold", color=PALETTE[outcome])
        x += letter * (len(words) + APART)


def draw_chip(ax: Axes, name: str, outcome: Outcome, x: float, y: float) -> None:
    """The claim's name with the sign of its verdict, on its colour; an undecided one is hollow."""
    color = PALETTE[outcome]
    hollow = outcome == "undecided"
    box = {
        "boxstyle": "round,pad=0.2",
        "facecolor": "white" if hollow else color,
        "edgecolor": color,
        "linewidth": 0.8,
    }
    words = color if hollow else "white"
    ax.text(x, y, f"{name} {SIGN[outcome]}", ha="center", va="center", fontsize=7, weight="bold", color=words, bbox=box)


DIGEST = "verdicts"
"""Key of the digest within a PNG file."""


def digest(verdicts: Chips) -> str:
    """Twelve hexadecimal digits for what is drawn."""
    return hashlib.sha256(json.dumps(verdicts).encode()).hexdigest()[:12]


def write(verdicts: Chips, path: Path) -> None:
    """Write the picture as PNG, with the digest of what it shows in the file."""
    draw(verdicts).savefig(path, metadata={"Software": None, DIGEST: digest(verdicts)})


def shown(path: Path) -> str | None:
    """The digest in a picture that `write` has written; None without one."""
    if not path.is_file():
        return None
    with Image.open(path) as picture:
        return picture.info.get(DIGEST)
