"""Curves of the losses in a phase, drawn with their names at the ends."""

from collections.abc import Mapping

import pandas as pd

from common.plotting import Axes, label_lines, mean_band
from studies.rewarming.phases import NEW, OLD
from studies.rewarming.styles import Color

AXES = {OLD: "loss on old text (nats/byte)", NEW: "loss on new text (nats/byte)"}


def banded(runs: pd.DataFrame, arm: str, column: str) -> pd.DataFrame:
    """Mean and interval over seeds of one arm's losses; step counts updates of the phase."""
    rows = runs[(runs.arm == arm) & runs[column].notna()]
    return mean_band(rows.assign(step=rows.step - rows.start_step), by=["step"], value=column)


def draw_curves(
    ax: Axes, runs: pd.DataFrame, column: str, *, arms: Mapping[str, tuple[str, Color]], linestyle: str = "-"
) -> pd.DataFrame:
    """One line for each arm, the mean over seeds; the numbers drawn, with the interval.

    No bands: seeds differ by about the same amount in every arm, and what is compared are differences within a seed.

    Args:
        ax: the panel; set its limits before if it is to hold a part only.
        runs: the rows.
        column: the loss.
        arms: name and colour by arm; an empty name is not written, nor one outside the panel.
        linestyle: of all lines.
    """
    drawn, labels = [], []
    for arm, (name, color) in arms.items():
        found = banded(runs, arm, column)
        ax.plot(found.step, found["mean"], color=color, linewidth=1.0, linestyle=linestyle)
        end = found.iloc[-1]
        labels += [(end.step, end["mean"], name, color)] if name else []
        drawn.append(found.assign(arm=arm, quantity=column))
    low, high = ax.get_ylim()
    label_lines(ax, [label for label in labels if low <= label[1] <= high])
    return pd.concat(drawn)
