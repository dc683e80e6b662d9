"""Effects by rung, from tables of known losses."""

import pandas as pd
import pytest

from common.config import members
from common.pipeline.studies import Studies
from studies.wsd import plot_ladder, sizes
from studies.wsd.study import LADDER, RUNGS

LOSSES = {"ladder_stable": 2.0, "ladder_wsd": 1.8, "ladder_cosine": 1.9}


def table() -> pd.DataFrame:
    """Last rows of the ladder: each rung is 0.1 lower than the one below, each seed a little higher."""
    names = [rung.name for rung in RUNGS]
    rows = [
        {
            "run": run.name,
            "arm": run.arm,
            "rung": run.rung,
            "lr": run.lr,
            "steps": run.steps,
            "step": run.steps,
            "seed": member.seed,
            "val_loss": LOSSES[run.arm] - 0.1 * names.index(run.rung) + 0.01 * member.seed,
        }
        for run in LADDER
        for member in members(run)
    ]
    return pd.DataFrame(rows)


def test_effects_are_shares_of_the_loss_by_parameters_and_seed():
    falls, gaps = sizes.falls(table()), sizes.gaps(table())
    assert list(falls) == list(gaps) == [rung.parameters for rung in RUNGS]
    first, last = RUNGS[0].parameters, RUNGS[-1].parameters
    assert falls[first][0] == pytest.approx(100 * 0.2 / 2.0) and falls[last][2] == pytest.approx(100 * 0.2 / 1.82)
    assert gaps[first][0] == pytest.approx(-100 * 0.1 / 1.9)


def test_a_rung_that_was_not_trained_is_left_out():
    runs = table()
    assert list(sizes.falls(runs[runs.rung != RUNGS[-1].name])) == [rung.parameters for rung in RUNGS[:-1]]


def test_the_figure_has_both_effects():
    fig, drawn = plot_ladder.draw(table())
    assert len(fig.axes) == 2 and set(drawn.panel) == {"a", "b"}
    assert (drawn[drawn.part == "published"]["mean"].round(2)).tolist() == [5.0, 0.41]


def test_rungs_have_equal_bytes_per_parameter_and_final_rates():
    studies = Studies.load()
    for rung in RUNGS:
        trunk, decay, cosine = (run for run in LADDER if run.rung == rung.name)
        assert trunk.steps == cosine.steps == decay.parent_step + decay.steps
        read = trunk.steps * trunk.batch_size * trunk.data.context
        assert read == pytest.approx(30 * rung.parameters, rel=0.01)
        assert studies.run("wsd", decay.name).schedule.floor == cosine.schedule.floor
        assert (trunk.lr, trunk.model) == (cosine.lr, cosine.model) == (decay.lr, decay.model)
