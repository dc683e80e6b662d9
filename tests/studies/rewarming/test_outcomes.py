"""The table of outcomes on curves written by hand."""

import pandas as pd
import pytest

from studies.rewarming import measure_outcomes


def rows(arm, *, seed, start, old, new):
    """Evaluations of one run and seed every ten updates."""
    steps = [start + 10 * i for i in range(len(old))]
    about = {"run": arm, "arm": arm, "lr": 3e-3, "seed": seed, "start_step": start}
    return pd.DataFrame({**about, "step": steps, "val_loss_old": old, "val_loss_new": new})


@pytest.fixture(scope="module")
def table():
    parts = []
    for seed in (0, 1):
        shift = 0.01 * seed
        parts += [
            rows("weak_rewarm", seed=seed, start=200, old=[2.0, 2.6, 2.4 + shift], new=[3.0, 2.4, 2.0]),
            rows("weak_replay5", seed=seed, start=200, old=[2.0, 2.3, 2.1 + shift], new=[3.0, 2.5, 2.1]),
            rows("weak_joint", seed=seed, start=0, old=[5.0, 2.2, 1.9], new=[5.0, 2.3, 2.1]),
            rows("weak_beginning_kept1", seed=seed, start=200, old=[2.0, 2.1, 2.2], new=[3.0, 2.5, 2.2]),
        ]
    return measure_outcomes.measure(pd.concat(parts, ignore_index=True))


def cell(table, kind, metric):
    (row,) = table[(table.kind == kind) & (table.metric == metric)].itertuples()
    return row


def test_every_metric_is_what_its_name_says(table):
    assert cell(table, "rewarm", "forgetting").mean == pytest.approx(0.405)
    assert cell(table, "replay5", "recovered").mean == pytest.approx((0.3 / 0.4 + 0.3 / 0.41) / 2)
    assert cell(table, "replay5", "gap").mean == pytest.approx(2.1025 / 2.0 - 1)
    assert cell(table, "rewarm", "rise").mean == 0.0, "within the first fifth only the start was evaluated"
    assert cell(table, "rewarm", "adaptation").n == 2


def test_forgetting_of_joint_training_counts_from_the_finished_first_phase(table):
    assert cell(table, "joint", "forgetting").mean == pytest.approx(-0.1)
    assert "rise" not in set(table[table.kind == "joint"].metric)
    assert cell(table, "joint", "gap").mean == 0.0


def test_updates_are_told(table):
    row = cell(table, "rewarm", "average")
    assert (row.updates, row.total_updates, row.compute) == (20, 220, 1.0)
    assert set(table.kind) == {"rewarm", "replay5", "joint"}


def test_published_numbers_stand_beside_their_rows(table):
    assert cell(table, "replay5", "gap").published_405m == 0.009
    assert cell(table, "replay5", "gap").published_10b == 0.011
    assert pd.isna(cell(table, "joint", "gap").published_405m)


def test_published_shares_follow_from_the_published_losses():
    published = measure_outcomes.LARGE["published_405m"]
    for (shift, kind, metric), share in published.items():
        if metric == "recovered":
            without = published[shift, "rewarm", "forgetting"]
            assert 1 - published[shift, kind, "forgetting"] / without == pytest.approx(share, abs=0.006)
