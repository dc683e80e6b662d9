"""Does the largest eigenvalue of the Hessian decide which learning rates survive?

Cohen et al. 2021, "Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability" (arXiv:2103.00065),
and Gilmer et al. 2021, "A Loss Curvature Perspective on Training Instability in Deep Learning" (arXiv:2110.04369).

Learning rates, the initial gain and thresholds were frozen after a pilot with seeds 100 and 101.
"""

from common.config import Data, Model, Optimizer, Probe, Run

SEEDS = (0, 1, 2, 3, 4)
EDGE_LRS = (0.2, 0.4, 0.6, 0.8)
"""Rates whose edge 2/lr, from 2.5 to 10, lies above the sharpness at the start and below that of gradient flow."""
EDGE_STEPS = 2000

EDGE = {
    f"gd-lr{lr:g}": Run(
        model=Model(kind="mlp", width=64, depth=2, activation="tanh", norm="none", init_gain=0.5),
        data=Data(source="digits", samples=1024, standardised=True, loss="mse"),
        optimizer=Optimizer(kind="sgd"),
        arm="gd",
        lr=lr,
        steps=EDGE_STEPS,
        log_every=20,
        probes=(Probe(kind="sharpness", every=20),),
        seed=SEEDS[0],
        sweep={"seed": SEEDS},
    )
    for lr in EDGE_LRS
}

RUNS = EDGE
