"""What the files around the code say of it: one version, one way to check."""

import re
import tomllib

import yaml

from common.runs.origin import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LICENSE = (ROOT / "LICENSE").read_text(encoding="utf-8")


def read(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_one_version():
    version = PROJECT["project"]["version"]
    versions = re.findall(r"^## \[(.+?)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert read("CITATION.cff")["version"] == versions[0][0] == version
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for _, date in versions[1:])


def test_the_citation_names_whom_the_licence_names():
    cited = read("CITATION.cff")
    assert [author["name"] for author in cited["authors"]] == re.findall(r"Copyright \(c\) \d+ (.+)", LICENSE)
    assert LICENSE.startswith(f"{cited['license']} License") and PROJECT["project"]["license"] == cited["license"]


def test_hooks_are_those_of_make_check():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^check: style types$", makefile, re.MULTILINE)
    recipes = [re.search(rf"^{name}:.*\n((?:\t.+\n)+)", makefile, re.MULTILINE)[1] for name in ("style", "types")]
    checks = {line.strip().replace("$(BIN)", ".venv/bin") for recipe in recipes for line in recipe.splitlines()}
    [local] = read(".pre-commit-config.yaml")["repos"]
    hooks = {hook["entry"] for hook in local["hooks"]}
    assert hooks and hooks <= checks


def test_the_workflow_runs_the_tests_of_the_readme():
    [job] = read(".github/workflows/ci.yml")["jobs"].values()
    assert job["steps"][-1] == {"run": "bash .ci/run"}
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_workflow_of_pages_checks_them_in_a_browser_before_it_publishes():
    jobs = read(".github/workflows/pages.yml")["jobs"]
    commands = [step["run"] for step in jobs["site"]["steps"] if "run" in step]
    assert "chromium" in commands[0] and commands[-1] == ".venv/bin/pytest tests/site"
    assert jobs["publish"]["needs"] == "site" and "refs/heads/main" in jobs["publish"]["if"]


def test_packages_ship_their_types():
    for package, files in PROJECT["tool"]["setuptools"]["package-data"].items():
        assert files[0] == "py.typed" and all(any((ROOT / package).glob(file)) for file in files)
