"""What the script of a figure or of a measurement is given, and what becomes of what it gives."""

import dataclasses
import io
import json
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from common.config import MLP, Claim, Digits, Figure, Measure, Run, Select
from common.evidence import claims
from common.evidence.claims import Judged, Statement
from common.evidence.verdicts import Verdict, exact, reported
from common.pipeline import steps
from common.plotting import figure, mark
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


def params(step, *, statements=(), scale: str = "default") -> dict:
    about = {"study": "fresh", "step": step.name, "sources": step.sources, "arguments": dict(step.smoke)}
    return about | {"statements": list(statements), "scale": scale}


@pytest.fixture
def script(monkeypatch):
    """Puts a script with one function into the study "fresh"."""

    def put(name: str, **functions) -> None:
        module = ModuleType(f"studies.fresh.{name}")
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return put


def test_runs_are_given_as_a_table_of_their_rows(files):
    table = steps.read({"runs": "runs"}, files)["runs"]
    assert table.groupby("run", sort=False).step.agg(["min", "max"]).values.tolist() == [[0, 4], [2, 6]]
    assert table.val_loss.notna().any() and set(table.arm) == {"trunk", "branch"}


def test_a_lineage_is_given_with_the_rows_of_the_parents_before_its_own(files):
    [branch] = steps.read({"branch": "lineage"}, {"branch": files["runs"][1:]}).values()
    assert (branch.step.min(), branch.step.max(), set(branch.run)) == (0, 6, {"branch"})


def test_states_are_given_as_paths_that_can_be_read(files):
    trunk, branch = steps.read({"states": "states"}, files)["states"]
    assert (snapshots.read(trunk).run, snapshots.read(branch).run) == (TRUNK, BRANCH)
    assert snapshots.read(trunk, "2").state.step == 2


def test_records_are_given_as_descriptions_by_name(files):
    assert steps.read({"records": "records"}, files)["records"] == {"trunk": TRUNK, "branch": BRANCH}


def test_a_measurement_is_given_as_a_table(files):
    table = steps.read({"path": "table"}, files)["path"]
    assert table.to_dict("list") == {"step": [0, 1], "length": [0.5, 0.25]}


def test_a_run_that_was_not_trained_is_named(files, results):
    missing = str(Place("fresh", "gone", results).metrics)
    with pytest.raises(FileNotFoundError, match=r"fresh/gone/run.json is missing: the run has not been trained"):
        steps.read({"runs": "runs"}, {"runs": [missing]})


ENDS = (".pdf", ".png", ".csv", ".json", ".rst")


def drawn(
    tmp_path: Path, script, step: Figure, files: dict[str, list[str]], *, text: str | None = None, **options
) -> tuple[dict, dict]:
    """What the function of a figure was given, and the figure's JSON."""
    seen = {}

    def draw(**sources):
        seen.update(sources)
        fig, ax = figure(xlabel="update", ylabel="loss (nats)")
        ax.plot([0, 1], [1.0, 0.5])
        mark(ax, *sources.get("verdicts", {}).values())
        return fig, pd.DataFrame({"step": [0, 1], "loss": [1.0, 0.5]})

    script(f"plot_{step.name}", draw=draw, __doc__=text)
    outputs = [tmp_path / f"fresh_{step.name}{end}" for end in ENDS]
    steps.draw(params(step, **options), files, list(map(str, outputs)), terminal=io.StringIO())
    assert all(output.stat().st_size for output in outputs)
    assert outputs[2].read_text() == "step,loss\n0,1.0\n1,0.5\n"
    return seen, json.loads(outputs[3].read_text())


def test_a_figure_is_drawn_from_what_its_entry_names(tmp_path, script, files):
    step = Figure("loss", runs=RUNS, tables=["path"])
    seen, about = drawn(tmp_path, script, step, {name: files[name] for name in ("runs", "path")})
    assert list(seen) == ["runs", "path"] and (len(seen["path"]), set(seen["runs"].run)) == (2, {"trunk", "branch"})
    assert about["script"] == "studies/fresh/plot_loss.py"
    assert about["runs"] == ["fresh/trunk", "fresh/branch"] and about["training_code"] == ["code"]
    assert about["claims"] == {} and about["scale"] == ["default"]


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
    inputs = {"trunks": files["states"][:1], "records": files["records"]}
    steps.measure(params(step), inputs, [str(output)], terminal=io.StringIO())
    assert output.read_bytes() == b"run,length\ntrunk,0.30000000000000004\ntrunk,1.0\nbranch,\n"


def test_a_measurement_is_given_the_arguments_of_the_scale_beside_its_inputs(tmp_path, script, files):
    seen = []

    def measure(states, *, seeds=range(20), widths=None):
        seen.append((len(states), seeds, widths))
        return pd.DataFrame({"seed": list(seeds)})

    script("measure_lengths", measure=measure)
    output = tmp_path / "lengths.csv"
    for arguments in ({}, {"seeds": [0, 1], "widths": {"mup": [64]}}):
        step = Measure("lengths", states=RUNS, smoke=arguments)
        steps.measure(params(step), {"states": files["states"]}, [str(output)], terminal=io.StringIO())
    assert seen == [(2, range(20), None), (2, [0, 1], {"mup": [64]})]
    assert output.read_text() == "seed\n0\n1\n"


def test_what_an_entry_gives_and_the_function_does_not_take_is_an_error(tmp_path, script, files):
    script("measure_lengths", measure=lambda states: pd.DataFrame())
    with pytest.raises(TypeError, match="unexpected keyword argument 'runs'"):
        steps.measure(
            params(Measure("lengths", runs=RUNS)), files, [str(tmp_path / "lengths.csv")], terminal=io.StringIO()
        )


# Verdicts

FINAL = Claim("X1", "the loss ends below 5 nats", verdict="ends_low", source="ours", seeds=1, runs=RUNS)
LENGTH = Claim(
    "X2",
    "the path is short",
    verdict="path_is_short",
    source="A 2024",
    published="0.1",
    mark="second-hand",
    runs=RUNS,
    tables=["path"],
)
STATEMENTS = [claim.words for claim in (FINAL, LENGTH)]


def verdict_of(value: float, *, high: float = 5.0) -> Verdict:
    return exact([value], high=high, unit="nats")


@pytest.fixture
def verdicts(tmp_path) -> list[str]:
    """Files of a verdict that supports the first claim and of one that contradicts the second."""
    files = [tmp_path / "X1.json", tmp_path / "X2.json"]
    for file, value, runs in zip(files, (4.0, 6.0), (2, 0), strict=True):
        claims.keep(file.stem, claims.Found(verdict_of(value), runs), file)
    return [str(file) for file in files]


def judging(claim: Claim, *others: Claim) -> dict:
    functions = {each.name: [each.verdict, dict(each.settings)] for each in (claim, *others)}
    return {"study": "fresh", "claims": functions, "sources": claim.sources}


def test_claims_with_equal_inputs_are_judged_from_one_reading(tmp_path, script, files, monkeypatch):
    seen = []

    def ends_low(**tables):
        seen.append(tables)
        return verdict_of(tables["runs"].val_loss.min())

    def path_is_short(*, runs, path):
        seen.append({"runs": runs, "path": path})
        return reported(path.length, unit="")

    readings = []
    monkeypatch.setitem(steps.READERS, "table", lambda paths: readings.append(paths) or pd.read_csv(paths[0]))
    script("verdicts", ends_low=ends_low, path_is_short=path_is_short)
    first = dataclasses.replace(FINAL, tables=["path"])
    outputs = [tmp_path / "X1.json", tmp_path / "X2.json"]
    inputs = {name: files[name] for name in ("runs", "path")}
    steps.judge(judging(first, LENGTH), inputs, list(map(str, outputs)), terminal=io.StringIO())
    assert len(readings) == 1 and [list(tables) for tables in seen] == [["runs", "path"]] * 2
    assert seen[0]["runs"] is seen[1]["runs"]
    judged = [claims.kept(file, Statement(**each)) for file, each in zip(outputs, STATEMENTS, strict=True)]
    assert [(item.id, item.verdict.verdict, item.runs) for item in judged] == [
        ("X1", "supported", 2),
        ("X2", "reported", 2),
    ]
    assert judged[1].verdict == reported([0.5, 0.25], unit="")


def test_an_error_while_judging_names_the_claim(tmp_path, script, files):
    script("verdicts", ends_low=lambda runs: runs.gone)
    with pytest.raises(AttributeError) as caught:
        steps.judge(judging(FINAL), {"runs": files["runs"]}, [str(tmp_path / "X1.json")], terminal=io.StringIO())
    assert "while judging claim X1" in caught.value.__notes__[0]
    assert not (tmp_path / "X1.json").exists()


def test_a_claim_judged_on_nothing_is_judged(tmp_path, script):
    script("verdicts", holds=lambda: verdict_of(1.0))
    claim = Claim("X3", "it follows", verdict="holds", source="ours")
    steps.judge(judging(claim), {}, [str(tmp_path / "X3.json")], terminal=io.StringIO())
    assert claims.kept(tmp_path / "X3.json", Statement(**claim.words)).runs == 0


def collect(verdicts: list[str], output: Path, *statements: dict, scale: str = "default") -> str:
    """Collect, and what is said on the terminal."""
    about = {"study": "fresh", "question": "Does it?", "statements": list(statements), "scale": scale}
    terminal = io.StringIO()
    steps.collect(about, {"": verdicts}, [str(output)], terminal=terminal)
    return terminal.getvalue()


def test_the_verdicts_of_a_study_are_put_together_with_the_words_of_its_claims(tmp_path, verdicts):
    said = collect(verdicts, tmp_path / "claims.json", *STATEMENTS)
    report = claims.read(tmp_path / "claims.json")
    assert (report.study, report.question) == ("fresh", "Does it?")
    assert [(item.id, item.statement, item.runs) for item in report.judged] == [
        ("X1", FINAL.statement, 2),
        ("X2", LENGTH.statement, 0),
    ]
    assert [item.verdict for item in report.judged] == [verdict_of(4.0), verdict_of(6.0)]
    assert said == "warning: fresh: X2 asks for 5 seeds and has 1\n"
    assert collect(verdicts, tmp_path / "claims.json", *STATEMENTS, scale="smoke") == ""


def test_a_study_without_claims_has_an_empty_list_of_them(tmp_path):
    assert collect([], tmp_path / "claims.json") == ""
    assert claims.read(tmp_path / "claims.json").judged == ()


def test_a_damaged_verdict_is_named_when_the_claims_are_collected(tmp_path, verdicts):
    Path(verdicts[1]).write_text("{")
    with pytest.raises(ValueError, match=r"X2\.json is no verdict or is damaged"):
        collect(verdicts, tmp_path / "claims.json", *STATEMENTS)
    assert not (tmp_path / "claims.json").exists()


def test_verdicts_are_given_by_id_with_the_words_of_their_claims(verdicts):
    inputs = {"verdicts": verdicts}
    found = steps.read({"verdicts": "verdicts"}, inputs, statements=STATEMENTS)["verdicts"]
    assert list(found) == ["X1", "X2"] and all(isinstance(item, Judged) for item in found.values())
    assert found["X2"] == Judged(**STATEMENTS[1], runs=0, verdict=verdict_of(6.0))
    alone = steps.read({"verdicts": "verdicts"}, {"verdicts": verdicts[:1]}, statements=STATEMENTS[:1])["verdicts"]
    assert alone == {"X1": found["X1"]}
    with pytest.raises(ValueError, match="shorter"):
        steps.read({"verdicts": "verdicts"}, inputs, statements=STATEMENTS[:1])


SHOWN = Figure("loss", runs=RUNS, tables=["path"], claims=["X1", "X2"])
TEXT = "The loss against the update.\n\nOne line for each run.\n"


def test_a_figure_shows_verdicts_and_says_in_its_caption_what_they_mean(tmp_path, script, files, verdicts):
    inputs = {name: files[name] for name in ("runs", "path")} | {"verdicts": verdicts}
    seen, about = drawn(tmp_path, script, SHOWN, inputs, statements=STATEMENTS, text=TEXT)
    assert list(seen) == ["runs", "path", "verdicts"] and list(seen["verdicts"]) == ["X1", "X2"]
    assert about["script"] == "studies/fresh/plot_loss.py"
    assert about["runs"] == ["fresh/trunk", "fresh/branch"]
    assert about["claims"] == {"X1": "supported", "X2": "contradicted"}
    assert (tmp_path / "fresh_loss.rst").read_text(encoding="utf-8") == (
        "The loss against the update.\n\nOne line for each run.\n\n"
        "X1 ✓ supported: the loss ends below 5 nats. Ours: 4.00 nats [4.00, 4.00; n = 1].\n\n"
        "X2 ✗ contradicted: the path is short. Ours: 6.00 nats [6.00, 6.00; n = 1]. Paper: 0.1.\n"
    )


def test_the_caption_of_a_figure_without_claims_is_the_docstring_of_its_script(tmp_path, script, files):
    step = Figure("loss", runs=RUNS)
    drawn(tmp_path, script, step, {"runs": files["runs"]}, text=TEXT)
    assert (tmp_path / "fresh_loss.rst").read_text() == TEXT
    assert steps.caption("  " + TEXT + "\n\n", []) == TEXT
    assert steps.caption("", []) == "\n"


def test_equal_verdicts_give_equal_files_of_a_figure(tmp_path, script, files, verdicts):
    inputs = {name: files[name] for name in ("runs", "path")} | {"verdicts": verdicts}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        drawn(tmp_path / name, script, SHOWN, inputs, statements=STATEMENTS, text=TEXT)
    for end in ENDS:
        assert (tmp_path / f"a/fresh_loss{end}").read_bytes() == (tmp_path / f"b/fresh_loss{end}").read_bytes()


def test_a_figure_of_the_smoke_scale_is_marked_and_its_numbers_stay(tmp_path, script, files):
    step = Figure("loss", runs=RUNS)
    pictures = []
    for scale in ("default", "smoke"):
        (tmp_path / scale).mkdir()
        drawn(tmp_path / scale, script, step, {"runs": files["runs"]}, scale=scale)
        pictures.append((tmp_path / scale / "fresh_loss.png").read_bytes())
    assert pictures[0] != pictures[1]


def test_the_script_of_a_figure_runs_once(tmp_path, script, files):
    calls = []

    def draw(runs):
        calls.append(len(runs))
        fig, _ = figure()
        return fig, pd.DataFrame({"a": [1]})

    script("plot_once", draw=draw)
    outputs = [str(tmp_path / f"once{end}") for end in ENDS]
    steps.draw(params(Figure("once", runs=RUNS)), {"runs": files["runs"]}, outputs, terminal=io.StringIO())
    assert len(calls) == 1
