"""Ratios of gradients at the switch and at the lowest accuracy, on rows written by hand."""

import math

import pandas as pd
import pytest

from studies.stability_gap import gradients


@pytest.fixture
def runs() -> pd.DataFrame:
    """Two seeds that leave their parent after 300 updates; seed 1 is lowest twice, and lower before the first."""
    rows = [
        {"seed": seed, "step": 300 + n, "start_step": 300, gradients.OLD: accuracy,
         "stability_gradient": stability, "plasticity_gradient": 1.0}
        for seed, curve in {
            0: [(0.9, 0.05), (0.5, 1.0), (0.7, 4.0)],
            1: [(0.1, 0.1), (0.4, 0.5), (0.4, 2.0)],
        }.items()
        for n, (accuracy, stability) in enumerate(curve)
    ]  # fmt: skip
    unmeasured = {"seed": 0, "step": 303, "start_step": 300, gradients.OLD: 0.0, "stability_gradient": math.nan}
    return pd.DataFrame([*reversed(rows), unmeasured])


def test_steps_count_from_the_switch_where_gradients_were_measured(runs):
    assert sorted(gradients.since_switch(runs).step) == [0, 0, 1, 1, 2, 2]


def test_ratio_at_the_switch_is_before_the_first_update(runs):
    rows = gradients.at_switch(gradients.since_switch(runs))
    assert gradients.ratios(rows) == pytest.approx({0: 20, 1: 10})


def test_lowest_is_after_the_switch_and_the_last_of_equals(runs):
    rows = gradients.at_lowest(gradients.since_switch(runs))
    assert dict(zip(rows.seed, rows.step, strict=True)) == {0: 1, 1: 2}
    assert gradients.ratios(rows) == pytest.approx({0: 1, 1: 0.5})


def test_a_ratio_is_of_one_update(runs):
    with pytest.raises(ValueError, match="several rows"):
        gradients.ratios(gradients.since_switch(runs))
