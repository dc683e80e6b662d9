"""Does the largest eigenvalue of the Hessian decide which learning rates survive?

Cohen et al. 2021, "Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability" (arXiv:2103.00065),
and Gilmer et al. 2021, "A Loss Curvature Perspective on Training Instability in Deep Learning" (arXiv:2110.04369).

Learning rates, the initial gain and thresholds were frozen after pilots with seeds 100 to 102.
"""

from dataclasses import replace
from typing import Any, Literal

from common.config import (
    MLP,
    SGD,
    Adam,
    Constant,
    Digits,
    EffectiveSharpness,
    Figure,
    Measure,
    Run,
    Select,
    Sharpness,
)

SEEDS = (0, 1, 2, 3, 4)
NOISE = 0.1
"""Share of wrong labels wherever some are wrong."""
SQUARED = Digits(samples=1024, standardised=True, loss="mse")
NOISY = Digits(standardised=True, label_noise=NOISE)

EDGE_LRS = (0.2, 0.4, 0.6, 0.8)
"""Rates whose edge 2/lr, from 2.5 to 10, lies above the sharpness at the start and below that of gradient flow."""
EDGE_STEPS = 2000
EDGE_KEEP_STEPS = tuple(range(1399, 1990, 75))
"""States of the last third, alternately after even and odd updates, since the weights oscillate with period two."""


def descent(lr: float) -> Run:
    """Full-batch gradient descent at one rate, over all seeds."""
    return Run(
        f"gd-lr{lr:g}",
        model=MLP(width=64, depth=2, activation="tanh", norm="none", init_gain=0.5),
        data=SQUARED,
        optimizer=SGD(),
        arm="gd",
        lr=lr,
        steps=EDGE_STEPS,
        log_every=20,
        keep_steps=EDGE_KEEP_STEPS,
        probes=(Sharpness(every=20),),
        seed=SEEDS[0],
        sweep={"seed": SEEDS},
    )


EDGE = [descent(lr) for lr in EDGE_LRS]

BATCH_LR = 0.4
"""One of `EDGE_LRS`, whose run is the one with the full batch."""
BATCH_SIZES = (16, 64, 256)
BATCH_EVERY = 100
"""Updates between two measurements of the runs with batches."""
BATCHES = [
    replace(
        descent(BATCH_LR),
        name=f"sgd-batch{size}",
        arm="batch",
        batch_size=size,
        log_every=BATCH_EVERY,
        keep_steps=(),
        probes=(Sharpness(every=BATCH_EVERY),),
    )
    for size in BATCH_SIZES
]

HE = 2**0.5
"""Gain that keeps the size of ReLU layers; gains of the phase diagram are multiples of it."""

SPECTRUM_NORMS: tuple[Literal["none", "batchnorm"], ...] = ("none", "batchnorm")
SPECTRA = [
    Run(
        f"spectrum-{norm}",
        model=MLP(width=64, depth=3, activation="relu", norm=norm, init_gain=HE),
        data=NOISY,
        optimizer=SGD(),
        arm="spectrum",
        lr=0.05,
        batch_size=128,
        steps=400,
        log_every=50,
        seed=SEEDS[0],
        sweep={"seed": SEEDS},
    )
    for norm in SPECTRUM_NORMS
]
"""Stopped before the networks memorise the wrong labels: then the curvature vanishes."""

ADAM_LRS = (0.004, 0.006, 0.008)
ADAM = [
    Run(
        f"adam-lr{lr:g}",
        model=MLP(width=64, depth=2, activation="tanh", norm="none"),
        data=SQUARED,
        optimizer=Adam(beta1=0.9, beta2=0.999, epsilon=1e-7),
        arm="adam",
        lr=lr,
        steps=1500,
        log_every=50,
        probes=(EffectiveSharpness(every=50),),
        seed=SEEDS[0],
        sweep={"seed": SEEDS},
    )
    for lr in ADAM_LRS
]

BAD = 3
"""The gain of the net that the cures are tried on, in units of HE."""
PHASE_STEPS, MIDDLE = 400, 200
WARMUP = 50
"""Updates of the warm-up in all comparisons except that of lengths."""
PHASE_SEEDS = (10, 11, 12, 13, 14)
"""The confirmatory seeds: rates and one rule were refined after a first run of seeds 0 to 4."""


def ladder(*, coarse: int, fine: int, last: int) -> tuple[float, ...]:
    """Learning rates 2**(k/2): every second k from `coarse` on, and every k from `fine` to `last`."""
    return tuple(2 ** (k / 2) for k in (*range(coarse, fine, 2), *range(fine, last + 1)))


def relu(
    *,
    gain: float,
    norm: Literal["none", "layernorm", "batchnorm"] = "none",
    gated: bool = False,
    metainit_steps: int | None = None,
) -> MLP:
    """Five hidden layers of 64 ReLUs with a gain in units of HE; if gated, on residual branches."""
    return MLP(
        width=64,
        depth=5,
        activation="relu",
        norm=norm,
        init_gain=gain * HE,
        residual=gated,
        gated=gated,
        metainit_steps=metainit_steps,
    )


MODELS = {
    "plain0.7": relu(gain=0.7),
    "plain1": relu(gain=1),
    "plain1.5": relu(gain=1.5),
    "plain2": relu(gain=2),
    "plain3": relu(gain=BAD),
    "layernorm3": relu(gain=BAD, norm="layernorm"),
    "batchnorm3": relu(gain=BAD, norm="batchnorm"),
    "gated1": relu(gain=1, gated=True),
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


def phase(name: str, model: MLP, *, arm: str, lrs: tuple[float, ...], warmup: int = 0, **changed: Any) -> Run:
    """A sweep over learning rates and seeds, with the sharpness at the end of the warm-up and halfway.

    Args:
        name: of the run.
        model: the network.
        arm: of the run.
        lrs: peak learning rates.
        warmup: updates of linear warm-up.
        changed: fields of the run that differ from the phase diagram's.
    """
    run = Run(
        name,
        model=model,
        data=NOISY,
        optimizer=SGD(),
        schedule=Constant(warmup_steps=warmup),
        arm=arm,
        batch_size=128,
        lr=lrs[0],
        steps=PHASE_STEPS,
        probes=(Sharpness(steps=tuple(sorted({warmup, MIDDLE} - {0}))),),
        seed=PHASE_SEEDS[0],
        sweep={"lr": lrs, "seed": PHASE_SEEDS},
        stacked=True,
    )
    return replace(run, **changed)


PHASE_LRS = {
    ("plain0.7", 0): ladder(coarse=-8, fine=-4, last=5),
    ("plain1", 0): ladder(coarse=-15, fine=-3, last=7),
    ("plain1", WARMUP): ladder(coarse=-15, fine=-3, last=7),
    ("plain1.5", 0): ladder(coarse=-17, fine=-9, last=1),
    ("plain1.5", WARMUP): ladder(coarse=-17, fine=-5, last=6),
    ("plain2", 0): ladder(coarse=-20, fine=-12, last=-2),
    ("plain3", 0): ladder(coarse=-28, fine=-16, last=-5),
    ("plain3", 10): ladder(coarse=-28, fine=-12, last=-2),
    ("plain3", WARMUP): ladder(coarse=-28, fine=-12, last=0),
    ("plain3", 200): ladder(coarse=-28, fine=-12, last=0),
    ("layernorm3", 0): ladder(coarse=-9, fine=3, last=12),
    ("layernorm3", WARMUP): ladder(coarse=-9, fine=3, last=12),
    ("batchnorm3", 0): ladder(coarse=-6, fine=8, last=18),
    ("batchnorm3", WARMUP): ladder(coarse=-6, fine=6, last=16),
    ("gated1", 0): ladder(coarse=-9, fine=-5, last=4),
    ("metainit1", 0): ladder(coarse=-8, fine=-2, last=3),
}
"""Around the rates from which on the pilot's seeds failed, and down to a half or a quarter of 2/sharpness at the start
(k = 2, -7, -15, -18, -24 for the plain nets, -5, 0, -3, 7 for the others); by model and updates of warm-up."""

PHASE = [
    phase(f"phase-{case}-w{warmup}", MODELS[case], arm=f"{case}_w{warmup}", lrs=lrs, warmup=warmup)
    for (case, warmup), lrs in PHASE_LRS.items()
]
QUIET = [
    phase(
        f"quiet-{case}",
        MODELS[case],
        arm=f"{case}_quiet",
        lrs=(lr,),
        steps=WARMUP,
        probes=(Sharpness(steps=(0, WARMUP)),),
    )
    for case, lr in QUIET_LRS.items()
]
"""As many updates as the warm-up has, at a rate that hardly moves the weights."""

SHARPEST = "plain3"
FLAT = ("plain1", "layernorm3", "batchnorm3", "gated1", "metainit1")
CURES = {
    "layernorm3_w0": "layer normalisation",
    "batchnorm3_w0": "batch normalisation",
    "plain1_w0": "scaled start",
    "metainit1_w0": "MetaInit",
}
"""Arms without warm-up that the sharpest network with warm-up is compared with."""

CLIP = SGD(clip=100.0)
"""A twelfth of the norm of the sharpest net's first gradient."""
MOMENTUM = SGD(momentum=0.9)
VARIED = [
    phase(
        "phase-plain3-clip",
        MODELS["plain3"],
        arm="plain3_clip",
        lrs=ladder(coarse=-28, fine=-12, last=0),
        optimizer=CLIP,
    ),
    phase(
        "phase-plain1-momentum",
        MODELS["plain1"],
        arm="plain1_momentum",
        lrs=ladder(coarse=-17, fine=-9, last=1),
        optimizer=MOMENTUM,
    ),
    phase(
        "phase-plain3-momentum",
        MODELS["plain3"],
        arm="plain3_momentum",
        lrs=ladder(coarse=-30, fine=-22, last=-10),
        optimizer=MOMENTUM,
    ),
]

PATH_STEPS = 150
PATH_PROBE = Sharpness(steps=(0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 50, 71, 100, 150))
STABLE_K, SHARP_K = -22, -10
"""2**(k/2) is about 4/sharpness at the start of the sharpest net, and a rate at which it failed in the pilot."""


def path(name: str, model: MLP, *, arm: str, k: int, **changed: Any) -> Run:
    """The first updates of a few runs, each with its loss, and the sharpness at many of them."""
    lrs = (2 ** (k / 2),)
    return phase(name, model, arm=arm, lrs=lrs, steps=PATH_STEPS, log_every=1, probes=(PATH_PROBE,), **changed)


PATHS = [
    path("path-plain3", MODELS["plain3"], arm="plain3_path", k=SHARP_K),
    path("path-plain3-w50", MODELS["plain3"], arm="plain3_w50_path", k=SHARP_K, warmup=WARMUP),
    path("path-plain3-clip", MODELS["plain3"], arm="plain3_clip_path", k=SHARP_K, optimizer=CLIP),
    path("path-metainit1", MODELS["metainit1"], arm="metainit1_path", k=SHARP_K),
    path("path-layernorm3", MODELS["layernorm3"], arm="layernorm3_path", k=SHARP_K),
    path("path-stable", MODELS["plain3"], arm="plain3_stable", k=STABLE_K),
    path("path-stable-clip", MODELS["plain3"], arm="plain3_clip_stable", k=STABLE_K, optimizer=CLIP),
]
TRAJECTORIES = {
    "plain3_path": "plain3_w0",
    "plain3_w50_path": "plain3_w50",
    "layernorm3_path": "layernorm3_w0",
    "metainit1_path": "metainit1_w0",
}
"""Arms of first updates that share one figure, with the arms of the phase diagram that they begin like."""

FULL_LRS = {"plain1": range(-9, 2, 2), "plain1.5": range(-17, -6, 2), "layernorm3": range(-7, 4, 2)}
"""Exponents k as above: from half of 2/sharpness at the start to 16 times it."""
FULL = [
    phase(
        f"full-{case}",
        MODELS[case],
        arm="full",
        lrs=tuple(2 ** (k / 2) for k in exponents),
        data=replace(NOISY, samples=512),
        batch_size=None,
        steps=200,
        probes=(Sharpness(steps=(100, 150, 200)),),
    )
    for case, exponents in FULL_LRS.items()
]
HEAVY = [
    replace(
        descent(0.38),
        name="gd-momentum",
        optimizer=MOMENTUM,
        arm="heavy",
        steps=600,
        keep_steps=(),
        stacked=True,
    )
]
"""A rate whose edge 3.8/lr is 10, that of plain descent at 0.2; at twice this rate most seeds diverge."""

RUNS = [*EDGE, *ADAM, *BATCHES, *SPECTRA, *PHASE, *QUIET, *VARIED, *PATHS, *FULL, *HEAVY]

DESCENT = Select(arm="gd")
BATCHED = Select(arm="batch") | Select(arm="gd", lr=BATCH_LR)
ADAPTIVE = Select(arm="adam")

FIGURES = [
    Figure("eos", runs=DESCENT, claims=["S1", "S2"]),
    Figure("lr_phase", runs=Select(stacked=True), claims=["S3", "S5"]),
    Figure("trajectories", runs=Select(arm=list(TRAJECTORIES))),
    Figure("warmup", runs=Select(stacked=True), claims=["S6", "S6a", "S8"]),
    Figure("interventions", runs=Select(stacked=True), claims=["S10", "S9"]),
    Figure("clipping", runs=Select(stacked=True), claims=["S10"]),
    Figure("batchsize", runs=BATCHED, tables=["batches"], claims=["S11", "S12"]),
    Figure("adam", runs=ADAPTIVE, claims=["S13"]),
    Figure("spectrum", runs=Select(arm="spectrum"), tables=["spectrum"], claims=["S15"]),
    Figure("preln_postln", tables=["layers"], claims=["S14", "S14a"]),
]
MEASURES = [
    Measure("batches", states=Select(arm="gd", lr=BATCH_LR), smoke={"batches": 2}),
    Measure("spectrum", states=Select(arm="spectrum"), smoke={"examples": 128, "steps": 40, "draws": 1}),
    Measure("layers", smoke={"seeds": [0, 1]}),
    Measure("estimator", smoke={"networks": 4}),
    Measure("critical", states=DESCENT, smoke={"every": 3}),
]
