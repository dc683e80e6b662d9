"""Why does the loss fall so steeply when a warm-up-stable-decay schedule decays, and is it as good as an oracle cosine?

Wen et al. 2024, "Understanding Warmup-Stable-Decay Learning Rates: A River Valley Loss Landscape Perspective",
arXiv:2410.05192. The headline runs share their final learning rate, a tenth of the peak.
"""

from common.config import Data, Model, Optimizer, Run, Schedule

SEEDS = range(5)
BUDGETS = (300, 600, 1200)
"""Updates at which a finished model is wanted."""
STABLE_LRS = (1.5e-3, 3e-3, 6e-3)
"""Peaks of the constant learning rate."""
COSINE_LRS = {300: (3e-3, 6e-3), 600: (3e-3, 6e-3), 1200: (1.5e-3, 3e-3)}
"""Peaks among which the cosine of each budget may choose.

A pilot with other seeds over 3e-3, 6e-3 and 1.2e-2 found 6e-3 best and 3e-3 second for the first two budgets, and 3e-3
best for the last one, where 1.5e-3 is the neighbour that it had left open.
"""
WARMUP_STEPS = 48

SETTINGS = {
    "model": Model(kind="transformer", width=64, depth=2, heads=2),
    "data": Data(source="corpus", name="python", context=128, validation_windows=1024),
    "optimizer": Optimizer(kind="adamw", beta1=0.9, beta2=0.95, weight_decay=0.1, clip=1.0),
    "batch_size": 4,
}


def decay_steps(budget: int) -> int:
    """The last tenth of a budget."""
    return budget // 10


TRUNKS = {
    f"stable-lr{lr:g}-s{seed}": Run(
        **SETTINGS,
        arm="stable",
        schedule=Schedule(kind="constant", warmup_steps=WARMUP_STEPS),
        lr=lr,
        steps=BUDGETS[-1],
        keep_steps=tuple(budget - decay_steps(budget) for budget in BUDGETS),
        evaluate_every=BUDGETS[-1] // 10,
        seed=seed,
    )
    for lr in STABLE_LRS
    for seed in SEEDS
}

DECAYS = {
    f"wsd-{budget}-lr{lr:g}-s{seed}": Run(
        **SETTINGS,
        arm="wsd",
        parent=f"stable-lr{lr:g}-s{seed}",
        parent_step=budget - decay_steps(budget),
        schedule=Schedule(kind="wsd", decay_steps=decay_steps(budget), decay_shape="inverse"),
        lr=lr,
        steps=decay_steps(budget),
        evaluate_every=decay_steps(budget) // 2,
        seed=seed,
    )
    for budget in BUDGETS
    for lr in STABLE_LRS
    for seed in SEEDS
}

COSINES = {
    f"cosine-{budget}-lr{lr:g}-s{seed}": Run(
        **SETTINGS,
        arm="cosine",
        schedule=Schedule(kind="cosine", warmup_steps=WARMUP_STEPS),
        lr=lr,
        steps=budget,
        evaluate_every=150,
        seed=seed,
    )
    for budget in BUDGETS
    for lr in COSINE_LRS[budget]
    for seed in SEEDS
}

RUNS = TRUNKS | DECAYS | COSINES
