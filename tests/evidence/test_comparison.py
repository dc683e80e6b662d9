"""Verdicts of two builds beside each other."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from common.evidence import claims, committed, compare, comparison, replications
from common.evidence.claims import Judged
from common.evidence.combinations import all_of
from common.evidence.comparison import shift_of, standard_error
from common.evidence.readings import MEAN, RATIO
from common.evidence.replications import Replication
from common.evidence.verdicts import exact, greater, less
from tests.repository import ROOT

HIGH, LOW = [1.0, 1.1, 1.2, 1.1], [-1.0, -1.1, -1.2, -1.1]
WIDE = [0.1, 1.9, 0.2, 1.8]


def over(values, **options):
    """The claim that the mean is above 0."""
    return greater(values, than=0.0, unit="nats", **options)


def test_equal_builds_agree():
    found = comparison.compare("X1", over(HIGH), over(HIGH))
    assert (found.same, found.shift, found.flip) == (True, 0.0, False) and found.expected > 0.95


def test_a_reversed_word_is_a_flip_and_one_that_becomes_undecided_is_none():
    assert comparison.compare("X1", over(HIGH), over(LOW)).flip
    changed = comparison.compare("X1", over(HIGH), over(WIDE))
    assert (changed.same, changed.flip) == (False, False) and abs(changed.shift) < 1
    assert not comparison.compare("X1", over(WIDE), over(HIGH)).flip


def test_estimates_more_than_three_joint_errors_apart_are_a_flip_even_with_equal_words():
    moved = comparison.compare("X1", over(HIGH), over([value + 1 for value in HIGH]))
    assert moved.same and moved.flip and moved.shift > comparison.FAR


def test_the_error_is_that_of_the_mean_and_shifts_are_in_joint_ones():
    verdict = over([1.0, 2.0, 3.0])
    assert standard_error(verdict) == pytest.approx(1 / 3**0.5)
    assert shift_of(verdict, over([3.0, 4.0, 5.0])) == pytest.approx(2 / (2 / 3) ** 0.5)
    assert standard_error(exact([1.0], low=0.0, unit="")) is None and standard_error(over([1.0])) is None


def test_ratios_are_compared_by_their_logarithms():
    def ratio(values):
        return greater(values, than=1.0, unit="x", reading=RATIO)

    assert standard_error(ratio([1.0, 2.0, 4.0])) == pytest.approx(0.6931472 / 3**0.5)
    assert shift_of(ratio([1.0, 2.0, 4.0]), ratio([2.0, 4.0, 8.0])) == pytest.approx(
        0.6931472 / (0.4804530 * 2 / 3) ** 0.5
    )


def test_of_a_combined_claim_the_part_that_decided_is_followed():
    before = all_of(over(HIGH, label="a"), over([0.05, 0.15, 0.12, 0.09], label="b"))
    after = all_of(over([0.01, 0.1, 0.02, 0.09], label="a"), over([0.05, 0.15, 0.12, 0.09], label="b"))
    assert before.estimate == pytest.approx(0.1025) and after.estimate == pytest.approx(0.055)
    assert comparison.compare("X1", before, after).shift == 0


def judged(verdict, name="X1"):
    return Judged(
        id=name,
        statement="it is",
        kind="ours",
        source="ours",
        published="",
        mark="none",
        seeds=4,
        caveat="",
        runs=4,
        verdict=verdict,
    )


def build(folder, **verdicts):
    (folder / "results/toy").mkdir(parents=True)
    items = [judged(verdict, name) for name, verdict in verdicts.items()]
    claims.write(items, folder / "results/toy/claims.json", study="toy", question="?")
    return folder


def test_the_command_says_what_changed_and_ends_with_one_after_a_flip(tmp_path):
    first = build(tmp_path / "first", X1=over(HIGH), X2=over(HIGH), X3=over(HIGH))
    second = build(tmp_path / "second", X1=over(HIGH), X2=over(WIDE), X9=over(HIGH))
    third = build(tmp_path / "third", X1=over(LOW))

    def run(*folders):
        command = [sys.executable, "-m", "common.evidence.compare", *map(str, folders)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    calm = run(first, second, "--json", tmp_path / "found.json")
    assert calm.returncode == 0, calm.stderr
    assert [line.split()[0] for line in calm.stdout.splitlines()] == ["claim", "toy/X1", "toy/X2"]
    assert calm.stdout.splitlines()[2].endswith("changed")
    assert [each["flip"] for each in json.loads((tmp_path / "found.json").read_text())] == [False, False]
    flipped = run(first, third)
    assert flipped.returncode == 1 and "FLIP" in flipped.stdout
    empty = run(first, tmp_path)
    assert empty.returncode == 1 and "neither results/*/claims.json nor" in empty.stderr


def test_the_text_that_both_are_evaluated_on_is_no_reason_to_differ():
    def noisy(values):
        return over(values, reading=replace(MEAN, shared_error=5.0))

    assert standard_error(noisy(HIGH)) == pytest.approx(standard_error(over(HIGH)))
    assert standard_error(noisy([1.0, 1.0])) == pytest.approx(0.0, abs=1e-6)


def test_fresh_seeds_are_judged_together_with_the_first():
    found = comparison.compare("X1", over(WIDE), over(HIGH), fresh=True)
    assert found.together == comparison.in_words(over([*WIDE, *HIGH])) and found.together.startswith("supported")
    both = all_of(over(WIDE, label="a"), exact([1.0], low=0.0, unit="", label="b"))
    joined = all_of(over(WIDE * 2, label="a"), exact([1.0], low=0.0, unit="", label="b"))
    assert comparison.together(both, both) == joined
    assert comparison.together(both, over(HIGH)) is None
    assert comparison.together(exact([1.0], low=0.0, unit=""), exact([1.0], low=0.0, unit="")) is None


def test_a_table_has_only_columns_in_which_something_stands():
    lines = comparison.table([comparison.compare("X1", over(HIGH), over(HIGH))]).splitlines()
    assert lines[0].split() == ["claim", "committed", "new", "shift", "expected", "again"]
    assert "together" in comparison.table([comparison.compare("X1", over(HIGH), over(WIDE), fresh=True)])


def test_committed_verdicts_are_compared_too(tmp_path):
    folder = tmp_path / "checkout/studies/toy"
    folder.mkdir(parents=True)
    kept = committed.Kept(verdict="supported", ours="so", details=over(HIGH).to_dict())
    committed.write(committed.Committed(2, "default", "c", "m", "", {}, {"X1": kept}), folder)
    [found] = compare.compare(tmp_path / "checkout", build(tmp_path / "build", X1=over(HIGH)))
    assert (found.id, found.same, found.shift) == ("toy/X1", True, 0.0)


def test_replications_read_back_in_order_and_damage_is_named(tmp_path):
    found = [comparison.compare("X1", over(HIGH), over(values)) for values in (HIGH, WIDE)]
    for number in (1, 2, 10):
        each = Replication(study="toy", number=number, commit="c", machine="m", claims=found)
        replications.write(each, tmp_path)
    assert [each.number for each in replications.read(tmp_path)] == [1, 2, 10]
    assert replications.next_number(tmp_path) == 11 and replications.next_number(tmp_path / "none") == 1
    assert each.summary.startswith("1 of 2 verdicts are the same; of 2 supported ones 1 are supported again, 2.0 were")
    (tmp_path / "replications/2.json").write_text("{}")
    with pytest.raises(ValueError, match=r"2\.json is no replication or is damaged"):
        replications.read(tmp_path)


def test_a_contradicted_claim_that_becomes_weaker_is_a_flip():
    def bar(values):
        return less(values, than=-2.0, null=0.0, unit="")

    assert (bar(HIGH).verdict, bar(LOW).verdict) == ("contradicted", "weaker")
    assert comparison.compare("X1", bar(HIGH), bar(LOW)).flip
