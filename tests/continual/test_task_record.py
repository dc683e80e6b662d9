"""A record of evaluations from the rows of a run, or of a chain of runs."""

import math

import pandas as pd
import pytest

from common.continual import metrics
from common.continual.metrics import task_record


def chain_rows() -> pd.DataFrame:
    """Two runs of two updates; both have evaluated the weights at the switch."""
    return pd.DataFrame(
        {
            "step": [0, 1, 2, 2, 3, 4],
            "val_accuracy_a": [0.1, 0.5, 0.9, 0.9, 0.4, 0.8],
            "val_accuracy_b": [math.nan, math.nan, math.nan, 0.2, 0.6, 0.7],
            "val_loss_a": [2, 1, 0.5, 0.5, 1.5, 0.75],
        }
    )


def test_a_record_from_the_rows_of_a_chain():
    record = task_record(chain_rows(), tasks=["a", "b"])
    assert (record.steps.tolist(), record.ends, record.higher_is_better) == ([0, 1, 2, 3, 4], (2, 4), True)
    assert metrics.depth(record, task=0, during=1) == pytest.approx(0.5)
    alone = task_record(chain_rows().iloc[3:], tasks=["a", "b"])
    assert (alone.steps.tolist(), alone.ends) == ([2, 3, 4], (2, 4))
    rows = chain_rows().assign(val_loss_b=[math.nan, math.nan, math.nan, 3, 2, 1])
    losses = task_record(rows, tasks=["a", "b"], value="val_loss", ends=(2, 4))
    assert metrics.depth(losses, task=0, during=1) == pytest.approx(1.0)


def test_rows_that_make_no_record():
    with pytest.raises(ValueError, match="lack the column 'val_accuracy_c': watch that set"):
        task_record(chain_rows(), tasks=["a", "c"])
    with pytest.raises(ValueError, match="two different evaluations at update 2"):
        task_record(chain_rows().assign(val_accuracy_a=[0.1, 0.5, 0.9, 0.8, 0.4, 0.8]), tasks=["a", "b"])
