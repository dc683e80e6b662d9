"""Does the largest eigenvalue of the Hessian decide which learning rates survive?

Cohen et al. 2021, "Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability" (arXiv:2103.00065),
and Gilmer et al. 2021, "A Loss Curvature Perspective on Training Instability in Deep Learning" (arXiv:2110.04369).

Learning rates, the initial gain and thresholds were frozen after pilots with seeds 100 to 102.
"""

from dataclasses import replace
from typing import Any, Literal

from common.config import Data, Model, Optimizer, Probe, Run, Schedule

SEEDS = (0, 1, 2, 3, 4)
EDGE_LRS = (0.2, 0.4, 0.6, 0.8)
"""Rates whose edge 2/lr, from 2.5 to 10, lies above the sharpness at the start and below that of gradient flow."""
EDGE_STEPS = 2000
EDGE_KEEP_STEPS = tuple(range(1399, 1990, 75))
"""States of the last third, by turns after even and odd updates, since the weights oscillate with period two."""

EDGE = {
    f"gd-lr{lr:g}": Run(
        model=Model(kind="mlp", width=64, depth=2, activation="tanh", norm="none", init_gain=0.5),
        data=Data(source="digits", samples=1024, standardised=True, loss="mse"),
        optimizer=Optimizer(kind="sgd"),
        arm="gd",
        lr=lr,
        steps=EDGE_STEPS,
        log_every=20,
        keep_steps=EDGE_KEEP_STEPS,
        probes=(Probe(kind="sharpness", every=20),),
        seed=SEEDS[0],
        sweep={"seed": SEEDS},
    )
    for lr in EDGE_LRS
}

BATCH_LR = 0.4
"""One of `EDGE_LRS`, whose run is the one with the full batch."""
BATCHES = {
    f"sgd-batch{size}": replace(
        EDGE[f"gd-lr{BATCH_LR:g}"],
        arm="batch",
        batch_size=size,
        log_every=100,
        keep_steps=(),
        probes=(Probe(kind="sharpness", every=100),),
    )
    for size in (16, 64, 256)
}

SPECTRA = {
    f"spectrum-{norm}": Run(
        model=Model(kind="mlp", width=64, depth=3, activation="relu", norm=norm, init_gain=2**0.5),
        data=Data(source="digits", standardised=True, label_noise=0.1),
        optimizer=Optimizer(kind="sgd"),
        arm="spectrum",
        lr=0.05,
        batch_size=128,
        steps=400,
        log_every=50,
        seed=SEEDS[0],
        sweep={"seed": SEEDS},
    )
    for norm in ("none", "batchnorm")
}
"""Stopped before the networks learn the wrong labels by heart: then the curvature vanishes."""

ADAM_LRS = (0.004, 0.006, 0.008)
ADAM = {
    f"adam-lr{lr:g}": Run(
        model=Model(kind="mlp", width=64, depth=2, activation="tanh", norm="none"),
        data=Data(source="digits", samples=1024, standardised=True, loss="mse"),
        optimizer=Optimizer(kind="adam", beta1=0.9, beta2=0.999, epsilon=1e-7),
        arm="adam",
        lr=lr,
        steps=1500,
        log_every=50,
        probes=(Probe(kind="effective_sharpness", every=50),),
        seed=SEEDS[0],
        sweep={"seed": SEEDS},
    )
    for lr in ADAM_LRS
}

HE = 2**0.5
"""Gain that keeps the size of ReLU layers; gains of the phase diagram are multiples of it."""
BAD = 3
"""The gain of the net that the cures are tried on, in units of HE."""
PHASE_STEPS, MIDDLE = 400, 200
PHASE_SEEDS = (10, 11, 12, 13, 14)
"""Rates and one rule were refined after a first run of seeds 0 to 4; these count."""


def ladder(*, coarse: int, fine: int, last: int) -> tuple[float, ...]:
    """Learning rates 2**(k/2): every second k from `coarse` on, and every k from `fine` to `last`."""
    return tuple(2 ** (k / 2) for k in (*range(coarse, fine, 2), *range(fine, last + 1)))


def relu(*, gain: float, norm: Literal["none", "layernorm", "batchnorm"] = "none", **other: Any) -> Model:
    """Five hidden layers of 64 ReLUs with a gain in units of HE."""
    return Model(kind="mlp", width=64, depth=5, activation="relu", norm=norm, init_gain=gain * HE, **other)


MODELS = {
    "plain0.7": relu(gain=0.7),
    "plain1": relu(gain=1),
    "plain1.5": relu(gain=1.5),
    "plain2": relu(gain=2),
    "plain3": relu(gain=BAD),
    "layernorm3": relu(gain=BAD, norm="layernorm"),
    "batchnorm3": relu(gain=BAD, norm="batchnorm"),
    "gated1": relu(gain=1, residual=True, gated=True),
    "metainit1": relu(gain=1, metainit_steps=300),
}
"""Gated nets learn from HE; from 3 HE they fail at all rates that move them. MetaInit finds flat nets from HE, not in
every seed; from 2 HE it found none in the pilot."""
QUIET_LRS = {
    "plain0.7": 2e-2,
    "plain1": 8e-4,
    "plain1.5": 5e-5,
    "plain2": 2e-5,
    "plain3": 2e-6,
    "layernorm3": 2e-3,
    "batchnorm3": 1e-2,
    "gated1": 3e-3,
    "metainit1": 1e-2,
}
"""About a hundredth of 2/sharpness at the start, the geometric mean over the pilot's seeds."""


def phase(model: Model, *, lrs: tuple[float, ...], warmup: int = 0, **other: Any) -> Run:
    """A sweep over learning rates and seeds, with the sharpness at the end of the warm-up and halfway."""
    return Run(
        **{
            "model": model,
            "data": Data(source="digits", standardised=True, label_noise=0.1),
            "optimizer": Optimizer(kind="sgd"),
            "schedule": Schedule(warmup_steps=warmup),
            "batch_size": 128,
            "lr": lrs[0],
            "steps": PHASE_STEPS,
            "probes": (Probe(kind="sharpness", steps=tuple(sorted({warmup, MIDDLE} - {0}))),),
            "seed": PHASE_SEEDS[0],
            "sweep": {"lr": lrs, "seed": PHASE_SEEDS},
            "stacked": True,
            **other,
        }
    )


PHASE_LRS = {
    ("plain0.7", 0): ladder(coarse=-8, fine=-4, last=5),
    ("plain1", 0): ladder(coarse=-15, fine=-3, last=7),
    ("plain1", 50): ladder(coarse=-15, fine=-3, last=7),
    ("plain1.5", 0): ladder(coarse=-17, fine=-9, last=1),
    ("plain1.5", 50): ladder(coarse=-17, fine=-5, last=6),
    ("plain2", 0): ladder(coarse=-20, fine=-12, last=-2),
    ("plain3", 0): ladder(coarse=-28, fine=-16, last=-5),
    ("plain3", 10): ladder(coarse=-28, fine=-12, last=-2),
    ("plain3", 50): ladder(coarse=-28, fine=-12, last=0),
    ("plain3", 200): ladder(coarse=-28, fine=-12, last=0),
    ("layernorm3", 0): ladder(coarse=-9, fine=3, last=12),
    ("layernorm3", 50): ladder(coarse=-9, fine=3, last=12),
    ("batchnorm3", 0): ladder(coarse=-6, fine=8, last=18),
    ("batchnorm3", 50): ladder(coarse=-6, fine=6, last=16),
    ("gated1", 0): ladder(coarse=-9, fine=-5, last=4),
    ("metainit1", 0): ladder(coarse=-8, fine=-2, last=3),
}
"""Around the rates from which on the pilot's seeds failed, and down to a half or a quarter of 2/sharpness at the start
(k = 2, -7, -15, -18, -24 for the plain nets, -5, 0, -3, 7 for the others); by model and updates of warm-up."""

PHASE = {
    f"phase-{case}-w{warmup}": phase(MODELS[case], lrs=lrs, warmup=warmup, arm=f"{case}_w{warmup}")
    for (case, warmup), lrs in PHASE_LRS.items()
}
QUIET = {
    f"quiet-{case}": phase(
        MODELS[case],
        lrs=(lr,),
        arm=f"{case}_quiet",
        steps=50,
        probes=(Probe(kind="sharpness", steps=(0, 50)),),
    )
    for case, lr in QUIET_LRS.items()
}

CLIP = Optimizer(kind="sgd", clip=100.0)
"""A twelfth of the norm of the sharpest net's first gradient."""
MOMENTUM = Optimizer(kind="sgd", momentum=0.9)
VARIED = {
    "phase-plain3-clip": phase(
        MODELS["plain3"], lrs=ladder(coarse=-28, fine=-12, last=0), optimizer=CLIP, arm="plain3_clip"
    ),
    "phase-plain1-momentum": phase(
        MODELS["plain1"], lrs=ladder(coarse=-17, fine=-9, last=1), optimizer=MOMENTUM, arm="plain1_momentum"
    ),
    "phase-plain3-momentum": phase(
        MODELS["plain3"], lrs=ladder(coarse=-30, fine=-22, last=-10), optimizer=MOMENTUM, arm="plain3_momentum"
    ),
}

PATH_STEPS = 150
PATH_PROBE = Probe(kind="sharpness", steps=(0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 50, 71, 100, 150))
STABLE_K, SHARP_K = -22, -10
"""2**(k/2) is about 4/sharpness at the start of the sharpest net, and a rate at which it failed in the pilot."""


def path(model: Model, *, k: int, **other: Any) -> Run:
    """The first updates of a few runs, each with its loss, and the sharpness at many of them."""
    return phase(model, lrs=(2 ** (k / 2),), **{"steps": PATH_STEPS, "log_every": 1, "probes": (PATH_PROBE,), **other})


PATHS = {
    "path-plain3": path(MODELS["plain3"], k=SHARP_K, arm="plain3_path"),
    "path-plain3-w50": path(MODELS["plain3"], k=SHARP_K, warmup=50, arm="plain3_w50_path"),
    "path-plain3-clip": path(MODELS["plain3"], k=SHARP_K, optimizer=CLIP, arm="plain3_clip_path"),
    "path-metainit1": path(MODELS["metainit1"], k=SHARP_K, arm="metainit1_path"),
    "path-layernorm3": path(MODELS["layernorm3"], k=SHARP_K, arm="layernorm3_path"),
    "path-stable": path(MODELS["plain3"], k=STABLE_K, arm="plain3_stable"),
    "path-stable-clip": path(MODELS["plain3"], k=STABLE_K, optimizer=CLIP, arm="plain3_clip_stable"),
}

FULL_LRS = {"plain1": range(-9, 2, 2), "plain1.5": range(-17, -6, 2), "layernorm3": range(-7, 4, 2)}
"""Exponents k as above: from half of 2/sharpness at the start to 16 times it."""
FULL = {
    f"full-{case}": phase(
        MODELS[case],
        lrs=tuple(2 ** (k / 2) for k in exponents),
        arm="full",
        data=Data(source="digits", samples=512, standardised=True, label_noise=0.1),
        batch_size=None,
        steps=200,
        probes=(Probe(kind="sharpness", steps=(100, 150, 200)),),
    )
    for case, exponents in FULL_LRS.items()
}
HEAVY = {
    "gd-momentum": replace(
        EDGE["gd-lr0.4"],
        optimizer=MOMENTUM,
        arm="heavy",
        lr=0.38,
        steps=600,
        keep_steps=(),
        stacked=True,
    )
}
"""A rate whose edge 3.8/lr is 10, that of plain descent at 0.2; at twice this rate most seeds diverge."""

RUNS = EDGE | ADAM | BATCHES | SPECTRA | PHASE | QUIET | VARIED | PATHS | FULL | HEAVY
