"""What a claim may say of itself, and which claims a figure may show."""

import dataclasses
from typing import get_args

import pytest

from common.config import Claim, DescriptionError, Figure, Mark, Measure, Select, Step

SOUND = {"verdict": "gap_is_large", "source": "A 2024, section 3"}


def claim(name: object = "X1", statement: object = "the gap is large", **fields: object) -> Claim:
    return Claim(name, statement, **(SOUND | fields))


def told(make) -> list[str]:
    """The problems of a description that is refused."""
    with pytest.raises(DescriptionError) as caught:
        make()
    return caught.value.problems


def test_a_claim_of_our_own_needs_only_its_words_and_who_judges_it():
    ours = claim()
    assert (ours.name, ours.statement, ours.verdict) == ("X1", "the gap is large", "gap_is_large")
    assert (ours.published, ours.mark, ours.seeds) == ("", "none", 5)
    assert (ours.runs, ours.states, ours.records, tuple(ours.tables)) == (None, None, None, ())


def test_a_claim_is_a_step_whose_inputs_are_named_as_those_of_every_other():
    headline = Select(arm=["wsd", "cosine"])
    found = claim(runs={"runs": headline, "chains": Select(arm="wsd", lineage=True)}, tables=["river"])
    assert isinstance(found, Step)
    assert found.sources == {"runs": "runs", "chains": "lineage", "river": "table"}
    assert found.selections("runs")["runs"] is headline
    assert claim(runs=Select()).sources == {"runs": "runs"}
    assert claim(states=Select(), records={"done": Select()}).sources == {"states": "states", "done": "records"}
    assert claim().sources == {}


@pytest.mark.parametrize("mark", [mark for mark in get_args(Mark) if mark != "none"])
def test_a_number_of_a_paper_says_how_well_it_is_known(mark):
    found = claim(published="0.1 nats", mark=mark)
    assert (found.published, found.mark) == ("0.1 nats", mark)


def test_the_marks_are_the_four_that_the_scoreboard_explains():
    assert get_args(Mark) == ("published", "second-hand", "derived", "none")


def test_a_claim_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        claim().seeds = 3
    assert dataclasses.replace(claim(), seeds=3) == claim(seeds=3)


@pytest.mark.parametrize("missing", ["verdict", "source"])
def test_what_every_claim_has_cannot_be_left_out(missing):
    with pytest.raises(TypeError, match=missing):
        Claim("X1", "the gap is large", **{name: value for name, value in SOUND.items() if name != missing})


FITS = "a number needs a mark other than 'none', no number is published='' with mark='none'"

WRONG = {
    "no name": (lambda: claim(""), "Claim(''): name='', statement='the gap is large': a claim needs both"),
    "no statement": (lambda: claim(statement=""), "Claim('X1'): name='X1', statement='': a claim needs both"),
    "unknown mark": (
        lambda: claim(published="0.1", mark="guessed"),
        "Claim('X1'): mark='guessed' must be one of 'published', 'second-hand', 'derived', 'none'",
    ),
    "number without a mark": (
        lambda: claim(published="0.1"),
        f"Claim('X1'): published='0.1' does not fit mark='none': {FITS}",
    ),
    "mark without a number": (
        lambda: claim(mark="second-hand"),
        f"Claim('X1'): published='' does not fit mark='second-hand': {FITS}",
    ),
    "no seeds": (lambda: claim(seeds=0), "Claim('X1'): seeds=0 must be a whole number of at least 1"),
    "seeds as a fraction": (lambda: claim(seeds=2.5), "Claim('X1'): seeds=2.5 must be a whole number of at least 1"),
    "seeds as a text": (lambda: claim(seeds="5"), "Claim('X1'): seeds='5' must be a whole number of at least 1"),
    "seeds as a truth": (lambda: claim(seeds=True), "Claim('X1'): seeds=True must be a whole number of at least 1"),
    "statement is a number": (lambda: claim(statement=3), "Claim('X1'): statement=3 must be a text"),
    "number as a number": (
        lambda: claim(published=0.1, mark="second-hand"),
        "Claim('X1'): published=0.1 must be a text",
    ),
    "verdict is no name": (lambda: claim(verdict=None), "Claim('X1'): verdict=None must be a text"),
    "source is a list": (lambda: claim(source=["A"]), "Claim('X1'): source=['A'] must be a text"),
    "runs by name": (
        lambda: claim(runs="wsd"),
        "Claim('X1'): runs='wsd' must be a Select(...), or a dictionary of them by parameter",
    ),
    "table as a text": (lambda: claim(tables="river"), "Claim('X1'): tables='river' must be a list of names"),
    "sizes": (
        lambda: claim(smoke={"seeds": [0]}),
        "Claim('X1'): smoke={'seeds': [0]} is of measurements alone; a claim has no sizes",
    ),
    "parameter twice": (
        lambda: claim(runs={"river": Select()}, tables=["river"]),
        "Claim('X1'): 'river' is given twice; each parameter of the script needs its own name",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_faulty_claim_is_refused_where_it_is_written(case):
    make, text = WRONG[case]
    assert told(make) == [text]


def test_all_that_is_wrong_with_a_claim_is_told_at_once():
    problems = told(lambda: claim(statement="", published="0.1", mark="known", seeds=0))
    assert [text.partition("=")[0] for text in problems] == [
        "Claim('X1'): name",
        "Claim('X1'): mark",
        "Claim('X1'): seeds",
    ]


# Claims of a figure


def test_a_figure_with_claims_is_given_their_verdicts_last():
    assert Figure("loss", runs=Select()).sources == {"runs": "runs"}
    shown = Figure("loss", runs=Select(), tables=["river"], claims=["X1", "X2"])
    assert list(shown.sources.items()) == [("runs", "runs"), ("river", "table"), ("verdicts", "verdicts")]
    assert Figure("toy", claims=("X1",)).sources == {"verdicts": "verdicts"}


def test_a_measurement_shows_no_claim():
    with pytest.raises(TypeError, match="claims"):
        Measure("river", claims=["X1"])


WRONG_FIGURES = {
    "claim as a text": (lambda: Figure("a", claims="X1"), "Figure('a'): claims='X1' must be a list of ids"),
    "claim as a number": (lambda: Figure("a", claims=3), "Figure('a'): claims=3 must be a list of ids"),
    "list of a number": (lambda: Figure("a", claims=["X1", 3]), "Figure('a'): claims=['X1', 3] must be a list of ids"),
    "claim itself": (lambda: Figure("a", claims=[claim()]), "Figure('a'): claims=[Claim(name='X1', "),
    "claim twice": (
        lambda: Figure("a", claims=["X1", "X2", "X1"]),
        "Figure('a'): claims=['X1', 'X2', 'X1'] has 'X1' twice",
    ),
    "table named verdicts": (
        lambda: Figure("a", tables=["verdicts"], claims=["X1"]),
        "Figure('a'): 'verdicts' is given twice; each parameter of the script needs its own name",
    ),
    "runs named verdicts": (
        lambda: Figure("a", runs={"verdicts": Select()}, claims=["X1"]),
        "Figure('a'): 'verdicts' is given twice; each parameter of the script needs its own name",
    ),
}


@pytest.mark.parametrize("case", WRONG_FIGURES)
def test_faulty_claims_of_a_figure_are_refused_where_they_are_written(case):
    make, text = WRONG_FIGURES[case]
    [problem] = told(make)
    assert problem.startswith(text)


def test_a_table_may_be_named_verdicts_where_no_claim_is_shown():
    assert Figure("a", tables=["verdicts"]).sources == {"verdicts": "table"}
