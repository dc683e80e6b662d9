"""Pictures: the one look of all figures (`panels`), all claims with their intervals (`scoreboard`) and at a glance."""

from common.plotting.panels import (
    PALETTE,
    WIDTH,
    Axes,
    Figure,
    draw_band,
    draw_points,
    figure,
    label_lines,
    mark,
    mean_band,
    note,
    save,
    shades,
)

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
