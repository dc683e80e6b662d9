"""Change of each layer's outputs after three updates against width, for every parametrization.

Coordinate check: three full-batch updates of networks with three hidden layers (tanh, half squared error, 32 random
examples of a fixed teacher), at a quarter of μP's largest stable learning rate. Root mean square change of the outputs
of the first, third and last affine map against width; means with 95 % intervals over seeds (bars, mostly smaller than
the points), and the fitted exponents with theirs (numbers). At the base width 128 all parametrizations are the same
network; grey marks the change there. SP with SGD is beyond its own stable rate at the largest widths. NTP with Adam is
the literal translation. A rate for each layer keeps SP as flat as μP, with a readout that starts near 0.
"""

from typing import Any

import numpy as np
import pandas as pd

from common.evidence.claims import Judged
from common.evidence.statistics import t_interval
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, label_lines, mark, mean_band
from studies.lr_transfer.coordinates import coordinate_slopes
from studies.lr_transfer.styles import NAMES, SHADE

LAYERS = {"embedding": "First layer", "hidden.1": "Third layer", "readout": "Output"}
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}
TICKS = {-4: "0.0001", -3: "0.001", -2: "0.01", -1: "0.1", 0: "1", 1: "10"}
"""Written at powers of ten of the change."""


def changes(coordinates: pd.DataFrame) -> pd.DataFrame:
    """Mean log10 of the last change and its 95 % interval over seeds, with the exponent in the width and its interval.

    Columns optimizer, layer, parametrization, width, n, mean, low, high, slope, slope_low, slope_high.
    """
    rows = coordinates[(coordinates.quantity == "change") & (coordinates.step == coordinates.step.max())]
    rows = rows[rows.layer.isin(LAYERS)].assign(logarithm=lambda part: np.log10(part.value))
    keys = ["optimizer", "layer", "parametrization"]
    table = mean_band(rows, by=[*keys, "width"], value="logarithm")
    slopes = [
        {**about, **exponent(coordinates, about)} for about in table[keys].drop_duplicates().to_dict(orient="records")
    ]
    return table.merge(pd.DataFrame(slopes), on=keys)


def exponent(coordinates: pd.DataFrame, about: dict[Any, Any]) -> dict[str, float]:
    """The fitted exponent of one line and its 95 % interval over seeds."""
    interval = t_interval(coordinate_slopes(coordinates, **about))
    return {"slope": interval.mean, "slope_low": interval.low, "slope_high": interval.high}


def label(name: str, line: pd.Series) -> str:
    """Name and exponent of a line, on two lines if the name is long."""
    gap = " " if len(NAMES[name]) < 4 else "\n"
    number = f"{line.slope:+.2f} ± {line.slope_high - line.slope:.2f}".replace("-", "−")
    return f"{NAMES[name]}{gap}{number}"


def draw_panel(ax: Axes, table: pd.DataFrame) -> None:
    """The lines of one layer and optimizer, each with its exponent; grey is the size at which all meet."""
    base = table.groupby("width")["mean"].std().idxmin()
    ax.axhline(table["mean"][table.width == base].mean(), color=PALETTE["reference"], linewidth=0.8)
    labels = []
    for name in table.parametrization.unique():
        rows = table[table.parametrization == name]
        places, color, order = np.log2(rows.width), SHADE[name], 3 if name == "mup" else 2
        ax.plot(places, rows["mean"], color=color, zorder=order)
        draw_points(ax, places, rows, color, markersize=2.5, zorder=order)
        end = rows.iloc[-1]
        labels.append((places.iloc[-1], end["mean"], label(name, end), color))
    label_lines(ax, labels)


def draw(coordinates: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    table = changes(coordinates)
    fig, panels = figure(width="page", rows=2, columns=3, height=4.4, sharex=True, sharey="row")
    widths = np.log2(sorted(table.width.unique()))
    for line, (optimizer, name) in zip(panels, OPTIMIZERS.items(), strict=True):
        rows = table[table.optimizer == optimizer]
        line[0].set(ylabel=f"change after 3 updates, {name}", ylim=(rows.low.min() - 0.35, rows.high.max() + 0.2))
        for ax, layer in zip(line, LAYERS, strict=True):
            draw_panel(ax, rows[rows.layer == layer])
            ax.set_xticks(widths, [f"{2**width:.0f}" for width in widths], rotation=45)
        shown = [power for power in TICKS if line[0].get_ylim()[0] < power < line[0].get_ylim()[1]]
        line[0].set_yticks(shown, [TICKS[power] for power in shown])
    for ax, below, title in zip(*panels, LAYERS.values(), strict=True):
        ax.set_title(title)
        below.set_xlabel("width")
    fig.suptitle(
        "Under μP (blue) every layer changes alike at every width", x=0.01, ha="left", fontsize=9, weight="bold"
    )
    mark(panels[1, 2], verdicts["T0"])
    return fig, table
