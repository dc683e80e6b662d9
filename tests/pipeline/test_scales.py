"""The smoke scale keeps every rule: hard cases shrink to sound runs that still continue one another."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config import (
    MLP,
    WSD,
    WSDS,
    Bigram,
    Constant,
    Continual,
    Convnet,
    Corpus,
    Cosine,
    CyclicCosine,
    Digits,
    Files,
    Infinite,
    Mixture,
    ModularAddition,
    Norms,
    Run,
    Transformer,
    ViT,
    full_name,
    to_dict,
)
from common.config.description import problems
from common.models.roles import scaling_of
from common.pipeline.scales import SCALES, SHARED, default, large, smoke
from common.pipeline.studies import Studies

SMALL = {"model": MLP(), "data": Digits(), "lr": 0.1, "seed": 0}
TEXT = SMALL | {"model": Transformer(heads=2), "data": Corpus("prose", context=128), "batch_size": 8}


def run(steps=100, **fields) -> Run:
    return Run(**(SMALL | {"steps": steps} | fields))


def text(steps=50, **fields) -> Run:
    return Run(**(TEXT | {"steps": steps} | fields))


HARD = {
    "one update": run(1),
    "tiny": run(3, keep_steps=(1, 2), log_every=1, evaluate_every=1, probes=(Norms(steps=(0, 3)),)),
    "kept just before the end": run(14, keep_steps=(13,)),
    "kept side by side": run(100, keep_steps=(50, 51, 52)),
    "wsd that fills its run": run(45, schedule=WSD(warmup_steps=15, decay_steps=30)),
    "short phases": run(10, schedule=WSD(warmup_steps=5, decay_steps=5)),
    "warm-up only": run(25, schedule=Cosine(warmup_steps=25)),
    "infinite": run(35, schedule=Infinite(warmup_steps=5, cooldown_steps=15, level=0.5, decay_steps=15)),
    "wsd_s": run(100, schedule=WSDS(decay_steps=5, rewarm_steps=5, decay_ends=(10, 20, 100))),
    "wsd_s with decays of their own": run(90, schedule=WSDS(decay_steps=(4, 0, 36), decay_ends=(13, 50, 90))),
    "uneven ends": run(97, schedule=CyclicCosine(cycle_ends=(13, 14, 97), warmup_steps=13)),
    "sweep": run(100, sweep={"steps": (11, 12, 90), "seed": (0, 1, 2), "lr": (0.1, 1, 10)}),
    "narrow": run(100, model=MLP(width=1, depth=1)),
    "many heads": text(model=Transformer(width=12, heads=6, depth=1)),
    "patches": run(50, model=ViT(width=12, heads=6, depth=1)),
    "channels": run(50, model=Convnet(width=2, depth=1, activation="relu")),
    "short context": text(batch_size=1, data=Corpus("cpp", context=2)),
    "bigram": text(data=Bigram(vocabulary=8, successors=4, context=16)),
    "sums": text(batch_size=None, data=ModularAddition(modulus=7, train_share=0.5)),
    "watched": text(watched={"code": Corpus("python", context=128, validation_windows=99)}),
    "past tasks": run(
        9,
        data=Digits(rotation=80),
        parent="no warm-up",
        continual=Continual(
            past=(Digits(),), replay="memory", memory=3, ramp_steps=9, consolidation=1.0, fisher_examples=2
        ),
    ),
    "samples of text": text(data=Corpus("python", context=128, samples=6, ranked="comments", permuted=0.5)),
    "past text": text(continual=Continual(past=(Corpus("cpp", context=128),), replay="all")),
    "no warm-up": run(100, schedule=WSD(decay_steps=0)),
}


def durations(one: Run) -> dict[str, int]:
    names = ("warmup_steps", "decay_steps", "rewarm_steps", "cooldown_steps")
    parts = {name: getattr(one.schedule, name) for name in names if hasattr(one.schedule, name)}
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
    kinds = [type(getattr(HARD[name], field)) for field in ("model", "data", "schedule")]
    assert [type(getattr(small, field)) for field in ("model", "data", "schedule")] == kinds


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_schedule_that_fits_still_fits(data):
    ends = sorted(data.draw(st.sets(st.integers(1, 300), min_size=1, max_size=4)))
    lengths = [later - earlier for earlier, later in zip([0, *ends], ends, strict=False)]
    warmup = data.draw(st.integers(0, lengths[0]))
    decay = data.draw(st.integers(0, min(lengths[0] - warmup, *lengths)))
    rewarm = data.draw(st.integers(0, min(lengths) - decay))
    several = WSDS(warmup_steps=warmup, decay_steps=decay, rewarm_steps=rewarm, decay_ends=tuple(ends))
    kept = tuple(ends[:-1])
    children = {f"s/c{end}": run(5, parent="trunk", parent_step=end) for end in kept}
    runs = {"s/trunk": run(ends[-1], schedule=several, keep_steps=kept), **children}
    small = smoke(runs)
    assert small.keys() == runs.keys()
    for one in small.values():
        assert problems(one) == []
        assert one.parent_step is None or one.parent_step in small["s/trunk"].keep_steps


def test_round_numbers_become_a_tenth_and_sizes_a_quarter():
    before = text(1000, keep_steps=(360, 900), evaluate_every=80, schedule=WSD(warmup_steps=60, decay_steps=100))
    [after] = smoke({"s/a": before}).values()
    assert (after.steps, after.keep_steps, after.evaluate_every) == (100, (36, 90), 8)
    assert (after.schedule.warmup_steps, after.schedule.decay_steps) == (6, 10)
    assert (after.model.width, after.model.heads, after.model.depth) == (16, 2, 1)
    assert (after.data.context, after.data.validation_windows, after.batch_size) == (32, 16, 2)


def test_runs_of_rungs_shrink_to_a_fortieth_where_they_can():
    long, short = (text(steps, rung="a", schedule=Cosine(warmup_steps=steps // 10)) for steps in (800, 50))
    hard = text(800, rung="b", keep_steps=(398, 400))
    small = smoke({"s/long": long, "s/short": short, "s/hard": hard})
    assert [one.steps for one in small.values()] == [20, 1, 400]
    assert small["s/long"].schedule.warmup_steps == 2


def test_runs_of_one_rung_shrink_alike_for_they_are_compared():
    hard, plain = text(800, rung="a", keep_steps=(398, 400)), text(800, rung="a", seed=1)
    small = smoke({"s/hard": hard, "s/plain": plain, "t/plain": text(800, rung="a", seed=1)})
    assert [one.steps for one in small.values()] == [400, 400, 20]


@pytest.mark.parametrize(("before", "after"), [(2, 2), (400, 100), (10**6, 1024)])
def test_samples_of_text_become_a_quarter_that_a_smoke_corpus_has(before, after):
    whole = Mixture(Corpus("prose", context=128), Corpus("python", context=128, samples=before), share=0.5)
    [small] = smoke({"s/a": text(100, data=whole)}).values()
    assert small.data.first.samples is None
    assert small.data.second.samples == after
    assert {(part.context, part.validation_windows) for part in small.data.parts} == {(32, 16)}


def test_what_has_no_size_in_windows_stays_as_it_is():
    for data in (Digits(samples=100), ModularAddition(modulus=7, train_share=0.5)):
        model = Transformer(heads=2) if data.context else MLP()
        [small] = smoke({"s/a": run(model=model, data=data)}).values()
        assert small.data == data


def test_a_name_is_no_difference_between_seeds_and_stays():
    runs = {f"s/r{seed}": Run(f"r{seed}", **(SMALL | {"steps": 100, "seed": seed})) for seed in range(4)}
    assert [one.name for one in smoke(runs).values()] == ["r0", "r1"]


def test_fields_that_only_some_kinds_have_shrink_with_them():
    """A duration, or a size, that a kind does not have is no obstacle; one that it has is not forgotten."""
    shrunk = smoke(
        {
            "s/a": run(schedule=Constant(warmup_steps=50)),
            "s/b": text(100, data=Files("a.txt", context=64, samples=40)),
            "s/c": run(schedule=WSDS(decay_steps=(20, 30), rewarm_steps=10, decay_ends=(50, 100))),
        }
    )
    assert shrunk["s/a"].schedule == Constant(warmup_steps=5)
    assert shrunk["s/b"].data == Files("a.txt", context=16, validation_windows=16, samples=10)
    assert shrunk["s/c"].schedule == WSDS(decay_steps=(2, 3), rewarm_steps=1, decay_ends=(5, 10))


def test_past_tasks_and_watched_sets_shrink_with_the_run():
    prose, cpp = (Corpus(name, context=128) for name in ("prose", "cpp"))
    parts = {"replay": "memory", "memory": 100, "ramp_steps": 50, "new_weight": 0.3}
    before = text(100, watched={"cpp": cpp}, continual=Continual(past=(cpp, prose), **parts))
    [after] = smoke({"s/a": before}).values()
    small = [Corpus(name, context=32, validation_windows=16) for name in ("cpp", "prose")]
    assert after.watched == {"cpp": small[0]} and after.continual.past == tuple(small)
    assert (after.steps, after.continual.ramp_steps, after.continual.memory, after.continual.new_weight) == (
        10,
        5,
        25,
        0.3,
    )


SIZES = {
    "wide": MLP(width=512, depth=4, parametrization="mup", base_width=128),
    "odd": MLP(width=300, depth=4, parametrization="mup", base_width=200),
    "narrow": MLP(width=64, depth=4, parametrization="mup", base_width=256),
    "more heads": Transformer(width=128, depth=4, heads=8, parametrization="mup", base_width=32, base_heads=2),
    "larger heads": Transformer(width=128, depth=4, heads=2, parametrization="mup", base_width=32),
    "patches": ViT(width=128, depth=4, heads=8, parametrization="mup", base_width=32, base_heads=2),
    "channels": Convnet(width=64, depth=4, activation="relu", parametrization="mup", base_width=16),
    "deep": MLP(residual=True, block_layers=2, depth=32, base_depth=4),
    "uneven": MLP(residual=True, block_layers=1, depth=6, base_depth=3),
}


@pytest.mark.parametrize("model", SIZES.values(), ids=SIZES)
def test_sizes_shrink_with_their_base(model):
    [small] = smoke({"s/a": (text if model.reads == "tokens" else run)(100, model=model)}).values()
    assert scaling_of(small.model) == scaling_of(model)
    if model not in (SIZES["odd"], SIZES["uneven"]):
        assert (small.model.width, small.model.depth) == (model.width // 4, model.depth // 2)
    sizes = ("width", "depth", "base_width", "base_depth")
    kept = [{name: value for name, value in to_dict(one).items() if name not in sizes} for one in (small.model, model)]
    assert kept[0] == kept[1]


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


def test_default_is_the_identity_without_large_rungs():
    runs = {f"s/{name}": one for name, one in HARD.items()}
    assert default(runs) == large(runs) == runs
    assert set(SCALES) == {"default", "smoke", "large"} and SHARED == {"large": "default"}


def test_large_rungs_are_of_the_large_scale_alone():
    runs = {f"s/{name}": run(seed=i, rung=name, arm=name) for i, name in enumerate("abc")}
    found = {scale: list(SCALES[scale](runs, {"s/c"})) for scale in SCALES}
    assert found == {"default": ["s/a", "s/b"], "smoke": ["s/a", "s/b"], "large": ["s/a", "s/b", "s/c"]}
    assert SCALES["large"](runs, {"s/c"}) == runs


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
