"""Start the processes that train one run together, with torchrun, and pass on what they say."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from common.runs.owner import OWNER, this

FAILED = "failed: "
"""Begins the line in which a process says why it ends."""

PORTS = range(29500, 39500)
"""Where the processes of several nodes meet: a port by the number of their Slurm job."""


def launch(job: Mapping[str, Any], *, count: int, terminal: TextIO) -> None:
    """Train a job on so many processes, of this machine or of the nodes of this Slurm job; they end with this one.

    Args:
        job: plain values, as `Job.from_plain` takes them.
        count: processes.
        terminal: where their progress goes; all else goes to this process's standard error.

    Raises:
        SystemExit: with the reason that the first process to end early gave; tracebacks are in the log of the run.
            Besides, if the nodes cannot share the processes evenly.
    """
    command = _torchrun(count, threads=job.get("run", {}).get("threads", 1))
    command += ["-m", "common.runs.together", json.dumps(job)]
    environment = os.environ | {OWNER: this()}
    reasons = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as processes:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: processes.send_signal(signal.SIGTERM))
        assert processes.stdout
        for line in processes.stdout:
            if line.startswith(FAILED):
                reasons.append(line.removeprefix(FAILED).strip())
            else:
                print(line.strip(), file=terminal, flush=True)
    if reasons or processes.returncode:
        raise SystemExit(reasons[0] if reasons else "one of its processes was killed")


def _torchrun(count: int, *, threads: int) -> list[str]:
    """How so many processes are started: all here, or as many on each node of this Slurm job."""
    program = [sys.executable, "-m", "torch.distributed.run"]
    each = on_each_node(count)
    if each == count:
        return [*program, "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", str(count)]
    nodes, job = count // each, os.environ["SLURM_JOB_ID"]
    steps = ["srun", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    steps += [f"--cpus-per-task={each * threads}", "--kill-on-bad-exit=1"]
    meeting = f"{socket.gethostname()}:{PORTS[int(job) % len(PORTS)]}"
    place = ["--rdzv-backend", "c10d", "--rdzv-endpoint", meeting, "--rdzv-id", job]
    return [*steps, *program, "--nnodes", str(nodes), "--nproc-per-node", str(each), *place]


def on_each_node(count: int) -> int:
    """How many of so many processes each node of this Slurm job has; all of them where there is none.

    Raises: SystemExit if they cannot be shared evenly.
    """
    nodes = _nodes() if count > 1 else 1
    if count % nodes:
        raise SystemExit(f"ranks={count} cannot be shared evenly by {nodes} nodes; ask for a number that divides it")
    return count // nodes


def _nodes() -> int:
    """Nodes of the Slurm job that this process is in, which a Snakemake within may have forgotten; 1 without one."""
    job, known = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_JOB_NUM_NODES")
    if job and not known:
        asked = ["squeue", "--noheader", "--jobs", job, "--format", "%D"]
        known = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    return int(known or "1")
