"""Losses on both texts by the share of replay, and final losses of all training setups.

Loss on the old text (left) and the new one (middle) in the second phase by the share of old text in its batches, for
both shifts. Replay takes the place of new text: all have the same number of updates. Right: mean of both losses at the
end of all training setups, paired with joint training by seed, after 2250 updates unless a number is given; grey is
within 2 %. Joint training sees the windows of both phases mixed evenly in one cosine. Curves are means over five seeds
(three for 1 and 50 %), drawn without bands: seeds differ by about the same amount whatever the share; bars are 95 %
intervals of the paired differences (three seeds for "old" and "new text only" as well).
"""

import numpy as np
import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Axes, Figure, draw_points, figure, mark, mean_band
from studies.rewarming.curves import AXES, draw_curves
from studies.rewarming.phases import NEW, OLD, phases
from studies.rewarming.study import REPLAYS
from studies.rewarming.styles import COLORS, NAMES, TITLES

NAMED = ("rewarm", "replay25", "replay50")
"""Kinds whose curves lie apart on the new text."""
MARGIN = 2
"""Per cent of joint training's mean loss, within which a run matches it."""


def kinds_of(runs: pd.DataFrame, shift: str) -> dict[str, str]:
    """Kinds of second phases by share of replay that a shift has, and their names."""
    names = {"rewarm": "no replay"} | {kind: f"{NAMES[kind]} replay" for kind in REPLAYS}
    return {kind: name for kind, name in names.items() if (runs.arm == f"{shift}_{kind}").any()}


def draw_losses(axes: list[Axes], runs: pd.DataFrame, shift: str) -> list[pd.DataFrame]:
    """Losses on old and new text against updates, by share of replay; the numbers drawn."""
    drawn = []
    for ax, column in zip(axes, (OLD, NEW), strict=True):
        arms = {
            f"{shift}_{kind}": (name if column == OLD or kind in NAMED else "", COLORS[kind])
            for kind, name in kinds_of(runs, shift).items()
        }
        drawn.append(draw_curves(ax, runs, column, arms=arms | {f"{shift}_rewarm": ("no replay", COLORS["constant"])}))
        ax.set(ylabel=AXES[column])
    axes[0].set_title(TITLES[shift])
    return drawn


def summary(runs: pd.DataFrame, shift: str) -> pd.DataFrame:
    """Mean of both losses of all training setups over that of joint training, minus 1, in %, with their names."""
    runs = runs[runs.arm.str.startswith(f"{shift}_")]
    table = phases(runs)
    first, second = runs[runs.arm == f"{shift}_rewarm"][["start_step", "steps"]].max()
    bases = table[table.kind == "rewarm"].assign(average=lambda rows: (rows.before + rows.new_before) / 2, kind="base")
    names = {
        "scratch": f"new text only, {second}",
        "base": f"old text only, {first}",
        "only_old": "old text only",
        "only_new": "new text only",
        **kinds_of(runs, shift),
        "joint": "joint",
    }
    joint = table[table.kind == "joint"].set_index("seed").average
    every = pd.concat([table, bases])
    every = every.assign(gap=100 * (every.average / every.seed.map(joint) - 1))
    found = mean_band(every, by=["kind"], value="gap").set_index("kind")
    return found.loc[list(names)].assign(name=pd.Series(names)).reset_index()


def draw_summary(ax: Axes, runs: pd.DataFrame, shift: str) -> pd.DataFrame:
    """How far all training setups end above joint training; the numbers drawn."""
    found = summary(runs, shift)
    ax.axvspan(-MARGIN, MARGIN, color="#eeeeee", zorder=0)
    middle = found["mean"].max() / 2
    for place, (kind, name) in enumerate(zip(found.kind, found.name, strict=True)):
        color = COLORS["constant"] if kind in ("base", "rewarm") else COLORS[kind]
        draw_points(ax, [-place], found[found.kind == kind], color, across=True)
        above = found["mean"][place] > middle
        edge = np.nan_to_num(found["low" if above else "high"][place], nan=found["mean"][place])
        ax.annotate(name, (edge, -place), xytext=(-6 if above else 6, 0), textcoords="offset points",
                    fontsize=7, color=color, ha="right" if above else "left", va="center")  # fmt: skip
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("mean of both losses\nabove joint (%)")
    return found.assign(arm=f"{shift}_summary", quantity="gap")


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, panels = figure(width="page", columns=3, rows=2, height=5.0)
    drawn = []
    for axes, shift in zip(panels, TITLES, strict=True):
        drawn += draw_losses(list(axes[:2]), runs, shift)
        drawn.append(draw_summary(axes[2], runs, shift))
        axes[2].set_title("all setups, at the end")
    for ax in panels[1, :2]:
        ax.set_xlabel("updates of the second phase")
    mark(panels[1, 1], verdicts["R8"])
    return fig, pd.concat(drawn)
