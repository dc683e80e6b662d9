"""Curves of a run as SVG: one panel for each quantity, the trunk in grey before the run's own."""

from collections.abc import Iterator

from markupsafe import Markup

from common.evidence.verdicts import number, text
from common.site.axes import Axis, around, drawing, tag
from common.site.rows import Curve, Panel

WIDTH, HEIGHT = 360.0, 220.0
LEFT, RIGHT, TOP, BASE = 46.0, 352.0, 10.0, 186.0
"""Ends of the axes."""
SHADES = 6
"""Shades in the style sheet, from light to dark."""


def draw(panel: Panel, *, name: str) -> Markup:
    """A panel.

    Args:
        panel: with at least one curve.
        name: unique on its page.
    """
    points = [point for curve in panel.curves for point in curve.points]
    across = around((point[0] for point in points), LEFT, RIGHT, room=0.0)
    up = around((value for point in points for value in point[2:]), BASE, TOP, log=True)
    own = [curve for curve in panel.curves if not curve.trunk]
    parts = [*_frame(across, up)]
    for curve in panel.curves:
        shade = "trunk" if curve.trunk else f"shade{_shade(own.index(curve), len(own))}"
        parts += _curve(curve, across, up, shade)
    return drawing(
        parts,
        width=WIDTH,
        height=HEIGHT,
        title=f"{panel.column} by update",
        about=words(panel),
        name=name,
        kind="curve",
    )


def words(panel: Panel) -> str:
    """What is to be seen, in a sentence."""
    ends = [
        f"{f'{curve.label}: ' if curve.label else ''}from {number(curve.points[0][1])} at update "
        f"{curve.points[0][0]:g} to {number(curve.points[-1][1])} at update {curve.points[-1][0]:g}"
        for curve in panel.curves
        if not curve.trunk
    ]
    return "; ".join(ends) + "."


def legend(panel: Panel) -> list[tuple[int, str]]:
    """Shade and name of each curve that has one."""
    own = [curve for curve in panel.curves if not curve.trunk]
    return [(_shade(place, len(own)), curve.label) for place, curve in enumerate(own) if curve.label]


def _shade(place: int, count: int) -> int:
    return SHADES - 1 if count == 1 else round(place * (SHADES - 1) / (count - 1))


def _curve(curve: Curve, across: Axis, up: Axis, shade: str) -> Iterator[Markup]:
    """The band of the range, and the line of the mean."""
    places = [(across(step), *map(up, values)) for step, *values in curve.points]
    if any(low != high for *_, low, high in curve.points):
        upper = [f"{x:.1f} {high:.1f}" for x, _, _, high in places]
        lower = [f"{x:.1f} {low:.1f}" for x, _, low, _ in reversed(places)]
        yield tag("path", d="M" + "L".join([*upper, *lower]) + "Z", class_=f"range {shade}")
    if len(places) == 1:
        yield tag("circle", cx=places[0][0], cy=places[0][1], r=3.0, class_=f"dot {shade}")
    line = "L".join(f"{x:.1f} {mean:.1f}" for x, mean, *_ in places)
    yield tag("path", d=f"M{line}", class_=f"line {shade}")


def _frame(across: Axis, up: Axis) -> Iterator[Markup]:
    for value in up.ticks(4):
        y = up(value)
        yield tag("path", d=f"M{LEFT:g} {y:.1f}H{RIGHT:g}", class_="grid")
        yield tag("text", _short(value), x=LEFT - 6, y=y + 4, class_="tick left")
    for value in across.ticks(4):
        yield tag("text", _short(value), x=min(across(value), RIGHT - 8), y=BASE + 17, class_="tick")
    yield tag("path", d=f"M{LEFT:g} {BASE:g}H{RIGHT:g}", class_="frame")
    yield tag("text", "update", x=(LEFT + RIGHT) / 2, y=BASE + 31, class_="tick")


def _short(value: float) -> str:
    return text(value)
