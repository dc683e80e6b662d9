"""One look for all figures, and their files: PDF, PNG, the numbers drawn, and where they come from.

The only module that imports matplotlib. Colour has one meaning in the whole repository (`PALETTE`).
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import seaborn
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea
from scipy import stats

from common.evidence.claims import SIGN, Judged
from common.runs import origin, records

__all__ = [
    "PALETTE",
    "WIDTH",
    "Axes",
    "Figure",
    "draw_band",
    "draw_points",
    "figure",
    "label_lines",
    "mark",
    "mean_band",
    "note",
    "save",
    "shades",
]

_CYCLE = [matplotlib.colors.to_hex(color) for color in seaborn.color_palette("colorblind", 10)]

PALETTE = {
    "wsd": _CYCLE[0],
    "wsd_s": _CYCLE[2],
    "cosine": _CYCLE[1],
    "cyclic_cosine": _CYCLE[4],
    "constant": "#444444",
    "linear": _CYCLE[5],
    "infinite": _CYCLE[6],
    "rewarm": _CYCLE[3],
    "supported": "#00694b",
    "weaker": "#7a4e00",
    "contradicted": "#8f1d14",
    "undecided": "#6f6f6f",
    "reported": "#0b3d91",
    "reference": "#8a8a8a",
}
"""Colour by meaning: schedules, verdicts, and the thin line of a paper's value."""

WIDTH = {"column": 3.4, "page": 7.0}
"""Widths in inches: one column and the full text width of a paper."""

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.4,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}

matplotlib.rcParams.update(STYLE)


def figure(
    *, width: str = "column", height: float | None = None, columns: int = 1, rows: int = 1, **axes: Any
) -> tuple[Figure, Any]:
    """A figure in the house style and its axes.

    Args:
        width: "column" or "page".
        height: in inches; the golden section of a panel's width if left out.
        columns: number of panels beside each other.
        rows: number of panels below each other.
        axes: properties set on each panel, such as `xlabel` and `ylabel`, or `sharey` and the like of `subplots`.
    """
    shared = {name: axes.pop(name) for name in ("sharex", "sharey", "width_ratios", "height_ratios") if name in axes}
    inches = WIDTH[width]
    fig = Figure(figsize=(inches, height or rows * inches / columns / 1.3), layout="constrained")
    panels = fig.subplots(rows, columns, **shared)
    for panel in [panels] if isinstance(panels, Axes) else panels.flat:
        panel.set(**axes)
    return fig, panels


def shades(name: str, count: int) -> list[Any]:
    """So many shades of one meaning's colour, from light to dark: for an ordered quantity such as the learning rate."""
    return list(seaborn.light_palette(PALETTE[name], count + 2)[2:])


def mean_band(rows: pd.DataFrame, *, by: Sequence[str], value: str) -> pd.DataFrame:
    """Mean over seeds and its 95 % t interval for each group, as columns mean, low, high and n.

    With a single seed there is no interval: low and high are NaN, and a band drawn from them is empty.
    """
    groups = rows.groupby(list(by), sort=True, dropna=False)[value]
    table = groups.agg(["mean", "count", "sem"]).reset_index().rename(columns={"count": "n"})
    half = table["sem"] * stats.t.ppf(0.975, table["n"] - 1)
    return table.assign(low=table["mean"] - half, high=table["mean"] + half).drop(columns="sem")


def draw_band(ax: Axes, curve: pd.DataFrame, color: Any, *, against: str = "step", **style: Any) -> None:
    """A curve from `mean_band` against one of its columns: the mean as a line, the interval as a band."""
    ax.plot(curve[against], curve["mean"], color=color, **style)
    ax.fill_between(curve[against], curve["low"], curve["high"], color=color, alpha=0.2, linewidth=0)


def draw_points(ax: Axes, places: Any, rows: pd.DataFrame, color: Any, *, across: bool = False, **style: Any) -> None:
    """Means with their intervals as bars.

    Args:
        ax: the panel.
        places: position of each row on the other axis.
        rows: columns mean, low, high, as from `mean_band`.
        color: of marks and bars.
        across: put the means on the x axis instead of the y axis.
        style: passed to `Axes.errorbar`.
    """
    bars = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
    style = {"fmt": "o", "markersize": 4, "linewidth": 1.0, **style}
    if across:
        ax.errorbar(rows["mean"], places, xerr=bars, color=color, **style)
    else:
        ax.errorbar(places, rows["mean"], yerr=bars, color=color, **style)


def label_lines(ax: Axes, labels: Sequence[tuple[float, float, str, Any]], *, gap: float = 8.5) -> None:
    """Write the names of curves to the right of their ends, at least `gap` points below each other.

    Set the limits of the axes before: the names are moved apart on the scale that they give.

    Args:
        ax: the panel.
        labels: for each curve the x and y of its end, its name and its colour.
        gap: points between the middles of two names; a name of two lines needs twice as much.
    """
    low, high = ax.get_ylim()
    figure_height: float = ax.get_figure().get_figheight()  # type: ignore[union-attr]
    points = 72 * 0.8 * figure_height * ax.get_position().height / (high - low)
    above = float("inf")
    for x, y, text, color in sorted(labels, key=lambda label: -label[1]):
        half = gap * (1 + text.count("\n")) / 2
        middle = min(y * points, above - half)
        above = middle - half
        place: dict[str, Any] = {
            "xytext": (4, middle - y * points),
            "textcoords": "offset points",
            "annotation_clip": False,
        }
        ax.annotate(text, (x, y), fontsize=7, color=color, va="center", **place)


def note(ax: Axes, text: str, *, corner: str = "lower left", width: int = 60) -> None:
    """Write small text into a corner of a panel; it never moves the panels.

    Args:
        ax: the panel.
        text: its lines; longer ones are broken.
        corner: "lower left", "lower right", "upper left" or "upper right".
        width: longest line, in characters; a panel of a page with three beside each other holds about 40.
    """
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, width, subsequent_indent="  ")]
    vertical, horizontal = corner.split()
    x, y = {"left": 0.02, "right": 0.98}[horizontal], {"lower": 0.02, "upper": 0.98}[vertical]
    place: dict[str, Any] = {"ha": horizontal, "va": {"lower": "bottom", "upper": "top"}[vertical]}
    ax.text(x, y, "\n".join(lines), transform=ax.transAxes, fontsize=7, in_layout=False, **place)


def mark(ax: Axes, *judged: Judged, inside: bool = False) -> None:
    """Name the claims that a panel shows, with a sign and a colour for each verdict, at the right above it.

    What they say stands in the caption. A panel with a title is not moved; above one without, room is made. `inside` it
    they stand where the words above it leave no room.
    """
    parts: list[Artist] = [
        TextArea(
            f"{item.id} {SIGN[item.verdict.verdict]}",
            textprops={"fontsize": 7, "weight": "bold", "color": PALETTE[item.verdict.verdict]},
        )
        for item in judged
    ]
    box = AnchoredOffsetbox(
        "upper right" if inside else "lower right",
        child=HPacker(children=parts, sep=5, pad=0),
        frameon=False,
        pad=0,
        borderpad=0.15,
        bbox_to_anchor=(1.0, 1.0),
        bbox_transform=ax.transAxes,
    )
    box.set_in_layout(False)
    ax.add_artist(box)
    if not inside and not any(ax.get_title(loc=side) for side in ("left", "center", "right")):
        ax.set_title(" ", loc="right", fontsize=7, pad=3)  # room for it, as a title has


def save(
    fig: Figure,
    outputs: Iterable[str | Path],
    *,
    data: pd.DataFrame,
    runs: Sequence[str | Path] = (),
    about: Mapping[str, Any] | None = None,
    caption: str | None = None,
    smoke: bool = False,
) -> None:
    """Write a figure as PDF and PNG, the numbers drawn as CSV, its provenance as JSON, and its caption as RST.

    Equal data gives equal bytes of PDF, PNG and CSV: no date is written.

    Args:
        fig: the figure.
        outputs: paths that end in .pdf, .png, .csv and .json, in any order; with a caption also .rst.
        data: the numbers drawn, one row for each mark.
        runs: metrics.csv (or run.json) of the runs that went in.
        about: anything else for the JSON, such as verdicts.
        caption: its text.
        smoke: whether to write across it that its numbers mean nothing.
    """
    paths = {Path(path).suffix: Path(path) for path in outputs}
    if smoke:
        words: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "rotation": 30,
            "alpha": 0.25,
            "color": "0.4",
            "zorder": 100,
        }
        fig.text(0.5, 0.5, "smoke scale", fontsize=28, in_layout=False, **words)
    fig.savefig(paths[".png"], metadata={"Software": None})
    fig.set_layout_engine("none")  # laid out once
    fig.savefig(paths[".pdf"], metadata={"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None})
    data.to_csv(paths[".csv"], index=False, lineterminator="\n")
    if caption is not None:
        paths[".rst"].write_text(caption, encoding="utf-8")
    records.write_json(paths[".json"], {**_origin(runs), **(about or {})})


def _origin(runs: Sequence[str | Path]) -> dict[str, Any]:
    """Which runs, code, data and versions a figure was made from."""
    found = [records.read_record(Path(path)) for path in runs]
    return {
        "runs": [f"{record['study']}/{record['name']}" for record in found],
        "training_code": sorted({record["code"] for record in found}),
        "training_commits": sorted({str(record["git"]["commit"]) for record in found}),
        "data": {record["data"]["name"]: record["data"]["digest"] for record in found},
        "scale": sorted({record["scale"] for record in found}),
        **origin.here(),
    }
