"""Verdicts: rules by hand, and calibration on simulated studies."""

import dataclasses
import json
import math
from collections import Counter
from zlib import crc32

import numpy as np
import pytest

from common.evidence import verdicts
from common.evidence.combinations import all_of, any_of, crossover
from common.evidence.readings import MEAN, RATIO, SHARE
from common.evidence.verdicts import equivalence, exact, greater, less, proportion, reported, within

STUDIES = 2000
SIZES = (3, 5, 8)
NOMINAL = 0.025
MONTE_CARLO = 4 * math.sqrt(NOMINAL * (1 - NOMINAL) / STUDIES)
"""Four standard errors of a rate of 2.5 % over 2000 studies, 1.4 %: three would be exceeded by chance in 36 checks."""

UP = (0.04, 0.05, 0.06)
DOWN = (-0.04, -0.05, -0.06)
UNCLEAR = (-0.04, 0.01, 0.05)


def over(values, **options):
    """The claim that the mean is above 0."""
    return greater(values, than=0.0, unit="nats", **options)


# Single rules by hand


@pytest.mark.parametrize(
    ("rule", "supported", "contradicted"),
    [
        (lambda values: greater(values, than=1.0, unit=""), [1.3, 1.4, 1.5], [0.6, 0.7, 0.8]),
        (lambda values: less(values, than=1.0, unit=""), [0.5, 0.6, 0.7], [1.3, 1.4, 1.5]),
        (lambda values: equivalence(values, margin=0.5, unit=""), [-0.1, 0.0, 0.1], [-0.8, -0.9, -1.0]),
        (lambda values: within(values, low=-1.1, high=-0.9, unit=""), [-0.99, -1.0, -1.01], [0.9, 1.0, 1.1]),
    ],
)
def test_verdict_follows_the_interval(rule, supported, contradicted):
    assert rule(supported).verdict == "supported"
    assert rule(contradicted).verdict == "contradicted"
    assert rule([-3.0, 1.0, 3.0]).verdict == "undecided"


def test_fields_of_a_verdict():
    verdict = greater({0: 1.0, 1: 2.0, 2: 3.0}, than=-1, unit="nats/byte")
    assert verdict.rule == "95 % interval above -1 nats/byte"
    assert (verdict.estimate, verdict.n, verdict.unit, verdict.threshold) == (2.0, 3, "nats/byte", (-1.0, None))
    assert verdict.low == pytest.approx(2 - 4.302653 / math.sqrt(3), rel=1e-6)
    assert verdict.values == (1.0, 2.0, 3.0)
    assert equivalence(UP, margin=0.02, unit="nats").rule == "95 % interval within ±0.02 nats"
    assert within(UP, low=0.9, high=1.1, unit="").rule == "95 % interval within [0.9, 1.1]"


def test_exact_values_are_inside_or_they_are_not():
    inside = exact({"a": 0.1, "b": -0.1}, low=-0.1, high=0.1, unit="nats")
    assert (inside.verdict, inside.low, inside.high, inside.n) == ("supported", -0.1, 0.1, 2)
    assert inside.rule == "every value within ±0.1 nats"
    assert exact([0.1, 0.2], low=0.15, unit="nats").verdict == "contradicted"
    assert exact([0.2], low=0.15, unit="nats").verdict == "supported"
    assert all_of(exact([0.2], low=0.15, unit=""), over(UP)).verdict == "supported"


def test_exact_values_may_lie_on_their_bound():
    assert exact([1.0, 0.5], high=1.0, unit="").verdict == "supported"
    assert exact([1.0, 1.5], high=1.0, unit="").verdict == "contradicted"


def test_exact_values_need_a_bound():
    with pytest.raises(ValueError, match="give at least one of the two"):
        exact([0.1], unit="nats")


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_seeds_are_undecided(n):
    verdict = greater([100.0] * n, than=0.0, unit="")
    assert (verdict.verdict, verdict.note) == ("undecided", f"too few seeds: {n} of 3")
    assert greater([100.0, 101.0, 99.0], than=0.0, unit="", minimum=5).note == "too few seeds: 3 of 5"


def test_one_seed_has_no_interval():
    verdict = reported([0.3], unit="nats")
    assert (verdict.verdict, verdict.estimate, verdict.low, verdict.high) == ("reported", 0.3, None, None)


def test_a_threshold_belongs_to_neither_side_but_a_band_to_its_ends():
    assert greater([1, 1, 1], than=1, unit="").verdict == "undecided"
    assert less([1, 1, 1], than=1, unit="").verdict == "undecided"
    assert within([1, 1, 1], low=0, high=1, unit="").verdict == "supported"
    assert "no width" in within([1, 1, 1], low=0, high=1, unit="").note


def test_equivalence_is_not_the_absence_of_a_difference():
    assert equivalence([-0.3, 0.0, 0.3], margin=0.02, unit="").verdict == "undecided"


def test_proportion_needs_many_runs():
    assert proportion([1] * 71, above=0.95).verdict == "undecided"
    assert proportion([1] * 72, above=0.95).verdict == "supported"
    assert proportion([0] * 20, above=0.5).verdict == "contradicted"
    assert proportion([True, False] * 50, above=0.3, below=0.7).verdict == "supported"


@pytest.mark.parametrize("bad", [math.nan, None, math.inf])
def test_a_diverged_run_is_an_error_that_names_it(bad):
    for rule in (over, lambda values: reported(values, unit=""), lambda values: proportion(values, above=0.1)):
        with pytest.raises(ValueError, match="seed 2 has"):
            rule({0: 1, 1: 1, 2: bad})


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: greater(UP, than=math.nan, unit=""), "threshold nan must be a finite number"),
        (lambda: equivalence(UP, margin=0.0, unit=""), r"margin=0\.0 must be greater than 0"),
        (lambda: within(UP, low=1, high=1, unit=""), "low=1 must be less than high=1"),
        (lambda: proportion([1, 0]), "give at least one"),
        (all_of, "no part can decide"),
        (lambda: any_of(reported(UP, unit="")), "no part can decide"),
        (lambda: crossover({}, {}, unit=""), "at least one"),
        (lambda: crossover({(1, 2): UP}, {(1, 3): UP}, unit=""), "both need the same"),
    ],
)
def test_senseless_rules_are_refused(call, rule):
    with pytest.raises(ValueError, match=rule):
        call()


# Combined rules by hand


@pytest.mark.parametrize(
    ("parts", "every", "some"),
    [
        ((UP, UP), "supported", "supported"),
        ((UP, UNCLEAR), "undecided", "supported"),
        ((UP, DOWN), "contradicted", "supported"),
        ((UNCLEAR, DOWN), "contradicted", "undecided"),
        ((DOWN, DOWN), "contradicted", "contradicted"),
        ((UNCLEAR, UNCLEAR), "undecided", "undecided"),
    ],
)
def test_combinations(parts, every, some):
    verdicts = [over(values) for values in parts]
    assert all_of(*verdicts).verdict == every
    assert any_of(*verdicts).verdict == some


def test_a_combined_claim_shows_the_part_that_decides():
    weak, strong = over((0.01, 0.05, 0.06), label="budget 1"), over(UP, label="budget 2")
    both, either = all_of(strong, weak), any_of(weak, strong)
    assert (both.estimate, both.note) == (weak.estimate, "decided by budget 1")
    assert (either.estimate, either.note) == (strong.estimate, "decided by budget 2")
    assert all_of(strong, over(DOWN, label="budget 3"), weak).note == "decided by budget 3"
    assert all_of(over(UP), over(DOWN)).note == "decided by part 2"
    assert both.parts == (strong, weak)


def test_too_few_seeds_of_one_part_are_told_by_the_whole():
    whole = all_of(over(UP), over((1.0, 2.0), label="budget 2"))
    assert (whole.verdict, whole.note) == ("undecided", "decided by budget 2; too few seeds: 2 of 3")


def test_reported_parts_are_kept_and_decide_nothing():
    whole = all_of(over(UP), reported(DOWN, unit="nats"))
    assert whole.verdict == "supported"
    assert [part.verdict for part in whole.parts] == ["supported", "reported"]


def test_any_of_widens_the_intervals_of_its_parts():
    borderline = (0.004, 0.05, 0.06, 0.03, 0.01)
    assert over(borderline).verdict == "supported"
    whole = any_of(over(borderline), over(UNCLEAR), over(UNCLEAR), over(UNCLEAR))
    assert whole.verdict == "undecided"
    assert {part.confidence for part in whole.parts} == {1 - 0.05 / 4}
    assert whole.rule == "any of 4 (Bonferroni): 98.8 % interval above 0 nats"


def test_nested_combinations_multiply_their_corrections():
    inner = any_of(over(UP), over(UP))
    outer = any_of(inner, all_of(over(UP), over(UP)), over(UP))
    leaves = list(verdicts.leaves(outer))
    assert [leaf.confidence for leaf in leaves] == pytest.approx([1 - 0.05 / 6] * 2 + [1 - 0.05 / 3] * 3)


def test_crossover_by_hand():
    cross = crossover({(1e-3, 2e-3): UP}, {(1e-3, 2e-3): DOWN}, unit="nats")
    assert cross.verdict == "supported"
    assert crossover({"ab": DOWN}, {"ab": UP}, unit="nats").verdict == "supported"
    assert crossover({"ab": UP}, {"ab": UP}, unit="nats").verdict == "contradicted"
    assert crossover({"ab": DOWN}, {"ab": DOWN}, unit="nats").verdict == "contradicted"
    assert crossover({"ab": UP}, {"ab": UNCLEAR}, unit="nats").verdict == "undecided"
    assert crossover({"ab": UNCLEAR}, {"ab": UP}, unit="nats").verdict == "undecided"
    assert cross.parts[0].label == "0.001 against 0.002"
    assert [leaf.label for leaf in verdicts.leaves(cross)] == [
        "0.001 against 0.002, before",
        "0.001 against 0.002, after",
    ]


def test_crossover_looks_for_some_pair_and_corrects_for_their_number():
    mixed = crossover({"ab": UP, "ac": UP, "bc": UNCLEAR}, {"ab": UP, "ac": DOWN, "bc": UP}, unit="nats")
    assert mixed.verdict == "supported" and mixed.note == "decided by ac, after"
    assert {leaf.confidence for leaf in verdicts.leaves(mixed)} == {1 - 0.05 / 3}
    kept = crossover({"ab": UP, "ac": DOWN}, {"ab": UP, "ac": DOWN}, unit="nats")
    assert kept.verdict == "contradicted"
    assert crossover({"ab": UP, "ac": UNCLEAR}, {"ab": UP, "ac": DOWN}, unit="nats").verdict == "undecided"


# Calibration: `rule(draw)` judges one simulated study, `draw(k)` gives fresh noise around a true mean


def _pairs(draw, before, after):
    names = [f"pair {k}" for k in range(len(before))]
    return crossover(
        {name: draw(mean) for name, mean in zip(names, before, strict=True)},
        {name: draw(mean) for name, mean in zip(names, after, strict=True)},
        unit="",
    )


BOUNDARY = {
    "greater": lambda draw: greater(draw(0.3), than=0.3, unit=""),
    "less": lambda draw: less(draw(0.3), than=0.3, unit=""),
    "equivalence": lambda draw: equivalence(draw(9.0), margin=9.0, unit=""),
    "within": lambda draw: within(draw(-9.0), low=-9.0, high=9.0, unit=""),
    "crossover": lambda draw: _pairs(draw, [50, 50], [0, 0]),
    "all_of": lambda draw: all_of(over(draw(0)), over(draw(50))),
    "any_of": lambda draw: any_of(over(draw(0)), over(draw(0)), over(draw(0))),
}
"""The truth lies on the threshold (the others far on the claimed side): the worst case of each rule."""

NO_EFFECT = {
    "greater": lambda draw: greater(draw(0), than=0.3, unit=""),
    "less": lambda draw: less(draw(0), than=-0.3, unit=""),
    "equivalence": lambda draw: equivalence(draw(12.0), margin=9.0, unit=""),
    "within": lambda draw: within(draw(0), low=0.5, high=1.5, unit=""),
    "crossover": lambda draw: _pairs(draw, [0, 0], [0, 0]),
    "all_of": lambda draw: all_of(over(draw(0)), over(draw(0))),
    "any_of": lambda draw: any_of(over(draw(-0.3)), over(draw(-0.3))),
}
"""What the claim says is not there at all."""


def rates(rule, n, name, *, studies=STUDIES):
    """Share of each verdict among simulated studies with n seeds and noise of standard deviation 1."""
    rng = np.random.default_rng([n, crc32(name.encode())])
    noise = iter(rng.normal(0, 1, (studies * 4, n)).tolist())

    def draw(mean):
        return [mean + number for number in next(noise)]

    counts = Counter(rule(draw).verdict for _ in range(studies))
    return {outcome: counts[outcome] / studies for outcome in verdicts.OUTCOMES}


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", BOUNDARY)
def test_false_support_at_the_boundary(name, n):
    measured = rates(BOUNDARY[name], n, f"boundary {name}")
    print(f"boundary {name} n={n}: {measured}")
    assert measured["supported"] <= NOMINAL + MONTE_CARLO


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", NO_EFFECT)
def test_false_support_without_effect(name, n):
    measured = rates(NO_EFFECT[name], n, f"no effect {name}")
    print(f"no effect {name} n={n}: {measured}")
    assert measured["supported"] <= NOMINAL + MONTE_CARLO


@pytest.mark.parametrize("n", SIZES)
def test_the_calibration_would_notice_a_missing_correction(n):
    def uncorrected(draw):
        return max((over(draw(0)) for _ in range(4)), key=lambda part: part.verdict == "supported")

    assert rates(uncorrected, n, "uncorrected")["supported"] > 0.05 + MONTE_CARLO


@pytest.mark.parametrize("n", SIZES)
def test_at_the_boundary_both_sides_are_equally_rare(n):
    measured = rates(BOUNDARY["greater"], n, "two sides")
    assert measured["supported"] == pytest.approx(NOMINAL, abs=MONTE_CARLO)
    assert measured["contradicted"] == pytest.approx(NOMINAL, abs=MONTE_CARLO)


LARGE = {
    "greater": lambda draw: greater(draw(4), than=0, unit=""),
    "less": lambda draw: less(draw(-4), than=0, unit=""),
    "equivalence": lambda draw: equivalence(draw(0), margin=5, unit=""),
    "within": lambda draw: within(draw(0), low=-5, high=5, unit=""),
    "crossover": lambda draw: _pairs(draw, [6, 1], [-6, 1]),
    "all_of": lambda draw: all_of(over(draw(4)), over(draw(5))),
    "any_of": lambda draw: any_of(over(draw(0)), over(draw(6))),
}
"""Effects of four to six standard deviations of a single seed, as paired differences of schedules have."""


@pytest.mark.parametrize("name", LARGE)
def test_five_seeds_support_a_large_effect(name):
    measured = rates(LARGE[name], 5, f"power {name}", studies=400)
    print(f"power {name}: {measured}")
    assert measured["supported"] >= 0.95


def test_five_seeds_contradict_the_opposite_of_a_large_effect():
    opposite = {
        "greater": lambda draw: over(draw(-4)),
        "equivalence": lambda draw: equivalence(draw(6), margin=1, unit=""),
        "crossover": lambda draw: _pairs(draw, [6, 6], [6, 6]),
        "all_of": lambda draw: all_of(over(draw(4)), over(draw(-4))),
        "any_of": lambda draw: any_of(over(draw(-6)), over(draw(-6))),
    }
    for name, rule in opposite.items():
        assert rates(rule, 5, f"opposite {name}", studies=200)["contradicted"] >= 0.95


@pytest.mark.parametrize("n", SIZES)
def test_equivalence_is_never_supported_by_a_wide_interval(n):
    margin = 0.5
    for values in np.random.default_rng(n).normal(0, 1, (STUDIES, n)).tolist():
        verdict = equivalence(values, margin=margin, unit="")
        if verdict.high - verdict.low > 2 * margin:
            assert verdict.verdict != "supported"


# Two answers


@pytest.mark.parametrize(
    ("values", "word", "direction", "size"),
    [
        ((1.4, 1.5, 1.6), "supported", "confirmed", "reaches the bar"),
        ((0.3, 0.4, 0.5), "weaker", "confirmed", "smaller here"),
        ((0.2, 1.2, 1.9), "undecided", "unclear", "unclear"),
        ((0.8, 1.0, 1.2), "undecided", "confirmed", "unclear"),
        ((-0.3, -0.4, -0.5), "contradicted", "reversed", "smaller here"),
        ((-0.01, 0.0, 0.01), "contradicted", "absent", "smaller here"),
        ((-0.2, 0.0, 0.2), "undecided", "unclear", "smaller here"),
    ],
)
def test_direction_and_size_and_the_word_that_follows(values, word, direction, size):
    over_bar = greater(values, than=1.0, null=0.0, negligible=0.05, unit="")
    assert (over_bar.verdict, over_bar.direction, over_bar.size) == (word, direction, size)
    mirrored = less([-value for value in values], than=-1.0, null=0.0, negligible=0.05, unit="")
    assert (mirrored.verdict, mirrored.direction, mirrored.size) == (word, direction, size)


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ((1.9, 2.0, 2.1), "as published"),
        ((0.75, 0.8, 0.85), "smaller here"),
        ((4.7, 4.8, 4.9), "larger here"),
        ((3.5, 4.0, 4.5), "unclear"),
    ],
)
def test_a_size_agrees_with_the_papers_number_within_a_factor(values, size):
    assert greater(values, than=0.5, null=0.0, published=2.0, unit="").size == size
    assert less([-value for value in values], than=-0.5, null=0.0, published=-2.0, unit="").size == size


def test_a_band_has_a_size_and_no_direction():
    found = within([0.1, 0.2, 0.3], low=1, high=2, unit="")
    assert (found.verdict, found.direction, found.size) == ("contradicted", "none", "smaller here")
    assert within([3.1, 3.2, 3.3], low=1, high=2, unit="").size == "larger here"


def test_a_claim_of_all_is_weaker_if_one_part_is_and_all_have_the_direction():
    small, large = (greater(values, than=1.0, null=0.0, unit="") for values in ((0.3, 0.31, 0.32), (1.5, 1.51, 1.52)))
    assert all_of(small, large).verdict == "weaker" and all_of(small, large).direction == "confirmed"
    assert any_of(small, large).verdict == "supported" and any_of(small, small).verdict == "weaker"
    assert all_of(small, over(UNCLEAR)).verdict == "undecided"
    assert all_of(small, over(DOWN)).verdict == "contradicted"


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: greater(UP, than=0.0, null=1.0, unit=""), "null=1 lies on the claimed side of the threshold 0"),
        (lambda: less(UP, than=0.0, null=-1.0, unit=""), "null=-1 lies on the claimed side"),
        (lambda: greater(UP, than=0.0, published=-1.0, unit=""), "published=-1 is not on the claimed side of null=0"),
        (lambda: greater(UP, than=0.0, factor=1.0, unit=""), "factor=1.0 more than 1"),
        (lambda: greater(UP, than=0.0, null=math.inf, unit=""), "must be a finite number"),
        (lambda: greater(DOWN, than=0.0, unit="", reading=RATIO), "a ratio is positive"),
        (lambda: dataclasses.replace(RATIO, tail="up"), "is of a mean"),
        (lambda: dataclasses.replace(SHARE, spread=1.0), "a share has neither"),
        (lambda: greater(UP, than=0.0, unit="", reading=dataclasses.replace(MEAN, spread=-1.0)), "at least 0"),
    ],
)
def test_senseless_answers_are_refused(call, rule):
    with pytest.raises(ValueError, match=rule):
        call()


def test_a_known_tail_leaves_its_side_open():
    up = dataclasses.replace(MEAN, tail="up")
    assert over((0.04, 0.05, 0.06), reading=up).verdict == "supported", "few seeds can only miss larger values"
    below = less((-0.04, -0.05, -0.06), than=0.0, unit="", reading=up)
    assert (below.verdict, below.high, below.note) == ("undecided", None, "a tail up may be unseen")
    known = dataclasses.replace(up, spread=0.01)
    assert less((-0.04, -0.05, -0.06), than=0.0, unit="", reading=known).verdict == "supported"


def test_what_is_withheld_or_censored_decides_nothing():
    found = verdicts.withheld(over(UP), "the grid ends there")
    assert (found.verdict, found.direction, found.note) == ("undecided", "unclear", "the grid ends there")
    assert all_of(over(UP), found).verdict == "undecided" and any_of(over(DOWN), found).verdict == "undecided"
    times = verdicts.unless_censored(over(UP), {0: 0.0, 1: 1.0, 2: 0.0})
    assert (times.verdict, times.note) == ("undecided", "1 of 3 values are only bounds")
    assert verdicts.unless_censored(over(UP), {0: 0.0, 1: 0.0, 2: 0.0}).verdict == "supported"


def test_a_verdict_reads_back_from_json():
    whole = all_of(over(UP, label="a"), any_of(over(UP), over(DOWN)), within(UP, low=0, high=1, unit=""))
    assert verdicts.Verdict.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
