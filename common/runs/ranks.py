"""Start the processes that train one run together, with torchrun, and pass on what they say."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from common.runs.owner import OWNER, this

FAILED = "failed: "
"""Begins the line in which a process says why it ends."""


def launch(job: Mapping[str, Any], *, count: int, terminal: TextIO) -> None:
    """Train a job on so many processes of this machine; they end with this one.

    Args:
        job: plain values, as `Job.from_plain` takes them.
        count: processes.
        terminal: where their progress goes; all else goes to this process's standard error.

    Raises:
        SystemExit: with the reason that the first process to end early gave; tracebacks are in the log of the run.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command += ["--nproc-per-node", str(count), "-m", "common.runs.together", json.dumps(job)]
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
