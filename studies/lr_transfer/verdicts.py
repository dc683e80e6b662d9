"""When the claims on the transfer of learning rates hold. Thresholds frozen after pilots with seeds 100 to 104."""

from collections.abc import Callable, Hashable

import numpy as np
import pandas as pd

from common.evidence.combinations import all_of
from common.evidence.statistics import paired_differences
from common.evidence.verdicts import Verdict, equivalence, greater, less, proportion, reported, within
from studies.lr_transfer.consistency import (
    SHARPNESS,
    Measure,
    arrival_delay,
    arrival_spread,
    distance,
    edge,
    sharpening_slope,
    spread,
    tables,
)
from studies.lr_transfer.coordinates import coordinate_slopes
from studies.lr_transfer.transfer import (
    chosen,
    curves,
    depth_drift,
    drifts,
    interior,
    losses_by_width,
    moves,
    ordered_shares,
    regret,
    sensitivity,
)

OCTAVES = "octaves per doubling"
FLAT = 0.2
"""Octaves per doubling below which an optimum is said to stay."""
SHIFTED = -0.6
"""Octaves per doubling below which an optimum is said to shift."""
MOSTLY = 0.7
"""Share of optima that must lie inside the grid of rates: all of twelve or more do if its interval is above."""
FIRST_SHARE = 0.1
"""Part of a linear network's descent, at its start, in which the residual part may matter."""


def inside_the_grid(runs: pd.DataFrame, arm: str, *parametrizations: str) -> Verdict:
    """Share of seeds and widths whose best rate has a neighbour on either side."""
    found = [interior(chosen(runs, arm, name), size="width") for name in parametrizations]
    return proportion([one for each in found for one in each.values()], above=MOSTLY, label=f"optima inside, {arm}")


def shared_rate(runs: pd.DataFrame) -> float:
    """Rate of the grid with the smallest final loss of muP, SGD, mean over seeds and widths in the logarithm."""
    losses = curves(chosen(runs, "sgd_mse", "mup"), size="width")
    return float(np.log(losses).mean().idxmin())


def by_seed(runs: pd.DataFrame, measure: Measure, **selection: str) -> dict[int, float]:
    """A measure of `consistency` of each seed's curves; the selection names arm, parametrization and value."""
    return {seed: measure(curves) for seed, curves in tables(runs, **selection).items()}


def before_edge(runs: pd.DataFrame, measure: Callable[[pd.DataFrame, float], float], name: str) -> dict[int, float]:
    """A measure that needs the edge, of the effective sharpness of a parametrization by seed."""
    line = edge(runs, arm="curve")
    return by_seed(runs, lambda curves: measure(curves, line), arm="curve", parametrization=name)


def spread_excess(runs: pd.DataFrame, arm: str) -> dict[Hashable, float]:
    """Relative spread over widths of muP's loss minus that of its sharpness, both over the last third of a run."""
    loss, sharpness = (
        by_seed(runs, spread, arm=arm, parametrization="mup", value=value)
        for value in ("train_loss", "effective_sharpness")
    )
    return paired_differences(loss, sharpness)


def linear_parts(linear: pd.DataFrame, parametrization: str) -> pd.DataFrame:
    """Largest eigenvalues of the parts (columns) of linear networks of finite width, by width, seed and step."""
    rows: pd.DataFrame = linear[(linear.parametrization == parametrization) & np.isfinite(linear.width)]
    return rows.pivot(index=["width", "seed", "step"], columns="part", values="eigenvalue")


def linear_growth(linear: pd.DataFrame, parametrization: str) -> pd.Series:
    """Sharpness at the end of the descent over that at its start in the widest linear network, by seed."""
    sharpness = linear_parts(linear, parametrization).hessian
    widest = sharpness.xs(sharpness.index.unique("width").max()).unstack("step")
    return widest[widest.columns.max()] / widest[0]


def depth_distance(runs: pd.DataFrame, arm: str) -> pd.Series:
    """Mean distance of the curves of sharpness to that of the deepest network before the edge, by seed."""
    arm = f"deep_{arm}"
    rows = runs[(runs.arm == arm) & runs[SHARPNESS].notna()]
    return pd.Series(
        {
            seed: distance(part.pivot(index="step", columns="depth", values=SHARPNESS), edge(runs, arm=arm))
            for seed, part in rows.groupby("seed")
        }
    )


def activations_change_alike_at_every_width(coordinates: pd.DataFrame) -> Verdict:
    """Slope of the change after 3 updates within +-0.1 in each layer under muP; of SP's outputs with Adam above 0.5."""
    flat = (
        within(
            coordinate_slopes(coordinates, optimizer=optimizer, parametrization="mup", layer=layer),
            low=-0.1,
            high=0.1,
            unit="d log change / d log width",
            label=f"μP, {optimizer}, {layer}",
        )
        for optimizer in coordinates.optimizer.unique()
        for layer in coordinates.layer.unique()
    )
    outputs = coordinate_slopes(coordinates, optimizer="adam", parametrization="sp", layer="readout")
    grows = greater(outputs, than=0.5, unit="d log change / d log width", label="SP, adam, readout")
    return all_of(*flat, grows)


def mup_transfers(runs: pd.DataFrame) -> Verdict:
    """Drift within +-0.2 octave per doubling, and at most one octave between the narrowest and the widest."""
    table = chosen(runs, "sgd_mse", "mup")
    return all_of(
        equivalence(drifts(runs, "sgd_mse", "mup"), margin=FLAT, unit=OCTAVES, label="drift"),
        equivalence(moves(table, size="width"), margin=1, unit="octaves over 8x", label="grid"),
        inside_the_grid(runs, "sgd_mse", "mup"),
    )


def sp_does_not_transfer(runs: pd.DataFrame) -> Verdict:
    """Drift below -0.6 octave per doubling; two octaves or more from the narrowest to the widest (half-octave grid)."""
    return all_of(
        less(drifts(runs, "sgd_mse", "sp"), than=SHIFTED, unit=OCTAVES, label="drift"),
        less(moves(chosen(runs, "sgd_mse", "sp"), size="width"), than=-1.75, unit="octaves over 8x", label="grid"),
        inside_the_grid(runs, "sgd_mse", "sp"),
    )


def cross_entropy_shifts_less(runs: pd.DataFrame) -> Verdict:
    """Drift in [-0.75, -0.2] octave per doubling, and above that of the squared error."""
    entropy, squared = drifts(runs, "sgd_ce", "sp"), drifts(runs, "sgd_mse", "sp")
    return all_of(
        within(entropy, low=-0.75, high=-0.2, unit=OCTAVES, label="drift"),
        greater(paired_differences(entropy, squared), than=0, unit=OCTAVES, label="above squared error"),
        reported(drifts(runs, "sgd_ce", "mup"), unit=OCTAVES, label="drift, μP"),
        inside_the_grid(runs, "sgd_ce", "sp"),
    )


def adam_transfers_under_mup(runs: pd.DataFrame) -> Verdict:
    """SP's drift below -0.4 octave per doubling, twice what muP may drift; muP's within +-0.2."""
    return all_of(
        less(drifts(runs, "adam", "sp"), than=-2 * FLAT, unit=OCTAVES, label="SP"),
        equivalence(drifts(runs, "adam", "mup"), margin=FLAT, unit=OCTAVES, label="μP"),
        inside_the_grid(runs, "adam", "sp", "mup"),
    )


def adam_rate_halves_under_sp(runs: pd.DataFrame) -> Verdict:
    """SP's drift within -1 +- 0.25 octave per doubling."""
    return within(drifts(runs, "adam", "sp"), low=-1.25, high=-0.75, unit=OCTAVES)


def transformer_transfers_under_mup(runs: pd.DataFrame) -> Verdict:
    """SP's drift below -0.6 octave per doubling, muP's within +-0.25."""
    return all_of(
        less(drifts(runs, "text", "sp"), than=SHIFTED, unit=OCTAVES, label="SP"),
        equivalence(drifts(runs, "text", "mup"), margin=0.25, unit=OCTAVES, label="μP"),
        inside_the_grid(runs, "text", "sp", "mup"),
    )


def regret_is_small_only_under_mup(runs: pd.DataFrame) -> Verdict:
    """Loss of the widest at the narrowest's best rate: at most 3 % above its own best (muP), at least 25 % (SP)."""
    paid = {name: regret(chosen(runs, "sgd_mse", name), size="width") for name in ("mup", "sp")}
    return all_of(
        less(paid["mup"], than=0.03, unit="of the best loss", label="μP"),
        greater(paid["sp"], than=0.25, unit="of the best loss", label="SP"),
    )


def wider_is_better_under_mup(runs: pd.DataFrame) -> Verdict:
    """Training losses ordered by width, within 2 standard errors, at 90 % of the logged steps or more; not SP's."""
    lr = shared_rate(runs)
    rows = runs[(runs.arm == "sgd_mse") & (runs.lr == lr)]
    shares = {name: ordered_shares(losses_by_width(rows[rows.parametrization == name])) for name in ("mup", "sp")}
    return all_of(
        greater(shares["mup"], than=0.9, unit="of logged steps", label="μP"),
        less(shares["sp"], than=0.9, unit="of logged steps", label="SP"),
    )


def sharpness_curves_coincide(runs: pd.DataFrame) -> Verdict:
    """Mean |log ratio| to the widest before either reaches 0.95 of 2/lr: muP below 0.15, NTP above 0.40."""
    return all_of(
        less(before_edge(runs, distance, "mup"), than=0.15, unit="in log", label="μP"),
        greater(before_edge(runs, distance, "ntp"), than=0.40, unit="in log", label="NTP"),
    )


def arrival_is_independent_of_width(runs: pd.DataFrame) -> Verdict:
    """Widths arrive within 0.5 octave under muP; NTP's widest more than 0.5 octave after its narrowest.

    A curve that never arrives counts with the end of the run, so NTP's delay is a lower bound.
    """
    return all_of(
        less(before_edge(runs, arrival_spread, "mup"), than=0.5, unit="octaves", label="μP"),
        greater(before_edge(runs, arrival_delay, "ntp"), than=0.5, unit="octaves", label="NTP"),
    )


def sharpening_survives_width(runs: pd.DataFrame) -> Verdict:
    """Slope of log2(largest / first sharpness) per doubling of the width at lr / 8: muP within +-0.1, NTP below -0.2.

    ASSUME: the factor over the time lr * steps = 3 stands for that of the whole training.
    """
    mup, ntp = (by_seed(runs, sharpening_slope, arm="quiet", parametrization=name) for name in ("mup", "ntp"))
    return all_of(
        within(mup, low=-0.1, high=0.1, unit="octaves per doubling", label="μP"),
        less(ntp, than=-0.2, unit="octaves per doubling", label="NTP"),
    )


def sharpness_is_more_consistent_than_loss(runs: pd.DataFrame) -> Verdict:
    """Spread of the loss minus spread of the sharpness above 0 where all widths have met the edge.

    The edge itself holds the sharpness together there, so the same difference is reported where nothing does.
    """
    return all_of(
        greater(spread_excess(runs, "curve"), than=0, unit="relative spread", label="at the edge"),
        reported(spread_excess(runs, "quiet"), unit="relative spread", label="far below it"),
    )


def gauss_newton_carries(linear: pd.DataFrame) -> Verdict:
    """Under muP lambda(G) >= 0.9 lambda(H) at each width after 10 % of the steps; wide NTP grows by at most 5 %."""
    parts = linear_parts(linear, "mup")
    steps = parts.index.get_level_values("step")
    late = parts[steps >= FIRST_SHARE * steps.max()]
    least = (late.gauss_newton / late.hessian).groupby(["width", "seed"]).min().unstack("width")
    return all_of(
        *(greater(least[width], than=0.9, unit="of λ(H)", label=f"G, μP, N = {width:g}") for width in least),
        less(linear_growth(linear, "ntp"), than=1.05, unit="times λ at the start", label="growth, NTP"),
        reported(linear_growth(linear, "mup"), unit="times λ at the start", label="growth, μP"),
    )


def rate_transfers_over_depth(runs: pd.DataFrame) -> Verdict:
    """Drift per doubling of depth: alpha 1/2, k 1 within +-0.2 octave; alpha 0 below -0.5."""
    return all_of(
        equivalence(depth_drift(runs, "half_k1"), margin=FLAT, unit=OCTAVES, label="alpha 1/2, k 1"),
        less(depth_drift(runs, "none_k1"), than=-0.5, unit=OCTAVES, label="alpha 0"),
    )


def two_layers_do_not_transfer(runs: pd.DataFrame) -> Verdict:
    """Size of the drift and distance of sharpness curves before the edge at least twice those with one layer."""
    one, two = depth_drift(runs, "half_k1"), depth_drift(runs, "half_k2")
    more = {seed: abs(two[seed]) - 2 * abs(one[seed]) for seed in one}
    apart = np.log2(depth_distance(runs, "half_k2") / depth_distance(runs, "half_k1"))
    return all_of(
        greater(more, than=0.0, unit=OCTAVES, label="size of the drift less twice that of k 1"),
        greater(apart, than=1.0, unit="doublings", label="distance over that of k 1"),
        reported(two, unit=OCTAVES, label="drift"),
    )


def sensitivity_stays(runs: pd.DataFrame) -> Verdict:
    """Sensitivity of the widest network within 1.5 octaves of its optimum: muP's over SP's in [0.8, 1.2]."""
    mup, sp = (sensitivity(chosen(runs, "sgd_mse", name), size="width") for name in ("mup", "sp"))
    return within(mup / sp, low=0.8, high=1.2, unit="of SP's", label="μP over SP")


def rates_by_layer_transfer(runs: pd.DataFrame) -> Verdict:
    """Drift of SP with Adam and a rate for each layer within +-0.2 octave per doubling."""
    return all_of(
        equivalence(drifts(runs, "adam", "sp_layerwise"), margin=FLAT, unit=OCTAVES),
        inside_the_grid(runs, "adam", "sp_layerwise"),
    )
