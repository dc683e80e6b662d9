"""A job in a fork of the warm process: the same files as in its own process."""

import os
import signal
import subprocess
import sys
import time

import pytest

from common import config
from common.runs import forkserver
from common.runs.origin import ROOT
from common.runs.owner import OWNER
from common.runs.place import Place


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory, and the signal handlers that a client replaces."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv(OWNER, raising=False)
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def plain(run: config.Run, results: str) -> dict:
    """A job as the rule gives it."""
    about = {"study": "study", "name": "run", "code": "code", "scale": "default", "save_seconds": 10}
    return {**about, "results": results, "run": config.identity(run)}


def train(job: dict) -> int:
    return forkserver.call("training", "common.runs.job:run", {"job": job}, terminal=2)


def test_a_forked_job_leaves_the_same_rows(digits_run, tmp_path, monkeypatch):
    assert train(plain(digits_run, "alone")) == 0
    monkeypatch.setenv(OWNER, str(os.getpid()))
    command = [sys.executable, "-m", "common.runs.forkserver", "training", "--preload", "common.runs.job:preload"]
    server = subprocess.Popen([*command, "--owner", str(os.getpid())])
    try:
        while not forkserver.socket_of("training", os.getpid()).exists():
            assert server.poll() is None
            time.sleep(0.05)
        time.sleep(0.1)
        monkeypatch.setattr(forkserver, "_call", lambda *_: pytest.fail("trained in the client's process"))
        assert train(plain(digits_run, "forked")) == 0
        broken = plain(digits_run, "broken")
        broken["run"]["lr"] = "high"
        assert train(broken) == 1
    finally:
        server.kill()
        server.wait()
    alone, forked = (Place("study", "run", tmp_path / results).metrics for results in ("alone", "forked"))
    assert alone.read_bytes() == forked.read_bytes()


def test_the_code_of_every_kind_is_loaded_before_the_first_fork():
    code = (
        "import sys; from common import config; from common.runs import job; job.preload()\n"
        "for family in (config.Model, config.Data, config.Optimizer, config.Schedule, config.Probe):\n"
        "    for kind in family.kinds().values():\n"
        "        assert kind.code.partition(':')[0] in sys.modules, kind\n"
        "print(sorted({'mlflow', 'matplotlib', 'pandas', 'datasets'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_pictures_are_loaded_without_torch():
    code = (
        "import sys; from common.pipeline import steps; steps.preload()\n"
        "print(sorted({'torch', 'mlflow', 'matplotlib', 'pandas', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['matplotlib', 'pandas', 'scipy']\n"
