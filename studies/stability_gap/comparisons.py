"""Tables of cures beside plain training, for claims and figures."""

from itertools import product
from typing import Any

import pandas as pd

from studies.stability_gap.cures import compared, reach_steps, with_nearest_mean
from studies.stability_gap.domains import learning, of_run, rises
from studies.stability_gap.gaps import gaps, recorded
from studies.stability_gap.study import CURE_RATES, CURES, DECAYS, LEARNERS, SCENARIOS

TEXT = "text"
"""The scenario of the language model, joint training at one rate; its quantities are nats per byte, not points."""
VIEWS = {"weights": "val_accuracy", "average": "average_val_accuracy", "nearest_mean": "nearest_mean_accuracy"}
"""Ways to read a network in training, and the columns of their evaluations."""


def viewed(runs: pd.DataFrame, view: str = "weights") -> pd.DataFrame:
    """`gaps` as a view of `VIEWS` shows them, with a column reach_steps, updates until the new task is learnt."""
    runs, value = with_nearest_mean(runs), VIEWS[view]
    reached = [reach_steps(record) for record in recorded(runs, value=value).values()]
    return gaps(runs, value=value).assign(reach_steps=reached)


def has_view(runs: pd.DataFrame, view: str) -> bool:
    """Whether the rows were evaluated in a view."""
    column = f"{VIEWS[view]}_task0"
    runs = with_nearest_mean(runs)
    return column in runs and bool(runs[column].notna().any())


def rows_by_cure(runs: pd.DataFrame, scenario: str, method: str, lr: float) -> dict[str, tuple[pd.DataFrame, str]]:
    """Rows of plain training and of each cure at one rate, and the view that shows them.

    Keys: plain, ramp, warmup, and at the rate of the averages "average 0.95", "average 0.98" and "nearest_mean".
    """
    runs, arm = runs[runs.lr == lr], f"{scenario}_{method}"
    arms = {"plain": arm} | {cure: f"{arm}_{cure}" for cure in CURES}
    found = {cure: (runs[runs.arm == name], "weights") for cure, name in arms.items()}
    for decay in DECAYS:
        rows = runs[runs.run == f"{scenario}-{method}-average{decay}"]
        seen = {f"average {decay:g}": "average", "nearest_mean": "nearest_mean"}
        found |= {cure: (rows, view) for cure, view in seen.items() if has_view(rows, view)}
    return found


def comparisons(runs: pd.DataFrame) -> pd.DataFrame:
    """`cures.compared` of every cure, with columns scenario, method, lr and cure."""
    parts = []
    for scenario, method, lr in product(SCENARIOS, LEARNERS, CURE_RATES):
        tables = {cure: viewed(*seen) for cure, seen in rows_by_cure(runs, scenario, method, lr).items()}
        plain = tables.pop("plain")
        about: dict[str, Any] = {"scenario": scenario, "method": method, "lr": lr}
        parts += [compared(table, plain).assign(**about, cure=cure) for cure, table in tables.items()]
    about = {"scenario": TEXT, "method": "joint", "lr": runs.lr[runs.arm == "text_joint"].iloc[0]}
    plain = beyond_same(runs, "text-joint")
    parts += [compared(beyond_same(runs, f"text-joint-{cure}"), plain).assign(**about, cure=cure) for cure in CURES]
    return pd.concat(parts, ignore_index=True)


def beyond_same(runs: pd.DataFrame, run: str) -> pd.DataFrame:
    """`learning` of a run on text, its depth and residual beyond those of the same seed when nothing switches."""
    table, same = learning(runs, run), rises(runs, "prose")
    rise, left = (table.seed.map(of_run(same, "text-same", column)) for column in ("rise", "residual"))
    return table.assign(depth=table.depth - rise, residual=table.residual - left)


def conditions(
    runs: pd.DataFrame, cure: str, scenario: str, *methods: str
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Rows of a cure and of plain training by seed, for each method and rate."""
    found = {}
    for method, lr in product(methods, CURE_RATES):
        rows = rows_by_cure(runs, scenario, method, lr)
        found[f"{method}, lr {lr:g}"] = viewed(*rows[cure]), viewed(*rows["plain"])
    return found
