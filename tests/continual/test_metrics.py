"""Metrics of continual learning on curves drawn by hand, against slow twins, and where public code goes wrong."""

import math
from itertools import pairwise

import numpy as np
import pytest

from common.continual import metrics
from common.continual.metrics import Record, Recovery
from common.pipeline.provenance import ROOT

DOCUMENT = ROOT / "docs" / "continual.md"
NAN = math.nan


def two_tasks(curve, *, before=(), new=0.5, **fields):
    """Record of an old task with the values `before` the switch and `curve` during the next task, at every update."""
    before = [*before] or [0.9]
    old, late = [*before, *curve], [NAN] * len(before) + [new] * len(curve)
    ends = (len(before), len(before) + len(curve))
    return Record(values=[old, late], steps=range(1, len(old) + 1), ends=ends, **fields)


def random_record(seed, *, tasks=4, gaps=True, higher_is_better=True):
    """Accuracies of whole examples, so that ties occur; unequal tasks, evaluated at irregular updates."""
    draws = np.random.default_rng([seed, 5])
    ends = np.cumsum(draws.integers(3, 25, tasks))
    steps = np.union1d(ends, draws.choice(np.arange(ends[-1]), size=ends[-1] // 2, replace=False) if gaps else [])
    steps = steps if gaps else np.arange(ends[-1] + 1)
    values = draws.integers(0, 21, (tasks, len(steps))) / 20
    starts = np.array([0, *ends[:-1]])
    values[steps < starts[:, None]] = NAN
    if gaps:
        values[(draws.random(values.shape) < 0.3) & ~np.isin(steps, ends)] = NAN
    return Record(values=values, steps=steps, ends=ends, higher_is_better=higher_is_better)


def table(record):
    """The record as one dictionary {(task, step): value} of what was evaluated."""
    return {
        (task, int(step)): float(value)
        for task, row in enumerate(record.values)
        for step, value in zip(record.steps, row, strict=True)
        if not math.isnan(value)
    }


def slow_window(values, window, *, rise):
    """All pairs a < b in all windows of consecutive evaluations."""
    largest = 0.0
    for first in range(len(values)):
        inside = values[first : first + window]
        for a in range(len(inside)):
            for b in range(a + 1, len(inside)):
                largest = max(largest, inside[b] - inside[a] if rise else inside[a] - inside[b])
    return largest


def test_a_dip_by_hand():
    record = two_tasks([0.3, 0.8])
    assert metrics.windowed_forgetting(record, window=10)[0] == pytest.approx(0.6)
    assert metrics.windowed_plasticity(record, window=10)[0] == pytest.approx(0.5)
    found = metrics.gap(record, task=0, during=1, tolerance=0.1)
    assert found.depth == metrics.depth(record, task=0, during=1) == pytest.approx(0.6)
    assert (found.before, found.lowest_steps, found.recovery) == (0.9, 1, Recovery(2, censored=False))
    assert (found.area, found.residual) == (pytest.approx(0.7), pytest.approx(0.1))
    assert metrics.worst(record).tolist() == [0.3] and metrics.worst_case(record) == pytest.approx(0.4)


def test_a_reversed_drop_search_misses_the_rise_after_a_dip():
    """The search as public code has it: values below the highest so far are no starting points."""

    def rise_from_highest(values):
        best, highest = 0.0, -math.inf
        for a, value in enumerate(values):
            if value >= highest:
                highest = value
                best = max([best, *(later - value for later in values[a + 1 :])])
        return best

    curve = [0.9, 0.3, 0.8]
    assert rise_from_highest(curve) == 0
    record = Record(values=[curve], steps=[1, 2, 3], ends=[3])
    assert metrics.windowed_plasticity(record, window=3) == pytest.approx([0.5])


def test_a_flat_curve_gives_zeros():
    record = two_tasks([0.9] * 5, new=0.9)
    means = metrics.averages(record, windows=(2, 10), shots=1)
    assert {name: means[name] for name in ("FORG", "WF2", "WF10", "WP2", "WP10")} == dict.fromkeys(
        ("FORG", "WF2", "WF10", "WP2", "WP10"), 0
    )
    assert means["ACC"] == means["min-ACC"] == means["WC-ACC"] == means["LCA1"] == 0.9
    found = metrics.gap(record, task=0, during=1, tolerance=0)
    assert (found.depth, found.area, found.residual, found.recovery) == (0, 0, 0, (0, False))


def test_a_curve_that_never_comes_back_is_censored_at_the_end_of_the_task():
    record = Record(
        values=[[0.9, 0.2, 0.5, 0.5, 0.9], [NAN, 0.4, 0.5, 0.6, 0.6], [NAN, NAN, NAN, NAN, 0.5]],
        steps=[10, 11, 20, 30, 40],
        ends=[10, 30, 40],
    )
    assert metrics.gap(record, task=0, during=1, tolerance=0.01).recovery == Recovery(20, censored=True)
    assert metrics.gap(record, task=0, during=2, tolerance=0.01).recovery == Recovery(0, censored=False)


@pytest.mark.parametrize(
    ("curve", "tolerance", "expected"),
    [
        ([0.3, 0.88, 0.3, 0.5, 0.88, 0.9], 0.02, Recovery(5, False)),  # after the last of two equal lows
        ([0.895, 0.9, 0.3, 0.9], 0.01, Recovery(4, False)),  # within the tolerance before the low does not count
        ([0.3, 0.9, 0.5, 0.5], 0.01, Recovery(2, False)),  # the first return counts, a later fall is in the area
        ([0.89, 0.895], 0.02, Recovery(0, False)),  # never outside the tolerance
        ([0.3, 0.89, 0.5], 0.01, Recovery(2, False)),  # exactly at the tolerance
        ([0.3, 0.8899, 0.5], 0.01, Recovery(3, True)),  # just below it
        ([0.95, 0.93], 0.0, Recovery(0, False)),  # better throughout
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_recovery(curve, tolerance, expected, dtype):
    exact = two_tasks(curve)
    record = Record(values=exact.values.astype(dtype), steps=exact.steps, ends=exact.ends)
    assert metrics.gap(record, task=0, during=1, tolerance=tolerance).recovery == expected


def test_whole_examples_at_the_tolerance_have_recovered_whatever_the_last_bit():
    for right in range(10, 500):
        record = two_tasks([0.0, (right - 5) / 500], before=[right / 500])
        assert not metrics.gap(record, task=0, during=1, tolerance=0.01).recovery.censored
        record = two_tasks([0.0, (right - 6) / 500], before=[right / 500])
        assert metrics.gap(record, task=0, during=1, tolerance=0.01).recovery.censored


def test_a_task_that_only_gets_better_has_a_negative_depth_and_no_area():
    found = metrics.gap(two_tasks([0.95, 0.92]), task=0, during=1, tolerance=0)
    assert (found.depth, found.area, found.residual) == (pytest.approx(-0.02), 0, pytest.approx(-0.02))


def test_the_reference_is_the_last_evaluation_of_the_task_before():
    record = two_tasks([0.5, 0.6], before=[0.2, 0.9, 0.7])
    assert metrics.gap(record, task=0, during=1, tolerance=0).before == 0.7
    assert metrics.depth(record, task=0, during=1) == pytest.approx(0.2)
    assert metrics.forgetting(record) == pytest.approx([0.1])


def test_the_end_of_a_task_is_no_part_of_its_own_minimum_nor_of_the_next_learning_curve():
    record = Record(values=[[0.1, 0.5, 0.6], [0.9, 0.3, 0.4]], steps=[4, 5, 6], ends=[4, 6])
    assert metrics.worst(record).tolist() == [0.5]
    assert metrics.learning_curve_area(record, evaluations=2)[1] == pytest.approx(0.35)


def test_windows_begin_at_the_evaluation_before_the_first_update():
    record = Record(values=[[0.1, 0.9, 0.9, 0.9], [0.8, 0.7, 0.2, 0.5]], steps=[0, 1, 2, 3], ends=[2, 3])
    assert metrics.windowed_plasticity(record, window=2) == pytest.approx([0.8, 0.3])
    assert metrics.windowed_forgetting(record, window=9) == pytest.approx([0, 0])


def test_minima_run_over_all_later_tasks_and_depths_over_one():
    values = [[0.9, 0.2, 0.8, 0.6, 0.7], [NAN, 0.3, 0.9, 0.1, 0.5], [NAN, NAN, NAN, 0.3, 0.4]]
    record = Record(values=values, steps=[5, 6, 7, 8, 9], ends=[5, 7, 9])
    assert metrics.worst(record).tolist() == [0.2, 0.1]
    found = {(gap.task, gap.during): gap.depth for gap in metrics.gaps(record, tolerance=0.01)}
    assert found == pytest.approx({(0, 1): 0.7, (0, 2): 0.2, (1, 2): 0.8})
    deeper_later = Record(values=[[0.9, 0.8, 0.9, 0.1, 0.2], *values[1:]], steps=record.steps, ends=record.ends)
    assert metrics.depth(deeper_later, task=0, during=1) == pytest.approx(0.1)


def test_area_counts_updates_not_evaluations():
    dense = two_tasks([0.5, 0.5, 0.5, 0.5, 0.8, 0.8])
    sparse = dense.every(2)
    areas = [metrics.gap(record, task=0, during=1, tolerance=0.01).area for record in (dense, sparse)]
    assert areas == pytest.approx([1.8, 1.8])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("window", [2, 3, 4, 7, 10, 1000])
def test_windows_equal_a_double_loop(seed, window):
    record = random_record(seed, gaps=bool(seed % 3))
    starts = (0, *record.ends)
    curves = [[v for (i, n), v in table(record).items() if i == task and n >= starts[task]] for task in range(4)]
    for found, rise in (
        (metrics.windowed_forgetting(record, window=window), False),
        (metrics.windowed_plasticity(record, window=window), True),
    ):
        assert found == pytest.approx([slow_window(curve, window, rise=rise) for curve in curves], abs=1e-15)


@pytest.mark.parametrize("seed", range(20))
def test_averages_equal_sums_over_the_whole_table(seed):
    record = random_record(seed)
    full, ends, now = table(record), record.ends, record.ends[-1]
    lowest = [min(v for (i, n), v in full.items() if i == task and n > ends[task]) for task in range(3)]
    means = metrics.averages(record, windows=(), shots=1)
    assert means["ACC"] == pytest.approx(sum(full[i, now] for i in range(4)) / 4)
    assert means["FORG"] == pytest.approx(sum(full[i, ends[i]] - full[i, now] for i in range(3)) / 3)
    assert means["min-ACC"] == pytest.approx(sum(lowest) / 3)
    assert means["WC-ACC"] == pytest.approx(full[3, now] / 4 + (1 - 1 / 4) * sum(lowest) / 3)
    first = [min(n for i, n in full if i == task and n > (0, *ends)[task]) for task in range(4)]
    assert means["LCA1"] == pytest.approx(sum(full[i, n] for i, n in enumerate(first)) / 4)


@pytest.mark.parametrize("seed", range(20))
def test_gaps_equal_a_walk_over_the_updates(seed):
    record = random_record(seed)
    full = table(record)
    for found in metrics.gaps(record, tolerance=0.1):
        switch, end = record.ends[found.during - 1], record.ends[found.during]
        before = full[found.task, switch]
        area, waiting, lowest, recovered = 0.0, 0, math.inf, None
        for update in range(switch + 1, end + 1):
            waiting += 1
            value = full.get((found.task, update))
            if value is None:
                continue
            area, waiting = area + waiting * max(0.0, before - value), 0
            if value <= lowest:
                lowest, recovered = value, None
            if recovered is None and value >= before - 0.1 - 1e-9:
                recovered = update
        if before - lowest <= 0.1 + 1e-9:
            expected = Recovery(0, False)
        elif recovered is None:
            expected = Recovery(end - switch, True)
        else:
            expected = Recovery(recovered - switch, False)
        assert found.recovery == expected
        assert found.depth == pytest.approx(before - lowest, abs=1e-15)
        assert full[found.task, switch + found.lowest_steps] == lowest
        assert found.area == pytest.approx(area)
        assert found.residual == pytest.approx(before - full[found.task, end], abs=1e-15)
        assert found.depth >= found.residual


@pytest.mark.parametrize("seed", range(5))
def test_losses_are_the_same_with_signs_swapped(seed):
    record = random_record(seed)
    loss = Record(values=3 - record.values, steps=record.steps, ends=record.ends, higher_is_better=False)
    assert metrics.final(loss) == pytest.approx(3 - metrics.final(record))
    assert metrics.worst(loss) == pytest.approx(3 - metrics.worst(record))
    assert metrics.worst_case(loss) == pytest.approx(3 - metrics.worst_case(record))
    for measure, setting in (
        (metrics.windowed_forgetting, {"window": 4}),
        (metrics.windowed_plasticity, {"window": 4}),
        (metrics.forgetting, {}),
    ):
        assert measure(loss, **setting) == pytest.approx(measure(record, **setting), abs=1e-12)
    pairs = zip(metrics.gaps(loss, tolerance=0.1), metrics.gaps(record, tolerance=0.1), strict=True)
    for lost, found in pairs:
        assert (lost.recovery, lost.before) == (found.recovery, pytest.approx(3 - found.before))
        for name in ("depth", "area", "residual"):
            assert getattr(lost, name) == pytest.approx(getattr(found, name), abs=1e-12)
    means = metrics.averages(loss, windows=(3,), shots=1)
    assert list(means) == ["LOSS", "FORG", "max-LOSS", "WC-LOSS", "WF3", "WP3", "LCA1"]


@pytest.mark.parametrize("factor", [100.0])
def test_points_give_points(factor):
    record = random_record(3)
    points = Record(values=factor * record.values, steps=record.steps, ends=record.ends)
    for name, value in metrics.averages(record, windows=(3,), shots=1).items():
        assert metrics.averages(points, windows=(3,), shots=1)[name] == pytest.approx(factor * value)


@pytest.mark.parametrize("seed", range(10))
def test_depth_at_a_sparser_period_is_never_larger(seed):
    dense = random_record(seed, gaps=False)
    depths = {}
    for period in (1, 2, 4, 8, None):
        sparse = dense.every(period)
        for (task, step), value in table(sparse).items():
            assert table(dense)[task, step] == value
        depths[period] = [gap.depth for gap in metrics.gaps(sparse, tolerance=0.01)]
    assert depths[1] == [gap.depth for gap in metrics.gaps(dense, tolerance=0.01)]
    assert depths[None] == [gap.residual for gap in metrics.gaps(dense, tolerance=0.01)]
    for often, rare in pairwise(depths.values()):
        assert all(b <= a for a, b in zip(often, rare, strict=True))
    assert depths[8] != depths[1]


def test_periods_count_from_the_switch_and_keep_task_ends():
    dense = Record(values=np.zeros((2, 18)), steps=range(18), ends=[7, 17])
    assert dense.every(3).steps.tolist() == [0, 3, 6, 7, 10, 13, 16, 17]
    assert dense.every(None).steps.tolist() == [7, 17]
    assert dense.every(1).steps.tolist() == list(range(18))
    assert dense.every(6).every(3 * 6).steps.tolist() == dense.every(18).steps.tolist()


def test_a_period_that_was_not_evaluated_is_an_error():
    sparse = Record(values=np.zeros((2, 5)), steps=[0, 4, 8, 12, 16], ends=[8, 16])
    with pytest.raises(ValueError, match="period=3 needs an evaluation at update 3, which the record lacks"):
        sparse.every(3)
    with pytest.raises(ValueError, match="period=0 must be at least 1 update"):
        sparse.every(0)


def test_until_is_the_record_as_it_was():
    record = random_record(7, gaps=False)
    middle = record.ends[1] + 2
    early = record.until(middle)
    assert early.ends == (*record.ends[:2], middle) and early.tasks == 3 and early.steps[-1] == middle
    full = table(record)
    lowest = [min(full[i, n] for n in range(record.ends[i] + 1, middle + 1)) for i in range(2)]
    assert metrics.worst(early).tolist() == lowest
    assert metrics.final(early).tolist() == [full[i, middle] for i in range(3)]
    assert record.until(record.ends[-1]).ends == record.ends
    with pytest.raises(ValueError, match=r"step=9999 has no evaluation: choose .* \[0, 1, 2, \.\.\., "):
        record.until(9999)


def test_a_first_task_has_nothing_to_forget():
    record = Record(values=[[0.1, 0.4, 0.7]], steps=[0, 1, 2], ends=[2])
    means = metrics.averages(record, windows=(2,), shots=2)
    assert (means["ACC"], means["WC-ACC"]) == (0.7, 0.7)
    assert math.isnan(means["FORG"]) and math.isnan(means["min-ACC"])
    assert means["LCA2"] == pytest.approx(0.55)
    assert metrics.gaps(record, tolerance=0) == []


def test_a_learning_curve_that_is_too_short_is_missing():
    record = two_tasks([0.5] * 4, new=0.3)
    assert np.isnan(metrics.learning_curve_area(record, evaluations=2)).tolist() == [True, False]
    assert math.isnan(metrics.averages(record, shots=2)["LCA2"])


def test_an_evaluation_set_of_no_task_has_gaps_and_enters_no_mean():
    values = [[0.9, 0.3, 0.8], [NAN, 0.4, 0.6], [0.5, 0.2, 0.5]]
    record = Record(values=values, steps=[10, 11, 12], ends=[10, 12])
    without = Record(values=values[:2], steps=[10, 11, 12], ends=[10, 12])
    assert metrics.depth(record, task=2, during=1) == pytest.approx(0.3)
    assert metrics.averages(record, shots=1) == metrics.averages(without, shots=1)
    assert metrics.gaps(record, tolerance=0) == metrics.gaps(without, tolerance=0)


def test_the_null_control_takes_off_what_noise_alone_does():
    draws = np.random.default_rng(8)
    noisy = [two_tasks(draws.normal(0.9, 0.01, 50)) for _ in range(300)]
    pairs = list(zip(noisy[::2], noisy[1::2], strict=True))
    raw = [metrics.depth(run, task=0, during=1) for run, _ in pairs]
    corrected = [metrics.null_corrected_depth(run, null, task=0, during=1) for run, null in pairs]
    assert np.mean(raw) > 0.02 and abs(np.mean(corrected)) < 0.002
    run, null = two_tasks([0.4, 0.9]), two_tasks([0.88, 0.9])
    assert metrics.null_corrected_depth(run, null, task=0, during=1) == pytest.approx(0.48)


def test_a_null_control_must_match():
    run = two_tasks([0.4, 0.5, 0.9])
    with pytest.raises(
        ValueError, match=r"null is evaluated \[2, 3\] updates after the switch and the run \[1, 2, 3\]"
    ):
        metrics.null_corrected_depth(run, run.every(2), task=0, during=1)
    with pytest.raises(ValueError, match="higher_is_better is True of the run and False of null"):
        metrics.null_corrected_depth(run, two_tasks([0.4, 0.5, 0.9], higher_is_better=False), task=0, during=1)


def slow_median(recoveries):
    """Kaplan and Meier's product update by update, in floats."""
    away = 1.0
    for update in range(max(length for length, _ in recoveries) + 1):
        at_risk = sum(length >= update for length, _ in recoveries)
        away *= 1 - sum(length == update and not censored for length, censored in recoveries) / at_risk
        if away <= 0.5 + 1e-12:
            return Recovery(update, False)
    return Recovery(max(length for length, _ in recoveries), True)


def test_median_with_censoring():
    draws = np.random.default_rng(9)
    kinds = set()
    for _ in range(300):
        lengths, share = draws.integers(0, 12, draws.integers(1, 9)), draws.random()
        recoveries = [Recovery(int(length), bool(draws.random() < share)) for length in lengths]
        found = metrics.median_recovery(recoveries)
        assert found == slow_median(recoveries)
        kinds.add(found.censored)
        if not any(each.censored for each in recoveries):
            assert found.length_steps == sorted(lengths.tolist())[(len(lengths) - 1) // 2]
    assert kinds == {True, False}


def test_median_treats_censored_runs_as_long_not_as_missing():
    recoveries = [Recovery(10, False), Recovery(20, False), *[Recovery(200, True)] * 3]
    assert metrics.median_recovery(recoveries) == Recovery(200, censored=True)
    with pytest.raises(ValueError, match="there are no recoveries"):
        metrics.median_recovery([])


GOOD = {"values": [[0.9, 0.3, 0.8], [NAN, 0.4, 0.6]], "steps": [4, 5, 6], "ends": [4, 6]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"values": [0.9, 0.3, 0.8]}, r"values has shape \(3,\) and steps has 3 numbers: .* a single task is one row"),
        ({"values": [[0.9, 0.3]] * 2}, r"values has shape \(2, 2\) and steps has 3 numbers"),
        ({"values": [[0.9, 0.3, 0.8]]}, "ends names 2 tasks and values has 1 rows: give each task its row"),
        (
            {"values": [[0.9, math.inf, 0.8], [0, 0, 0]]},
            "values has inf of task 0 at update 5: a value is finite, or NaN",
        ),
        ({"values": [[0.9, 0.3, NAN], [0, 0, 0]]}, "values has NaN of task 0 at update 6, where a task ends"),
        ({"values": [[NAN, 0.3, 0.8], [0, 0, 0]]}, "values has NaN of task 0 at update 4, where a task ends"),
        (
            {"values": [[0.9, 0.3, 0.8], [NAN, 0.5]]},
            "values has rows of different lengths, .*: give a row for each task",
        ),
        ({"values": [[0.9, 0.3, "0,8"]]}, "values has .*what is no number: give a row for each task, NaN where"),
        ({"steps": [[4], [5, 6]]}, "steps has rows of different lengths, .*: give a list of update counts"),
        ({"ends": [4, None, [6]]}, "ends has rows of different lengths, .*: give a list of update counts"),
        ({"steps": [4, 4, 6]}, "steps has 4 after 4: it must increase"),
        ({"steps": [4, 5.5, 6]}, "steps contains 5.5: it counts updates done, so give whole numbers"),
        ({"steps": [-1, 5, 6]}, "steps contains -1: it counts updates done"),
        ({"ends": []}, r"ends has shape \(0,\): it must be a list of at least one"),
        ({"ends": [6, 4]}, "ends has 4 after 6: it must increase"),
        ({"ends": [3, 6]}, r"ends=\[3, 6\], but steps lacks 3: evaluate at the end of every task"),
        ({"ends": [4, 5]}, r"ends=\[4, 5\] leaves evaluations up to update 6 to no task"),
    ],
)
def test_a_faulty_record_says_what_is_wrong(changed, message):
    Record(**GOOD)
    with pytest.raises(ValueError, match=message):
        Record(**{**GOOD, **changed})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"during": 0}, "during=0 must lie in 1..1"),
        ({"during": 2}, "during=2 must lie in 1..1"),
        ({"task": 1}, "task=1 must be one of the rows 0..2 and not the task trained, during=1"),
        ({"task": 3}, "task=3 must be one of the rows 0..2"),
        ({"task": 2}, "values has NaN of row 2 at update 4 or 6"),
        ({"tolerance": -0.1}, "tolerance=-0.1 must be a finite number from 0"),
        ({"tolerance": NAN}, "tolerance=nan must be a finite number"),
    ],
)
def test_a_pair_without_a_gap_says_why(setting, message):
    record = Record(**{**GOOD, "values": [*GOOD["values"], [NAN, 0.1, 0.1]]})
    with pytest.raises(ValueError, match=message):
        metrics.gap(record, **{"task": 0, "during": 1, "tolerance": 0.01, **setting})


def test_windows_and_curves_of_nothing_are_errors():
    with pytest.raises(ValueError, match="window=1 must be at least 2"):
        metrics.windowed_forgetting(Record(**GOOD), window=1)
    with pytest.raises(ValueError, match="evaluations=0 must be at least 1"):
        metrics.learning_curve_area(Record(**GOOD), evaluations=0)


def test_a_record_keeps_its_own_read_only_copy():
    values = np.array(GOOD["values"])
    record = Record(**{**GOOD, "values": values})
    values[0, 0] = 0
    assert record.values[0, 0] == 0.9
    with pytest.raises(ValueError, match="read-only"):
        record.values[0, 0] = 0


def test_document_explains_every_average():
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in metrics.averages(Record(**GOOD), windows=(), shots=1):
        assert f"| {name.rstrip('1').replace('LCA', 'LCA_b')} |" in text
