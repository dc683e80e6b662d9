"""The smoke scale keeps every rule: hard cases shrink to sound runs that still continue one another."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config import Continual, Data, Model, Probe, Run, Schedule, full_name
from common.description import problems
from common.roles import scaling_of
from common.scales import SCALES, default, smoke
from common.studies import Studies

MLP = {"model": Model(kind="mlp"), "data": Data(source="digits"), "lr": 0.1, "seed": 0}
TEXT = MLP | {"model": Model(heads=2), "data": Data(name="prose", context=128), "batch_size": 8}


def run(steps=100, **fields) -> Run:
    return Run(**(MLP | {"steps": steps} | fields))


def schedule(kind, **fields) -> dict:
    return {"schedule": Schedule(kind=kind, **fields)}


HARD = {
    "one update": run(1),
    "tiny": run(3, keep_steps=(1, 2), log_every=1, evaluate_every=1, probes=(Probe(kind="norms", steps=(0, 3)),)),
    "kept just before the end": run(14, keep_steps=(13,)),
    "kept side by side": run(100, keep_steps=(50, 51, 52)),
    "wsd that fills its run": run(45, **schedule("wsd", warmup_steps=15, decay_steps=30)),
    "short phases": run(10, **schedule("wsd", warmup_steps=5, decay_steps=5)),
    "warm-up only": run(25, **schedule("cosine", warmup_steps=25)),
    "infinite": run(35, **schedule("infinite", warmup_steps=5, cooldown_steps=15, level=0.5, decay_steps=15)),
    "wsd_s": run(100, **schedule("wsd_s", decay_steps=5, rewarm_steps=5, decay_ends=(10, 20, 100))),
    "wsd_s with decays of their own": run(90, **schedule("wsd_s", decay_steps=(4, 0, 36), decay_ends=(13, 50, 90))),
    "uneven ends": run(97, **schedule("cyclic_cosine", cycle_ends=(13, 14, 97), warmup_steps=13)),
    "sweep": run(100, sweep={"steps": (11, 12, 90), "seed": (0, 1, 2), "lr": (0.1, 1, 10)}),
    "narrow": run(100, model=Model(kind="mlp", width=1, depth=1)),
    "many heads": Run(**(TEXT | {"steps": 50, "model": Model(width=12, heads=6, depth=1)})),
    "short context": Run(**(TEXT | {"steps": 50, "batch_size": 1, "data": Data(name="cpp", context=2)})),
    "bigram": Run(
        **(TEXT | {"steps": 50, "data": Data(source="bigram", vocabulary=8, successors=4, context=16)}),
    ),
    "watched": Run(
        **(TEXT | {"steps": 50, "watched": {"code": Data(name="python", context=128, validation_windows=99)}}),
    ),
    "past tasks": run(
        9,
        data=Data(source="digits", rotation=80),
        parent="no warm-up",
        continual=Continual(
            past=(MLP["data"],), replay="memory", memory=3, ramp_steps=9, consolidation=1.0, fisher_examples=2
        ),
    ),
    "samples of text": Run(
        **(TEXT | {"steps": 50, "data": Data(name="python", context=128, samples=6, ranked="comments", permuted=0.5)}),
    ),
    "past text": Run(
        **(TEXT | {"steps": 50, "continual": Continual(past=(Data(name="cpp", context=128),), replay="all")}),
    ),
    "no warm-up": run(100, **schedule("wsd", decay_steps=0)),
}


def durations(one: Run) -> dict[str, int]:
    names = ("warmup_steps", "decay_steps", "rewarm_steps", "cooldown_steps")
    parts = {name: getattr(one.schedule, name) for name in names if getattr(one.schedule, name) is not None}
    if isinstance(decays := parts.pop("decay_steps", None), tuple):
        parts |= {f"decay {i}": count for i, count in enumerate(decays)}
    elif decays is not None:
        parts["decay_steps"] = decays
    return parts | {"steps": one.steps, "log_every": one.log_every}


@pytest.mark.parametrize("name", HARD)
def test_a_hard_case_stays_sound(name):
    small = smoke({f"study/{one}": HARD[one] for one in {name, HARD[name].parent} - {None}})[f"study/{name}"]
    assert problems(small) == []
    before, after = durations(HARD[name]), durations(small)
    assert before.keys() == after.keys()
    for field, count in before.items():
        assert (after[field] == 0) == (count == 0)
        assert after[field] <= count
    assert len(small.keep_steps) == len(HARD[name].keep_steps)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_schedule_that_fits_still_fits(data):
    ends = sorted(data.draw(st.sets(st.integers(1, 300), min_size=1, max_size=4)))
    lengths = [later - earlier for earlier, later in zip([0, *ends], ends, strict=False)]
    warmup = data.draw(st.integers(0, lengths[0]))
    decay = data.draw(st.integers(0, min(lengths[0] - warmup, *lengths)))
    rewarm = data.draw(st.integers(0, min(lengths) - decay))
    several = Schedule(
        kind="wsd_s", warmup_steps=warmup, decay_steps=decay, rewarm_steps=rewarm, decay_ends=tuple(ends)
    )
    kept = tuple(ends[:-1])
    children = {f"s/c{end}": run(5, parent="trunk", parent_step=end) for end in kept}
    runs = {"s/trunk": run(ends[-1], schedule=several, keep_steps=kept), **children}
    small = smoke(runs)
    assert small.keys() == runs.keys()
    for one in small.values():
        assert problems(one) == []
        assert one.parent_step is None or one.parent_step in small["s/trunk"].keep_steps


def test_round_numbers_become_a_tenth_and_sizes_a_quarter():
    before = Run(
        **(TEXT | {"steps": 1000, "keep_steps": (360, 900), "evaluate_every": 80}),
        **schedule("wsd", warmup_steps=60, decay_steps=100),
    )
    [after] = smoke({"s/a": before}).values()
    assert (after.steps, after.keep_steps, after.evaluate_every) == (100, (36, 90), 8)
    assert (after.schedule.warmup_steps, after.schedule.decay_steps) == (6, 10)
    assert (after.model.width, after.model.heads, after.model.depth) == (16, 2, 1)
    assert (after.data.context, after.data.validation_windows, after.batch_size) == (32, 16, 2)


@pytest.mark.parametrize(("before", "after"), [(2, 2), (400, 100), (10**6, 1024)])
def test_samples_of_text_become_a_quarter_that_a_smoke_corpus_has(before, after):
    part = Data(name="python", context=128, samples=before)
    whole = Data(name="prose", context=128, mixed_with=part, mixed_share=0.5)
    [small] = smoke({"s/a": Run(**(TEXT | {"steps": 100, "data": whole}))}).values()
    assert small.data.samples is None
    assert small.data.mixed_with.samples == after


def test_past_tasks_and_watched_sets_shrink_with_the_run():
    prose, cpp = (Data(name=name, context=128) for name in ("prose", "cpp"))
    parts = {"replay": "memory", "memory": 100, "ramp_steps": 50, "new_weight": 0.3}
    before = Run(**(TEXT | {"steps": 100, "watched": {"cpp": cpp}, "continual": Continual(past=(cpp, prose), **parts)}))
    [after] = smoke({"s/a": before}).values()
    small = [Data(name=name, context=32, validation_windows=16) for name in ("cpp", "prose")]
    assert after.watched == {"cpp": small[0]} and after.continual.past == tuple(small)
    assert (after.steps, after.continual.ramp_steps, after.continual.memory, after.continual.new_weight) == (
        10,
        5,
        25,
        0.3,
    )


SIZES = {
    "wide": {"kind": "mlp", "width": 512, "base_width": 128},
    "odd": {"kind": "mlp", "width": 300, "base_width": 200},
    "narrow": {"kind": "mlp", "width": 64, "base_width": 256},
    "more heads": {"width": 128, "heads": 8, "base_width": 32, "base_heads": 2},
    "larger heads": {"width": 128, "heads": 2, "base_width": 32},
    "deep": {"kind": "mlp", "residual": True, "block_layers": 2, "depth": 32, "base_depth": 4},
    "uneven": {"kind": "mlp", "residual": True, "block_layers": 1, "depth": 6, "base_depth": 3},
}


@pytest.mark.parametrize("fields", SIZES.values(), ids=SIZES)
def test_sizes_shrink_with_their_base(fields):
    model = Model(**({"depth": 4, "parametrization": "mup" if "base_width" in fields else "sp"} | fields))
    data = TEXT if model.kind == "transformer" else MLP
    [small] = smoke({"s/a": Run(**(data | {"model": model, "steps": 100}))}).values()
    assert scaling_of(small.model) == scaling_of(model)
    if fields not in (SIZES["odd"], SIZES["uneven"]):
        assert (small.model.width, small.model.depth) == (model.width // 4, model.depth // 2)


def test_the_first_two_seeds_of_each_run_stay():
    runs = {
        f"s/{arm}-s{seed}": run(arm=arm, seed=seed)
        for arm, first in (("a", 0), ("b", 5))
        for seed in range(first, first + 4)
    }
    assert list(smoke(runs)) == ["s/a-s0", "s/a-s1", "s/b-s5", "s/b-s6"]


def test_parents_of_any_seed_and_any_study_stay():
    trunks = {f"first/t{seed}": run(100, seed=seed, keep_steps=(45,)) for seed in range(6)}
    branches = {
        f"second/b{seed}": run(13, seed=seed, lr=0.2, parent=f"first/t{seed}", parent_step=45) for seed in (3, 4, 5)
    }
    leaves = {"third/leaf": run(50, seed=9, parent="second/b5")}
    small = smoke({**leaves, **branches, **trunks})
    assert list(small) == ["third/leaf", "second/b3", "second/b4", "second/b5"] + [
        f"first/t{i}" for i in (0, 1, 3, 4, 5)
    ]
    for name, one in small.items():
        assert problems(one) == []
        if one.parent:
            parent = small[full_name(name.partition("/")[0], one.parent)]
            assert one.parent_step is None or one.parent_step in parent.keep_steps
            assert one.model == parent.model


def test_branches_of_different_parents_are_one_group_of_seeds():
    trunks = {f"s/{name}{seed}": run(seed=seed, lr=lr) for name, lr in (("x", 1), ("y", 2)) for seed in range(3)}
    branches = {f"s/{name[2:]}-b": run(50, seed=one.seed, parent=name[2:]) for name, one in trunks.items()}
    assert set(smoke(trunks | branches)) == {f"s/{n}{i}{end}" for n in "xy" for i in (0, 1) for end in ("", "-b")}


def test_default_is_the_identity():
    runs = {f"s/{name}": one for name, one in HARD.items()}
    assert default(runs) is runs
    assert set(SCALES) == {"default", "smoke"}


def test_the_studies_of_the_repository_have_the_same_graph_at_every_scale():
    full, small = Studies.load(), Studies.load(scale="smoke")
    assert list(full) == list(small)
    assert full.figures() == small.figures()
    for study in small:
        for name in small[study].runs:
            assert small.parent(study, name) == full.parent(study, name)
            assert small.run(study, name).steps <= full.run(study, name).steps / 5
        arms = [{run.arm for run in studies[study].runs.values()} for studies in (full, small)]
        assert arms[0] == arms[1]
