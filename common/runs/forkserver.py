"""Start trainings in milliseconds: one process imports torch, and forks for each job.

Importing torch takes longer than a small training. The server is started beside a build and listens on a socket in the
working directory; a job connects, hands over its description and its output, and waits. Where no server answers (a
cluster node, a single job by hand) the job trains in its own process. The numbers are the same.
"""

import argparse
import contextlib
import importlib
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.runs.owner import OWNER, alive


def socket_of(owner: int | str) -> Path:
    """Where the server of a build listens, by the process id of its Snakemake (relative: socket paths are short)."""
    return Path(f".snakemake/warm-{owner}")


def run(job: Mapping[str, Any], terminal: int) -> int:
    """Train the job that plain values describe (see `common.runs.job.Job.from_plain`); returns the exit status.

    Args:
        job: plain JSON values.
        terminal: file descriptor on which progress is shown; standard output and error go where they go now.
    """
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(socket_of(os.environ.get(OWNER, "none"))))
        except OSError:
            return _train(job, terminal)
        text = json.dumps(job).encode() + b"\n"
        socket.send_fds(client, [text], [1, 2, terminal])
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: client.shutdown(socket.SHUT_WR))
        client.settimeout(0.5)
        while alive(int(os.environ[OWNER])):
            with contextlib.suppress(TimeoutError):
                return int(client.recv(16) or b"1")
        return 1


def _train(job: Mapping[str, Any], terminal: int) -> int:
    from common.runs import job as jobs

    with os.fdopen(os.dup(terminal), "w") as stream:
        jobs.train(jobs.Job.from_plain(job, terminal=stream))
    return 0


def serve(owner: int) -> None:
    """Import what a training needs, then fork for each job until the owner is gone."""
    _preload()
    for old in Path(".snakemake").glob("warm-*"):
        old.unlink(missing_ok=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(socket_of(owner)))
        server.listen()
        server.settimeout(0.5)
        while alive(owner):
            with contextlib.suppress(TimeoutError):
                connection, _ = server.accept()
                if os.fork() == 0:
                    server.close()
                    os._exit(_serve_one(connection))
                connection.close()
    socket_of(owner).unlink(missing_ok=True)


def _preload() -> None:
    """Import what a training needs; torch loads much of it only when the first optimizer is made."""
    import torch

    from common import config
    from common.optim import optimizers

    importlib.import_module("common.runs.job")
    for family in (config.Model, config.Data, config.Optimizer, config.Schedule, config.Probe):
        for kind in family.kinds().values():
            config.named(kind.code)
    optimizers.build(config.AdamW(), [("weight", torch.nn.Parameter(torch.zeros(1, 1)))], lr=1.0)


def _serve_one(connection: socket.socket) -> int:
    """In the forked process: take over the client's output, train, and answer with the exit status."""
    connection.settimeout(None)
    text, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not text.endswith(b"\n"):
        text += connection.recv(1 << 16)
    for target, descriptor in zip((1, 2), descriptors, strict=False):
        os.dup2(descriptor, target)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    threading.Thread(target=_stop_when_closed, args=(connection,), daemon=True).start()
    try:
        status = _train(json.loads(text), descriptors[2])
    except SystemExit as end:
        print(end, file=sys.stderr)
        status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(OSError):
        connection.sendall(str(status).encode())
    return status


def _stop_when_closed(connection: socket.socket) -> None:
    """Ask this process to save its state and end when the job that waits for it has gone."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m common.runs.forkserver", description=__doc__)
    parser.add_argument("--owner", type=int, required=True, help="process id of the Snakemake to serve")
    serve(parser.parse_args().owner)
