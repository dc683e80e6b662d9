"""Final loss by shape and by length of the decay.

All decays end at the longest budget and at one rate. Left: final loss of each shape of the decay minus that of the
linear one of equal length, a fifth of the budget, paired by seed. Right: what a linear decay gains on the constant rate
by its length, paired by seed, as a share of the mean gain of the best length; crosses: a 124M model, linear decays to
zero (Schaipp et al. 2025, logs). Means and 95 % intervals over seeds.
"""

import pandas as pd

from common.evidence.claims import Judged
from common.evidence.statistics import t_interval
from common.plotting import PALETTE, Axes, Figure, draw_points, figure, mark, mean_band
from studies.wsd.losses import decays, length_gains
from studies.wsd.study import SHAPE_ARMS, SHAPE_SHARE, length_arm

NAMES = {"sqrt": "1 - sqrt"}
MILLI = 1000
"""Shapes differ by thousandths of a nat."""
PUBLISHED_GAIN = {0.1: 0.155, 0.2: 0.173, 0.6: 0.187}
"""Nats/token below the constant rate by the decay's share: 124M model, 50k updates (Schaipp et al. 2025, logs)."""


def shape_gaps(runs: pd.DataFrame) -> pd.DataFrame:
    """Loss of each shape minus that of the linear decay of equal length, in 0.001 nats: mean and 95 % t interval."""
    table = decays(runs, length_arm(SHAPE_SHARE), *SHAPE_ARMS)
    losses = table.pivot(index="seed", columns="shape", values="val_loss")
    gaps = {shape: MILLI * (losses[shape] - losses["linear"]) for shape in losses.columns.drop("linear")}
    return pd.DataFrame([{"part": "shape", "shape": s, **vars(t_interval(gap))} for s, gap in gaps.items()])


def draw_shapes(ax: Axes, table: pd.DataFrame) -> None:
    """Differences to the linear decay, the best shape on top."""
    rows = table.sort_values("mean", ascending=False)
    draw_points(ax, range(len(rows)), rows, PALETTE["wsd"], across=True)
    ax.axvline(0, color=PALETTE["reference"], linewidth=0.8)
    ax.set_yticks(range(len(rows)), [NAMES.get(shape, shape) for shape in rows["shape"]])
    ax.set_ylim(-0.6, len(rows) - 0.4)


def gain_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean gain and its interval over seeds by share of the budget, in percent of the largest mean gain."""
    gains = length_gains(runs)
    band = mean_band(gains.melt(var_name="share", value_name="gain"), by=["share"], value="gain")
    most = band["mean"].abs().max()
    return band.assign(part="length", **{name: 100 * band[name] / most for name in ("mean", "low", "high")})


def draw(runs: pd.DataFrame, verdicts: dict[str, Judged]) -> tuple[Figure, pd.DataFrame]:
    """The figure and the numbers drawn."""
    fig, (left, right) = figure(width="page", columns=2, height=2.9)
    shapes, gains = shape_gaps(runs), gain_table(runs)
    draw_shapes(left, shapes)
    draw_points(right, 100 * gains.share, gains, PALETTE["linear"], linestyle="-")
    most = max(PUBLISHED_GAIN.values())
    published = [100 * gain / most for gain in PUBLISHED_GAIN.values()]
    right.plot([100 * share for share in PUBLISHED_GAIN], published, "x", color=PALETTE["constant"])
    left.set(title="a  Shape of the decay, against linear", xlabel="difference of final loss (0.001 nats/byte)")
    right.set(title="b  Length of a linear decay", xlabel="decay (% of the budget)", ylabel="gain (% of the best)")
    mark(left, verdicts["W12"])
    mark(right, verdicts["W11"])
    return fig, pd.concat([shapes, gains])
