"""How should a trained model go on when new text arrives: re-warm, replay, or use an open-ended schedule?

Gupta et al. 2023 (arXiv:2308.04014), Ibrahim et al. 2024 (arXiv:2403.08763) and Singh et al. 2025 (arXiv:2503.02844) on
byte transformers. "Old" is the text of the first phase, "new" that of the second.

The base on prose is that of the study stability_gap. Peaks, lengths and thresholds were frozen after a pilot with seeds
100 and 101.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from common.config import (
    WSDS,
    AdamW,
    Constant,
    Corpus,
    Cosine,
    Data,
    Figure,
    Infinite,
    Measure,
    Mixture,
    Rewarm,
    Run,
    Select,
    Transformer,
)

SEEDS = tuple(range(5))
FEWER = SEEDS[:3]
"""Seeds of references, of runs that decide no claim, and of effects above 0.05 nats.

Nothing is said by this of the validation text, 8,192 bytes, which all seeds share.
"""

PEAK = 3e-3
"""Of every first phase, and 1x of every second one."""
PEAKS = {"half": PEAK / 2, "rewarm": PEAK, "double": 2 * PEAK}
"""Of second phases, by kind."""
FLOOR = 0.1
"""Share of the peak at which a decay ends, and at which the constant rate stays."""
BASE_STEPS = 1500
STEPS = 750
"""Updates of a second or third phase: with the first, a third of those of joint training."""
BASE_WARMUP = 50
REPLAYS = {"replay1": (0.01, FEWER), "replay5": (0.05, SEEDS), "replay25": (0.25, SEEDS), "replay50": (0.5, FEWER)}
"""By kind, the share of old text in the batches of the second phase, and the seeds."""
EVERY = 25
BEGINNING_STEPS = 50

PROSE = Corpus("prose", context=64, validation_windows=128)
SHIFTS = {
    "strong": (PROSE, replace(PROSE, name="cpp")),
    "weak": (replace(PROSE, name="python_torch"), replace(PROSE, name="python_science")),
    "quarter": (PROSE, replace(PROSE, permuted=0.25)),
    "permuted": (PROSE, replace(PROSE, permuted=1.0)),
}
"""Old and new text. The last two are the old one with some, or all, characters exchanged."""
BASES = {"strong": "stability_gap/prose", "weak": "weak-base"} | dict.fromkeys(
    ("quarter", "permuted", "same"), "stability_gap/prose"
)


def once(steps: int) -> Cosine:
    """The schedule of a first phase, over so many updates."""
    return Cosine(warmup_steps=round(BASE_WARMUP * steps / BASE_STEPS))


def rewarmed(share: float = 0.01) -> Rewarm:
    """Up to the peak over a share of the second phase, and down again."""
    return Rewarm(warmup_steps=round(share * STEPS))


def held(share: float) -> Constant:
    """Up to the peak over a share of the second phase, without a decay."""
    return Constant(warmup_steps=rewarmed(share).warmup_steps)


def watching(shift: str) -> dict[str, Data]:
    """The old and the new text."""
    return dict(zip(("old", "new"), SHIFTS[shift], strict=True))


PHASE = Run(
    model=Transformer(width=64, depth=2, heads=2),
    data=PROSE,
    optimizer=AdamW(weight_decay=0.1, clip=1.0),
    schedule=rewarmed(),
    lr=PEAK,
    steps=STEPS,
    batch_size=8,
    evaluate_every=EVERY,
    seed=SEEDS[0],
    sweep={"seed": SEEDS},
)
"""What all phases have in common: a byte transformer like the base on prose."""


def second(shift: str, kind: str, **changes: Any) -> Run:
    """A second phase on the new text, read from its beginning."""
    run = replace(
        PHASE,
        name=f"{shift}-{kind.replace('_', '-')}",
        arm=f"{shift}_{kind}",
        data=SHIFTS[shift][1],
        watched=watching(shift),
        parent=BASES[shift],
        reset=("data",),
    )
    return replace(run, **changes)


def replayed(shift: str, kind: str) -> Run:
    """Old text in the place of a share of the new one, from its beginning: what the base has seen."""
    old, new = SHIFTS[shift]
    share, seeds = REPLAYS[kind]
    return second(shift, kind, data=Mixture(new, old, share=share), sweep={"seed": seeds})


def whole(shift: str, kind: str, data: Data, **changes: Any) -> Run:
    """One training as long as both phases together, without a parent."""
    steps = BASE_STEPS + STEPS
    fresh: dict[str, Any] = {"parent": None, "reset": (), "steps": steps, "schedule": once(steps)}
    return second(shift, kind, data=data, evaluate_every=3 * EVERY, **fresh, **changes)


def joint(shift: str) -> Run:
    """The windows of both phases, mixed evenly; four digits of the share give the exact numbers."""
    old, new = SHIFTS[shift]
    share = round(BASE_STEPS / (BASE_STEPS + STEPS), 4)
    return whole(shift, "joint", Mixture(new, old, share=share))


CONSTANT: dict[str, Any] = {"lr": FLOOR * PEAK, "schedule": Constant()}

WEAK_BASE = replace(
    PHASE,
    name="weak-base",
    arm="weak_base",
    data=SHIFTS["weak"][0],
    watched=watching("weak"),
    steps=BASE_STEPS,
    schedule=once(BASE_STEPS),
    evaluate_every=BASE_STEPS // 4,
    keep_steps=(BASE_STEPS // 4, BASE_STEPS // 2),
)
RATES = [
    run
    for shift in ("strong", "weak")
    for run in (
        *(second(shift, kind, lr=PEAKS[kind]) for kind in ("rewarm", "half", "double")),
        second(shift, "constant", **CONSTANT),
        second(shift, "scratch", parent=None, reset=(), sweep={"seed": FEWER}),
    )
]
WARMUPS = [
    second(shift, f"warm{round(100 * share)}", schedule=rewarmed(share), sweep={"seed": seeds})
    for shift, seeds in (("strong", FEWER), ("weak", SEEDS))
    for share in (0.0, 0.05)
]
HELD = second("strong", "held", schedule=held(0.01), sweep={"seed": FEWER})
RESET = second("strong", "reset", reset=("data", "optimizer"), sweep={"seed": FEWER})
BEGINNINGS = [
    second(
        "weak",
        f"beginning_{'reset' if reset else 'kept'}{round(100 * share)}",
        schedule=held(share),
        reset=("data", *reset),
        steps=BEGINNING_STEPS,
        evaluate_every=2,
    )
    for share in (0.0, 0.01, 0.05)
    for reset in ((), ("optimizer",))
]
"""The first updates of second phases, evaluated often; the cosine falls by less than 1 % in them and is left out."""
SAME_REWARM = replace(PHASE, name="same-rewarm", arm="same_rewarm", watched={"old": PROSE}, parent=BASES["same"])
SAME = [
    SAME_REWARM,
    replace(SAME_REWARM, name="same-double", arm="same_double", lr=PEAKS["double"]),
    replace(SAME_REWARM, name="same-constant", arm="same_constant", sweep={"seed": FEWER}, **CONSTANT),
]
"""More of the old text, from where the base stopped reading it."""
REPLAY = [run for shift in ("strong", "weak") for run in (*(replayed(shift, kind) for kind in REPLAYS), joint(shift))]
PERMUTED = [second(shift, "rewarm", sweep={"seed": FEWER}) for shift in ("quarter", "permuted")]
EARLIER = {f"from{step}": step for step in WEAK_BASE.keep_steps}
"""Updates of the first phase after which a second one starts early, by kind; from none of it is weak-scratch."""
STARTS = [second("weak", kind, parent_step=step) for kind, step in EARLIER.items()]
FLOORS = [
    whole(shift, kind, data, sweep={"seed": FEWER})
    for shift in ("strong", "weak")
    for kind, data in zip(("only_old", "only_new"), SHIFTS[shift], strict=True)
]

CHAIN: dict[str, Data] = {"prose": PROSE, "python": replace(PROSE, name="python"), "cpp": SHIFTS["strong"][1]}
"""The domains of three phases."""
LEVEL = 0.55
COOLDOWN_STEPS = round(0.6 * BASE_STEPS)
ANNEAL_STEPS = STEPS // 5
ENDS = tuple(BASE_STEPS + phase * STEPS for phase in range(3))
"""Updates after which a finished model is wanted."""
LEVELLED = Infinite(cooldown_steps=0, level=LEVEL, decay_steps=0)


def annealed(name: str, parent: str, step: int | None, **changes: Any) -> Run:
    """The end of an infinite schedule, which branches off a trunk."""
    schedule = replace(LEVELLED, decay_steps=ANNEAL_STEPS)
    run = replace(PHASE, name=name, parent=parent, parent_step=step, schedule=schedule, steps=ANNEAL_STEPS)
    return replace(run, **changes)


TRUNK = [
    replace(
        PHASE,
        name="infinite-trunk",
        arm="infinite_trunk",
        schedule=replace(LEVELLED, warmup_steps=BASE_WARMUP, cooldown_steps=COOLDOWN_STEPS),
        steps=ENDS[2] - ANNEAL_STEPS,
        keep_steps=(ENDS[0] - ANNEAL_STEPS, ENDS[0], ENDS[1] - ANNEAL_STEPS),
    ),
    *(
        annealed(
            f"infinite-anneal{phase}",
            "infinite-trunk",
            None if phase == 2 else end - ANNEAL_STEPS,
            arm="infinite_anneal",
            watched=CHAIN if phase == 0 else None,
        )
        for phase, end in enumerate(ENDS)
    ),
]
CHAIN_TRUNK = replace(
    PHASE,
    name="chain-trunk1",
    arm="chain_trunk",
    data=CHAIN["python"],
    watched=CHAIN,
    parent="infinite-trunk",
    parent_step=ENDS[0],
    reset=("data",),
    schedule=LEVELLED,
    keep_steps=(STEPS - ANNEAL_STEPS,),
)
CHAINED = [
    CHAIN_TRUNK,
    annealed(
        "chain-anneal1",
        "chain-trunk1",
        STEPS - ANNEAL_STEPS,
        arm="chain_anneal",
        data=CHAIN["python"],
        watched=CHAIN,
    ),
    replace(
        CHAIN_TRUNK,
        name="chain-trunk2",
        data=CHAIN["cpp"],
        parent="chain-trunk1",
        parent_step=None,
        steps=STEPS - ANNEAL_STEPS,
        keep_steps=(),
    ),
    annealed("chain-anneal2", "chain-trunk2", None, arm="chain_anneal", data=CHAIN["cpp"], watched=CHAIN),
]
REPEATED_CHAIN = replace(
    PHASE,
    name="repeated-chain1",
    arm="repeated_chain",
    data=CHAIN["python"],
    watched=CHAIN,
    parent=BASES["same"],
    reset=("data",),
)
REPEATED = [
    replace(PHASE, name="repeated-same2", arm="repeated_same", parent="same-rewarm"),
    REPEATED_CHAIN,
    replace(REPEATED_CHAIN, name="repeated-chain2", data=CHAIN["cpp"], parent="repeated-chain1"),
]
"""A cosine for each phase. On one text the second phase is same-rewarm."""

OTHERS = {
    "inverse_sqrt": Infinite(
        warmup_steps=BASE_WARMUP,
        cooldown_steps=COOLDOWN_STEPS,
        cooldown_shape="inverse_sqrt",
        level=LEVEL,
        decay_steps=ANNEAL_STEPS,
    ),
    "wsd_s": WSDS(warmup_steps=BASE_WARMUP, decay_ends=ENDS, decay_steps=ANNEAL_STEPS),
}
"""Two more schedules on one text: the cooldown of the other shape, and a peak held between decays."""
OTHER = [
    replace(
        PHASE,
        name=f"other-{name.replace('_', '-')}",
        arm=f"other_{name}",
        steps=ENDS[2],
        schedule=schedule,
        sweep={"seed": FEWER},
    )
    for name, schedule in OTHERS.items()
]

RUNS = [
    WEAK_BASE,
    *RATES,
    *WARMUPS,
    HELD,
    RESET,
    *BEGINNINGS,
    *SAME,
    *REPLAY,
    *PERMUTED,
    *STARTS,
    *FLOORS,
    *TRUNK,
    *CHAINED,
    *REPEATED,
    *OTHER,
]


def arms(*groups: Iterable[Run]) -> list[str]:
    """The arms of some groups of runs, each once."""
    return list(dict.fromkeys(run.arm for group in groups for run in group if run.arm))


def of_both(*kinds: str) -> list[str]:
    """The arms of these kinds of second phases, in the weak and in the strong shift."""
    return [f"{shift}_{kind}" for shift in ("weak", "strong") for kind in kinds]


FIGURES = [
    Figure("loss", runs=Select(arm=arms(RATES, WARMUPS, [HELD], BEGINNINGS, SAME)), claims=["R1", "R2", "R5"]),
    Figure("replay", runs=Select(arm=[*of_both("rewarm", "scratch"), *arms(REPLAY, FLOORS)]), claims=["R8"]),
    Figure(
        "infinite",
        runs={
            "runs": Select(arm=arms(TRUNK, CHAINED, [SAME_REWARM], REPEATED, OTHER)),
            "cosine": Select(arm="repeated_same", lineage=True),
        },
        claims=["R11", "R12", "R13"],
    ),
    Figure(
        "tradeoff",
        runs=Select(arm=[*of_both("replay25", "joint"), *arms(RATES, STARTS, PERMUTED, [SAME_REWARM])]),
        tables=["shift"],
        claims=["R14", "R10"],
    ),
]
SHIFTED = Select(arm=[*of_both("rewarm"), *arms(REPLAY, FLOORS, PERMUTED, [SAME_REWARM])])
MEASURES = [
    Measure("shift", runs=SHIFTED, records=SHIFTED),
    Measure("outcomes", runs=Select()),
]
