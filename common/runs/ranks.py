"""Start the processes that train one run together, with torchrun, and pass on what they say."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from common.runs.owner import OWNER

FAILED = "failed: "
"""Begins the line in which a process says why it ends."""


class RanksError(RuntimeError):
    """A process of a run has ended with an error; its traceback is in the log of the run."""


def launch(job: Mapping[str, Any], *, count: int, terminal: TextIO) -> None:
    """Train a job on so many processes of this machine; they end with this one.

    Args:
        job: plain values, as `Job.from_plain` takes them.
        count: processes.
        terminal: where their progress goes; all else goes to this process's standard error.

    Raises:
        RanksError: with the reason that the first process to fail gave.
        SystemExit: SIGINT or SIGTERM came; the state is saved.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command += ["--nproc-per-node", str(count), "-m", "common.runs.together", json.dumps(job)]
    environment = os.environ | {OWNER: str(os.getpid())}
    said, reasons = "", []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as processes:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: processes.send_signal(signal.SIGTERM))
        assert processes.stdout
        for line in processes.stdout:
            if line.startswith(FAILED):
                reasons.append(line.removeprefix(FAILED).strip())
            else:
                said = line.strip()
                print(said, file=terminal, flush=True)
    if reasons:
        raise RanksError(reasons[0])
    if processes.returncode:
        raise SystemExit(said or f"torchrun ended with status {processes.returncode}")
