"""Why does the loss fall so steeply when a warm-up-stable-decay schedule decays, and is it as good as an oracle cosine?

Wen et al. 2024, "Understanding Warmup-Stable-Decay Learning Rates: A River Valley Loss Landscape Perspective",
arXiv:2410.05192. Each size of the ladder has trunks of constant rate, one for each peak, which carry all its decays.
Schedules that are compared end at the same rate, a tenth of the size's headline peak, whatever their own peak; those
of the arms `*_zero` end at zero, as published. Every run is a sweep over the seeds, and a decay continues the member
with its own seed. One size, the headline, has more budgets, peaks, lengths and shapes than the others.

Peaks and grids were chosen with seed 100, before anything was registered.
"""

from collections.abc import Iterator, Sequence
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
    Run,
    Rung,
    Schedule,
    ScheduleFree,
    Select,
    Transformer,
)

CONTEXT = 64
BATCH = 8
RUNGS = [
    Rung(name, parameters=parameters, bytes_per_parameter=30, batch=BATCH, large=name == "400k")
    for name, parameters in (("25k", 25_984), ("50k", 48_640), ("100k", 101_760), ("200k", 208_384), ("400k", 400_768))
]
"""Networks on which the effects are measured: size and data grow together."""
WIDTHS = {"25k": 28, "50k": 40, "100k": 60, "200k": 88, "400k": 124}
HEADLINE = "50k"
"""The size with most schedules; its longest budget is that of its rung."""
PEAKS = {"25k": 5.66e-3, "50k": 4e-3, "100k": 2.83e-3, "200k": 2e-3, "400k": 1.41e-3}
"""Headline peak of each size: the best of WSD with seed 100, on a grid of steps of sqrt(2)."""
COSINE_PEAKS = {"25k": 8e-3, "50k": 5.66e-3, "100k": 2.83e-3, "200k": 2.83e-3, "400k": 2e-3}
"""The same for the cosine that ends at the same rate."""
STEPS = {"25k": (0,), "50k": (-1, 0, 1), "100k": (0,), "200k": (0,), "400k": (0,)}
"""Peaks that are trained on each size, in steps of sqrt(2) from the headline peak of a schedule."""
SEEDS = {"25k": range(5), "50k": range(5), "100k": range(3), "200k": range(3), "400k": range(3)}
TUNED_SEEDS, ZERO_SEEDS = range(10), range(7)
MORE_SEEDS = dict.fromkeys(("stable", "wsd", "cosine", "wsd_s"), TUNED_SEEDS)
MORE_SEEDS |= dict.fromkeys(("wsd_zero", "cosine_zero"), ZERO_SEEDS)
"""Of the headline arms whose differences are small."""
FINAL_SHARE = 0.1
"""Rate at the end of every schedule that does not end at zero, by the size's headline peak."""
WARMUP_STEPS = 96
DECAY_SHARE = 0.1
"""Of a budget, in the headline decays."""
LENGTHS = (0.04, 0.1, 0.2, 0.4, 0.6)
"""Shares of the longest budget that a linear decay takes; the ladder has those of `LADDER_LENGTHS`."""
LADDER_LENGTHS = (0.1, 0.2)
SHAPES: tuple[DecayShape, ...] = ("sqrt", "inverse", "cosine")
"""Beside the linear one, over `SHAPE_SHARE` of the longest budget."""
SHAPE_SHARE = 0.2
WINDOW = 0.02
"""Share of a budget between two evaluations of a trunk whose mean stands for the constant rate; see `window`."""
AVERAGED = 20
"""States, a `WINDOW` apart up to the end, that trunks of the headline peak keep for averages."""
ZERO_SHARE = 0.2
"""Of the longest budget: the linear decay to zero, as in the logs of Schaipp et al. 2025."""
MEMORY = 0.1
"""Of the longest budget: memory of the exponential average of the weights on trunks of the headline peak."""


def notch(peak: float, steps: int) -> float:
    """A peak so many steps of sqrt(2) away, in three digits."""
    return float(f"{peak * 2 ** (steps / 2):.3g}")


def rung_of(name: str) -> Rung:
    """The rung of this name."""
    return next(rung for rung in RUNGS if rung.name == name)


def longest(rung: str) -> int:
    """Updates of a whole training on a rung."""
    return rung_of(rung).steps(context=CONTEXT)


def budgets(rung: str) -> tuple[int, ...]:
    """Updates at which a finished model is wanted: a quarter, a half and all of the longest."""
    return tuple(round(share * longest(rung)) for share in (0.25, 0.5, 1.0))


BUDGETS = budgets(HEADLINE)
LONGEST = BUDGETS[-1]
PEAK = PEAKS[HEADLINE]
STABLE_LRS = tuple(notch(PEAK, steps) for steps in (-2, *STEPS[HEADLINE]))
"""Peaks of the headline trunks, which bracket the best."""


def settings(rung: str, *, arm: str) -> dict[str, Any]:
    """What all runs of a rung have in common; arms whose differences are small have more seeds at the headline."""
    seeds = MORE_SEEDS.get(arm, SEEDS[rung]) if rung == HEADLINE else SEEDS[rung]
    return {
        "arm": arm,
        "seed": seeds[0],
        "sweep": {"seed": tuple(seeds)},
        "model": Transformer(width=WIDTHS[rung], depth=2, heads=2),
        "data": Corpus("python", context=CONTEXT, validation_windows=1024),
        "optimizer": AdamW(beta1=0.9, beta2=0.95, weight_decay=0.1, clip=1.0),
        "batch_size": BATCH,
        "curve_examples": 256,
        "rung": rung,
    }


def floor(rung: str, lr: float) -> float:
    """Factor of a peak at which a schedule ends at the common final rate."""
    return float(f"{FINAL_SHARE * PEAKS[rung] / lr:.4g}")


def decay_steps(budget: int, share: float = DECAY_SHARE) -> int:
    """The last tenth, or another share, of a budget, in whole windows.

    >>> decay_steps(1000), decay_steps(1000, 0.04), decay_steps(1522)
    (100, 40, 150)
    """
    return round(share / WINDOW) * round(WINDOW * budget)


def stable_steps(budget: int, share: float = DECAY_SHARE) -> int:
    """Updates of a budget before its decay."""
    return budget - decay_steps(budget, share)


def window(step: int, budget: int) -> tuple[int, ...]:
    """Updates about one whose evaluations are averaged for the loss of the constant rate there; the last end with it.

    >>> window(90, 100), window(100, 100)
    ((88, 90, 92), (96, 98, 100))
    """
    apart = round(WINDOW * budget)
    middle = min(step, budget - apart)
    return (middle - apart, middle, middle + apart)


def stable(rung: str, lr: float) -> str:
    """Name of a trunk."""
    return f"stable-{rung}-lr{lr:g}"


def kept_of_trunk(rung: str, lr: float) -> tuple[int, ...]:
    """Updates at which a trunk is kept: branches, windows of its loss, and at the headline peak states to average."""
    most = longest(rung)
    kept = {step for share in (0.0, DECAY_SHARE, 2 * DECAY_SHARE) for step in window(stable_steps(most, share), most)}
    if lr == PEAKS[rung]:
        kept |= {*map(stable_steps, budgets(rung)), *(stable_steps(most, share) for share in LENGTHS)}
        kept |= {most - i * round(WINDOW * most) for i in range(AVERAGED)}
    return tuple(sorted(kept - {most}))


def trunk(rung: str, lr: float) -> Run:
    """A constant rate over the longest budget."""
    most = longest(rung)
    return Run(
        stable(rung, lr),
        **settings(rung, arm="stable"),
        schedule=Constant(warmup_steps=WARMUP_STEPS),
        lr=lr,
        steps=most,
        keep_steps=kept_of_trunk(rung, lr),
        average=round(1 - 1 / (MEMORY * most), 5) if lr == PEAKS[rung] else None,
        evaluate_every=most // 25,
    )


def decay(
    arm: str, rung: str, lr: float, budget: int, *, share: float = DECAY_SHARE, shape: DecayShape = "linear"
) -> Run:
    """A decay over the last share of a budget, off the trunk of its peak."""
    zero = arm.endswith("zero")
    steps = decay_steps(budget, share)
    return Run(
        f"{arm}-{rung}-{budget}-{shape}-{share:g}-lr{lr:g}",
        **settings(rung, arm=arm),
        parent=stable(rung, lr),
        parent_step=stable_steps(budget, share),
        schedule=WSD(decay_steps=steps, decay_shape=shape, floor=0.0 if zero else floor(rung, lr)),
        lr=lr,
        steps=steps,
        evaluate_every=max(1, steps // 10),
    )


def length_arm(share: float) -> str:
    """Arm of the linear decays over another share of the longest budget than the headline's.

    >>> length_arm(0.04)
    'length4'
    """
    return f"length{round(100 * share)}"


def cosine(rung: str, lr: float, budget: int, *, arm: str = "cosine") -> Run:
    """A cosine over a whole budget."""
    return Run(
        f"{arm}-{rung}-{budget}-lr{lr:g}",
        **settings(rung, arm=arm),
        schedule=Cosine(warmup_steps=WARMUP_STEPS, floor=0.0 if arm.endswith("zero") else floor(rung, lr)),
        lr=lr,
        steps=budget,
        evaluate_every=max(1, budget // 15),
    )


def continued(arm: str, rung: str, lr: float, first: str, schedules: Sequence[tuple[int, Schedule]]) -> Iterator[Run]:
    """Runs one after the other, each from the end of the one before: updates and schedule of each."""
    parent = first
    for budget, (steps, schedule) in zip(budgets(rung)[1:], schedules, strict=True):
        name = f"{arm}-{rung}-{budget}"
        yield Run(
            name,
            **settings(rung, arm=arm),
            parent=parent,
            schedule=schedule,
            lr=lr,
            steps=steps,
            evaluate_every=max(1, steps // 12),
        )
        parent = name


def wsd_s_steps(rung: str) -> list[int]:
    """Updates of WSD-S from each checkpoint to the next, as many stable ones as WSD has.

    Each decay comes on top, as in the authors' configurations: then all checkpoints together cost what WSD's do.
    """
    return [later - earlier + decay_steps(earlier) for earlier, later in pairwise(budgets(rung))]


def wsd_s(rung: str) -> Iterator[Run]:
    """WSD-S: goes on from each decayed state, straight back to the peak."""
    lr = PEAKS[rung]
    first = decay("wsd", rung, lr, budgets(rung)[0]).name
    lasts = map(decay_steps, budgets(rung)[1:])
    schedules = [
        (steps, WSD(decay_steps=last, decay_shape="linear", floor=FINAL_SHARE))
        for steps, last in zip(wsd_s_steps(rung), lasts, strict=True)
    ]
    return continued("wsd_s", rung, lr, first, schedules)


def cyclic() -> Iterator[Run]:
    """One cosine after the other, each as long as the segment of WSD-S, straight back to the peak."""
    lr = COSINE_PEAKS[HEADLINE]
    shape = Cosine(floor=floor(HEADLINE, lr))
    first = cosine(HEADLINE, lr, BUDGETS[0]).name
    return continued("cyclic", HEADLINE, lr, first, [(steps, shape) for steps in wsd_s_steps(HEADLINE)])


def on_rung(rung: str) -> Iterator[Run]:
    """Runs that every size has: trunks, decays of several lengths, and cosines, at the peaks of its grid."""
    most, peak = longest(rung), PEAKS[rung]
    for steps in STEPS[rung]:
        lr = notch(peak, steps)
        yield trunk(rung, lr)
        yield decay("wsd", rung, lr, most)
        yield cosine(rung, notch(COSINE_PEAKS[rung], steps), most)
    for share in LENGTHS if rung == HEADLINE else LADDER_LENGTHS:
        if share != DECAY_SHARE:
            yield decay(length_arm(share), rung, peak, most, share=share)
    if rung != HEADLINE:
        yield decay("wsd", rung, peak, budgets(rung)[0])
    yield from wsd_s(rung)


LADDER = [run for rung in RUNGS for run in on_rung(rung.name)]

ZERO_STEPS = (-2, -1, 0, 1)
"""Peaks of the cosine to zero, in steps of sqrt(2) from that of the cosine."""

CLOCK_STEPS = round(0.15 * LONGEST)
"""Constant updates at the headline peak in the test of the clock; half of the rate has twice as many."""
CLOCK = [
    Run(
        f"clock-{HEADLINE}-lr{lr:g}",
        **settings(HEADLINE, arm="clock"),
        parent=stable(HEADLINE, PEAK),
        parent_step=stable_steps(BUDGETS[1]),
        schedule=WSD(decay_steps=last, floor=floor(HEADLINE, lr)),
        lr=lr,
        steps=hold + last,
        evaluate_every=(hold + last) // 10,
    )
    for lr, hold, last in (
        (PEAK, CLOCK_STEPS, 180),
        (PEAK / 2, 2 * CLOCK_STEPS, 330),
    )
]
"""From one checkpoint: a rate, and half of it for twice as long, decayed to one rate.

The sums of rates are equal: a linear decay from 1 to 0.1 adds up to 0.55 of its updates, one from 0.5 to 0.1 to 0.3.
"""

FREE_LR = notch(PEAK, 2)
"""Better in the pilot than the headline peak."""
FREE = Run(
    f"schedule_free-{HEADLINE}-lr{FREE_LR:g}",
    **settings(HEADLINE, arm="schedule_free")
    | {"optimizer": ScheduleFree(beta1=0.9, beta2=0.95, weight_decay=0.1, clip=1.0)},
    schedule=Constant(warmup_steps=WARMUP_STEPS),
    lr=FREE_LR,
    steps=LONGEST,
    evaluate_every=LONGEST // 15,
)

HEADLINES = [
    trunk(HEADLINE, STABLE_LRS[0]),
    decay("wsd", HEADLINE, STABLE_LRS[0], LONGEST),
    *(decay("wsd", HEADLINE, PEAK, budget) for budget in BUDGETS[:-1]),
    *(cosine(HEADLINE, COSINE_PEAKS[HEADLINE], budget) for budget in BUDGETS[:-1]),
    *(decay(f"shape_{shape}", HEADLINE, PEAK, LONGEST, share=SHAPE_SHARE, shape=shape) for shape in SHAPES),
    *(decay("wsd_zero", HEADLINE, lr, LONGEST, share=ZERO_SHARE) for lr in STABLE_LRS),
    *(cosine(HEADLINE, notch(COSINE_PEAKS[HEADLINE], steps), LONGEST, arm="cosine_zero") for steps in ZERO_STEPS),
    *cyclic(),
    *CLOCK,
    FREE,
]

LANGUAGE_SEEDS = range(5)
LANGUAGE: dict[str, Any] = {
    "seed": LANGUAGE_SEEDS[0],
    "sweep": {"seed": tuple(LANGUAGE_SEEDS)},
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
    schedule=WSD(decay_steps=decay_steps(LANGUAGE_STEPS), decay_shape="inverse"),
    steps=decay_steps(LANGUAGE_STEPS),
    keep_steps=(decay_steps(LANGUAGE_STEPS) // 4, decay_steps(LANGUAGE_STEPS) // 2),
)

RUNS = [*LADDER, *HEADLINES, BIGRAM_TRUNK, BIGRAM_DECAY]

HEADLINE_ARMS = ("stable", "wsd")
"""Arms of the constant runs and of the decays that branch off them."""
LENGTH_ARMS = tuple(length_arm(share) for share in LENGTHS if share != DECAY_SHARE)
SHAPE_ARMS = tuple(f"shape_{shape}" for shape in SHAPES)
BIGRAMS = ("bigram_stable", "bigram_wsd")

TRUNKS_AND_DECAYS = Select(arm=HEADLINE_ARMS, rung=HEADLINE)
"""Constant runs and their decays at every peak."""
HEADLINE_RUNS = Select(arm=HEADLINE_ARMS, rung=HEADLINE, lr=PEAK)
TUNED = Select(arm=["wsd", "cosine"], rung=HEADLINE)
"""Runs among which each schedule has its best peak, all to one final rate."""
TUNED_AND_TRUNKS = TRUNKS_AND_DECAYS | Select(arm="cosine", rung=HEADLINE)
ZERO = Select(arm=["wsd_zero", "cosine_zero"])
"""The same, to zero."""
CLOCKED = Select(arm="clock")
SHORT_AND_LONG = HEADLINE_RUNS | Select(arm=LENGTH_ARMS, rung=HEADLINE)
SHAPED = Select(arm=[length_arm(SHAPE_SHARE), *SHAPE_ARMS], rung=HEADLINE)
CHAINS = Select(arm=["wsd", "wsd_s"], rung=HEADLINE, lr=PEAK)
CYCLES = Select(arm=["wsd_s", "cyclic"], rung=HEADLINE)
RIVALS = CHAINS | CYCLES | Select(arm="cosine", rung=HEADLINE) | Select(arm="stable", rung=HEADLINE, lr=PEAK)
LADDERED = Select(arm=HEADLINE_ARMS)
HELD_OUT = Select(rung=HEADLINE)
"""All schedules of the headline size."""

FIGURES = [
    Figure(
        "loss",
        runs=TUNED_AND_TRUNKS,
        records=TUNED_AND_TRUNKS,
        claims=["W1", "W2", "W8", "W8a", "W8b"],
    ),
    Figure("river_toy", tables=["river"]),
    Figure("interpolation", runs=HEADLINE_RUNS, tables=["interpolation"], claims=["W6a", "W6b"]),
    Figure("landscape", runs=HEADLINE_RUNS, tables=["landscape"], claims=["W21"]),
    Figure(
        "bigram",
        runs=HEADLINE_RUNS | Select(arm=BIGRAMS),
        tables=["tabular", "bigram", "entropy"],
        claims=["W7a", "W7b"],
    ),
    Figure(
        "s_vs_cosine",
        runs=RIVALS,
        records=RIVALS,
        claims=["W9", "W9a", "W10"],
    ),
    Figure("peaks", runs=TUNED | ZERO | CLOCKED, claims=["W13", "W15", "W4"]),
    Figure("cooldown_shape", runs=SHORT_AND_LONG | SHAPED, claims=["W12", "W11"]),
    Figure("averaging", runs=LADDERED | Select(arm="schedule_free"), tables=["averaging"], claims=["W16"]),
    Figure("laws", runs=TUNED, records=TUNED_AND_TRUNKS, tables=["laws"], claims=["W18", "W17"]),
    Figure(
        "ladder",
        runs=LADDERED | Select(arm=["cosine", "wsd_s", length_arm(LADDER_LENGTHS[-1])]),
        tables=["averaging"],
        claims=["W19", "W20"],
    ),
]

BRANCHED = {"trunks": Select(arm="stable", rung=HEADLINE, lr=PEAK), "decays": Select(arm="wsd", rung=HEADLINE, lr=PEAK)}
"""States of the constant runs at the headline peak, and of their decays."""

MEASURES = [
    Measure("river", smoke={"seeds": list(range(1000, 1064))}),
    Measure("tabular", seeds=range(16), smoke={"seeds": [0, 1, 2]}),
    Measure("bigram", states=Select(arm=BIGRAMS)),
    Measure("interpolation", states=BRANCHED),
    Measure("entropy", states=BRANCHED, smoke={"windows": 2000}),
    Measure("landscape", states=BRANCHED, smoke={"windows": 8, "gradient_windows": 16}),
    Measure("averaging", states=Select(name=[stable(rung.name, PEAKS[rung.name]) for rung in RUNGS])),
    Measure("laws", runs=HELD_OUT, records=HELD_OUT),
]
