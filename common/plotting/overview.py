"""The scoreboard at a glance: a chip for each claim, coloured by its verdict (figures/verdicts.pdf)."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from common.evidence.claims import Judged, Report
from common.evidence.verdicts import OUTCOMES
from common.plotting.panels import PALETTE, Axes, Figure, figure

PER_LINE = 18
LINE = 0.2
"""Height of a line of chips in inches."""
LEFT = 3.8
"""Room for names and counts, in chips."""


def table(reports: Sequence[Report]) -> pd.DataFrame:
    """One row for each claim: what is drawn."""
    rows = ((report.study, item.id, item.verdict.verdict) for report in reports for item in report.judged)
    return pd.DataFrame(rows, columns=["study", "claim", "verdict"])


def draw(reports: Sequence[Report]) -> Figure:
    """A row of chips for each study, with how many claims have which verdict."""
    lines = [-(-len(report.judged) // PER_LINE) + 0.6 for report in reports]
    fig, ax = figure(width="page", height=LINE * (1.2 + sum(lines)))
    ax.set(xlim=(-LEFT, PER_LINE), ylim=(sum(lines) + 0.2, -1.2))
    ax.set_axis_off()
    draw_counts(ax, [item for report in reports for item in report.judged])
    top = 0.0
    for report, height in zip(reports, lines, strict=True):
        ax.text(-LEFT, top + 0.5, report.study, va="center", fontsize=8, weight="bold")
        for place, item in enumerate(report.judged):
            draw_chip(ax, item, place % PER_LINE + 0.5, top + place // PER_LINE + 0.5)
        top += height
    return fig


def draw_counts(ax: Axes, judged: Sequence[Judged]) -> None:
    """How many claims have which verdict; this explains the colours as well."""
    counts = Counter(item.verdict.verdict for item in judged)
    ax.text(-LEFT, -0.7, f"{len(judged)} claims", va="center", fontsize=8)
    for place, outcome in enumerate(OUTCOMES):
        words = f"{counts[outcome]} {outcome}"
        ax.text(4.2 * place + 0.1, -0.7, words, va="center", fontsize=8, weight="bold", color=PALETTE[outcome])


def draw_chip(ax: Axes, item: Judged, x: float, y: float) -> None:
    """The claim's name on its verdict's colour; an undecided one is hollow."""
    color = PALETTE[item.verdict.verdict]
    hollow = item.verdict.verdict == "undecided"
    box = {
        "boxstyle": "round,pad=0.2",
        "facecolor": "white" if hollow else color,
        "edgecolor": color,
        "linewidth": 0.8,
    }
    words = color if hollow else "white"
    ax.text(x, y, item.id, ha="center", va="center", fontsize=6, weight="bold", color=words, bbox=box)
