"""Means of last evaluations, and the error of a text."""

import numpy as np
import pandas as pd
import pytest

from common.evidence.estimators import jackknife, joint_interval, last_mean, text_error, text_is_small
from common.evidence.statistics import t_interval


def rows(**losses):
    tables = [
        pd.DataFrame({"arm": arm, "seed": seed, "step": range(0, 10 * len(values), 10), "val_loss": values})
        for (arm, seed), values in losses["runs"].items()
    ]
    return pd.concat(tables, ignore_index=True)


def test_the_last_evaluations_of_each_run_are_averaged():
    runs = rows(runs={("a", 0): [5, 4, 2, None], ("a", 1): [5, 6, 4, None], ("b", 0): [9, 1, 3, None]})
    found = last_mean(runs, "val_loss", evaluations=2, by=("arm", "seed"))
    assert found.to_dict() == {("a", 0): 3.0, ("a", 1): 5.0, ("b", 0): 2.0}
    assert last_mean(runs[runs.arm == "a"], "val_loss", evaluations=1).to_dict() == {0: 2.0, 1: 4.0}


def test_another_window_or_too_few_evaluations_are_refused():
    runs = rows(runs={("a", 0): [5, 4, 2], ("a", 1): [5]})
    with pytest.raises(ValueError, match="seed 1 has 1 evaluations of val_loss, 2 are wanted"):
        last_mean(runs, "val_loss", evaluations=2)
    other = pd.concat([runs[runs.seed == 0], pd.DataFrame({"seed": 1, "step": [0, 7], "val_loss": [1.0, 2.0]})])
    with pytest.raises(ValueError, match="seed 1 is evaluated at other steps"):
        last_mean(other, "val_loss", evaluations=2)
    with pytest.raises(ValueError, match="evaluations=0 must be at least 1"):
        last_mean(runs, "val_loss", evaluations=0)


def test_a_number_of_all_seeds_has_the_error_of_its_scatter():
    """The largest of three noisy means."""
    rng = np.random.default_rng(5)
    tables = [pd.DataFrame(rng.normal(loc=[0.0, 3.0, 1.0], size=(8, 3))) for _ in range(400)]
    found = [jackknife(table, lambda some: some.mean().max()) for table in tables]
    assert np.mean([values.mean() for values in found]) == pytest.approx(3.0, abs=0.05)
    told = np.sqrt(np.mean([values.sem() ** 2 for values in found]))
    assert told == pytest.approx(np.std([values.mean() for values in found]), rel=0.1)


def test_one_seed_is_the_number_itself():
    assert jackknife(pd.DataFrame({"loss": [2.0]}, index=[4]), lambda some: some.loss.mean()).to_dict() == {4: 2.0}


def simulated(rng, *, seeds, windows, text):
    """Losses with a scatter of 1 between the means of seeds, of `text` between windows, and of both together."""
    noise = rng.normal(size=(seeds, 1)) + text * rng.normal(size=(1, windows)) + rng.normal(size=(seeds, windows))
    return pd.DataFrame(noise)


@pytest.mark.parametrize("text", [0.0, 4.0])
def test_the_interval_covers_the_mean_over_seeds_and_text(text):
    rng = np.random.default_rng(3)
    tables = [simulated(rng, seeds=5, windows=16, text=text) for _ in range(400)]
    covered = [interval.low <= 0 <= interval.high for interval in map(joint_interval, tables)]
    assert np.mean(covered) >= 0.93
    if text:
        alone = [t_interval(table.mean(axis=1)) for table in tables]
        assert np.mean([interval.low <= 0 <= interval.high for interval in alone]) < 0.85, "seeds alone are not enough"


def test_a_text_that_is_long_enough_is_small():
    rng = np.random.default_rng(4)
    assert text_is_small(simulated(rng, seeds=5, windows=4000, text=1.0))
    assert not text_is_small(simulated(rng, seeds=5, windows=8, text=4.0))


@pytest.mark.parametrize(
    ("windows", "rule"), [([[1.0], [2.0]], "at least two windows"), ([[1.0, float("nan")]], "must be finite")]
)
def test_what_has_no_error_is_refused(windows, rule):
    with pytest.raises(ValueError, match=rule):
        text_error(pd.DataFrame(windows))
