"""Claims: the way from a claim and its function to a stored verdict, claims.json, and the scoreboard."""

import dataclasses
import json
import math

import pandas as pd
import pytest

from common.config import Claim, Select
from common.evidence import claims
from common.evidence.claims import SIGN, Judged, Statement, judge
from common.evidence.combinations import all_of, any_of
from common.evidence.verdicts import OUTCOMES, Verdict, exact, greater, number, reported


def over(values, **options):
    """The claim that the mean is above 0."""
    return greater(values, than=0.0, unit="nats", **options)


RUNS = pd.DataFrame({"run": ["a-s0", "a-s0", "a-s1", "a-s2"], "seed": [0, 0, 1, 2], "gap": [0.04, 0.04, 0.05, 0.06]})


def gap(runs):
    return runs.drop_duplicates("seed").set_index("seed").gap


def gap_is_large(runs):
    return greater(gap(runs), than=0.03, unit="nats")


def budgets_agree(runs):
    return any_of(over(gap(runs)[:2], label="budget 1"), all_of(over(gap(runs)), reported([1.0], unit="nats")))


def gap_is_measured(runs):
    return reported(gap(runs)[:1], unit="nats")


WRITTEN = {
    gap_is_large: Claim(
        "T2",
        "the gap | is large",
        verdict="gap_is_large",
        source="A 2024",
        published="0.1",
        mark="second-hand",
        seeds=3,
        runs=Select(),
    ),
    budgets_agree: Claim("T1", "two budgets agree", verdict="budgets_agree", source="B 2025", runs=Select()),
    gap_is_measured: Claim("T9", "the gap is measured", verdict="gap_is_measured", source="ours", seeds=1),
}
"""The claims of a study by the functions that judge them."""


def judged() -> list[Judged]:
    """The claims with their verdicts."""
    found = ((claim, judge(claim.name, decide, runs=RUNS)) for decide, claim in WRITTEN.items())
    return [Judged(**claim.words, runs=each.runs, verdict=each.verdict) for claim, each in found]


FIRST, SECOND, THIRD = judged()


def test_a_statement_is_what_a_claim_says_without_what_it_is_judged_on():
    statement = Statement(**WRITTEN[gap_is_large].words)
    assert dataclasses.asdict(statement) == {
        "id": "T2",
        "statement": "the gap | is large",
        "kind": "paper",
        "source": "A 2024",
        "published": "0.1",
        "mark": "second-hand",
        "seeds": 3,
        "caveat": "",
        "standing": "not registered",
        "because": "",
    }
    ours = Statement(**WRITTEN[budgets_agree].words)
    assert (ours.published, ours.mark, ours.seeds) == ("", "none", 5)


# Judging


def test_a_claim_is_judged_by_its_function_and_its_runs_are_counted():
    found = judge("T2", gap_is_large, runs=RUNS)
    assert found.verdict == gap_is_large(RUNS) and found.verdict.verdict == "undecided"
    assert found.runs == 3
    assert found == (found.verdict, 3)


def test_a_forgotten_return_is_told():
    with pytest.raises(ValueError, match=r"claim T3: forgotten returned None: return greater\(\.\.\.\) or another"):

        def forgotten(runs):
            greater(gap(runs), than=0.0, unit="")

        judge("T3", forgotten, runs=RUNS)


def test_an_error_in_a_function_names_the_claim_and_the_function():
    broken = RUNS.assign(gap=[0.04, 0.04, math.nan, 0.06])
    with pytest.raises(ValueError, match="seed 1 has nan") as caught:
        judge("T2", gap_is_large, runs=broken)
    assert caught.value.__notes__ == ["while judging claim T2, tests.evidence.test_claims.gap_is_large"]


def test_the_parameters_of_a_function_name_its_tables():
    def straight(valley):
        return exact(valley.bend, high=0.5, unit="")

    def mixed(runs, valley):
        return greater(gap(runs), than=valley.bend.max(), unit="nats")

    valley = pd.DataFrame({"bend": [0.01, 0.02]})
    assert judge("T4", straight, valley=valley).runs == 0
    found = judge("T5", mixed, valley=valley, runs=RUNS)
    assert (found.runs, found.verdict.n, found.verdict.threshold) == (3, 3, (0.02, None))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'valley'") as caught:
        judge("T5", mixed, runs=RUNS)
    assert "claim T5" in caught.value.__notes__[0]


def test_runs_of_several_tables_are_counted_once_each():
    def decide(runs, chains, records):
        return greater(gap(runs), than=0.0, unit="nats")

    chains = pd.DataFrame({"run": ["a-s2", "b-s0"]})
    assert judge("T6", decide, runs=RUNS, chains=chains, records={"a-s0": None}).runs == 4


# A verdict in a file of its own


def stored(tmp_path, verdict: Verdict, runs: int = 3):
    path = tmp_path / "T2.json"
    claims.keep("T2", claims.Found(verdict, runs), path)
    return path


@pytest.mark.parametrize("item", [FIRST, SECOND, THIRD], ids=lambda item: item.id)
def test_a_verdict_reads_back_with_the_words_of_its_claim(tmp_path, item):
    path = stored(tmp_path, item.verdict, item.runs)
    statement = Statement(**{field.name: getattr(item, field.name) for field in dataclasses.fields(Statement)})
    assert claims.kept(path, statement) == item
    assert [file.name for file in tmp_path.iterdir()] == ["T2.json"]


def test_the_words_of_a_claim_are_not_in_the_file_of_its_verdict(tmp_path):
    path = stored(tmp_path, FIRST.verdict)
    assert list(json.loads(path.read_text())) == ["id", "runs", "verdict"]
    reworded = dataclasses.replace(Statement(**WRITTEN[gap_is_large].words), statement="the gap is wide", seeds=7)
    found = claims.kept(path, reworded)
    assert (found.statement, found.seeds, found.verdict) == ("the gap is wide", 7, FIRST.verdict)


def test_equal_verdicts_are_kept_as_equal_bytes(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    first, second = (stored(tmp_path / name, SECOND.verdict) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes() and first.read_bytes().endswith(b"}\n")


DAMAGED = {
    "nothing": lambda text: "",
    "half of it": lambda text: text[: len(text) // 2],
    "not UTF-8": lambda text: b"\xff" + text.encode(),
    "a list": lambda text: "[1, 2]",
    "a number": lambda text: "3",
    "no count": lambda text: text.replace('"runs"', '"run"', 1),
    "no verdict": lambda text: json.dumps({"id": "T2", "runs": 3}),
    "empty verdict": lambda text: json.dumps({"id": "T2", "runs": 3, "verdict": None}),
    "verdict in a word": lambda text: json.dumps({"id": "T2", "runs": 3, "verdict": "supported"}),
    "verdict without its rule": lambda text: text.replace('"rule"', '"rules"'),
    "verdict of parts that are none": lambda text: text.replace('"parts": []', '"parts": [3]'),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_verdict_is_named_and_what_to_do(tmp_path, case):
    path = stored(tmp_path, FIRST.verdict)
    damaged = DAMAGED[case](path.read_text())
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    with pytest.raises(ValueError, match=r"T2\.json is no verdict or is damaged \(.+\); delete it and run again$"):
        claims.kept(path, Statement(**WRITTEN[gap_is_large].words))


def test_a_verdict_that_was_never_judged_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"T2\.json"):
        claims.kept(tmp_path / "T2.json", Statement(**WRITTEN[gap_is_large].words))


# All claims of a study


@pytest.fixture
def path(tmp_path):
    claims.write(judged(), tmp_path / "claims.json", study="toy", question="Does it?")
    return tmp_path / "claims.json"


def test_round_trip(path):
    report = claims.read(path)
    assert (report.study, report.question) == ("toy", "Does it?")
    assert list(report.judged) == [FIRST, SECOND, THIRD]
    assert all(isinstance(part, Verdict) for item in report.judged for part in item.verdict.parts)


DAMAGED_REPORTS = {
    "nothing": lambda text: "",
    "half of it": lambda text: text[: len(text) // 2],
    "a list": lambda text: "[]",
    "no claims": lambda text: text.replace('"claims"', '"claim"', 1),
    "claim of another edition": lambda text: text.replace('"mark"', '"published_mark"'),
    "claim without a verdict": lambda text: json.dumps({"study": "toy", "question": "?", "claims": [{"id": "T2"}]}),
}


@pytest.mark.parametrize("case", DAMAGED_REPORTS)
def test_a_damaged_report_is_named_and_what_to_do(path, case):
    path.write_text(DAMAGED_REPORTS[case](path.read_text()))
    with pytest.raises(
        ValueError, match=r"claims\.json holds no claims or is damaged \(.+\); delete it and run again$"
    ):
        claims.read(path)


def test_a_study_without_claims_has_an_empty_report(tmp_path):
    claims.write([], tmp_path / "claims.json", study="toy", question="Does it?")
    assert claims.read(tmp_path / "claims.json").judged == ()
    text = claims.scoreboard([tmp_path / "claims.json"])
    assert "No claims." in text and "## toy" in text


def test_equal_verdicts_give_equal_bytes(path, tmp_path):
    report = claims.read(path)
    claims.write(report.judged, tmp_path / "again.json", study=report.study, question=report.question)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_json_is_strict(path):
    def refuse(word):
        raise AssertionError(word)

    plain = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert plain["claims"][2]["verdict"]["low"] is None
    assert list(plain["claims"][0]) == [field.name for field in dataclasses.fields(Judged)]
    with pytest.raises(ValueError):
        claims.write([], path, study=math.nan, question="")


def test_shortfalls_look_at_every_part():
    assert claims.shortfalls([FIRST, SECOND, THIRD]) == ["T1 asks for 5 seeds and has 1"]
    assert claims.shortfalls([dataclasses.replace(FIRST, seeds=4)]) == ["T2 asks for 4 seeds and has 3"]


# In words


def test_a_sentence_has_the_sign_the_claim_our_number_and_the_papers():
    assert claims.sentence(FIRST) == (
        "T2 ? undecided: the gap | is large. Ours: 0.0500 nats [0.0252, 0.0748; n = 3]. Paper: 0.1."
    )
    assert claims.sentence(THIRD) == "T9 • reported: the gap is measured. Ours: 0.0400 nats [no interval, n = 1]."


def test_a_sentence_has_what_decided_and_names_theory_where_the_number_is_derived():
    theory = dataclasses.replace(SECOND, published="slope -1", mark="derived")
    text = claims.sentence(theory)
    assert text.startswith(f"T1 ✓ supported ({SECOND.verdict.note}): two budgets agree. Ours: ")
    assert SECOND.verdict.note and text.endswith("]. Theory: slope -1.")


def test_every_outcome_has_a_sign_of_its_own():
    assert tuple(SIGN) == OUTCOMES
    assert len(set(SIGN.values())) == len(OUTCOMES) and all(len(sign) == 1 for sign in SIGN.values())


def test_scoreboard(path):
    text = claims.scoreboard([path])
    lines = text.splitlines()
    assert lines[0] == "# Claims"
    assert lines[2] == "- What papers report: 3 claims: 1 supported, 0 weaker, 0 contradicted, 1 undecided, 1 reported."
    assert "## toy" in lines and "Does it?" in lines
    rows = [line for line in lines if line.startswith("| T")]
    assert rows[0] == (
        r"| T2 | the gap \| is large | 0.1 (second-hand, A 2024) | 0.0500 nats [0.0252, 0.0748; n = 3] "
        "| 95 % interval above 0.03 nats | ? **undecided**; direction unclear | not registered |"
    )
    assert "✓ **supported** (" in rows[1] and "| B 2025 |" in rows[1]
    assert "[no interval, n = 1]" in rows[2] and "• **reported** | not registered |" in rows[2]
    assert text.endswith("|\n")


def test_the_scoreboard_of_another_scale_says_so(path):
    default, smoke = claims.scoreboard([path], scale="default"), claims.scoreboard([path], scale="smoke")
    assert default == claims.scoreboard([path])
    assert smoke.splitlines()[0] == "# Claims at the scale `smoke`: these numbers mean nothing"
    assert smoke.splitlines()[1:] == default.splitlines()[1:]


def test_the_scoreboard_counts_the_claims_of_all_studies(path, tmp_path):
    claims.write([FIRST], tmp_path / "one.json", study="other", question="Why?")
    text = claims.scoreboard([path, tmp_path / "one.json"])
    assert "4 claims: 1 supported, 0 weaker, 0 contradicted, 2 undecided, 1 reported." in text
    assert text.index("## toy") < text.index("## other")
    assert "1 claim: 0 supported, 0 weaker, 0 contradicted, 1 undecided, 0 reported." in claims.scoreboard(
        [tmp_path / "one.json"]
    )


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
