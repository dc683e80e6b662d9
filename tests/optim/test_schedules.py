"""Schedules against numbers written out by hand, slow twins, and torch where it computes the same."""

import math
from fractions import Fraction
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.config import (
    WSD,
    WSDS,
    Constant,
    Cosine,
    CyclicCosine,
    DecayShape,
    Infinite,
    Linear,
    Rewarm,
    Schedule,
    implementation,
)
from common.optim import decays, schedules

HALF = math.sqrt(0.5)
"""cos(pi/4)."""


def table(schedule, steps):
    factor = schedules.build(schedule, steps=steps)
    return [factor(t) for t in range(steps)]


def approx(*numbers):
    return pytest.approx(numbers, rel=1e-14, abs=1e-15)


KINDS = {word: kind for word, kind in Schedule.kinds().items() if kind.__module__ == Schedule.__module__}
"""Those of the library."""

GOLDEN = {
    "constant": (Constant(), [1, 1, 1]),
    "constant, warm-up": (Constant(warmup_steps=4), [1 / 4, 2 / 4, 3 / 4, 1, 1, 1]),
    "constant, only warm-up": (Constant(warmup_steps=2), [1 / 2, 1]),
    "linear": (Linear(warmup_steps=2, floor=0.2), [1 / 2, 1, 0.8, 0.6, 0.4, 0.2]),
    "linear, default floor": (Linear(), [0.7, 0.4, 0.1]),
    "cosine": (
        Cosine(warmup_steps=2, floor=0.1),
        [1 / 2, 1, 0.55 + 0.45 * HALF, 0.55, 0.55 - 0.45 * HALF, 0.1],
    ),
    "cosine, no warm-up": (Cosine(floor=0.0), [0.75, 0.25, 0.0]),
    "wsd": (WSD(warmup_steps=2, decay_steps=3), [1 / 2, 1, 1, 1, 1, 1, 1, 0.7, 0.4, 0.1]),
    "wsd, inverse": (
        WSD(warmup_steps=2, decay_steps=3, decay_shape="inverse", floor=0.1),
        [1 / 2, 1, 1, 1, 1, 1, 1, 1 / 4, 1 / 7, 1 / 10],
    ),
    "wsd, sqrt": (
        WSD(decay_steps=4, decay_shape="sqrt", floor=0.0),
        [1, 1 / 2, 1 - HALF, 1 - math.sqrt(3) / 2, 0],
    ),
    "wsd, exponential": (
        WSD(decay_steps=4, decay_shape="exponential", floor=1 / 16),
        [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16],
    ),
    "wsd, square": (
        WSD(decay_steps=4, decay_shape="square", floor=0.2),
        [1, 0.95, 0.8, 0.55, 0.2],
    ),
    "wsd, cosine": (WSD(decay_steps=2, decay_shape="cosine", floor=0.5), [1, 1, 0.75, 0.5]),
    "wsd, no decay": (WSD(warmup_steps=1, decay_steps=0), [1, 1, 1]),
    "wsd, only decay": (WSD(decay_steps=3), [0.7, 0.4, 0.1]),
    "wsd_s": (
        WSDS(warmup_steps=2, decay_steps=2, decay_ends=(5, 9), floor=0.5),
        [1 / 2, 1, 1, 0.75, 0.5, 1, 1, 0.75, 0.5],
    ),
    "wsd_s, re-warmed": (
        WSDS(decay_steps=2, decay_ends=(3, 8), rewarm_steps=2, decay_shape="inverse", floor=0.2),
        [1, 1 / 3, 1 / 5, 0.6, 1, 1, 1 / 3, 1 / 5],
    ),
    "cyclic_cosine": (
        CyclicCosine(warmup_steps=1, cycle_ends=(3, 5), floor=0.2),
        [1, 0.6, 0.2, 0.6, 0.2],
    ),
    "cyclic_cosine, re-warmed": (
        CyclicCosine(warmup_steps=2, cycle_ends=(4, 8), rewarm_steps=2, floor=0.2),
        [1 / 2, 1, 0.6, 0.2, 0.6, 1, 0.6, 0.2],
    ),
    "infinite": (
        Infinite(warmup_steps=2, cooldown_steps=2, level=0.4, decay_steps=2, floor=0.1),
        [1 / 2, 1, 0.7, 0.4, 0.4, 0.4, 0.4, 0.2, 0.1],
    ),
    "infinite, trunk": (
        Infinite(warmup_steps=2, start=0.5, cooldown_steps=2, level=0.4, decay_steps=0),
        [0.75, 1, 0.7, 0.4, 0.4, 0.4],
    ),
    "infinite, cosine cooldown and annealing": (
        Infinite(cooldown_steps=4, level=0.4, decay_steps=4, floor=0.025),
        [0.7 + 0.3 * HALF, 0.7, 0.7 - 0.3 * HALF, 0.4, 0.4, 0.2, 0.1, 0.05, 0.025],
    ),
    "infinite, inverse root cooldown": (
        Infinite(cooldown_steps=2, cooldown_shape="inverse_sqrt", level=0.4, decay_steps=2, floor=0.1),
        [1 - 0.6 * (1 - 6**-0.5) / (1 - 11**-0.5), 0.4, 0.4, 0.2, 0.1],
    ),
    "rewarm": (Rewarm(warmup_steps=2, start=0.1, floor=0.1), [0.55, 1, 0.55, 0.1]),
    "rewarm from 0": (Rewarm(warmup_steps=4, floor=0.0), [1 / 4, 1 / 2, 3 / 4, 1, 0.5, 0.0]),
}


@pytest.mark.parametrize(("schedule", "factors"), GOLDEN.values(), ids=GOLDEN.keys())
def test_golden_values(schedule, factors):
    """Numbers from the formulas, by hand; they change only if the stated convention changes."""
    assert table(schedule, len(factors)) == approx(*factors)


def test_every_kind_has_a_constructor_of_its_name_and_golden_values():
    assert set(KINDS) == {schedule.kind for schedule, _ in GOLDEN.values()}
    for word, kind in KINDS.items():
        assert implementation(kind) is getattr(schedules, word)


def test_an_update_outside_the_run_is_refused():
    factor = schedules.constant(Constant(), steps=3)
    for t in (-1, 3):
        with pytest.raises(ValueError, match=r"0 \.\. 2"):
            factor(t)


def test_rates_are_factors_of_the_peak():
    assert schedules.rates(Linear(floor=0.5), steps=2, lr=4e-3) == approx(3e-3, 2e-3)


# Whole schedules

unit = st.floats(0, 1)
positive = st.floats(1e-6, 1)
shapes = st.sampled_from(get_args(DecayShape))


@given(shape=shapes, floor=positive, steps=st.integers(1, 300))
def test_a_wsd_run_of_decay_alone_is_its_shape_one_update_ahead(shape, floor, steps):
    factors = table(WSD(decay_steps=steps, decay_shape=shape, floor=floor), steps)
    curve = getattr(decays, shape)
    assert factors == [curve((t + 1) / steps, floor) for t in range(steps)]
    assert factors[-1] == floor
    assert all(floor <= after <= before <= 1 for before, after in zip([1.0, *factors], factors, strict=False))


@given(warmup=st.integers(0, 60), hold=st.integers(0, 60), length=st.integers(1, 60), shape=shapes, floor=positive)
def test_a_wsd_branch_is_the_constant_trunk_and_then_a_run_of_decay(warmup, hold, length, shape, floor):
    """Exactly, so that a run that continues a trunk equals the uninterrupted one bit for bit."""
    trunk_steps, decay = warmup + hold, {"decay_steps": length, "decay_shape": shape, "floor": floor}
    whole = table(WSD(warmup_steps=warmup, **decay), trunk_steps + length)
    trunk = table(Constant(warmup_steps=warmup), trunk_steps) if trunk_steps else []
    assert whole == trunk + table(WSD(**decay), length)


@given(cooldown=st.integers(0, 60), hold=st.integers(1, 60), length=st.integers(1, 60), level=positive, share=positive)
def test_an_infinite_run_is_its_trunk_and_then_a_run_of_annealing(cooldown, hold, length, level, share):
    common, trunk_steps = {"level": level, "floor": level * share}, cooldown + hold
    whole = Infinite(cooldown_steps=cooldown, decay_steps=length, **common)
    trunk = Infinite(cooldown_steps=cooldown, decay_steps=0, **common)
    branch = Infinite(cooldown_steps=0, decay_steps=length, **common)
    assert table(whole, trunk_steps + length) == table(trunk, trunk_steps) + table(branch, length)


@given(lengths=st.lists(st.integers(5, 40), min_size=1, max_size=4), rewarm=st.integers(0, 2), floor=positive)
def test_wsd_s_is_a_row_of_wsd_runs(lengths, rewarm, floor):
    ends = tuple(sum(lengths[: k + 1]) for k in range(len(lengths)))
    decay = {"decay_steps": 3, "decay_shape": "inverse", "floor": floor}
    joined = table(WSDS(decay_ends=ends, warmup_steps=2, rewarm_steps=rewarm, **decay), ends[-1])
    row = table(WSD(warmup_steps=2, **decay), lengths[0])
    for length in lengths[1:]:
        rise = [floor + (1 - floor) * (i + 1) / rewarm for i in range(rewarm)]
        row += rise + table(WSD(**decay), length)[rewarm:]
    assert joined == pytest.approx(row, rel=1e-14)
    if not rewarm:
        assert joined == row


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4), floor=unit)
def test_cyclic_cosine_is_a_row_of_cosines(lengths, floor):
    ends = tuple(sum(lengths[: k + 1]) for k in range(len(lengths)))
    row = [factor for length in lengths for factor in table(Cosine(floor=floor), length)]
    assert table(CyclicCosine(cycle_ends=ends, floor=floor), ends[-1]) == row


def test_one_cycle_one_decay_and_one_re_warming_are_the_plain_schedules():
    common = {"warmup_steps": 4, "floor": 0.3}
    cosine = table(Cosine(**common), 30)
    assert table(CyclicCosine(cycle_ends=(30,), **common), 30) == cosine
    assert table(Rewarm(**common), 30) == cosine
    assert table(WSD(decay_steps=26, decay_shape="cosine", **common), 30) == cosine
    assert table(WSD(decay_steps=26, **common), 30) == table(Linear(**common), 30)


@st.composite
def described(draw):
    """A sound description of any kind with the length of its run."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    warmup, length, rest = draw(st.integers(0, 20)), draw(st.integers(1, 20)), draw(st.integers(0, 20))
    steps, floor = warmup + length + rest, draw(positive)
    shape = {"decay_steps": length, "decay_shape": draw(shapes)}
    more = {
        "constant": {},
        "linear": {"floor": floor},
        "cosine": {"floor": floor},
        "wsd": dict(floor=floor, **shape),
        "wsd_s": dict(
            floor=floor, decay_ends=(steps, steps + 2 * length), rewarm_steps=draw(st.integers(0, length)), **shape
        ),
        "cyclic_cosine": {"floor": floor, "cycle_ends": (steps, steps + 9), "rewarm_steps": draw(st.integers(0, 8))},
        "infinite": {
            "floor": floor,
            "start": draw(unit),
            "level": max(floor, draw(unit)),
            "cooldown_steps": draw(st.integers(0, rest)),
            "cooldown_shape": draw(st.sampled_from(["cosine", "inverse_sqrt"])),
            "decay_steps": length,
        },
        "rewarm": {"floor": floor, "start": draw(unit)},
    }[kind]
    ends = more.get("decay_ends") or more.get("cycle_ends") or (steps,)
    return KINDS[kind](warmup_steps=warmup, **more), ends[-1]


@given(case=described())
def test_every_schedule_stays_between_floor_and_peak_and_keeps_its_boundaries(case):
    schedule, steps = case
    factors = table(schedule, steps)
    warmup, floor, start = schedule.warmup_steps, getattr(schedule, "floor", 1.0), getattr(schedule, "start", 0.0)
    assert not list(schedule.fits(steps))
    assert all(0 < factor <= 1 for factor in factors)
    assert all(factor >= floor for factor in factors[warmup:])
    assert factors[-1] == floor
    if warmup:
        assert factors[warmup - 1] == 1.0
        assert factors[0] == pytest.approx(start + (1 - start) / warmup, rel=1e-14)
    for end in getattr(schedule, "decay_ends", getattr(schedule, "cycle_ends", ())):
        assert factors[end - 1] == floor


DEFAULTS = [
    (WSD, {"decay_steps": 4}, {"floor": 0.1, "decay_shape": "linear"}),
    (
        WSDS,
        {"decay_steps": 2, "decay_ends": (5, 12)},
        {"floor": 0.1, "decay_shape": "linear", "rewarm_steps": 0},
    ),
    (CyclicCosine, {"cycle_ends": (5, 12)}, {"floor": 0.1, "rewarm_steps": 0}),
    (
        Infinite,
        {"warmup_steps": 2, "cooldown_steps": 3, "level": 0.5, "decay_steps": 3},
        {"floor": 0.1, "start": 0.0, "cooldown_shape": "cosine"},
    ),
    (Rewarm, {"warmup_steps": 2}, {"floor": 0.1, "start": 0.0}),
]


@pytest.mark.parametrize(("kind", "short", "long"), DEFAULTS, ids=[kind.__name__ for kind, *_ in DEFAULTS])
def test_defaults_of_fields_left_out_are_those_of_the_papers(kind, short, long):
    assert kind(**short) == kind(**short, **long)
    assert table(kind(**short), 12) == table(kind(**short, **long), 12)


# Sums of the learning rate and accounting of WSD-S


def test_linear_decay_of_40_updates_to_zero_sums_to_19_and_a_half_peak_steps():
    assert math.fsum(table(WSD(decay_steps=40, floor=0.0), 40)) == pytest.approx(19.5, rel=1e-14)


@given(steps=st.integers(1, 200), floor=unit)
def test_sum_of_a_linear_decay(steps, floor):
    """Exact arithmetic: D - (1 - floor)(D + 1)/2."""
    exact = steps - (1 - Fraction(floor)) * Fraction(steps + 1, 2)
    assert math.fsum(table(Linear(floor=floor), steps)) == pytest.approx(float(exact), rel=1e-12)


ACCOUNTING = {
    "Wen et al. 2024": {"budgets": (12_500, 25_000, 50_000), "decays": (1_250, 2_500, 5_000), "total": 53_750},
    "laptop": {"budgets": (400, 800, 1_600), "decays": (40, 80, 160), "total": 1_720},
}


@pytest.mark.parametrize("case", ACCOUNTING.values(), ids=ACCOUNTING.keys())
def test_wsd_s_in_total_mode_costs_what_wsd_costs(case):
    """Stable updates before each end are those of WSD; every decay is added on top."""
    budgets, lengths, total = case["budgets"], case["decays"], case["total"]
    stable = [budget - decay for budget, decay in zip(budgets, lengths, strict=True)]
    assert total == stable[-1] + sum(lengths)
    ends = tuple(stable[k] + sum(lengths[: k + 1]) for k in range(len(budgets)))
    factors = table(WSDS(decay_ends=ends, decay_steps=lengths, floor=0.0), total)
    assert sum(factor == 1.0 for factor in factors) == stable[-1]
    for k, end in enumerate(ends):
        assert sum(factor == 1.0 for factor in factors[:end]) == stable[k]
        assert factors[end - 1] == 0.0
    branches = sum(math.fsum(table(WSD(decay_steps=d, floor=0.0), d)) for d in lengths)
    assert math.fsum(factors) == pytest.approx(stable[-1] + branches, rel=1e-12)
    assert math.fsum(factors) == pytest.approx(stable[-1] + sum((d - 1) / 2 for d in lengths), rel=1e-12)


def test_published_ends_of_the_decays():
    """Decays over updates 11250-12500, 23750-26250 and 48750-53750."""
    ends = (12_500, 26_250, 53_750)
    described = WSDS(decay_ends=ends, decay_steps=(1_250, 2_500, 5_000), warmup_steps=2_000)
    schedule = schedules.wsd_s(described, steps=53_750)
    for first, end in zip((11_250, 23_750, 48_750), ends, strict=True):
        assert (schedule(first - 1), schedule(end - 1)) == (1.0, 0.1)
        assert schedule(first) < 1.0


# torch.optim.lr_scheduler, where the mathematics coincide


def torch_factors(scheduler, steps, **settings):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    plan = scheduler(optimizer, **settings)
    factors = []
    for _ in range(steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        plan.step()
    return factors


def test_warm_up_is_torchs_linear_rise_from_one_over_w():
    twin = torch_factors(torch.optim.lr_scheduler.LinearLR, 14, start_factor=1 / 8, end_factor=1.0, total_iters=7)
    assert table(Constant(warmup_steps=8), 14) == pytest.approx(twin, rel=1e-13)


@pytest.mark.parametrize(
    ("shape", "floor", "scheduler", "settings"),
    [
        ("cosine", 0.1, torch.optim.lr_scheduler.CosineAnnealingLR, {"T_max": 20, "eta_min": 0.1}),
        ("linear", 0.1, torch.optim.lr_scheduler.LinearLR, {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 20}),
        ("linear", 0.0, torch.optim.lr_scheduler.PolynomialLR, {"total_iters": 20, "power": 1.0}),
        ("exponential", 0.1, torch.optim.lr_scheduler.ExponentialLR, {"gamma": 0.1 ** (1 / 20)}),
    ],
)
def test_decays_are_torchs_one_update_ahead(shape, floor, scheduler, settings):
    """torch gives the peak to the first update of a decay and the floor to the update after its last."""
    twin = torch_factors(scheduler, 21, **settings)[1:]
    ours = table(WSD(decay_steps=20, decay_shape=shape, floor=floor), 20)
    assert ours == pytest.approx(twin, rel=1e-12, abs=1e-13)


# Arguments without sense


@pytest.mark.parametrize(
    ("describe", "words"),
    [
        (lambda: Constant(warmup_steps=-1), ["warmup_steps=-1", "at least 0"]),
        (lambda: Cosine(floor=1.5), ["floor=1.5", "[0, 1]"]),
        (lambda: Cosine(floor=math.nan), ["floor=nan", "a finite number"]),
        (lambda: WSD(decay_steps=-1), ["decay_steps=-1", "at least 0"]),
        (lambda: WSD(decay_steps=(2, 3)), ["decay_steps=(2, 3)", "a whole number"]),
        (lambda: WSD(decay_steps=3, decay_shape="cubic"), ["'cubic'", "one of 'linear'"]),
        (lambda: WSD(decay_steps=3, decay_shape="inverse", floor=0.0), ["floor=0.0", "above 0"]),
        (lambda: WSD(decay_steps=3, decay_shape="exponential", floor=0.0), ["floor=0.0", "above 0"]),
        (lambda: WSDS(decay_steps=2, decay_ends=(5,), decay_shape="inverse", floor=0.0), ["floor=0.0", "above 0"]),
        (lambda: WSDS(decay_steps=2, decay_ends=(5, 5, 9)), ["decay_ends=(5, 5, 9)", "increasing"]),
        (lambda: WSDS(decay_steps=2, decay_ends=()), ["decay_ends=()", "increasing"]),
        (lambda: WSDS(decay_steps=(2,), decay_ends=(5, 9)), ["decay_steps=(2,)", "one number for each"]),
        (lambda: WSDS(decay_steps=(2, -1), decay_ends=(5, 9)), ["decay_steps=(2, -1)", "at least 0"]),
        (lambda: CyclicCosine(cycle_ends=(9, 5)), ["cycle_ends=(9, 5)", "increasing"]),
        (lambda: CyclicCosine(cycle_ends=(9,), rewarm_steps=-1), ["rewarm_steps=-1", "at least 0"]),
        (lambda: Infinite(cooldown_steps=4, level=0.05, decay_steps=2), ["floor=0.1", "level=0.05"]),
        (lambda: Infinite(cooldown_steps=4, level=0.5, decay_steps=2, floor=0.0), ["floor=0.0", "above 0"]),
        (lambda: Infinite(cooldown_steps=4, level=2.0, decay_steps=2), ["level=2.0", "[0, 1]"]),
        (lambda: Rewarm(warmup_steps=2, start=-0.1), ["start=-0.1", "[0, 1]"]),
        (lambda: Constant(floor=0.2), ["floor=0.2", "no field of Constant", "belongs to Linear"]),
        (lambda: Schedule(kind="wsd", decay_steps=9), ["WSD(decay_steps=9)"]),
    ],
)
def test_errors_name_the_field_its_value_and_the_rule(describe, words):
    with pytest.raises(ValueError) as caught:
        describe()
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("schedule", "steps", "words"),
    [
        (Constant(), 0, ["steps=0", "at least 1"]),
        (Constant(warmup_steps=6), 5, ["warmup_steps=6", "fit into steps=5"]),
        (Linear(warmup_steps=6), 5, ["warmup_steps=6", "fit into steps=5"]),
        (WSD(warmup_steps=3, decay_steps=3), 5, ["warmup_steps=3", "decay_steps=3", "fit into steps=5"]),
        (WSD(decay_steps=9), 5, ["decay_steps=9", "fit into steps=5"]),
        (WSDS(decay_steps=2, decay_ends=(5, 8)), 9, ["decay_ends=(5, 8)", "steps=9"]),
        (WSDS(decay_steps=5, decay_ends=(5, 9)), 9, ["decay_ends=(5, 9)", "decay (5)", "before update 9"]),
        (CyclicCosine(cycle_ends=(5, 8)), 9, ["cycle_ends=(5, 8)", "steps=9"]),
        (CyclicCosine(cycle_ends=(5, 9), rewarm_steps=5), 9, ["warm-up (5)", "before update 9"]),
        (
            Infinite(cooldown_steps=4, level=0.5, decay_steps=6),
            9,
            ["cooldown_steps=4", "decay_steps=6", "fit into steps=9"],
        ),
        (Rewarm(warmup_steps=6), 5, ["warmup_steps=6", "fit into steps=5"]),
    ],
)
def test_a_run_into_which_it_does_not_fit_is_refused(schedule, steps, words):
    with pytest.raises(ValueError) as caught:
        schedules.build(schedule, steps=steps)
    assert [word for word in words if word not in str(caught.value)] == []
    assert (str(caught.value) == "; ".join(schedule.fits(steps))) == (steps > 0)
