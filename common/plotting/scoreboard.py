"""Every claim of every study with its verdict and its interval on the claim's own scale (figures/claims.pdf)."""

from collections import Counter
from collections.abc import Sequence
from textwrap import shorten, wrap
from typing import Any

import pandas as pd

from common.evidence.claims import Judged, Report, by_kind
from common.evidence.verdicts import OUTCOMES, Verdict, leaves, number
from common.plotting.panels import PALETTE, WIDTH, Axes, Figure, figure

MARK = {"supported": "o", "weaker": "v", "contradicted": "X", "undecided": "D", "reported": "s"}
ROW, HEADING = 0.44, 0.34
"""Heights in inches."""
MARKED, NAMED, STATED, DRAWN, MEASURED = 0.08, 0.18, 0.53, 3.6, 5.45
"""Inches from the left edge to a claim's mark, name, statement, interval and number: a grid without a layout engine,
which takes longer to arrange a hundred rows than all else takes."""
SPAN, DEPTH = 1.8, 0.31
"""Width and height of an interval's axis in inches; its labels stand in what is left of the row."""
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
            "kind": item.kind,
            "standing": item.standing,
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
        lines += [report, *(item for items in by_kind(report.judged).values() for item in items)]
    width, height = WIDTH["page"], ROW + sum(HEADING if isinstance(line, Report) else ROW for line in lines)
    fig, page = figure(width="page", height=height, xlim=(0, width), ylim=(height, 0))
    fig.set_layout_engine("none")
    page.set_position((0, 0, 1, 1))
    page.set_axis_off()
    draw_legend(page, reports)
    top = ROW
    for line in lines:
        if isinstance(line, Report):
            draw_heading(page, line, top + HEADING / 2)
            top += HEADING
        else:
            draw_claim(page, line, top + DEPTH / 2)
            draw_interval(
                fig.add_axes((DRAWN / width, 1 - (top + DEPTH) / height, SPAN / width, DEPTH / height)), line.verdict
            )
            top += ROW
    return fig


def draw_legend(page: Axes, reports: Sequence[Report]) -> None:
    """How many claims have which verdict; this explains the marks as well."""
    counts = Counter(item.verdict.verdict for report in reports for item in report.judged)
    x, y = MARKED, ROW / 2
    for outcome in OUTCOMES:
        text = f"{counts[outcome]} {outcome}"
        draw_mark(page, outcome, x, y)
        page.text(x + 0.1, y, text, va="center", fontsize=7.5, color=PALETTE[outcome])
        x += 0.27 + 0.057 * len(text)
    words = "shaded: the claimed side\nbar: interval, dots: seeds"
    page.text(MEASURED, y, words, va="center", fontsize=7, color="0.35")


def draw_heading(page: Axes, report: Report, y: float) -> None:
    """The study and its question."""
    name = page.text(0.02, y, report.study, weight="bold", va="center", fontsize=8.5)
    place: dict[str, Any] = {"xycoords": name, "textcoords": "offset points", "annotation_clip": False}
    page.annotate(report.question, (1, 0.5), xytext=(6, 0), va="center", fontsize=7, color="0.35", **place)


def draw_claim(page: Axes, item: Judged, y: float) -> None:
    """Mark, name and statement to the left, the number to the right."""
    draw_mark(page, item.verdict.verdict, MARKED, y)
    page.text(NAMED, y, item.id, va="center", weight="bold", fontsize=7.5)
    if item.kind != "paper":
        page.text(NAMED, y + 0.13, item.kind, va="center", fontsize=7, color="0.35")
    page.text(STATED, y, "\n".join(wrap(item.statement, 46)[:2]), va="center", fontsize=7.5, linespacing=1.1)
    page.text(MEASURED, y, measured(item.verdict), va="center", fontsize=7, linespacing=1.15, color="0.2")


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


def draw_mark(page: Axes, outcome: str, x: float, y: float) -> None:
    """The verdict's colour and shape; only an undecided one is hollow."""
    fill = "white" if outcome == "undecided" else PALETTE[outcome]
    page.plot([x], [y], MARK[outcome], color=PALETTE[outcome], markerfacecolor=fill, markersize=5.5)


def draw_interval(ax: Axes, verdict: Verdict) -> None:
    """The deciding part in colour, the parts that share its threshold and unit in grey."""
    parts = shown(verdict)
    low, high = limits(parts)
    ax.set(xlim=(low, high), ylim=(-0.6, len(parts) - 0.4), yticks=[])
    ax.spines["left"].set_visible(False)
    ax.tick_params(length=2, pad=1, labelsize=7)
    draw_threshold(ax, verdict, low, high)
    for y, part in enumerate(reversed(parts)):
        decides = same(part, verdict)
        color = PALETTE[verdict.verdict] if decides else "0.6"
        if part.low is not None and part.high is not None:
            width = 3.2 if decides else 1.6
            ax.plot([part.low, part.high], [y, y], color=color, linewidth=width, solid_capstyle="butt")
        if part.reading.kind not in ("share", "exact") and part.n <= FEW:
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
