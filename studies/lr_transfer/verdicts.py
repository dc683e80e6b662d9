"""When the claims on the transfer of learning rates hold; bars are the settings of the claims.

They were frozen after pilots with seeds 100 to 104; those changed since then are marked by the claims' caveats.
"""

from collections.abc import Callable, Hashable

import numpy as np
import pandas as pd

from common.evidence.combinations import all_of
from common.evidence.readings import RATIO
from common.evidence.statistics import paired_differences
from common.evidence.verdicts import (
    Verdict,
    equivalence,
    greater,
    less,
    proportion,
    reported,
    unless_censored,
    withheld,
    within,
)
from studies.lr_transfer.consistency import (
    SHARPNESS,
    Measure,
    arrival_delay,
    arrival_spread,
    distance,
    distance_until,
    edge,
    never,
    sharpening_slope,
    spread,
    tables,
    window,
)
from studies.lr_transfer.coordinates import coordinate_slopes
from studies.lr_transfer.transfer import (
    chosen,
    cliffs,
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
MOSTLY = 0.7
"""Share of optima that must lie inside the grid of rates: all of twelve or more do if its interval is above."""
FIRST_SHARE = 0.1
"""Part of a linear network's descent, at its start, in which the residual part may matter."""


def inside_the_grid(runs: pd.DataFrame, arm: str, *parametrizations: str) -> Verdict:
    """Share of seeds and widths whose best rate has a neighbour on either side.

    Where too few have, the best rates are not known, and no number of runs decides.
    """
    found = [one for name in parametrizations for one in interior(chosen(runs, arm, name), size="width").values()]
    verdict = proportion(found, above=MOSTLY, label=f"optima inside, {arm}")
    return verdict if np.mean(found) > MOSTLY else withheld(verdict, "too many best rates lie at an end of the grid")


def at_the_cliff(runs: pd.DataFrame, arm: str, *parametrizations: str) -> list[Verdict]:
    """Reported: the share of optima one step below a rate that diverges, where the limit of stability is measured."""
    return [
        reported(
            cliffs(chosen(runs, arm, name), size="width"), unit="of optima", label=f"beside a divergence, {arm}, {name}"
        )
        for name in parametrizations
    ]


def shared_rate(runs: pd.DataFrame, parametrization: str) -> float:
    """Rate of the grid with the smallest final loss of SGD, mean over seeds and widths in the logarithm."""
    losses = curves(chosen(runs, "sgd_mse", parametrization), size="width")
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


def depth_distances(runs: pd.DataFrame, *arms: str) -> list[pd.Series]:
    """Mean distance of the curves of sharpness to that of the deepest network, by seed, for each arm.

    Over the updates before any curve of any of the arms reaches the edge: the same ones for all.
    """
    names = [f"deep_{arm}" for arm in arms]
    line = edge(runs, arm=names[0])
    found = []
    for name in names:
        rows = runs[(runs.arm == name) & runs[SHARPNESS].notna()]
        by_depth = (part.pivot(index="step", columns="depth", values=SHARPNESS) for _, part in rows.groupby("seed"))
        found.append(dict(zip(sorted(rows.seed.unique()), by_depth, strict=True)))
    ends = {seed: window([tables[seed] for tables in found], line) for seed in found[0]}
    return [pd.Series({seed: distance_until(tables[seed], ends[seed]) for seed in ends}) for tables in found]


def activations_change_alike_at_every_width(coordinates: pd.DataFrame, *, flat: float, grows: float) -> Verdict:
    """Slope of the change after 3 updates about 0 in each layer under muP; that of SP's outputs with Adam is large."""
    alike = (
        within(
            coordinate_slopes(coordinates, optimizer=optimizer, parametrization="mup", layer=layer),
            low=-flat,
            high=flat,
            unit="d log change / d log width",
            label=f"μP, {optimizer}, {layer}",
        )
        for optimizer in coordinates.optimizer.unique()
        for layer in coordinates.layer.unique()
    )
    outputs = coordinate_slopes(coordinates, optimizer="adam", parametrization="sp", layer="readout")
    unit = "d log change / d log width"
    return all_of(*alike, greater(outputs, than=grows, null=0.0, unit=unit, label="SP, adam, readout"))


def mup_transfers(runs: pd.DataFrame, *, flat: float, moved: float) -> Verdict:
    """Small drift, in octaves per doubling, and at most so many octaves between the narrowest and the widest."""
    table = chosen(runs, "sgd_mse", "mup")
    return all_of(
        equivalence(drifts(runs, "sgd_mse", "mup"), margin=flat, unit=OCTAVES, label="drift"),
        equivalence(moves(table, size="width"), margin=moved, unit="octaves over 8x", label="grid"),
        inside_the_grid(runs, "sgd_mse", "mup"),
        *at_the_cliff(runs, "sgd_mse", "mup"),
    )


def sp_does_not_transfer(runs: pd.DataFrame, *, shifted: float, moved: float) -> Verdict:
    """Drift of so many octaves per doubling; so many octaves from the narrowest to the widest (half-octave grid)."""
    grid = moves(chosen(runs, "sgd_mse", "sp"), size="width")
    return all_of(
        less(drifts(runs, "sgd_mse", "sp"), than=shifted, null=0.0, unit=OCTAVES, label="drift"),
        less(grid, than=moved, null=0.0, unit="octaves over 8x", label="grid"),
        inside_the_grid(runs, "sgd_mse", "sp"),
        *at_the_cliff(runs, "sgd_mse", "sp"),
    )


def cross_entropy_shifts_less(runs: pd.DataFrame, *, low: float, high: float) -> Verdict:
    """Drift in a band about -1/2 octave per doubling, and above that of the squared error."""
    entropy, squared = drifts(runs, "sgd_ce", "sp"), drifts(runs, "sgd_mse", "sp")
    return all_of(
        within(entropy, low=low, high=high, unit=OCTAVES, label="drift"),
        greater(paired_differences(entropy, squared), than=0, unit=OCTAVES, label="above squared error"),
        reported(drifts(runs, "sgd_ce", "mup"), unit=OCTAVES, label="drift, μP"),
        inside_the_grid(runs, "sgd_ce", "sp"),
        *at_the_cliff(runs, "sgd_ce", "sp", "mup"),
    )


def adam_transfers_under_mup(runs: pd.DataFrame, *, shifted: float, flat: float) -> Verdict:
    """SP's drift below a bar, twice what muP may drift; muP's small."""
    return all_of(
        less(drifts(runs, "adam", "sp"), than=shifted, null=0.0, unit=OCTAVES, label="SP"),
        equivalence(drifts(runs, "adam", "mup"), margin=flat, unit=OCTAVES, label="μP"),
        inside_the_grid(runs, "adam", "sp", "mup"),
        *at_the_cliff(runs, "adam", "sp", "mup"),
    )


def adam_rate_halves_under_sp(runs: pd.DataFrame, *, shifted: float) -> Verdict:
    """SP's drift reaches at least three quarters of the published octave per doubling."""
    return less(drifts(runs, "adam", "sp"), than=shifted, null=0.0, published=-1.0, unit=OCTAVES)


def transformer_transfers_under_mup(runs: pd.DataFrame, *, shifted: float, flat: float) -> Verdict:
    """SP's drift below a bar, muP's small, in octaves per doubling."""
    return all_of(
        less(drifts(runs, "text", "sp"), than=shifted, null=0.0, unit=OCTAVES, label="SP"),
        equivalence(drifts(runs, "text", "mup"), margin=flat, unit=OCTAVES, label="μP"),
        inside_the_grid(runs, "text", "sp", "mup"),
    )


def regret_is_small_only_under_mup(runs: pd.DataFrame, *, small: float, large: float) -> Verdict:
    """Loss of the widest at the narrowest's best rate above its own best: a small share (muP), a large one (SP)."""
    paid = {name: regret(chosen(runs, "sgd_mse", name), size="width") for name in ("mup", "sp")}
    return all_of(
        less(paid["mup"], than=small, unit="of the best loss", label="μP"),
        greater(paid["sp"], than=large, null=0.0, unit="of the best loss", label="SP"),
        *at_the_cliff(runs, "sgd_mse", "mup", "sp"),
    )


def wider_is_better_under_mup(runs: pd.DataFrame, *, share: float) -> Verdict:
    """Training losses ordered by width, within 2 standard errors, at most of the logged steps; not so under SP.

    Each at its own shared rate, the best one over its seeds and widths.
    """
    shares = {}
    for name in ("mup", "sp"):
        rows = runs[(runs.arm == "sgd_mse") & (runs.parametrization == name) & (runs.lr == shared_rate(runs, name))]
        shares[name] = ordered_shares(losses_by_width(rows))
    return all_of(
        greater(shares["mup"], than=share, unit="of logged steps", label="μP"),
        less(shares["sp"], than=share, unit="of logged steps", label="SP"),
    )


def sharpness_curves_coincide(runs: pd.DataFrame, *, near: float, far: float) -> Verdict:
    """Mean |log ratio| to the widest before either reaches 0.95 of 2/lr: small under muP, large under NTP."""
    return all_of(
        less(before_edge(runs, distance, "mup"), than=near, unit="in log", label="μP"),
        greater(before_edge(runs, distance, "ntp"), than=far, unit="in log", label="NTP"),
    )


def arrival_is_independent_of_width(runs: pd.DataFrame, *, octaves: float) -> Verdict:
    """Widths arrive within so many octaves of time under muP; NTP's widest longer than that after its narrowest.

    A curve that never arrives counts with the end of the run. That bounds NTP's delay from below, as the claim needs
    it, unless its narrowest is the one; of muP's spread it decides nothing.
    """
    line = edge(runs, arm="curve")
    late = by_seed(runs, lambda curves: never(curves, line), arm="curve", parametrization="mup")
    first = by_seed(runs, lambda curves: never(curves.iloc[:, :1], line), arm="curve", parametrization="ntp")
    spreads, delays = (
        before_edge(runs, measure, name) for measure, name in ((arrival_spread, "mup"), (arrival_delay, "ntp"))
    )
    return all_of(
        unless_censored(less(spreads, than=octaves, unit="octaves", label="μP"), late),
        unless_censored(greater(delays, than=octaves, null=0.0, unit="octaves", label="NTP"), first),
    )


def sharpening_survives_width(runs: pd.DataFrame, *, flat: float, fades: float) -> Verdict:
    """Slope of log2(largest / first sharpness) per doubling of the width at lr / 8: about 0 (muP), negative (NTP).

    ASSUME: the factor over the time lr * steps = 3 stands for that of the whole training.
    """
    mup, ntp = (by_seed(runs, sharpening_slope, arm="quiet", parametrization=name) for name in ("mup", "ntp"))
    return all_of(
        within(mup, low=-flat, high=flat, unit="octaves per doubling", label="μP"),
        less(ntp, than=fades, null=0.0, unit="octaves per doubling", label="NTP"),
    )


def sharpness_is_more_consistent_than_loss(runs: pd.DataFrame) -> Verdict:
    """Spread of the loss minus spread of the sharpness above 0, far below the edge.

    At the edge, which itself holds the sharpness together, the same difference is reported.
    """
    return all_of(
        greater(spread_excess(runs, "quiet"), than=0, unit="relative spread", label="far below the edge"),
        reported(spread_excess(runs, "curve"), unit="relative spread", label="at it"),
    )


def gauss_newton_carries(linear: pd.DataFrame, *, share: float, growth: float) -> Verdict:
    """Under muP lambda(G) is most of lambda(H) at each width after 10 % of the steps; wide NTP hardly grows."""
    parts = linear_parts(linear, "mup")
    steps = parts.index.get_level_values("step")
    late = parts[steps >= FIRST_SHARE * steps.max()]
    least = (late.gauss_newton / late.hessian).groupby(["width", "seed"]).min().unstack("width")
    found = {name: linear_growth(linear, name) for name in ("ntp", "mup")}
    unit = "times λ at the start"
    return all_of(
        *(greater(least[width], than=share, unit="of λ(H)", label=f"G, μP, N = {width:g}") for width in least),
        less(found["ntp"], than=growth, unit=unit, reading=RATIO, label="growth, NTP"),
        reported(found["mup"], unit=unit, reading=RATIO, label="growth, μP"),
    )


def rate_transfers_over_depth(runs: pd.DataFrame, *, flat: float, shifted: float) -> Verdict:
    """Drift per doubling of depth: small with alpha 1/2 and k 1; below a bar with alpha 0."""
    return all_of(
        equivalence(depth_drift(runs, "half_k1"), margin=flat, unit=OCTAVES, label="alpha 1/2, k 1"),
        less(depth_drift(runs, "none_k1"), than=shifted, null=0.0, unit=OCTAVES, label="alpha 0"),
    )


def two_layers_do_not_transfer(runs: pd.DataFrame, *, times: float) -> Verdict:
    """Size of the drift, and distance of sharpness curves before the edge, some times those with one layer.

    The distances are over the same updates, those before any curve of either kind reaches the edge.
    """
    one, two = depth_drift(runs, "half_k1"), depth_drift(runs, "half_k2")
    more = {seed: abs(two[seed]) - times * abs(one[seed]) for seed in one}
    near, far = depth_distances(runs, "half_k1", "half_k2")
    return all_of(
        greater(more, than=0.0, unit=OCTAVES, label=f"size of the drift less {times:g} times that of k 1"),
        greater(far / near, than=times, null=1.0, unit="times", reading=RATIO, label="distance over that of k 1"),
        reported(two, unit=OCTAVES, label="drift"),
    )


def sensitivity_stays(runs: pd.DataFrame, *, low: float, high: float) -> Verdict:
    """Sensitivity of the widest network within 1.5 octaves of its optimum: muP's over SP's in a band about 1."""
    mup, sp = (sensitivity(chosen(runs, "sgd_mse", name), size="width") for name in ("mup", "sp"))
    return within(mup / sp, low=low, high=high, unit="of SP's", reading=RATIO, label="μP over SP")


def rates_by_layer_transfer(runs: pd.DataFrame, *, flat: float) -> Verdict:
    """Drift of SP with Adam and a rate for each layer small, and close to that of muP, in octaves per doubling."""
    by_layer, mup = (drifts(runs, "adam", name) for name in ("sp_layerwise", "mup"))
    return all_of(
        equivalence(by_layer, margin=flat, unit=OCTAVES, label="drift"),
        equivalence(paired_differences(by_layer, mup), margin=flat, unit=OCTAVES, label="drift minus that of μP"),
        inside_the_grid(runs, "adam", "sp_layerwise"),
        *at_the_cliff(runs, "adam", "sp_layerwise"),
    )
