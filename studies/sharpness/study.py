"""Does the largest eigenvalue of the Hessian decide which learning rates survive?

Cohen et al. 2021, "Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability" (arXiv:2103.00065),
and Gilmer et al. 2021, "A Loss Curvature Perspective on Training Instability in Deep Learning" (arXiv:2110.04369).

Learning rates, the initial gain and thresholds were frozen after a pilot with seeds 100 and 101.
"""

from dataclasses import replace

from common.config import Data, Model, Optimizer, Probe, Run

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

RUNS = EDGE | ADAM | BATCHES | SPECTRA
