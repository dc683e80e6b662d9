"""What cures leave and cost, on records and tables written by hand."""

import numpy as np
import pandas as pd
import pytest

from common.continual.metrics import Record
from common.evidence.statistics import t_interval
from studies.stability_gap import cures, gaps

PLAIN = {0: 20.0, 1: 24.0, 2: 19.0, 3: 27.0}
CURED = {0: 5.0, 1: 7.0, 2: 8.0, 3: 6.0}


def record(new, *, start=3, **other):
    """Two tasks, the second of which is trained from `start` on and has the given accuracies after its updates."""
    values = np.full((2, start + len(new) + 1), 0.9)
    values[1, start] = 0.1
    values[1, start + 1 :] = new
    return Record(values=values, steps=np.arange(values.shape[1]), ends=(start, start + len(new)), **other)


@pytest.mark.parametrize(
    ("new", "steps"),
    [([0.2, 0.5, 0.72, 0.6, 0.8], 3), ([0.8, 0.1, 0.8], 1), ([0.1, 0.2, 1.0], 3), ([0.0, 0.0, 0.0], 1)],
)
def test_the_new_task_is_learnt_at_its_first_90_percent(new, steps):
    assert cures.reach_steps(record(new)) == steps


def test_the_share_that_counts_as_learnt_can_be_chosen():
    assert [cures.reach_steps(record([0.2, 0.4, 0.6, 0.8]), share=share) for share in (0.25, 0.5, 0.75, 1)] == [
        1,
        2,
        3,
        4,
    ]


def test_senseless_shares_are_refused():
    with pytest.raises(ValueError, match=r"share=1.2 must lie in \(0, 1\]"):
        cures.reach_steps(record([0.5, 0.5]), share=1.2)
    with pytest.raises(ValueError, match="give accuracies"):
        cures.reach_steps(record([0.5, 0.5], higher_is_better=False))


def test_the_excess_is_below_zero_where_less_than_the_share_is_left():
    assert cures.excess(CURED, PLAIN, share=0.4) == pytest.approx({0: -3.0, 1: -2.6, 2: 0.4, 3: -4.8})


def test_a_seed_without_a_partner_is_named():
    with pytest.raises(ValueError, match="seed 3 of 'plain' has no partner in 'cured'"):
        cures.ratio({seed: CURED[seed] for seed in (0, 1, 2)}, PLAIN)


def test_the_ratio_is_that_of_the_means():
    assert cures.ratio(CURED, PLAIN).mean == pytest.approx(26 / 90)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_of_the_ratio_holds_the_shares_that_a_test_of_the_excess_does_not_reject(confidence):
    found = cures.ratio(CURED, PLAIN, confidence=confidence)
    shares = np.linspace(0, 1, 4001)
    tests = [t_interval(cures.excess(CURED, PLAIN, share=share), confidence=confidence) for share in shares]
    kept = shares[[test.low <= 0 <= test.high for test in tests]]
    assert (found.low, found.high) == pytest.approx((kept.min(), kept.max()), abs=3e-4)
    assert found.low < found.mean < found.high


def test_the_ratio_to_itself_is_exactly_one():
    found = cures.ratio(PLAIN, PLAIN)
    assert (found.mean, found.low, found.high) == pytest.approx((1, 1, 1), abs=1e-6)


def test_a_ratio_to_what_may_be_zero_is_unbounded():
    found = cures.ratio(CURED, {0: 9.0, 1: -8.0, 2: 10.0, 3: -7.0})
    assert (found.low, found.high) == (-np.inf, np.inf)
    with pytest.raises(ValueError, match="mean 0"):
        cures.ratio({0: 1.0, 1: 2.0}, {0: -1.0, 1: 1.0})


def table(depth, *, before=97.0, residual=0.0, reach=30, early=50.0, final=96.0):
    """Rows by seed, as those of `gaps.gaps` with a column reach_steps."""
    rows = {"seed": range(len(depth)), "before": before, "depth": depth, "residual": residual, "reach_steps": reach}
    return pd.DataFrame({**rows, "area_new": early, "mean": final})


def test_what_a_cure_leaves_is_a_percentage_and_what_it_costs_a_difference():
    plain = table([20.0, 24.0, 28.0], residual=8.0, reach=[30, 40, 50])
    ramp = table([10.0, 12.0, 14.0], residual=[6.0, 7.0, 5.0], reach=[40, 52, 64], early=41.0, final=96.5)
    found = cures.compared(ramp, plain).set_index("quantity")
    assert found["mean"].to_dict() == pytest.approx(
        {"depth": 50.0, "transient": 37.5, "delay": 12.0, "early": -9.0, "final": 0.5, "lasting": -2.0}
    )
    assert found.loc["depth", ["low", "high"]].tolist() == pytest.approx([50, 50], abs=1e-5)
    delay = t_interval([10, 12, 14])
    assert found.loc["delay", ["low", "high", "n"]].tolist() == pytest.approx([delay.low, delay.high, 3])


def test_a_view_that_is_worse_before_the_switch_does_not_seem_stable():
    plain = table([20.0, 24.0, 28.0], residual=2.0)
    found = cures.compared(table([1.0, 2.0, 3.0], before=87.0, residual=-8.0), plain).set_index("quantity")
    assert found["mean"][["depth", "transient", "lasting"]].tolist() == pytest.approx([50, 100 * 10 / 22, 0])


def test_what_was_not_measured_or_is_unbounded_is_nan():
    plain = table([0.0, 0.0], early=np.nan)
    found = cures.compared(table([1.0, 2.0], early=np.nan), plain).set_index("quantity")
    assert found.loc[["depth", "early"], ["mean", "low", "high"]].isna().all(axis=None)
    assert found.loc["final", "mean"] == 0
    single = cures.compared(table([5.0]), table([10.0])).set_index("quantity")
    assert single.loc["depth", "mean"] == pytest.approx(50)
    assert single.loc[["depth", "delay"], ["low", "high"]].isna().all(axis=None)


def test_only_seeds_of_all_runs_are_common():
    runs = pd.DataFrame({"run": ["a"] * 3 + ["b"] * 2, "seed": [0, 1, 2, 1, 2], "depth": range(5)})
    assert cures.common_seeds(runs).depth.tolist() == [1, 2, 3, 4]


def test_the_gap_of_the_nearest_mean_is_that_of_its_own_accuracies():
    rows = {
        "run": "view",
        "arm": "rotation_joint_average",
        "lr": 0.1,
        "seed": 7,
        "step": [300, 301, 302, 303],
    }
    runs = pd.DataFrame(
        {
            **rows,
            "nearest_mean_accuracy_past": [0.90, 0.70, 0.80, 0.89],
            "nearest_mean_accuracy": [0.5, 0.6, 0.85, 0.9],
            "val_accuracy_task0": [0.97, 0.2, 0.3, 0.4],
            "val_accuracy_task1": [0.1, 0.2, 0.3, 0.4],
        }
    )
    (row,) = gaps.gaps(cures.with_nearest_mean(runs), value="nearest_mean_accuracy").itertuples()
    assert (row.before, row.depth, row.residual) == pytest.approx((90, 20, 1))
    assert (row.recovery_steps, row.new) == pytest.approx((3, 90))
    assert row.run == "view"
    ((_, found),) = gaps.recorded(cures.with_nearest_mean(runs), value="nearest_mean_accuracy").items()
    assert cures.reach_steps(found) == 2


def test_without_the_probe_nothing_is_renamed():
    runs = pd.DataFrame({"val_accuracy_task0": [0.5]})
    assert cures.with_nearest_mean(runs).equals(runs)
