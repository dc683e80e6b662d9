"""Largest eigenvalues of the effective Hessian and kernel, trace and alignment of kept states.

Alignment is the share of the gradient in the top eigenspace. Effective: of D^(1/2) A D^(1/2), with D each weight's rate
relative to the run's. For the half squared error over n examples the Gauss-Newton part D^(1/2) J' J D^(1/2) / n has the
nonzero spectrum of the effective neural tangent kernel J D J' / n of all examples and outputs (derived: X'X and XX'
share it), so its eigenvalues are called those of the kernel, with 1 / n in them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from torch import nn

from common.config import Run
from common.curvature.alignment import alignment
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective, Vector
from common.curvature.operators import GaussNewton, Hessian, Scaled
from common.curvature.stability import diagonal
from common.curvature.trace import hutch_plus_plus
from common.data import Dataset
from common.models.roles import named_factors
from common.optim import optimizers
from common.runs import checkpoint, snapshots
from common.runs.snapshots import Trained

SEEDS: Mapping[str, Sequence[int]] = {"mup": (0, 1, 2), "ntp": (0,)}
"""Seeds that are measured, by parametrization; the others are left out."""
TOP = 10
"""Largest eigenvalues measured, as many as there are outputs."""
TOLERANCE = 1e-2
FLOOR = 3e-3
"""Of the largest eigenvalue: a bound this small is enough for the lower ones too."""
PRODUCTS = 18
"""Spent on each trace."""

Row = dict[str, float | str]


def rates(model: nn.Module, objective: Objective, run: Run) -> Vector:
    """D: each weight's learning rate over the run's, float64 (weights,)."""
    rule = optimizers.build(run.optimizer, model.named_parameters(), lr=run.lr, factors=named_factors(model))
    return diagonal(rule, objective.named, lr=run.lr)


def spectrum(
    model: nn.Module,
    dataset: Dataset,
    run: Run,
    *,
    top: int = TOP,
    tolerance: float = TOLERANCE,
    products: int = PRODUCTS,
) -> Iterator[Row]:
    """The rows of one state: `hessian`, `ntk` and `share` by rank, `trace` and `ntk_trace` with their standard `error`.

    A share is that of the squared norm of the gradient along the eigenvector of the Hessian with this rank, both in the
    coordinates of `Scaled`.

    Args:
        model: the network of the state.
        dataset: what it is trained on.
        run: its description.
        top: largest eigenvalues measured.
        tolerance: of each, relative.
        products: spent on each trace.
    """
    objective = Objective.of_dataset(model, dataset)
    with objective.cached_graphs():
        scaled = rates(model, objective, run)
        hessian, kernel = Scaled(Hessian(objective), scaled), Scaled(GaussNewton(objective), scaled)
        pairs = extremes(hessian, largest=top, tolerance=tolerance, floor=FLOOR, seed=run.seed).largest
        tangent = extremes(kernel, largest=top, tolerance=tolerance, floor=FLOOR, start=pairs.vectors, seed=run.seed)
        operators = {"trace": hessian, "ntk_trace": kernel}
        traces = {name: hutch_plus_plus(one, products=products, seed=run.seed) for name, one in operators.items()}
        shares = alignment(hessian, hessian.gradient(objective.gradient()), pairs).shares
    for quantity, values in (("hessian", pairs.values), ("ntk", tangent.largest.values), ("share", shares)):
        for rank, value in enumerate(values, start=1):
            yield {"quantity": quantity, "rank": rank, "value": value}
    for quantity, trace in traces.items():
        yield {"quantity": quantity, "value": trace.value, "error": trace.error}


def kept(path: Path, seeds: Mapping[str, Sequence[int]]) -> Iterator[Trained]:
    """Every kept state of the measured seeds, given by parametrization, of one run."""
    dataset = None
    for label in checkpoint.labels(path):
        after = snapshots.read(path, label, dataset=dataset)
        dataset = after.dataset
        if after.run.seed in seeds.get(after.run.model.parametrization, ()):
            yield after


def measure(
    states: Sequence[Path],
    *,
    seeds: Mapping[str, Sequence[int]] = SEEDS,
    top: int = TOP,
    tolerance: float = TOLERANCE,
    products: int = PRODUCTS,
) -> pd.DataFrame:
    """Columns parametrization, width, seed, step, quantity (see `spectrum`), rank, value, error (of traces).

    Args:
        states: of the runs.
        seeds: that are measured, by parametrization.
        top: see `spectrum`, as the rest.
        tolerance: relative.
        products: of each trace.
    """
    rows: list[Row] = []
    for path in states:
        for after in kept(path, seeds):
            run, step = after.run, after.state.step
            about = {"parametrization": run.model.parametrization, "width": run.model.width, "seed": run.seed}
            found = spectrum(after.model, after.dataset, run, top=top, tolerance=tolerance, products=products)
            rows += [{**about, "step": step, **row} for row in found]
    table = pd.DataFrame(rows).astype({"rank": "Int64"})
    return table.sort_values(["parametrization", "width", "seed", "step"], kind="stable", ignore_index=True)
