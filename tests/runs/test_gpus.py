"""GPUs are leased by one training each, or by so many as may share one. The devices are names; no GPU is needed."""

import os
import subprocess
import sys
import time

import pytest

from common.runs import gpus, job
from common.runs.gpus import SHARED_BY, VISIBLE, GpuError
from common.runs.origin import ROOT

LEASE = """
import os, sys
from common.runs import gpus
gpus.lease(int(sys.argv[1]))
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


class Training:
    """A process that leases GPUs and holds them until its end."""

    def __init__(self, count: int = 1) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", LEASE, str(count)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def sees(self) -> str:
        return self.process.stdout.readline().strip()

    def end(self, *, kill: bool = False) -> None:
        if kill:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Starts trainings on two pretended GPUs; ends them all."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv(VISIBLE, "0,GPU-8f")
    started = []

    def begin(count: int = 1) -> Training:
        started.append(Training(count))
        return started[-1]

    yield begin
    for one in started:
        one.end(kill=True)


def test_each_training_sees_a_gpu_of_its_own_and_the_next_waits_for_one(start):
    first, second = start(), start()
    assert {first.sees(), second.sees()} == {"0", "GPU-8f"}
    third = start()
    time.sleep(1.5)
    assert third.process.poll() is None
    first.end(kill=True)
    assert third.sees() in ("0", "GPU-8f")


def test_runs_that_share_gpus_fill_them_evenly(start, monkeypatch):
    monkeypatch.setenv(SHARED_BY, "2")
    seen = [start().sees() for _ in range(4)]
    assert sorted(seen[:2]) == sorted(seen[2:]) == ["0", "GPU-8f"]


def test_the_ranks_of_a_run_have_different_gpus_or_none(start):
    both = start(2)
    assert both.sees() == "0,GPU-8f"
    both.end()
    one, pair = start(), None
    one.sees()
    pair = start(2)
    time.sleep(1.0)
    other = start()
    assert other.sees() == "GPU-8f", "who waits for two holds none"
    one.end()
    other.end()
    assert pair.sees() == "0,GPU-8f"


def test_jobs_of_slurm_count_their_gpus_by_themselves(start, monkeypatch):
    monkeypatch.setenv(VISIBLE, "0")
    for number in ("7", "8"):
        monkeypatch.setenv("SLURM_JOB_ID", number)
        assert start().sees() == "0"


def test_too_few_gpus_are_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "3")
    with pytest.raises(GpuError, match=r"ranks=2 on device='cuda' needs 2 GPUs, and 1 are here .*use fewer ranks"):
        gpus.lease(2)
    monkeypatch.delenv(VISIBLE)
    monkeypatch.setattr(gpus, "DRIVER", tmp_path)
    assert gpus.visible() == []
    for bus in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / bus).mkdir()
    assert gpus.visible() == ["0", "1"]


@pytest.mark.parametrize("written", ["0", "-1", "two", ""])
def test_a_share_that_is_none_is_told_in_one_line(monkeypatch, written):
    monkeypatch.setenv(SHARED_BY, written)
    with pytest.raises(GpuError, match="must be how many runs may share a GPU, 1 or more"):
        gpus.slots()


def test_a_run_on_a_gpu_leases_one_before_anything_else_and_a_run_without_one_does_not(monkeypatch, tmp_path):
    leased = []
    monkeypatch.setattr(job.gpus, "lease", leased.append)
    monkeypatch.setattr(job.gpus, "repeatable", lambda: leased.append("repeatable"))
    monkeypatch.setattr(job, "train", lambda made: leased.append(made.run.device))
    plain = {"study": "s", "name": "a", "results": str(tmp_path), "code": "c", "scale": "default", "save_seconds": 1}
    run = {"model": {"kind": "mlp", "width": 8}, "data": {"kind": "digits"}, "lr": 0.1, "steps": 1, "seed": 0}
    for device in ({}, {"device": "cuda"}):
        job.run(plain | {"run": run | device}, terminal=sys.stderr)
    assert leased == ["cpu", 1, "repeatable", "cuda"]


def test_what_cuda_may_do_is_told_before_it_starts():
    code = (
        "import os, torch\n"
        "from common.runs import gpus\n"
        "gpus.repeatable()\n"
        "print(torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark,\n"
        "      torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32,\n"
        "      os.environ['CUBLAS_WORKSPACE_CONFIG'], torch.cuda.is_initialized())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False", "False", ":4096:8", "False"]


def test_the_server_that_forks_trainings_is_free_of_cuda():
    code = (
        "import torch\n"
        "def refuse(*_): raise AssertionError('CUDA was asked for')\n"
        "for name in ('_lazy_init', 'is_available', 'device_count', 'current_device'):\n"
        "    setattr(torch.cuda, name, refuse)\n"
        "from common.runs import job\n"
        "job.preload()\n"
        "print(torch.cuda.is_initialized())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.stdout == "False\n", done.stderr
