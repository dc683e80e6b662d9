"""Rungs: their rules, and the parameters that a description tells."""

import pytest
import torch

from common import models
from common.config import (
    MLP,
    Bigram,
    Corpus,
    DescriptionError,
    Digits,
    Mixture,
    Run,
    Rung,
    Transformer,
    identity,
    parameters_of,
    run_from_dict,
    to_dict,
)

TEXT = Corpus("python", context=16)
FIELDS = {"parameters": 1000, "bytes_per_parameter": 20, "batch": 4}


MODEL = Transformer(width=28, depth=2, heads=2)


def run(model=MODEL, data=TEXT, **fields) -> Run:
    return Run(**{"model": model, "data": data, "lr": 0.1, "steps": 9, "batch_size": 4, "seed": 0, **fields})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"parameters": 0}, "parameters=0 must be at least 1"),
        ({"parameters": 2.5}, "parameters=2.5 must be a whole number"),
        ({"batch": 0}, "batch=0 must be at least 1"),
        ({"bytes_per_parameter": 0}, r"bytes_per_parameter=0\.0 must be greater than 0"),
        ({"large": "yes"}, "large='yes' must be True or False"),
        ({"size": 3}, "size=3 is no field of Rung"),
    ],
)
def test_a_rung_that_breaks_a_rule_says_which(fields, words):
    with pytest.raises(DescriptionError, match=words):
        Rung("a", **(FIELDS | fields))


def test_a_rung_needs_a_name_and_its_fields():
    with pytest.raises(DescriptionError, match="name is missing: a rung needs one, and it stands first"):
        Rung(**FIELDS)
    with pytest.raises(DescriptionError, match="batch is missing: every Rung needs it"):
        Rung("a", parameters=3, bytes_per_parameter=2)


def test_updates_of_a_whole_training():
    assert Rung("a", parameters=1000, bytes_per_parameter=20, batch=4).steps(context=50) == 100
    assert Rung("a", parameters=1, bytes_per_parameter=0.1, batch=4).steps(context=50) == 1


@pytest.mark.parametrize("model", [{}, {"width": 8, "depth": 1, "tied": False}, {"expansion": 3, "norm": "rmsnorm"}])
@pytest.mark.parametrize(("data", "tokens"), [(TEXT, 256), (Bigram(vocabulary=64, successors=8, context=16), 64)])
def test_parameters_are_those_of_the_network(model, data, tokens):
    described = Transformer(**({"width": 12, "heads": 2} | model))
    network = models.build(described, inputs=tokens, outputs=tokens, context=16, generator=torch.Generator())
    assert parameters_of(run(described, data)) == sum(weight.numel() for weight in network.parameters())


def test_parameters_that_no_description_tells():
    assert parameters_of(run(MLP(), Digits())) is None
    assert parameters_of(run(data=Mixture(TEXT, Corpus("cpp", context=16), share=0.5))) == parameters_of(run())


def test_a_run_fits_its_rung_within_a_percent():
    assert Rung("a", **(FIELDS | {"parameters": 25_800})).misfit(run()) is None
    assert "model has 25984 parameters" in Rung("a", **(FIELDS | {"parameters": 25_000})).misfit(run())
    assert "batch_size=8 is not batch=4" in Rung("a", **FIELDS).misfit(run(batch_size=8))
    assert Rung("a", **FIELDS).misfit(run(MLP(), Digits())) is None


def test_a_run_without_a_rung_is_the_training_that_it_was():
    assert "rung" not in identity(run()) and to_dict(run())["rung"] is None
    named = run(rung="a")
    assert identity(named) == identity(run()) | {"rung": "a"}
    assert run_from_dict(identity(named)) == run_from_dict(to_dict(named)) == named
