"""Why does the loss fall so steeply when a warm-up-stable-decay schedule decays, and is it as good as an oracle cosine?

Wen et al. 2024, "Understanding Warmup-Stable-Decay Learning Rates: A River Valley Loss Landscape Perspective",
arXiv:2410.05192. Schedules that are compared decay to a tenth, each of its own peak: they share the factor, and the
final learning rate only if their peaks are equal. One trunk of constant learning rate for each peak carries every
decay; nothing that two runs share is trained twice. Every run is a sweep over the seeds, and a decay continues the
member with its own seed.

Peaks and budgets were chosen after a pilot with seeds 100 and 101, and after seeds 0 to 4 had been judged at half of
these budgets.
"""

from itertools import pairwise
from typing import Any

from common.config import (
    WSD,
    AdamW,
    Bigram,
    Constant,
    Corpus,
    Cosine,
    DecayShape,
    Figure,
    Measure,
    Rewarm,
    Run,
    Rung,
    Schedule,
    Select,
    Transformer,
)

SEEDS = range(5)
BUDGETS = (600, 1200, 2400)
"""Updates at which a finished model is wanted."""
LONGEST = BUDGETS[-1]
PEAK = 3e-3
"""Peak of the headline runs: in the pilot the best of WSD at the first two budgets, and of the cosine at the others.

At the longest budget the best of WSD is half of it."""
STABLE_LRS = (7.5e-4, 1.5e-3, PEAK)
COSINE_LRS = {600: (PEAK, 2 * PEAK), 1200: (PEAK, 2 * PEAK), 2400: (PEAK / 2, PEAK, 2 * PEAK)}
"""Peaks among which the cosine of each budget may choose: of 1.5e-3 to 1.2e-2, the best two of the pilot, and for the
longest budget the best and its neighbours."""
LENGTHS = (0.05, 0.1, 0.2, 0.4, 0.6)
"""Shares of the longest budget that a linear decay takes."""
SHAPE_LENGTHS = (0.1, 0.2)
SHAPES: tuple[DecayShape, ...] = ("linear", "inverse", "sqrt", "cosine", "square", "exponential")
WARMUP_STEPS = 96
DECAY_SHARE = 0.1
"""Of a budget, in the headline runs."""

SEEDED: dict[str, Any] = {"seed": SEEDS[0], "sweep": {"seed": tuple(SEEDS)}}
"""One job trains all seeds of a run."""

SETTINGS: dict[str, Any] = {
    **SEEDED,
    "model": Transformer(width=64, depth=2, heads=2),
    "data": Corpus("python", context=64, validation_windows=2048),
    "optimizer": AdamW(beta1=0.9, beta2=0.95, weight_decay=0.1, clip=1.0),
    "batch_size": 4,
    "curve_examples": 256,
}


def decay_steps(budget: int, share: float = DECAY_SHARE) -> int:
    """The last tenth, or another share, of a budget."""
    return round(share * budget)


def stable_steps(budget: int, share: float = DECAY_SHARE) -> int:
    """Updates of a budget before its decay."""
    return budget - decay_steps(budget, share)


def cooldown(shape: DecayShape, steps: int) -> WSD:
    """A decay to a tenth of the peak, which begins at once."""
    return WSD(decay_steps=steps, decay_shape=shape)


def stable(lr: float) -> str:
    """Name of a trunk."""
    return f"stable-lr{lr:g}"


TRUNKS = [
    Run(
        stable(lr),
        **SETTINGS,
        arm="stable",
        schedule=Constant(warmup_steps=WARMUP_STEPS),
        lr=lr,
        steps=LONGEST,
        keep_steps=tuple(sorted({*map(stable_steps, BUDGETS), *(stable_steps(LONGEST, share) for share in LENGTHS)})),
        evaluate_every=LONGEST // 5,
    )
    for lr in STABLE_LRS
]

DECAYS = [
    Run(
        f"wsd-{budget}-lr{lr:g}",
        **SETTINGS,
        arm="wsd",
        parent=stable(lr),
        parent_step=stable_steps(budget),
        schedule=cooldown("inverse", decay_steps(budget)),
        lr=lr,
        steps=decay_steps(budget),
        evaluate_every=decay_steps(budget) // 2,
    )
    for budget in BUDGETS
    for lr in STABLE_LRS
]

COSINES = [
    Run(
        f"cosine-{budget}-lr{lr:g}",
        **SETTINGS,
        arm="cosine",
        schedule=Cosine(warmup_steps=WARMUP_STEPS),
        lr=lr,
        steps=budget,
        evaluate_every=max(300, budget // 4),
    )
    for budget in BUDGETS
    for lr in COSINE_LRS[budget]
]

COSINE_TO_ZERO = Run(
    f"cosine_to_zero-{BUDGETS[1]}",
    **SETTINGS,
    arm="cosine_to_zero",
    schedule=Cosine(warmup_steps=WARMUP_STEPS, floor=0.0),
    lr=PEAK,
    steps=BUDGETS[1],
)

NEXT_BUDGETS = dict(pairwise(BUDGETS))
MODES = ("total", "lineage")
"""What the budgets of WSD-S count: all updates spent on all checkpoints (each decay comes on top, as in the authors'
configurations), or the updates behind each checkpoint."""


def wsd_s_steps(mode: str, budget: int) -> int:
    """Updates of WSD-S from the checkpoint of one budget to that of the next."""
    again = decay_steps(budget) if mode == "total" else 0
    return NEXT_BUDGETS[budget] - budget + again


WSD_S = [
    Run(
        f"wsd_s_{mode}-{following}",
        **SETTINGS,
        arm=f"wsd_s_{mode}",
        parent=f"wsd_s_{mode}-{budget}" if budget > BUDGETS[0] else f"wsd-{budget}-lr{PEAK:g}",
        schedule=cooldown("inverse", decay_steps(following)),
        lr=PEAK,
        steps=wsd_s_steps(mode, budget),
        evaluate_every=300,
    )
    for mode in MODES
    for budget, following in NEXT_BUDGETS.items()
]

JUMP = Cosine()
REWARM = Rewarm(warmup_steps=WARMUP_STEPS, start=0.1)
CYCLES: tuple[tuple[str, Schedule, float], ...] = (
    ("cyclic", JUMP, PEAK),
    ("cyclic", JUMP, 2 * PEAK),
    ("cyclic_rewarm", REWARM, PEAK),
)
"""Arm, schedule of each further cycle, and peak; the first cycle is the cosine of the first budget."""

CYCLIC = [
    Run(
        f"{arm}-{following}-lr{lr:g}",
        **SETTINGS,
        arm=arm,
        parent=f"{arm if budget > BUDGETS[0] else 'cosine'}-{budget}-lr{lr:g}",
        schedule=schedule,
        lr=lr,
        steps=following - budget,
        evaluate_every=300,
    )
    for arm, schedule, lr in CYCLES
    for budget, following in NEXT_BUDGETS.items()
]

COOLDOWNS = [
    Run(
        f"cooldown-{shape}-{share:g}-lr{lr:g}",
        **SETTINGS,
        arm=f"cooldown_{shape}",
        parent=stable(lr),
        parent_step=stable_steps(LONGEST, share),
        schedule=cooldown(shape, decay_steps(LONGEST, share)),
        lr=lr,
        steps=decay_steps(LONGEST, share),
    )
    for shape, lr, share in (
        *(("linear", lr, share) for lr in STABLE_LRS for share in (LENGTHS if lr == PEAK else LENGTHS[:-1])),
        *((shape, PEAK, share) for shape in SHAPES[1:] for share in SHAPE_LENGTHS),
    )
    if (shape, share) != ("inverse", DECAY_SHARE)
]
"""Other lengths and shapes of the decay before the longest budget; the inverse one over a tenth is among DECAYS."""

LANGUAGE: dict[str, Any] = {
    **SEEDED,
    "model": Transformer(width=64, depth=1, heads=2),
    "data": Bigram(vocabulary=2048, successors=1024, context=32, validation_windows=256),
    "optimizer": AdamW(beta1=0.9, beta2=0.95, clip=1.0),
    "batch_size": 4,
    "lr": 6e-3,
}
"""Bigrams: every other token is certain (1024 pairs to learn), the tokens between are uniform over 1024."""
LANGUAGE_STEPS = 2000

BIGRAM_TRUNK = Run(
    "bigram-stable",
    **LANGUAGE,
    arm="bigram_stable",
    schedule=Constant(warmup_steps=WARMUP_STEPS),
    steps=LANGUAGE_STEPS,
    keep_steps=(*range(100, 600, 100), *range(600, LANGUAGE_STEPS, 200)),
)

BIGRAM_DECAY = Run(
    "bigram-wsd",
    **LANGUAGE,
    arm="bigram_wsd",
    parent="bigram-stable",
    parent_step=stable_steps(LANGUAGE_STEPS),
    schedule=cooldown("inverse", decay_steps(LANGUAGE_STEPS)),
    steps=decay_steps(LANGUAGE_STEPS),
    keep_steps=(decay_steps(LANGUAGE_STEPS) // 4, decay_steps(LANGUAGE_STEPS) // 2),
)

RUNGS = [
    Rung(name, parameters=parameters, bytes_per_parameter=30, batch=16)
    for name, parameters in (("25k", 25_984), ("50k", 48_640), ("100k", 101_760))
]
"""Networks on which the decay and its rival are measured again: size and data grow together."""
WIDTHS = {"25k": 28, "50k": 40, "100k": 60}
"""Of the network of each rung; everything else is as in the headline runs."""
LADDER_SEEDS = range(3)


def on_rung(rung: Rung) -> dict[str, Any]:
    """What all runs of a rung have in common."""
    return SETTINGS | {
        "model": Transformer(width=WIDTHS[rung.name], depth=2, heads=2),
        "batch_size": rung.batch,
        "rung": rung.name,
        "lr": PEAK,
        "sweep": {"seed": tuple(LADDER_SEEDS)},
    }


def rung_steps(rung: Rung) -> int:
    """Updates of a whole training on a rung."""
    return rung.steps(context=64)


LADDER = [
    run
    for rung in RUNGS
    for run in (
        Run(
            f"ladder-stable-{rung.name}",
            **on_rung(rung),
            arm="ladder_stable",
            schedule=Constant(warmup_steps=WARMUP_STEPS),
            steps=rung_steps(rung),
            keep_steps=(stable_steps(rung_steps(rung)),),
        ),
        Run(
            f"ladder-wsd-{rung.name}",
            **on_rung(rung),
            arm="ladder_wsd",
            parent=f"ladder-stable-{rung.name}",
            parent_step=stable_steps(rung_steps(rung)),
            schedule=cooldown("inverse", decay_steps(rung_steps(rung))),
            steps=decay_steps(rung_steps(rung)),
        ),
        Run(
            f"ladder-cosine-{rung.name}",
            **on_rung(rung),
            arm="ladder_cosine",
            schedule=Cosine(warmup_steps=WARMUP_STEPS),
            steps=rung_steps(rung),
        ),
    )
]
"""On each rung a constant run, its decay, and a cosine of equal length, peak and final rate."""

RUNS = [
    *TRUNKS,
    *DECAYS,
    *COSINES,
    COSINE_TO_ZERO,
    *WSD_S,
    *CYCLIC,
    *COOLDOWNS,
    BIGRAM_TRUNK,
    BIGRAM_DECAY,
    *LADDER,
]

HEADLINE = ("stable", "wsd")
"""Arms of the constant runs and of the decays that branch off them."""
RIVALS = ("wsd_s_total", "wsd_s_lineage", "cosine", "cyclic", "cyclic_rewarm")
"""Arms that are compared with WSD at each budget."""
BIGRAMS = ("bigram_stable", "bigram_wsd")

TRUNKS_AND_DECAYS = Select(arm=HEADLINE)
"""Constant runs and their decays at every peak."""
TUNED = Select(arm=["wsd", "cosine"])
"""Runs among which each schedule has its best peak at each budget."""
PEAKS_AND_LENGTHS = Select(arm=[*HEADLINE, "cosine", "cooldown_linear"])
"""Runs that tell final losses by peak, and by length of a linear decay."""

FIGURES = [
    Figure("loss", runs=Select(arm=[*HEADLINE, "cosine"]), claims=["W1", "W2", "W8"]),
    Figure("river_toy", tables=["river"]),
    Figure("interpolation", runs=Select(arm=HEADLINE, lr=PEAK), tables=["interpolation"], claims=["W6a", "W6b"]),
    Figure(
        "bigram",
        runs=Select(arm=HEADLINE, lr=PEAK) | Select(arm=BIGRAMS),
        tables=["tabular", "bigram", "entropy"],
        claims=["W7a", "W7b"],
    ),
    Figure(
        "s_vs_cosine",
        runs=Select(arm=HEADLINE, lr=PEAK, lineage=True) | Select(arm=RIVALS, lineage=True),
        claims=["W9", "W10"],
    ),
    Figure("bound", runs=PEAKS_AND_LENGTHS, records=PEAKS_AND_LENGTHS),
    Figure(
        "cooldown_shape",
        runs=Select(arm=[*HEADLINE, *(f"cooldown_{shape}" for shape in SHAPES)]),
        claims=["W12", "W11"],
    ),
    Figure("decay_ablation", runs=PEAKS_AND_LENGTHS, claims=["W13"]),
    Figure("ladder", runs=Select(arm=["ladder_stable", "ladder_wsd", "ladder_cosine"])),
]

BRANCHED = {"trunks": Select(arm="stable", lr=PEAK), "decays": Select(arm="wsd", lr=PEAK)}
"""States of the constant runs at the headline peak, and of their decays."""

MEASURES = [
    Measure("river", smoke={"seeds": list(range(1000, 1064))}),
    Measure("tabular", smoke={"seeds": [10, 11, 12], "peaks": {"constant": [32.0], "wsd": [32.0], "cosine": [32.0]}}),
    Measure("bigram", states=Select(arm=BIGRAMS)),
    Measure("interpolation", states=BRANCHED),
    Measure("entropy", states=BRANCHED),
]
