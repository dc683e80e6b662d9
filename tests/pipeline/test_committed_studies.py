"""The studies of this repository, as they are committed."""

import ast
import importlib
import inspect
from collections import Counter
from pathlib import Path

import pytest
from docutils.core import publish_doctree

from common.config import Claim, Figure, Step, members
from common.evidence.claims import Judged
from common.evidence.verdicts import reported
from common.pipeline import build, steps
from common.pipeline.scales import SCALES
from common.pipeline.studies import Studies

STUDIES = Studies.load()
SMOKE = Studies.load(scale="smoke")
STEPS = [
    pytest.param(study, step, id=f"{study}-{kind}_{step.name}")
    for study in STUDIES
    for kind, found in (("plot", STUDIES[study].figures), ("measure", STUDIES[study].measures))
    for step in found.values()
]
CLAIMS = [
    pytest.param(study, claim, id=f"{study}-{claim.name}")
    for study in STUDIES
    for claim in STUDIES[study].claims.values()
]
FIGURES = [pytest.param(*case.values, id=case.id) for case in STEPS if isinstance(case.values[1], Figure)]


def script_of(step: Step) -> tuple[str, str]:
    """The script of a step and its function."""
    if isinstance(step, Claim):
        return "verdicts", step.verdict
    return (f"plot_{step.name}", "draw") if isinstance(step, Figure) else (f"measure_{step.name}", "measure")


@pytest.mark.parametrize("scale", SCALES)
def test_every_study_is_sound_at_every_scale(scale):
    assert Studies.load(scale=scale).problems == []


@pytest.mark.parametrize(("study", "step"), STEPS + CLAIMS)
def test_every_script_takes_what_its_entry_gives(study, step):
    script, name = script_of(step)
    function = getattr(importlib.import_module(f"studies.{study}.{script}"), name)
    parameters = inspect.signature(function).parameters
    given = {*step.sources, *(step.settings if isinstance(step, Claim) else ())}
    assert given <= set(parameters)
    assert {parameter for parameter, about in parameters.items() if about.default is about.empty} <= given


@pytest.mark.parametrize(("study", "step"), STEPS + CLAIMS)
def test_every_selection_still_finds_runs_at_the_smoke_scale(study, step):
    inputs = SMOKE.inputs(study, step)
    assert inputs.keys() == step.sources.keys()
    assert all(inputs.values()), f"nothing is left of {[name for name, files in inputs.items() if not files]}"


def shown(study: str, figure: Step) -> list[Judged]:
    """The claims of a figure with a verdict of any kind."""
    verdict = reported([0.1, 0.2, 0.3], unit="nats")
    found = [STUDIES[study].claims[name] for name in figure.claims] if isinstance(figure, Figure) else []
    return [Judged(**claim.words, runs=3, verdict=verdict) for claim in found]


@pytest.mark.parametrize(("study", "step"), STEPS)
def test_every_script_explains_itself_in_one_line_and_in_sound_markup(study, step):
    script, _ = script_of(step)
    assert build._title(study, script).endswith(".")
    text = steps.caption(importlib.import_module(f"studies.{study}.{script}").__doc__, shown(study, step))
    assert "{{" not in text and "{%" not in text  # Snakemake fills these in
    publish_doctree(text, settings_overrides={"halt_level": 2, "warning_stream": False})


@pytest.mark.parametrize(("study", "figure"), FIGURES)
def test_a_figure_reads_all_that_its_claims_are_judged_on(study, figure):
    for studies in (STUDIES, SMOKE):
        had = {path for paths in studies.inputs(study, figure).values() for path in paths}
        for name in figure.claims:
            claim = studies[study].claims[name]
            assert {path for paths in studies.inputs(study, claim).values() for path in paths} <= had, name


# Claims


def test_every_study_has_claims_with_a_letter_of_its_own():
    letters = {study: {name[0] for name in STUDIES[study].claims} for study in STUDIES}
    assert letters and all(len(found) == 1 for found in letters.values()), letters
    assert len(set.union(*letters.values())) == len(letters), letters


def test_every_id_is_given_once():
    names = [case.values[1].name for case in CLAIMS]
    assert not [name for name, count in Counter(names).items() if count > 1]
    judged = [name for each in STUDIES.judgements() for name in each.functions]
    assert sorted(judged) == sorted(names)


@pytest.mark.parametrize(("study", "claim"), CLAIMS)
def test_a_claim_is_one_sentence_without_a_full_stop_and_its_function_says_when_it_holds(study, claim):
    assert claim.statement == claim.statement.strip() and not claim.statement.endswith((".", "!", "?"))
    assert "\n" not in claim.statement and claim.source.strip()
    function = getattr(importlib.import_module(f"studies.{study}.verdicts"), claim.verdict)
    assert inspect.getdoc(function)


@pytest.mark.parametrize("study", list(STUDIES))
def test_every_function_that_gives_a_verdict_belongs_to_a_claim(study):
    module = importlib.import_module(f"studies.{study}.verdicts")
    judged = {claim.verdict for claim in STUDIES[study].claims.values()}
    if hasattr(module, "__path__"):
        assert judged <= set(vars(module))
        return
    helpers = {name for node in ast.walk(ast.parse(inspect.getsource(module))) for name in _used(node)}
    public = {
        name for name, each in vars(module).items() if inspect.isfunction(each) and each.__module__ == module.__name__
    }
    assert public - helpers <= judged, "judges no claim"


def _used(node: ast.AST) -> list[str]:
    return [node.id] if isinstance(node, ast.Name) else []


@pytest.mark.parametrize("study", list(STUDIES))
def test_claims_are_data_that_import_descriptions_and_the_study_alone(study):
    path = Path(importlib.import_module(f"studies.{study}.claims").__file__)
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    assert not [node for node in nodes if isinstance(node, ast.Import)]
    assert {node.module for node in nodes if isinstance(node, ast.ImportFrom)} <= {
        "common.config",
        f"studies.{study}.study",
    }


@pytest.mark.parametrize(("study", "step"), STEPS)
def test_no_script_imports_claims_or_verdicts(study, step):
    script, _ = script_of(step)
    path = Path(importlib.import_module(f"studies.{study}.{script}").__file__)
    imported = {
        node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
    }
    assert not [name for name in imported if name.startswith((f"studies.{study}.claims", f"studies.{study}.verdicts"))]


@pytest.mark.parametrize(("study", "claim"), [case for case in CLAIMS if case.values[1].selections("runs")])
def test_a_claim_is_judged_on_as_many_seeds_as_it_asks_for(study, claim):
    selected = [place for select in claim.selections("runs").values() for place in STUDIES.selected(study, select)]
    runs = [STUDIES.run(place.study, place.run) for place in selected]
    assert len({member.seed for run in runs for member in members(run)}) >= claim.seeds
