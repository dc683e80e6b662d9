"""A job in a fork of the warm process, or of its own: the same files, and whatever ends it is told."""

import dataclasses
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import psutil
import pytest

from common import config
from common.config import MLP
from common.runs import forkserver
from common.runs.origin import ROOT
from common.runs.owner import OWNER
from common.runs.place import Place
from common.runs.stop import Stop


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory, and the signal handlers that a client replaces."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(OWNER, "")
    monkeypatch.delenv(OWNER)
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def plain(run: config.Run, results: str) -> dict:
    """A job as the rule gives it."""
    about = {"study": "study", "name": "run", "code": "code", "scale": "default", "save_seconds": 10}
    return {**about, "results": results, "run": config.identity(run)}


def train(job: dict) -> str | None:
    return forkserver.call("training", "common.runs.job:run", {"job": job}, terminal=2)


@contextmanager
def serving(preload: str):
    """A server of this process, which cannot fork itself meanwhile."""
    os.environ[OWNER] = str(os.getpid())
    server = forkserver.start("training", preload=preload)
    try:
        yield server
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def never_alone(monkeypatch):
    monkeypatch.setattr(forkserver.Forks, "add", lambda *_, **__: pytest.fail("called in a fork of the client"))


def test_a_forked_job_leaves_the_same_rows(digits_run, tmp_path, request):
    assert train(plain(digits_run, "alone")) is None
    request.getfixturevalue("never_alone")
    with serving("common.runs.job:preload"):
        assert train(plain(digits_run, "forked")) is None
        broken = plain(digits_run, "broken")
        broken["run"]["lr"] = "high"
        assert train(broken) == "DescriptionError: Run: lr='high' must be a finite number"
    alone, forked = (Place("study", "run", tmp_path / results).metrics for results in ("alone", "forked"))
    assert alone.read_bytes() == forked.read_bytes()


def nothing() -> None:
    """What a server may load."""


def end(how: str, *, terminal) -> None:
    """Ends in some way."""
    exec(how, {"os": os, "sys": sys, "resource": resource})


ENDS = {
    "pass": None,
    "sys.exit('stopped; its state is saved')": "stopped; its state is saved",
    "sys.exit(0)": "ended with status 0",
    "os._exit(3)": "ended without a word, with status 3",
    "os.kill(os.getpid(), 9)": "ended by signal 9, as the kernel does where memory is short",
    "os.kill(os.getpid(), 11)": "ended by signal 11",
    "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); bytearray(1 << 40)": "MemoryError",
    "os.write(os.open('/dev/full', os.O_WRONLY), b'x')": "OSError: [Errno 28] No space left on device",
}
"""What a job may do, and what is told of it."""


def told(how: str) -> str | None:
    return forkserver.call("training", f"{__name__}:end", {"how": how}, terminal=2)


@pytest.mark.parametrize("how", ENDS)
def test_whatever_ends_a_fork_of_its_own_a_job_tells_it(how):
    assert told(how) == ENDS[how]


def test_whatever_ends_a_fork_of_the_server_a_job_tells_it(never_alone, capfd):
    with serving(f"{__name__}:nothing") as server:
        assert {how: told(how) for how in ENDS} == ENDS
        assert capfd.readouterr().err.count("Traceback") == 2, "its log has more"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(forkserver.socket_of("training", os.getpid())))
        deadline = time.monotonic() + 10
        while psutil.Process(server.pid).children():
            assert time.monotonic() < deadline, "a client that goes before it asks leaves a fork behind"
            time.sleep(0.05)


def late() -> None:
    """What takes a server its time."""
    time.sleep(1)


def never() -> None:
    """What a server cannot load."""
    time.sleep(1)
    sys.exit("cannot be loaded")


def test_a_job_that_comes_before_the_server_is_ready_waits_for_it(never_alone):
    with serving(f"{__name__}:late"):
        assert told("sys.exit('done')") == "done"


def test_a_job_that_waited_for_a_server_that_ends_forks_itself(capfd):
    with serving(f"{__name__}:never") as server:
        assert told("sys.exit('done')") == "done"
        assert server.wait(timeout=10) == 1
    assert "cannot be loaded" in capfd.readouterr().err


def test_a_job_that_is_stopped_while_it_waits_does_not_begin():
    with serving(f"{__name__}:never"):
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert told("sys.exit('began')") == "stopped before it began"


def wait(*, terminal) -> None:
    """Does as a training does: goes on until it is asked to end."""
    stop = Stop(signal.SIGTERM)
    print("up", file=terminal, flush=True)
    stop.wait()
    sys.exit("stopped; its state is saved")


@pytest.mark.parametrize("signalled", [os.kill, os.killpg])
def test_sigterm_to_a_job_or_to_its_whole_group_stops_the_fork_in_its_own_time(signalled):
    ask = f"from common.runs import forkserver; print(forkserver.call('none', '{__name__}:wait', {{}}, terminal=2))"
    job = subprocess.Popen(
        [sys.executable, "-c", ask],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert job.stderr.readline() == "up\n"
    signalled(job.pid, signal.SIGTERM)
    assert job.communicate(timeout=20)[0] == "stopped; its state is saved\n"


def test_a_failure_reaches_the_job_where_the_disk_of_its_log_is_full(capfd):
    full = os.open("/dev/full", os.O_WRONLY)
    kept = os.dup(2)
    os.dup2(full, 2)
    try:
        assert told("raise ValueError('no')") == "ValueError: no"
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(full)


def test_a_training_that_is_too_big_for_the_memory_says_so(digits_run):
    run = dataclasses.replace(digits_run, model=MLP(width=1 << 19, depth=2))
    assert re.fullmatch(r"RuntimeError: .+ can't allocate memory: you tried to allocate .+", train(plain(run, "big")))


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
