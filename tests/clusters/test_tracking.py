"""A shared MLflow server: nothing of one checkout touches another's, and no server's end or silence holds a build."""

import signal
import socket
import time

import pytest

from tests.clusters import tracking
from tests.clusters.conftest import LONGER, Checkout
from tests.clusters.slurm import wait
from tests.clusters.tracking import Database, Server

TAGGED = "select run_uuid from tags where key = 'checkout' and value like '%:{folder}'"
RUNS = f"""
    select run_uuid from runs where lifecycle_stage = 'active' and (run_uuid in ({TAGGED})
    or run_uuid in (select run_uuid from tags where key = 'mlflow.parentRunId' and value in ({TAGGED})))
"""
"""Runs of a checkout, the members of its sweeps among them."""
MEASURED = f"select count(*) from metrics where key not in ('best_val_loss', 'mean_val_loss') and run_uuid in ({RUNS})"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    if reason := tracking.obstacle():
        pytest.skip(reason)
    made = Database(tmp_path_factory.mktemp("postgres") / "database")
    yield made
    made.stop()


@pytest.fixture
def server(database, tmp_path, monkeypatch):
    """A server of this test on the database of all."""
    made = Server(database, tmp_path / "server")
    monkeypatch.setattr(Shared, "uri", made.uri)
    yield made
    if made.process.poll() is None:
        made.send(signal.SIGCONT)
        made.kill()


class Shared(Checkout):
    """A checkout whose builds go to the server."""

    uri = ""

    def __init__(self, root) -> None:
        super().__init__(root, mirror=True)

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"MLFLOW_TRACKING_URI": self.uri}


def written(checkout) -> int:
    """Numbers of measurements in the rows of a checkout."""
    total = 0
    for text in checkout.metrics().values():
        header, *rows = text.decode().splitlines()
        skip = header.split(",").index("step") + 1
        total += sum(1 for row in rows for cell in row.split(",")[skip:] if cell not in ("", "nan", "inf", "-inf"))
    return total


def arrived(database, checkout) -> int:
    """Numbers of measurements that the store has of it."""
    return int(database.query(MEASURED.format(folder=checkout.root))[0][0])


def runs(database, checkout) -> set[str]:
    return {row[0] for row in database.query(RUNS.format(folder=checkout.root))}


def test_two_checkouts_fill_one_store_and_neither_touches_the_other(database, server, tmp_path, build):
    both = [Shared(tmp_path / name) for name in ("one", "two")]
    for building in [build(each, "tiny") for each in both]:
        building.end()
    assert written(both[0]) == written(both[1]) == arrived(database, both[0]) == arrived(database, both[1]) > 0
    before = [runs(database, each) for each in both]
    assert not before[0] & before[1] and len(before[0]) == len(before[1])
    both[0].snakemake("mlflow")
    assert [runs(database, each) for each in both] == before
    assert [arrived(database, each) for each in both] == [written(each) for each in both]


def test_a_server_that_is_killed_and_comes_back_has_everything_in_the_end(database, server, tmp_path, build):
    checkout = Shared(tmp_path / "one")
    checkout.edit("studies/tiny/study.py", '"evaluate_every": 1000', '"evaluate_every": 1000, "log_every": 50')
    building = build(checkout, LONGER)
    wait(lambda: arrived(database, checkout) > 0, "the first rows have arrived", seconds=120)
    server.kill()
    time.sleep(3)
    assert building.process.poll() is None, "the training has ended too soon for this test"
    server.start()
    told = building.end()
    assert told.count("training goes on") <= 1
    checkout.snakemake("mlflow")
    assert arrived(database, checkout) == written(checkout) > 0
    assert len(runs(database, checkout)) == 1


def test_a_silent_server_holds_the_end_of_a_build_for_seconds_only(database, server, tmp_path, build):
    checkout = Shared(tmp_path / "one")
    building = build(checkout, "tiny")
    wait(lambda: arrived(database, checkout) > 0, "the first rows have arrived", seconds=120)
    server.send(signal.SIGSTOP)
    figure = checkout.root / "figures/tiny_loss.pdf"
    wait(figure.exists, "the last figure is there", seconds=120)
    began = time.monotonic()
    told = building.end()
    assert time.monotonic() - began < 15, told
    assert "`snakemake mlflow` fills it" in told
    with socket.create_connection(("127.0.0.1", server.port), timeout=5):
        pass  # it accepts, and says nothing
    server.send(signal.SIGCONT)
    checkout.snakemake("mlflow")
    assert arrived(database, checkout) == written(checkout) > 0
