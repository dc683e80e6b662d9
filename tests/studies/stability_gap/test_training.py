"""The gap in one short training, and its null control; the numbers of a gap from a table of rows."""

import dataclasses

import pandas as pd
import pytest

from common import data
from common.training.loop import State, Training
from studies.stability_gap import gaps, selections, study

STEPS = 300
"""Of the first task."""
RUNS = {run.name: run for run in study.RUNS}


def trained(run, *, steps: int, parent: State | None = None) -> tuple[pd.DataFrame, State]:
    """Rows of the first seed of a run over fewer updates, with what `read_runs` would add, and its last state."""
    single = dataclasses.replace(run, sweep=None, steps=steps, evaluate_every=1)
    datasets = data.load_all(single, corpora=None)
    training = Training(single, datasets[single.data], others=datasets, parent=parent)
    rows = pd.DataFrame(list(training))
    about = {"run": run.name, "arm": run.arm, "lr": run.lr, "seed": 0}
    return rows.assign(**about), training.state()


@pytest.fixture(scope="module")
def first() -> State:
    return trained(RUNS["first-rotation-lr0.1"], steps=STEPS)[1]


def test_a_rotation_opens_a_gap_that_the_same_task_does_not(first):
    rows = [trained(RUNS[name], steps=40, parent=first)[0] for name in ("rotation-joint-lr0.1", "angle0-joint")]
    table = selections.with_angle(gaps.gaps(pd.concat(rows, ignore_index=True))).set_index("run")
    turned, same = table.loc["rotation-joint-lr0.1"], table.loc["angle0-joint"]
    assert turned.before == same.before > 90
    assert turned.depth > 10 and turned.lowest_steps < 20
    assert same.depth < 2
    assert (turned.angle, same.angle) == (80, 0)


def test_before_the_first_update_all_arms_stand_where_the_first_task_ended(first):
    base = trained(RUNS["first-rotation-lr0.1"], steps=STEPS)[0].iloc[-1]
    for name in ("rotation-joint-lr0.1", "rotation-er-lr0.1", "rotation-gem-lr0.1"):
        row = trained(RUNS[name], steps=1, parent=first)[0].iloc[0]
        assert (row.step, row.val_accuracy_task0, row.val_loss_task0) == (STEPS, base.val_accuracy, base.val_loss_task0)


def test_a_column_by_seed_wants_one_run():
    table = pd.DataFrame({"run": ["a", "b"], "arm": ["x", "x"], "lr": [0.1, 0.3], "seed": [0, 0], "depth": [1.0, 2.0]})
    assert gaps.by_seed(table, "depth", arm="x", lr=0.3) == {0: 2.0}
    with pytest.raises(ValueError, match=r"several runs with .*: a, b; ask for one"):
        gaps.by_seed(table, "depth", arm="x")
    with pytest.raises(LookupError, match="no run with"):
        gaps.by_seed(table, "depth", arm="y")
