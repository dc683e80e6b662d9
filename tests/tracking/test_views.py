"""From a figure to its runs: tags, saved views and notes; what stores made before are turned into."""

import base64
import json
import zlib
from pathlib import Path

import pytest

from common import tracking
from common.plotting.panels import PALETTE
from common.tracking.follow import Follower
from common.tracking.links import COLORS, address_of, color
from common.tracking.views import COLUMNS
from tests.tracking.test_tracking import (
    contents,
    describe,
    points,
    query,
    results,  # noqa: F401
    study,
    sweep_table,
    write_run,
    write_summary,
)

NOTE = "mlflow.note.content"


def views(folder: Path) -> dict[str, dict]:
    """Name and unpacked state of each saved view by its key."""
    sql = "SELECT key, value FROM experiment_tags WHERE key LIKE 'mlflow.sharedViewState.%'"
    found = {key.rpartition(".")[2]: json.loads(value) for key, value in query(folder, sql)}
    for view in found.values():
        view["state"] = json.loads(zlib.decompress(base64.b64decode(view["state"].removeprefix("deflate;"))))
    return found


def tag(folder: Path, name: str) -> dict[str, str]:
    """Values of a tag by run."""
    return {run: value for run, key, value in contents(folder)["tags"] if key == name}


def test_a_figure_has_a_view_and_its_runs_say_so(results):  # noqa: F811
    study(results)
    tracking.rebuild(results)
    found = views(results)
    assert found.keys() == {"overview", "figure-wsd_loss"}
    view = found["figure-wsd_loss"]
    assert view["name"] == "Figure wsd_loss, seed 0" and view["createdAt"] == view["updatedAt"] > 0
    assert view["state"]["searchFilter"] == "tags.figures LIKE '%wsd_loss;%' and tags.seed = '0'"
    assert view["state"]["selectedColumns"] == list(COLUMNS)
    axis = view["state"]["compareRunCharts"][0]["range"]
    assert axis["yMin"] < axis["yMax"]
    fed = tag(results, "figures")
    assert set(fed.values()) == {"wsd_loss;"}
    assert {name.rpartition(" of ")[2].partition(", seed ")[0] for name in fed} == {"cosine-s0", "branch-s0", "grid"}
    assert tag(results, "budget")["branch-s0"] == "1720"
    note = tag(results, NOTE)["branch-s0"]
    assert address_of("1", "figure-wsd_loss") in note and "run_name%20%3D%20%27stable-s0%27" in note
    [listed] = [value for name, key, value in contents(results)["experiments"] if (name, key) == ("wsd", NOTE)]
    assert address_of("1", "figure-wsd_loss") in listed
    for file in (results.parent / "figures").glob("wsd_loss*"):
        file.unlink()
    tracking.rebuild(results)
    assert views(results).keys() == {"overview"} and not tag(results, "figures")


def test_figures_and_verdicts_are_shown_as_soon_as_they_exist(results, monkeypatch):  # noqa: F811
    write_run(results, "cosine-s0")
    follower = Follower(results)
    follower.update(live=True)
    follower.summarise(live=True)
    before = points(results)
    write_summary(results)
    follower.update(live=True)
    follower.summarise(live=True)
    assert tag(results, "figures") == {"cosine-s0": "wsd_loss;"} and points(results) == before
    assert tag(results, "C8.verdict") == {"wsd figures and claims": "supported"}
    assert "figure-wsd_loss" in views(results)
    monkeypatch.setattr("common.tracking.follow.Summary.read", lambda *_: pytest.fail("read again"))
    follower.summarise(live=True)


def test_a_sweep_shows_best_and_mean_and_no_value_that_it_varies(results):  # noqa: F811
    swept = {"lr": (0.1, 0.2), "seed": (0, 1)}
    members = [{"lr": lr, "seed": seed} for lr in swept["lr"] for seed in swept["seed"]]
    outcomes = [{"status": "diverged" if index == 0 else "complete", "reason": None} for index in range(4)]
    table = sweep_table(4, members=members).replace("train_loss", "val_loss")
    write_run(results, "grid", table=table, description=describe(sweep=swept), members=outcomes)
    tracking.rebuild(results)
    ends = {key: (step, value) for name, key, step, value, _ in points(results) if name == "grid"}
    assert ends == {"best_val_loss": (1600, 0.5), "mean_val_loss": (1600, 0.75)}
    params = {key for name, key, _ in contents(results)["params"] if name == "grid"}
    assert "batch_size" in params and not params & {"lr", "seed"}


def test_a_store_made_before_is_understood_and_nothing_arrives_twice(results):  # noqa: F811
    write_run(results, rows=20)
    tracking.rebuild(results)
    now = contents(results)
    renamed = "UPDATE tags SET key = substr(key, 8) WHERE key IN ('mlflow.mirrored', 'mlflow.started_ms')"
    query(results, renamed)
    query(results, "UPDATE tags SET value = substr(value, 1, length(value) - 4) WHERE key = 'mirrored'")
    query(results, "DELETE FROM tags WHERE key = 'budget'")
    tracking.rebuild(results)
    assert contents(results) == now
    assert query(results, "SELECT count(*) FROM runs") == [(1,)]


def test_views_of_two_checkouts_in_one_store_keep_apart(tmp_path, monkeypatch, empty_store):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for who in ("mine", "yours"):
        write_run(tmp_path / who / "results", "cosine-s0")
        write_summary(tmp_path / who / "results")
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for who in ("mine", "yours", "mine"):
        tracking.rebuild(tmp_path / who / "results", uri=uri)
    for file in (tmp_path / "yours/figures").glob("wsd_loss*"):
        file.unlink()
    assert len(views(tmp_path / "results")) == 3
    tracking.rebuild(tmp_path / "yours/results", uri=uri)
    found = views(tmp_path / "results")
    del found["overview"]
    [view] = found.values()
    assert "/mine)" in view["name"] and "/mine'" in view["state"]["searchFilter"]


def test_colours_are_those_of_the_figures():
    assert {name: PALETTE["constant" if name == "stable" else name] for name in COLORS} == COLORS
    assert color("wsd") != color("another") and len(color("another")) == 7
