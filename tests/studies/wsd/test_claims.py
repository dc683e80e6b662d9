"""The study's claims in a world where the river-valley picture holds, and in one where it does not."""

import numpy as np
import pandas as pd
import pytest

from common.config import members
from common.pipeline.studies import Studies
from studies.wsd import losses, verdicts
from tests.studies.wsd.world import HILL, lineage_rates, runs_of

CLAIMS = Studies.load()["wsd"].claims
FLAT = 0.02 * HILL
"""A hill so low that constant learning rates hide next to nothing."""


def judged(name, **tables):
    """The verdict on a claim, with its settings."""
    claim = CLAIMS[name]
    return getattr(verdicts, claim.verdict)(**tables, **claim.settings)


@pytest.fixture(scope="module")
def valley():
    return runs_of()


@pytest.fixture(scope="module")
def plain():
    return runs_of(hill=FLAT)


def test_the_decay_reveals_progress_only_where_there_is_a_hill(valley, plain):
    assert judged("W1", runs=valley).verdict == "supported"
    assert judged("W1", runs=plain).verdict == "contradicted"


def test_rates_cross_where_the_hill_hides_the_faster_river(valley, plain):
    assert judged("W2", runs=runs_of(hill=2 * HILL)).verdict == "supported"
    assert judged("W2", runs=plain).verdict == "contradicted"


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
    verdict = judged("W9", runs=valley)
    assert verdict.verdict == "supported"
    total, lineage = ([part for part in verdict.parts if mode in part.label] for mode in ("total", "lineage"))
    assert [part.verdict for part in lineage] == ["reported", "reported"]
    assert max(part.estimate for part in total) < 0 < min(part.estimate for part in lineage)


def bowls(**best):
    """Final losses of each arm at three peaks a factor of 2 apart, lowest at the given power of 2."""
    return pd.DataFrame(
        {
            "run": f"{arm}-lr{2**power}",
            "arm": arm,
            "seed": seed,
            "lr": float(2**power),
            "step": 100,
            "steps": 10,
            "val_loss": (power - lowest - 0.02 * seed) ** 2,
        }
        for arm, lowest in best.items()
        for power in ((0, 1, 2) if arm == "wsd" else (1, 2, 3))
        for seed in range(5)
    )


def test_cosine_needs_a_higher_peak_than_wsd():
    runs = bowls(wsd=1.1, cosine=2.0)
    assert losses.notches(runs, 100).notches.to_list() == pytest.approx([0.9] * 5)
    assert judged("W13", runs=runs).verdict == "supported"
    assert judged("W13", runs=bowls(wsd=1.35, cosine=1.6)).verdict == "contradicted"


def by_peak(*rows):
    """Losses of one seed for each row, at peaks of 1, 2 and 4 after 100 updates."""
    return pd.DataFrame(
        {"budget": 100, "seed": seed, "lr": lr, "val_loss": loss}
        for seed, row in enumerate(rows)
        for lr, loss in zip((1.0, 2.0, 4.0), row, strict=True)
    )


def test_the_best_peak_lies_between_those_of_the_grid():
    curve = [(x - 1.25) ** 2 for x in (0, 1, 2)]
    found = losses.best_peaks(by_peak(curve, [1, 1, 3]), 100)
    assert found.peak.tolist() == pytest.approx([1.25, 0.0])
    assert found.inside.tolist() == [True, False], "of equal losses the first is the best one"


def test_a_best_peak_at_an_edge_of_its_grid_decides_nothing(valley):
    assert losses.best_peaks(by_peak([3, 2, 1]), 100).to_dict("records") == [{"peak": 2.0, "inside": False}]
    assert set(losses.notches(valley, 2400).notches) == {1.0}
    assert judged("W13", runs=valley).verdict == "undecided"


@pytest.mark.parametrize("name", ["W3a", "W4", "W8", "W9", "W10", "W11", "W12", "W15"])
def test_every_claim_on_runs_is_judged_also_where_there_is_next_to_no_hill(valley, plain, name):
    for runs in (valley, plain):
        assert judged(name, runs=runs).n == 5


def test_wsd_is_no_worse_where_it_is_better(valley):
    """The claim is one-sided: better by more than the margin supports it too."""
    better = valley.assign(val_loss=valley.val_loss - 0.1 * (valley.arm == "wsd"))
    assert judged("W8", runs=better).verdict == "supported"
    worse = valley.assign(val_loss=valley.val_loss + 0.5 * (valley.arm == "wsd"))
    assert judged("W8", runs=worse).verdict == "contradicted"


def test_a_cyclic_cosine_that_is_worse_at_one_budget_alone_is_not_enough(valley):
    shift = {1200: 0.5, 2400: 0.0}
    ends = valley.groupby(["run", "seed"]).step.transform("max")
    gap = pd.Series(0.0, index=valley.index)
    for budget, more in shift.items():
        cyclic, wsd_s = ((valley.arm == arm) & (ends == budget) for arm in ("cyclic", "wsd_s_lineage"))
        gap = gap.mask(cyclic, 2 + more - valley.val_loss).mask(wsd_s, 2 - valley.val_loss)
    noise = 1e-3 * (valley.seed - 2)
    verdict = judged("W10", runs=valley.assign(val_loss=valley.val_loss + gap + noise * (valley.arm == "cyclic")))
    assert (verdict.verdict, "budget 2400" in verdict.note) == ("undecided", True)


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
    """A fall of 0.1 asks for a gain of 0.025 in the middle; less is there, but weaker."""
    found = {middle: judged("W6a", interpolation=interpolation(middle)).verdict for middle in (0.05, 0.01, -0.01)}
    assert found == {0.05: "supported", 0.01: "weaker", -0.01: "contradicted"}


def test_path_of_decayed_checkpoints():
    assert judged("W6b", interpolation=interpolation(0.05)).verdict == "supported"
    bent = judged("W6b", interpolation=interpolation(0.05, decayed_bump=0.02))
    assert (bent.verdict, bent.label) == ("contradicted", "") and "above the chord to 1200" in bent.note


def entropy(top):
    """Gains by bucket of three seeds: so much in each of the four most uncertain ones in the decay, 0.5 elsewhere."""
    return pd.DataFrame(
        {"seed": seed, "phase": phase, "bucket": bucket, "entropy": bucket, "gain": gain + 0.01 * seed * (bucket == 11)}
        for seed in range(3)
        for phase in ("stable", "decay")
        for bucket in range(12)
        for gain in [top if bucket >= 8 and phase == "decay" else 0.5]
    )


def test_top_third_of_the_entropy():
    assert verdicts.top_third(entropy(3.0), "decay")[0] == pytest.approx(12 / 16)


@pytest.mark.parametrize(("top", "expected"), [(3.0, "supported"), (0.7, "weaker"), (0.2, "contradicted")])
def test_uncertain_bytes_gain_mainly_or_more_than_their_share_or_less(top, expected):
    assert judged("W7b", entropy=entropy(top)).verdict == expected
