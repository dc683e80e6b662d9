"""Forgetting, rises, recoveries, crossings and boundaries on curves written by hand."""

import numpy as np
import pandas as pd
import pytest

from studies.rewarming import phases


def rows(arm, *, start=100, seed=0, every=10, run=None, **losses):
    """Rows of one run and seed: evaluations every so many updates, between them only the training loss."""
    count = len(next(iter(losses.values())))
    columns = {f"val_loss_{name}".rstrip("_"): values for name, values in losses.items()}
    about = {"run": run or arm.replace("_", "-"), "arm": arm, "seed": seed, "lr": 3e-3, "start_step": start}
    steps = start + every * np.arange(count)
    evaluated = pd.DataFrame({**about, "steps": every * (count - 1), "step": steps, **columns})
    return pd.concat([evaluated, pd.DataFrame([{**about, "steps": every * (count - 1), "step": start + 1}])])


def test_a_phase_is_summed_up():
    (row,) = phases.phases(
        rows("strong_rewarm", old=[2.0, 2.3, 2.5, 2.6, 2.6, 2.7], new=[3.0, 2.5, 2.2, 2.0, 1.9, 1.8])
    ).itertuples()
    assert (row.shift, row.kind, row.seed, row.updates) == ("strong", "rewarm", 0, 50)
    assert (row.before, row.old, row.new_before, row.new) == (2.0, 2.7, 3.0, 1.8)
    assert row.forgetting == pytest.approx(0.7)
    assert row.average == pytest.approx(2.25)
    assert row.rise == pytest.approx(0.3), "only the first fifth, 10 of 50 updates, counts"


def test_a_phase_on_the_old_text_has_no_new_one():
    (row,) = phases.phases(rows("same_rewarm", old=[2.0, 2.3, 2.1])).itertuples()
    assert (row.shift, row.kind) == ("same", "rewarm")
    assert row.forgetting == pytest.approx(0.1)
    assert np.isnan(row.new)
    assert np.isnan(row.average)


@pytest.mark.parametrize(("losses", "expected"), [([2, 2.5, 2.4, 9], 0.5), ([2, 1.9, 1.8, 1], 0.0)])
def test_a_rise_is_the_largest_one_of_the_beginning(losses, expected):
    curve = pd.Series(losses, index=[0, 10, 20, 30], dtype=float)
    assert phases.rise(curve, within_steps=20) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("before", "without", "with_replay", "percent"),
    [
        (2.17, 2.44, 2.26, 67), (2.17, 2.44, 2.23, 78),
        (2.17, 3.56, 2.83, 53), (2.17, 3.56, 2.57, 71), (2.17, 3.56, 2.33, 88),
    ],
)  # fmt: skip
def test_the_shares_of_the_paper_follow_from_its_losses(before, without, with_replay, percent):
    share = phases.recovery(with_replay - before, without=without - before)
    assert round(100 * share) == percent


def test_recoveries_pair_the_seeds():
    runs = pd.concat(
        [rows("weak_rewarm", seed=seed, old=[1.0, 1.4 + seed], new=[1, 1]) for seed in (0, 1)]
        + [rows("weak_replay5", seed=seed, old=[1.0, 1.1], new=[1, 1]) for seed in (1, 0)]
    )
    found = phases.recoveries(phases.phases(runs), shift="weak", kind="replay5")
    assert found == {0: pytest.approx(0.75), 1: pytest.approx(1 - 0.1 / 1.4)}


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ([4, 4, 2, 2, 2], 0.5),
        ([2, 2, 2, 2, 2], 0.0),
        ([2, 2, 4, 2, 2], 0.75),
        ([4, 4, 4, 4, 2], 1.0),
        ([2, 2, 2, 2, 4], None),
        ([4, 4, 4, 4, 3], None),
    ],
)
def test_a_crossing_is_the_last_one_and_may_never_come(first, expected):
    index = [0, 10, 20, 30, 40]
    second = pd.Series(3.0, index=index)
    assert phases.crossing(pd.Series(first, index=index, dtype=float), second) == expected


def test_curves_of_different_updates_do_not_cross():
    with pytest.raises(ValueError, match="equally often"):
        phases.crossing(pd.Series([1.0, 2.0], index=[0, 10]), pd.Series([1.0, 2.0], index=[0, 20]))


def test_crossings_compare_two_arms_of_a_seed():
    runs = pd.concat(
        [
            rows("strong_rewarm", start=500, old=[1, 1, 1], new=[3.0, 3.5, 2.0]),
            rows("strong_constant", start=500, old=[1, 1, 1], new=[3.0, 2.8, 2.5]),
        ]
    )
    assert phases.crossings(runs, first="strong_rewarm", second="strong_constant") == {0: 1.0}
    assert phases.crossings(runs, first="strong_constant", second="strong_rewarm") == {0: None}


def test_values_by_seed_name_what_is_missing_or_double():
    table = phases.phases(pd.concat([rows("weak_half", run=name, old=[1, 2], new=[2, 1]) for name in "ab"]))
    with pytest.raises(ValueError, match="a, b"):
        phases.by_seed(table, "old", shift="weak", kind="half")
    with pytest.raises(LookupError, match="kind='third'"):
        phases.by_seed(table, "old", shift="weak", kind="third")


def three_phases(seed=0):
    """Both schedules on one text and over domains; the numbers tell phase and domain."""
    trunk = [5.0, 2.0, 2.1, 2.05, 2.0, 1.9, 1.95, 1.9]  # at 0, 50, ..., 350; phases begin at 100 and 200
    chained = {"prose": [1.0, 1.4], "python": [3.0, 2.0], "cpp": [4.0, 3.5]}
    return pd.concat(
        [
            rows("infinite_trunk", start=0, every=50, seed=seed, _=trunk),
            *(
                rows("infinite_anneal", run=f"infinite-anneal{k}", start=100 * k + 80, seed=seed, every=20,
                     _=[2.0, 1.8 - k / 10], **(chained if k == 0 else {}))
                for k in range(3)
            ),
            rows("same_rewarm", start=100, every=20, seed=seed, _=[1.7, 1.9, 1.8, 1.7, 1.6, 1.65]),
            rows("repeated_same", start=200, every=20, seed=seed, _=[1.65, 1.75, 1.8, 1.7, 1.6, 1.5]),
            *(
                rows("repeated_chain", run=f"repeated-chain{k}", start=100 * k, seed=seed, every=20, _=[9] * 6,
                     prose=[1.0 + k, 1.5 + k, 1, 1, 1, 2.0 + k], python=[2.0, 1.0 + k, 1, 1, 1, 1.5],
                     cpp=[3, 3, 3, 3, 3, 2.5])
                for k in (1, 2)
            ),
            *(
                rows("chain_trunk", run=f"chain-trunk{k}", start=100 * k, seed=seed, every=20, _=[9] * 5,
                     prose=[1.0, 1.2, 1, 1, 1], python=[2.0, 2.4, 1, 1, 1], cpp=[3, 3, 3, 3, 3])
                for k in (1, 2)
            ),
            *(
                rows("chain_anneal", run=f"chain-anneal{k}", start=100 * k + 80, seed=seed, every=20, _=[9, 9],
                     prose=[1.0, 1.3 + k], python=[1.0, 1.6], cpp=[1.0, 1.7])
                for k in (1, 2)
            ),
        ]
    )  # fmt: skip


def test_the_finished_models_of_each_phase():
    table = phases.finished(pd.concat([three_phases(seed=0), three_phases(seed=1)]))
    table = table[table.seed == 1].set_index(["setting", "schedule", "phase", "domain"]).loss.sort_index()
    same = [table["same", schedule] for schedule in ("infinite", "cyclic_cosine")]
    assert same[0].tolist() == pytest.approx([1.8, 1.7, 1.6])
    assert same[1].tolist() == pytest.approx([1.7, 1.65, 1.5]), "phase 0 is the base, where the first run starts"
    chain = table["chain", "infinite"].unstack()
    assert chain.prose.tolist() == pytest.approx([1.4, 2.3, 3.3])
    assert chain.cpp.tolist() == pytest.approx([3.5, 1.7, 1.7])
    chain = table["chain", "cyclic_cosine"].unstack()
    assert chain.prose.tolist() == pytest.approx([2.0, 3.0, 4.0])
    assert chain.python.tolist() == pytest.approx([2.0, 1.5, 1.5])


def test_rises_at_the_boundaries():
    table = phases.boundaries(three_phases()).set_index(["setting", "schedule", "phase"]).rise.sort_index()
    assert table["same", "cyclic_cosine"].tolist() == pytest.approx([0.2, 0.1])
    assert table["same", "infinite"].tolist() == pytest.approx([0.0, 0.0]), "first fifth of a phase, 20 updates"
    assert table["chain", "cyclic_cosine"].tolist() == pytest.approx([0.5, 0.75]), "then the mean of two domains"
    assert table["chain", "infinite"].tolist() == pytest.approx([0.2, 0.3])


def test_rises_above_the_finished_model_count_what_no_decay_has_lowered():
    table = phases.boundaries(three_phases()).set_index(["setting", "schedule", "phase"]).sort_index()
    cosine = table.xs("cyclic_cosine", level="schedule")
    assert cosine.rise_finished.tolist() == cosine.rise.tolist()
    found = table.rise_finished
    assert found["same", "infinite"].tolist() == pytest.approx([2.1 - 1.8, 2.0 - 1.7])
    assert found["chain", "infinite"].tolist() == pytest.approx([1.2 - 1.4, 1.8 - (2.3 + 1.6) / 2])
