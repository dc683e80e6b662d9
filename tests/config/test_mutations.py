"""Two hundred random slips in valid descriptions: each is refused in single lines, or is a sound description."""

import copy
import json
import random
from typing import Any

import pytest

from common.config import DescriptionError, identity, run_from_dict, to_dict
from common.pipeline.studies import Studies

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 10**40, -0.5, 0.0, 0.5, 1.0, 1e-30, 1e300, float("nan"), float("inf"),
    "", "a", "mlp", "sgd", "adamw", "corpus", "prose", "layernorm", "..", "a\nb", "\0", [], [1], [1, 1], [0.5, "x"],
    [[1]], {}, {"a": 1}, {"kind": "mlp"}, {"kind": "sgd", "momentum": 2}, {"seed": [1, 2]}, {"lr": []},
)  # fmt: skip
DESCRIBED = [to_dict(run) for study in Studies.load().sound.values() for run in study.runs.values()]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a description, outermost first."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in entries for place in places(entry, (*path, key)))]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def mutated(source: random.Random) -> Any:
    """A description with one to three slips: a value exchanged, left out, misspelt, moved, doubled."""
    described = copy.deepcopy(source.choice(DESCRIBED))
    for _ in range(source.randint(1, 3)):
        *outer, key = source.choice(places(described)[1:])
        holder = at(described, tuple(outer))
        slip = source.choice(("odd", "other", "gone", "misspelt", "number"))
        if slip == "gone":
            del holder[key]
        elif slip == "misspelt" and isinstance(holder, dict):
            holder[f"{key}s"] = holder.pop(key)
        elif slip == "number" and isinstance(holder[key], int | float):
            holder[key] = source.choice((-1, 0, 2, 1000, 0.37)) * holder[key]
        elif slip == "other":
            other = source.choice(DESCRIBED)
            holder[key] = copy.deepcopy(at(other, source.choice(places(other)[1:])))
        else:
            holder[key] = copy.deepcopy(source.choice(ODD))
        if len(places(described)) < 2:
            break
    return described


@pytest.mark.parametrize("seed", range(200))
def test_a_slip_is_refused_in_single_lines_or_is_a_sound_description(seed):
    described = mutated(random.Random(seed))
    try:
        run = run_from_dict(described)
    except DescriptionError as refused:
        assert refused.problems
        for problem in refused.problems:
            assert problem.strip() and len(problem.splitlines()) == 1 and len(problem) < 1000, problem
        return
    assert run_from_dict(json.loads(json.dumps(to_dict(run)))) == run
    json.dumps(identity(run))


def test_slips_are_of_both_kinds():
    refused = 0
    for seed in range(200):
        try:
            run_from_dict(mutated(random.Random(seed)))
        except DescriptionError:
            refused += 1
    assert 80 < refused < 195
