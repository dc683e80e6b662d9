"""The study's claims in a world where the river-valley picture holds, and in one where it does not."""

import numpy as np
import pandas as pd
import pytest

from common.pipeline.studies import Studies
from studies.wsd import losses, sizes, verdicts
from studies.wsd.study import HEADLINE, LENGTHS, PEAK, PEAKS, RUNGS, SHAPES
from tests.studies.wsd.world import runs_of

STUDY = Studies.load(block="written")["wsd"]
FLAT = 0.0
"""Without a hill constant learning rates hide nothing."""


def judged(name, **tables):
    """The verdict on a claim, with its settings."""
    claim = STUDY.claims[name]
    return getattr(verdicts, claim.verdict)(**tables, **claim.settings)


@pytest.fixture(scope="module")
def valley():
    return runs_of()


@pytest.fixture(scope="module")
def plain():
    return runs_of(hill=FLAT)


def test_the_decay_reveals_progress_only_where_there_is_a_hill(valley, plain):
    assert judged("W1", runs=valley).verdict == "supported"
    assert judged("W1", runs=plain).verdict == "undecided", "a fall of nothing, and the error of the text"
    assert judged("W1", runs=shifted(valley, "wsd", 0.3)).verdict == "contradicted"


def test_rates_cross_where_the_hill_hides_the_faster_river(valley, plain):
    assert judged("W2", runs=valley).verdict == "supported"
    assert judged("W2", runs=plain).verdict == "contradicted"


def test_the_clock_of_this_world_is_the_sum_of_rates(plain):
    assert judged("W4", runs=plain).verdict == "supported"
    slower = plain.assign(val_loss=plain.val_loss + 0.1 * ((plain.arm == "clock") & (plain.lr < PEAK)))
    assert judged("W4", runs=slower).verdict == "contradicted"


def test_a_constant_rate_is_the_mean_of_the_evaluations_nearest(valley):
    most = losses.longest(valley)
    trunk = valley[(valley.arm == "stable") & (valley.rung == HEADLINE) & (valley.lr == PEAK) & (valley.seed == 0)]
    seen = trunk[trunk.val_loss.notna()].set_index("step").val_loss
    near = [step for step in seen.index if abs(step - 0.9 * most) <= 0.021 * most]
    assert len(near) == 3
    assert losses.constant(valley, share=0.9)[0] == pytest.approx(seen[near].mean())
    assert losses.constant(valley)[0] == pytest.approx(seen.iloc[-3:].mean())


def bowls(*, peaks=(1.0, 2.0, 4.0), noise=0.02, **best):
    """Final losses of each arm at some peaks, lowest at the given power of 2."""
    return pd.DataFrame(
        {
            "run": f"{arm}-lr{peak}",
            "arm": arm,
            "rung": HEADLINE,
            "seed": seed,
            "lr": PEAK * peak,
            "step": 100,
            "steps": 10,
            "val_loss": (np.log2(peak) - lowest - noise * seed) ** 2 + level,
        }
        for arm, (lowest, level) in best.items()
        for peak in peaks
        for seed in range(5)
    )


def test_the_best_peak_and_its_loss_are_those_of_the_parabola_through_the_means():
    found = losses.best(bowls(wsd=(1.1, 0.3), noise=0.0))
    assert found.peak.to_list() == pytest.approx([1.1 + np.log2(PEAK)] * 5)
    assert found.loss.to_list() == pytest.approx([0.3] * 5)
    moved = losses.best(bowls(wsd=(1.1, 0.3), noise=0.1))
    assert moved.inside and moved.peak.mean() == pytest.approx(1.1 + 0.2 + np.log2(PEAK))
    assert moved.peak.diff().dropna().to_list() == pytest.approx([0.1] * 4), "bowls of equal width"


def test_the_best_of_noisy_runs_is_as_uncertain_as_it_scatters():
    """Runs that scatter alone, and with their seed: the error that is told is that of the estimate."""
    rng = np.random.default_rng(0)
    bowl = bowls(wsd=(1.1, 0.3), noise=0.0, peaks=(0.7, 1.0, 2.0, 4.0))
    estimates, errors = [], []
    for _ in range(300):
        noise = 0.02 * rng.standard_normal(len(bowl)) + 0.005 * rng.standard_normal(5)[bowl.seed]
        found = losses.best(bowl.assign(val_loss=bowl.val_loss + noise)).loss
        estimates.append(found.mean())
        errors.append(found.sem())
    assert np.mean(estimates) == pytest.approx(0.3, abs=2e-3)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(estimates), rel=0.15)


def test_a_best_peak_at_an_edge_is_told():
    assert not losses.best(bowls(wsd=(2.5, 0.3), noise=0.0)).inside
    assert judged("W13", runs=bowls(wsd_zero=(1.0, 0.0), cosine_zero=(2.5, 0.0))).verdict == "undecided"
    assert judged("W8", runs=bowls(wsd=(1.0, 0.0), cosine=(2.5, 0.0), noise=1e-3)).verdict == "undecided"


def test_cosine_needs_a_higher_peak_than_wsd():
    wide = {"peaks": (0.7, 1.0, 2.0, 4.0), "noise": 0.002}
    assert judged("W13", runs=bowls(wsd_zero=(0.3, 0.0), cosine_zero=(1.3, 0.0), **wide)).verdict == "supported"
    assert judged("W13", runs=bowls(wsd_zero=(1.0, 0.0), cosine_zero=(0.7, 0.0), **wide)).verdict == "contradicted"


@pytest.mark.parametrize(
    ("gap", "no_worse", "better"),
    [(-0.02, "supported", "supported"), (0.006, "supported", "contradicted"), (0.05, "contradicted", "contradicted")],
)
def test_no_worse_and_better_are_two_questions(gap, no_worse, better):
    rng = np.random.default_rng(0)
    runs = bowls(wsd=(1.0, 1 + gap), cosine=(1.0, 1.0))
    runs["val_loss"] += 1e-4 * rng.standard_normal(len(runs))
    assert (judged("W8", runs=runs).verdict, judged("W8a", runs=runs).verdict) == (no_worse, better)


def shifted(runs, arm, shift, *, budget=None):
    """Rows with the losses of the headline runs of an arm moved, those that end with a budget or all."""
    ends = runs.groupby("run").step.transform("max")
    chosen = (runs.arm == arm) & (runs.rung == HEADLINE) & ((ends == budget) if budget else True)
    return runs.assign(val_loss=runs.val_loss + shift * chosen)


def test_the_bound_has_the_cosine_below(valley):
    worse, better = (shifted(valley, "wsd", shift) for shift in (0.5, -0.5))
    assert judged("W17", runs=worse, records=STUDY.runs).verdict == "supported"
    assert judged("W17", runs=better, records=STUDY.runs).verdict == "contradicted"


def test_a_lead_that_shrinks_is_seen(valley):
    shortest, *_, most = losses.budgets_of(valley)
    even = valley.assign(val_loss=valley.val_loss.where(~valley.arm.isin(["wsd", "cosine"]), 2 + 1e-4 * valley.seed))
    even["val_loss"] += 1e-5 * np.random.default_rng(0).standard_normal(len(even))
    assert judged("W8b", runs=shifted(even, "cosine", 0.1, budget=shortest)).verdict == "supported"
    assert judged("W8b", runs=shifted(even, "cosine", 0.1, budget=most)).verdict == "contradicted"


@pytest.mark.parametrize(("name", "seeds"), [("W9", 10), ("W9a", 10), ("W10", 5), ("W11", 5), ("W12", 5), ("W15", 7)])
def test_every_claim_on_runs_is_judged_also_where_there_is_no_hill(valley, plain, name, seeds):
    for runs in (valley, plain):
        assert judged(name, runs=runs).n == seeds


def test_kept_decays_pay_for_themselves_in_total(valley):
    """Here the loss follows the sum of rates, and WSD-S adds its decays' to as many stable updates."""
    verdict = judged("W9", runs=valley)
    assert verdict.verdict == "supported" and len(verdict.parts) == 2
    assert max(part.estimate for part in verdict.parts) < 0
    assert judged("W9a", runs=valley).verdict == "supported"


def test_cooldowns_hold_every_shape_and_length(valley):
    arms = [arm for arm in valley.arm.dropna().unique() if arm.startswith(("wsd", "length", "shape_"))]
    table = losses.decays(valley, *(arm for arm in arms if arm not in ("wsd_s", "wsd_zero")))
    assert set(zip(table["shape"], table.share, strict=True)) == {
        *(("linear", share) for share in LENGTHS),
        *((shape, 0.2) for shape in SHAPES),
    }
    assert (table.groupby(["shape", "share"]).seed.nunique() >= 5).all()


def test_gains_are_measured_against_the_constant_rate(valley):
    gains = losses.length_gains(valley)
    expected = losses.paired(losses.constant(valley), losses.final(valley, "length20"))
    assert list(gains.index) == list(range(5)) and gains[0.2].to_numpy() == pytest.approx(expected.to_numpy())


def test_a_missing_run_is_named(valley):
    with pytest.raises(LookupError, match="arm 'wsd' has no run on 50k with budget 700"):
        losses.final(valley, "wsd", budget=700)
    with pytest.raises(LookupError, match="no trunk on 50k with lr=7"):
        losses.constant(valley, lr=7.0)


def test_a_fall_that_grows_with_the_size_is_seen(valley):
    trained = [rung.name for rung in RUNGS if not rung.large]
    factor = valley.rung.map({name: 1.0 + 0.03 * i for i, name in enumerate(trained)})
    hot = (valley.arm == "stable") & (valley.step > 0.9 * valley.groupby("run").step.transform("max"))
    flat = valley.assign(val_loss=1.0 + 1e-4 * valley.seed + 0.05 * hot)
    grown = flat.assign(val_loss=flat.val_loss.where(~hot, flat.val_loss * factor))
    shrunk = flat.assign(val_loss=flat.val_loss.where(~hot, flat.val_loss / factor))
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(valley))
    assert judged("W19", runs=grown.assign(val_loss=grown.val_loss + noise)).verdict == "supported"
    assert judged("W19", runs=shrunk.assign(val_loss=shrunk.val_loss + noise)).verdict == "contradicted"
    assert list(sizes.falls(grown)) == [rung.parameters for rung in RUNGS if not rung.large]


@pytest.mark.parametrize(("share", "expected"), [(0.9, "supported"), (0.2, "weaker"), (-0.2, "contradicted")])
def test_averages_recover_a_share_of_the_gain(valley, share, expected):
    means = losses.constant(valley) - share * losses.fall(valley)
    table = pd.DataFrame({"rung": HEADLINE, "seed": means.index, "weights": "uniform", "share": 0.2, "loss": means})
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(table))
    found = judged("W16", runs=valley, averaging=table.assign(loss=table.loss + noise))
    assert (found.verdict, found.parts[0].estimate) == (expected, pytest.approx(share, abs=0.01))


@pytest.mark.parametrize(("change", "expected"), [(-0.1, "supported"), (-0.01, "weaker"), (0.1, "contradicted")])
def test_averages_that_recover_less_on_larger_networks_are_seen(valley, change, expected):
    tables = []
    for i, rung in enumerate(rung for rung in RUNGS if not rung.large):
        means = losses.constant(valley, rung=rung.name) - (0.5 + change * i) * losses.fall(valley, rung.name)
        about = {"rung": rung.name, "weights": "uniform", "share": 0.2}
        tables.append(pd.DataFrame({**about, "seed": means.index, "loss": means + 1e-5 * means.index * i}))
    assert judged("W20", runs=valley, averaging=pd.concat(tables)).verdict == expected


def predictions(error, *, reverse=False):
    """Laws whose predictions are off by a share of the loss, in the right order or in the opposite one."""
    measured = np.linspace(1.6, 1.8, 10)
    offset = measured[::-1] if reverse else measured
    return pd.DataFrame(
        {
            "seed": seed,
            "law": law,
            "run": str(i),
            "held_out": i > 1,
            "lr": PEAK,
            "measured": m,
            "predicted": p * (1 + error) + 1e-4 * seed,
        }
        for law in ("multi-power", "annealing", "functional", "bound")
        for seed in range(5)
        for i, (m, p) in enumerate(zip(measured, offset, strict=True))
    )


def test_a_law_has_to_be_near_and_in_order():
    rng = np.random.default_rng(0)

    def noisy(laws):
        return laws.assign(predicted=laws.predicted + 0.005 * rng.standard_normal(len(laws)))

    assert judged("W18", laws=noisy(predictions(0.001))).verdict == "supported"
    assert judged("W18", laws=noisy(predictions(0.05))).verdict == "contradicted"
    assert judged("W18", laws=noisy(predictions(0.0, reverse=True))).verdict == "contradicted"


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
        {"seed": seed, "phase": phase, "bucket": bucket, "entropy": bucket, "gain": gain + 0.01 * seed * late}
        for seed in range(3)
        for phase in ("stable", "decay")
        for bucket in range(12)
        for late in [bucket == 11 and phase == "decay"]
        for gain in [top if bucket >= 8 and phase == "decay" else 0.5]
    )


def test_top_third_of_the_entropy():
    assert verdicts.top_third(entropy(3.0), "decay")[0] == pytest.approx(12 / 16)


@pytest.mark.parametrize(("top", "expected"), [(3.0, "supported"), (0.2, "contradicted")])
def test_the_decay_gains_more_than_their_share_on_uncertain_bytes_or_less(top, expected):
    assert judged("W7b", entropy=entropy(top)).verdict == expected


def test_peaks_are_on_the_grid_of_the_trunks():
    for rung in RUNGS:
        trunks = [run for run in STUDY.written.values() if run.arm == "stable" and run.rung == rung.name]
        assert PEAKS[rung.name] in [run.lr for run in trunks]
