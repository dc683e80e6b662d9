"""Start jobs in milliseconds: a process imports what they need once, and forks for each.

Importing torch takes longer than a small training, and matplotlib with pandas longer than drawing most figures. Servers
are started beside a build, on sockets in the working directory that are there before they are: a job connects, hands
over the name of a function, its arguments and its output, and waits. Where no server answers (a cluster node, a single
job by hand, a server that ended) the job forks itself. The numbers are the same, and whatever ends a fork, its job can
say so.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from common.runs.owner import OWNER, alive, lives, process_of, this
from common.runs.progress import reason

DONE = "\n"
"""Answer of a fork whose call came to its end; any other is one line that says why it did not."""


def socket_of(server: str, owner: int | None) -> Path:
    """Where a server of a build listens, by the process id of its Snakemake (relative: socket paths are short)."""
    return Path(f".snakemake/{server}-{owner}")


def call(server: str, code: str, arguments: Mapping[str, Any], *, terminal: int) -> str | None:
    """Call a function in a fork, of a server or else of this process; why it failed, in one line.

    Args:
        server: name of the server.
        code: the function, as "module:name"; it is given the arguments, and `terminal` as a stream.
        arguments: plain JSON values by name.
        terminal: file descriptor of the terminal; standard output and error go where they go now.
    """
    text = json.dumps({"code": code, "arguments": arguments}).encode() + b"\n"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(socket_of(server, process_of(os.environ.get(OWNER, this())))))
        return _ask(client, text, terminal)
    own = Forks()
    client, connection = socket.socketpair()
    with client:
        own.add(connection, beside=client)
        return _ask(client, text, terminal, own=own)


def _ask(client: socket.socket, text: bytes, terminal: int, *, own: "Forks | None" = None) -> str | None:
    """Hand a call to the fork at the other end, and wait for its answer.

    Raises:
        OSError: the server ended before it took the call.
    """
    socket.send_fds(client, [text], [1, 2, terminal])
    stopped = []

    def stop(*_: object) -> None:
        stopped.append(True)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    client.settimeout(0.5)
    while lives(os.environ.get(OWNER, this())):
        if own:
            own.collect()
        try:
            answer = client.recv(1 << 12).decode() or "ended without a word; perhaps it was killed"
            return None if answer == DONE else answer
        except TimeoutError:
            continue
        except OSError:
            if stopped:
                return "stopped before it began"
            raise
    return "the build that asked for it is gone"


def start(server: str, *, preload: str) -> subprocess.Popen[bytes]:
    """Start a server of this process; its socket is there at once, and jobs that come before it is ready wait for it.

    Args:
        server: its name.
        preload: function that imports what its jobs need, as "module:name".
    """
    for old in Path(".snakemake").glob(f"{server}-*"):
        old.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_of(server, os.getpid())))
        listener.listen()
        command = [sys.executable, "-m", "common.runs.forkserver", server, "--preload", preload]
        own = ["--owner", str(os.getpid()), "--listener", str(listener.fileno())]
        return subprocess.Popen([*command, *own], start_new_session=True, pass_fds=[listener.fileno()])


def serve(listener: socket.socket, *, owner: int, preload: str) -> None:
    """Call a function that imports what the jobs need, then fork for each until the owner is gone."""
    from common.config import named  # who only asks does not wait for it

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    forks = Forks()
    try:
        named(preload)()
        listener.settimeout(0.5)
        while alive(owner):
            forks.collect()
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                forks.add(connection, beside=listener)
    finally:
        Path(listener.getsockname()).unlink(missing_ok=True)


class Forks:
    """The forks of this process that have not ended, with the sockets by which they answer."""

    def __init__(self) -> None:
        self.connections: dict[int, socket.socket] = {}

    def add(self, connection: socket.socket, *, beside: socket.socket) -> None:
        """Fork: the new process makes the call that comes in on a connection, and has no use for the other sockets."""
        fork = os.fork()
        if fork == 0:
            _serve_one(connection, inherited=[beside, *self.connections.values()])
        self.connections[fork] = connection

    def collect(self) -> None:
        """Let go of those that have ended, and answer for those that could not."""
        for fork in list(self.connections):
            ended, status = os.waitpid(fork, os.WNOHANG)
            if ended:
                with self.connections.pop(fork) as connection, contextlib.suppress(OSError):
                    connection.sendall(ending(status).encode() if status else b"")


def ending(status: int) -> str:
    """How a process has ended that could not say it itself, by its status as `os.waitpid` gives it.

    >>> ending(9)
    'ended by signal 9, as the kernel does where memory is short'
    >>> ending(3 << 8)
    'ended without a word, with status 3'
    """
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended without a word, with status {code}"
    short = ", as the kernel does where memory is short" if code == -signal.SIGKILL else ""
    return f"ended by signal {-code}{short}"


def _serve_one(connection: socket.socket, *, inherited: list[socket.socket]) -> NoReturn:
    """In the forked process, which ends here: call, and answer; the other sockets of the server are not its own."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for other in inherited:
            other.close()
        answer = _outcome(connection)
        with contextlib.suppress(OSError):
            connection.sendall(answer.encode(errors="replace"))
    finally:
        os._exit(0)


def _outcome(connection: socket.socket) -> str:
    """Take over the client's output and call; `DONE`, or why it failed."""
    connection.settimeout(None)
    text, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not text.endswith(b"\n"):
        if not (more := connection.recv(1 << 16)):
            return "its client is gone"
        text += more
    for target, descriptor in zip((1, 2), descriptors, strict=False):
        os.dup2(descriptor, target)
    threading.Thread(target=_stop_when_closed, args=(connection,), daemon=True).start()
    answer = DONE
    try:
        asked = json.loads(text)
        _call(asked["code"], asked["arguments"], descriptors[2])
    except BaseException as problem:
        answer = reason(problem)
        with contextlib.suppress(OSError):  # the disk of the log may be full
            if not isinstance(problem, SystemExit):
                traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return answer


def _call(code: str, arguments: Mapping[str, Any], terminal: int) -> None:
    from common.config import named  # who only hands over a job does not wait for it

    with os.fdopen(os.dup(terminal), "w") as stream:
        named(code)(**arguments, terminal=stream)


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
    parser.add_argument("--listener", type=int, required=True, help="descriptor of the socket on which jobs ask")
    given = parser.parse_args()
    with socket.socket(fileno=given.listener) as listener:
        serve(listener, owner=given.owner, preload=given.preload)
