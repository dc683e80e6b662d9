"""What the runs share by design: equal updates, equal last rates, and nothing replayed that was not seen."""

import pytest

from common.config import full_name
from common.optim import schedules
from common.pipeline.studies import Studies

STUDIES = Studies.load()
RUNS = STUDIES["rewarming"].runs
DECAYED = [name for name, run in RUNS.items() if run.schedule.kind in ("cosine", "rewarm")] + [
    name for name in RUNS if "-anneal" in name
]


def rates(name):
    run = RUNS[name]
    return schedules.rates(run.schedule, steps=run.steps, lr=run.lr)


def updates(name):
    """Updates behind the end of one member."""
    return STUDIES.lineage_updates("rewarming", name) // len(RUNS[name].sweep["seed"])


def base_of(name):
    study, _, parent = full_name("rewarming", RUNS[name].parent).rpartition("/")
    return STUDIES.run(study, parent)


@pytest.mark.parametrize("name", DECAYED)
def test_every_decay_ends_at_a_tenth_of_its_peak(name):
    assert rates(name)[-1] == pytest.approx(0.1 * RUNS[name].lr)
    assert RUNS[name].lr == 3e-3 or name.endswith(("half", "double"))


def test_a_constant_rate_stays_where_the_first_phase_ended():
    for name in ("strong-constant", "weak-constant", "same-constant"):
        base = base_of(name)
        last = schedules.rates(base.schedule, steps=base.steps, lr=base.lr)[-1]
        assert rates(name) == pytest.approx([last] * RUNS[name].steps)


def test_the_rates_of_the_infinite_schedule_join():
    trunk = rates("infinite-trunk")
    level = 0.55 * 3e-3
    assert (max(trunk), trunk[950], trunk[-1]) == tuple(pytest.approx(rate) for rate in (3e-3, level, level))
    for name in ("chain-trunk1", "chain-trunk2"):
        assert rates(name) == pytest.approx([level] * RUNS[name].steps)
    for name in RUNS:
        if "-anneal" in name:
            found = rates(name)
            assert found[0] == pytest.approx(level * (0.1 / 0.55) ** (1 / len(found)))


@pytest.mark.parametrize(
    ("infinite", "repeated"),
    [
        ("infinite-anneal1", "same-rewarm"),
        ("infinite-anneal2", "repeated-same2"),
        ("chain-anneal1", "repeated-chain1"),
        ("chain-anneal2", "repeated-chain2"),
    ],
)
def test_finished_models_of_both_schedules_have_equally_many_updates(infinite, repeated):
    assert updates(infinite) == updates(repeated)


def test_the_first_finished_models_too():
    assert updates("infinite-anneal0") == STUDIES.run("stability_gap", "prose").steps


@pytest.mark.parametrize("shift", ["weak", "strong"])
def test_joint_training_reads_what_both_phases_read(shift):
    joint, second = RUNS[f"{shift}-joint"], RUNS[f"{shift}-rewarm"]
    base = base_of(f"{shift}-rewarm")
    assert joint.steps == base.steps + second.steps
    mixture = joint.data
    places = joint.steps * joint.batch_size
    assert int(mixture.share * places) == base.steps * base.batch_size
    assert (mixture.first.name, mixture.second.name) == (second.data.name, base.data.name)


@pytest.mark.parametrize("name", [name for name in RUNS if "-replay" in name])
def test_only_text_that_the_base_has_read_is_replayed(name):
    run, base = RUNS[name], base_of(name)
    assert run.data.second.name == base.data.name
    assert run.data.share * run.steps * run.batch_size <= base.steps * base.batch_size
    assert run.steps == RUNS[f"{name.partition('-')[0]}-rewarm"].steps, "replay takes the place of new text"
