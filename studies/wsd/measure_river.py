"""Simulate SGD in the winding valley under every schedule, beside the exact predictions.

No training run; the river itself is examined too.

One table of six parts, told apart by the column `part`; columns that a part does not have are empty.

excess: height above the river at each constant rate, by seed.
clock: position after all updates at each constant rate, by seed.
final: each checkpoint of each schedule, mean over seeds with half width of the 95 % interval.
curve: the same along a run.
path: positions of the first seed along a run.
river: the river by position x, for two valleys, without noise.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import pandas as pd
from scipy import stats

from common.config import WSD, WSDS, Constant, Cosine, CyclicCosine, DecayShape, Schedule
from common.optim.schedules import rates
from studies.wsd.river import (
    Trajectory,
    Valley,
    descend,
    descent_lag,
    excess_bound,
    expect,
    first_order_offset,
    gradient_noise,
    push,
    river_loss,
    river_offset,
    stationary_excess,
)

SEEDS = range(1000, 1512)
"""Others than those on which the measures were chosen, 0 to 511."""
WINDING = Valley(slope=0.15, curvature=50.0, noise=10.0, bend=0.3, wavenumber=0.5)
STRAIGHT = replace(WINDING, bend=0.0)
STEEP = Valley(slope=5.0, curvature=50.0, noise=0.0, bend=0.5, wavenumber=1.0)
"""A river so steep that it runs visibly beside the floor."""

PEAK = 0.02
"""Here rate * curvature = 1. The theorem on the river asks for a rate below 1 / (2 * curvature) where all curvatures of
the hills are equal: 0.01. From there on the exact excess and the measurements speak, not the theorem."""
CONSTANT_LRS = (0.0025, 0.005, 0.01, 0.02, 0.03)
COSINE_LRS = (0.02, 0.03)
"""Peaks of the oracle cosine; rate * curvature = 2, where SGD on these hills becomes unstable, is at 0.04."""
FLOOR = 0.1
BUDGETS = (1000, 2000, 4000)
STEPS = BUDGETS[-1]
LAST_SHARE = 0.1
"""Of a budget: the decay of WSD and WSD-S."""
SHAPE: DecayShape = "inverse"
"""Of decays that have to have one; the form of Wen et al. 2024."""
WINDOW_SHARE = 0.5
"""Of a constant run: its last updates over which the excess is averaged."""

CURVE_EVERY = 40
LAST_POINTS = 11
"""Points of a curve in the last tenth, both ends included."""
PATH_EVERY = 10
POSITIONS = 24
"""Points of one wave of the floor at which the river is examined, none of them where the floor is flat."""
START_DISTANCE = 0.1
DESCENT_RATE = 0.005
RELAXATION = 20
"""Noise-free descent: distance from the floor at its start, rate and clock to each x in units of 1/curvature."""
DIFFERENCE = 1e-4
"""Step of the finite differences, in units of x and y."""


def last_steps(budget: int) -> int:
    """Updates of the decay before a budget's checkpoint."""
    return round(LAST_SHARE * budget)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One schedule at one peak, and at which update it delivers the checkpoint of which budget."""

    name: str
    schedule: Schedule
    checkpoints: dict[int, int]
    lr: float = PEAK
    accounting: str | None = None
    """WSD-S: "total", equal updates for all checkpoints together, or "lineage", `budget` updates behind each."""

    @property
    def steps(self) -> int:
        """Updates of the whole run."""
        return max(self.checkpoints.values())

    @property
    def rates(self) -> list[float]:
        """Learning rate of each update."""
        return rates(self.schedule, steps=self.steps, lr=self.lr)

    @property
    def label(self) -> dict[str, str | float | None]:
        """Columns that name the arm."""
        shape = self.schedule.decay_shape if isinstance(self.schedule, WSD | WSDS) else None
        return {"arm": self.name, "lr": self.lr, "shape": shape, "accounting": self.accounting}


def wsd(budget: int, shape: DecayShape) -> Arm:
    """WSD for one budget."""
    schedule = WSD(decay_steps=last_steps(budget), decay_shape=shape, floor=FLOOR)
    return Arm(name="wsd", schedule=schedule, checkpoints={budget: budget})


def total_ends() -> tuple[int, ...]:
    """Ends of WSD-S's decays when its stable updates before each checkpoint are those of WSD for that budget."""
    decays = np.cumsum([last_steps(budget) for budget in BUDGETS])
    return tuple(budget - last_steps(budget) + int(done) for budget, done in zip(BUDGETS, decays, strict=True))


def wsd_s(accounting: str, ends: tuple[int, ...]) -> Arm:
    """WSD-S through all budgets: straight back to the peak after each decay."""
    decays = tuple(map(last_steps, BUDGETS))
    schedule = WSDS(decay_ends=ends, decay_steps=decays, decay_shape=SHAPE, floor=FLOOR)
    checkpoints = dict(zip(BUDGETS, ends, strict=True))
    return Arm(name="wsd_s", schedule=schedule, checkpoints=checkpoints, accounting=accounting)


def cosine(budget: int, lr: float) -> Arm:
    """Oracle cosine: a run of its own for each budget."""
    return Arm(name="cosine", schedule=Cosine(floor=FLOOR), checkpoints={budget: budget}, lr=lr)


CONSTANTS = [Arm(name="constant", schedule=Constant(), checkpoints={STEPS: STEPS}, lr=lr) for lr in CONSTANT_LRS]
REFERENCES = [wsd(budget, SHAPE) for budget in BUDGETS]
"""What every other arm of the same budget is compared with."""
OTHER_SHAPES = [wsd(STEPS, shape) for shape in get_args(DecayShape) if shape != SHAPE]
COSINES = [cosine(budget, lr) for lr in COSINE_LRS for budget in BUDGETS]
CONTINUED = [
    wsd_s("total", total_ends()),
    wsd_s("lineage", BUDGETS),
    Arm(
        name="cyclic_cosine",
        schedule=CyclicCosine(cycle_ends=BUDGETS, floor=FLOOR),
        checkpoints={budget: budget for budget in BUDGETS},
    ),
]
ARMS = [*REFERENCES, *OTHER_SHAPES, *CONSTANTS, *COSINES, *CONTINUED]
LONGEST = max(arm.steps for arm in ARMS)


def excess_rows(arm: Arm, path: Trajectory, noise: np.ndarray) -> pd.DataFrame:
    """Mean loss above the river in the window: in the winding valley and in a straight one, where theory is exact."""
    window = slice(-round(WINDOW_SHARE * arm.steps), None)
    straight = descend(STRAIGHT, rates=arm.rates, noise=noise)
    winding_excess = stationary_excess(WINDING, rate=arm.lr, x=expect(WINDING, arm.rates).x[window])
    columns = {
        "excess": mean_excess(WINDING, path, window),
        "predicted_excess": stationary_excess(STRAIGHT, rate=arm.lr),
        "predicted_winding_excess": np.mean(winding_excess),
        "straight_excess": mean_excess(STRAIGHT, straight, window),
        "excess_bound": excess_bound(STRAIGHT, rate=arm.lr),
    }
    return pd.DataFrame(columns)


def mean_excess(valley: Valley, path: Trajectory, window: slice) -> np.ndarray:
    """Loss above the river at the same x, mean over the window for each seed."""
    x, y = path.x[window], path.y[window]
    excess: np.ndarray = (valley.loss(x, y) - river_loss(valley, x)).mean(axis=0)
    return excess


def loss_after(path: Trajectory, step: int) -> np.ndarray:
    """Loss of each seed after so many updates."""
    return WINDING.loss(path.x[step], path.y[step])


def clock_rows(arm: Arm, path: Trajectory, noise: np.ndarray) -> pd.DataFrame:
    """Last x beside the river flow's, and how far the noise has pushed it: of mean 0, but most of the spread."""
    expected = expect(WINDING, arm.rates)
    columns = {
        "clock": expected.clock[-1],
        "x": path.x[-1],
        "x_push": push(WINDING, path, rates=arm.rates, noise=noise),
        "predicted_x": expected.x[-1],
    }
    return pd.DataFrame(columns)


def final_rows(arm: Arm, path: Trajectory, references: Mapping[int, np.ndarray]) -> pd.DataFrame:
    """Each checkpoint: x, loss, fall in the last tenth of the budget, and loss above WSD's at equal budget and seed."""
    expected, rows = expect(WINDING, arm.rates), []
    for budget, step in arm.checkpoints.items():
        before, loss = step - last_steps(budget), loss_after(path, step)
        measured = {
            "x": path.x[step],
            "loss": loss,
            "fall": loss_after(path, before) - loss,
            "loss_above_wsd": loss - references[budget],
        }
        predicted = {
            "predicted_x": expected.x[step],
            "predicted_loss": expected.loss[step],
            "predicted_fall": expected.loss[before] - expected.loss[step],
        }
        means = {name: values.mean() for name, values in measured.items()}
        halves = {f"{name}_half_width": half_width(values) for name, values in measured.items()}
        rows.append({"budget": budget, "step": step, "clock": expected.clock[step], **means, **halves, **predicted})
    return pd.DataFrame(rows)


def curve_rows(arm: Arm, path: Trajectory) -> pd.DataFrame:
    """Means over seeds at logged updates."""
    last = np.linspace(arm.steps - last_steps(arm.steps), arm.steps, LAST_POINTS).astype(int)
    steps = np.unique([*range(0, arm.steps + 1, CURVE_EVERY), *last])
    expected, x = expect(WINDING, arm.rates), path.x[steps]
    loss = WINDING.loss(x, path.y[steps])
    columns = {
        "budget": arm.steps,
        "step": steps,
        "clock": expected.clock[steps],
        "x": x.mean(axis=1),
        "loss": loss.mean(axis=1),
        "x_half_width": half_width(x),
        "loss_half_width": half_width(loss),
        "predicted_x": expected.x[steps],
        "predicted_loss": expected.loss[steps],
    }
    return pd.DataFrame(columns)


def half_width(values: np.ndarray) -> np.ndarray:
    """Half width of the 95 % t interval over the last axis."""
    count = values.shape[-1]
    half: np.ndarray = stats.t.ppf(0.975, count - 1) * values.std(axis=-1, ddof=1) / math.sqrt(count)
    return half


def path_rows(arm: Arm, path: Trajectory) -> pd.DataFrame:
    """Positions of the first seed."""
    steps = np.arange(0, arm.steps + 1, PATH_EVERY)
    return pd.DataFrame({"budget": arm.steps, "step": steps, "x": path.x[steps, 0], "y": path.y[steps, 0]})


def drawn(arm: Arm) -> bool:
    """Whether the figure draws the arm as a curve."""
    return arm in CONSTANTS or arm in REFERENCES or arm == cosine(STEPS, PEAK)


def travelled(arm: Arm) -> bool:
    """Whether the figure draws the arm's positions."""
    return arm in (CONSTANTS[0], REFERENCES[-1])


def slope_cosine(valley: Valley, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Cosine of the gradient to the Hessian's eigenvector of the smallest eigenvalue, from values of the loss alone.

    Both by central differences, so that they check `Valley.gradient` and `Valley.hessian`, not repeat them.
    """
    shifts = DIFFERENCE * np.arange(-1, 2)
    near = np.array([[valley.loss(x + right, y + up) for up in shifts] for right in shifts])
    gradient = np.array([near[2, 1] - near[0, 1], near[1, 2] - near[1, 0]]) / (2 * DIFFERENCE)
    mixed = (near[2, 2] - near[2, 0] - near[0, 2] + near[0, 0]) / 4
    straight = (near[2, 1] - 2 * near[1, 1] + near[0, 1], near[1, 2] - 2 * near[1, 1] + near[1, 0])
    hessian = np.array([[straight[0], mixed], [mixed, straight[1]]]) / DIFFERENCE**2
    tangent = np.linalg.eigh(np.moveaxis(hessian, (0, 1), (-2, -1))).eigenvectors[..., 0]
    cosine: np.ndarray = np.abs(np.sum(tangent * gradient.T, axis=-1)) / np.linalg.norm(gradient, axis=0)
    return cosine


def descended_offset(valley: Valley, x: np.ndarray) -> np.ndarray:
    """Offset y - f(x) where descents without noise pass x, each begun upstream and off the floor.

    A small rate stands for gradient flow, and `RELAXATION` for as long as it takes to forget the start.
    """
    upstream = x - RELAXATION * valley.slope / valley.curvature
    start = (upstream, valley.floor(upstream) + START_DISTANCE)
    steps = math.ceil(2 * RELAXATION * np.max(valley.stretch(x)) / DESCENT_RATE)
    rates = [DESCENT_RATE / valley.curvature] * steps
    path = descend(replace(valley, noise=0.0), rates=rates, noise=np.zeros((steps, len(x))), start=start)
    offset = path.y - valley.floor(path.x)
    return np.array([np.interp(x[i], path.x[:, i], offset[:, i]) for i in range(len(x))])


def river_rows(name: str, valley: Valley) -> pd.DataFrame:
    """One wave of the river: its offset by definition and closed form, and where noise-free descent runs."""
    x = (np.arange(POSITIONS) + 0.5) / POSITIONS * 2 * np.pi / valley.wavenumber
    floor, offset, descended = valley.floor(x), river_offset(valley, x), descended_offset(valley, x)
    columns = {
        "valley": name,
        "x": x,
        "y": floor + offset,
        "offset": offset,
        "predicted_offset": first_order_offset(valley, x),
        "descended_offset": descended,
        "predicted_descended_offset": first_order_offset(valley, x) + descent_lag(valley, x),
        "cosine": slope_cosine(valley, x, floor + offset),
        "descended_cosine": slope_cosine(valley, x, floor + descended),
    }
    return pd.DataFrame(columns)


def arm_rows(
    arm: Arm, *, noise: np.ndarray, seeds: Sequence[int], references: Mapping[int, np.ndarray]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Parts of the table that one arm fills; `references` are the losses of WSD by budget."""
    path = descend(WINDING, rates=arm.rates, noise=noise)
    yield "final", final_rows(arm, path, references)
    if arm in CONSTANTS:
        yield "excess", excess_rows(arm, path, noise).assign(seed=list(seeds))
        yield "clock", clock_rows(arm, path, noise).assign(seed=list(seeds))
    if drawn(arm):
        yield "curve", curve_rows(arm, path)
    if travelled(arm):
        yield "path", path_rows(arm, path).assign(seed=seeds[0])


def measure(seeds: Sequence[int] = SEEDS) -> pd.DataFrame:
    """All parts; see the head of this file. Losses have no unit; x, y and the clock have those of the toy."""
    noise = gradient_noise(seeds, LONGEST)
    decayed = {arm.steps: descend(WINDING, rates=arm.rates, noise=noise) for arm in REFERENCES}
    references = {budget: loss_after(path, budget) for budget, path in decayed.items()}
    tables = [
        rows.assign(part=part, **arm.label)
        for arm in ARMS
        for part, rows in arm_rows(arm, noise=noise, seeds=seeds, references=references)
    ]
    valleys = {"winding": WINDING, "steep": STEEP}
    tables += [river_rows(name, valley).assign(part="river") for name, valley in valleys.items()]
    table = pd.concat(tables, ignore_index=True).astype(dict.fromkeys(("budget", "seed", "step"), "Int64"))
    first = ["part", *ARMS[0].label, "budget", "seed", "step"]
    return table[[*first, *table.columns.drop(first)]]
