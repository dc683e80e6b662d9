"""Plateau of the sharpness against batch size, and sharpness of random batches against their size.

SGD at one learning rate with batches of 16, 64 and 256, and with all 1024 examples; mean and 95 % interval over seeds.
a: largest eigenvalue of the Hessian over all examples, in units of 2/lr (dashed). b: its median over the last third of
the training. c: largest eigenvalue of random batches, as the mean over 20 batches of each size divided by the largest
eigenvalue over all examples, for the initial network and for the one trained with the full batch. A small batch is
sharper than the whole, and training with small batches ends where the whole is flatter.
"""

import math

import pandas as pd

from common.evidence.claims import Judged
from common.plotting import (
    PALETTE,
    Axes,
    Figure,
    draw_band,
    draw_points,
    figure,
    label_lines,
    mark,
    mean_band,
    shades,
)
from studies.sharpness.plateaus import batch_plateaus, batch_ratios
from studies.sharpness.study import BATCH_EVERY

STATES = {"initial": PALETTE["reference"], "trained": PALETTE["rewarm"]}


def trajectories(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean of lr sharpness / 2 with its interval over seeds, by batch size (infinite for the full batch) and step."""
    rows = runs[runs.sharpness.notna() & (runs.step % BATCH_EVERY == 0)]
    rows = rows.assign(edge=rows.lr * rows.sharpness / 2, batch_size=rows.batch_size.fillna(math.inf))
    return mean_band(rows, by=["batch_size", "step"], value="edge").assign(part="trajectory")


def over_seeds(table: pd.DataFrame, *, part: str) -> pd.DataFrame:
    """Mean with its interval for each column (a batch size) of a table by seed."""
    long = pd.Series(table.rename_axis(columns="batch_size").stack(), name="value").reset_index()
    return mean_band(long, by=["batch_size"], value="value").assign(part=part)


def name(size: float) -> str:
    """A batch size for readers."""
    return "all" if math.isinf(size) else f"{size:g}"


def size_axis(ax: Axes, sizes: list[float]) -> dict[float, int]:
    """Label the x axis with batch sizes at equal distances; their places."""
    places = {size: place for place, size in enumerate(sizes)}
    ax.set_xticks(list(places.values()), [name(size) for size in sizes])
    ax.set_xlim(-0.5, len(sizes) - 0.5)
    return places


def draw(runs: pd.DataFrame, batches: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, (course, plateau, single) = figure(width="page", columns=3, height=2.9)
    curves, plateaus = trajectories(runs), over_seeds(batch_plateaus(runs), part="plateau")
    ratios = [over_seeds(batch_ratios(batches, state), part=state) for state in STATES]
    sizes = sorted(curves.batch_size.unique())
    colors = dict(zip(sizes, shades("wsd", len(sizes)), strict=True))
    labels = []
    for size in sizes:
        curve = curves[curves.batch_size == size]
        draw_band(course, curve, colors[size])
        labels.append((curve.step.max(), curve["mean"].iloc[-1], name(size), colors[size]))
    places = size_axis(plateau, sizes)
    for size in sizes:
        draw_points(plateau, [places[size]], plateaus[plateaus.batch_size == size], colors[size])
    places = size_axis(single, sizes)
    for state, table in zip(STATES, ratios, strict=True):
        single.plot(table.batch_size.map(places), table["mean"], color=STATES[state], linewidth=0.8)
        draw_points(single, table.batch_size.map(places), table, STATES[state])
        above = state == "trained"
        place = {"ha": "left" if above else "right", "va": "bottom" if above else "top"}
        shift, point = (4, 2) if above else (-3, -3), (places[sizes[1]], table["mean"].iloc[1])
        single.annotate(state, point, shift, textcoords="offset points", fontsize=7, color=STATES[state], **place)
    for ax in (course, plateau, single):
        ax.axhline(1, color=PALETTE["reference"], linewidth=0.8, linestyle="--")
    course.set(title="a  Sharpness of all data", xlabel="update", ylabel="lr × sharpness / 2", ylim=(0, 1.4))
    plateau.set(title="b  Its plateau", xlabel="batch size in training", ylabel="lr × sharpness / 2", ylim=(0, 1.4))
    single.set(
        title="c  Random batches", xlabel="batch size", ylabel="sharpness over that of all data", ylim=(0.8, 2.5)
    )
    label_lines(course, labels)
    mark(plateau, verdicts["S11"])
    mark(single, verdicts["S12"])
    return fig, pd.concat([curves, plateaus, *ratios])
