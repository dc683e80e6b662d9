"""Start jobs in milliseconds: a process imports what they need once, and forks for each.

Importing torch takes longer than a small training, and matplotlib with pandas longer than drawing most figures. Servers
are started beside a build and listen on sockets in the working directory; a job connects, hands over the name of a
function, its arguments and its output, and waits. Where no server answers (a cluster node, a single job by hand) the
job calls the function in its own process. The numbers are the same.
"""

import argparse
import contextlib
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


def socket_of(server: str, owner: int | str) -> Path:
    """Where a server of a build listens, by the process id of its Snakemake (relative: socket paths are short)."""
    return Path(f".snakemake/{server}-{owner}")


def call(server: str, code: str, arguments: Mapping[str, Any], *, terminal: int) -> int:
    """Call a function in a fork of a server, or in this process if it does not answer; the exit status.

    Args:
        server: name of the server.
        code: the function, as "module:name"; it is given the arguments, and `terminal` as a stream.
        arguments: plain JSON values by name.
        terminal: file descriptor of the terminal; standard output and error go where they go now.
    """
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(socket_of(server, os.environ.get(OWNER, "none"))))
        except OSError:
            return _call(code, arguments, terminal)
        text = json.dumps({"code": code, "arguments": arguments}).encode() + b"\n"
        socket.send_fds(client, [text], [1, 2, terminal])
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: client.shutdown(socket.SHUT_WR))
        client.settimeout(0.5)
        while alive(int(os.environ[OWNER])):
            with contextlib.suppress(TimeoutError):
                return int(client.recv(16) or b"1")
        return 1


def _call(code: str, arguments: Mapping[str, Any], terminal: int) -> int:
    from common.config import named  # who only hands over a job does not wait for it

    with os.fdopen(os.dup(terminal), "w") as stream:
        named(code)(**arguments, terminal=stream)
    return 0


def serve(server: str, *, owner: int, preload: str) -> None:
    """Call a function that imports what the jobs need, then fork for each until the owner is gone."""
    from common.config import named

    named(preload)()
    for old in Path(".snakemake").glob(f"{server}-*"):
        old.unlink(missing_ok=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    place = socket_of(server, owner)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        listener.settimeout(0.5)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        try:
            while alive(owner):
                with contextlib.suppress(TimeoutError):
                    connection, _ = listener.accept()
                    if os.fork() == 0:
                        signal.signal(signal.SIGTERM, signal.SIG_DFL)
                        listener.close()
                        os._exit(_serve_one(connection))
                    connection.close()
        finally:
            place.unlink(missing_ok=True)


def _serve_one(connection: socket.socket) -> int:
    """In the forked process: take over the client's output, call, and answer with the exit status."""
    connection.settimeout(None)
    text, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not text.endswith(b"\n"):
        text += connection.recv(1 << 16)
    for target, descriptor in zip((1, 2), descriptors, strict=False):
        os.dup2(descriptor, target)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    threading.Thread(target=_stop_when_closed, args=(connection,), daemon=True).start()
    try:
        asked = json.loads(text)
        status = _call(asked["code"], asked["arguments"], descriptors[2])
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
    parser.add_argument("server", help="its name")
    parser.add_argument("--owner", type=int, required=True, help="process id of the Snakemake to serve")
    parser.add_argument("--preload", required=True, help='function that imports what the jobs need, as "module:name"')
    given = parser.parse_args()
    serve(given.server, owner=given.owner, preload=given.preload)
