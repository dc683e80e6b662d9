"""Does the best learning rate of a small network stay best when it gets wider or deeper, and what accompanies that?

Noci et al. 2024, "Super Consistency of Neural Network Landscapes and Learning Rate Transfer" (arXiv:2402.17457), on the
parametrizations of Yang et al. 2022 (arXiv:2203.03466).

Settings and thresholds were frozen after pilots with seeds 100 to 104.
"""

from typing import Any, Literal

from common.config import (
    MLP,
    SGD,
    Adam,
    Corpus,
    Data,
    EffectiveSharpness,
    Figure,
    Loss,
    Measure,
    Model,
    Optimizer,
    Run,
    Select,
    TanhTeacher,
    Transformer,
)

SEEDS = (0, 1, 2, 3, 4)
WIDTHS = (64, 128, 256, 512)
BASE_WIDTH = 128
"""Width at which all parametrizations coincide."""

STACKED_WIDTH = 128
"""Networks up to this width train side by side; the weights of wider ones leave the cache that way, which is slower."""

Parametrization = Literal["sp", "ntp", "mup", "sp_layerwise"]
Activation = Literal["relu", "tanh"]

SP_AND_MUP: tuple[Parametrization, ...] = ("sp", "mup")
SP_NTP_MUP: tuple[Parametrization, ...] = ("sp", "ntp", "mup")
NTP_AND_MUP: tuple[Parametrization, ...] = ("ntp", "mup")
ADAM_RULES: tuple[Parametrization, ...] = ("sp", "sp_layerwise", "mup")


def teacher(*, samples: int, loss: Loss = "mse") -> TanhTeacher:
    """What the MLPs learn, with noise of 5 % of the targets' variance."""
    return TanhTeacher(inputs=64, hidden=8, outputs=10, exponent=1.0, noise=0.05**0.5, samples=samples, loss=loss)


EXAMPLES = teacher(samples=4096)
FEW_EXAMPLES = teacher(samples=256)
"""For full batches."""
PLAIN = SGD()


def powers(first: int, last: int, *, each: float = 1) -> tuple[float, ...]:
    """Learning rates 2**(each * k) for k from `first` to `last`."""
    return tuple(2.0 ** (each * k) for k in range(first, last + 1))


def mlp(
    parametrization: Parametrization, width: int, *, activation: Activation = "relu", init_gain: float = 2**0.5
) -> MLP:
    """Three hidden layers without norms; outputs start near 0, so that training starts alike at every width."""
    return MLP(
        width=width,
        depth=3,
        activation=activation,
        norm="none",
        init_gain=init_gain,
        readout_gain=0.1,
        parametrization=parametrization,
        base_width=BASE_WIDTH,
    )


def sweep(
    name: str,
    model: Model,
    *,
    arm: str,
    lrs: tuple[float, ...],
    steps: int,
    data: Data = EXAMPLES,
    optimizer: Optimizer = PLAIN,
    batch_size: int = 32,
    log_every: int | None = None,
    seeds: tuple[int, ...] = SEEDS,
    stacked: bool = True,
) -> Run:
    """Trainings at several learning rates and seeds, side by side if the network is narrow (and `stacked`)."""
    return Run(
        name,
        model=model,
        data=data,
        optimizer=optimizer,
        arm=arm,
        lr=lrs[0],
        steps=steps,
        batch_size=batch_size,
        log_every=log_every or steps // 20,
        seed=seeds[0],
        sweep={"lr": lrs, "seed": seeds},
        stacked=stacked and model.width <= STACKED_WIDTH,
    )


SQUARED = [
    sweep(f"sgd-{name}-w{width}", mlp(name, width), arm="sgd_mse", lrs=powers(-15, -4, each=0.5), steps=500)
    for name in SP_NTP_MUP
    for width in WIDTHS
]
ENTROPY = [
    sweep(
        f"entropy-{name}-w{width}",
        mlp(name, width),
        arm="sgd_ce",
        data=teacher(samples=4096, loss="cross_entropy"),
        lrs=powers(-11, -1, each=0.5),
        steps=500,
    )
    for name in SP_AND_MUP
    for width in WIDTHS
]
ADAMS = [
    sweep(
        f"adam-{name.replace('_', '-')}-w{width}",
        mlp(name, width),
        arm="adam",
        optimizer=Adam(beta1=0.9, beta2=0.999, epsilon=1e-12),
        lrs=powers(-11, -5),
        steps=500,
    )
    for name in ADAM_RULES
    for width in WIDTHS
]
"""With an epsilon so small that its own scaling with the width does not matter."""

CURVE_LR = 0.06
"""One base rate for all parametrizations, which coincide at BASE_WIDTH: its edge 33 lies below the sharpness to which
muP grows without an edge (40 at width 64, 45 at 512 in the pilot), so that every width arrives."""
CURVE_STEPS = 300
CURVE_PROBES = (*range(0, 100, 5), *range(100, CURVE_STEPS + 1, 20))
"""Dense before the edge, where the curves are compared."""
CURVE_KEEP_STEPS = (30, 60, 90, 180)
"""Before the edge, at it, above it, and after the first oscillations; besides the end."""
QUIET_LR = CURVE_LR / 8
QUIET_STEPS = 400


def full_batch(
    name: str,
    model: Model,
    *,
    arm: str,
    lr: float,
    steps: int,
    log_every: int,
    probe_steps: tuple[int, ...],
    optimizer: Optimizer = PLAIN,
    seeds: tuple[int, ...] = SEEDS,
    keep_steps: tuple[int, ...] = (),
    stacked: bool = False,
) -> Run:
    """Descent on all of a few examples, one training for each seed, with the effective sharpness."""
    return Run(
        name,
        model=model,
        data=FEW_EXAMPLES,
        optimizer=optimizer,
        arm=arm,
        lr=lr,
        steps=steps,
        log_every=log_every,
        keep_steps=keep_steps,
        probes=(EffectiveSharpness(steps=probe_steps),),
        seed=seeds[0],
        sweep={"seed": seeds},
        stacked=stacked,
    )


def smooth(parametrization: Parametrization, width: int) -> MLP:
    """Small initial weights (gain 1/2) leave much to grow, and tanh has second derivatives."""
    return mlp(parametrization, width, activation="tanh", init_gain=0.5)


CURVES = [
    full_batch(
        f"curve-{name}-w{width}",
        smooth(name, width),
        arm="curve",
        lr=CURVE_LR,
        steps=CURVE_STEPS,
        log_every=5,
        keep_steps=() if name == "sp" else CURVE_KEEP_STEPS,
        probe_steps=CURVE_PROBES,
    )
    for name in SP_NTP_MUP
    for width in WIDTHS
]
QUIET = [
    full_batch(
        f"quiet-{name}-w{width}",
        smooth(name, width),
        arm="quiet",
        lr=QUIET_LR,
        steps=QUIET_STEPS,
        log_every=10,
        probe_steps=tuple(range(0, QUIET_STEPS + 1, 40)),
    )
    for name in NTP_AND_MUP
    for width in WIDTHS
]
"""So slow that no curve meets its edge 2/lr = 267; over the time lr * steps = 3 in which the others have met theirs."""
ADAM_CURVES = [
    full_batch(
        f"adam-curve-{name}-w{width}",
        mlp(name, width, activation="tanh", init_gain=1.0),
        arm="adam_curve",
        optimizer=Adam(beta1=0.9, beta2=0.999, epsilon=1e-8),
        lr=2.0**-8,
        steps=256,
        log_every=16,
        probe_steps=(1, 2, 4, 8, 16, 32, 64, 128, 256),
        seeds=SEEDS[:3],
    )
    for name in SP_AND_MUP
    for width in WIDTHS
]

DEPTHS = (4, 8, 16, 32)
BASE_DEPTH = 4
DEPTH_ARMS: dict[str, dict[str, Any]] = {
    "half_k1": {"depth_rule": "depth_mup", "block_layers": 1, "init_gain": 0.5},
    "half_k2": {"depth_rule": "depth_mup", "block_layers": 2, "init_gain": 0.5**0.5},
    "none_k1": {"depth_rule": "none", "block_layers": 1, "init_gain": 0.5},
}
"""Residual branches over the root of the depth, with k = 1 or 2 weight layers, and unscaled branches.
The k gains of a branch multiply to 1/2: with unit gains that is the paper's L**-0.5 at L = 4."""

DEPTH_LRS = {
    **{(arm, depth): powers(-10, -2, each=0.5) for arm in ("half_k1", "half_k2") for depth in DEPTHS},
    ("none_k1", 4): powers(-10, -2, each=0.5),
    ("none_k1", 8): powers(-13, -4, each=0.5),
    ("none_k1", 16): powers(-15, -6, each=0.5),
    ("none_k1", 32): powers(-18, -9, each=0.5),
}
"""Around the best rates of the pilot, up to rates at which its seeds diverged."""


def residual(arm: str, depth: int, *, activation: Activation) -> MLP:
    """A residual network of one of `DEPTH_ARMS`, with outputs that start near 0."""
    return MLP(
        width=64,
        depth=depth,
        activation=activation,
        norm="none",
        residual=True,
        readout_gain=0.1,
        base_depth=BASE_DEPTH,
        **DEPTH_ARMS[arm],
    )


DEPTH = [
    sweep(
        f"depth-{arm.replace('_', '-')}-l{depth}",
        residual(arm, depth, activation="relu"),
        arm=f"depth_{arm}",
        lrs=lrs,
        steps=300,
        batch_size=64,
    )
    for (arm, depth), lrs in DEPTH_LRS.items()
]

DEEP_LR = 2.0**-5
"""Its edge 64 lies above the sharpness at the start; in the pilot k = 1 over the root of the depth reached it at every
depth."""
DEEP_STEPS = 300
DEEP = [
    full_batch(
        f"deep-{arm.replace('_', '-')}-l{depth}",
        residual(arm, depth, activation="tanh"),
        arm=f"deep_{arm}",
        lr=DEEP_LR,
        steps=DEEP_STEPS,
        log_every=15,
        probe_steps=(*range(0, DEEP_STEPS // 2, 10), *range(DEEP_STEPS // 2, DEEP_STEPS + 1, 30)),
        stacked=True,
    )
    for arm in DEPTH_ARMS
    for depth in DEPTHS
]

TEXT_WIDTHS = (32, 64, 128, 256)
TEXT_BASE_WIDTH = 64
HEAD = 16
"""Features of an attention head, at every width."""
TEXT_LRS: dict[Parametrization, dict[int, tuple[float, ...]]] = {
    "sp": {width: powers(-10 - k, -6 - k) for k, width in enumerate(TEXT_WIDTHS, start=-1)},
    "mup": {width: powers(-10, -6) for width in TEXT_WIDTHS},
}
"""Five rates around the pilot's best: SP's halves with each doubling, muP's stays."""
TEXT = [
    sweep(
        f"text-{name}-w{width}",
        Transformer(
            width=width,
            depth=2,
            heads=width // HEAD,
            tied=False,
            readout_gain=0.0,
            parametrization=name,
            base_width=TEXT_BASE_WIDTH,
            base_heads=TEXT_BASE_WIDTH // HEAD,
        ),
        arm="text",
        data=Corpus("python", context=64, validation_windows=64),
        optimizer=Adam(beta1=0.9, beta2=0.95, epsilon=1e-12),
        lrs=lrs,
        steps=250,
        batch_size=8,
        log_every=10,
        seeds=SEEDS[:3],
        stacked=False,
    )
    for name, by_width in TEXT_LRS.items()
    for width, lrs in by_width.items()
]

RUNS = [*SQUARED, *ENTROPY, *ADAMS, *CURVES, *QUIET, *ADAM_CURVES, *DEPTH, *DEEP, *TEXT]

SQUARED_SWEEPS = Select(arm="sgd_mse")
SGD_SWEEPS = Select(arm=["sgd_mse", "sgd_ce"])
ADAM_SWEEPS = Select(arm="adam")
TEXT_SWEEPS = Select(arm="text")
DESCENTS = Select(arm="curve")
SLOW_DESCENTS = Select(arm="quiet")
ALL_DESCENTS = Select(arm=["curve", "quiet"])
BRANCH_SCALING = Select(arm=["depth_half_k1", "depth_none_k1"])
BRANCH_LAYERS = Select(arm=["depth_half_k1", "depth_half_k2", "deep_half_k1", "deep_half_k2"])

FIGURES = [
    Figure("width", runs=Select(arm=["sgd_mse", "sgd_ce", "adam"]), claims=["T1", "T2", "T2a", "T4", "T12", "T13"]),
    Figure("sharpness_width", runs=DESCENTS, claims=["T6", "T7"]),
    Figure(
        "depth",
        runs=Select(arm=[*(f"depth_{arm}" for arm in DEPTH_ARMS), *(f"deep_{arm}" for arm in DEPTH_ARMS)]),
        claims=["T11", "T11a"],
    ),
    Figure("adam", runs=Select(arm=["adam", "text", "adam_curve"]), claims=["T3", "T3a", "T3b"]),
    Figure("linear_gr", tables=["linear"], claims=["T10"]),
    Figure("coord_check", tables=["coordinates"], claims=["T0"]),
    Figure("spectrum", runs=DESCENTS, tables=["spectrum"]),
    Figure("convergence", runs=ALL_DESCENTS, tables=["spectrum"], claims=["T9"]),
    Figure("alignment", runs=DESCENTS, tables=["spectrum"]),
]
MEASURES = [
    Measure("coordinates", smoke={"seeds": [0, 1], "widths": [64, 128, 256]}),
    Measure("linear", smoke={"seeds": [0, 1], "every": 20}),
    Measure(
        "spectrum",
        states=DESCENTS,
        smoke={"seeds": {"mup": [0], "ntp": [0]}, "top": 2, "tolerance": 0.1, "products": 6},
    ),
]
