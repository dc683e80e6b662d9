"""A new study is sound, short, and complete: it draws a figure and judges a claim."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import studies as package
from common.evidence import claims
from common.pipeline import build, new_study
from common.pipeline.studies import Studies
from common.plotting import save


@pytest.fixture
def root(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty repository, in whose folder `studies` the package `studies` is found."""
    monkeypatch.setattr(package, "__path__", [str(tmp_path / "studies")])
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[2].partition(".")[0] == "fresh"]:
        del sys.modules[name]
    vars(package).pop("fresh", None)


def test_a_new_study_is_sound_and_short(root):
    folder = new_study.write("fresh", root=root)
    studies = Studies.load()
    assert list(studies) == ["fresh"] and not studies.problems and len(studies["fresh"].runs) == 10
    assert studies.figures("fresh") == ["figures/fresh_loss.pdf"] and studies.measured("fresh") == []
    lengths = [len((folder / file).read_text().splitlines()) for file in ("study.py", "plot_loss.py")]
    assert sum(lengths) <= 45


def test_a_new_study_draws_its_figure_and_judges_its_claim(root):
    new_study.write("fresh", root=root)
    rows = [
        {"lr": lr, "seed": seed, "step": step, "val_loss": (1 - step * lr / 300) * (1 + seed / 100)}
        for lr in (0.01, 0.1)
        for seed in range(5)
        for step in (0, 100, 200)
    ]
    runs = pd.DataFrame([*rows, {"lr": 0.1, "seed": 0, "step": 50, "val_loss": float("nan")}])
    fig, table = importlib.import_module("studies.fresh.plot_loss").draw(runs)
    assert table[["lr", "step", "n"]].values.tolist() == [[lr, step, 5] for lr in (0.01, 0.1) for step in (0, 100, 200)]
    outputs = [root / f"loss.{kind}" for kind in ("pdf", "png", "csv", "json")]
    save(fig, outputs, data=table)
    assert all(output.stat().st_size for output in outputs)
    [claim] = claims.claims_of(importlib.import_module("studies.fresh.claims"))
    assert claim.id == "C1" and claim(runs).verdict == "supported"


def test_the_scripts_of_a_new_study_explain_themselves(root, monkeypatch):
    new_study.write("fresh", root=root)
    monkeypatch.setattr(build, "ROOT", root)
    assert build.first_line("fresh", "plot_loss") == "Validation loss against update."
    assert (root / "studies/fresh/README.md").read_text().startswith("# fresh\n\n**Question.** Does fresh reach ")


@pytest.mark.parametrize("name", ["data", "Fresh", "a-b", "../x", "class", ""])
def test_a_name_that_cannot_be_a_study_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="NAME="):
        new_study.write(name, root=tmp_path)


def test_an_existing_study_is_left_alone(tmp_path):
    new_study.write("fresh", root=tmp_path)
    with pytest.raises(ValueError, match="exists already"):
        new_study.write("fresh", root=tmp_path)
