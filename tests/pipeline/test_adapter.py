"""A job of Snakemake reaches a function as plain values."""

import json
import os
import runpy
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params

from common.pipeline import adapter
from common.runs import forkserver
from common.runs.origin import ROOT
from common.runs.owner import OWNER


def echo(params: dict, inputs: dict, outputs: list, *, terminal) -> None:
    """Writes what it is given."""
    Path(outputs[0]).write_text(json.dumps({"params": params, "inputs": inputs, "outputs": outputs}))
    os.write(1, b"said in the log\n")


def fail(params: dict, inputs: dict, outputs: list, *, terminal) -> None:
    raise ValueError("it does not work")


def job(tmp_path, inputs: InputFiles) -> SimpleNamespace:
    params = Params()
    params.extend(["fresh", ["a", "b"]])
    params._set_name("study", 0)
    params._set_name("ids", 1)
    outputs = OutputFiles([str(tmp_path / "out.json"), str(tmp_path / "more.csv")])
    log = Log([str(tmp_path / "job.log")])
    return SimpleNamespace(params=params, input=inputs, output=outputs, log=log, rule="fresh_loss")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path, capfd):
    """No server answers; the descriptors that the log took are given back."""
    monkeypatch.delenv(OWNER, raising=False)
    monkeypatch.chdir(tmp_path)
    kept = [(number, os.dup(number)) for number in (1, 2)]
    yield
    for number, copy in kept:
        os.dup2(copy, number)
        os.close(copy)


@pytest.mark.parametrize("named", [True, False])
def test_a_job_reaches_a_function_as_plain_values(tmp_path, named):
    inputs = InputFiles(["one.csv", "two.csv", "table.csv"])
    if named:
        inputs._set_name("runs", 0, end=2)
        inputs._set_name("table", 2)
    with pytest.raises(SystemExit) as end:
        adapter.run(job(tmp_path, inputs), f"{__name__}:echo")
    assert not end.value.code
    given = json.loads((tmp_path / "out.json").read_text())
    assert given["params"] == {"study": "fresh", "ids": ["a", "b"]}
    every = ["one.csv", "two.csv", "table.csv"]
    assert given["inputs"] == ({"runs": every[:2], "table": every[2:]} if named else {"": every})
    assert given["outputs"] == [str(tmp_path / "out.json"), str(tmp_path / "more.csv")]
    assert (tmp_path / "job.log").read_text() == "said in the log\n"


@pytest.mark.parametrize("code", ["echo", "fail"])
def test_an_input_with_a_date_in_the_future_makes_no_output_older_than_it(tmp_path, code):
    (tmp_path / "one.csv").touch()
    os.utime(tmp_path / "one.csv", (time.time() + 3600,) * 2)
    with pytest.raises(SystemExit):
        adapter.run(job(tmp_path, InputFiles(["one.csv", "missing.csv"])), f"{__name__}:{code}")
    assert (tmp_path / "one.csv").stat().st_mtime <= time.time()


def test_an_error_is_told_in_one_line_with_its_log(tmp_path, capfd):
    with pytest.raises(SystemExit) as end:
        adapter.run(job(tmp_path, InputFiles([])), f"{__name__}:fail")
    assert end.value.code == 1
    line = "fresh_loss: ValueError: it does not work"
    assert capfd.readouterr().err.splitlines()[-1] == f"{line} (log: {tmp_path / 'job.log'})"
    assert (tmp_path / "job.log").read_text().splitlines()[-1] == line


@pytest.mark.parametrize(
    ("config", "scale", "seconds"),
    [({}, "default", 10), ({"scale": "smoke"}, "smoke", 10), ({"save_seconds": 30}, "default", 30)],
    ids=str,
)
def test_one_setting_of_a_build_keeps_the_others(tmp_path, monkeypatch, config, scale, seconds):
    """Snakemake drops those of the profile when one is given on the command line."""
    given = {}
    monkeypatch.setattr(forkserver, "call", lambda _server, _code, job, **_: given.update(job["job"]) or 0)
    wildcards, params = SimpleNamespace(study="tiny", run="a"), SimpleNamespace(run={}, code="c")
    train = SimpleNamespace(
        wildcards=wildcards, params=params, config=config, input=[], log=[str(tmp_path / "job.log")]
    )
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "common/pipeline/rules/train.py"), {"snakemake": train})
    assert end.value.code == 0 and (given["scale"], given["save_seconds"]) == (scale, seconds)
