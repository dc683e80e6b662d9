"""What periods see, on curves written by hand and against the slow way: reading the curve at every p-th update."""

import math

import numpy as np
import pandas as pd
import pytest

from common.continual.metrics import Record
from studies.stability_gap import periods

NAN = math.nan


@pytest.fixture
def dip() -> Record:
    """Two tasks of four updates; the old one falls to 0.2 two updates after the switch and comes back to 0.8."""
    old = [0.1, 0.5, 0.7, 0.8, 0.9, 0.6, 0.2, 0.7, 0.8]
    new = [*[NAN] * 4, 0.1, 0.4, 0.7, 0.8, 0.9]
    return Record(values=[old, new], steps=range(9), ends=(4, 8))


def test_depth_seen_shrinks_with_the_period_down_to_what_task_ends_show(dip):
    found = periods.depths({("run", 3): dip}, periods=(1, 2, 3, None))
    assert found.run.eq("run").all() and found.seed.eq(3).all()
    assert found.period.tolist()[:3] == [1, 2, 3] and math.isnan(found.period.iloc[3])
    assert found.depth.tolist() == pytest.approx([0.7, 0.7, 0.2, 0.1])


def test_each_switch_counts_the_task_just_left():
    values = [
        [0.9, 0.5, 0.9, 0.0, 0.9],
        [NAN, 0.3, 0.8, 0.7, 0.8],
        [NAN, NAN, 0.1, 0.5, 0.9],
    ]
    record = Record(values=values, steps=range(5), ends=(0, 2, 4))
    by = {
        name: periods.depths({("run", 0): record}, switches=switches, periods=(1,)).depth.item()
        for name, switches in {"all": None, "first": (1,), "second": (2,)}.items()
    }
    assert by == pytest.approx({"all": 0.25, "first": 0.4, "second": 0.1})


@pytest.mark.parametrize("period", [1, 2, 5, 10, 25, 50, 100])
def test_depths_are_those_of_the_curve_read_at_every_period(period):
    rng = np.random.default_rng(period)
    length = 120
    values = rng.uniform(size=(2, 2 * length + 1))
    record = Record(values=values, steps=range(2 * length + 1), ends=(length, 2 * length))
    read = [*range(length + period, 2 * length, period), 2 * length]
    expected = values[0, length] - min(values[0, step] for step in read)
    found = periods.depths({("run", 0): record}, periods=(period,)).depth.item()
    assert found == pytest.approx(expected)


def test_averages_of_task_ends_are_those_of_the_accuracy_matrix(dip):
    found = periods.averages({("run", 0): dip}, periods=(1, None))
    table = found.pivot(index="metric", columns="period", values="value")
    assert table[1.0][["ACC", "FORG", "min-ACC", "WC-ACC"]].tolist() == pytest.approx([0.85, 0.1, 0.2, 0.55])
    ends = found[found.period.isna()].set_index("metric").value
    assert ends[["ACC", "FORG", "min-ACC", "WC-ACC"]].tolist() == pytest.approx([0.85, 0.1, 0.8, 0.85])
    assert math.isnan(ends["LCA10"])


def test_runs_and_seeds_stay_apart(dip):
    flat = Record(values=[[0.5, 0.5, 0.5], [NAN, 0.5, 0.5]], steps=range(3), ends=(1, 2))
    found = periods.depths({("a", 0): dip, ("b", 1): flat}, periods=(1,))
    expected = pd.DataFrame({"run": ["a", "b"], "seed": [0, 1], "period": [1.0, 1.0], "depth": [0.7, 0.0]})
    pd.testing.assert_frame_equal(found, expected)
