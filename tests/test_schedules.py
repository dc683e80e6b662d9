"""Schedules against numbers written out by hand, slow twins, and torch where it computes the same."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common import config, schedules

HALF = math.sqrt(0.5)
"""cos(pi/4)."""


def table(factor, steps):
    return [factor(t) for t in range(steps)]


def approx(*numbers):
    return pytest.approx(numbers, rel=1e-14, abs=1e-15)


GOLDEN = {
    "constant": ({"kind": "constant"}, [1, 1, 1]),
    "constant, warm-up": ({"kind": "constant", "warmup_steps": 4}, [1 / 4, 2 / 4, 3 / 4, 1, 1, 1]),
    "constant, only warm-up": ({"kind": "constant", "warmup_steps": 2}, [1 / 2, 1]),
    "linear": ({"kind": "linear", "warmup_steps": 2, "floor": 0.2}, [1 / 2, 1, 0.8, 0.6, 0.4, 0.2]),
    "linear, default floor": ({"kind": "linear"}, [0.7, 0.4, 0.1]),
    "cosine": (
        {"kind": "cosine", "warmup_steps": 2, "floor": 0.1},
        [1 / 2, 1, 0.55 + 0.45 * HALF, 0.55, 0.55 - 0.45 * HALF, 0.1],
    ),
    "cosine, no warm-up": ({"kind": "cosine", "floor": 0.0}, [0.75, 0.25, 0.0]),
    "wsd": ({"kind": "wsd", "warmup_steps": 2, "decay_steps": 3}, [1 / 2, 1, 1, 1, 1, 1, 1, 0.7, 0.4, 0.1]),
    "wsd, inverse": (
        {"kind": "wsd", "warmup_steps": 2, "decay_steps": 3, "decay_shape": "inverse", "floor": 0.1},
        [1 / 2, 1, 1, 1, 1, 1, 1, 1 / 4, 1 / 7, 1 / 10],
    ),
    "wsd, sqrt": (
        {"kind": "wsd", "decay_steps": 4, "decay_shape": "sqrt", "floor": 0.0},
        [1, 1 / 2, 1 - HALF, 1 - math.sqrt(3) / 2, 0],
    ),
    "wsd, exponential": (
        {"kind": "wsd", "decay_steps": 4, "decay_shape": "exponential", "floor": 1 / 16},
        [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16],
    ),
    "wsd, square": (
        {"kind": "wsd", "decay_steps": 4, "decay_shape": "square", "floor": 0.2},
        [1, 0.95, 0.8, 0.55, 0.2],
    ),
    "wsd, cosine": ({"kind": "wsd", "decay_steps": 2, "decay_shape": "cosine", "floor": 0.5}, [1, 1, 0.75, 0.5]),
    "wsd, no decay": ({"kind": "wsd", "warmup_steps": 1, "decay_steps": 0}, [1, 1, 1]),
    "wsd, only decay": ({"kind": "wsd", "decay_steps": 3}, [0.7, 0.4, 0.1]),
    "wsd_s": (
        {"kind": "wsd_s", "warmup_steps": 2, "decay_steps": 2, "decay_ends": (5, 9), "floor": 0.5},
        [1 / 2, 1, 1, 0.75, 0.5, 1, 1, 0.75, 0.5],
    ),
    "wsd_s, re-warmed": (
        {
            "kind": "wsd_s",
            "decay_steps": 2,
            "decay_ends": (3, 8),
            "rewarm_steps": 2,
            "decay_shape": "inverse",
            "floor": 0.2,
        },
        [1, 1 / 3, 1 / 5, 0.6, 1, 1, 1 / 3, 1 / 5],
    ),
    "cyclic_cosine": (
        {"kind": "cyclic_cosine", "warmup_steps": 1, "cycle_ends": (3, 5), "floor": 0.2},
        [1, 0.6, 0.2, 0.6, 0.2],
    ),
    "cyclic_cosine, re-warmed": (
        {"kind": "cyclic_cosine", "warmup_steps": 2, "cycle_ends": (4, 8), "rewarm_steps": 2, "floor": 0.2},
        [1 / 2, 1, 0.6, 0.2, 0.6, 1, 0.6, 0.2],
    ),
    "infinite": (
        {"kind": "infinite", "warmup_steps": 2, "cooldown_steps": 2, "level": 0.4, "decay_steps": 2, "floor": 0.1},
        [1 / 2, 1, 0.7, 0.4, 0.4, 0.4, 0.4, 0.2, 0.1],
    ),
    "infinite, trunk": (
        {"kind": "infinite", "warmup_steps": 2, "start": 0.5, "cooldown_steps": 2, "level": 0.4, "decay_steps": 0},
        [0.75, 1, 0.7, 0.4, 0.4, 0.4],
    ),
    "infinite, cosine cooldown and annealing": (
        {"kind": "infinite", "cooldown_steps": 4, "level": 0.4, "decay_steps": 4, "floor": 0.025},
        [0.7 + 0.3 * HALF, 0.7, 0.7 - 0.3 * HALF, 0.4, 0.4, 0.2, 0.1, 0.05, 0.025],
    ),
    "infinite, inverse root cooldown": (
        {
            "kind": "infinite",
            "cooldown_steps": 2,
            "cooldown_shape": "inverse_sqrt",
            "level": 0.4,
            "decay_steps": 2,
            "floor": 0.1,
        },
        [1 - 0.6 * (1 - 6**-0.5) / (1 - 11**-0.5), 0.4, 0.4, 0.2, 0.1],
    ),
    "rewarm": ({"kind": "rewarm", "warmup_steps": 2, "start": 0.1, "floor": 0.1}, [0.55, 1, 0.55, 0.1]),
    "rewarm from 0": ({"kind": "rewarm", "warmup_steps": 4, "floor": 0.0}, [1 / 4, 1 / 2, 3 / 4, 1, 0.5, 0.0]),
}


@pytest.mark.parametrize(("fields", "factors"), GOLDEN.values(), ids=GOLDEN.keys())
def test_golden_values(fields, factors):
    """Numbers from the formulas, by hand; they change only if the stated convention changes."""
    schedule = schedules.build(config.Schedule(**fields), steps=len(factors))
    assert table(schedule, len(factors)) == approx(*factors)


def test_every_kind_and_shape_of_the_description_is_built_and_has_golden_values():
    assert set(schedules.KINDS) == {fields["kind"] for fields, _ in GOLDEN.values()}
    assert tuple(schedules.SHAPES) == config.DECAY_SHAPES
    for kind, constructor in schedules.KINDS.items():
        assert constructor is getattr(schedules, kind)


def test_an_update_outside_the_run_is_refused():
    schedule = schedules.constant(steps=3)
    for t in (-1, 3):
        with pytest.raises(ValueError, match=r"0 \.\. 2"):
            schedule(t)


def test_rates_are_factors_of_the_peak():
    schedule = config.Schedule(kind="linear", floor=0.5)
    assert schedules.rates(schedule, steps=2, lr=4e-3) == approx(3e-3, 2e-3)


# Decay shapes


def test_inverse_decay_is_linear_in_one_over_the_rate():
    schedule = schedules.wsd(steps=50, decay_steps=50, decay_shape="inverse", floor=0.02)
    inverse = [1 / factor for factor in table(schedule, 50)]
    assert [b - a for a, b in itertools.pairwise(inverse)] == pytest.approx([49 / 50] * 49, rel=1e-11)


def test_inverse_decay_is_the_optimum_of_one_hill_mode():
    """eta = lam V/(lam**2 V + sigma**2) minimises the next variance; then 1/eta grows by lam at each update."""
    lam, sigma, steps = 50.0, 10.0, 20
    variance, best = 0.02 * sigma**2 / (lam * (1 - 0.02 * lam * 0.5)), []
    for _ in range(steps):
        eta = lam * variance / (lam**2 * variance + sigma**2)
        variance = (1 - eta * lam) ** 2 * variance + eta**2 * sigma**2
        best.append(eta)
    peak = 1 / (1 / best[0] - lam)
    schedule = schedules.wsd(steps=steps, decay_steps=steps, decay_shape="inverse", floor=best[-1] / peak)
    assert [peak * factor for factor in table(schedule, steps)] == pytest.approx(best, rel=1e-10)


@pytest.mark.parametrize(
    ("shape", "twin"),
    {
        "linear": lambda u, floor: 1 - (1 - floor) * u,
        "cosine": lambda u, floor: 1 - (1 - floor) * math.sin(math.pi * u / 2) ** 2,
        "sqrt": lambda u, floor: 1 - (1 - floor) * u**0.5,
        "inverse": lambda u, floor: 1 / (u / floor + (1 - u)),
        "exponential": lambda u, floor: math.exp(u * math.log(floor)),
        "square": lambda u, floor: 1 - (1 - floor) * u**2,
    }.items(),
)
def test_decay_against_the_textbook_form(shape, twin):
    for j in range(1, 101):
        for floor in (0.001, 0.1, 0.55, 1.0):
            assert schedules.decay(shape, j / 100, floor) == pytest.approx(twin(j / 100, floor), rel=1e-12)


unit = st.floats(0, 1)
positive = st.floats(1e-6, 1)
shapes = st.sampled_from(config.DECAY_SHAPES)


@given(shape=shapes, floor=positive, steps=st.integers(1, 300))
def test_a_decay_falls_never_rises_stays_in_its_interval_and_ends_exactly_at_its_floor(shape, floor, steps):
    factors = table(schedules.wsd(steps=steps, decay_steps=steps, decay_shape=shape, floor=floor), steps)
    assert factors[-1] == floor
    assert all(floor <= after <= before <= 1 for before, after in zip([1.0, *factors], factors, strict=False))


@given(shape=st.sampled_from(["linear", "cosine", "sqrt", "square"]), steps=st.integers(1, 300))
def test_a_decay_may_end_at_zero(shape, steps):
    factors = table(schedules.wsd(steps=steps, decay_steps=steps, decay_shape=shape, floor=0.0), steps)
    assert factors[-1] == 0.0
    assert min(factors[:-1], default=1) > 0


# Whole schedules


@given(warmup=st.integers(0, 60), hold=st.integers(0, 60), length=st.integers(1, 60), shape=shapes, floor=positive)
def test_a_wsd_branch_is_the_constant_trunk_and_then_a_run_of_decay(warmup, hold, length, shape, floor):
    """Exactly, so that a run that continues a trunk equals the uninterrupted one bit for bit."""
    trunk_steps, decay = warmup + hold, {"decay_steps": length, "decay_shape": shape, "floor": floor}
    whole = table(schedules.wsd(steps=trunk_steps + length, warmup_steps=warmup, **decay), trunk_steps + length)
    trunk = table(schedules.constant(steps=trunk_steps, warmup_steps=warmup), trunk_steps) if trunk_steps else []
    assert whole == trunk + table(schedules.wsd(steps=length, **decay), length)


@given(cooldown=st.integers(0, 60), hold=st.integers(1, 60), length=st.integers(1, 60), level=positive, share=positive)
def test_an_infinite_run_is_its_trunk_and_then_a_run_of_annealing(cooldown, hold, length, level, share):
    common, trunk_steps = {"level": level, "floor": level * share}, cooldown + hold
    whole = schedules.infinite(steps=trunk_steps + length, cooldown_steps=cooldown, decay_steps=length, **common)
    trunk = schedules.infinite(steps=trunk_steps, cooldown_steps=cooldown, decay_steps=0, **common)
    branch = schedules.infinite(steps=length, cooldown_steps=0, decay_steps=length, **common)
    assert table(whole, trunk_steps + length) == table(trunk, trunk_steps) + table(branch, length)


@given(lengths=st.lists(st.integers(5, 40), min_size=1, max_size=4), rewarm=st.integers(0, 2), floor=positive)
def test_wsd_s_is_a_row_of_wsd_runs(lengths, rewarm, floor):
    ends = [sum(lengths[: k + 1]) for k in range(len(lengths))]
    decay = {"decay_steps": 3, "decay_shape": "inverse", "floor": floor}
    joined = schedules.wsd_s(steps=ends[-1], decay_ends=ends, warmup_steps=2, rewarm_steps=rewarm, **decay)
    row = table(schedules.wsd(steps=lengths[0], warmup_steps=2, **decay), lengths[0])
    for length in lengths[1:]:
        rise = [floor + (1 - floor) * (i + 1) / rewarm for i in range(rewarm)]
        row += rise + table(schedules.wsd(steps=length, **decay), length)[rewarm:]
    assert table(joined, ends[-1]) == pytest.approx(row, rel=1e-14)
    if not rewarm:
        assert table(joined, ends[-1]) == row


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4), floor=unit)
def test_cyclic_cosine_is_a_row_of_cosines(lengths, floor):
    ends = [sum(lengths[: k + 1]) for k in range(len(lengths))]
    joined = schedules.cyclic_cosine(steps=ends[-1], cycle_ends=ends, floor=floor)
    row = [factor for length in lengths for factor in table(schedules.cosine(steps=length, floor=floor), length)]
    assert table(joined, ends[-1]) == row


def test_one_cycle_one_decay_and_one_re_warming_are_the_plain_schedules():
    common = {"steps": 30, "warmup_steps": 4, "floor": 0.3}
    cosine = table(schedules.cosine(**common), 30)
    assert table(schedules.cyclic_cosine(cycle_ends=(30,), **common), 30) == cosine
    assert table(schedules.rewarm(**common), 30) == cosine
    assert table(schedules.wsd(decay_steps=26, decay_shape="cosine", **common), 30) == cosine
    assert table(schedules.wsd(decay_steps=26, **common), 30) == table(schedules.linear(**common), 30)


@st.composite
def described(draw):
    """A sound description of any kind with the length of its run."""
    kind = draw(st.sampled_from(sorted(schedules.KINDS)))
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
    return config.Schedule(kind=kind, warmup_steps=warmup, **more), ends[-1]


@given(case=described())
def test_every_schedule_stays_between_floor_and_peak_and_keeps_its_boundaries(case):
    schedule, steps = case
    factors = table(schedules.build(schedule, steps=steps), steps)
    warmup, floor = schedule.warmup_steps, schedule.floor if schedule.floor is not None else 1.0
    assert not list(schedule.fits(steps))
    assert all(0 < factor <= 1 for factor in factors)
    assert all(factor >= floor for factor in factors[warmup:])
    assert factors[-1] == floor
    if warmup:
        assert factors[warmup - 1] == 1.0
        assert factors[0] == pytest.approx((schedule.start or 0) + (1 - (schedule.start or 0)) / warmup, rel=1e-14)
    for end in schedule.decay_ends or schedule.cycle_ends or ():
        assert factors[end - 1] == floor


def test_defaults_of_fields_left_out_are_those_the_description_states():
    steps = 12
    for short, long in [
        ({"kind": "wsd", "decay_steps": 4}, {"floor": 0.1, "decay_shape": "linear"}),
        (
            {"kind": "wsd_s", "decay_steps": 2, "decay_ends": (5, 12)},
            {"floor": 0.1, "decay_shape": "linear", "rewarm_steps": 0},
        ),
        ({"kind": "cyclic_cosine", "cycle_ends": (5, 12)}, {"floor": 0.1, "rewarm_steps": 0}),
        (
            {"kind": "infinite", "warmup_steps": 2, "cooldown_steps": 3, "level": 0.5, "decay_steps": 3},
            {"floor": 0.1, "start": 0.0, "cooldown_shape": "cosine"},
        ),
        ({"kind": "rewarm", "warmup_steps": 2}, {"floor": 0.1, "start": 0.0}),
    ]:
        left_out, given_ = config.Schedule(**short), config.Schedule(**short, **long)
        assert table(schedules.build(left_out, steps=steps), steps) == table(
            schedules.build(given_, steps=steps), steps
        )


# Sums of the learning rate and accounting of WSD-S


def test_linear_decay_of_40_updates_to_zero_sums_to_19_and_a_half_peak_steps():
    assert math.fsum(table(schedules.wsd(steps=40, decay_steps=40, floor=0.0), 40)) == pytest.approx(19.5, rel=1e-14)


@given(steps=st.integers(1, 200), floor=unit)
def test_sum_of_a_linear_decay(steps, floor):
    """Exact arithmetic: D - (1 - floor)(D + 1)/2."""
    exact = steps - (1 - Fraction(floor)) * Fraction(steps + 1, 2)
    assert math.fsum(table(schedules.linear(steps=steps, floor=floor), steps)) == pytest.approx(float(exact), rel=1e-12)


ACCOUNTING = {
    "Wen et al. 2024": {"budgets": (12_500, 25_000, 50_000), "decays": (1_250, 2_500, 5_000), "total": 53_750},
    "laptop": {"budgets": (400, 800, 1_600), "decays": (40, 80, 160), "total": 1_720},
}


@pytest.mark.parametrize("case", ACCOUNTING.values(), ids=ACCOUNTING.keys())
def test_wsd_s_in_total_mode_costs_what_wsd_costs(case):
    """Stable updates before each end are those of WSD; every decay is added on top."""
    budgets, decays, total = case["budgets"], case["decays"], case["total"]
    stable = [budget - decay for budget, decay in zip(budgets, decays, strict=True)]
    assert total == stable[-1] + sum(decays)
    ends = [stable[k] + sum(decays[: k + 1]) for k in range(len(budgets))]
    factors = table(schedules.wsd_s(steps=total, decay_ends=ends, decay_steps=decays, floor=0.0), total)
    assert sum(factor == 1.0 for factor in factors) == stable[-1]
    for k, end in enumerate(ends):
        assert sum(factor == 1.0 for factor in factors[:end]) == stable[k]
        assert factors[end - 1] == 0.0
    branches = sum(math.fsum(table(schedules.wsd(steps=d, decay_steps=d, floor=0.0), d)) for d in decays)
    assert math.fsum(factors) == pytest.approx(stable[-1] + branches, rel=1e-12)
    assert math.fsum(factors) == pytest.approx(stable[-1] + sum((d - 1) / 2 for d in decays), rel=1e-12)


def test_published_ends_of_the_decays():
    """Decays over updates 11250-12500, 23750-26250 and 48750-53750."""
    ends = (12_500, 26_250, 53_750)
    schedule = schedules.wsd_s(steps=53_750, decay_ends=ends, decay_steps=(1_250, 2_500, 5_000), warmup_steps=2_000)
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
    assert table(schedules.constant(steps=14, warmup_steps=8), 14) == pytest.approx(twin, rel=1e-13)


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
    ours = table(schedules.wsd(steps=20, decay_steps=20, decay_shape=shape, floor=floor), 20)
    assert ours == pytest.approx(twin, rel=1e-12, abs=1e-13)


# Arguments without sense


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: schedules.constant(steps=0), ["steps=0", "at least 1"]),
        (lambda: schedules.constant(steps=5, warmup_steps=6), ["warmup_steps=6", "fit into 5", "by 1"]),
        (lambda: schedules.constant(steps=5, warmup_steps=-1), ["warmup_steps=-1", "at least 0"]),
        (lambda: schedules.linear(steps=5, warmup_steps=6), ["warmup_steps=6", "fit into 5"]),
        (lambda: schedules.cosine(steps=5, floor=1.5), ["floor=1.5", "[0, 1]"]),
        (lambda: schedules.cosine(steps=5, floor=math.nan), ["floor=nan", "[0, 1]"]),
        (lambda: schedules.wsd(steps=5, decay_steps=-1), ["decay_steps=-1", "at least 0"]),
        (
            lambda: schedules.wsd(steps=5, warmup_steps=3, decay_steps=3),
            ["warmup_steps=3", "decay_steps=3", "fit into 5"],
        ),
        (lambda: schedules.wsd(steps=5, decay_steps=3, decay_shape="cubic"), ["'cubic'", "one of linear"]),
        (lambda: schedules.wsd(steps=5, decay_steps=3, decay_shape="inverse", floor=0.0), ["floor=0.0", "above 0"]),
        (lambda: schedules.wsd(steps=5, decay_steps=3, decay_shape="exponential", floor=0.0), ["floor=0.0", "above 0"]),
        (lambda: schedules.wsd_s(steps=9, decay_steps=2, decay_ends=(5, 8)), ["decay_ends=(5, 8)", "steps=9"]),
        (lambda: schedules.wsd_s(steps=9, decay_steps=2, decay_ends=(5, 5, 9)), ["decay_ends=(5, 5, 9)", "increasing"]),
        (lambda: schedules.wsd_s(steps=9, decay_steps=2, decay_ends=()), ["decay_ends=()", "increasing"]),
        (lambda: schedules.wsd_s(steps=9, decay_steps=(2,), decay_ends=(5, 9)), ["decay_steps=(2,)", "one for each"]),
        (lambda: schedules.wsd_s(steps=9, decay_steps=5, decay_ends=(5, 9)), ["decay_steps=5", "fit into 4"]),
        (lambda: schedules.cyclic_cosine(steps=9, cycle_ends=(9, 5)), ["cycle_ends=(9, 5)", "increasing"]),
        (lambda: schedules.cyclic_cosine(steps=9, cycle_ends=(5, 9), rewarm_steps=5), ["warmup_steps=5", "fit into 4"]),
        (
            lambda: schedules.infinite(steps=9, cooldown_steps=4, level=0.5, decay_steps=6),
            ["cooldown_steps=4", "decay_steps=6", "fit into 9"],
        ),
        (
            lambda: schedules.infinite(steps=9, cooldown_steps=4, level=0.05, decay_steps=2),
            ["floor=0.1", "level=0.05"],
        ),
        (
            lambda: schedules.infinite(steps=9, cooldown_steps=4, level=0.5, decay_steps=2, floor=0.0),
            ["floor=0.0", "above 0"],
        ),
        (lambda: schedules.infinite(steps=9, cooldown_steps=4, level=2.0, decay_steps=2), ["level=2.0", "[0, 1]"]),
        (lambda: schedules.rewarm(steps=9, warmup_steps=2, start=-0.1), ["start=-0.1", "[0, 1]"]),
        (lambda: schedules.decay("linear", 1.2, 0.1), ["u=1.2", "[0, 1]"]),
        (lambda: schedules.build(config.Schedule(kind="wsd", decay_steps=9), steps=5), ["decay_steps=9", "fit into 5"]),
    ],
)
def test_errors_name_the_field_its_value_and_the_rule(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert [word for word in words if word not in str(caught.value)] == []
