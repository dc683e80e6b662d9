"""A run on two processes: torchrun around the one loop, with gloo."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from common import config
from common.config import Run
from common.runs import ranks
from common.runs.place import Place

CODE = "import json, sys; from common.runs import job; job.run(json.loads(sys.argv[1]), terminal=sys.stderr)"


def plain(results: Path, run: Run, name: str, **given) -> dict:
    described = {"study": "study", "name": name, "run": config.identity(run), "results": str(results)}
    return described | {"code": "code", "scale": "default", "save_seconds": 1e9} | given


def started(results: Path, run: Run, name: str, **given) -> subprocess.Popen:
    """A job in a process of its own, since jobs set signal handlers."""
    command = [sys.executable, "-c", CODE, json.dumps(plain(results, run, name, **given))]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def run(text_run) -> Run:
    """Updates on two processes, with what only rank 0 measures."""
    some = {"keep_steps": (3,), "evaluate_every": 50, "average": 0.9, "schedule": config.Constant()}
    return dataclasses.replace(text_run, ranks=2, batch_size=4, steps=200, **some)


def test_two_processes_give_the_losses_of_one_and_the_same_bytes_after_a_stop(tmp_path, run):
    calm, stopped, one = (Place("study", name, tmp_path) for name in ("calm", "stopped", "one"))
    assert started(tmp_path, run, "calm").wait(timeout=120) == 0
    with started(tmp_path, run, "stopped", save_seconds=0.05) as process:
        while not (stopped.progress / "state.safetensors").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and said.splitlines()[-1].startswith("stopped after update ")
    assert started(tmp_path, run, "stopped").wait(timeout=120) == 0
    assert stopped.metrics.read_bytes() == calm.metrics.read_bytes()
    assert stopped.state.read_bytes() == calm.state.read_bytes()
    assert started(tmp_path, dataclasses.replace(run, ranks=1), "one").wait(timeout=120) == 0
    found, expected = (pd.read_csv(place.metrics) for place in (calm, one))
    pd.testing.assert_frame_equal(found, expected, rtol=2e-3)


@pytest.mark.parametrize(
    ("failures", "status", "reason"),
    [
        ("echo 'failed: ValueError: a'; echo 'failed: Other: b'", 0, "ValueError: a"),
        ("echo 'failed: ValueError: a'; echo 'failed: Other: b'", 3, "ValueError: a"),
        ("true", 3, "one of its processes was killed"),
    ],
)
def test_what_processes_say_reaches_the_terminal_and_the_first_failure_is_the_reason(
    monkeypatch, tmp_path, failures, status, reason
):
    process = tmp_path / "python"
    process.write_text(f"#!/bin/sh\necho step 1\n{failures}\nexit {status}\n")
    process.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(process))
    with (tmp_path / "said").open("w+") as terminal, pytest.raises(SystemExit, match=f"^{reason}$"):
        ranks.launch({"name": "run"}, count=2, terminal=terminal)
    assert (tmp_path / "said").read_text() == "step 1\n"


def test_on_several_nodes_each_has_as_many_processes(monkeypatch, tmp_path):
    monkeypatch.delenv("SLURM_JOB_NUM_NODES", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "29504")
    squeue = tmp_path / "squeue"
    squeue.write_text('#!/bin/sh\n[ "$3" = 29504 ] && echo 2\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    command = " ".join(ranks._torchrun(4, threads=3))
    assert command.startswith("srun --overlap --nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=6 ")
    assert "--nnodes 2 --nproc-per-node 2 " in command and f"--rdzv-endpoint {socket.gethostname()}:39004 " in command
    with pytest.raises(SystemExit, match="ranks=3 cannot be shared evenly by 2 nodes"):
        ranks.launch({"name": "run"}, count=3, terminal=sys.stderr)
