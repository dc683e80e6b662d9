"""Command line of the mirror: watch, rebuild, mirror, ui."""

import argparse
import os
import signal
import socket
import sys
from pathlib import Path

from common.runs.stop import Stop
from common.tracking import mirror, rebuild, watch
from common.tracking.address import AddressError, database, redacted, store_uri
from common.tracking.links import MODE, address_of
from common.tracking.store import Store
from common.tracking.views import views_of

UI_PORT = 5050


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m common.tracking", description="MLflow as a mirror of results/.")
    commands = parser.add_subparsers(dest="command", required=True)
    watching = commands.add_parser("watch", help="mirror what changes while a process trains")
    watching.add_argument("--owner", type=int, required=True, help="process id of the Snakemake that trains")
    watching.add_argument("--every", type=float, default=3.0, metavar="SECONDS", help="shortest interval (3)")
    rebuilding = commands.add_parser("rebuild", help="bring the whole store to what results/ says")
    for command in (watching, rebuilding):
        command.add_argument("--results", type=Path, default=Path("results"), help="results folder (results)")
    one = commands.add_parser("mirror", help="bring one run to what its folder says")
    one.add_argument("run_dir", type=Path, help="results/<study>/<run>")
    serving = commands.add_parser("ui", help="browse the runs on localhost")
    serving.add_argument("--port", type=int, default=UI_PORT, help=f"port ({UI_PORT})")
    serving.add_argument("--directory", type=Path, default=Path(), help="working directory with the store (.)")
    given = parser.parse_args()
    match given.command:
        case "watch":
            os.nice(5)
            watch(given.results, owner=given.owner, every_seconds=given.every, stop=_stop())
        case "rebuild":
            print(_told(given.results))
        case "mirror":
            mirror(given.run_dir)
        case "ui":
            ui(given.directory, port=given.port)


def _told(results: Path) -> str:
    """What was mirrored; an address that is none ends the program with one line."""
    try:
        return rebuild(results)
    except AddressError as problem:
        sys.exit(str(problem))


def _stop() -> Stop:
    """Set by SIGTERM and SIGHUP. SIGINT is left to the owner, whose end is noticed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return Stop(signal.SIGTERM, signal.SIGHUP)


def _free() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ui(folder: Path, *, port: int) -> None:
    """Become the MLflow server of a working directory's store, for this machine only."""
    uri = store_uri(folder)
    if uri.startswith("http"):
        sys.exit(f"MLFLOW_TRACKING_URI names a server: open {redacted(uri)}")
    if not any(file.exists() for file in (folder / "results", database(uri) or folder)):
        sys.exit(
            f"{folder.absolute()} has no results and no store: build something first, such as `make smoke`, then "
            "`make ui SCALE_DIR=scales/smoke`"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            sys.exit(f"port {port} is in use; say: make ui PORT={_free()}")
    address = f"http://127.0.0.1:{port}/"
    print(f"MLflow shows {uri} at {address}#/experiments?{MODE} (end with Ctrl-C)")
    store = Store(uri, folder)
    for experiment in store.client.search_experiments(filter_string="name != 'Default'"):
        print(f"  {experiment.name}")
        for run in store.summaries(experiment.experiment_id):
            print(f"    Figures and verdicts: {address}#/experiments/{experiment.experiment_id}/runs/{run}?{MODE}")
        for key, name in views_of(experiment.tags):
            print(f"    {name}: {address}{address_of(experiment.experiment_id, key)}")
    print('If a page opens in the "GenAI" view, choose "Model training" at the top left, once.', flush=True)
    environment = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONWARNINGS": "ignore",
    }  # Store has set the others
    options = ["--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    options += ["--uvicorn-opts", "--log-level warning"]
    os.chdir(folder)
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", "server", *options], environment)


if __name__ == "__main__":
    main()
