"""Adam on MLPs and byte transformers, and its preconditioned sharpness.

Adam under SP and μP. Top: MLPs of four widths on the teacher's data; middle: byte transformers with two blocks on
Python code; both show the training loss over the last tenth of training. Diamonds mark the fitted best rates with their
95 % intervals over five seeds (top) and three (middle); bands are intervals of the losses (not drawn for the
transformers, whose seeds differ by the same amount at every rate). Bottom: largest eigenvalue of the preconditioned
Hessian along full-batch training, over its threshold 38/lr, at one learning rate for all widths; three seeds.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import Axes, Figure, draw_band, figure, mark, mean_band
from studies.lr_transfer.ratecurves import draw_rate_curves, name_sizes, plain_ticks
from studies.lr_transfer.styles import COLORS, NAMES, tones
from studies.lr_transfer.transfer import chosen

COLUMNS = ("sp", "mup")
ROWS = {"adam": "MLP", "text": "byte transformer"}
MARGIN = {"adam": (1.15, 1.1), "text": (1.02, 1.01)}
"""Factors below the smallest and above the largest loss."""
CURVES = "adam_curve"
VALUE = "normalised_sharpness"


def draw_sweeps(axes: list[Axes], runs: pd.DataFrame, arm: str) -> list[pd.DataFrame]:
    """Loss against learning rate, one panel for each parametrization; the numbers drawn."""
    drawn = []
    for ax, name in zip(axes, COLUMNS, strict=True):
        table = chosen(runs, arm, name)
        found = draw_rate_curves(ax, table, tones(COLORS[name], table.width), size="width", bands=arm != "text")
        drawn.append(found.assign(arm=arm, parametrization=name))
        ax.set(title=f"{NAMES[name]}, {ROWS[arm]}", xlabel="learning rate")
    curves = pd.concat(drawn)
    losses = curves[curves.quantity == "loss"]
    for ax, name in zip(axes, COLUMNS, strict=True):
        ax.set_xlim(losses.lr.min() / 3, losses.lr.max() * 1.3)
        below, above = MARGIN[arm]
        plain_ticks(ax, losses["mean"].min() / below, losses["mean"].max() * above)
        table = chosen(runs, arm, name)
        name_sizes(ax, table, tones(COLORS[name], table.width), size="width", symbol="N")
    axes[0].set_ylabel("final training loss")
    return drawn


def draw_sharpness(ax: Axes, runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """Preconditioned sharpness over its threshold against update, one curve for each width; the numbers drawn."""
    rows = runs[(runs.arm == CURVES) & (runs.parametrization == name) & runs[VALUE].notna()]
    found = mean_band(rows, by=["width", "step"], value=VALUE)
    for width, shade in tones(COLORS[name], found.width).items():
        draw_band(ax, found[found.width == width], shade)
    ax.axhline(1, color="black", linewidth=0.8, linestyle="--")
    ax.set(title=f"{NAMES[name]}, MLP, full batch", xscale="log", yscale="log", xlabel="update")
    ax.set_ylim(found["mean"].min() / 1.5, max(found["mean"].max() * 1.5, 2))
    return found.assign(arm=CURVES, parametrization=name, quantity=VALUE)


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, panels = figure(width="page", columns=2, rows=3, height=7.0)
    drawn = [part for axes, arm in zip(panels, ROWS, strict=False) for part in draw_sweeps(list(axes), runs, arm)]
    drawn += [draw_sharpness(ax, runs, name) for ax, name in zip(panels[2], COLUMNS, strict=True)]
    panels[2, 0].set_ylabel("preconditioned sharpness\nover 38/lr")
    panels[2, 1].sharey(panels[2, 0])
    mark(panels[0, 0], verdicts["T3a"])
    mark(panels[0, 1], verdicts["T3"])
    mark(panels[1, 1], verdicts["T3b"])
    return fig, pd.concat(drawn)
