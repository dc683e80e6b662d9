"""An effect against the size of the network: rungs, trend, and the publication's number at its own size."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from common.evidence.ladder import FARTHEST, Ladder, Published, count, sentence
from common.plotting.panels import PALETTE, Axes

POINTS = 60
"""Sizes at which each part of the band is drawn."""
PARTS = {"rungs": ("-", 0.22), "reach": ("--", 0.22), "beyond": ("--", 0.08)}
"""Line and opacity of the band: among the rungs, up to where a verdict may rest on the trend, and beyond."""
ROOM = 0.12
"""Of the height of the marks, above and below what is drawn."""
ASIDE = 1.09
"""Factor on the size at which the dots of seeds stand, so that the rung's interval does not hide them."""


def draw(
    ax: Axes,
    effect: Ladder,
    *,
    title: str,
    color: Any,
    null: float = 0.0,
    published: Published | None = None,
) -> pd.DataFrame:
    """Draw an effect against parameters, and say how far its direction holds and whether its size agrees.

    Args:
        ax: the panel; its label of the effect's axis is set by the caller.
        effect: the effect at each rung.
        title: of the panel, above the sentence.
        color: of marks and band.
        null: the value that an effect without direction has, drawn as a thin line.
        published: the publication's number, a star at its size.
    Returns: the numbers drawn, one row for each mark: part ("seed", "rung", "trend, ..." or "published"), parameters,
        seed, mean, low, high.
    """
    table = numbers(effect, published=published)
    ax.axhline(null, color=PALETTE["reference"], linewidth=0.6, zorder=0)
    for part, (line, opacity) in PARTS.items():
        rows = table[table.part == f"trend, {part}"]
        ax.fill_between(rows.parameters, rows.low, rows.high, color=color, alpha=opacity, linewidth=0)
        ax.plot(rows.parameters, rows["mean"], line, color=color, linewidth=0.9, alpha=0.45 if part == "beyond" else 1)
    _draw_rungs(ax, table, color)
    if published is not None:
        _draw_star(ax, published)
    _frame(ax, effect, table, null)
    said = sentence(effect, null=null, published=published).split(", ")
    ax.set_title(title, pad=4 + 9 * len(said))
    ax.text(0, 1.02, "\n".join(said), transform=ax.transAxes, fontsize=6.5, va="bottom", in_layout=False)
    return table


def numbers(effect: Ladder, *, published: Published | None = None) -> pd.DataFrame:
    """What is drawn of an effect, one row for each mark (see `draw`); ends of an interval that has none are NaN."""
    rows = [*_seeds(effect), *_rungs(effect), *_trend(effect, published)]
    if published is not None:
        rows.append({"part": "published", "parameters": published.parameters, "mean": published.value})
    columns = ["part", "parameters", "seed", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns).replace([np.inf, -np.inf], np.nan)


def _seeds(effect: Ladder) -> Iterator[dict[str, Any]]:
    for seed, row in zip(effect.seeds, effect.values, strict=True):
        for size, value in zip(effect.parameters, row, strict=True):
            yield {"part": "seed", "parameters": size, "seed": seed, "mean": value}


def _rungs(effect: Ladder) -> Iterator[dict[str, Any]]:
    for size, found in zip(effect.parameters, effect.rungs, strict=True):
        yield {"part": "rung", "parameters": size, "mean": found.mean, "low": found.low, "high": found.high}


def _trend(effect: Ladder, published: Published | None) -> Iterator[dict[str, Any]]:
    far = max(FARTHEST * effect.largest, 2 * published.parameters if published else 0)
    ends = (effect.parameters[0], effect.largest, effect.reach, far)
    for part, low, high in zip(PARTS, ends, ends[1:], strict=False):
        for size in np.geomspace(low, high, POINTS).clip(low, high):
            found = effect.at(float(size))
            yield {
                "part": f"trend, {part}",
                "parameters": float(size),
                "mean": found.mean,
                "low": found.low,
                "high": found.high,
            }


def _draw_rungs(ax: Axes, table: pd.DataFrame, color: Any) -> None:
    """Means with their intervals, and the seeds beside them as faint dots."""
    rungs, seeds = table[table.part == "rung"], table[table.part == "seed"]
    bars = [rungs["mean"] - rungs.low, rungs.high - rungs["mean"]]
    ax.errorbar(rungs.parameters, rungs["mean"], yerr=bars, fmt="o", color=color, markersize=4, linewidth=1.0, zorder=3)
    ax.plot(
        ASIDE * seeds.parameters,
        seeds["mean"],
        "o",
        color=color,
        markersize=2.5,
        alpha=0.4,
        markeredgewidth=0,
        zorder=2,
    )


def _draw_star(ax: Axes, published: Published) -> None:
    ax.plot(published.parameters, published.value, "*", color=PALETTE["constant"], markersize=9, zorder=4)
    place: dict[str, Any] = {"xytext": (-4, 5), "textcoords": "offset points", "ha": "right", "fontsize": 6.5}
    ax.annotate(published.name, (published.parameters, published.value), color=PALETTE["constant"], **place)


def _frame(ax: Axes, effect: Ladder, table: pd.DataFrame, null: float) -> None:
    """Limits that show all marks, and of the band up to its reach what is no farther from them than they are apart."""
    ax.set_xscale("log")
    ax.set(xlabel="parameters")
    ax.xaxis.set_major_formatter(lambda size, _: count(size))
    marks = _numbers(table[~table.part.str.startswith("trend")], null)
    band = _numbers(table[table.part != "trend, beyond"], null)
    height = marks.max() - marks.min() or 1.0
    low, high = max(band.min(), marks.min() - height), min(band.max(), marks.max() + height)
    ax.set_ylim(low - ROOM * height, high + ROOM * height)
    ax.set_xlim(effect.parameters[0] / 1.5, table.parameters.max())


def _numbers(rows: pd.DataFrame, *more: float) -> Any:
    """All finite means and ends of intervals, and some more numbers."""
    found = rows[["mean", "low", "high"]].to_numpy().ravel()
    return np.append(found[np.isfinite(found)], more)
