"""Claims: the way from a decorated function to claims.json and the scoreboard."""

import json
import math
from types import ModuleType

import pandas as pd
import pytest

from common.evidence import claims
from common.evidence.claims import claim, judge
from common.evidence.verdicts import Verdict, all_of, any_of, exact, greater, number, reported


def over(values, **options):
    """The claim that the mean is above 0."""
    return greater(values, than=0.0, unit="nats", **options)


RUNS = pd.DataFrame({"run": ["a-s0", "a-s0", "a-s1", "a-s2"], "seed": [0, 0, 1, 2], "gap": [0.04, 0.04, 0.05, 0.06]})


def gap(runs):
    return runs.drop_duplicates("seed").set_index("seed").gap


@claim("C2", "the gap | is large", source="A 2024", published="0.1", published_mark="recalled", seeds=3)
def first_claim(runs):
    return greater(gap(runs), than=0.03, unit="nats")


@claim("C1", "two budgets agree", source="B 2025", published="", published_mark="none")
def second_claim(runs):
    return any_of(over(gap(runs)[:2], label="budget 1"), all_of(over(gap(runs)), reported([1.0], unit="nats")))


@claim("C9", "the gap is measured", source="ours", published="", published_mark="none", seeds=1)
def third_claim(runs):
    return reported(gap(runs)[:1], unit="nats")


def study_module(**members):
    module = ModuleType("studies.toy.claims")
    vars(module).update({"pd": pd, "claim": claim, "gap": gap, **members})
    return module


def test_a_module_is_judged_in_the_order_of_its_claims():
    judged = judge(study_module(first=first_claim, second=second_claim), RUNS)
    assert [item.id for item in judged] == ["C2", "C1"]
    assert judged[0].verdict == first_claim(RUNS)
    assert judged[0].runs == 3


def test_modules_share_no_claims():
    assert len(judge(study_module(first=first_claim), RUNS)) == 1
    assert len(judge(study_module(second=second_claim), RUNS)) == 1


def test_no_claim_a_repeated_id_and_a_missing_return_are_errors():
    with pytest.raises(ValueError, match="there is no claim"):
        judge(study_module(), RUNS)
    with pytest.raises(ValueError, match="claim C2 is defined twice"):
        judge([first_claim, first_claim], RUNS)
    forgotten = claim("C3", "nothing", source="", published="", published_mark="none")(lambda runs: None)
    with pytest.raises(ValueError, match="claim C3 returned None"):
        judge([forgotten], RUNS)


def test_an_error_in_a_claim_names_the_claim():
    broken = RUNS.assign(gap=[0.04, 0.04, math.nan, 0.06])
    with pytest.raises(ValueError, match="seed 1 has nan") as caught:
        judge([first_claim], broken)
    assert "while judging claim C2" in caught.value.__notes__[0]


@claim("C4", "the valley is straight", source="ours", published="", published_mark="none", seeds=1)
def measured_claim(valley):
    return exact(valley.bend, high=0.5, unit="")


@claim("C5", "the gap needs a valley", source="ours", published="", published_mark="none", seeds=3)
def mixed_claim(runs, valley):
    return greater(gap(runs), than=valley.bend.max(), unit="nats")


def test_the_parameters_of_a_claim_name_its_tables():
    valley = pd.DataFrame({"bend": [0.01, 0.02]})
    judged = judge([first_claim, measured_claim, mixed_claim], RUNS, valley=valley)
    assert [(item.id, item.runs, item.verdict.n) for item in judged] == [("C2", 3, 3), ("C4", 0, 2), ("C5", 3, 3)]
    assert judged[2].verdict.threshold == (0.02, None)


def test_a_sentence_has_the_verdict_our_number_and_the_papers():
    assert claims.sentence(first_claim, RUNS) == "C2 undecided\n0.0500 nats [0.0252, 0.0748; n = 3]\npaper: 0.1"
    assert claims.sentence(third_claim, RUNS).splitlines() == ["C9 reported", "0.0400 nats [no interval, n = 1]"]


def test_a_missing_table_is_named():
    with pytest.raises(LookupError, match="claim C4 needs the table 'valley'; given: runs"):
        judge([measured_claim], RUNS)


@pytest.mark.parametrize(("published", "mark"), [("0.1", "none"), ("", "published")])
def test_a_number_and_its_mark_belong_together(published, mark):
    with pytest.raises(ValueError, match="does not fit published_mark"):
        claim("C1", "x", source="", published=published, published_mark=mark)


def test_a_claim_without_a_number_of_a_paper_says_nothing_of_it():
    ours = claim("C1", "x", source="ours")(third_claim.decide)
    assert (ours.published, ours.published_mark, ours.seeds) == ("", "none", 5)


def test_shortfalls_look_at_every_part():
    assert claims.shortfalls(judge([first_claim, second_claim], RUNS)) == ["C1 asks for 5 seeds and has 1"]


@pytest.fixture
def path(tmp_path):
    judged = judge([first_claim, second_claim, third_claim], RUNS)
    claims.write(judged, tmp_path / "claims.json", study="toy", question="Does it?")
    return tmp_path / "claims.json"


def test_round_trip(path):
    report = claims.read(path)
    assert (report.study, report.question) == ("toy", "Does it?")
    assert list(report.judged) == judge([first_claim, second_claim, third_claim], RUNS)
    assert all(isinstance(part, Verdict) for item in report.judged for part in item.verdict.parts)


def test_equal_verdicts_give_equal_bytes(path, tmp_path):
    report = claims.read(path)
    claims.write(report.judged, tmp_path / "again.json", study=report.study, question=report.question)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_json_is_strict(path):
    def refuse(word):
        raise AssertionError(word)

    plain = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert plain["claims"][2]["verdict"]["low"] is None
    with pytest.raises(ValueError):
        claims.write([], path, study=math.nan, question="")


def test_scoreboard(path):
    text = claims.scoreboard([path])
    lines = text.splitlines()
    assert lines[2] == "3 claims: 1 supported, 0 contradicted, 1 undecided, 1 reported."
    assert "## toy" in lines and "Does it?" in lines
    rows = [line for line in lines if line.startswith("| C")]
    assert rows[0] == (
        r"| C2 | the gap \| is large | 0.1 (recalled, A 2024) | 0.0500 nats [0.0252, 0.0748; n = 3] "
        "| 95 % interval above 0.03 nats | **undecided** |"
    )
    assert "[no interval, n = 1]" in rows[2]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.99999, "1.00"),
        (999.6, "1000"),
        (-0.00123456, "-0.00123"),
        (1234567.0, "1.23e+06"),
        (12.345, "12.3"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text
