"""Why does the loss fall so steeply when a warm-up-stable-decay schedule decays, and is it as good as an oracle cosine?

Wen et al. 2024, "Understanding Warmup-Stable-Decay Learning Rates: A River Valley Loss Landscape Perspective",
arXiv:2410.05192. Headline comparisons share their final learning rate, a tenth of the peak. One trunk of constant
learning rate for each peak and seed carries every decay; nothing that two runs share is trained twice.

Peaks, budgets and thresholds were frozen after a pilot with seeds 100 and 101.
"""

from itertools import pairwise

from common.config import Data, Model, Optimizer, Run, Schedule

SEEDS = range(5)
BUDGETS = (600, 1200, 2400)
"""Updates at which a finished model is wanted."""
LONGEST = BUDGETS[-1]
PEAK = 3e-3
"""Peak of the headline runs: in the pilot the best of WSD at the first two budgets, and of the cosine at the others."""
STABLE_LRS = (7.5e-4, 1.5e-3, PEAK)
COSINE_LRS = {600: (PEAK, 2 * PEAK), 1200: (PEAK, 2 * PEAK), 2400: (PEAK / 2, PEAK, 2 * PEAK)}
"""Peaks among which the cosine of each budget may choose: of 1.5e-3 to 1.2e-2, the best two of the pilot, and for the
longest budget the best and its neighbours."""
LENGTHS = (0.05, 0.1, 0.2, 0.4, 0.6)
"""Shares of the longest budget that a linear decay takes."""
SHAPE_LENGTHS = (0.1, 0.2)
SHAPES = ("linear", "inverse", "sqrt", "cosine", "square", "exponential")
WARMUP_STEPS = 96

SETTINGS = {
    "model": Model(kind="transformer", width=64, depth=2, heads=2),
    "data": Data(source="corpus", name="python", context=64, validation_windows=2048),
    "optimizer": Optimizer(kind="adamw", beta1=0.9, beta2=0.95, weight_decay=0.1, clip=1.0),
    "batch_size": 4,
}


def decay_steps(budget: int, share: float = 0.1) -> int:
    """The last tenth, or another share, of a budget."""
    return round(share * budget)


def stable_steps(budget: int, share: float = 0.1) -> int:
    """Updates of a budget before its decay."""
    return budget - decay_steps(budget, share)


def cooldown(shape: str, steps: int) -> Schedule:
    """A decay to a tenth of the peak, which begins at once."""
    return Schedule(kind="wsd", decay_steps=steps, decay_shape=shape)


def stable(lr: float, seed: int) -> str:
    """Name of a trunk."""
    return f"stable-lr{lr:g}-s{seed}"


TRUNKS = {
    stable(lr, seed): Run(
        **SETTINGS,
        arm="stable",
        schedule=Schedule(kind="constant", warmup_steps=WARMUP_STEPS),
        lr=lr,
        steps=LONGEST,
        keep_steps=tuple(sorted({*map(stable_steps, BUDGETS), *(stable_steps(LONGEST, share) for share in LENGTHS)})),
        evaluate_every=LONGEST // 5,
        seed=seed,
    )
    for lr in STABLE_LRS
    for seed in SEEDS
}

DECAYS = {
    f"wsd-{budget}-lr{lr:g}-s{seed}": Run(
        **SETTINGS,
        arm="wsd",
        parent=stable(lr, seed),
        parent_step=stable_steps(budget),
        schedule=cooldown("inverse", decay_steps(budget)),
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
        evaluate_every=max(300, budget // 4),
        seed=seed,
    )
    for budget in BUDGETS
    for lr in COSINE_LRS[budget]
    for seed in SEEDS
}

COSINES_TO_ZERO = {
    f"cosine_to_zero-{BUDGETS[1]}-s{seed}": Run(
        **SETTINGS,
        arm="cosine_to_zero",
        schedule=Schedule(kind="cosine", warmup_steps=WARMUP_STEPS, floor=0.0),
        lr=PEAK,
        steps=BUDGETS[1],
        seed=seed,
    )
    for seed in SEEDS
}

NEXT_BUDGETS = dict(pairwise(BUDGETS))
MODES = ("total", "lineage")
"""What the budgets of WSD-S count: all updates spent on all checkpoints (each decay comes on top, as in the authors'
configurations), or the updates behind each checkpoint."""


def wsd_s_steps(mode: str, budget: int) -> int:
    """Updates of WSD-S from the checkpoint of one budget to that of the next."""
    again = decay_steps(budget) if mode == "total" else 0
    return NEXT_BUDGETS[budget] - budget + again


WSD_S = {
    f"wsd_s_{mode}-{following}-s{seed}": Run(
        **SETTINGS,
        arm=f"wsd_s_{mode}",
        parent=f"wsd_s_{mode}-{budget}-s{seed}" if budget > BUDGETS[0] else f"wsd-{budget}-lr{PEAK:g}-s{seed}",
        schedule=cooldown("inverse", decay_steps(following)),
        lr=PEAK,
        steps=wsd_s_steps(mode, budget),
        evaluate_every=300,
        seed=seed,
    )
    for mode in MODES
    for budget, following in NEXT_BUDGETS.items()
    for seed in SEEDS
}

JUMP = Schedule(kind="cosine")
REWARM = Schedule(kind="rewarm", warmup_steps=WARMUP_STEPS, start=0.1)
CYCLES = (("cyclic", JUMP, PEAK), ("cyclic", JUMP, 2 * PEAK), ("cyclic_rewarm", REWARM, PEAK))
"""Arm, schedule of each further cycle, and peak; the first cycle is the cosine of the first budget."""

CYCLIC = {
    f"{arm}-{following}-lr{lr:g}-s{seed}": Run(
        **SETTINGS,
        arm=arm,
        parent=f"{arm if budget > BUDGETS[0] else 'cosine'}-{budget}-lr{lr:g}-s{seed}",
        schedule=schedule,
        lr=lr,
        steps=following - budget,
        evaluate_every=300,
        seed=seed,
    )
    for arm, schedule, lr in CYCLES
    for budget, following in NEXT_BUDGETS.items()
    for seed in SEEDS
}

COOLDOWNS = {
    f"cooldown-{shape}-{share:g}-lr{lr:g}-s{seed}": Run(
        **SETTINGS,
        arm=f"cooldown_{shape}",
        parent=stable(lr, seed),
        parent_step=stable_steps(LONGEST, share),
        schedule=cooldown(shape, decay_steps(LONGEST, share)),
        lr=lr,
        steps=decay_steps(LONGEST, share),
        seed=seed,
    )
    for shape, lr, share in (
        *(("linear", lr, share) for lr in STABLE_LRS for share in (LENGTHS if lr == PEAK else LENGTHS[:-1])),
        *((shape, PEAK, share) for shape in SHAPES[1:] for share in SHAPE_LENGTHS),
    )
    if (shape, share) != ("inverse", 0.1)
    for seed in SEEDS
}
"""Other lengths and shapes of the decay before the longest budget; the inverse one over a tenth is among DECAYS."""

LANGUAGE = {
    "model": Model(kind="transformer", width=64, depth=1, heads=2),
    "data": Data(source="bigram", vocabulary=2048, successors=1024, context=32, validation_windows=256),
    "optimizer": Optimizer(kind="adamw", beta1=0.9, beta2=0.95, clip=1.0),
    "batch_size": 4,
    "lr": 6e-3,
}
"""Bigrams: every other token is certain (1024 pairs to learn), the tokens between are uniform over 1024."""
LANGUAGE_STEPS = 2000

BIGRAM_TRUNKS = {
    f"bigram-stable-s{seed}": Run(
        **LANGUAGE,
        arm="bigram_stable",
        schedule=Schedule(kind="constant", warmup_steps=WARMUP_STEPS),
        steps=LANGUAGE_STEPS,
        keep_steps=(*range(100, 600, 100), *range(600, LANGUAGE_STEPS, 200)),
        seed=seed,
    )
    for seed in SEEDS
}

BIGRAM_DECAYS = {
    f"bigram-wsd-s{seed}": Run(
        **LANGUAGE,
        arm="bigram_wsd",
        parent=f"bigram-stable-s{seed}",
        parent_step=stable_steps(LANGUAGE_STEPS),
        schedule=cooldown("inverse", decay_steps(LANGUAGE_STEPS)),
        steps=decay_steps(LANGUAGE_STEPS),
        keep_steps=(decay_steps(LANGUAGE_STEPS) // 4, decay_steps(LANGUAGE_STEPS) // 2),
        seed=seed,
    )
    for seed in SEEDS
}

RUNS = TRUNKS | DECAYS | COSINES | COSINES_TO_ZERO | WSD_S | CYCLIC | COOLDOWNS | BIGRAM_TRUNKS | BIGRAM_DECAYS
