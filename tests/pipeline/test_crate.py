"""Crates: what rocrate writes is as the profiles require, and the check sees what is not; codecheck.yml."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from common.pipeline import codecheck, crate
from common.pipeline.archive import ArchiveError
from common.pipeline.studies import Studies
from common.runs.origin import ROOT


@pytest.fixture
def folder(tmp_path) -> Path:
    """The smallest crate that is as it should be."""
    (tmp_path / "Snakefile").write_text("rule all:\n")
    digest = hashlib.sha256(b"rule all:\n").hexdigest()
    graph = [
        {"@id": crate.METADATA, "about": {"@id": "./"}, "conformsTo": [{"@id": "https://w3id.org/ro/crate/1.1"}]},
        {"@id": "./", "name": "a", "description": "b", "datePublished": "2026-01-01", "license": "MIT"},
        {"@id": "Snakefile", "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"], "sha256": digest},
        {"@id": "#lang", "name": "Snakemake"},
        {"@id": "#who", "@type": "Organization"},
        {"@id": "#run", "@type": "CreateAction", "startTime": "2026-01-01T00:00:00", "endTime": "2026-01-01T00:00:01"},
        *({"@id": profile, "@type": "CreativeWork"} for profile in crate.PROFILES),
    ]
    workflow = {"@id": "Snakefile"}
    graph[1] |= {"hasPart": [workflow], "mainEntity": workflow, "mentions": {"@id": "#run"}}
    graph[1]["conformsTo"] = [{"@id": profile} for profile in crate.PROFILES]
    graph[2]["programmingLanguage"] = {"@id": "#lang"}
    graph[5] |= {"instrument": workflow, "object": workflow, "result": [workflow], "agent": {"@id": "#who"}}
    (tmp_path / crate.METADATA).write_text(json.dumps({"@graph": graph}))
    return tmp_path


def test_a_crate_that_is_as_its_profiles_require(folder):
    assert list(crate.problems(folder)) == []


@pytest.mark.parametrize(
    ("entity", "name", "value", "told"),
    [
        (1, "conformsTo", [], "does not conform to https://w3id.org/ro/wfrun/workflow/0.5"),
        (1, "license", None, "no license"),
        (1, "mainEntity", {"@id": "#who"}, "no mainEntity that is a workflow"),
        (1, "mentions", {"@id": "#who"}, "does not mention #run"),
        (2, "programmingLanguage", None, "no programmingLanguage"),
        (2, "sha256", "0", "does not match its SHA-256"),
        (5, "instrument", {"@id": "#who"}, "no CreateAction has the workflow"),
        (5, "result", [{"@id": "gone"}], "its result is not described"),
        (5, "agent", {"@id": "Snakefile"}, "its agent is nobody"),
        (5, "startTime", "yesterday", "no times in order"),
        (1, "hasPart", [{"@id": "../outside"}], "is not in the crate"),
    ],
)
def test_what_is_not_as_required_is_told(folder, entity, name, value, told):
    file = folder / crate.METADATA
    plain = json.loads(file.read_text())
    plain["@graph"][entity][name] = value
    file.write_text(json.dumps(plain))
    assert any(told in problem for problem in crate.problems(folder))


def test_a_missing_package_and_a_folder_that_is_there_are_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "rocrate.rocrate", None)
    with pytest.raises(ArchiveError, match="rocrate is not installed"):
        crate.write(Studies({}), "wsd", tmp_path / "x")


def test_a_study_is_exported_and_checked(tmp_path, monkeypatch):
    pytest.importorskip("rocrate", reason="rocrate is in envs/requirements.lock, and not installed here")
    studies = Studies.load(scale="smoke")
    names = ["results/wsd/cosine/run.json", "results/wsd/claims.json", "figures/wsd_loss.pdf"]
    record = {"started_ms": 1_700_000_000_000, "seconds": 2.5, "versions": {"snakemake": "9", "torch": "2"}}
    contents = [record, {"study": "wsd", "question": "?", "claims": []}, {}]
    for name, content in zip(names, contents, strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    monkeypatch.setattr(crate.archive, "members", lambda *_: names)
    assert crate.write(studies, "wsd", tmp_path / "crate", root=tmp_path) == []
    graph = {each["@id"]: each for each in json.loads((tmp_path / "crate" / crate.METADATA).read_text())["@graph"]}
    action = graph["#build-wsd"]
    assert (action["startTime"], action["endTime"]) == ("2023-11-14T22:13:20+00:00", "2023-11-14T22:13:22+00:00")
    assert [each["@id"] for each in action["result"]] == names
    with pytest.raises(ArchiveError, match="is there already"):
        crate.write(studies, "wsd", tmp_path / "crate", root=tmp_path)


def test_codecheck_lists_every_figure_and_invents_nobody():
    found = yaml.safe_load((ROOT / codecheck.FILE).read_text(encoding="utf-8"))
    assert (ROOT / codecheck.FILE).read_text(encoding="utf-8").startswith("---\n")
    assert set(found) == {"version", "paper", "manifest"} and found["version"] == codecheck.SPECIFICATION
    assert found["paper"]["authors"] == [{"name": author["name"]} for author in codecheck.citation()["authors"]]
    files = [each["file"] for each in found["manifest"]]
    assert set(Studies.load().figures()) <= set(files) and len(set(files)) == len(files)
    assert all(each["comment"].endswith(f"Made by `make {each['file']}`.") for each in found["manifest"])
