"""Measures of curves over widths, against curves made by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from studies.lr_transfer import consistency as measures

STEPS = (0, 10, 20, 30, 40)


def made(columns: dict[int, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=pd.Index(STEPS, name="step", dtype=int))


@pytest.fixture
def curves() -> pd.DataFrame:
    """An edge of 16 / 0.95; the narrow curve arrives between 10 and 20, the wide one at 20, the middle one never."""
    return made({64: [2, 4, 64, 16, 16], 128: [1, 2, 2, 2, 2], 256: [1, 4, 16, 16, 16]})


EDGE = 16 / 0.95


def test_arrivals_are_where_the_logarithm_crosses_the_level(curves):
    times = measures.arrivals(curves, EDGE)
    assert times[64] == pytest.approx(15)
    assert math.isnan(times[128])
    assert times[256] == pytest.approx(20)


def test_a_curve_that_starts_above_arrives_at_once():
    assert measures.arrivals(made({64: [20, 1, 1, 1, 1]}), EDGE)[64] == 0


def test_curves_that_never_arrive_count_with_the_end(curves):
    assert measures.censored(curves, EDGE).tolist() == pytest.approx([15, 40, 20])
    assert measures.arrival_spread(curves, EDGE) == pytest.approx(math.log2(40 / 15))
    assert measures.arrival_delay(curves, EDGE) == pytest.approx(math.log2(20 / 15))


def test_distances_end_where_either_arrives(curves):
    found = measures.distances(curves, EDGE)
    assert found[64] == pytest.approx(math.log(2) / 2)
    assert found[128] == pytest.approx(math.log(2) / 2)
    assert measures.distance(curves, EDGE) == pytest.approx(math.log(2) / 2)
    assert measures.distance(made({width: [1, 2, 3, 4, 5] for width in (1, 2)}), EDGE) == 0


def test_windows_of_several_tables_end_with_the_first_arrival(curves):
    slow = made({64: [1, 2, 2, 2, 2], 128: [1, 1, 1, 1, 1]})
    assert measures.never(curves, EDGE) == 1
    assert measures.window([curves, slow], EDGE) == pytest.approx(15)
    assert measures.window([slow], EDGE) == math.inf
    assert measures.distance_until(slow, 15) == pytest.approx(math.log(2) / 2)
    assert measures.distance_until(slow, math.inf) == pytest.approx(0.8 * math.log(2))


def test_sharpening_is_the_largest_over_the_first_and_its_slope_is_per_doubling():
    curves = made({64: [2, 16, 3, 3, 3], 128: [1, 4, 2, 2, 2], 256: [3, 6, 5, 5, 5]})
    assert measures.sharpening(curves).tolist() == [8, 4, 2]
    assert measures.sharpening_slope(curves) == pytest.approx(-1)


def test_spread_is_over_widths_of_the_last_third():
    curves = made({64: [9, 9, 9, 0.5, 1.5], 128: [0, 0, 0, 3, 3]})
    assert measures.ending(curves).tolist() == [1, 3]
    assert measures.spread(curves) == pytest.approx(math.sqrt(2) / 2)


def test_errors_are_relative_to_the_widest():
    curves = made({64: [1, 1, 1, 1, 1], 128: [3, 3, 3, 3, 3], 256: [2, 2, 2, 2, 2]})
    assert measures.errors(curves).iloc[0].to_dict() == {64: 0.5, 128: 0.5}


def test_power_laws_are_recovered_and_zeros_left_out():
    x = pd.Series([0.0, 1.0, 2.0, 4.0])
    assert measures.power_law(x, 3 * x**-0.5) == pytest.approx((3, -0.5))
    assert np.isnan(measures.power_law(x[:2], x[:2])).all()


def test_tables_keep_arms_parametrizations_and_seeds_apart():
    rows = pd.DataFrame(
        [
            {"arm": arm, "parametrization": name, "seed": seed, "width": width, "step": step, "lr": 0.5}
            for arm in ("curve", "quiet")
            for name in ("mup", "ntp")
            for seed in (0, 1)
            for width in (128, 64)
            for step in (10, 0)
        ]
    ).assign(train_loss=lambda rows: rows.width + rows.step + 0.1 * rows.seed)
    found = measures.tables(rows, arm="quiet", parametrization="ntp", value="train_loss")
    assert list(found) == [0, 1]
    assert list(found[1].columns) == [64, 128]
    assert found[1].loc[10].tolist() == pytest.approx([74.1, 138.1])
    assert measures.edge(rows, arm="quiet") == 4
    with pytest.raises(LookupError, match="arm='fast'"):
        measures.tables(rows, arm="fast", parametrization="ntp", value="train_loss")
    with pytest.raises(ValueError, match="one base rate"):
        measures.edge(rows.assign(lr=rows.width), arm="quiet")
