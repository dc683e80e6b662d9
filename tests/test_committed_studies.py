"""The studies of this repository, as they are committed."""

import importlib.util
import sys

import pytest

from common import claims
from common.config import members
from common.scales import SCALES
from common.studies import Studies

STUDIES = Studies.load()


def module_of(study):
    spec = importlib.util.spec_from_file_location(f"{study}_claims", STUDIES[study].folder / "claims.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("scale", SCALES)
def test_every_study_is_sound_at_every_scale(scale):
    assert Studies.load(scale=scale).problems == []


@pytest.mark.parametrize("study", list(STUDIES))
def test_there_are_as_many_seeds_as_the_claims_ask_for(study, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(STUDIES[study].folder), *sys.path])
    seeds = {member.seed for run in STUDIES[study].runs.values() for member in members(run)}
    on_runs = [claim.seeds for claim in claims.claims_of(module_of(study)) if "runs" in claim.needs]
    assert on_runs and max(on_runs) <= len(seeds)
