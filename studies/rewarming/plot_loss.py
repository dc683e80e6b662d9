"""Losses on both texts by peak, first updates by length of the warm-up, and re-warming on the same text.

Loss on the new text (top) and the old text (bottom) in the second phase, for a constant rate of 0.1x, for re-warming to
0.5x, 1x and 2x the first peak with a decay to a tenth of it, for 1x without a decay, and for training from scratch
(whose loss on the old text is off the scale). Right, top: the first updates of the weak shift with warm-ups of 0, 1 and
5 % of the phase, optimizer state kept (solid lines) or reset (dashed). Right, bottom: re-warming without a shift, on
more of the old text; the grey fifth is where rises are measured. Means over five seeds (three from scratch, for the
strong shift without decay and for the constant rate without shift), drawn without bands: seeds differ by about the same
amount in all arms. After Gupta et al. 2023 and Ibrahim et al. 2024.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Axes, Figure, figure, mark
from studies.rewarming.curves import AXES, draw_curves
from studies.rewarming.phases import EARLY, NEW, OLD
from studies.rewarming.study import PEAKS
from studies.rewarming.styles import COLORS, NAMES, SHIFTS

RATES = ("constant", *PEAKS)
SHOWN = {NEW: (*RATES, "held", "scratch"), OLD: (*RATES, "held")}
WARMUPS = {"0": "no warm-up", "1": "1 %", "5": "5 %"}


def span(runs: pd.DataFrame, arms: list[str], column: str) -> tuple[float, float]:
    """Limits of an axis that holds these arms' losses, with room for names below."""
    losses = runs[runs.arm.isin(arms)][column]
    low, high = losses.min(), losses.max()
    return low - 0.16 * (high - low), high + 0.04 * (high - low)


def draw_shift(axes: list[Axes], runs: pd.DataFrame, shift: str) -> list[pd.DataFrame]:
    """Both losses of one shift; the numbers drawn."""
    drawn = []
    for ax, (column, kinds) in zip(axes, SHOWN.items(), strict=True):
        arms = {f"{shift}_{kind}": (NAMES[kind], COLORS[kind]) for kind in kinds}
        arms = {arm: style for arm, style in arms.items() if (runs.arm == arm).any()}
        ends = [arm for arm in arms if not arm.endswith("scratch")]
        ax.set_ylim(*span(runs, ends, column))
        drawn.append(draw_curves(ax, runs, column, arms=arms))
    axes[0].set_title(SHIFTS[shift])
    return drawn


def draw_warmups(ax: Axes, runs: pd.DataFrame) -> pd.DataFrame:
    """The first updates of the weak shift by length of the warm-up, optimizer kept (solid) or reset (dashed)."""
    drawn = []
    for state, line in (("reset", "--"), ("kept", "-")):
        arms = {
            f"weak_beginning_{state}{share}": (name if state == "kept" else "", color)
            for (share, name), color in zip(WARMUPS.items(), [COLORS[kind] for kind in reversed(PEAKS)], strict=True)
        }
        drawn.append(draw_curves(ax, runs, NEW, arms=arms, linestyle=line))
    ax.set(title="warm-up", xlabel="first updates, weak shift\n(dashed: optimizer reset)", xlim=(0, None))
    return pd.concat(reversed(drawn))


def draw_same(ax: Axes, runs: pd.DataFrame) -> pd.DataFrame:
    """Re-warming on more of the old text."""
    arms = {f"same_{kind}": (NAMES[kind], COLORS[kind]) for kind in ("constant", "rewarm", "double")}
    ax.set_ylim(*span(runs, list(arms), OLD))
    ax.set_title("no shift")
    ax.axvspan(0, EARLY * runs[runs.arm == "same_rewarm"].steps.max(), color="#f2f2f2", zorder=0)
    return draw_curves(ax, runs, OLD, arms=arms)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, panels = figure(width="page", columns=3, rows=2, height=5.4)
    drawn = [part for i, shift in enumerate(("strong", "weak")) for part in draw_shift(list(panels[:, i]), runs, shift)]
    drawn += [draw_warmups(panels[0, 2], runs), draw_same(panels[1, 2], runs)]
    for row, column in zip(panels, (NEW, OLD), strict=True):
        row[0].set_ylabel(AXES[column])
    for ax in panels[1]:
        ax.set_xlabel("updates of the second phase")
    mark(panels[0, 2], verdicts["R1"], verdicts["R2"])
    mark(panels[1, 2], verdicts["R5"])
    return fig, pd.concat(drawn)
