"""Where the store is, whose runs are in it, and what of its address may be shown."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from contextlib import closing
from pathlib import Path

import pytest

from common import tracking
from common.runs.origin import ROOT
from common.runs.stop import Stop
from common.tracking import address, follow
from common.tracking.address import AddressError, redacted
from common.tracking.follow import StoreError
from common.tracking.store import CHECKOUT, SETTINGS, Store
from tests.tracking.test_tracking import query, write_run


@pytest.fixture(autouse=True)
def no_address(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def watch_once(results: Path) -> None:
    """The last pass of a mirror, as at the end of a build."""
    stop = Stop()
    stop.set()
    tracking.watch(results, owner=os.getpid(), stop=stop)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:s3cret@127.0.0.1:9/db",
        "postgresql://127.0.0.1:9/db?password=s3cret",
        "file:///tmp/mlruns",
        "./mlruns",
        "databricks",
        "mysql://s3cret@h/db",
    ],
)
def test_what_is_no_server_and_no_file_is_refused_with_the_way_out(tmp_path, monkeypatch, capfd, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    write_run(tmp_path / "results")
    watch_once(tmp_path / "results")
    [line] = capfd.readouterr().err.splitlines()
    assert "must be http(s)://HOST:PORT of an MLflow server" in line and "s3cret" not in line
    with pytest.raises(AddressError):
        tracking.rebuild(tmp_path / "results")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:s3cret@host:5000/api", "https://***@host:5000/api"),
        ("at http://me:p@ss/w:rd@host and http://host:80/", "at http://***@host and http://host:80/"),
        ("at 'https://s3cret@host', (https://host/a?token=s3)", "at 'https://***@host', (https://host/a?***)"),
        ("https://host?s3cret", "https://host?***"),
        ("with url: /?token=s3/api&x=1 (why? it's here)", "with url: /?*** (why? it's here)"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("http://host:5000", "http://host:5000"),
    ],
)
def test_passwords_and_tokens_are_never_shown(text, shown):
    assert redacted(text) == shown


@pytest.fixture
def dead(monkeypatch) -> str:
    """Host and port at which nothing listens."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("uri", ["http://me:s3cret@{}", "http://s3cret@{}", "http://{}?token=s3cret"])
def test_a_dead_server_costs_one_line_without_its_secrets(tmp_path, monkeypatch, capfd, dead, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(dead))
    write_run(tmp_path / "results")
    watch_once(tmp_path / "results")
    [line] = capfd.readouterr().err.splitlines()
    assert redacted(uri).format(dead) in line and "training goes on" in line and "s3cret" not in line
    for fill in (
        lambda: tracking.rebuild(tmp_path / "results"),
        lambda: tracking.mirror(tmp_path / "results/wsd/wsd-s0"),
    ):
        with pytest.raises(StoreError, match="MLflow store http") as caught:
            fill()
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_what_a_library_says_is_cut_behind_its_secrets_and_not_within(dead):
    error = ValueError(f"{'x' * 170} http://me:{'s3cret' * 9}@{dead}")
    assert follow._told(error) == f"ValueError: {'x' * 170} http://***@{dead}"[: len("ValueError: ") + 200]


def test_a_server_that_accepts_and_never_answers_does_not_hold_a_build(tmp_path, capfd, monkeypatch):
    """A build waits for the mirror at its end: most of the time in one request that is under way, then here."""
    assert int(SETTINGS["MLFLOW_HTTP_REQUEST_TIMEOUT"]) + address.SILENT_SECONDS < 10
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")  # shorter here, for machines that are busy
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", SETTINGS["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
    write_run(tmp_path / "elsewhere/results")
    tracking.rebuild(tmp_path / "elsewhere/results")  # MLflow is imported
    write_run(tmp_path / "results")
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        uri = f"http://127.0.0.1:{hole.getsockname()[1]}"
        stop = Stop()
        watching = threading.Thread(
            target=tracking.watch, args=(tmp_path / "results",), kwargs={"owner": os.getpid(), "stop": stop, "uri": uri}
        )
        watching.start()
        time.sleep(1.0)
        stop.set()
        began = time.monotonic()
        watching.join(timeout=30)
        assert not watching.is_alive() and time.monotonic() - began < 10
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_locked_store_is_one_line_and_no_traceback(tmp_path, empty_store):
    """In a process of its own: what the libraries log does not pass through a test's hands. MLflow waits twenty
    seconds for a lock; here a fifth of one.
    """
    shutil.copy(empty_store, tmp_path)
    write_run(tmp_path / "results")
    tracking.rebuild(tmp_path / "results")
    write_run(tmp_path / "results", "other")
    program = (
        "import os; from pathlib import Path; from sqlalchemy import event; from sqlalchemy.engine import Engine\n"
        "from common import tracking; from common.runs.stop import Stop\n"
        "shorter = lambda connection, cursor, statement, values, *_: (statement.replace('20000', '200'), values)\n"
        "event.listen(Engine, 'before_cursor_execute', shorter, retval=True)\n"
        "stop = Stop(); stop.set()\n"
        f"tracking.watch(Path({str(tmp_path / 'results')!r}), owner=os.getpid(), stop=stop)"
    )
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as holder:
        holder.execute("begin exclusive")
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)
    [line] = done.stderr.splitlines()
    assert "database is locked" in line and "training goes on, `snakemake mlflow` fills it" in line
    assert "mirrored 2 runs" in tracking.rebuild(tmp_path / "results")


def test_two_checkouts_in_one_store_never_touch_each_other(tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path / "team.db")
    uri = f"sqlite:///{tmp_path / 'team.db'}"
    for who in ("mine", "yours"):
        write_run(tmp_path / who / "results", started_ms=1_700_000_000_000 + len(who))
    for who in ("mine", "yours", "mine"):
        tracking.rebuild(tmp_path / who / "results", uri=uri)
    with closing(sqlite3.connect(tmp_path / "team.db")) as store:
        found = store.execute(
            "select value, lifecycle_stage from runs join tags using (run_uuid) where key = ?", (CHECKOUT,)
        ).fetchall()
    assert sorted(Path(value.partition(":")[2]).name for value, stage in found if stage == "active") == [
        "mine",
        "yours",
    ]
    (tmp_path / "mine/results/wsd/wsd-s0/run.json").unlink()
    (tmp_path / "mine/results/wsd/wsd-s0/metrics.csv").unlink()
    write_run(tmp_path / "mine/results", code="another")
    tracking.rebuild(tmp_path / "mine/results", uri=uri)
    client = Store(uri, tmp_path / "mine").client
    [experiment] = client.search_experiments(filter_string="name = 'wsd'")
    codes = [run.data.tags["code"] for run in client.search_runs([experiment.experiment_id])]
    assert sorted(codes) == ["0123456789ab", "another"]


def test_a_store_in_its_own_folder_may_move_with_it(tmp_path, empty_store):
    write_run(tmp_path / "here/results")
    shutil.copy(empty_store, tmp_path / "here")
    tracking.rebuild(tmp_path / "here/results")
    (tmp_path / "here").rename(tmp_path / "there")
    tracking.rebuild(tmp_path / "there/results")
    assert len(query(tmp_path / "there/results", "select * from runs")) == 1
    assert not query(tmp_path / "there/results", f"select * from tags where key = '{CHECKOUT}'")


def test_results_behind_a_link_keep_their_store_beside_the_link(tmp_path, empty_store):
    write_run(tmp_path / "scratch")
    (tmp_path / "work").mkdir()
    shutil.copy(empty_store, tmp_path / "work")
    (tmp_path / "work/results").symlink_to(tmp_path / "scratch")
    tracking.rebuild(tmp_path / "work/results")
    tracking.mirror(tmp_path / "work/results/wsd/wsd-s0")
    assert (tmp_path / "work/mlflow.db").exists() and not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    "half",
    [
        lambda file: file.write_bytes(b""),
        lambda file: sqlite3.connect(file).execute("create table experiments (a)").connection.commit(),
    ],
    ids=["empty", "half"],
)
def test_a_half_made_store_is_recognised_and_made_again(tmp_path, capfd, half):
    write_run(tmp_path / "results")
    half(tmp_path / "mlflow.db")
    tracking.rebuild(tmp_path / "results")
    assert "mlflow.db is no whole MLflow store; it is mlflow.db.broken now" in capfd.readouterr().err
    assert len(query(tmp_path / "results", "select * from runs")) == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda file: file.write_bytes(b"a letter"),
        lambda file: sqlite3.connect(file).execute("create table letters (a)").connection.commit(),
    ],
    ids=["text", "another database"],
)
def test_a_file_that_never_was_a_store_is_left_alone(tmp_path, monkeypatch, other):
    other(tmp_path / "mine.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mine.db'}")
    write_run(tmp_path / "results")
    watch_once(tmp_path / "results")
    assert (tmp_path / "mine.db").exists() and not (tmp_path / "mine.db.broken").exists()


def test_leftovers_of_a_migration_that_was_killed_are_a_half_made_store(tmp_path, capfd, empty_store):
    shutil.copy(empty_store, tmp_path)
    write_run(tmp_path / "results")
    tracking.rebuild(tmp_path / "results")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        store.execute("create table _alembic_tmp_trace_tags (a)")
        store.commit()
    tracking.rebuild(tmp_path / "results")
    assert "made anew" in capfd.readouterr().err
    assert len(query(tmp_path / "results", "select * from runs")) == 1
    assert not list(tmp_path.glob("mlflow.db.new*"))


def test_the_path_of_a_file_may_hold_anything_but_a_question_mark(tmp_path, empty_store):
    folder = tmp_path / "a b [old] {draft} 50%20 #1"
    write_run(folder / "results")
    shutil.copy(empty_store, folder)
    tracking.rebuild(folder / "results")
    assert len(query(folder / "results", "select * from runs")) == 1
    write_run(tmp_path / "why?/results")
    with pytest.raises(AddressError, match=r"its path has a '\?'; rename the folder"):
        tracking.rebuild(tmp_path / "why?/results")
    assert address.checkout(f"sqlite:///{folder}/mlflow.db", folder) is None
