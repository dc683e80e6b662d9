"""Effects on a ladder of sizes, and what they say about larger networks.

Each size reads 30 bytes for each parameter in batches of 8 windows; effects are paired by seed, at the peaks that were
best on each size with a seed of its own, and all decays end at a tenth of WSD's. a: how far a decay over the last tenth
brings the loss below that of the constant rate. b: loss of WSD above that of the cosine. c: loss of WSD-S above that of
WSD at equal total compute. d: gain of a decay over a tenth, of that of one over a fifth. e: what equal weights on the
constant run's states of the last fifth recover of the decay's gain. a to c in percent of the loss, since nats per byte
and nats per token do not compare. Marks: mean and 95 % interval over seeds, and each seed. Band: 95 % interval of the
trend, which joins those of three laws (no further change, a line in log N, a power of N); dashed beyond the largest
size, pale beyond ten times it, where no verdict may rest on it. Stars: a 124M model after 50k updates (Schaipp et al.
2025, logs), one seed, decays to 0, and data that are another multiple of its size; in b a decay over a fifth, peak
1e-3, against a cosine with the peak 2e-3.
"""

from typing import NamedTuple

import pandas as pd

from common.evidence.claims import Judged
from common.evidence.ladder import Published, fit
from common.plotting import PALETTE, Figure, figure, ladder, mark
from studies.wsd import sizes

LARGE, LOGS = 124e6, "Schaipp et al. 2025"


class Panel(NamedTuple):
    """An effect and how it is shown."""

    title: str
    label: str
    effects: sizes.Effects
    published: Published | None = None
    null: float = 0.0


def panels_of(runs: pd.DataFrame, averaging: pd.DataFrame) -> list[Panel]:
    """What the figure shows, in its order."""
    fall = Published(100 * 0.155 / 3.103, parameters=LARGE, name=LOGS)
    gap = Published(100 * (2.930 - 2.918) / 2.918, parameters=LARGE, name=LOGS)
    short = Published(0.155 / 0.173, parameters=LARGE, name=LOGS)
    return [
        Panel("a  The decay's fall", "% of the loss", sizes.falls(runs), fall),
        Panel("b  WSD minus cosine", "% of the loss", sizes.gaps(runs), gap),
        Panel("c  WSD-S minus WSD", "% of the loss", sizes.kept_decays(runs)),
        Panel("d  Gain of a short decay", "of that of a longer one", sizes.short_gains(runs), short, 1.0),
        Panel("e  Averaging", "of the decay's gain", sizes.averaged(runs, averaging)),
    ]


def draw(runs: pd.DataFrame, averaging: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, axes = figure(width="page", columns=3, rows=2, height=5.2)
    tables = []
    for ax, panel in zip(axes.flat, panels_of(runs, averaging), strict=False):
        ax.set_ylabel(panel.label)
        drawn = ladder.draw(
            ax,
            fit(panel.effects),
            title=panel.title,
            color=PALETTE["wsd"],
            published=panel.published,
            null=panel.null,
        )
        tables.append(drawn.assign(panel=panel.title[0]))
    axes.flat[-1].set_axis_off()
    mark(axes.flat[0], verdicts["W19"], inside=True)
    mark(axes.flat[4], verdicts["W20"], inside=True)
    return fig, pd.concat(tables)
