"""Largest eigenvalues of the Hessian and its two parts along descent of linear networks.

No training run is read: the networks are descended here.
"""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from studies.lr_transfer.linear import Network, Task, curvature, random_network, random_task, trajectory
from studies.lr_transfer.study import SEEDS

PARAMETRIZATIONS = ("mup", "ntp")
BASE_WIDTH = 64
WIDTHS = (64, 128, 256, 512, 1024, 2048, 4096, math.inf)
SAMPLES, FEATURES = 64, 20
GAIN = 0.4
"""So small that the network of the base width must grow to fit coefficients of norm 1."""
LR = 0.02
"""Far below 2/sharpness, so that nothing but the fit ends the growth."""
STEPS = 400
EVERY = 4


def curves(network: Network, task: Task, *, every: int = EVERY) -> Iterator[dict[str, float | str]]:
    """Step, loss, part and eigenvalue: three rows for each step logged."""
    for step, state in enumerate(trajectory(network, task, lr=LR, steps=STEPS)):
        if step % every == 0:
            loss = state.loss(task)
            for part, eigenvalue in curvature(state, task)._asdict().items():
                yield {"step": step, "loss": loss, "part": part, "eigenvalue": eigenvalue}


def measure(seeds: Sequence[int] = SEEDS, widths: Sequence[float] = WIDTHS, every: int = EVERY) -> pd.DataFrame:
    """Columns parametrization, width, seed, step, loss, part (hessian, gauss_newton or residual), eigenvalue.

    Args:
        seeds: of task and network.
        widths: of the networks; may be infinite.
        every: steps from one that is logged to the next.
    """
    rows = []
    for seed in seeds:
        task = random_task(seed, samples=SAMPLES, features=FEATURES)
        for parametrization in PARAMETRIZATIONS:
            for width in widths:
                about = {"parametrization": parametrization, "width": width, "seed": seed}
                network = random_network(
                    seed,
                    width=width,
                    features=FEATURES,
                    parametrization=parametrization,
                    base_width=BASE_WIDTH,
                    gain=GAIN,
                )
                rows += [{**about, **row} for row in curves(network, task, every=every)]
    return pd.DataFrame(rows)
