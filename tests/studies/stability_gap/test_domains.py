"""Losses of text domains on curves drawn by hand."""

import pandas as pd
import pytest

from studies.stability_gap import domains

STEPS = [100, 105, 110, 115, 120]


def runs(**curves: dict[str, list[float]]) -> pd.DataFrame:
    """Rows of runs of one seed after update 100, the base among them."""
    tables = []
    for run, curve in curves.items():
        losses = {f"val_loss_{domain}": curve.get(domain, [2.0] * len(STEPS)) for domain in domains.TASKS}
        about = {"run": f"text-{run}", "arm": f"text_{run}", "parent": None if run == "base" else "base", "seed": 7}
        tables.append(pd.DataFrame({**about, "start_step": 100, "step": STEPS, **losses}))
    return pd.concat(tables, ignore_index=True)


def test_the_rise_of_the_old_domain_and_its_way_back():
    table = domains.rises(runs(a={"prose": [2.0, 2.3, 2.1, 2.01, 2.05]}, base={}), "prose")
    assert len(table) == 1
    row = table.iloc[0]
    assert (row.run, row.before, row.highest_steps, row.recovery_steps, row.censored) == ("text-a", 2.0, 5, 15, False)
    assert row.rise == pytest.approx(0.3) and row.residual == pytest.approx(0.05)


def test_a_domain_that_is_no_task_and_does_not_come_back():
    row = domains.rises(runs(a={"documented": [1.0, 1.2, 1.1, 1.3, 1.2]}), "documented").iloc[0]
    assert (row.recovery_steps, row.censored) == (20, True)
    assert domains.at_end(runs(a={"documented": [1.0, 1.2, 1.1, 1.3, 1.2]}), "text-a", "documented") == {
        7: pytest.approx(0.2)
    }


def test_what_is_learnt_of_the_new_domain():
    rows = runs(a={"prose": [2.0, 2.3, 2.1, 2.01, 2.1], "python": [3.0, 2.5, 2.05, 2.0, 2.0]})
    row = domains.learning(rows, "text-a", shots_steps=10).iloc[0]
    assert row.reach_steps == 10  # 0.9 of the fall by 1.0
    assert row.area_new == pytest.approx((0.5 + 0.95) / 2)
    assert row["mean"] == pytest.approx((1.0 - 0.1) / 2) and row.depth == pytest.approx(0.3)


def test_a_run_that_was_not_read_is_named():
    with pytest.raises(LookupError, match="no run 'text-b'"):
        domains.of_run(domains.rises(runs(a={}), "prose"), "text-b", "rise")
