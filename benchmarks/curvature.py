"""The largest Hessian eigenvalue against PyHessian and curvlinops, at equal achieved error.

Same weights, data, loss and starting seeds for all, one thread for torch and for every BLAS, candidates taking turns,
CPU seconds. Each tool runs at the loosest tolerance of `TOLERANCES`, or the fewest steps, at which its relative error
is at most `ERROR` from every seed; the reference is a search in float64 that eigsh confirms. Times hold everything from
the model to the value, memory is what the process grows by at its peak, in a process of its own. Optional dependencies
of this benchmark only:

    pip install pyhessian==0.1 curvlinops-for-pytorch==3.0.1
    python benchmarks/curvature.py --json curvature.json  # a quarter of an hour
    python benchmarks/curvature.py --products  # the cost of one product alone
    python benchmarks/curvature.py --missed  # how often the stopping rule is wrong

PyHessian runs as published; around it and curvlinops attention is put into torch's plain form, since the fused one has
no second derivative. No activation but gelu and tanh is used, since functorch, which curvlinops needs, cannot
differentiate the repository's own squared ReLU.
"""

import argparse
import copy
import functools
import gc
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np
import pyhessian
import torch
from curvlinops import HessianLinearOperator
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from common import models
from common.config import MLP, Convnet, Corpus, Digits, Model, Transformer
from common.curvature.lanczos import extremes
from common.curvature.objective import Objective
from common.curvature.operators import Hessian, Operator
from common.data import Dataset, corpora, load
from common.data.losses import cross_entropy
from common.streams import stream

ERROR = 1e-3
"""Relative error of the eigenvalue that every tool must reach."""
TOLERANCES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
SEEDS = range(5)
STEPS = range(3, 30)
TURNS = 3
"""Seeds of which the time is taken."""
WIDTHS = (70, 280, 960, 3130)
"""Of MLPs with 10 k, 100 k, 1 M and 10 M weights, for the cost of one product."""
REPEATS = 3e8
"""Products that each cost is the median of, times the weights; at most `MOST`."""
MOST = 1000
HARD, SIZE = 200, 3000
"""Random spectra of each kind, and most of their eigenvalues, on which the stopping rule is tried."""
TRAINED_STEPS, POINTS, EVERY_STEPS = 300, 20, 20
DIVISOR = 16
"""The start from a part of the data takes one example in so many."""
BASIS = 8
"""Size of ARPACK's basis in the second row of eigsh; SciPy's default is 20."""
LIMIT = 1000


@dataclass
class Problem:
    """A network at one point of its training, and the probe set."""

    name: str
    model: nn.Module
    dataset: Dataset
    examples: int
    batch_size: int
    lr: float
    start: np.ndarray | None = None
    """Vectors that a search `EVERY_STEPS` updates before has found, float64 (size, 2)."""

    @property
    def objective(self) -> Objective:
        """A fresh one, without any graph."""
        return Objective.of_dataset(self.model, self.dataset, examples=self.examples)

    @property
    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The probe set as the other tools take it."""
        inputs, targets = self.dataset.batch(seed=0, position=0, count=self.examples)
        return inputs, targets

    def __post_init__(self) -> None:
        self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.lr, weight_decay=0.0)
        self._done = 0

    def train(self, *, steps: int) -> None:
        """AdamW for `steps` more updates."""
        for _ in range(steps):
            batch = self.dataset.batch(seed=1, position=self._done * self.batch_size, count=self.batch_size)
            self.model.zero_grad()
            cross_entropy(self.model(batch.inputs), batch.targets).backward()
            self._optimizer.step()
            self._done += 1
        self.model.zero_grad()


@dataclass
class Answer:
    """What a tool gives."""

    value: float
    products: float
    """Products with the Hessian of the whole probe set; those of a part count by its share."""


Tool = Callable[[Problem, float, int], Answer]
"""From a problem, a tolerance (steps) and a seed."""


def digits(width: int = 960) -> Problem:
    """An MLP; 1 M weights by default."""
    data = load(Digits(), corpora=Path())
    model = MLP(width=width, depth=2, activation="tanh", norm="none")
    return Problem("MLP", _built(model, data), data, examples=512, batch_size=64, lr=1e-3)


def images() -> Problem:
    """A convolutional network of 94,906 weights."""
    data = load(Digits(), corpora=Path())
    return Problem(
        "conv net",
        _built(Convnet(width=72, depth=3, activation="gelu", norm="none"), data),
        data,
        examples=128,
        batch_size=64,
        lr=1e-3,
    )


def text(folder: Path, depth: int = 8) -> Problem:
    """A byte transformer on matplotlib's sources; 0.41 M weights by default."""
    corpora.build("python", out=folder / "python", packages=corpora.SMOKE_PACKAGES["python"])
    data = load(Corpus("python", context=64), corpora=folder)
    model = Transformer(width=64, depth=depth, heads=2, activation="gelu")
    return Problem("transformer", _built(model, data), data, examples=16, batch_size=8, lr=1e-3)


def _built(model: Model, data: Dataset) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    return models.build(model, inputs=data.inputs, outputs=data.outputs, context=data.context, generator=generator)


def ours(problem: Problem, tolerance: float, seed: int) -> Answer:
    objective = problem.objective
    with objective.cached_graphs():
        found = extremes(Hessian(objective), tolerance=tolerance, seed=seed)
    return Answer(found.value, found.products)


def ours_from_a_part(problem: Problem, tolerance: float, seed: int) -> Answer:
    objective = problem.objective
    part = objective.part(DIVISOR)
    with part.cached_graphs():
        first = extremes(Hessian(part), tolerance=0.01, seed=seed)
    with objective.cached_graphs():
        found = extremes(Hessian(objective), start=first.start, tolerance=tolerance)
    return Answer(found.value, found.products + first.products * part.targets / objective.targets)


def ours_warm(problem: Problem, tolerance: float, _: int) -> Answer:
    """From the vectors of the search before; needs no seed."""
    objective = problem.objective
    with objective.cached_graphs():
        found = extremes(Hessian(objective), start=problem.start, tolerance=tolerance)
    return Answer(found.value, found.products)


def pyhessian_power(problem: Problem, tolerance: float, seed: int) -> Answer:
    """Its power iteration; it counts no products, so its calls of autograd are counted for it."""
    torch.manual_seed(seed)
    calls = 0
    original = torch.autograd.grad

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return original(*args, **kwargs)

    torch.autograd.grad = counted
    try:
        with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hessian = pyhessian.hessian(problem.model, cross_entropy, data=problem.batch, cuda=False)
            values, _ = hessian.eigenvalues(maxIter=LIMIT, tol=tolerance)
    finally:
        torch.autograd.grad = original
        problem.model.zero_grad()
    return Answer(values[0], calls)


def plain_lanczos(problem: Problem, steps: float, seed: int) -> Answer:
    """The textbook's recursion in torch, with as many steps as it is told: what any Krylov method needs at least."""
    parameters = list(problem.model.parameters())
    with sdpa_kernel(SDPBackend.MATH):
        loss = cross_entropy(problem.model(problem.batch[0]), problem.batch[1])
        gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    sizes = [one.numel() for one in parameters]
    vector = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(seed))
    before, vector, below = torch.zeros_like(vector), vector / vector.norm(), 0.0
    diagonal, beside = [], []
    for _ in range(int(steps)):
        parts = [part.view_as(one) for part, one in zip(vector.split(sizes), parameters, strict=True)]
        product = torch.cat(
            [one.flatten() for one in torch.autograd.grad(gradient, parameters, parts, retain_graph=True)]
        )
        diagonal.append(float(vector @ product))
        product -= diagonal[-1] * vector + below * before
        below = float(product.norm())
        beside.append(below)
        before, vector = vector, product / below
    matrix = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    return Answer(float(np.linalg.eigvalsh(matrix)[-1]), steps)


class MeanLoss(nn.Module):
    """Cross-entropy with the attribute by which curvlinops knows that it is a mean."""

    reduction = "mean"

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Nats per target."""
        return cross_entropy(outputs, targets)


def curvlinops_eigsh(basis: int | None) -> Tool:
    def tool(problem: Problem, tolerance: float, seed: int) -> Answer:
        calls = 0
        parameters = list(problem.model.parameters())
        with sdpa_kernel(SDPBackend.MATH):
            matrix = HessianLinearOperator(
                problem.model, MeanLoss(), parameters, [problem.batch], check_deterministic=False
            ).to_scipy()

            def product(vector: np.ndarray) -> np.ndarray:
                nonlocal calls
                calls += 1
                return matrix @ vector

            counted = LinearOperator(matrix.shape, matvec=product, dtype=np.float32)
            start = np.random.default_rng(seed).standard_normal(matrix.shape[0]).astype(np.float32)
            (value,) = eigsh(
                counted, k=1, which="LA", tol=tolerance, ncv=basis, v0=start, maxiter=LIMIT, return_eigenvectors=False
            )
        return Answer(float(value), calls)

    return tool


def reference(problem: Problem) -> float:
    """In float64, to a residual of 1e-8; SciPy's eigsh at its tightest must agree to 1e-9."""
    double = copy.deepcopy(problem.model).double()
    inputs, targets = problem.batch
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    objective = Objective(double, cross_entropy, [(inputs, targets)])
    operator = Hessian(objective)
    with objective.cached_graphs():
        found = extremes(operator, tolerance=1e-8, basis=60, largest=2)
        whole = LinearOperator((operator.size,) * 2, matvec=lambda v: operator(v.reshape(-1, 1))[:, 0], dtype=float)
        (value,) = eigsh(whole, k=1, which="LA", v0=found.start.sum(1), return_eigenvectors=False)
    if not found.converged or abs(value - found.value) > 1e-9 * value:
        raise SystemExit(f"the reference {found.value} is not confirmed by eigsh: {value}")
    print(f"  largest {found.value:.6g}, second {found.second:.6g}", flush=True)
    return found.value


def measured(problem: Problem, point: str) -> Iterator[dict[str, Any]]:
    """One row for each tool."""
    true = reference(problem)
    tools = {
        "ours, cold": ours,
        f"ours, from 1/{DIVISOR} of the data": ours_from_a_part,
        "PyHessian": pyhessian_power,
        "curvlinops + eigsh": curvlinops_eigsh(None),
        f"curvlinops + eigsh, basis {BASIS}": curvlinops_eigsh(BASIS),
        "Lanczos, steps given": plain_lanczos,
    }
    if problem.start is not None:
        tools["ours, warm"] = ours_warm
    found = {name: loosest(tool, problem, true) for name, tool in tools.items()}
    for name in [name for name, (setting, _) in found.items() if not setting]:
        print(f"  no setting of {name} gives an error of {ERROR}", flush=True)
        del found[name]
    memory = {name: peak_memory(tools[name], problem) for name in found}
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for seed in SEEDS[:TURNS]:
        for name in found:
            gc.collect()
            start = time.process_time()
            tools[name](problem, found[name][0], seed)
            seconds[name].append(time.process_time() - start)
    for name, (setting, answers) in found.items():
        yield {
            "problem": f"{problem.name}, {point}",
            "tool": name,
            "setting": setting,
            "products": statistics.median(answer.products for answer in answers),
            "CPU seconds": statistics.median(seconds[name]),
            "over ours, cold": statistics.median(
                a / b for a, b in zip(seconds[name], seconds["ours, cold"], strict=True)
            ),
            "MiB": memory[name] / 2**20,
            "worst error": max(abs(answer.value / true - 1) for answer in answers),
        }


def loosest(tool: Tool, problem: Problem, true: float) -> tuple[float, list[Answer]]:
    """The first tolerance, or number of steps, at which every seed is within `ERROR`, and what it gives; else 0."""
    for setting in STEPS if tool is plain_lanczos else TOLERANCES:
        answers: list[Answer] = []
        for seed in SEEDS:
            answers.append(tool(problem, setting, seed))
            if abs(answers[-1].value / true - 1) > ERROR:
                break
        else:
            return setting, answers
    return 0.0, []


def peak_memory(tool: Tool, problem: Problem) -> int:
    """Bytes by which a forked process grows at its peak (resident set) during one run at tolerance `ERROR`."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def child() -> None:
        before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        tool(problem, STEPS[-1] if tool is plain_lanczos else ERROR, 0)
        queue.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)

    process = context.Process(target=child)
    process.start()
    grown: int = queue.get()
    process.join()
    return grown


def along_training(problem: Problem) -> Iterator[dict[str, Any]]:
    """Products at tolerance `ERROR` cold and warm from the last point, every `EVERY_STEPS` updates; one row."""
    cold, warm, apart, start = [], [], [], None
    for point in range(POINTS + 1):
        objective = problem.objective
        with objective.cached_graphs():
            first = extremes(Hessian(objective), tolerance=ERROR, seed=point)
            again = extremes(Hessian(objective), tolerance=ERROR, start=start)
        if start is not None:
            cold.append(first.products)
            warm.append(again.products)
            apart.append(abs(again.value / first.value - 1))
        start = again.start
        problem.train(steps=EVERY_STEPS)
    yield {
        "problem": problem.name,
        "points": len(warm),
        "cold": statistics.mean(cold),
        "warm": statistics.mean(warm),
        "mean ratio": statistics.mean(a / b for a, b in zip(cold, warm, strict=True)),
        "worst difference": max(apart),
    }


def points(problem: Problem) -> Iterator[dict[str, Any]]:
    """Rows at the start and after `TRAINED_STEPS` updates."""
    yield from measured(problem, "initial")
    problem.train(steps=TRAINED_STEPS - EVERY_STEPS)
    objective = problem.objective
    problem.start = extremes(Hessian(objective), tolerance=ERROR).start
    problem.train(steps=EVERY_STEPS)
    yield from measured(problem, f"after {TRAINED_STEPS} updates")


def product_costs() -> Iterator[dict[str, Any]]:
    """One product with vectors of either type over one call of autograd through the same graph; a row for each size."""
    for width in WIDTHS:
        problem = digits(width)
        objective = problem.objective
        operator = Hessian(objective)
        loss = cross_entropy(problem.model(problem.batch[0]), problem.batch[1])
        gradient = torch.autograd.grad(loss, objective.parameters, create_graph=True)
        vectors = [torch.randn_like(one) for one in objective.parameters]
        block = np.random.default_rng(0).standard_normal((operator.size, 1))
        with objective.cached_graphs():
            candidates = (
                functools.partial(torch.autograd.grad, gradient, objective.parameters, vectors, retain_graph=True),
                functools.partial(operator, block.astype(np.float32)),
                functools.partial(operator, block),
            )
            seconds = [[_seconds(one) for one in candidates] for _ in range(min(int(REPEATS / operator.size), MOST))]
        ratios = np.median([[turn[1] / turn[0], turn[2] / turn[0]] for turn in seconds], axis=0)
        yield {
            "weights": operator.size,
            "bare, CPU ms": 1e3 * float(np.median([turn[0] for turn in seconds])),
            "float32 vectors": float(ratios[0]),
            "float64 vectors": float(ratios[1]),
        }


def _seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


class Diagonal(Operator):
    """Given eigenvalues."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__(len(values), precision=float(np.finfo(np.float64).eps))
        self.values = values

    def _apply(self, block: np.ndarray) -> np.ndarray:
        return self.values[:, None] * block


SPECTRA: dict[str, Callable[[np.random.Generator], list[Any]]] = {
    "pair": lambda d: [[1, 1 - 10 ** d.uniform(-2.5, -1)], d.uniform(0.1, 0.9, 8), d.normal(0, 0.05, SIZE)],
    "five within 5 %": lambda d: [[1], 1 - d.uniform(0, 0.05, 4), d.uniform(0.1, 0.8, 8), d.normal(0, 0.05, SIZE)],
    "outliers": lambda d: [[1], d.uniform(0.05, 0.95, 9), np.abs(d.normal(0, 0.02, SIZE))],
    "power law": lambda d: [np.arange(1, SIZE + 1) ** -d.uniform(0.3, 1.5)],
    "negative beyond": lambda d: [[1, 1 - 10 ** d.uniform(-2, -0.3)], d.uniform(-2, 0.8, 20), d.normal(0, 0.1, SIZE)],
    "wide bulk": lambda d: [[1, d.uniform(0.7, 0.99)], d.uniform(-0.6, 0.6, SIZE)],
    "one alone": lambda d: [[1], d.uniform(0, 0.3, 9), d.normal(0, 0.01, SIZE)],
}
"""What the stopping rule is tried on; the largest eigenvalue is 1."""


def missed() -> Iterator[dict[str, Any]]:
    """Share of random spectra of which the value is wrong by more than the tolerance, and by more than 1 %."""
    for tolerance in (1e-3, 1e-2, 1e-1):
        for name, draw in SPECTRA.items():
            found = []
            for number in range(HARD):
                values = np.concatenate(draw(stream(number, "missed", name)))
                found.append(extremes(Diagonal(values), seed=number, tolerance=tolerance))
            yield {
                "spectrum": name,
                "tolerance": tolerance,
                "products": statistics.mean(one.products for one in found),
                "wrong": statistics.mean(1 - one.value > tolerance for one in found),
                "wrong by 1 %": statistics.mean(1 - one.value > 1e-2 for one in found),
                "products, largest": max(one.products for one in found),
            }


def line(row: dict[str, Any]) -> str:
    cells = (f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values())
    return f"| {' | '.join(cells)} |"


def against_others() -> Iterator[dict[str, Any]]:
    """Along trainings of small networks, then every tool on larger ones."""
    with tempfile.TemporaryDirectory() as folder:
        for problem in (digits(width=200), text(Path(folder), depth=4)):
            yield from along_training(problem)
        for problem in (images(), digits(), text(Path(folder))):
            yield from points(problem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    parser.add_argument("--products", action="store_true", help="only what one product costs")
    parser.add_argument("--missed", action="store_true", help="only how often the stopping rule is wrong")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for row in product_costs() if options.products else missed() if options.missed else against_others():
        if not rows or row.keys() != rows[-1].keys():
            print(f"\n| {' | '.join(row)} |\n|{'---|' * len(row)}")
        rows.append(row)
        print(line(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
