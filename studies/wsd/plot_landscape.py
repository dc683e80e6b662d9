"""Hills and river, measured: curvature, and where the gradient and the decay go.

a: the ten largest eigenvalues of the Hessian, at the branch points of the decays and at their ends. b: the share of the
gradient, and of the way into the decay, that lies along the sharpest directions; of a random direction it would be 10
in 48,640. c: the loss along the sharpest direction (solid) and along the river (dashed), the way between the last two
decayed states, from the last branch point and from the end of its decay; a distance of 1 is as far as that decay goes.
Means and 95 % intervals over seeds.
"""

from itertools import product

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_band, figure, mark, mean_band

COLORS = {"stable": PALETTE["constant"], "decayed": PALETTE["wsd"]}
NAMES = {"stable": "constant rate", "decayed": "after the decay"}
LINES = {"hill": "-", "river": "--"}


def draw_ranks(
    ax: Axes, shares: pd.DataFrame, value: str, phase: str, *, color: str | None = None, label: str | None = None
) -> pd.DataFrame:
    """A quantity against the rank: mean over the states of a phase, and interval over seeds."""
    rows = shares[shares.phase == phase].groupby(["seed", "rank"])[value].mean().dropna().reset_index()
    band = mean_band(rows, by=["rank"], value=value)
    draw_band(ax, band, color or COLORS[phase], against="rank", marker="o", markersize=2.5, label=label or NAMES[phase])
    return band.assign(quantity=value, phase=phase)


def draw_lines(ax: Axes, lines: pd.DataFrame) -> pd.DataFrame:
    """The loss on lines through the two states, less that of the decayed one."""
    end = lines[(lines.phase == "decayed") & (lines.distance == 0)].groupby("seed").loss.first()
    rows = lines.assign(rise=lines.loss - lines.seed.map(end))
    band = mean_band(rows, by=["phase", "direction", "distance"], value="rise")
    for phase, direction in product(COLORS, LINES):
        line = band[(band.phase == phase) & (band.direction == direction)]
        draw_band(ax, line, COLORS[phase], against="distance", linestyle=LINES[direction])
    return band.assign(quantity="rise")


def draw(
    runs: pd.DataFrame,  # noqa: ARG001
    landscape: pd.DataFrame,
    verdicts: dict[str, Judged],
) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn.

    Args:
        runs: rows of the runs whose states were measured; they only tell where the figure comes from.
        landscape: what was measured.
        verdicts: W21 on the second panel.
    """
    shares, lines = (landscape[landscape.kind == kind] for kind in ("share", "line"))
    fig, panels = figure(width="page", columns=3, height=2.6)
    tables = [draw_ranks(panels[0], shares, "eigenvalue", phase) for phase in COLORS]
    tables += [draw_ranks(panels[1], shares, "gradient", phase) for phase in COLORS]
    tables.append(
        draw_ranks(panels[1], shares, "way", "stable", color=PALETTE["reference"], label="way into the decay")
    )
    tables.append(draw_lines(panels[2], lines))
    titles = ("a  Curvature", "b  Gradient", "c  Loss along hill and river")
    for ax, title, ylabel in zip(
        panels, titles, ("eigenvalue", "share along the sharpest", "loss, above the decayed (nats/byte)"), strict=True
    ):
        ax.set(title=title, ylabel=ylabel, xlabel="rank")
    panels[1].set_ylim(bottom=0)
    panels[2].set_xlabel("distance")
    panels[0].legend()
    panels[1].legend(handles=[panels[1].lines[-1]])
    mark(panels[1], verdicts["W21"])
    return fig, pd.concat(tables)
