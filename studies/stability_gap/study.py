"""What happens in the first fifty updates after a switch of tasks, and what removes it?

The stability gap of De Lange et al. 2022 (arXiv:2205.13452), with Hess et al. 2023 (arXiv:2311.04898), Kamath et al.
2024 (arXiv:2406.05114), Soutif-Cormerais et al. 2023 (arXiv:2306.16817) and, on text, Guo et al. 2024
(arXiv:2406.14833).

All runs of a comparison continue the same weights and see the same new batches. Settings and thresholds were frozen
after pilots with seeds 100 to 104.
"""

from typing import Any

from common.config import Continual, Data, Model, Optimizer, Probe, Run, Schedule

SEEDS = tuple(range(10))
FEWER = SEEDS[:5]
"""Seeds of the comparisons in which no small difference decides."""

ANGLE = 80
"""Degrees between the two tasks of most comparisons."""
ANGLES = (0, 10, 20, 30, 45, 60, 110)
"""Further ones; 0 is the null control, in which the new task is the old one."""
CLASSES = ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))
PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))

LR = 0.1
STEPS = {0.01: 1500, 0.03: 1000, LR: 300, 0.3: 400}
"""Updates of the first task by rate, after which it is as good as it gets: 97 % right whatever the rate."""
NEW_STEPS = {0.01: 1000, 0.03: 500, LR: 300, 0.3: 300}
"""Updates of the second task by rate, in which the first one comes back."""
CURE_RATES = (0.03, LR, 0.3)
PAIR_STEPS = 200

MEMORY = 100
"""Examples kept of each past task: 7 % of them."""
CURE_STEPS = 50
"""Updates over which the weight of the new task, or the learning rate, grows."""
DECAYS = (0.95, 0.98)
"""Of the average of the weights."""


def rotated(angle: float) -> Data:
    """The digits turned by some degrees."""
    return Data(source="digits", rotation=angle) if angle else Data(source="digits")


def of_classes(classes: tuple[int, ...]) -> Data:
    """Some of the digits; the network always has ten outputs."""
    return Data(source="digits", classes=classes)


def training(*tasks: Data, seeds: tuple[int, ...] = SEEDS, **other: Any) -> Run:
    """A run on the last of some tasks, evaluated on all of them before every update."""
    return Run(
        **{
            "model": Model(kind="mlp", width=100, depth=2, activation="relu", norm="none"),
            "data": tasks[-1],
            "watched": {f"task{i}": task for i, task in enumerate(tasks)},
            "optimizer": Optimizer(kind="sgd", momentum=0.9),
            "lr": LR,
            "batch_size": 64,
            "evaluate_every": 1,
            "log_every": 10,
            "seed": seeds[0],
            "sweep": {"seed": seeds},
            **other,
        }
    )


def first(task: Data, **other: Any) -> Run:
    """The first task, which all arms of a comparison continue."""
    return training(task, **{"arm": "first", "log_every": 50, "evaluate_every": 50, **other})


def then(*tasks: Data, method: dict[str, Any], **other: Any) -> Run:
    """The last of some tasks, after a run on those before it."""
    return training(*tasks, continual=Continual(past=tasks[:-1], **method), **other)


JOINT: dict[str, Any] = {"replay": "all"}
ER: dict[str, Any] = {"replay": "memory", "memory": MEMORY, "selection": "class_balanced"}
AGEM: dict[str, Any] = {"projection": "agem"}
GEM: dict[str, Any] = {"projection": "gem", "margin": 0.5}
METHODS: dict[str, dict[str, Any]] = {
    "finetune": {},
    "joint": JOINT,
    "er": ER,
    "er_large": ER | {"memory": 5 * MEMORY},
    "joint_agem": JOINT | AGEM,
    "joint_gem": JOINT | GEM,
    "er_agem": ER | AGEM,
    "er_gem": ER | GEM,
    "gem": {"memory": MEMORY, "selection": "class_balanced"} | GEM,
    "lwf": {"distillation": 0.1, "temperature": 2.0},
    "ewc": {"consolidation": 1000.0},
}
PROJECTIONS = ("joint_agem", "joint_gem", "er_agem", "er_gem")
REPLAYING = ("er_large", *PROJECTIONS)
"""Small differences decide claims on these."""
CURES: dict[str, dict[str, Any]] = {
    "ramp": {"ramp_steps": CURE_STEPS},
    "warmup": {},
}
"""What is done about the gap: the weight of the new task grows, or (in `schedule`) the learning rate."""

OLD, NEW = rotated(0), rotated(ANGLE)
SCENARIOS = {"rotation": (OLD, NEW), "classes": (of_classes(CLASSES[0]), of_classes(CLASSES[1]))}

FIRST = {
    f"first-{scenario}-lr{lr}": first(
        tasks[0], lr=lr, steps=STEPS[lr], **({"evaluate_every": 1, "log_every": 10} if lr == LR else {})
    )
    for scenario, tasks in SCENARIOS.items()
    for lr in ((0.01, *CURE_RATES) if scenario == "rotation" else CURE_RATES)
}


def label(scenario: str, method: str, *, lr: float = LR, cure: str | None = None) -> str:
    """Name of a run on the second task of a scenario."""
    return "-".join((scenario, method.replace("_", "-"), *([cure] if cure else []), f"lr{lr}"))


def second(scenario: str, method: str, *, lr: float = LR, cure: str | None = None, **other: Any) -> Run:
    """A method, perhaps with a cure, on the second task of a scenario."""
    return then(
        *SCENARIOS[scenario],
        method=METHODS[method] | CURES.get(cure or "", {}),
        **{
            "parent": f"first-{scenario}-lr{lr}",
            "arm": "_".join((scenario, method, *([cure] if cure else []))),
            "lr": lr,
            "steps": NEW_STEPS[lr],
            "schedule": Schedule(warmup_steps=CURE_STEPS if cure == "warmup" else 0),
            **other,
        },
    )


CURED = {
    label(scenario, method, lr=lr, cure=cure): second(scenario, method, lr=lr, cure=cure)
    for scenario in SCENARIOS
    for method in ("joint", "er")
    for lr in CURE_RATES
    for cure in (None, *CURES)
}
METHOD = {
    label("rotation", method): second("rotation", method, seeds=SEEDS if method in REPLAYING else FEWER)
    for method in METHODS
    if method not in ("joint", "er")
}
PROJECTED = {
    label("rotation", method, lr=lr): second("rotation", method, lr=lr)
    for method in PROJECTIONS
    for lr in CURE_RATES
    if lr != LR
} | {label("classes", "joint_agem"): second("classes", "joint_agem")}
SLOW = {label("rotation", "joint", lr=0.01): second("rotation", "joint", lr=0.01, seeds=FEWER)}
AVERAGED = {
    f"{scenario}-joint-average{decay}": second(
        scenario,
        "joint",
        arm=f"{scenario}_joint_average",
        average=decay,
        probes=(Probe(kind="nearest_mean", every=1),) if decay == DECAYS[0] else (),
    )
    for scenario in SCENARIOS
    for decay in DECAYS
}
"""Views of the plain training: averaged weights, and (once) classes by the nearest mean of features."""
GRADIENTS = {
    "rotation-gradients": second(
        "rotation",
        "joint",
        arm="rotation_gradients",
        steps=60,
        probes=(Probe(kind="gradients", every=1),),
        seeds=FEWER,
    )
}

SIMILARITY = {
    f"angle{angle}-{name}": then(
        OLD,
        rotated(angle),
        method=METHODS[name],
        parent=f"first-rotation-lr{LR}",
        arm=f"angle_{name}",
        steps=NEW_STEPS[LR],
        seeds=FEWER,
    )
    for angle in ANGLES
    for name in ("joint", "er", "finetune")
}

CHAINED = ("joint", "er", "finetune")
CHAIN = {
    f"chain-{name}": then(
        OLD,
        NEW,
        rotated(2 * ANGLE),
        method=METHODS[name],
        parent=f"rotation-{name}-lr{LR}",
        arm=f"chain_{name}",
        steps=NEW_STEPS[LR],
        seeds=FEWER,
    )
    for name in CHAINED
}
PAIR = {"pairs-first": training(of_classes(PAIRS[0]), arm="pairs", steps=PAIR_STEPS, seeds=FEWER)} | {
    f"pairs{k}-{name}": then(
        *map(of_classes, PAIRS[: k + 1]),
        method=METHODS[name],
        parent=f"pairs{k - 1}-{name}" if k > 1 else "pairs-first",
        arm=f"pairs_{name}" if k == len(PAIRS) - 1 else "pairs",
        steps=PAIR_STEPS,
        seeds=FEWER,
    )
    for k in range(1, len(PAIRS))
    for name in CHAINED
}

HALVES = (Data(source="digits", split=(0, 2)), Data(source="digits", split=(1, 2)))
"""Two tasks of one distribution."""
LOW = 0.01
"""Share of the rate that a decay ends at."""
HALF = {
    "first-halves-constant": first(HALVES[0], steps=STEPS[LR]),
    "first-halves-decayed": first(HALVES[0], steps=STEPS[LR], schedule=Schedule(kind="cosine", floor=LOW)),
} | {
    f"halves-{name}": then(*HALVES, method=JOINT, parent=parent, arm=f"halves_{name}", lr=lr, steps=NEW_STEPS[LR])
    for name, parent, lr in (
        ("constant", "first-halves-constant", LR),
        ("restarted", "first-halves-decayed", LR),
        ("low", "first-halves-decayed", LOW * LR),
    )
}

MOMENTA = {(0.0, LR): (1500, 1000), (0.5, LR): (900, 500), (0.0, 0.3): (1000, 500), (0.5, 0.15): (1000, 500)}
"""Updates of both tasks by momentum and rate; the last two have the rate over 1 - momentum of 0.03 with 0.9."""
OPTIMIZERS = {
    f"m{momentum}-lr{lr}": (Optimizer(kind="sgd", momentum=momentum or None), lr, *steps)
    for (momentum, lr), steps in MOMENTA.items()
} | {"adam-lr0.001": (Optimizer(kind="adam", beta1=0.9, beta2=0.999), 1e-3, 600, 300)}
OPTIMIZER = {
    f"first-{name}": first(OLD, optimizer=optimizer, lr=lr, steps=steps, seeds=FEWER)
    for name, (optimizer, lr, steps, _) in OPTIMIZERS.items()
} | {
    f"rotation-joint-{name}": then(
        OLD,
        NEW,
        method=JOINT,
        parent=f"first-{name}",
        arm=f"optimizer_{name.partition('-')[0].replace('.', '')}",
        optimizer=optimizer,
        lr=lr,
        steps=steps,
        seeds=FEWER,
    )
    for name, (optimizer, lr, _, steps) in OPTIMIZERS.items()
}

TEXT_SEEDS = SEEDS[:5]
TEXT_LR = 1e-3
"""Constant after the switch; the base has decayed from 3e-3 to 3e-4, so that this re-warms it."""
TEXT_STEPS = 400


def corpus(name: str, **other: Any) -> Data:
    """Bytes of one domain."""
    return Data(source="corpus", name=name, context=64, validation_windows=64, **other)


PROSE, PYTHON = corpus("prose"), corpus("python")
DOMAINS = {"prose": PROSE, "python": PYTHON, "documented": corpus("documented")}
"""Old domain, new domain, and English inside code, which needs the skills of both."""
BATCH = 8
QUARTER = TEXT_STEPS * BATCH // 4
"""Windows of which four epochs are as long as one pass over new ones."""


def text(**fields: Any) -> Run:
    """A byte transformer, evaluated on all domains."""
    return Run(
        **{
            "model": Model(kind="transformer", width=64, depth=2, heads=2),
            "optimizer": Optimizer(kind="adamw", weight_decay=0.1, clip=1.0),
            "watched": DOMAINS,
            "batch_size": BATCH,
            "seed": TEXT_SEEDS[0],
            "sweep": {"seed": TEXT_SEEDS},
            **fields,
        }
    )


def continued(arm: str, data: Data, **other: Any) -> Run:
    """Pre-training on prose continued on other text, read from its beginning."""
    return text(
        **{
            "data": data,
            "parent": "prose",
            "reset": ("data",),
            "arm": f"text_{arm}",
            "lr": TEXT_LR,
            "steps": TEXT_STEPS,
            "evaluate_every": 5,
            **other,
        }
    )


BASE = {
    "prose": text(
        data=PROSE,
        arm="text_base",
        lr=3e-3,
        steps=1500,
        evaluate_every=250,
        schedule=Schedule(kind="cosine", warmup_steps=50),
    )
}
"""The pre-training that the studies of text continue."""
REPLAYED = {
    f"text-replay{round(100 * share)}": continued("replay", corpus("python", mixed_with=PROSE, mixed_share=share))
    for share in (0.05, 0.25, 0.5)
}
STRATEGIES = {
    "text-same": continued("same", PROSE, reset=()),
    "text-pass": continued("pass", PYTHON),
    "text-subset": continued("subset", corpus("python", samples=QUARTER)),
    "text-ranked": continued("ranked", corpus("python", samples=QUARTER, ranked="comments")),
}
"""The old text again as the control, one pass over new text, and four over a quarter: any, or that with most comments
as a stand-in for quality."""
TEXT_JOINT = {
    f"text-joint{cure and '-'}{cure}": continued(
        f"joint{cure and '_'}{cure}",
        PYTHON,
        continual=Continual(past=(PROSE,), **JOINT, **CURES.get(cure, {})),
        schedule=Schedule(warmup_steps=CURE_STEPS if cure == "warmup" else 0),
    )
    for cure in ("", *CURES)
}

RUNS = (
    FIRST
    | CURED
    | METHOD
    | PROJECTED
    | SLOW
    | AVERAGED
    | GRADIENTS
    | SIMILARITY
    | CHAIN
    | PAIR
    | HALF
    | OPTIMIZER
    | BASE
    | REPLAYED
    | STRATEGIES
    | TEXT_JOINT
)
