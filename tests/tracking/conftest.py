"""A store that many tests copy."""

import sqlite3
from pathlib import Path

import pytest

from common import tracking


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared database; copying it is much faster than preparing one for each test."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    tracking.prepare_store(f"sqlite:///{file}")
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file
