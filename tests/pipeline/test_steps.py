"""What the script of a figure or of a measurement is given, and what becomes of what it gives."""

import dataclasses
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest
from snakemake.iocontainers import InputFiles

from common.config import MLP, Digits, Figure, Measure, Run, Select
from common.pipeline import steps
from common.plotting import figure
from common.runs import snapshots
from common.runs.job import Job, train
from common.runs.place import Place

TRUNK = Run(
    "trunk",
    model=MLP(width=4, depth=1, activation="tanh"),
    data=Digits(samples=20),
    lr=0.05,
    steps=4,
    batch_size=5,
    log_every=1,
    keep_steps=(2,),
    seed=1,
    arm="trunk",
)
BRANCH = dataclasses.replace(TRUNK, name="branch", parent="trunk", parent_step=2, keep_steps=(), arm="branch")
RUNS = Select(arm=["trunk", "branch"])


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A trained trunk, a branch of it, and a measured table."""
    folder = tmp_path_factory.mktemp("work") / "results"
    for run in (TRUNK, BRANCH):
        place = Place("fresh", run.name, folder)
        train(Job(place=place, run=run, code="code", scale="default", save_seconds=1e9))
    (folder / "fresh/path.csv").write_text("step,length\n0,0.5\n1,0.25\n")
    return folder


@pytest.fixture
def files(results) -> dict[str, list[str]]:
    """What Snakemake would give for each kind of source."""
    places = [Place("fresh", name, results) for name in ("trunk", "branch")]
    return {
        "runs": [str(place.metrics) for place in places],
        "states": [str(place.state) for place in places],
        "records": [str(place.record) for place in places],
        "path": [str(results / "fresh/path.csv")],
    }


def given(files: dict[str, list[str]]) -> InputFiles:
    """Snakemake's own list with names."""
    found = InputFiles()
    for name, paths in files.items():
        start = len(found)
        found.extend(paths)
        found._set_name(name, start, end=len(found))
    return found


def params(step) -> SimpleNamespace:
    return SimpleNamespace(study="fresh", step=step.name, sources=step.sources)


@pytest.fixture
def script(monkeypatch):
    """Puts a script with one function into the study "fresh"."""

    def put(name: str, **functions) -> None:
        module = ModuleType(f"studies.fresh.{name}")
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return put


def test_runs_are_given_as_a_table_of_their_rows(files):
    table = steps.read({"runs": "runs"}, given(files))["runs"]
    assert table.groupby("run", sort=False).step.agg(["min", "max"]).values.tolist() == [[0, 4], [2, 6]]
    assert table.val_loss.notna().any() and set(table.arm) == {"trunk", "branch"}


def test_a_lineage_is_given_with_the_rows_of_the_parents_before_its_own(files):
    [branch] = steps.read({"branch": "lineage"}, given({"branch": files["runs"][1:]})).values()
    assert (branch.step.min(), branch.step.max(), set(branch.run)) == (0, 6, {"branch"})


def test_states_are_given_as_paths_that_can_be_read(files):
    trunk, branch = steps.read({"states": "states"}, given(files))["states"]
    assert (snapshots.read(trunk).run, snapshots.read(branch).run) == (TRUNK, BRANCH)
    assert snapshots.read(trunk, "2").state.step == 2


def test_records_are_given_as_descriptions_by_name(files):
    assert steps.read({"records": "records"}, given(files))["records"] == {"trunk": TRUNK, "branch": BRANCH}


def test_a_measurement_is_given_as_a_table(files):
    table = steps.read({"path": "table"}, given(files))["path"]
    assert table.to_dict("list") == {"step": [0, 1], "length": [0.5, 0.25]}
    pd.testing.assert_frame_equal(steps.read({"path": "table"}, {"path": files["path"][0]})["path"], table)


def test_a_run_that_was_not_trained_is_named(files, results):
    missing = str(Place("fresh", "gone", results).metrics)
    with pytest.raises(FileNotFoundError, match=r"fresh/gone/run.json is missing: the run has not been trained"):
        steps.read({"runs": "runs"}, given({"runs": [missing]}))


def drawn(tmp_path: Path, script, step: Figure, files: dict[str, list[str]]) -> tuple[dict, dict]:
    """What the function of a figure was given, and the figure's JSON."""
    seen = {}

    def draw(**sources):
        seen.update(sources)
        fig, ax = figure(xlabel="update", ylabel="loss (nats)")
        ax.plot([0, 1], [1.0, 0.5])
        return fig, pd.DataFrame({"step": [0, 1], "loss": [1.0, 0.5]})

    script(f"plot_{step.name}", draw=draw)
    outputs = [tmp_path / f"fresh_{step.name}{end}" for end in (".pdf", ".png", ".csv", ".json")]
    steps.draw(params(step), given(files), map(str, outputs))
    assert all(output.stat().st_size for output in outputs)
    assert outputs[2].read_text() == "step,loss\n0,1.0\n1,0.5\n"
    return seen, json.loads(outputs[3].read_text())


def test_a_figure_is_drawn_from_what_its_entry_names(tmp_path, script, files):
    step = Figure("loss", runs=RUNS, tables=["path"])
    seen, about = drawn(tmp_path, script, step, {name: files[name] for name in ("runs", "path")})
    assert list(seen) == ["runs", "path"] and (len(seen["path"]), set(seen["runs"].run)) == (2, {"trunk", "branch"})
    assert about["script"] == "studies/fresh/plot_loss.py"
    assert about["runs"] == ["fresh/trunk", "fresh/branch"] and about["training_code"] == ["code"]


def test_a_figure_names_each_of_its_runs_once_however_often_it_reads_them(tmp_path, script, files):
    step = Figure(
        "all",
        runs={"runs": RUNS, "branches": Select(arm="branch", lineage=True)},
        states=RUNS,
        records=RUNS,
    )
    assert step.sources == {"runs": "runs", "branches": "lineage", "states": "states", "records": "records"}
    sources = {"runs": files["runs"], "branches": files["runs"][1:], "states": files["states"]}
    seen, about = drawn(tmp_path, script, step, sources | {"records": files["records"]})
    assert list(seen) == list(step.sources)
    assert about["runs"] == ["fresh/trunk", "fresh/branch"]


def test_a_figure_of_tables_alone_names_no_run(tmp_path, script, files):
    seen, about = drawn(tmp_path, script, Figure("toy", tables=["path"]), {"path": files["path"]})
    assert list(seen) == ["path"] and about["runs"] == []


def test_a_measurement_is_written_so_that_it_reads_back_exactly(tmp_path, script, files):
    step = Measure("lengths", states={"trunks": Select(arm="trunk")}, records=RUNS)
    value = 0.1 + 0.2

    def measure(trunks, records):
        [path] = trunks
        return pd.DataFrame(
            {"run": [Place.of(path).run, *records], "length": [value, 1.0, float("nan")]}, index=[7, 8, 9]
        )

    script("measure_lengths", measure=measure)
    output = tmp_path / "lengths.csv"
    inputs = given({"trunks": files["states"][:1], "records": files["records"]})
    steps.measure(params(step), inputs, [str(output)])
    assert output.read_bytes() == b"run,length\ntrunk,0.30000000000000004\ntrunk,1.0\nbranch,\n"


def test_what_an_entry_gives_and_the_function_does_not_take_is_an_error(tmp_path, script, files):
    script("measure_lengths", measure=lambda states: pd.DataFrame())
    with pytest.raises(TypeError, match="unexpected keyword argument 'runs'"):
        steps.measure(params(Measure("lengths", runs=RUNS)), given(files), [str(tmp_path / "lengths.csv")])
