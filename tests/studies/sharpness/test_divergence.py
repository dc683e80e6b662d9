"""The rule for failures and the divergence rate, on trainings written by hand; and the arms of the real study."""

import math

import numpy as np
import pandas as pd
import pytest

from common.config import members
from studies.sharpness import divergence
from studies.sharpness.study import RUNS

STEPS = 10


def training(*, losses, lr=0.1, seed=0, arm="plain3_w0", initial=5.0, accuracy=0.9, sharpness=()):
    """Rows of one training that logs each update; `sharpness` by step."""
    rows = [{"step": 0, "val_loss": initial}]
    rows += [{"step": i + 1, "train_loss": loss} for i, loss in enumerate(losses)]
    if len(losses) == STEPS:
        rows[-1] |= {"val_accuracy": accuracy, "val_loss": 1.0}
    table = pd.DataFrame(rows).assign(arm=arm, seed=seed, lr=lr, steps=STEPS, start_step=0, run=arm)
    for name in ("val_accuracy", "sharpness"):
        table[name] = table.get(name, np.nan)
    for step, value in dict(sharpness).items():
        table.loc[table.step == step, "sharpness"] = value
    return table


FALLING = tuple(np.linspace(4, 1, STEPS))


@pytest.mark.parametrize(
    ("case", "failure"),
    [
        ({"losses": FALLING}, ""),
        ({"losses": (4, 90, *FALLING[2:])}, ""),
        ({"losses": (4, 90, math.inf)}, "not finite"),
        ({"losses": (4, 90, math.nan)}, "not finite"),
        ({"losses": (*FALLING[:-1], math.inf)}, "not finite"),
        ({"losses": (*FALLING[:-1], 5.0)}, "no gain"),
        ({"losses": FALLING, "accuracy": 0.1}, "chance"),
    ],
)
def test_a_training_fails_by_the_stated_rule(case, failure):
    (outcome,) = divergence.outcomes(training(**case)).itertuples()
    assert (outcome.failure, outcome.failed) == (failure, bool(failure))


def test_the_final_loss_is_that_of_the_last_tenth_and_missing_after_a_break():
    rows = pd.concat([training(losses=FALLING), training(losses=(4, math.nan), lr=0.2)])
    found = divergence.outcomes(rows).set_index("lr")
    assert found.final[0.1] == FALLING[-1]
    assert math.isnan(found.final[0.2])


def grid(failed, seed=0, arm="plain3_w0"):
    lrs = [2 ** (k / 2) for k in range(len(failed))]
    return pd.DataFrame({"arm": arm, "seed": seed, "lr": lrs, "failed": failed})


@pytest.mark.parametrize(
    ("failed", "limit", "strays", "unbounded"),
    [
        ([False, False, True, True], 2.0, 0, False),
        ([False, True, False, True], 2 * 2**0.5, 1, False),
        ([False, False, False, False], 4.0, 0, True),
        ([True, True, True, True], 1.0, 0, False),
    ],
)
def test_the_divergence_rate_is_the_first_from_which_on_all_fail(failed, limit, strays, unbounded):
    (found,) = divergence.limits(grid(failed)).itertuples()
    assert found.limit == pytest.approx(limit)
    assert (found.strays, found.open) == (strays, unbounded)


def test_seeds_have_their_own_divergence_rates():
    table = pd.concat([grid([False, True]), grid([False, False, True], seed=1)])
    assert divergence.limit(table, "plain3_w0").to_dict() == pytest.approx({0: 2**0.5, 1: 2.0})


def test_best_and_useful_rates_pass_over_failures():
    table = grid([False, False, False, True]).assign(final=[0.5, 0.2, 0.9, 0.1], initial=5.0)
    assert divergence.best(table, "plain3_w0").to_dict() == {0: 0.2}
    assert divergence.useful_octaves(table, "plain3_w0").to_dict() == {0: pytest.approx(0.5)}
    assert divergence.useful_rates(table, "plain3_w0").to_dict() == {0: pytest.approx(2**0.5)}
    assert divergence.best(table.assign(validation=[0.4, 0.6, 0.9, 0.1]), "plain3_w0", of="validation")[0] == 0.4
    lost = table.assign(failed=True)
    assert divergence.best(lost, "plain3_w0").to_dict() == {0: 5.0}
    assert divergence.useful_octaves(lost, "plain3_w0").to_dict() == {0: 0.0}


def test_a_phase_row_has_its_place_before_and_after():
    quiet = training(losses=FALLING, arm="plain3_quiet", sharpness={0: 40.0})
    warm = training(losses=FALLING, arm="plain3_w50", sharpness={5: 30.0, 8: 10.0})
    (row,) = divergence.phase(pd.concat([quiet, warm])).itertuples()
    assert (row.case, row.warmup, row.start, row.middle) == ("plain3", 50, 40.0, 10.0)
    assert (row.excess, row.warmed, row.edge) == pytest.approx((2.0, 1.5, 0.5))


def test_slopes_recover_a_power_law():
    cases = ("plain1", "plain2", "plain3")
    quiet = [training(losses=FALLING, arm=f"{case}_quiet", sharpness={0: 4.0**i}) for i, case in enumerate(cases)]
    limits = [grid([False] * i + [True] * (5 - i), arm=f"{case}_w0") for i, case in enumerate(reversed(cases))]
    slopes = divergence.limit_slopes(pd.concat(quiet), pd.concat(limits), cases)
    assert slopes == {0: pytest.approx(-0.25)}


def test_slopes_of_useful_rates_leave_out_networks_without_one():
    cases = ("plain1", "plain2", "plain3")
    quiet = [training(losses=FALLING, arm=f"{case}_quiet", sharpness={0: 4.0**i}) for i, case in enumerate(cases)]
    tables = [
        grid([False] * (4 - 2 * i) + [True] * (1 + 2 * i), arm=f"{case}_w0").assign(final=0.1 if i < 2 else 1.0)
        for i, case in enumerate(cases)
    ]
    assert divergence.useful_slopes(pd.concat(quiet), pd.concat(tables), cases) == {0: pytest.approx(-0.5)}
    assert divergence.useful_slopes(pd.concat(quiet), pd.concat(tables), cases[2:]) == {}


def test_nearest_is_by_ratio():
    table = pd.DataFrame({"seed": 0, "lr": [1.0, 4.0], "left": [7.0, 9.0]})
    assert divergence.nearest(table, pd.Series(2.1, table.index), value="left").to_dict() == {0: 9.0}


def test_halfway_leaves_out_what_ended_early_and_the_first_half():
    good = training(losses=FALLING, sharpness={1: 1000.0, 6: 10.0, 8: 30.0})
    bad = training(losses=FALLING[:7], lr=0.2, sharpness={6: 10.0})
    (row,) = divergence.halfway(pd.concat([good, bad])).itertuples()
    assert (row.lr, row.edge) == pytest.approx((0.1, 1.0))


def test_useful_is_the_entropy_of_the_given_label():
    shares = [0.9] + 9 * [0.1 / 9]
    assert pytest.approx(-sum(p * math.log(p) for p in shares)) == divergence.USEFUL


def test_the_arms_are_those_of_the_study():
    for run in (run for run in RUNS if run.arm in divergence.ARMS):
        arm = divergence.ARMS[run.arm]
        assert run.schedule.warmup_steps == arm.warmup
        assert (run.optimizer.clip is not None) == (arm.rule == "clip")
        assert (run.optimizer.momentum == 0.9) == (arm.rule == "momentum")
        assert run.data.label_noise == divergence.NOISE
        quiet = next(other for other in RUNS if other.arm == f"{arm.case}_quiet")
        assert quiet.model == run.model
        assert members(quiet)[0].seed in {member.seed for member in members(run)}
    assert {run.arm for run in RUNS} >= set(divergence.ARMS)
