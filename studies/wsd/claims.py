"""Claims on WSD against constant and cosine schedules. Thresholds frozen after a pilot with seeds 100 and 101."""

from itertools import combinations

import pandas as pd

from common.claims import claim
from common.statistics import paired_differences
from common.verdicts import Verdict, all_of, crossover, equivalence, greater

UNIT = "nats/byte"
BEFORE_DECAY = 0.9
"""Share of a budget after which the decay begins."""


def last_loss(runs: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Final validation loss of each run of an arm: columns budget (updates, lineage included), lr, seed, val_loss."""
    rows = runs[(runs.arm == arm) & runs.val_loss.notna()].sort_values("step")
    last = rows.groupby("run").tail(1)
    return last.rename(columns={"step": "budget"})[["budget", "lr", "seed", "val_loss"]]


def stable_loss(runs: pd.DataFrame, *, step: float, lr: float) -> pd.Series:
    """Validation loss by seed of the constant run of one peak after `step` updates."""
    rows = runs[(runs.arm == "stable") & (runs.lr == lr) & (runs.step == round(step)) & runs.val_loss.notna()]
    if rows.empty:
        raise LookupError(
            f"the constant runs of lr={lr:g} were not evaluated at step {step:g}; see keep_steps in study.py"
        )
    return rows.set_index("seed").val_loss


def best(losses: pd.DataFrame, budget: int) -> tuple[float, pd.Series]:
    """Peak with the lowest mean loss at a budget, and its losses by seed."""
    table = losses[losses.budget == budget].pivot(index="seed", columns="lr", values="val_loss")
    lr = float(table.mean().idxmin())
    return lr, table[lr]


@claim(
    "C1",
    "the decay reveals progress that the constant phase hides",
    source="Schaipp et al. 2025, logs of the 124M model, 50k updates",
    published="fall 0.173 nats/token (3.103 to 2.930)",
    published_mark="published",
)
def decay_reveals_progress(runs: pd.DataFrame) -> Verdict:
    """The last 10 % of the largest budget: fall at least 0.03 nats, and 3 times the fall in the 10 % before."""
    decayed = last_loss(runs, "wsd")
    budget = int(decayed.budget.max())
    lr, end = best(decayed, budget)
    start = stable_loss(runs, step=BEFORE_DECAY * budget, lr=lr)
    earlier = stable_loss(runs, step=(2 * BEFORE_DECAY - 1) * budget, lr=lr)
    fall = paired_differences(start, end)
    before = paired_differences(earlier, start)
    excess = {seed: fall[seed] - 3 * before[seed] for seed in fall}
    return all_of(
        greater(fall, than=0.03, unit=UNIT, label="fall in the decay"),
        greater(excess, than=0.0, unit=UNIT, label="fall minus 3 times the fall before"),
    )


@claim(
    "C2",
    "of two learning rates, the one that looks worse while constant is better after the decay",
    source="Schaipp et al. 2025, logs of the 124M model, 50k updates",
    published="5e-4 against 1e-3: -0.029 while constant, +0.008 after the decay",
    published_mark="published",
)
def learning_rates_cross(runs: pd.DataFrame) -> Verdict:
    """Some pair of peaks changes order at the largest budget; constant losses are means over its last tenth."""
    decayed = last_loss(runs, "wsd")
    budget = decayed.budget.max()
    after = decayed[decayed.budget == budget].pivot(index="seed", columns="lr", values="val_loss")
    recent = runs[(runs.arm == "stable") & runs.val_loss.notna() & (runs.step >= round(BEFORE_DECAY * budget))]
    before = recent.groupby(["seed", "lr"]).val_loss.mean().unstack("lr")
    pairs = list(combinations(sorted(after.columns), 2))
    return crossover(
        {pair: paired_differences(before[pair[0]], before[pair[1]]) for pair in pairs},
        {pair: paired_differences(after[pair[0]], after[pair[1]]) for pair in pairs},
        unit=UNIT,
    )


@claim(
    "C8",
    "WSD is as good as a cosine made for each budget",
    source="Schaipp et al. 2025, logs of the 124M model, 50k updates, both to learning rate 0",
    published="gap 0.006 to 0.012 nats/token (20 % decay)",
    published_mark="published",
)
def wsd_matches_cosine(runs: pd.DataFrame) -> Verdict:
    """Equivalence within 0.02 nats at each budget, each schedule with its best peak, equal final factor 0.1."""
    decayed, cosine = last_loss(runs, "wsd"), last_loss(runs, "cosine")
    gaps = []
    for budget in sorted(decayed.budget.unique()):
        gap = paired_differences(best(decayed, budget)[1], best(cosine, budget)[1])
        gaps.append(equivalence(gap, margin=0.02, unit=UNIT, label=f"budget {budget}, WSD minus cosine"))
    return all_of(*gaps)
