"""The decay's fall, and WSD against cosine, on a ladder of sizes.

Three sizes of the network, each trained on 30 bytes per parameter in batches of 16 windows (761, 1425 and 2981 updates)
at the headline peak; effects are paired by seed. Left: how far a decay over the last tenth of the updates brings the
loss below that of the constant rate after as many updates. Right: final loss of WSD above that of a cosine of equal
peak and final rate. Both in percent of the loss (of the constant rate, of the cosine), since nats per byte and nats
per token do not compare. Marks: mean and 95 % interval over seeds, and each seed. Band: 95 % interval of the trend,
which joins those of three laws (no further change, a line in log N, a power of N); dashed beyond the largest size,
pale beyond ten times it, where no verdict may rest on it. Stars: a 124M model after 50k updates (Schaipp et al. 2025,
logs), one seed; left a linear decay over the last tenth to 0 (3.103 - 0.155 nats/token, peak 1e-3); right a linear
decay over the last fifth (2.930, peak 1e-3) against a cosine (2.918, peak 2e-3), both to 0. Its decays end lower than
ours, and its data are another multiple of its size.
"""

import pandas as pd

from common.evidence.ladder import Published, fit
from common.plotting import PALETTE, Figure, figure, ladder
from studies.wsd import sizes

FALL = Published(100 * 0.155 / 3.103, parameters=124e6, name="Schaipp et al. 2025")
GAP = Published(100 * (2.930 - 2.918) / 2.918, parameters=124e6, name="Schaipp et al. 2025")


def draw(runs: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, (left, right) = figure(width="page", columns=2, height=3.0)
    left.set(ylabel="fall in the decay (% of the loss)")
    right.set(ylabel="WSD minus cosine (% of the loss)")
    panels = (
        (left, "a  The decay's fall", sizes.falls(runs), PALETTE["wsd"], FALL),
        (right, "b  WSD against cosine", sizes.gaps(runs), PALETTE["wsd"], GAP),
    )
    tables = [
        ladder.draw(ax, fit(effects), title=title, color=color, published=published).assign(panel=title[0])
        for ax, title, effects, color, published in panels
    ]
    return fig, pd.concat(tables)
