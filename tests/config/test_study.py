"""Sizes that a measurement has at the smoke scale."""

import pytest

from common.config import DescriptionError, Figure, Measure, Select

PLAIN = "must be a dictionary of plain JSON values by parameter: finite numbers, texts, lists and dictionaries"


def told(make) -> str:
    """The problem of a description that is refused."""
    with pytest.raises(DescriptionError) as caught:
        make()
    [problem] = caught.value.problems
    return problem


def test_sizes_may_be_any_plain_values():
    smoke = {"seeds": [0, 1], "tolerance": 0.1, "by": {"mup": [0]}, "exact": False, "name": "a", "examples": None}
    assert Measure("a", smoke=smoke).smoke == smoke
    assert Measure("a").smoke == {}


def test_sizes_are_no_inputs():
    sized = Measure("a", states=Select(), smoke={"seeds": [0]})
    assert sized.sources == {"states": "states"} and sized.selections("states") == {"states": Select()}


@pytest.mark.parametrize(
    "smoke",
    [
        None,
        [("seeds", [0])],
        {1: 2},
        {"seeds": (0, 1)},
        {"seeds": range(2)},
        {"seeds": {"mup": (0,)}},
        {"seeds": {0: [1]}},
        {"widths": [64, float("inf")]},
        {"share": float("nan")},
        {"runs": Select()},
    ],
    ids=str,
)
def test_sizes_that_are_no_plain_values_are_refused(smoke):
    problem = told(lambda: Measure("a", smoke=smoke))
    assert problem.startswith("Measure('a'): smoke=") and PLAIN in problem


TWICE = "is given twice; each parameter of the script needs its own name"


@pytest.mark.parametrize(
    "inputs",
    [{"states": Select()}, {"records": {"states": Select()}}, {"tables": ["states"]}],
    ids=["selection", "named selection", "table"],
)
def test_a_size_that_is_an_input_too_is_refused(inputs):
    assert told(lambda: Measure("a", **inputs, smoke={"states": 1})) == f"Measure('a'): 'states' {TWICE}"


def test_a_figure_has_no_sizes():
    problem = told(lambda: Figure("a", smoke={"seeds": [0]}))
    assert problem == "Figure('a'): smoke={'seeds': [0]} is of measurements alone; a figure has no sizes"
    assert told(lambda: Figure("a", claims=["X1", "X1"], smoke={})).startswith("Figure('a'): claims=")
