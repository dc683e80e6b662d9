"""Every claim of every study with its verdict and its interval on the claim's own scale (figures/claims.pdf)."""

from collections import Counter
from collections.abc import Sequence
from textwrap import shorten, wrap
from typing import Any

import pandas as pd

from common.evidence.claims import Judged, Report
from common.evidence.verdicts import OUTCOMES, Verdict, leaves, number
from common.plotting.panels import PALETTE, Axes, Figure, figure

MARK = {"supported": "o", "contradicted": "X", "undecided": "D", "reported": "s"}
ROW, HEADING = 0.36, 0.3
"""Heights in inches."""
NARROW = 0.25
"""Share of an axis below which the ends of a band share one label."""
FEW = 30
"""Values that can be seen as dots."""


def table(reports: Sequence[Report]) -> pd.DataFrame:
    """One row for each claim: what is drawn."""
    return pd.DataFrame(
        {
            "study": report.study,
            "claim": item.id,
            "statement": item.statement,
            "verdict": item.verdict.verdict,
            "estimate": item.verdict.estimate,
            "low": item.verdict.low,
            "high": item.verdict.high,
            "confidence": item.verdict.confidence,
            "threshold_low": item.verdict.threshold[0],
            "threshold_high": item.verdict.threshold[1],
            "unit": item.verdict.unit,
            "n": item.verdict.n,
        }
        for report in reports
        for item in report.judged
    )


def draw(reports: Sequence[Report]) -> Figure:
    """One line per claim: statement, verdict (colour and shape), interval against the claimed side, the number."""
    lines: list[Report | Judged] = []
    for report in reports:
        lines += [report, *report.judged]
    heights = [ROW, *(HEADING if isinstance(line, Report) else ROW for line in lines)]
    fig, panels = figure(
        width="page",
        height=sum(heights),
        columns=3,
        rows=len(heights),
        width_ratios=[3.6, 2.0, 1.7],
        height_ratios=heights,
        yticks=[],
    )
    fig.set_layout_engine("constrained", h_pad=0, hspace=0, w_pad=0.02, wspace=0)
    for panel in panels[:, (0, 2)].flat:
        panel.set_axis_off()
        panel.set(xlim=(0, 1), ylim=(0, 1))
    draw_legend(panels[0], reports)
    for row, line in zip(panels[1:], lines, strict=True):
        if isinstance(line, Report):
            draw_heading(row, line)
        else:
            draw_claim(row, line)
    return fig


def draw_legend(row: Sequence[Axes], reports: Sequence[Report]) -> None:
    """How many claims have which verdict; this explains the marks as well."""
    counts = Counter(item.verdict.verdict for report in reports for item in report.judged)
    x = 0.02
    for outcome in OUTCOMES:
        text = f"{counts[outcome]} {outcome}"
        draw_mark(row[0], outcome, x)
        row[0].text(x + 0.03, 0.5, text, va="center", fontsize=7.5, color=PALETTE[outcome])
        x += 0.08 + 0.0165 * len(text)
    row[1].set_axis_off()
    row[2].text(0.0, 0.5, "shaded: the claimed side\nbar: interval, dots: seeds", va="center", fontsize=7, color="0.35")


def draw_heading(row: Sequence[Axes], report: Report) -> None:
    """The study and its question."""
    name = row[0].text(0, 0.3, report.study, weight="bold", va="center", fontsize=8.5)
    place: dict[str, Any] = {
        "xycoords": name,
        "textcoords": "offset points",
        "in_layout": False,
        "annotation_clip": False,
    }
    row[0].annotate(report.question, (1, 0.5), xytext=(6, 0), va="center", fontsize=7, color="0.35", **place)
    row[1].set_axis_off()


def draw_claim(row: Sequence[Axes], item: Judged) -> None:
    """Statement and mark to the left, interval in the middle, number to the right."""
    verdict = item.verdict
    text = "\n".join(wrap(item.statement, 46)[:2])
    draw_mark(row[0], verdict.verdict, 0.02)
    row[0].text(0.05, 0.5, item.id, va="center", weight="bold", fontsize=7.5)
    row[0].text(0.15, 0.5, text, va="center", fontsize=7.5, linespacing=1.1, in_layout=False)
    draw_interval(row[1], verdict)
    row[2].text(0, 0.5, measured(verdict), va="center", fontsize=7, linespacing=1.15, color="0.2", in_layout=False)


def measured(verdict: Verdict) -> str:
    """The number beside the picture: estimate, interval, and what to know about them."""
    low, high = verdict.low, verdict.high
    ends = "no interval" if low is None or high is None else f"[{number(low)}, {number(high)}]"
    lines = (
        f"{number(verdict.estimate)} {verdict.unit}",
        f"{ends}, n = {verdict.n}",
        shorten(verdict.note, 31, placeholder="..."),
    )
    return "\n".join(filter(None, lines))


def draw_mark(ax: Axes, outcome: str, x: float) -> None:
    """The verdict's colour and shape; only an undecided one is hollow."""
    fill = "white" if outcome == "undecided" else PALETTE[outcome]
    ax.plot([x], [0.5], MARK[outcome], color=PALETTE[outcome], markerfacecolor=fill, markersize=5.5, clip_on=False)


def draw_interval(ax: Axes, verdict: Verdict) -> None:
    """The deciding part in colour, the parts that share its threshold and unit in grey."""
    parts = shown(verdict)
    low, high = limits(parts)
    ax.set(xlim=(low, high), ylim=(-0.6, len(parts) - 0.4))
    ax.spines["left"].set_visible(False)
    ax.tick_params(length=2, pad=1, labelsize=7)
    draw_threshold(ax, verdict, low, high)
    for y, part in enumerate(reversed(parts)):
        decides = same(part, verdict)
        color = PALETTE[verdict.verdict] if decides else "0.6"
        if part.low is not None and part.high is not None:
            width = 3.2 if decides else 1.6
            ax.plot([part.low, part.high], [y, y], color=color, linewidth=width, solid_capstyle="butt")
        if part.method == "t" and part.n <= FEW:
            ax.plot(part.values, [y] * part.n, ".", color="0.15", markersize=2, alpha=0.6)
        ax.plot([part.estimate], [y], "|", color="black", markersize=6 if len(parts) < 3 else 3)


def draw_threshold(ax: Axes, verdict: Verdict, low: float, high: float) -> None:
    """The claimed side shaded, its ends as thin lines that carry the only tick labels."""
    ends = [end for end in verdict.threshold if end is not None]
    if not ends:
        ax.locator_params(axis="x", nbins=3)
        return
    left, right = verdict.threshold
    ax.axvspan(
        low if left is None else left, high if right is None else right, color=PALETTE["supported"], alpha=0.14, lw=0
    )
    for end in ends:
        ax.axvline(end, color="0.3", linewidth=0.7)
    if len(ends) == 2 and ends[1] - ends[0] < NARROW * (high - low):
        both = f"±{ends[1]:g}" if ends[0] == -ends[1] else f"{ends[0]:g} to {ends[1]:g}"
        ax.set_xticks([sum(ends) / 2], [both])
    else:
        ax.set_xticks(ends, [f"{end:g}" for end in ends])


def shown(verdict: Verdict) -> list[Verdict]:
    """The intervals that belong on one axis: of a crossover the deciding pair, else the parts with the same rule."""
    for part in verdict.parts:
        if part.combination == "order" and same(part, verdict):
            return list(part.parts)
    return [part for part in leaves(verdict) if (part.threshold, part.unit) == (verdict.threshold, verdict.unit)]


def same(part: Verdict, verdict: Verdict) -> bool:
    """Is this the part whose numbers the verdict shows?"""
    return (part.estimate, part.low, part.high) == (verdict.estimate, verdict.low, verdict.high)


def limits(parts: Sequence[Verdict]) -> tuple[float, float]:
    """Ends of an axis on which everything is seen; seeds far outside the intervals do not stretch it."""
    marks = [end for part in parts for end in (part.low, part.high, part.estimate, *part.threshold) if end is not None]
    low, high = min(marks), max(marks)
    room = 0.12 * (high - low) or 0.5 * abs(low) or 1.0
    return low - room, high + room
