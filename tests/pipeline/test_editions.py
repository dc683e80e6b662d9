"""Results of the first edition are set aside once, whole, and new ones are left alone."""

import json
from pathlib import Path

import pytest

from common.pipeline import editions

FILES = (
    "results/wsd/a/run.json",
    "results/wsd/a/metrics.csv",
    "results/wsd/b/run.json",
    "results/wsd/river.csv",
    "results/wsd/claims.json",
    "results/claims.md",
    "results/README.md",
    "results/data/prose/manifest.json",
    "figures/wsd_loss.pdf",
    "figures/README.md",
    "logs/wsd/a.log",
    "mlflow.db",
    "mlartifacts/1/x/metrics.csv",
)
STAY = {"results/README.md", "figures/README.md", "results/data/prose/manifest.json"}


@pytest.fixture
def folder(tmp_path) -> Path:
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(json.dumps({"study": "wsd", "description": {}}))
    return tmp_path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_first_edition_moves_aside_with_one_line(folder, capsys):
    editions.set_aside(folder)
    assert files(folder) == STAY | {f"first_edition/{file}" for file in FILES if file not in STAY}
    assert capsys.readouterr().err == (
        "2 runs of the first edition, their figures and mlflow.db: moved to first_edition/\n"
    )
    editions.set_aside(folder)
    assert capsys.readouterr().err == ""


def test_results_of_this_edition_stay(folder, capsys):
    for run in "ab":
        (folder / f"results/wsd/{run}/run.json").write_text(json.dumps({"format": 2}))
    editions.set_aside(folder)
    assert files(folder) == set(FILES)
    assert capsys.readouterr().err == ""


def test_an_empty_folder_and_a_damaged_record_are_left_alone(tmp_path, folder):
    editions.set_aside(tmp_path / "nowhere")
    for run in "ab":
        (folder / f"results/wsd/{run}/run.json").write_text("{")
    editions.set_aside(folder)
    assert files(folder) == set(FILES)
