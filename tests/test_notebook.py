"""docs/explore.ipynb: sound by its structure, kept without outputs, and its cells run on a tiny result."""

import dataclasses
import json
import re

import pytest

from common.config import Claim, Select
from common.evidence import claims
from common.evidence.claims import Judged
from common.evidence.verdicts import reported
from common.runs.job import Job, train
from common.runs.origin import ROOT
from common.runs.place import Place

NOTEBOOK = json.loads((ROOT / "docs" / "explore.ipynb").read_text(encoding="utf-8"))
CELLS = NOTEBOOK["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def test_notebook_is_sound():
    """The rules of nbformat 4.5."""
    assert set(NOTEBOOK) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert NOTEBOOK["metadata"]["kernelspec"].keys() >= {"name", "display_name"}
    assert NOTEBOOK["metadata"]["language_info"]["name"] == "python"
    common = {"cell_type", "id", "metadata", "source"}
    for cell in CELLS:
        extra = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert cell["cell_type"] in ("code", "markdown") and set(cell) == common | extra
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell["id"]) and isinstance(cell["metadata"], dict)
        assert all(isinstance(line, str) and line.endswith("\n") for line in cell["source"][:-1])
        assert cell["source"] and not cell["source"][-1].endswith("\n")
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)


def test_notebook_is_kept_without_outputs():
    assert [(cell["outputs"], cell["execution_count"]) for cell in CODE] == [([], None)] * len(CODE)


@pytest.mark.parametrize(("scale", "arm"), [("results", "plain"), ("scales/smoke/results", None)])
def test_cells_run_in_order(tmp_path, monkeypatch, digits_run, scale, arm):
    """From the folder that Jupyter starts them in, on two runs of which one is a sweep, and one verdict."""
    results = tmp_path / scale
    alone = dataclasses.replace(digits_run, name="alone", arm=arm, evaluate_every=2)
    sweep = dataclasses.replace(alone, name="sweep", sweep={"lr": (0.05, 0.1)}, steps=4)
    for run in (alone, sweep):
        place = Place("tiny", run.name, results)
        train(Job(place=place, run=run, code="code", scale="default", save_seconds=1e9))
    claim = Claim("X1", "the loss is a number", verdict="loss", source="ours", runs=Select())
    item = Judged(**claim.words, runs=2, verdict=reported([1.0, 2.0, 3.0], unit="nats"))
    claims.write([item], results / "tiny" / "claims.json", study="tiny", question="Does it?")

    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    scope = {}
    for cell in CODE:
        exec(compile("".join(cell["source"]), f"explore.ipynb, cell {cell['id']}", "exec"), scope)
    assert scope["RESULTS"] == results and scope["STUDIES"] == ["tiny"]
    assert set(scope["runs"]["run"]) == {"alone", "sweep"}
    assert len(scope["ax"].lines) == 3
    assert scope["picture"].getvalue().startswith(b"\x89PNG")
    assert scope["verdicts"][["study", "claim", "verdict"]].values.tolist() == [["tiny", "X1", "reported"]]
