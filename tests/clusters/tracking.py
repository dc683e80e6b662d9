"""An MLflow server whose store is a PostgreSQL of its own, both for as long as a test wants them."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.clusters.slurm import run, wait

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
"""Of Debian's package postgresql, which puts them on no path."""


def obstacle() -> str | None:
    """Why no such server can be started here; None where one can."""
    if os.geteuid() != 0 or not shutil.which("runuser"):
        return "starting PostgreSQL as its own user needs root"
    if not PROGRAMS:
        return "no PostgreSQL: apt install postgresql (Debian)"
    if importlib.util.find_spec("psycopg2") is None:
        return "no psycopg2: pip install -r envs/clusters.txt"
    return None


def free_port() -> int:
    """A port of this host that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Database:
    """A PostgreSQL that runs until `stop`."""

    def __init__(self, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        folder.mkdir(parents=True)
        shutil.chown(folder, "postgres")
        for parent in folder.parents[:-2]:
            parent.chmod(parent.stat().st_mode | 0o011)  # the temporary folders of tests are closed to other users
        self._call("initdb", "--auth=trust", "--no-sync", "--pgdata", str(folder / "data"))
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        self._call(
            "pg_ctl", "start", "--wait", "--pgdata", str(folder / "data"), "--log", f"{folder}/log", "-o", options
        )
        self.query("create database mlflow", database="postgres")

    def _call(self, program: str, *arguments: str) -> str:
        return run("runuser", "-u", "postgres", "--", str(PROGRAMS[-1].with_name(program)), *arguments)

    @property
    def uri(self) -> str:
        """What an MLflow server is given."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/mlflow"

    def query(self, text: str, *, database: str = "mlflow") -> list[list[str]]:
        """Rows that a query gives."""
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--dbname", database]
        out = self._call("psql", *where, "--no-align", "--tuples-only", "--field-separator=|", "--command", text)
        return [line.split("|") for line in out.splitlines()]

    def stop(self) -> None:
        """End it."""
        self._call("pg_ctl", "stop", "--mode", "immediate", "--pgdata", str(self.folder / "data"))


class Server:
    """An MLflow server on a database, which can be killed, started again, and silenced."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder, self.port = database, folder, free_port()
        folder.mkdir(parents=True)
        self.start()

    @property
    def uri(self) -> str:
        """What a build is given."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, at the address that it always has, and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.database.uri, "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        wait(self._answers, f"the server answers (see {self.folder}/log)", seconds=120)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """Kill it at once."""
        self.send(signal.SIGKILL)
        self.process.wait()

    def send(self, number: signal.Signals) -> None:
        """A signal to all of its processes."""
        os.killpg(self.process.pid, number)
