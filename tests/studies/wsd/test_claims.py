"""The study's claims in a world where the river-valley picture holds, and in one where it does not."""

import numpy as np
import pandas as pd
import pytest

from common.config import members
from common.pipeline.studies import Studies
from studies.wsd import losses, verdicts
from tests.studies.wsd.world import HILL, lineage_rates, runs_of

FLAT = 0.02 * HILL
"""A hill so low that constant learning rates hide next to nothing."""


@pytest.fixture(scope="module")
def valley():
    return runs_of()


@pytest.fixture(scope="module")
def plain():
    return runs_of(hill=FLAT)


def test_the_decay_reveals_progress_only_where_there_is_a_hill(valley, plain):
    assert verdicts.decay_reveals_progress(valley).verdict == "supported"
    assert verdicts.decay_reveals_progress(plain).verdict == "contradicted"


def test_rates_cross_where_the_hill_hides_the_faster_river(valley, plain):
    assert verdicts.learning_rates_cross(runs_of(hill=2 * HILL)).verdict == "supported"
    assert verdicts.learning_rates_cross(plain).verdict == "contradicted"


def test_the_clock_of_this_world_is_the_sum_of_rates(valley):
    runs = Studies.load()["wsd"].runs
    sums = losses.lr_sums(valley)
    assert set(sums.index) == {
        (name, member.seed) for name, run in runs.items() if run.arm == "wsd" for member in members(run)
    }
    for (name, _), found in sums.items():
        assert found == pytest.approx(sum(lineage_rates(name, runs)), rel=0.01)
    for lr, other in ((3e-3, 1.5e-3), (1.5e-3, 7.5e-4)):
        gap = losses.at_equal_sum(valley, budget=1200, lr=lr, other=other)
        assert len(gap) == 5 and max(map(abs, gap.values())) < 0.03


def test_sums_outside_the_other_budgets_are_refused(valley):
    with pytest.raises(LookupError, match="choose another budget or peak"):
        losses.at_equal_sum(valley, budget=2400, lr=3e-3, other=7.5e-4)


def test_a_bigger_clock_is_worth_what_it_costs(valley):
    """Here the loss follows the sum of rates: WSD-S pays for its decays only, and a larger total more than makes up."""
    verdict = verdicts.wsd_s_not_worse(valley)
    assert verdict.verdict == "supported"
    total, lineage = ([part for part in verdict.parts if mode in part.label] for mode in ("total", "lineage"))
    assert [part.verdict for part in lineage] == ["reported", "reported"]
    assert max(part.estimate for part in total) < 0 < min(part.estimate for part in lineage)


def test_cosine_needs_a_higher_peak_than_wsd(valley):
    assert set(losses.notches(valley, 2400)) == {1.0}


def test_cooldowns_hold_every_shape_and_length(valley):
    table = losses.cooldowns(valley)
    headline = table[table.lr == 3e-3]
    assert set(zip(headline["shape"], headline.share, strict=True)) >= {
        *(
            (shape, share)
            for shape in ("linear", "inverse", "sqrt", "cosine", "square", "exponential")
            for share in (0.1, 0.2)
        ),
        *(("linear", share) for share in (0.05, 0.4, 0.6)),
    }
    assert (headline.groupby(["shape", "share"]).seed.nunique() == 5).all()


def test_gains_are_measured_against_the_constant_rate_at_the_same_update(valley):
    gains = losses.cooldown_gains(valley, shape="linear", lr=3e-3)
    constant = losses.stable_loss(valley, step=2400, lr=3e-3)
    twenty = (
        losses.cooldowns(valley).query("shape == 'linear' and share == 0.2 and lr == 3e-3").set_index("seed").val_loss
    )
    assert gains[0.2].sort_index().to_numpy() == pytest.approx((constant - twenty).sort_index().to_numpy())


def test_a_missing_run_is_named(valley):
    with pytest.raises(LookupError, match="arm 'wsd' has no run with budget 700"):
        losses.final(valley, "wsd", budget=700, lr=3e-3)
    with pytest.raises(LookupError, match="not evaluated at step 7"):
        losses.stable_loss(valley, step=7, lr=3e-3)


def interpolation(middle, *, decayed_bump=0.0):
    """Straight lines of the two kinds, with so much less (or more) loss in their middles."""
    shares = np.linspace(0, 1, 11)
    shape = 4 * shares * (1 - shares)
    lines = {
        ("stable", 2160, 2400): 1.86 + 0 * shares - middle * shape,
        ("decay", 2160, 2400): 1.86 - 0.1 * shares,
        ("decayed", 600, 1200): 2.1 - 0.2 * shares + decayed_bump * shape,
        ("decayed", 1200, 2400): 1.9 - 0.15 * shares,
    }
    return pd.DataFrame(
        {"seed": seed, "kind": kind, "start": start, "end": end, "share": round(share, 1), "loss": loss + 1e-4 * seed}
        for (kind, start, end), line in lines.items()
        for seed in range(5)
        for share, loss in zip(shares, line + 1e-5 * seed * shares, strict=True)
    )


def test_middle_of_stable_checkpoints():
    """A fall of 0.1 asks for a gain of 0.025 in the middle."""
    assert verdicts.mean_of_stable_beats_both(interpolation=interpolation(0.05)).verdict == "supported"
    assert verdicts.mean_of_stable_beats_both(interpolation=interpolation(0.01)).verdict == "contradicted"


def test_path_of_decayed_checkpoints():
    assert verdicts.decayed_lie_on_a_path(interpolation=interpolation(0.05)).verdict == "supported"
    bent = verdicts.decayed_lie_on_a_path(interpolation=interpolation(0.05, decayed_bump=0.02))
    assert (bent.verdict, bent.label) == ("contradicted", "") and "above the chord to 1200" in bent.note


def test_top_third_of_the_entropy():
    rows = [
        {"seed": seed, "phase": "decay", "bucket": bucket, "entropy": bucket, "gain": 3.0 if bucket >= 8 else 0.5}
        for seed in range(3)
        for bucket in range(12)
    ]
    assert verdicts.top_third(pd.DataFrame(rows), "decay").to_list() == pytest.approx([12 / 16] * 3)
