"""Does the best learning rate of a small network stay best when it gets wider or deeper, and what accompanies that?

Noci et al. 2024, "Super Consistency of Neural Network Landscapes and Learning Rate Transfer" (arXiv:2402.17457), on the
parametrizations of Yang et al. 2022 (arXiv:2203.03466).

Settings and thresholds were frozen after pilots with seeds 100 to 104.
"""

from typing import Any

from common.config import Data, Model, Optimizer, Probe, Run

SEEDS = (0, 1, 2, 3, 4)
WIDTHS = (64, 128, 256, 512)
BASE_WIDTH = 128
"""Where all parametrizations are one."""

STACKED_WIDTH = 128
"""Networks up to this width train side by side; the weights of wider ones leave the cache that way, which is slower."""

TEACHER: dict[str, Any] = {
    "source": "tanh_teacher",
    "inputs": 64,
    "hidden": 8,
    "outputs": 10,
    "exponent": 1.0,
    "noise": 0.05**0.5,
}
"""Noise of 5 % of the targets' variance."""


def powers(first: int, last: int, *, each: float = 1) -> tuple[float, ...]:
    """Learning rates 2**(each * k) for k from `first` to `last`."""
    return tuple(2.0 ** (each * k) for k in range(first, last + 1))


def mlp(parametrization: Any, width: int, **other: Any) -> Model:
    """Three hidden layers without norms; outputs start near 0, so that the start looks alike at every width."""
    fields = {"activation": "relu", "init_gain": 2**0.5, **other}
    return Model(
        kind="mlp",
        width=width,
        depth=3,
        norm="none",
        readout_gain=0.1,
        parametrization=parametrization,
        base_width=BASE_WIDTH,
        **fields,
    )


def sweep(model: Model, *, arm: str, lrs: tuple[float, ...], steps: int, **other: Any) -> Run:
    """Trainings at several learning rates and seeds, side by side if the network is narrow."""
    return Run(
        **{
            "model": model,
            "data": Data(**TEACHER, samples=4096),
            "optimizer": Optimizer(kind="sgd"),
            "arm": arm,
            "lr": lrs[0],
            "steps": steps,
            "batch_size": 32,
            "log_every": steps // 20,
            "seed": SEEDS[0],
            "sweep": {"lr": lrs, "seed": SEEDS},
            "stacked": model.width <= STACKED_WIDTH,
            **other,
        }
    )


ADAM = Optimizer(kind="adam", beta1=0.9, beta2=0.999, epsilon=1e-12)
"""An epsilon that never matters: its own scaling with the width then needs no care."""

SGD = {
    f"sgd-{name}-w{width}": sweep(mlp(name, width), arm="sgd_mse", lrs=powers(-15, -4, each=0.5), steps=500)
    for name in ("sp", "ntp", "mup")
    for width in WIDTHS
}
ENTROPY = {
    f"entropy-{name}-w{width}": sweep(
        mlp(name, width),
        arm="sgd_ce",
        data=Data(**TEACHER, samples=4096, loss="cross_entropy"),
        lrs=powers(-11, -1, each=0.5),
        steps=500,
    )
    for name in ("sp", "mup")
    for width in WIDTHS
}
ADAMS = {
    f"adam-{name.replace('_', '-')}-w{width}": sweep(
        mlp(name, width), arm="adam", optimizer=ADAM, lrs=powers(-11, -5), steps=500
    )
    for name in ("sp", "sp_layerwise", "mup")
    for width in WIDTHS
}

CURVE_LR = 0.06
"""One base rate for all parametrizations, which are one at BASE_WIDTH: its edge 33 lies below the sharpness to which
muP grows without an edge (40 at width 64, 45 at 512 in the pilot), so that every width arrives."""
CURVE_STEPS = 300
CURVE_PROBES = (*range(0, 100, 5), *range(100, CURVE_STEPS + 1, 20))
"""Dense before the edge, where the curves are compared."""
CURVE_KEEP_STEPS = (30, 60, 90, 180)
"""Before the edge, at it, above it, and after the first oscillations; besides the end."""
QUIET_LR = CURVE_LR / 8
QUIET_STEPS = 400


def full_batch(model: Model, *, probe_steps: tuple[int, ...], **other: Any) -> Run:
    """Descent on all of a few examples, one training for each seed, with the effective sharpness."""
    return Run(
        **{
            "model": model,
            "data": Data(**TEACHER, samples=256),
            "optimizer": Optimizer(kind="sgd"),
            "probes": (Probe(kind="effective_sharpness", steps=probe_steps),),
            "seed": SEEDS[0],
            "sweep": {"seed": SEEDS},
            **other,
        }
    )


def smooth(parametrization: Any, width: int) -> Model:
    """Small initial weights (gain 1/2) leave much to grow, and tanh has second derivatives."""
    return mlp(parametrization, width, activation="tanh", init_gain=0.5)


CURVES = {
    f"curve-{name}-w{width}": full_batch(
        smooth(name, width),
        arm="curve",
        lr=CURVE_LR,
        steps=CURVE_STEPS,
        log_every=5,
        keep_steps=() if name == "sp" else CURVE_KEEP_STEPS,
        probe_steps=CURVE_PROBES,
    )
    for name in ("sp", "ntp", "mup")
    for width in WIDTHS
}
QUIET = {
    f"quiet-{name}-w{width}": full_batch(
        smooth(name, width),
        arm="quiet",
        lr=QUIET_LR,
        steps=QUIET_STEPS,
        log_every=10,
        probe_steps=tuple(range(0, QUIET_STEPS + 1, 40)),
    )
    for name in ("ntp", "mup")
    for width in WIDTHS
}
"""So slow that no curve meets its edge 2/lr = 267; over the time lr * steps = 3 in which the others have met theirs."""
ADAM_CURVES = {
    f"adam-curve-{name}-w{width}": full_batch(
        mlp(name, width, activation="tanh", init_gain=1.0),
        arm="adam_curve",
        optimizer=Optimizer(kind="adam", beta1=0.9, beta2=0.999, epsilon=1e-8),
        lr=2.0**-8,
        steps=256,
        log_every=16,
        probe_steps=(1, 2, 4, 8, 16, 32, 64, 128, 256),
        sweep={"seed": SEEDS[:3]},
    )
    for name in ("sp", "mup")
    for width in WIDTHS
}

DEPTHS = (4, 8, 16, 32)
BASE_DEPTH = 4
DEPTH_ARMS: dict[str, dict[str, Any]] = {
    "half_k1": {"depth_rule": "depth_mup", "block_layers": 1, "init_gain": 0.5},
    "half_k2": {"depth_rule": "depth_mup", "block_layers": 2, "init_gain": 0.5**0.5},
    "none_k1": {"depth_rule": "none", "block_layers": 1, "init_gain": 0.5},
}
"""Residual branches over the root of the depth, with k = 1 or 2 weight layers, and branches that count in full.
The k gains of a branch multiply to 1/2: with unit gains that is the paper's L**-0.5 at L = 4."""

DEPTH_LRS = {
    **{(arm, depth): powers(-10, -2, each=0.5) for arm in ("half_k1", "half_k2") for depth in DEPTHS},
    ("none_k1", 4): powers(-10, -2, each=0.5),
    ("none_k1", 8): powers(-13, -4, each=0.5),
    ("none_k1", 16): powers(-15, -6, each=0.5),
    ("none_k1", 32): powers(-18, -9, each=0.5),
}
"""Around the best rates of the pilot, up to rates at which its seeds diverged."""


def residual(arm: str, depth: int, *, activation: Any) -> Model:
    """A residual network of one of `DEPTH_ARMS`, with outputs that start near 0."""
    return Model(
        kind="mlp",
        width=64,
        depth=depth,
        activation=activation,
        norm="none",
        residual=True,
        readout_gain=0.1,
        base_depth=BASE_DEPTH,
        **DEPTH_ARMS[arm],
    )


DEPTH = {
    f"depth-{arm.replace('_', '-')}-l{depth}": sweep(
        residual(arm, depth, activation="relu"), arm=f"depth_{arm}", lrs=lrs, steps=300, batch_size=64
    )
    for (arm, depth), lrs in DEPTH_LRS.items()
}

DEEP_LR = 2.0**-5
"""Its edge 64 lies above the sharpness at the start; in the pilot k = 1 over the root of the depth reached it at every
depth."""
DEEP_STEPS = 300
DEEP = {
    f"deep-{arm.replace('_', '-')}-l{depth}": full_batch(
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
}

TEXT_WIDTHS = (32, 64, 128, 256)
TEXT_BASE_WIDTH = 64
HEAD = 16
"""Features of an attention head, at every width."""
TEXT_LRS = {
    **{("sp", width): powers(-10 - k, -6 - k) for k, width in enumerate(TEXT_WIDTHS, start=-1)},
    **{("mup", width): powers(-10, -6) for width in TEXT_WIDTHS},
}
"""Five rates around the pilot's best: SP's halves with each doubling, muP's stays."""
TEXT = {
    f"text-{name}-w{width}": sweep(
        Model(
            kind="transformer",
            width=width,
            depth=2,
            heads=width // HEAD,
            tied=False,
            readout_gain=0.0,
            parametrization=name,  # type: ignore[arg-type]
            base_width=TEXT_BASE_WIDTH,
            base_heads=TEXT_BASE_WIDTH // HEAD,
        ),
        arm="text",
        data=Data(source="corpus", name="python", context=64, validation_windows=64),
        optimizer=Optimizer(kind="adam", beta1=0.9, beta2=0.95, epsilon=1e-12),
        lrs=lrs,
        steps=250,
        batch_size=8,
        log_every=10,
        sweep={"lr": lrs, "seed": SEEDS[:3]},
        stacked=False,
    )
    for (name, width), lrs in TEXT_LRS.items()
}

RUNS = SGD | ENTROPY | ADAMS | CURVES | QUIET | ADAM_CURVES | DEPTH | DEEP | TEXT
