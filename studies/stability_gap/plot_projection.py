"""Joint training and replay with and without gradient projection at three learning rates.

Depth, final accuracy, and how often the projection acts, at three learning rates, and with new classes instead of a
rotation. The reference gradients are those of the replayed batches, as in the code of Hess et al. Joint training and ER
descend these losses anyway, so the sum of old and new gradient rarely opposes the old one, and the projection is nearly
inert. Means and 95 % t intervals over seeds.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, mark, mean_band, note
from studies.stability_gap.gaps import gaps
from studies.stability_gap.study import LEARNERS, PROJECTIONS
from studies.stability_gap.styles import COLORS, NAMES

FAMILIES = {name: (name, *(each for each in PROJECTIONS if each.startswith(name))) for name in LEARNERS}
"""Each method by itself and with its projections."""
FIRST_STEPS = 50
SHARES = {"early": f"● first {FIRST_STEPS} updates", "whole": "○ whole task"}
VALUES = {
    "depth": "depth on task 1 (points)",
    "mean": "accuracy at the end,\nmean of both tasks (%)",
    "early": "projected updates (%)",
}
ASIDE = 0.2
"""Distance of methods at one rate, in distances of rates."""
CLASSES = "new classes"


def shares(runs: pd.DataFrame) -> pd.DataFrame:
    """Percentage of updates that a projection changed, by run and seed: `early` in the first ones, `whole` in all.

    `projected` is the share since the last row, and there is a row for every update.
    """
    rows = runs[runs.projected.notna()]
    share = rows.assign(update=rows.step - rows.start_step, percent=100 * rows.projected)
    keys = ["run", "seed"]
    early = share[share["update"] <= FIRST_STEPS].groupby(keys).percent.mean()
    return pd.DataFrame({"early": early, "whole": share.groupby(keys).percent.mean()}).reset_index()


def means(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95 % interval over seeds of all numbers, by method, place (a rate or new classes) and quantity."""
    table = gaps(runs).merge(shares(runs), on=["run", "seed"], how="left")
    scenario, _, method = (table.arm.str.partition("_")[i] for i in range(3))
    place = table.lr.map("{:g}".format).where(scenario == "rotation", CLASSES)
    table = table.assign(method=method, place=place)
    parts = (
        mean_band(table[table[name].notna()], by=["method", "place"], value=name).assign(quantity=name)
        for name in ("depth", "mean", *SHARES)
    )
    return pd.concat(parts)


def draw_family(ax: Axes, found: pd.DataFrame, family: str, positions: dict[str, float]) -> None:
    """One quantity of a family's methods beside each other at each place; joined over the rates."""
    for i, name in enumerate(FAMILIES[family]):
        for quantity, rows in found[found.method == name].groupby("quantity"):
            hollow = quantity == "whole"
            x = rows.place.map(positions) + ASIDE * (i - 1 + 0.4 * hollow)
            draw_points(ax, x, rows, COLORS[name], markerfacecolor="white" if hollow else COLORS[name])


def name_methods(ax: Axes, family: str) -> None:
    """The methods' names in their colours, below each other in the upper left corner."""
    for i, name in enumerate(FAMILIES[family]):
        place = (0.03, 0.96 - 0.1 * i)
        ax.text(*place, NAMES[name], transform=ax.transAxes, color=COLORS[name], fontsize=7, va="top")


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    found = means(runs)
    rates = sorted(set(found.place) - {CLASSES}, key=float)
    positions = {place: float(i) for i, place in enumerate([*rates, CLASSES])}
    fig, panels = figure(width="page", columns=3, rows=2, height=4.6, sharex=True, sharey="col")
    for axes, family in zip(panels, FAMILIES, strict=True):
        for ax, value in zip(axes, VALUES, strict=True):
            wanted = list(SHARES) if value in SHARES else [value]
            draw_family(ax, found[found.quantity.isin(wanted)], family, positions)
            ax.axvline(len(rates) - 0.5, color=PALETTE["reference"], linewidth=0.5, linestyle=":")
            ax.set_ylabel(VALUES[value])
        name_methods(axes[0], family)
    for ax in panels[1]:
        ax.set_xticks(list(positions.values()), [*rates, "new\nclasses"])
        ax.set_xlabel("learning rate", loc="left")
    for ax, title in zip(panels[0], ("a  The drop", "b  The end", "c  How often it acts"), strict=True):
        ax.set_title(title)
    for ax in panels[0, [0, 2]]:
        ax.set_ylim(0, 1.3 * ax.get_ylim()[1])
    note(panels[0, 2], "\n".join(SHARES.values()), corner="upper left")
    mark(panels[0, 0], verdicts["G7"])
    return fig, found
