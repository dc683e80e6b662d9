"""The address of the tracking store: found, checked, shown without its secrets, and whose runs are in it."""

import getpass
import os
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

SILENT_SECONDS = 2.0
"""How long a server may take to show that it is there, when a build waits for its end."""

USER = re.compile(r"(?<!/)//(?!/)\S*@")
"""All before the host of an address: a user and a password, or a token alone; no part of a path like ////home/a@b."""
QUERY = re.compile(r"\?(?=[\w%])\S+?(?=[^\w\s]*(?:\s|$))")
"""All behind the path of an address, up to what ends it in a sentence."""


class AddressError(ValueError):
    """MLFLOW_TRACKING_URI is no address of a store that the mirror can write to."""


def store_uri(folder: Path) -> str:
    """The tracking store of a working directory: MLFLOW_TRACKING_URI if it is set, else `mlflow.db` in that folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.absolute() / 'mlflow.db'}"


def check(uri: str) -> None:
    """Refuse what is neither a server nor an SQLite file.

    Raises: AddressError with the way out.
    """
    if not uri.startswith(("http://", "https://", "sqlite:///")):
        raise AddressError(
            f"MLFLOW_TRACKING_URI={redacted(uri)!r} must be http(s)://HOST:PORT of an MLflow server, or "
            "sqlite:////PATH/TO/FILE.db; for another database start `mlflow server --backend-store-uri ...` with its "
            "driver, and give the address of that server"
        )
    if uri.startswith("sqlite:///") and (file := database(uri)) and "?" in str(file):
        raise AddressError(f"MLflow cannot keep a store in {str(file.parent)!r}: its path has a '?'; rename the folder")


def redacted(text: str) -> str:
    """A text in which the secrets of addresses are hidden: who asks, and with which query.

    >>> redacted("no answer from https://me:secret@host:5000/api?token=secret")
    'no answer from https://***@host:5000/api?***'
    """
    return QUERY.sub("?***", USER.sub("//***@", text))


def database(uri: str) -> Path | None:
    """The file of an SQLite store; None for a server."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def artifacts(uri: str) -> str | None:
    """Where the artifacts of an SQLite store go; a server decides that itself."""
    file = database(uri)
    return (file.absolute().parent / "mlartifacts").as_uri() if file else None


def checkout(uri: str, folder: Path) -> str | None:
    """What tells the runs of a working directory from those of others in the same store: user, machine and folder.

    None where the store lies in that folder: then all of its runs are of this directory, wherever it is moved.
    """
    file = database(uri)
    if file is not None and file.absolute().parent == folder.absolute():
        return None
    return f"{getpass.getuser()}@{socket.gethostname()}:{folder.absolute()}"


def answers(uri: str, *, seconds: float = SILENT_SECONDS) -> bool:
    """Whether a store is there: a server that says anything at all in so many seconds, or a file."""
    if not uri.startswith("http"):
        return True
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=seconds).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True
