"""How should a trained model go on when new text arrives: rate up again, old text replayed, or no end at all?

Gupta et al. 2023 (arXiv:2308.04014), Ibrahim et al. 2024 (arXiv:2403.08763) and Singh et al. 2025 (arXiv:2503.02844) on
byte transformers. "Old" is the text of the first phase, "new" that of the second.

The base on prose is that of the study stability_gap. Peaks, lengths and thresholds were frozen after a pilot with seeds
100 and 101.
"""

from typing import Any

from common.config import Data, Model, Optimizer, Run, Schedule

SEEDS = tuple(range(5))
FEWER = SEEDS[:3]
"""Seeds of references, of what no claim decides on, and of what differs by more than 0.05 nats."""

PEAK = 3e-3
"""Of every first phase, and 1x of every second one."""
FLOOR = 0.1
"""Share of the peak at which a decay ends, and at which the constant rate stays."""
BASE_STEPS = 1500
STEPS = 750
"""Updates of a second or third phase: with the first, a third of those of joint training."""
BASE_WARMUP = 50
SHARES = {0.01: FEWER, 0.05: SEEDS, 0.25: SEEDS, 0.5: FEWER}
"""Of old text in the batches of the second phase, with the seeds."""
EVERY = 25
BEGINNING_STEPS = 50


def corpus(name: str, **other: Any) -> Data:
    """Bytes of one domain."""
    return Data(source="corpus", name=name, context=64, validation_windows=128, **other)


PROSE = corpus("prose")
SHIFTS = {
    "strong": (PROSE, corpus("cpp")),
    "weak": (corpus("python_torch"), corpus("python_science")),
    "quarter": (PROSE, corpus("prose", permuted=0.25)),
    "permuted": (PROSE, corpus("prose", permuted=1.0)),
}
"""Old and new text. The last two are the old one with some, or all, characters exchanged."""
BASES = {"strong": "stability_gap/prose", "weak": "weak-base"} | dict.fromkeys(
    ("quarter", "permuted", "same"), "stability_gap/prose"
)


def training(**fields: Any) -> Run:
    """A byte transformer like the base on prose."""
    return Run(
        **{
            "model": Model(kind="transformer", width=64, depth=2, heads=2),
            "optimizer": Optimizer(kind="adamw", weight_decay=0.1, clip=1.0),
            "lr": PEAK,
            "batch_size": 8,
            "evaluate_every": EVERY,
            "seed": SEEDS[0],
            "sweep": {"seed": SEEDS},
            **fields,
        }
    )


def once(steps: int) -> Schedule:
    """The schedule of a first phase, over so many updates."""
    return Schedule(kind="cosine", warmup_steps=round(BASE_WARMUP * steps / BASE_STEPS))


def rewarmed(share: float = 0.01) -> Schedule:
    """Up to the peak over a share of the second phase, and down again."""
    return Schedule(kind="rewarm", warmup_steps=round(share * STEPS))


def held(share: float) -> Schedule:
    """Up to the peak over a share of the second phase, without a decay."""
    return Schedule(warmup_steps=rewarmed(share).warmup_steps)


def watching(shift: str) -> dict[str, Data]:
    """The old and the new text."""
    return dict(zip(("old", "new"), SHIFTS[shift], strict=True))


def second(shift: str, arm: str, **other: Any) -> dict[str, Run]:
    """A second phase on the new text, read from its beginning; under its name."""
    run = {
        "data": SHIFTS[shift][1],
        "watched": watching(shift),
        "parent": BASES[shift],
        "reset": ("data",),
        "steps": STEPS,
        "schedule": rewarmed(),
        "arm": f"{shift}_{arm}",
        **other,
    }
    return {f"{shift}-{arm.replace('_', '-')}": training(**run)}


def replayed(shift: str, share: float) -> dict[str, Run]:
    """Old text in the place of a share of the new one, from its beginning: what the base has seen."""
    old, new = SHIFTS[shift]
    data = corpus(new.name or "", mixed_with=old, mixed_share=share)
    return second(shift, f"replay{round(100 * share)}", data=data, sweep={"seed": SHARES[share]})


def whole(shift: str, arm: str, data: Data, **other: Any) -> dict[str, Run]:
    """One training as long as both phases together, without a parent."""
    steps = BASE_STEPS + STEPS
    fresh = {"parent": None, "reset": (), "steps": steps, "schedule": once(steps), "evaluate_every": 3 * EVERY}
    return second(shift, arm, data=data, **fresh, **other)


def joint(shift: str) -> dict[str, Run]:
    """The windows of both phases, mixed evenly; four digits of the share give the exact numbers."""
    old, new = SHIFTS[shift]
    share = round(BASE_STEPS / (BASE_STEPS + STEPS), 4)
    return whole(shift, "joint", corpus(new.name or "", mixed_with=old, mixed_share=share))


CONSTANT: dict[str, Any] = {"lr": FLOOR * PEAK, "schedule": Schedule()}
PEAKS = {"half": PEAK / 2, "double": 2 * PEAK}

WEAK_BASE = {
    "weak-base": training(
        data=SHIFTS["weak"][0],
        watched=watching("weak"),
        arm="weak_base",
        steps=BASE_STEPS,
        schedule=once(BASE_STEPS),
        evaluate_every=BASE_STEPS // 4,
        keep_steps=(BASE_STEPS // 4, BASE_STEPS // 2),
    )
}
RATES = {
    name: run
    for shift in ("strong", "weak")
    for part in (
        second(shift, "rewarm"),
        *(second(shift, arm, lr=lr) for arm, lr in PEAKS.items()),
        second(shift, "constant", **CONSTANT),
        second(shift, "scratch", parent=None, reset=(), sweep={"seed": FEWER}),
    )
    for name, run in part.items()
}
WARMUPS = {
    name: run
    for part in (
        *(
            second(shift, f"warm{round(100 * share)}", schedule=rewarmed(share), sweep={"seed": seeds})
            for shift, seeds in (("strong", FEWER), ("weak", SEEDS))
            for share in (0.0, 0.05)
        ),
        second("strong", "held", schedule=held(0.01), sweep={"seed": FEWER}),
        second("strong", "reset", reset=("data", "optimizer"), sweep={"seed": FEWER}),
    )
    for name, run in part.items()
}
BEGINNINGS = {
    name: run
    for share in (0.0, 0.01, 0.05)
    for reset in ((), ("optimizer",))
    for name, run in second(
        "weak",
        f"beginning_{'reset' if reset else 'kept'}{round(100 * share)}",
        schedule=held(share),
        reset=("data", *reset),
        steps=BEGINNING_STEPS,
        evaluate_every=2,
    ).items()
}
"""The first updates of second phases, evaluated often; the cosine falls by less than 1 % in them and is left out."""
SAME = {
    f"same-{arm}": training(
        data=PROSE,
        watched={"old": PROSE},
        parent=BASES["same"],
        steps=STEPS,
        arm=f"same_{arm}",
        **{"schedule": rewarmed(), **settings},
    )
    for arm, settings in {
        "rewarm": {},
        "double": {"lr": PEAKS["double"]},
        "constant": CONSTANT | {"sweep": {"seed": FEWER}},
    }.items()
}
"""The old text goes on where the base stopped reading it."""
REPLAY = {
    name: run
    for shift in ("strong", "weak")
    for part in (*(replayed(shift, share) for share in SHARES), joint(shift))
    for name, run in part.items()
}
PERMUTED = second("quarter", "rewarm", sweep={"seed": FEWER}) | second("permuted", "rewarm", sweep={"seed": FEWER})
EARLIER = {
    name: run
    for step in WEAK_BASE["weak-base"].keep_steps
    for name, run in second("weak", f"from{step}", parent_step=step).items()
}
"""Second phases from a quarter and half of the first one; from none of it is weak-scratch."""
FLOORS = {
    name: run
    for shift in ("strong", "weak")
    for part in (
        whole(shift, "only_old", SHIFTS[shift][0], sweep={"seed": FEWER}),
        whole(shift, "only_new", SHIFTS[shift][1], sweep={"seed": FEWER}),
    )
    for name, run in part.items()
}

CHAIN = {"prose": PROSE, "python": corpus("python"), "cpp": SHIFTS["strong"][1]}
"""The domains of three phases."""
LEVEL = 0.55
COOLDOWN_STEPS = round(0.6 * BASE_STEPS)
ANNEAL_STEPS = STEPS // 5
ENDS = tuple(BASE_STEPS + phase * STEPS for phase in range(3))
"""Updates after which a finished model is wanted."""
LEVELLED = Schedule(kind="infinite", cooldown_steps=0, level=LEVEL, decay_steps=0)


def annealed(name: str, step: int | None, **other: Any) -> Run:
    """The end of an infinite schedule, which branches off a trunk."""
    schedule = Schedule(kind="infinite", cooldown_steps=0, level=LEVEL, decay_steps=ANNEAL_STEPS)
    return training(parent=name, parent_step=step, schedule=schedule, steps=ANNEAL_STEPS, **other)


TRUNK = {
    "infinite-trunk": training(
        data=PROSE,
        arm="infinite_trunk",
        schedule=Schedule(
            kind="infinite", warmup_steps=BASE_WARMUP, cooldown_steps=COOLDOWN_STEPS, level=LEVEL, decay_steps=0
        ),
        steps=ENDS[2] - ANNEAL_STEPS,
        keep_steps=(ENDS[0] - ANNEAL_STEPS, ENDS[0], ENDS[1] - ANNEAL_STEPS),
    )
} | {
    f"infinite-anneal{phase}": annealed(
        "infinite-trunk",
        None if phase == 2 else end - ANNEAL_STEPS,
        data=PROSE,
        arm="infinite_anneal",
        **({"watched": CHAIN} if phase == 0 else {}),
    )
    for phase, end in enumerate(ENDS)
}
CHAINED = {
    "chain-trunk1": training(
        data=CHAIN["python"],
        watched=CHAIN,
        arm="chain_trunk",
        parent="infinite-trunk",
        parent_step=ENDS[0],
        reset=("data",),
        schedule=LEVELLED,
        steps=STEPS,
        keep_steps=(STEPS - ANNEAL_STEPS,),
    ),
    "chain-anneal1": annealed(
        "chain-trunk1", STEPS - ANNEAL_STEPS, data=CHAIN["python"], watched=CHAIN, arm="chain_anneal"
    ),
    "chain-trunk2": training(
        data=CHAIN["cpp"],
        watched=CHAIN,
        arm="chain_trunk",
        parent="chain-trunk1",
        reset=("data",),
        schedule=LEVELLED,
        steps=STEPS - ANNEAL_STEPS,
    ),
    "chain-anneal2": annealed("chain-trunk2", None, data=CHAIN["cpp"], watched=CHAIN, arm="chain_anneal"),
}
REPEATED = {
    "repeated-same2": training(data=PROSE, arm="repeated_same", parent="same-rewarm", steps=STEPS, schedule=rewarmed()),
    "repeated-chain1": training(
        data=CHAIN["python"],
        watched=CHAIN,
        arm="repeated_chain",
        parent=BASES["same"],
        reset=("data",),
        steps=STEPS,
        schedule=rewarmed(),
    ),
    "repeated-chain2": training(
        data=CHAIN["cpp"],
        watched=CHAIN,
        arm="repeated_chain",
        parent="repeated-chain1",
        reset=("data",),
        steps=STEPS,
        schedule=rewarmed(),
    ),
}
"""A cosine for each phase. On one text the second phase is same-rewarm."""

OTHERS = {
    f"other-{name.replace('_', '-')}": training(
        data=PROSE, arm=f"other_{name}", steps=ENDS[2], schedule=schedule, sweep={"seed": FEWER}
    )
    for name, schedule in {
        "inverse_sqrt": Schedule(
            kind="infinite",
            warmup_steps=BASE_WARMUP,
            cooldown_steps=COOLDOWN_STEPS,
            cooldown_shape="inverse_sqrt",
            level=LEVEL,
            decay_steps=ANNEAL_STEPS,
        ),
        "wsd_s": Schedule(kind="wsd_s", warmup_steps=BASE_WARMUP, decay_ends=ENDS, decay_steps=ANNEAL_STEPS),
    }.items()
}
"""Two more schedules on one text: the cooldown of the other shape, and a peak held between decays."""

RUNS = (
    WEAK_BASE
    | RATES
    | WARMUPS
    | BEGINNINGS
    | SAME
    | REPLAY
    | PERMUTED
    | EARLIER
    | FLOORS
    | TRUNK
    | CHAINED
    | REPEATED
    | OTHERS
)
