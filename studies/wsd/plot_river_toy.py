"""Winding valley: trajectories, progress against the cumulative learning rate, excess against the rate.

SGD in a winding river valley: how far it gets, how high it hovers, and what a decay reveals. The loss is
-g x + (lam/2)(y - a sin(k x))^2, with noise in y only. Black: theory, nothing fitted. a: y is drawn larger than x, and
the contours are not evenly spaced; one seed at a small and at a large rate, and its decay (inset: the last updates).
b to d: means over 512 seeds, with their 95 % interval as a band; the excess in d is the mean over the last half of 4000
updates. Dashed: the river itself (b), the limit of small rates (d). The exact excess and the bound are those of a
straight valley.
"""

from typing import Any

import numpy as np
import pandas as pd

from common.plotting import PALETTE, Axes, Figure, figure, shades
from studies.wsd.measure_river import CONSTANT_LRS, PEAK, STEPS, STRAIGHT, WINDING, last_steps
from studies.wsd.river import excess_bound, river_loss, small_rate_excess, stationary_excess

SMALL = CONSTANT_LRS[0]
SHADE = dict(zip(CONSTANT_LRS, shades("constant", len(CONSTANT_LRS)), strict=True))
"""Constant learning rates, from light to dark."""
SHOWN_LOSS = (SMALL, PEAK)
"""Constant learning rates whose loss is drawn."""
THEORY: dict[str, Any] = {"color": "black", "linewidth": 0.6}
NOTE: dict[str, Any] = {"fontsize": 7, "linespacing": 1.1}
DOTS: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 2.2, "markeredgewidth": 0}
WAY = {"large": SHADE[PEAK], "small": SHADE[SMALL], "decay": PALETTE["wsd"]}
LEVELS = (-2, -1.5, -1, -0.5, 0, 1, 2, 4, 8, 16, 64)
"""Losses of the contours; hills that are as high as the river is long must not hide its slope."""


def color_of(arm: str, lr: float) -> Any:
    """Colour of an arm: the schedule's, or the shade of a constant rate."""
    return SHADE[lr] if arm == "constant" else PALETTE[arm]


def paths(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """One seed's positions: at the small rate, at the large one, and in the decay from it."""
    path = table[table.part == "path"]
    small, large = path[path.arm == "constant"], path[path.arm == "wsd"]
    begin = STEPS - last_steps(STEPS)
    return {"small": small, "large": large[large.step <= begin], "decay": large[large.step >= begin]}


def draw_valley(ax: Axes, table: pd.DataFrame) -> None:
    """Panel a: the loss from above, the river, and one seed's path at two rates and in a decay."""
    ax.set(xlim=(-0.4, 12.3), ylim=(-0.95, 0.95), xlabel="x, along the valley", ylabel="y, across")
    ax.set_title(f"a  The valley from above, and one run of {STEPS} updates at each rate (y drawn larger than x)")
    across, up = np.meshgrid(np.linspace(*ax.get_xlim(), 400), np.linspace(*ax.get_ylim(), 300))
    loss = WINDING.loss(across, up)
    ax.contourf(across, up, loss, levels=LEVELS, cmap="YlOrBr", vmin=-2, vmax=180)
    ax.contour(across, up, loss, levels=LEVELS, colors="#d8b878", linewidths=0.4, linestyles="solid")
    river = table[(table.part == "river") & (table.valley == "winding")]
    ax.plot(river.x, river.y, **THEORY)
    for name, rows in paths(table).items():
        ax.plot(rows.x, rows.y, color=WAY[name], **DOTS)
    ax.text(0.0, -0.45, f"rate {SMALL:g}: near the river,\nlittle progress", color="#666666", va="top", **NOTE)
    ax.text(4.3, -0.7, f"rate {PEAK:g}: far downstream,\nhigh up the hills", color=SHADE[PEAK], va="top", **NOTE)
    ax.text(12.2, -0.42, "decay: drops\nonto the river", color=PALETTE["wsd"], va="top", ha="right", **NOTE)


def draw_settling(ax: Axes, table: pd.DataFrame) -> None:
    """Inset of panel a: distance from the river in the last updates, before and in the decay."""
    way = paths(table)
    for name in ("large", "decay"):
        rows = way[name][way[name].step >= STEPS - 3 * last_steps(STEPS)]
        ax.plot(rows.step, rows.y - WINDING.floor(rows.x.to_numpy()), color=WAY[name], **DOTS)
    ax.axhline(0, **THEORY)
    ax.set(xticks=[STEPS - last_steps(STEPS), STEPS], yticks=[-0.5, 0, 0.5], ylim=(-0.65, 0.65), facecolor="white")
    ax.set_title("distance from the river by update", fontsize=7, fontweight="normal", pad=2, loc="center")
    ax.tick_params(labelsize=7, length=2, pad=1)


def draw_loss(ax: Axes, table: pd.DataFrame) -> None:
    """Panel b: loss against the clock; the river's loss is the theory's without noise."""
    ax.set(xlabel="cumulative learning rate", ylabel="loss", title="b  A decay reveals the river", xlim=(0, 82))
    curve = table[table.part == "curve"]
    for _, rows in curve.groupby(["arm", "lr", "budget"]):
        arm, lr, budget = rows[["arm", "lr", "budget"]].iloc[0]
        if arm != "constant" or lr in SHOWN_LOSS:
            seen = rows[rows.step >= budget - last_steps(budget)] if arm == "wsd" else rows[rows.step > 0]
            color, half = color_of(arm, lr), seen.loss_half_width
            ax.plot(seen.clock, seen.loss, color=color, linewidth=1.6)
            ax.fill_between(seen.clock, seen.loss - half, seen.loss + half, color=color, alpha=0.25, linewidth=0)
            ax.plot(seen.clock, seen.predicted_loss, **THEORY)
    longest = curve[(curve.arm == "constant") & (curve.lr == PEAK)]
    ax.plot(longest.clock, river_loss(WINDING, longest.predicted_x.to_numpy()), **THEORY, linestyle="--")
    ax.text(40, 0.42, f"constant {PEAK:g}", color=SHADE[PEAK], **NOTE)
    ax.text(2.5, 0.27, "cosine", color=PALETTE["cosine"], **NOTE)
    ax.text(70, -1.0, "WSD\ndecays", color=PALETTE["wsd"], ha="right", **NOTE)
    ax.text(1, -0.55, f"constant\n{SMALL:g}", color="#777777", va="top", **NOTE)
    ax.text(58, -1.5, "river", color="black", ha="right", **NOTE)


def draw_clock(ax: Axes, table: pd.DataFrame) -> None:
    """Panel c: position against the clock for every schedule, and in the inset against the updates."""
    ax.set(xlabel="cumulative learning rate", ylabel="x, along the valley", title="c  Only summed rates matter")
    ax.set(xlim=(-3, 140), ylim=(-0.5, 20))
    inset = ax.inset_axes((0.1, 0.64, 0.32, 0.3))
    curve = table[(table.part == "curve") & (table.budget == STEPS)]
    for _, rows in curve.groupby(["arm", "lr"]):
        arm, lr = rows[["arm", "lr"]].iloc[0]
        color = color_of(arm, lr)
        sparse = rows[rows.step % (STEPS // 10) == 0]
        ax.plot(sparse.clock, sparse.x, color=color, **{**DOTS, "markersize": 3.5})
        inset.plot(rows.step, rows.x, color=color, linewidth=0.9)
        if arm == "constant":
            place: dict[str, Any] = {"xytext": (4, -7), "textcoords": "offset points", "fontsize": 7}
            ax.annotate(f"{lr:g}", (rows.clock.iloc[-1], rows.x.iloc[-1]), color=color, **place)
    farthest = curve[curve.lr == CONSTANT_LRS[-1]]
    ax.plot(farthest.clock, farthest.predicted_x, **THEORY)
    inset.set(xticks=[0, STEPS], yticks=[])
    inset.set_title("x by update", fontsize=7, fontweight="normal", pad=2)
    inset.tick_params(labelsize=7, length=2)


def draw_excess(ax: Axes, table: pd.DataFrame) -> None:
    """Panel d: mean loss above the river at a constant rate."""
    ax.set(xlabel="constant learning rate", ylabel="loss above the river", title="d  Large rates hover high")
    ax.set(xlim=(0, 0.036), ylim=(0, 4))
    measured = table.dropna(subset="excess")
    for lr, excess in zip(measured.lr, measured.excess, strict=True):
        ax.plot(lr, excess, "o", color=SHADE[lr], markersize=4)
    rate = np.geomspace(1e-4, 0.035, 200)
    ax.plot(rate, [float(stationary_excess(STRAIGHT, rate=value)) for value in rate], **THEORY)
    ax.plot(rate, small_rate_excess(STRAIGHT, rate=rate), **THEORY, linestyle="--")
    ax.plot(rate, excess_bound(STRAIGHT, rate=rate), color=PALETTE["reference"], linewidth=0.6)
    ax.text(0.0285, 3.0, "exact", ha="right", **NOTE)
    ax.text(0.035, 0.38, "small rates: ησ²/4", ha="right", va="top", **NOTE)
    ax.text(0.0165, 1.0, "bound: ησ²/2", ha="right", color="#777777", **NOTE)


def numbers(table: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: curves, ways, the winding river, and the mean excess of each constant rate."""
    excess = table.dropna(subset="excess").groupby("lr", as_index=False).excess.agg("mean").assign(part="excess")
    rows = table[table.part.isin(["curve", "path"]) | (table.valley == "winding")]
    drawn: pd.DataFrame = pd.concat([rows, excess], ignore_index=True).dropna(axis=1, how="all")
    return drawn


def draw(river: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = numbers(river)
    fig, panels = figure(width="page", columns=3, rows=2, height=4.8)
    grid = panels[0, 0].get_gridspec()
    for panel in panels[0]:
        panel.remove()
    valley = fig.add_subplot(grid[0, :])
    draw_valley(valley, table)
    draw_settling(valley.inset_axes((0.72, 0.62, 0.265, 0.3)), table)
    draw_loss(panels[1, 0], table)
    draw_clock(panels[1, 1], table)
    draw_excess(panels[1, 2], table)
    return fig, table
