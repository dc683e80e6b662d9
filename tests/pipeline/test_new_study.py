"""A new study is sound, short, and complete: it draws a figure and judges a claim."""

import importlib
import inspect
import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import studies as package
from common.evidence import claims
from common.evidence.claims import Judged
from common.pipeline import new_study
from common.pipeline.studies import Studies
from common.plotting import save


@pytest.fixture
def root(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty repository, in whose folder `studies` the package `studies` is found."""
    monkeypatch.setattr(package, "__path__", [str(tmp_path / "studies")])
    importlib.invalidate_caches()
    before = set(sys.modules)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("studies.") and name not in before]:
        del sys.modules[name]
        vars(package).pop(name.split(".")[1], None)


def load(name: str):
    """A module of the study."""
    return importlib.import_module(f"studies.fresh.{name}")


def test_a_new_study_is_sound_and_short(root):
    folder = new_study.write("fresh", root=root)
    studies = Studies.load()
    assert list(studies) == ["fresh"] and not studies.problems and len(studies["fresh"].runs) == 16
    assert studies.figures("fresh") == ["figures/fresh_loss.pdf"] and studies.measured("fresh") == []
    assert sorted(file.name for file in folder.iterdir() if file.is_file()) == [
        "README.md",
        "__init__.py",
        "claims.py",
        "plot_loss.py",
        "study.py",
        "verdicts.py",
    ]
    lengths = {file: len((folder / file).read_text().splitlines()) for file in new_study.FILES}
    assert lengths["study.py"] + lengths["plot_loss.py"] <= 50
    assert lengths["claims.py"] + lengths["verdicts.py"] <= 35


def test_a_new_study_has_one_claim_that_its_figure_shows(root):
    new_study.write("fresh", root=root)
    studies = Studies.load()
    [judgement] = studies.judgements()
    assert judgement.functions == {"F1": ["larger_is_lower", {"bar": 0.02}]}
    assert judgement.inputs == {"runs": [f"results/fresh/{name}/metrics.csv" for name in studies["fresh"].runs]}
    assert studies["fresh"].figures["loss"].claims == ["F1"]
    [statement] = studies.statements("fresh")
    assert (statement["published"], statement["mark"], statement["seeds"]) == ("", "none", 8)


def test_a_new_study_draws_its_figure_and_judges_its_claim(root):
    new_study.write("fresh", root=root)
    rows = [
        {"lr": lr, "seed": seed, "step": step, "val_loss": (1 - step * lr / 300) * (1 + seed / 100)}
        for lr in (0.01, 0.1)
        for seed in range(8)
        for step in (0, 100, 200)
    ]
    runs = pd.DataFrame([*rows, {"lr": 0.1, "seed": 0, "step": 50, "val_loss": float("nan")}])
    claim = Studies.load()["fresh"].claims["F1"]
    found = claims.judge("F1", getattr(load("verdicts"), claim.verdict), runs=runs, **claim.settings)
    judged = Judged(**claim.words, runs=16, verdict=found.verdict)
    assert found.verdict.verdict == "supported" and not claims.shortfalls([judged])
    fig, table = load("plot_loss").draw(runs, {"F1": judged})
    assert table[["lr", "step", "n"]].values.tolist() == [[lr, step, 8] for lr in (0.01, 0.1) for step in (0, 100, 200)]
    marks = [text.get_text() for text in fig.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert "F1 ✓" in marks
    outputs = [root / f"loss.{kind}" for kind in ("pdf", "png", "csv", "json")]
    save(fig, outputs, data=table)
    assert all(output.stat().st_size for output in outputs)


def test_the_claims_of_a_new_study_are_data_and_its_study_is_too(root):
    """Snakemake reads both at every start."""
    folder = new_study.write("fresh", root=root)
    for file in ("study.py", "claims.py"):
        imports = re.findall(r"^(?:from|import) (\S+)", (folder / file).read_text(), flags=re.MULTILINE)
        assert imports == ["common.config"]


def test_the_scripts_of_a_new_study_explain_themselves(root):
    new_study.write("fresh", root=root)
    for script in ("plot_loss", "claims", "verdicts"):
        assert inspect.getdoc(load(script)).partition("\n")[0].endswith(".")
    assert inspect.getdoc(load("plot_loss")).startswith("Validation loss against update.\n\n")
    assert (root / "studies/fresh/README.md").read_text().startswith("# fresh\n\n**Question.** Does fresh reach ")


LETTERS = {"fresh": "F1", "frosty": "R1", "fr": "A1", "sound": "S1", "a_fir": "I1", "i2": "B1", "r2": "C1"}
"""The first letter of the name that no study before has, else of the alphabet."""


def test_every_study_has_a_letter_of_its_own_for_the_ids_of_its_claims(root):
    for name, claim in LETTERS.items():
        folder = new_study.write(name, root=root)
        assert f'"{claim}",' in (folder / "claims.py").read_text()
        assert f'claims=["{claim}"]' in (folder / "study.py").read_text()
        assert f'verdicts["{claim}"]' in (folder / "plot_loss.py").read_text()
    studies = Studies.load()
    assert not studies.problems
    assert {name: list(studies[name].claims) for name in LETTERS} == {name: [claim] for name, claim in LETTERS.items()}


def test_where_all_letters_are_taken_the_next_number_is(root):
    (root / "studies/many").mkdir(parents=True)
    taken = "\n".join(f'Claim(\n    "{letter}1", "it is")' for letter in string.ascii_uppercase)
    (root / "studies/many/claims.py").write_text(taken + '\nClaim("F2a", "it is")\n')
    assert '"R2",' in (new_study.write("fresh", root=root) / "claims.py").read_text()


@pytest.mark.parametrize("name", ["data", "Fresh", "a-b", "../x", "class", ""])
def test_a_name_that_cannot_be_a_study_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="NAME="):
        new_study.write(name, root=tmp_path)


def test_an_existing_study_is_left_alone(tmp_path):
    new_study.write("fresh", root=tmp_path)
    with pytest.raises(ValueError, match="exists already"):
        new_study.write("fresh", root=tmp_path)
