"""The studies of this repository, as they are committed."""

import importlib
import inspect
from types import ModuleType

import pytest
from docutils.core import publish_doctree

from common.config import Figure, Step, members
from common.evidence import claims
from common.pipeline import build
from common.pipeline.scales import SCALES
from common.pipeline.studies import Studies

STUDIES = Studies.load()
SMOKE = Studies.load(scale="smoke")
STEPS = [
    pytest.param(study, step, id=f"{study}-{kind}_{step.name}")
    for study in STUDIES
    for kind, steps in (("plot", STUDIES[study].figures), ("measure", STUDIES[study].measures))
    for step in steps.values()
]


def claims_module(study: str) -> ModuleType:
    return importlib.import_module(f"studies.{study}.claims")


def script_of(step: Step) -> tuple[str, str]:
    """The script of a step and its function."""
    return (f"plot_{step.name}", "draw") if isinstance(step, Figure) else (f"measure_{step.name}", "measure")


@pytest.mark.parametrize("scale", SCALES)
def test_every_study_is_sound_at_every_scale(scale):
    assert Studies.load(scale=scale).problems == []


@pytest.mark.parametrize(("study", "step"), STEPS)
def test_every_script_takes_what_its_entry_gives(study, step):
    script, name = script_of(step)
    function = getattr(importlib.import_module(f"studies.{study}.{script}"), name)
    parameters = inspect.signature(function).parameters
    assert set(step.sources) <= set(parameters)
    assert {parameter for parameter, about in parameters.items() if about.default is about.empty} <= set(step.sources)


@pytest.mark.parametrize(("study", "step"), STEPS)
def test_every_selection_still_finds_runs_at_the_smoke_scale(study, step):
    inputs = SMOKE.inputs(study, step)
    assert inputs.keys() == step.sources.keys()
    assert all(inputs.values()), f"nothing is left of {[name for name, files in inputs.items() if not files]}"


@pytest.mark.parametrize(("study", "step"), STEPS)
def test_every_script_explains_itself_in_one_line_and_in_sound_markup(study, step):
    script, _ = script_of(step)
    assert build.first_line(study, script).endswith(".")
    text = inspect.getdoc(importlib.import_module(f"studies.{study}.{script}"))
    assert "{{" not in text and "{%" not in text  # Snakemake fills these in
    publish_doctree(text, settings_overrides={"halt_level": 2, "warning_stream": False})


@pytest.mark.parametrize("study", list(STUDIES))
def test_every_claim_is_judged_on_tables_that_are_made(study):
    found = claims.claims_of(claims_module(study))
    ids = [claim.id for claim in found]
    assert found and len(set(ids)) == len(ids)
    assert {name for claim in found for name in claim.needs} <= {"runs", *STUDIES[study].measures}


@pytest.mark.parametrize("study", list(STUDIES))
def test_there_are_as_many_seeds_as_the_claims_ask_for(study):
    seeds = {member.seed for run in STUDIES[study].runs.values() for member in members(run)}
    on_runs = [claim.seeds for claim in claims.claims_of(claims_module(study)) if "runs" in claim.needs]
    assert on_runs and max(on_runs) <= len(seeds)
