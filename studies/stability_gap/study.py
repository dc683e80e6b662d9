"""What happens in the first fifty updates after a switch of tasks, and what removes it?

The stability gap of De Lange et al. 2022 (arXiv:2205.13452), with Hess et al. 2023 (arXiv:2311.04898), Kamath et al.
2024 (arXiv:2406.05114), Soutif-Cormerais et al. 2023 (arXiv:2306.16817) and, on text, Guo et al. 2024
(arXiv:2406.14833).

All runs of a comparison continue the same weights and see the same new batches. Settings and thresholds were frozen
after pilots with seeds 100 to 104.
"""

from dataclasses import replace
from typing import Any

from common.config import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Constant,
    Continual,
    Corpus,
    Cosine,
    Data,
    Digits,
    Figure,
    Gradients,
    Measure,
    Mixture,
    NearestMean,
    Optimizer,
    Run,
    Select,
    Transformer,
)

SEEDS = tuple(range(10))
FEWER = SEEDS[:5]
"""Seeds of the comparisons that do not turn on small differences."""

ANGLE = 80
"""Degrees between the two tasks of most comparisons."""
ANGLES = (0, 10, 20, 30, 45, 60, 110)
"""Further ones; 0 is the null control, in which the new task is the old one."""
CLASSES = ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))
PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))

LR = 0.1
STEPS = {0.01: 1500, 0.03: 1000, LR: 300, 0.3: 400}
"""Updates of the first task by rate, after which it is as good as it gets: 97 % right, and 95.5 % at 0.3."""
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

LEFT, KEPT, LOW_PATH = 0.4, 0.7, 0.25
"""Bars of claims that figures draw: shares of the plain depth that a cure which works may leave, and one that does not
leaves at least; and the part of the excess of training's own path below which a straight line is one of low loss."""
ACCURACY_LOSS = -1.0
"""Points of final accuracy, mean of both tasks, that a cure may cost; it may gain any."""


def rotated(angle: float) -> Digits:
    """The digits turned by some degrees."""
    return Digits(rotation=angle)


def of_classes(classes: tuple[int, ...]) -> Digits:
    """Some of the digits; the network always has ten outputs."""
    return Digits(classes=classes)


def training(name: str, *tasks: Data, seeds: tuple[int, ...] = SEEDS, **other: Any) -> Run:
    """A run on the last of some tasks, evaluated on all of them before every update."""
    fields: dict[str, Any] = {
        "model": MLP(width=100, depth=2, activation="relu", norm="none"),
        "data": tasks[-1],
        "watched": {f"task{i}": task for i, task in enumerate(tasks)},
        "optimizer": SGD(momentum=0.9),
        "lr": LR,
        "batch_size": 64,
        "evaluate_every": 1,
        "log_every": 10,
        "seed": seeds[0],
        "sweep": {"seed": seeds},
    }
    return Run(name, **(fields | other))


def first(name: str, task: Data, **other: Any) -> Run:
    """The first task, which all arms of a comparison continue."""
    fields: dict[str, Any] = {"arm": "first", "log_every": 50, "evaluate_every": 50}
    return training(name, task, **(fields | other))


def then(name: str, *tasks: Data, method: dict[str, Any], **other: Any) -> Run:
    """The last of some tasks, after a run on those before it."""
    return training(name, *tasks, continual=Continual(past=tasks[:-1], **method), **other)


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
LEARNERS = ("joint", "er")
"""The methods that are cured."""
CHAINED = ("joint", "er", "finetune")
"""Those compared along chains of tasks and over angles."""
PROJECTIONS = ("joint_agem", "joint_gem", "er_agem", "er_gem")
OVERVIEW = ("finetune", "lwf", "ewc", "gem", "er", "er_agem", "er_large", "joint")
"""Those shown beside each other, from no protection against forgetting to all old data."""
FAMILIES = ("er", "gem", "er_agem", "lwf", "ewc")
"""Methods of all families: replay, constraint, both together, distillation, regularisation."""
REPLAYING = ("er_large", *PROJECTIONS)
"""Small differences decide claims on these."""
CURES: dict[str, dict[str, Any]] = {
    "ramp": {"ramp_steps": CURE_STEPS},
    "warmup": {},
}
"""What is done about the gap: the weight of the new task grows, or (in `warmed`) the learning rate."""

OLD, NEW = rotated(0), rotated(ANGLE)
SCENARIOS = {"rotation": (OLD, NEW), "classes": (of_classes(CLASSES[0]), of_classes(CLASSES[1]))}

FIRST = [
    first(
        f"first-{scenario}-lr{lr}",
        tasks[0],
        lr=lr,
        steps=STEPS[lr],
        **({"evaluate_every": 1, "log_every": 10} if lr == LR else {}),
    )
    for scenario, tasks in SCENARIOS.items()
    for lr in ((0.01, *CURE_RATES) if scenario == "rotation" else CURE_RATES)
]


def label(scenario: str, method: str, *, lr: float = LR, cure: str | None = None) -> str:
    """Name of a run on the second task of a scenario."""
    return "-".join((scenario, method.replace("_", "-"), *([cure] if cure else []), f"lr{lr}"))


def warmed(cure: str | None) -> Constant:
    """The schedule of a cure."""
    return Constant(warmup_steps=CURE_STEPS if cure == "warmup" else 0)


def second(
    scenario: str, method: str, *, name: str | None = None, lr: float = LR, cure: str | None = None, **other: Any
) -> Run:
    """A method, perhaps with a cure, on the second task of a scenario; its name is `label`'s if left out."""
    fields: dict[str, Any] = {
        "parent": f"first-{scenario}-lr{lr}",
        "arm": "_".join((scenario, method, *([cure] if cure else []))),
        "lr": lr,
        "steps": NEW_STEPS[lr],
        "schedule": warmed(cure),
    }
    return then(
        name or label(scenario, method, lr=lr, cure=cure),
        *SCENARIOS[scenario],
        method=METHODS[method] | CURES.get(cure or "", {}),
        **(fields | other),
    )


CURED = [
    second(scenario, method, lr=lr, cure=cure)
    for scenario in SCENARIOS
    for method in LEARNERS
    for lr in CURE_RATES
    for cure in (None, *CURES)
]
METHOD = [
    second("rotation", method, seeds=SEEDS if method in REPLAYING else FEWER)
    for method in METHODS
    if method not in LEARNERS
]
PROJECTED = [
    *(second("rotation", method, lr=lr) for method in PROJECTIONS for lr in CURE_RATES if lr != LR),
    second("classes", "joint_agem"),
]
SLOW = [second("rotation", "joint", lr=0.01, seeds=FEWER)]
AVERAGED = [
    second(
        scenario,
        "joint",
        name=f"{scenario}-joint-average{decay}",
        arm=f"{scenario}_joint_average",
        average=decay,
        probes=(NearestMean(every=1),) if decay == DECAYS[0] else (),
    )
    for scenario in SCENARIOS
    for decay in DECAYS
]
"""Views of the plain training: averaged weights, and (once) classes by the nearest mean of features."""
GRADIENTS = [
    second(
        "rotation",
        "joint",
        name="rotation-gradients",
        arm="rotation_gradients",
        steps=60,
        probes=(Gradients(every=1),),
        seeds=FEWER,
    )
]

SIMILARITY = [
    then(
        f"angle{angle}-{name}",
        OLD,
        rotated(angle),
        method=METHODS[name],
        parent=f"first-rotation-lr{LR}",
        arm=f"angle_{name}",
        steps=NEW_STEPS[LR],
        seeds=FEWER,
    )
    for angle in ANGLES
    for name in CHAINED
]
ANGLE_OF = {run.name: run.data.rotation for run in [*CURED, *METHOD, *SIMILARITY] if isinstance(run.data, Digits)}
"""Degrees by which the second task is turned, by name of the run."""

CHAIN = [
    then(
        f"chain-{name}",
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
]
PAIR = [
    training("pairs-first", of_classes(PAIRS[0]), arm="pairs", steps=PAIR_STEPS, seeds=FEWER),
    *(
        then(
            f"pairs{k}-{name}",
            *map(of_classes, PAIRS[: k + 1]),
            method=METHODS[name],
            parent=f"pairs{k - 1}-{name}" if k > 1 else "pairs-first",
            arm=f"pairs_{name}" if k == len(PAIRS) - 1 else "pairs",
            steps=PAIR_STEPS,
            seeds=FEWER,
        )
        for k in range(1, len(PAIRS))
        for name in CHAINED
    ),
]

HALVES = (Digits(split=(0, 2)), Digits(split=(1, 2)))
"""Two tasks of one distribution."""
LOW = 0.01
"""Share of the rate that a decay ends at."""
HALF_ARMS = ("halves_constant", "halves_restarted", "halves_low")
ROTATED, RESTARTED = "rotation_joint", "halves_restarted"
"""Arms at whose ends straight lines from before the switch are measured."""
HALF = [
    first("first-halves-constant", HALVES[0], steps=STEPS[LR]),
    first("first-halves-decayed", HALVES[0], steps=STEPS[LR], schedule=Cosine(floor=LOW)),
    *(
        then(
            arm.replace("_", "-"),
            *HALVES,
            method=JOINT,
            parent=f"first-halves-{before}",
            arm=arm,
            lr=lr,
            steps=NEW_STEPS[LR],
        )
        for arm, before, lr in zip(HALF_ARMS, ("constant", "decayed", "decayed"), (LR, LR, LOW * LR), strict=True)
    ),
]

MOMENTUM_ARMS = {0.0: "optimizer_m00", 0.5: "optimizer_m05", 0.9: "rotation_joint"}
ADAM_ARM = "optimizer_adam"
OPTIMIZER_ARMS = (*MOMENTUM_ARMS.values(), ADAM_ARM)
MATCHED = {0.0: 0.3, 0.5: 0.15, 0.9: 0.03}
"""Rate by momentum with lr / (1 - momentum) = 0.3."""
MOMENTA = {
    (0.0, LR): (1500, 1000),
    (0.5, LR): (900, 500),
    (0.0, MATCHED[0.0]): (1000, 500),
    (0.5, MATCHED[0.5]): (1000, 500),
}
"""Updates of both tasks by momentum and rate."""
OPTIMIZERS: dict[str, tuple[str, Optimizer, float, int, int]] = {
    f"m{momentum}-lr{lr}": (MOMENTUM_ARMS[momentum], SGD(momentum=momentum), lr, *steps)
    for (momentum, lr), steps in MOMENTA.items()
} | {"adam-lr0.001": (ADAM_ARM, Adam(beta1=0.9, beta2=0.999), 1e-3, 600, 300)}
"""Arm, optimizer, rate and the updates of both tasks."""
OPTIMIZER = [
    *(
        first(f"first-{name}", OLD, optimizer=optimizer, lr=lr, steps=steps, seeds=FEWER)
        for name, (_, optimizer, lr, steps, _) in OPTIMIZERS.items()
    ),
    *(
        then(
            f"rotation-joint-{name}",
            OLD,
            NEW,
            method=JOINT,
            parent=f"first-{name}",
            arm=arm,
            optimizer=optimizer,
            lr=lr,
            steps=steps,
            seeds=FEWER,
        )
        for name, (arm, optimizer, lr, _, steps) in OPTIMIZERS.items()
    ),
]

TEXT_SEEDS = SEEDS[:5]
TEXT_LR = 1e-3
"""Constant after the switch; the base has decayed from 3e-3 to 3e-4, so that this re-warms it."""
TEXT_STEPS = 400


PROSE = Corpus("prose", context=64, validation_windows=64)
PYTHON = replace(PROSE, name="python")
DOMAINS = {"prose": PROSE, "python": PYTHON, "documented": replace(PROSE, name="documented")}
"""Old domain, new domain, and English inside code, which needs the skills of both."""
BATCH = 8
QUARTER = TEXT_STEPS * BATCH // 4
"""Windows of which four epochs are as long as one pass over new ones."""


def text(name: str, data: Data, **other: Any) -> Run:
    """A byte transformer, evaluated on all domains."""
    fields: dict[str, Any] = {
        "model": Transformer(width=64, depth=2, heads=2),
        "optimizer": AdamW(weight_decay=0.1, clip=1.0),
        "watched": DOMAINS,
        "batch_size": BATCH,
        "seed": TEXT_SEEDS[0],
        "sweep": {"seed": TEXT_SEEDS},
    }
    return Run(name, data=data, **(fields | other))


def continued(name: str, data: Data, **other: Any) -> Run:
    """Pre-training on prose continued on other text, read from its beginning."""
    fields: dict[str, Any] = {
        "parent": "prose",
        "reset": ("data",),
        "arm": name.replace("-", "_"),
        "lr": TEXT_LR,
        "steps": TEXT_STEPS,
        "evaluate_every": 5,
    }
    return text(name, data, **(fields | other))


BASE = [
    text("prose", PROSE, arm="text_base", lr=3e-3, steps=1500, evaluate_every=250, schedule=Cosine(warmup_steps=50))
]
"""The pre-training that the studies of text continue."""
REPLAYED = [
    continued(f"text-replay{round(100 * share)}", Mixture(PYTHON, PROSE, share=share), arm="text_replay")
    for share in (0.05, 0.25, 0.5)
]
STRATEGIES = [
    continued("text-same", PROSE, reset=()),
    continued("text-pass", PYTHON),
    continued("text-subset", replace(PYTHON, samples=QUARTER)),
    continued("text-ranked", replace(PYTHON, samples=QUARTER, ranked="comments")),
]
"""The old text again as the control, one pass over new text, and four over a quarter: any, or that with most comments
as a stand-in for quality."""
TEXT_JOINT = [
    continued(
        f"text-joint-{cure}" if cure else "text-joint",
        PYTHON,
        continual=Continual(past=(PROSE,), **JOINT, **CURES.get(cure or "", {})),
        schedule=warmed(cure),
    )
    for cure in (None, *CURES)
]

RUNS = [
    *FIRST,
    *CURED,
    *METHOD,
    *PROJECTED,
    *SLOW,
    *AVERAGED,
    *GRADIENTS,
    *SIMILARITY,
    *CHAIN,
    *PAIR,
    *HALF,
    *OPTIMIZER,
    *BASE,
    *REPLAYED,
    *STRATEGIES,
    *TEXT_JOINT,
]


def arms(scenario: str, *methods: str) -> list[str]:
    """The arms of some methods in a scenario."""
    return [f"{scenario}_{method}" for method in methods]


def named(*runs: Run) -> Select:
    """These runs."""
    return Select(name=[run.name for run in runs])


def cured(*scenarios: str) -> Select:
    """Joint training and replay in some scenarios at three rates, plain and with each cure."""
    return named(*(run for run in CURED if run.name.startswith(scenarios)))


SWITCHES = arms("rotation", *CHAINED, "er_large")
"""One switch between rotated digits, with and without enough old data to come back."""
REPLAYS = [*arms("rotation", *LEARNERS), *arms("classes", *LEARNERS)]
CHAINS = Select(arm=[*arms("chain", *CHAINED), *arms("pairs", *CHAINED)], lineage=True)
"""The last tasks of all chains."""
ANGLED = Select(arm=[*arms("angle", *CHAINED), *arms("rotation", *CHAINED)], lr=LR)
FAMILY = Select(arm=arms("rotation", *FAMILIES), lr=LR)
HALVED = Select(arm=HALF_ARMS) | Select(name="angle0-joint")
"""Two halves of one data set, and the null control."""
WITH_PROJECTIONS = Select(arm=arms("rotation", *LEARNERS, *PROJECTIONS), lr=CURE_RATES) | Select(
    arm=arms("classes", "joint", "joint_agem"), lr=LR
)
STRAIGHT = Select(arm=ROTATED, lr=LR) | Select(arm=RESTARTED)
"""Training whose path is compared with the straight line to its end."""
AVERAGES = named(*AVERAGED)
MEASURED_GRADIENTS = named(*GRADIENTS)
REPLAYED_TEXT = Select(arm=["text_replay", "text_pass", "text_same"])
JOINT_TEXT = Select(arm="text_same") | named(*TEXT_JOINT)
REPEATED_TEXT = Select(arm=["text_pass", "text_subset", "text_ranked"])
FIGURES = [
    Figure(
        "curve",
        runs=Select(arm=arms("chain", *CHAINED), lineage=True) | Select(arm=SWITCHES, lr=LR, lineage=True),
        claims=["G1", "G4"],
    ),
    Figure("periodicity", runs=CHAINS | Select(arm=REPLAYS, lr=LR, lineage=True), claims=["G2", "G5"]),
    Figure("similarity", runs=ANGLED, claims=["G3", "G18"]),
    Figure("methods", runs=Select(arm=arms("rotation", *OVERVIEW), lr=LR), claims=["G6", "G6a"]),
    Figure("gradients", runs=MEASURED_GRADIENTS, claims=["G14"]),
    Figure(
        "lm",
        runs=REPLAYED_TEXT | JOINT_TEXT | REPEATED_TEXT,
        claims=["G15", "G17", "G15a", "G12f", "G16", "G16a"],
    ),
    Figure("projection", runs=WITH_PROJECTIONS, claims=["G7"]),
    Figure("homogeneous", runs=HALVED | STRAIGHT, tables=["path"], claims=["G8", "G8a", "G9", "G9a"]),
    Figure("optimizer", runs=Select(arm=OPTIMIZER_ARMS), claims=["G10", "G10b", "G11", "G11a", "G10a"]),
    Figure(
        "mitigation",
        runs=cured(*SCENARIOS) | AVERAGES | JOINT_TEXT,
        claims=["G12e", "G12", "G12a", "G12c", "G13", "G12b", "G12d", "G13a", "G12f"],
    ),
    Figure("metrics", runs=CHAINS),
]
MEASURES = [
    Measure(
        "path",
        states={"starts": Select(name=[f"first-rotation-lr{LR}", "first-halves-decayed"]), "ends": STRAIGHT},
        smoke={"shares": [0.0, 0.25, 0.5, 0.75, 1.0]},
    ),
]
