"""Claims on the transfer of learning rates. Thresholds frozen after pilots with seeds 100 to 104."""

from collections.abc import Callable, Hashable

import numpy as np
import pandas as pd

from common.evidence.claims import claim
from common.evidence.statistics import log_log_slopes, paired_differences
from common.evidence.verdicts import Verdict, all_of, equivalence, greater, less, proportion, reported, within
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
from studies.lr_transfer.transfer import (
    curves,
    drift,
    endings,
    interior,
    losses_by_width,
    moves,
    optima,
    ordered_shares,
    regret,
    sensitivity,
)

NOCI = "Noci et al. 2024"
OCTAVES = "octaves per doubling"
FLAT = 0.2
"""Octaves per doubling below which an optimum is said to stay."""
SHIFTED = -0.6
"""Octaves per doubling below which an optimum is said to shift."""
MOSTLY = 0.7
"""Share of optima that must lie inside the grid of rates: all of twelve or more do if its interval is above."""
FIRST_SHARE = 0.1
"""Part of a linear network's descent, at its start, in which the residual part may matter."""
CURVES = f"{NOCI}, figure 1"


def chosen(runs: pd.DataFrame, arm: str, parametrization: str) -> pd.DataFrame:
    """Final losses of one arm and parametrization (see `transfer.endings`)."""
    return endings(runs[(runs.arm == arm) & (runs.parametrization == parametrization)])


def drifts(runs: pd.DataFrame, arm: str, parametrization: str) -> dict[Hashable, float]:
    """Drift of the best rate over the widths of an arm, by seed."""
    return drift(optima(chosen(runs, arm, parametrization), size="width"))


def inside_the_grid(runs: pd.DataFrame, arm: str, *parametrizations: str) -> Verdict:
    """Share of seeds and widths whose best rate has a neighbour on either side."""
    found = [interior(chosen(runs, arm, name), size="width") for name in parametrizations]
    return proportion([one for each in found for one in each.values()], above=MOSTLY, label=f"optima inside, {arm}")


def shared_rate(runs: pd.DataFrame) -> float:
    """Rate of the grid with the smallest final loss of muP, SGD, mean over seeds and widths in the logarithm."""
    losses = curves(chosen(runs, "sgd_mse", "mup"), size="width")
    return float(np.log(losses).mean().idxmin())


def coordinate_slopes(
    coordinates: pd.DataFrame, *, optimizer: str, parametrization: str, layer: str, step: int = 3
) -> dict[Hashable, float]:
    """Log-log slope against width of how much a layer's outputs have changed after some updates, by seed."""
    of_network = (coordinates.optimizer == optimizer) & (coordinates.parametrization == parametrization)
    rows = coordinates[of_network & (coordinates.layer == layer) & (coordinates.step == step)]
    changes = rows[rows.quantity == "change"].pivot(index="seed", columns="width", values="value")
    widths = [float(width) for width in changes.columns]
    return log_log_slopes(widths, {seed: list(row) for seed, row in changes.iterrows()})


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


def depth_drift(runs: pd.DataFrame, arm: str) -> dict[Hashable, float]:
    """Octaves by which the best rate of an arm moves per doubling of the depth, by seed."""
    table = endings(runs[runs.arm == f"depth_{arm}"])
    return drift(optima(table, size="depth"))


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


@claim(
    "C0",
    "activations change alike at every width under μP, unlike SP's",
    source="Yang et al. 2022 (arXiv:2203.03466), appendix D.1",
    published="slope 0 under μP; 1 for SP's outputs with Adam",
    published_mark="derived",
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


@claim(
    "C1",
    "the best rate of SGD stays where it is over 8x of width under μP",
    source=f"{NOCI}, figure 1; Megatron-LM PR 3058 for Adam",
    published="optimum constant from 128 to 1024",
    published_mark="published",
)
def mup_transfers(runs: pd.DataFrame) -> Verdict:
    """Drift within +-0.2 octave per doubling, and at most one octave between the narrowest and the widest."""
    table = chosen(runs, "sgd_mse", "mup")
    return all_of(
        equivalence(drifts(runs, "sgd_mse", "mup"), margin=FLAT, unit=OCTAVES, label="drift"),
        equivalence(moves(table, size="width"), margin=1, unit="octaves over 8x", label="grid"),
        inside_the_grid(runs, "sgd_mse", "mup"),
    )


@claim(
    "C2",
    "the best rate of SGD falls with the width under SP, squared error",
    source="Haas et al. 2025 (arXiv:2505.22491)",
    published="-1: usable rate like 1/N",
    published_mark="recalled",
)
def sp_does_not_transfer(runs: pd.DataFrame) -> Verdict:
    """Drift below -0.6 octave per doubling; two octaves or more from the narrowest to the widest (half-octave grid)."""
    return all_of(
        less(drifts(runs, "sgd_mse", "sp"), than=SHIFTED, unit=OCTAVES, label="drift"),
        less(moves(chosen(runs, "sgd_mse", "sp"), size="width"), than=-1.75, unit="octaves over 8x", label="grid"),
        inside_the_grid(runs, "sgd_mse", "sp"),
    )


@claim(
    "C2a",
    "with cross-entropy SP's best rate falls less than with the squared error",
    source="Haas et al. 2025 (arXiv:2505.22491)",
    published="-1/2: usable rate like 1/sqrt(N)",
    published_mark="recalled",
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


@claim(
    "C3",
    "with Adam the best rate of an MLP falls with the width under SP, and stays under μP",
    source="Megatron-LM PR 3058; Yang et al. 2022 (arXiv:2203.03466)",
    published="SP -1, μP 0",
    published_mark="published",
)
def adam_transfers_under_mup(runs: pd.DataFrame) -> Verdict:
    """SP's drift below -0.4 octave per doubling, twice what muP may drift; muP's within +-0.2."""
    return all_of(
        less(drifts(runs, "adam", "sp"), than=-2 * FLAT, unit=OCTAVES, label="SP"),
        equivalence(drifts(runs, "adam", "mup"), margin=FLAT, unit=OCTAVES, label="μP"),
        inside_the_grid(runs, "adam", "sp", "mup"),
    )


@claim(
    "C3a",
    "with Adam SP's best rate halves with each doubling of the width",
    source="Megatron-LM PR 3058",
    published="-1: 9.77e-4 at 128, 6.10e-5 at 2048",
    published_mark="published",
)
def adam_rate_halves_under_sp(runs: pd.DataFrame) -> Verdict:
    """SP's drift within -1 +- 0.25 octave per doubling."""
    return within(drifts(runs, "adam", "sp"), low=-1.25, high=-0.75, unit=OCTAVES)


@claim(
    "C3b",
    "with Adam the best rate of a transformer on text falls with the width under SP, and stays under μP",
    source="Megatron-LM PR 3058; Yang et al. 2022 (arXiv:2203.03466)",
    published="SP -1; μP 0",
    published_mark="published",
    seeds=3,
)
def transformer_transfers_under_mup(runs: pd.DataFrame) -> Verdict:
    """SP's drift below -0.6 octave per doubling, muP's within +-0.25."""
    return all_of(
        less(drifts(runs, "text", "sp"), than=SHIFTED, unit=OCTAVES, label="SP"),
        equivalence(drifts(runs, "text", "mup"), margin=0.25, unit=OCTAVES, label="μP"),
        inside_the_grid(runs, "text", "sp", "mup"),
    )


@claim(
    "C4",
    "the rate of the narrowest network costs the widest nothing under μP, and much under SP",
    source=NOCI,
    published="",
    published_mark="none",
)
def regret_is_small_only_under_mup(runs: pd.DataFrame) -> Verdict:
    """Loss of the widest at the narrowest's best rate: at most 3 % above its own best (muP), at least 25 % (SP)."""
    paid = {name: regret(chosen(runs, "sgd_mse", name), size="width") for name in ("mup", "sp")}
    return all_of(
        less(paid["mup"], than=0.03, unit="of the best loss", label="μP"),
        greater(paid["sp"], than=0.25, unit="of the best loss", label="SP"),
    )


@claim(
    "C5",
    "wider is better at the shared rate under μP, and not under SP",
    source="microsoft/mup, README",
    published="wider is always better",
    published_mark="published",
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


@claim(
    "C6",
    "before the edge, sharpness follows one curve at all widths under μP, and not under NTP",
    source=CURVES,
    published="",
    published_mark="none",
)
def sharpness_curves_coincide(runs: pd.DataFrame) -> Verdict:
    """Mean |log ratio| to the widest before either reaches 0.95 of 2/lr: muP below 0.15, NTP above 0.40."""
    return all_of(
        less(before_edge(runs, distance, "mup"), than=0.15, unit="in log", label="μP"),
        greater(before_edge(runs, distance, "ntp"), than=0.40, unit="in log", label="NTP"),
    )


@claim(
    "C7",
    "the edge is reached at one time at all widths under μP, and later in wider networks under NTP",
    source=CURVES,
    published="",
    published_mark="none",
)
def arrival_is_independent_of_width(runs: pd.DataFrame) -> Verdict:
    """Widths arrive within 0.5 octave under muP; NTP's widest more than 0.5 octave after its narrowest.

    A curve that never arrives counts with the end of the run, so NTP's delay is a lower bound.
    """
    return all_of(
        less(before_edge(runs, arrival_spread, "mup"), than=0.5, unit="octaves", label="μP"),
        greater(before_edge(runs, arrival_delay, "ntp"), than=0.5, unit="octaves", label="NTP"),
    )


@claim(
    "C8",
    "far below the edge, sharpening does not depend on the width under μP, and fades with it under NTP",
    source=CURVES,
    published="",
    published_mark="none",
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


@claim(
    "C9",
    "at the end of μP's training the sharpness differs less between widths than the loss",
    source=f"{NOCI}, figure 3",
    published="loss and kernel drift apart, sharpness does not",
    published_mark="recalled",
)
def sharpness_is_more_consistent_than_loss(runs: pd.DataFrame) -> Verdict:
    """Spread of the loss minus spread of the sharpness above 0 where all widths have met the edge.

    The edge itself holds the sharpness together there, so the same difference is reported where nothing does.
    """
    return all_of(
        greater(spread_excess(runs, "curve"), than=0, unit="relative spread", label="at the edge"),
        reported(spread_excess(runs, "quiet"), unit="relative spread", label="far below it"),
    )


@claim(
    "C10",
    "in linear networks the Gauss-Newton part carries the sharpness, which stays where it starts in wide NTP",
    source=f"{NOCI}, figure 6",
    published="G sharpens under μP, not wide NTP",
    published_mark="recalled",
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


@claim(
    "C11",
    "the best rate stays over 8x of depth with branches over the root of the depth, and falls with full branches",
    source=f"{NOCI}, figure 5",
    published="k = 1 transfers",
    published_mark="recalled",
)
def rate_transfers_over_depth(runs: pd.DataFrame) -> Verdict:
    """Drift per doubling of depth: alpha 1/2, k 1 within +-0.2 octave; alpha 0 below -0.5."""
    return all_of(
        equivalence(depth_drift(runs, "half_k1"), margin=FLAT, unit=OCTAVES, label="alpha 1/2, k 1"),
        less(depth_drift(runs, "none_k1"), than=-0.5, unit=OCTAVES, label="alpha 0"),
    )


@claim(
    "C11a",
    "with two weight layers in each branch the rate drifts, and the sharpness is less consistent over depth",
    source=f"{NOCI}, figure 5",
    published="k = 2 does not transfer",
    published_mark="recalled",
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


@claim(
    "C12",
    "μP fixes the best rate, and does not lower the sensitivity to it",
    source="Wortsman et al. 2023 (arXiv:2309.14322), section 3.2.4",
    published="no lower sensitivity",
    published_mark="published",
)
def sensitivity_stays(runs: pd.DataFrame) -> Verdict:
    """Sensitivity of the widest network within 1.5 octaves of its optimum: muP's over SP's in [0.8, 1.2]."""
    mup, sp = (sensitivity(chosen(runs, "sgd_mse", name), size="width") for name in ("mup", "sp"))
    return within(mup / sp, low=0.8, high=1.2, unit="of SP's", label="μP over SP")


@claim(
    "C13",
    "SP with a rate for each layer transfers as well as μP",
    source="Everett et al. 2024 (arXiv:2407.05872)",
    published="every parametrization can transfer",
    published_mark="published",
)
def rates_by_layer_transfer(runs: pd.DataFrame) -> Verdict:
    """Drift of SP with Adam and a rate for each layer within +-0.2 octave per doubling."""
    return all_of(
        equivalence(drifts(runs, "adam", "sp_layerwise"), margin=FLAT, unit=OCTAVES),
        inside_the_grid(runs, "adam", "sp_layerwise"),
    )
