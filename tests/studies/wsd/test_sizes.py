"""Effects by rung, from tables of known losses."""

import pandas as pd
import pytest

from common.config import members
from common.pipeline.studies import Studies
from studies.wsd import plot_ladder, sizes
from studies.wsd.study import FINAL_SHARE, LADDER, PEAKS, RUNGS

LOSSES = {"stable": 2.0, "wsd": 1.8, "cosine": 1.9, "wsd_s": 1.78, "length20": 1.75}
TRAINED = [rung for rung in RUNGS if not rung.large]


def table() -> pd.DataFrame:
    """Last rows of the ladder: each rung is 0.1 lower than the one below, each seed a little higher."""
    names = [rung.name for rung in TRAINED]
    rows = [
        {
            "run": run.name,
            "arm": run.arm,
            "rung": run.rung,
            "lr": run.lr,
            "steps": run.steps,
            "step": (run.parent_step or 0) + run.steps,
            "seed": member.seed,
            "val_loss": LOSSES[run.arm] - 0.1 * names.index(run.rung) + 0.01 * member.seed,
        }
        for run in LADDER
        if run.rung in names and run.arm in LOSSES
        for member in members(run)
    ]
    return pd.DataFrame(rows)


def averages() -> pd.DataFrame:
    """Means of states that recover half of the decay's gain."""
    names = [rung.name for rung in TRAINED]
    return pd.DataFrame(
        {"rung": name, "seed": seed, "weights": "uniform", "share": 0.2, "loss": 1.9 - 0.1 * i + 0.01 * seed}
        for i, name in enumerate(names)
        for seed in range(5)
    )


def test_effects_are_by_parameters_and_the_seeds_that_all_sizes_share():
    falls, gaps = sizes.falls(table()), sizes.gaps(table())
    assert list(falls) == list(gaps) == [rung.parameters for rung in TRAINED]
    assert {tuple(values.index) for values in falls.values()} == {(0, 1, 2)}
    first, last = TRAINED[0].parameters, TRAINED[-1].parameters
    assert falls[first][0] == pytest.approx(100 * 0.2 / 2.0) and falls[last][2] == pytest.approx(100 * 0.2 / 1.72)
    assert gaps[first][0] == pytest.approx(-100 * 0.1 / 1.9)
    assert sizes.kept_decays(table())[first][0] == pytest.approx(-100 * 0.02 / 1.8)
    assert sizes.short_gains(table())[last][1] == pytest.approx(0.2 / 0.25)
    assert sizes.averaged(table(), averages())[last][1] == pytest.approx(0.5)


def test_a_rung_that_was_not_trained_is_left_out():
    runs = table()
    assert list(sizes.falls(runs[runs.rung != TRAINED[-1].name])) == [rung.parameters for rung in TRAINED[:-1]]


def test_the_figure_has_every_effect():
    panels = plot_ladder.panels_of(table(), averages())
    assert [panel.title[0] for panel in panels] == list("abcde")
    assert [round(panel.published.value, 2) for panel in panels if panel.published] == [5.0, 0.41, 0.9]


def test_rungs_have_equal_bytes_per_parameter_and_final_rates():
    studies = Studies.load(scale="large")
    for rung in RUNGS:
        runs = [run for run in studies["wsd"].runs.values() if run.rung == rung.name]
        trunk = next(run for run in runs if run.arm == "stable" and run.lr == PEAKS[rung.name])
        assert trunk.steps * trunk.batch_size * trunk.data.context == pytest.approx(30 * rung.parameters, rel=0.01)
        ends = [run for run in runs if run.arm in ("wsd", "cosine", "wsd_s", "cyclic", "clock", "length20")]
        lasts = [run.lr * run.schedule.floor for run in ends]
        assert lasts == pytest.approx([FINAL_SHARE * PEAKS[rung.name]] * len(ends), rel=1e-3)
        decays = [run for run in runs if run.arm.startswith(("wsd", "length", "shape")) and run.parent_step]
        full = [run.parent_step + run.steps for run in decays if run.arm != "wsd"]
        assert set(full) == {trunk.steps}
