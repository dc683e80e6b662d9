"""MLflow is a mirror of the files: each metric once, one run per name, whatever happens to the mirroring process."""

import json
import math
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common import config, tracking
from common.runs.origin import ROOT
from common.runs.stop import Stop
from common.tracking import follow
from common.tracking.__main__ import ui
from common.tracking.address import store_uri
from common.tracking.follow import Follower
from common.tracking.record import Record, RecordError
from common.tracking.store import BATCH, Store
from common.tracking.summary import Summary

STARTED_MS = 1_700_000_000_000

FakeRun = Callable[..., Path]


def describe(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": config.Transformer(heads=4),
        "data": config.Corpus("prose", context=128),
        "lr": 0.004,
        "steps": 1600,
        "seed": 0,
        "batch_size": 8,
        "optimizer": config.AdamW(beta1=0.9),
        "schedule": config.WSD(warmup_steps=100, decay_steps=400),
        "arm": "wsd",
    }
    return config.to_dict(config.Run(**fields | changes))


def write_run(
    results: Path,
    name: str = "wsd-s0",
    *,
    study: str = "wsd",
    rows: int = 4,
    every: int = 10,
    status: str = "complete",
    started_ms: int = STARTED_MS,
    table: str | None = None,
    **facts: Any,
) -> Path:
    """The files of a run as a job writes them: complete, or in its progress folder while `status` is running."""
    run_dir = results / study / name
    folder = run_dir / "progress" if status == "running" else run_dir
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "format": 2,
        "study": study,
        "name": name,
        "scale": "default",
        "status": status,
        "reason": None,
        "description": describe(),
        "code": "0123456789ab",
        "started_ms": started_ms,
        "start_step": 0,
        "data": {"name": "corpus-prose", "digest": "ab" * 32},
        "git": {"commit": "c0ffee", "dirty": False},
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
        "device": "cpu",
        "cpu": "AVX2",
        "threads": 1,
    }
    if status != "running":
        record |= {"seconds": 12.5, "tokens_per_second": 81920.5, "updates": 1600, "lineage_updates": 1600}
    (folder / "run.json").write_text(json.dumps(record | facts))
    (folder / "metrics.csv").write_text(table if table is not None else curve(rows, every=every))
    if status != "running" and (run_dir / "progress").exists():
        for file in (run_dir / "progress").iterdir():
            file.unlink()
        (run_dir / "progress").rmdir()
    return run_dir


def curve(rows: int, *, every: int = 10, seed: int = 0) -> str:
    """A table with five metrics, the validation loss only in every fourth row."""
    noise = random.Random(seed)
    lines = ["step,learning_rate,train_loss,gradient_norm,val_loss,val_accuracy"]
    for row in range(rows):
        loss = 1.6 + 3.9 * math.exp(-row / 25) + 0.05 * noise.gauss(0, 1)
        measured = f"{loss + 0.02!r},{1 / loss!r}" if row % 4 == 0 else ","
        lines.append(f"{row * every},{0.004 * min(1, (row + 1) / 10)!r},{loss!r},{1 + noise.random()!r},{measured}")
    return "\n".join(lines) + "\n"


def sweep_table(rows: int, *, members: list[dict[str, float]]) -> str:
    lines = ["member,lr,seed,step,train_loss"]
    for index, swept in enumerate(members):
        labels = f"{index},{swept['lr']},{swept['seed']}"
        lines += [f"{labels},{step},{(index + 1) / (step + 1)!r}" for step in range(rows)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def results(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty results folder with a prepared store beside it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def query(results: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(results.parent / "mlflow.db") as database:
        return database.execute(sql).fetchall()


def points(results: Path) -> list[tuple[Any, ...]]:
    """(run name, key, step, value, timestamp) of every metric row of every active run."""
    return query(
        results,
        "SELECT r.name, m.key, m.step, m.value, m.timestamp FROM metrics m JOIN runs r USING (run_uuid) "
        "WHERE r.lifecycle_stage = 'active' ORDER BY 1, 2, 3, 4, 5",
    )


def contents(results: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a store says, without its random identifiers."""
    active = "JOIN runs r USING (run_uuid) WHERE r.lifecycle_stage = 'active' ORDER BY 1, 2, 3"
    tags = query(results, f"SELECT r.name, t.key, t.value FROM tags t {active}")
    return {
        "points": points(results),
        "latest": query(results, f"SELECT r.name, m.key, m.value, m.step FROM latest_metrics m {active}"),
        "params": query(results, f"SELECT r.name, p.key, p.value FROM params p {active}"),
        "tags": [row for row in tags if row[1] != "mlflow.parentRunId"],
        "runs": query(
            results,
            "SELECT name, status, start_time, end_time FROM runs WHERE lifecycle_stage = 'active' ORDER BY 1",
        ),
        "inputs": query(
            results,
            "SELECT r.name, d.name, d.digest FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id "
            "JOIN runs r ON r.run_uuid = i.destination_id WHERE r.lifecycle_stage = 'active' ORDER BY 1, 2, 3",
        ),
        "experiments": query(
            results, "SELECT e.name, t.key, t.value FROM experiments e JOIN experiment_tags t USING (experiment_id)"
        ),
    }


def expected(table: str, name: str = "wsd-s0", *, started_ms: int = STARTED_MS) -> list[tuple[Any, ...]]:
    """The points of a table of a single run, read in the most obvious way."""
    header, *lines = table.splitlines()
    columns = header.split(",")
    found = []
    for line in lines:
        row = dict(zip(columns, line.split(","), strict=True))
        step = int(row.pop("step"))
        found += [
            (name, key, step, float(value), started_ms + step)
            for key, value in row.items()
            if value and math.isfinite(float(value))
        ]
    return sorted(found)


def wait_for(results: Path, wanted: list[tuple[Any, ...]]) -> None:
    deadline = time.monotonic() + 30
    while points(results) != wanted:
        assert time.monotonic() < deadline, "the watch does not show what a training run has written"
        time.sleep(0.05)


def test_import_is_cheap() -> None:
    code = "import sys, common.tracking; print({'mlflow', 'pandas', 'torch', 'sqlalchemy'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT) == "set()\n"


def test_a_run_arrives_whole_and_once(results: Path) -> None:
    run_dir = write_run(results, rows=300)
    for _ in range(2):
        tracking.mirror(run_dir)
    store = contents(results)
    assert store["points"] == expected(curve(300))
    assert len(store["points"]) > BATCH
    assert store["runs"] == [("wsd-s0", "FINISHED", STARTED_MS, STARTED_MS + 12_500)]
    assert store["inputs"] == [("wsd-s0", "corpus-prose", "ab" * 8)]
    params = {key: value for _, key, value in store["params"]}
    assert params["schedule.kind"] == "wsd" and params["optimizer.beta1"] == "0.9" and params["model.heads"] == "4"
    tags = {key: value for _, key, value in store["tags"]}
    wanted = {
        "study": "wsd",
        "seed": "0",
        "arm": "wsd",
        "scale": "default",
        "status": "complete",
        "git.commit": "c0ffee",
        "git.dirty": "False",
        "code": "0123456789ab",
        "torch": "2.13.0",
        "device": "cpu",
        "mlflow.started_ms": str(STARTED_MS),
        "budget": "1600",
        "mlflow.runColor": "#0173b2",
        "data.digest": "ab" * 32,
    }
    assert wanted.items() <= tags.items()
    assert "parent" not in tags and "diverged" not in tags
    assert ("wsd", "mlflow.experimentKind", "custom_model_development") in store["experiments"]
    (place,) = query(results, "SELECT artifact_uri FROM runs")
    folder = Path(place[0].removeprefix("file://"))
    assert folder.is_relative_to(results.parent / "mlartifacts")
    assert sorted(file.name for file in folder.iterdir()) == ["metrics.csv", "run.json"]


def test_watched_sets_and_past_tasks_arrive_like_all_else(results: Path) -> None:
    old = config.Corpus("cpp", context=128)
    table = "step,train_loss,new_weight,val_loss,val_loss_old\n0,,,2.5,1.5\n1,2.25,0.5,2.0,1.75\n"
    described = describe(watched={"old": old}, continual=config.Continual(past=(old,), replay="all", ramp_steps=9))
    tracking.mirror(write_run(results, table=table, description=described))
    assert points(results) == expected(table)
    params = {key: value for _, key, value in contents(results)["params"]}
    wanted = {"watched.old.name": "cpp", "continual.past.0.name": "cpp", "continual.ramp_steps": "9"}
    assert wanted.items() <= params.items()


def test_a_parameter_that_is_too_long_for_the_store_is_cut_and_harms_no_other(results: Path) -> None:
    kept = list(range(1, 1600))
    write_run(results, "long", description=describe(keep_steps=tuple(kept)))
    write_run(results, "short")
    for _ in range(2):
        tracking.rebuild(results)
    params = {(name, key): value for name, key, value in contents(results)["params"]}
    whole = str(kept)
    assert len(whole) > 6000 and params["long", "keep_steps"] == whole[:6000]
    assert {key for name, key in params if name == "long"} - {key for name, key in params if name == "short"} == {
        "keep_steps"
    }
    assert len(query(results, "SELECT * FROM runs WHERE lifecycle_stage = 'active'")) == 2


def test_fields_that_are_none_are_no_parameters(results: Path) -> None:
    described = describe()
    assert described["sweep"] is described["evaluate_every"] is described["parent"] is None
    tracking.mirror(write_run(results, description=described))
    params = {key: value for _, key, value in contents(results)["params"]}
    assert params["log_every"] == "10" and params["model.kind"] == "transformer" and params["data.kind"] == "corpus"
    assert not {"sweep", "evaluate_every", "parent", "reset"} & params.keys() and "None" not in params.values()


FIRST_EDITION = {
    "model": {"kind": "mlp", "width": 25, "depth": 1, "activation": "relu", "norm": "none", "parametrization": "sp"},
    "data": {"source": "digits"},
    "lr": 0.1,
    "steps": 30,
    "seed": 0,
    "optimizer": {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.0},
    "schedule": {"kind": "constant", "warmup_steps": 0},
    "batch_size": 16,
    "log_every": 10,
    "watched": {"task0": {"source": "digits"}},
    "keep_steps": [],
    "reset": [],
    "probes": [{"kind": "effective_sharpness", "steps": [1, 2]}],
    "stacked": False,
    "arm": "angle",
    "threads": 1,
}
"""As it wrote them: what was None is left out, data has a source, and the record no format."""


@pytest.mark.parametrize("fields", [{}, {"evaluate_every": 1}, {"sweep": {"lr": [0.1, 0.2], "seed": [0, 1]}}], ids=str)
def test_records_of_the_first_edition_are_mirrored_too(results: Path, fields: dict[str, Any]) -> None:
    members = [{"lr": lr, "seed": seed} for lr in (0.1, 0.2) for seed in (0, 1)]
    table = sweep_table(3, members=members) if "sweep" in fields else "step,val_loss\n0,2.5\n5,2.0\n10,1.5\n"
    run_dir = write_run(results, "old", table=table, description=FIRST_EDITION | fields)
    facts = json.loads((run_dir / "run.json").read_text())
    del facts["format"]
    (run_dir / "run.json").write_text(json.dumps(facts))
    tracking.mirror(run_dir)
    params = {(name, key): value for name, key, value in contents(results)["params"]}
    assert params["old", "data.source"] == params["old", "watched.task0.source"] == "digits"
    assert params["old", "probes.0.steps"] == "[1, 2]" and params["old", "optimizer.momentum"] == "0.9"
    if "sweep" in fields:
        names = [f"lr {member['lr']} of old, seed {member['seed']}" for member in members]
        assert [row[0] for row in points(results)] == [name for name in names for _ in range(3)]
        assert [params[name, "lr"] for name in names] == ["0.1", "0.1", "0.2", "0.2"]
    else:
        wanted = [(0, 2.5), (10, 1.5)] if fields else [(0, 2.5), (5, 2.0), (10, 1.5)]
        assert [(step, value) for _, _, step, value, _ in points(results)] == wanted


def test_what_is_not_finite_is_left_out_and_a_diverged_run_is_a_result(results: Path) -> None:
    table = "step,train_loss,val_loss\n1,2.5,nan\n2,inf,\n3,-inf,7.0\n"
    tracking.mirror(write_run(results, table=table, status="diverged", reason="train_loss was inf at update 2"))
    assert [row[1:4] for row in points(results)] == [("train_loss", 1, 2.5), ("val_loss", 3, 7.0)]
    assert query(results, "SELECT status FROM runs") == [("FINISHED",)]
    tags = dict(query(results, "SELECT key, value FROM tags"))
    assert (tags["status"], tags["diverged"]) == ("diverged", "train_loss was inf at update 2")


def test_a_run_grows_while_it_trains(results: Path) -> None:
    lines = curve(40).splitlines(keepends=True)
    for count in (1, 5, 9, 40):
        torn = "" if count == 40 else lines[count][:7]
        tracking.mirror(write_run(results, table="".join(lines[:count]) + torn, status="running"))
        assert points(results) == expected("".join(lines[:count]))
        assert query(results, "SELECT status, end_time FROM runs") == [("RUNNING", None)]
    tracking.mirror(write_run(results, rows=40))
    assert points(results) == expected(curve(40))
    assert query(results, "SELECT status FROM runs") == [("FINISHED",)]


def test_rows_that_have_arrived_are_not_sent_again(results: Path) -> None:
    """The store would drop them, but a long run would send more at every look."""
    cursor = ""
    for first, rows in ((0, 5), (5, 9), (9, 9)):
        record = Record.read(write_run(results, rows=rows, status="running"), live=True)
        sent = record.points(after=record.arrived(cursor))
        assert {step for points in sent.values() for _, _, step in points} == {10 * row for row in range(first, rows)}
        cursor = record.cursor


def test_a_resumed_run_writes_its_rows_again(results: Path) -> None:
    for rows in (20, 8, 20, 30):
        tracking.mirror(write_run(results, rows=rows, status="running"))
        assert points(results) == expected(curve(max(rows, 20)))
    assert len(query(results, "SELECT * FROM runs")) == 1


@pytest.mark.parametrize(
    "change", [{"started_ms": STARTED_MS + 5}, {"code": "fedcba987654"}, {"table": curve(9, seed=1)}], ids=str
)
def test_a_run_that_was_trained_anew_replaces_the_old_one(results: Path, change: dict[str, Any]) -> None:
    tracking.mirror(write_run(results, rows=12))
    run_dir = write_run(results, **{"rows": 6} | change)
    for _ in range(2):
        tracking.mirror(run_dir)
    table = (run_dir / "metrics.csv").read_text()
    assert points(results) == expected(table, started_ms=change.get("started_ms", STARTED_MS))
    assert len(query(results, "SELECT * FROM runs")) == 2
    assert len(query(results, "SELECT * FROM runs WHERE lifecycle_stage = 'active'")) == 1


def test_members_of_a_sweep_are_nested_runs(results: Path) -> None:
    values = {"lr": (0.1, 0.2), "seed": (0, 1)}
    members = [{"lr": lr, "seed": seed} for lr in values["lr"] for seed in values["seed"]]
    outcomes = [{"member": i, "swept": swept, "status": "complete", "reason": None} for i, swept in enumerate(members)]
    outcomes[3] |= {"status": "diverged", "reason": "loss above 1e6"}
    description = describe(sweep=values)
    first = sweep_table(5, members=members[:2])
    tracking.mirror(write_run(results, "grid", table=first, status="running", description=description))
    assert [row[0] for row in query(results, "SELECT name FROM runs ORDER BY 1")] == [
        "grid",
        "lr 0.1 of grid, seed 0",
        "lr 0.1 of grid, seed 1",
    ]
    run_dir = write_run(
        results, "grid", table=sweep_table(5, members=members), description=description, members=outcomes
    )
    for _ in range(2):
        tracking.mirror(run_dir)
    wanted = [
        (f"lr {swept['lr']} of grid, seed {swept['seed']}", "train_loss", step, (i + 1) / (step + 1), STARTED_MS + step)
        for i, swept in enumerate(members)
        for step in range(5)
    ]
    assert points(results) == sorted(wanted)
    parents = query(
        results,
        "SELECT p.name, p.experiment_id = r.experiment_id FROM runs r JOIN tags t USING (run_uuid) "
        "JOIN runs p ON p.run_uuid = t.value WHERE t.key = 'mlflow.parentRunId'",
    )
    assert parents == [("grid", 1)] * 4
    params = {row[0]: row[2] for row in contents(results)["params"] if row[1] == "lr"}
    assert params["lr 0.2 of grid, seed 1"] == "0.2"
    diverged = query(results, "SELECT r.name FROM tags t JOIN runs r USING (run_uuid) WHERE t.key = 'diverged'")
    assert diverged == [("lr 0.2 of grid, seed 1",)]
    again = write_run(
        results, "grid", table=first, description=describe(sweep={"lr": (0.1,), "seed": (0, 1)}), started_ms=7
    )
    tracking.mirror(again)
    assert [row[0] for row in query(results, "SELECT name FROM runs WHERE lifecycle_stage = 'active' ORDER BY 1")] == [
        "grid",
        "lr 0.1 of grid, seed 0",
        "lr 0.1 of grid, seed 1",
    ]


def test_evaluations_between_logged_rows_stay_in_the_artifact(results: Path) -> None:
    description = describe(log_every=10, evaluate_every=2, steps=24, schedule=config.Constant(), watched=None)
    table = "step,val_loss\n" + "".join(f"{step},{step / 8}\n" for step in range(100, 125, 2))
    tracking.mirror(write_run(results, "dense", table=table, description=description, start_step=100))
    assert [(step, value) for _, _, step, value, _ in points(results)] == [
        (step, step / 8) for step in (100, 110, 120, 124)
    ]


def test_scales_in_one_store_keep_apart(results: Path) -> None:
    tracking.mirror(write_run(results))
    tracking.mirror(write_run(results, scale="smoke", started_ms=7))
    names = "SELECT e.name FROM runs r JOIN experiments e USING (experiment_id) WHERE r.lifecycle_stage = 'active'"
    assert sorted(query(results, names)) == [("wsd",), ("wsd (smoke)",)]


def test_a_deleted_experiment_comes_back(results: Path) -> None:
    run_dir = write_run(results)
    tracking.mirror(run_dir)
    from mlflow import MlflowClient

    client = MlflowClient(store_uri(results.parent))
    client.delete_experiment(client.get_experiment_by_name("wsd").experiment_id)
    tracking.mirror(run_dir)
    assert points(results) == expected(curve(4))


def test_a_damaged_record_names_the_file(results: Path) -> None:
    run_dir = write_run(results)
    (run_dir / "run.json").write_text("{")
    with pytest.raises(RecordError, match=r"wsd-s0/run\.json is no record.*train the run again"):
        tracking.mirror(run_dir)


def forked(work: Callable[[], object]) -> int:
    """A child process that does `work`; forked, because importing MLflow takes seconds."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def test_eight_processes_on_a_missing_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    names = [f"wsd-s{seed}" for seed in range(8)]
    runs = [write_run(tmp_path / "results", name, rows=20) for name in names]
    closed_to_start, start = os.pipe()

    def work(run_dir: Path) -> None:
        os.close(start)
        os.read(closed_to_start, 1)
        tracking.mirror(run_dir)

    children = [forked(partial(work, run_dir)) for run_dir in runs]
    os.close(start)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert points(tmp_path / "results") == sorted(point for name in names for point in expected(curve(20), name))
    assert len(query(tmp_path / "results", "SELECT * FROM runs")) == 8
    assert query(tmp_path / "results", "PRAGMA journal_mode") == [("wal",)]


def test_concurrent_mirrors_of_one_run_make_one_run(results: Path) -> None:
    run_dir = write_run(results, rows=50)
    threads = [threading.Thread(target=tracking.mirror, args=(run_dir,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert points(results) == expected(curve(50))
    assert len(query(results, "SELECT * FROM runs")) == 1


def test_a_kill_at_any_point_loses_and_doubles_nothing(results: Path) -> None:
    """The moments are drawn in CPU time, which a busy machine does not change; SIGPROF ends a process like SIGKILL."""
    spent = []
    for name in ("first", "second", "third"):  # the first one also pays for imports and caches
        began = time.process_time()
        tracking.mirror(write_run(results, name, rows=450))
        spent.append(time.process_time() - began)
    run_dir = write_run(results, rows=450)
    moments = random.Random(0)

    def work() -> None:
        # Surely before it is done, also where a busy machine counts more time: after that nothing is left to kill.
        signal.setitimer(signal.ITIMER_PROF, 0.5 * min(spent) * moments.random())
        tracking.mirror(run_dir)

    kills = 0
    for _ in range(10):
        kills += os.WIFSIGNALED(os.waitpid(forked(work), 0)[1])
        moments.random()
    assert kills >= 5
    tracking.mirror(run_dir)
    assert [point for point in points(results) if point[0] == "wsd-s0"] == expected(curve(450))
    assert query(results, "SELECT count(*) FROM runs WHERE name = 'wsd-s0'") == [(1,)]
    assert sum(name == "wsd-s0" for name, *_ in contents(results)["inputs"]) == 1


def write_summary(results: Path, *, estimate: float = 0.008) -> None:
    """Claims and figures of the study wsd, and a figure of another study whose name begins alike."""
    verdict = {"verdict": "supported", "estimate": estimate, "low": 0.004, "high": None, "unit": "nats/byte"}
    about = {"kind": "paper", "standing": "registered"}
    claims = [{"id": "C8", "statement": "WSD matches oracle cosine", "verdict": verdict, **about}]
    (results / "wsd").mkdir(exist_ok=True)
    (results / "wsd" / "claims.json").write_text(json.dumps({"study": "wsd", "question": "?", "claims": claims}))
    (results / "claims.md").write_text("# Claims")
    (results / "wsd_long").mkdir(exist_ok=True)
    figures = results.parent / "figures"
    figures.mkdir(exist_ok=True)
    for name in ("wsd_loss.pdf", "wsd_loss.png", "wsd_loss.csv", "wsd_loss.json", "wsd_long_loss.pdf"):
        (figures / name).write_text(name)
    fed = ["wsd/cosine-s0", "wsd/grid", "wsd/branch-s0"]
    (figures / "wsd_loss.json").write_text(json.dumps({"runs": fed}))


def artifacts(results: Path, name: str) -> list[str]:
    sql = f"SELECT artifact_uri FROM runs WHERE name = '{name}' AND lifecycle_stage = 'active'"
    ((place,),) = query(results, sql)
    folder = Path(place.removeprefix("file://"))
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def study(results: Path) -> None:
    """A study with runs of every kind."""
    write_run(results, "cosine-s0", rows=30, every=20)
    write_run(results, "stable-s0", rows=12, status="diverged", reason="loss above 1e6", seconds=9.0)
    write_run(results, "branch-s0", rows=12, description=describe(parent="stable-s0"), start_step=120)
    values = {"lr": (0.1, 0.2), "seed": (0, 1)}
    members = [{"lr": lr, "seed": seed} for lr in values["lr"] for seed in values["seed"]]
    outcomes = [{"status": "complete", "reason": None} for _ in members]
    table = sweep_table(5, members=members)
    write_run(results, "grid", table=table, description=describe(sweep=values), members=outcomes)
    write_run(results, "late-s0", rows=3, status="running")
    write_summary(results)


def test_rebuilt_equals_mirrored_live(results: Path, empty_store: Path) -> None:
    stop = Stop()
    options = {"owner": os.getpid(), "every_seconds": 0.05, "stop": stop}
    watching = threading.Thread(target=tracking.watch, args=(results,), kwargs=options, daemon=True)
    watching.start()
    for rows in (5, 10, 20):
        write_run(results, "cosine-s0", rows=rows, every=20, status="running")
        wait_for(results, expected(curve(rows, every=20), "cosine-s0"))
    study(results)
    stop.set()
    watching.join()
    live = contents(results)
    assert len(live["points"]) > 100
    assert ("late-s0", "KILLED") in [row[:2] for row in live["runs"]]
    summary = "wsd figures and claims"
    assert (summary, "C8.verdict", "supported") in live["tags"]
    assert (summary, "C8.estimate", "0.008 [0.004, open] nats/byte") in live["tags"]
    names = artifacts(results, summary)
    assert names == [
        "claims/claims.json",
        "claims/claims.md",
        *(f"figures/wsd_loss.{e}" for e in ("csv", "json", "pdf", "png")),
    ]

    before = query(results, "SELECT * FROM runs ORDER BY 1")
    assert tracking.rebuild(results).startswith("mirrored 5 runs in ")
    assert contents(results) == live
    assert query(results, "SELECT * FROM runs ORDER BY 1") == before

    for file in results.parent.glob("mlflow.db*"):
        file.unlink()
    (results.parent / "mlflow.db").write_bytes(empty_store.read_bytes())
    tracking.rebuild(results)
    for part, rows in contents(results).items():
        assert set(rows) ^ set(live[part]) == set(), part
        assert rows == live[part], part
    assert artifacts(results, summary) == names


def test_figures_and_verdicts_arrive_while_the_others_are_still_to_come(results: Path) -> None:
    follower, name = Follower(results), "wsd figures and claims"

    def shown() -> tuple[dict[str, str], list[str]]:
        follower.update(live=True)
        follower.summarise(live=True)
        tags = {key: value for run, key, value in contents(results)["tags"] if run == name}
        return tags, [Path(file).name for file in artifacts(results, name)]

    verdict = {"verdict": "supported", "estimate": 1.0, "low": 0.5, "high": None, "unit": "nats", "rule": "above 0.1"}
    write_run(results, rows=4, status="running")
    (results / "wsd" / "claims").mkdir()
    (results / "wsd" / "claims" / "C8.json").write_text(json.dumps({"id": "C8", "runs": 4, "verdict": verdict}))
    tags, files = shown()
    assert (tags["C8.verdict"], files) == ("supported", ["C8.json"])
    assert "| C8 | **supported** (just judged) | 1 [0.5, open] nats | above 0.1 |" in tags["mlflow.note.content"]

    (results.parent / "figures").mkdir()
    (results.parent / "figures" / "wsd_loss.png").write_text("a picture")
    assert shown()[1] == ["C8.json", "wsd_loss.png"]

    write_summary(results)
    tags, files = shown()
    assert tags["C8.estimate"] == "1 [0.5, open] nats", "the file is the newest verdict"
    assert "| C8 | **supported** (paper, registered) |" in tags["mlflow.note.content"]
    (results / "wsd" / "claims" / "C8.json").unlink()
    (results / "wsd" / "claims" / "C9.json").write_text(json.dumps({"id": "C9", "runs": 4, "verdict": verdict}))
    tags, files = shown()
    assert tags["C8.estimate"].startswith("0.008 ") and "C9.verdict" not in tags, "it is no claim of the study now"
    assert "claims.json" in files and "C9.json" not in files


def test_changed_claims_replace_the_old_ones(results: Path) -> None:
    for estimate in (0.008, 0.009):
        write_summary(results, estimate=estimate)
        tracking.rebuild(results)
    found = [value for _, key, value in contents(results)["tags"] if key == "C8.estimate"]
    assert len(found) == 1 and found[0].startswith("0.009 ")


def test_watch_ends_with_its_owner_and_mirrors_the_end(results: Path) -> None:
    owner = subprocess.Popen(["sleep", "600"])
    watching = threading.Thread(
        target=tracking.watch, args=(results,), kwargs={"owner": owner.pid, "every_seconds": 0.05}
    )
    watching.start()
    try:
        write_run(results, rows=5, status="running")
        wait_for(results, expected(curve(5)))
        write_run(results, rows=8)
    finally:
        owner.kill()  # and not collected: it stays as a zombie
        watching.join(30)
        owner.wait()
    assert not watching.is_alive()
    assert points(results) == expected(curve(8))


def test_what_is_finished_and_mirrored_is_not_read_again(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study(results)
    first = Follower(results)
    first.update(live=True)
    later = Follower(results)
    monkeypatch.setattr(Store, "run", lambda *_, **__: pytest.fail("mirrored again"))
    later.update(live=True)
    monkeypatch.setattr(Record, "read", lambda *_, **__: pytest.fail("read again"))
    first.update(live=True)
    later.update(live=True)


def test_a_removed_store_is_filled_again(results: Path, empty_store: Path) -> None:
    write_run(results)
    follower = Follower(results)
    follower.update(live=True)
    for file in results.parent.glob("mlflow.db*"):
        file.unlink()
    (results.parent / "mlflow.db").write_bytes(empty_store.read_bytes())
    query(results, "UPDATE experiments SET creation_time = creation_time + 1")
    follower.update(live=True)
    assert points(results) == expected(curve(4))


def test_a_damaged_run_does_not_stop_the_others(results: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (write_run(results, "a") / "run.json").write_text("[]")
    write_run(results, "b")
    follower = Follower(results)
    for _ in range(2):
        follower.update(live=True)
    assert {row[0] for row in points(results)} == {"b"}
    assert capfd.readouterr().err.count("a/run.json is no record of a run") == 1
    write_summary(results)
    tracking.rebuild(results)
    assert ("wsd figures and claims", "C8.verdict", "supported") in contents(results)["tags"]
    assert capfd.readouterr().err.count("a/run.json is no record of a run") == 1


@pytest.mark.parametrize("broken", ["server", "file", "folder"])
def test_a_store_that_fails_costs_one_warning(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow, "PATIENCE", 1)
    write_run(tmp_path / "results")
    (tmp_path / "file.db").write_bytes(b"this is no database at all" * 100)
    (tmp_path / "read-only").write_text("")
    uri = {
        "server": "http://127.0.0.1:9",
        "file": f"sqlite:///{tmp_path}/file.db",
        "folder": f"sqlite:///{tmp_path}/read-only/mlflow.db",
    }[broken]
    stop = Stop()
    threading.Timer(0.4, stop.set).start()
    tracking.watch(tmp_path / "results", owner=os.getpid(), every_seconds=0.05, uri=uri, stop=stop)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert f"MLflow store {uri} failed, training goes on" in lines[0]


def test_ui_refuses_a_taken_port(tmp_path: Path) -> None:
    told = r"is in use; say: make ui PORT=\d+"
    (tmp_path / "results").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit, match=told):
        ui(tmp_path, port=taken.getsockname()[1])


def test_ui_refuses_a_folder_with_nothing_in_it_and_leaves_it_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no results and no store: build something first"):
        ui(tmp_path, port=1)
    assert not list(tmp_path.iterdir())


def test_what_a_study_shows_changes_with_the_runs_that_feed_its_figures(results: Path) -> None:
    run_dir = write_run(results)
    (results / "wsd/claims.json").write_text('{"claims": []}')
    found = [
        Summary.read(results, "wsd", [Record.read(run_dir, live=False, figures=figures)])
        for figures in ("", "wsd_loss;", "wsd_loss;")
    ]
    first, second, third = (each.digest for each in found)
    assert first != second == third
