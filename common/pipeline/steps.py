"""Run the script of a figure or of a measurement: read what it needs, call it, write what it gives."""

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from common import config
from common.runs import records
from common.runs.place import Place

Sources = Mapping[str, str]
"""By parameter of the script: "runs", "lineage", "states", "records" or "table" (see `config.Step.sources`)."""


def draw(params: Any, inputs: Any, outputs: Iterable[str]) -> None:
    """Draw a figure and write its files.

    Args:
        params: Snakemake's, with study, step and sources.
        inputs: Snakemake's, the files by parameter.
        outputs: paths of the figure's files.
    """
    from common.plotting import save

    script = importlib.import_module(f"studies.{params.study}.plot_{params.step}")
    fig, table = script.draw(**read(params.sources, inputs))
    files = [path for name, kind in params.sources.items() if kind != "table" for path in inputs[name]]
    runs = list({Place.of(path): path for path in files}.values())
    save(fig, outputs, data=table, runs=runs, about={"script": f"studies/{params.study}/plot_{params.step}.py"})


def measure(params: Any, inputs: Any, outputs: Iterable[str]) -> None:
    """Measure and write the table; arguments as those of `draw`."""
    script = importlib.import_module(f"studies.{params.study}.measure_{params.step}")
    table = script.measure(**read(params.sources, inputs))
    [path] = outputs
    table.to_csv(path, index=False, lineterminator="\n")


def read(sources: Sources, inputs: Any) -> dict[str, Any]:
    """What a script is given, by parameter: tables, paths of states, or descriptions by name."""
    return {name: READERS[kind](inputs[name]) for name, kind in sources.items()}


def _table(path: str | list[str]) -> pd.DataFrame:
    return pd.read_csv(path if isinstance(path, str) else path[0])


def _described(paths: Iterable[str]) -> dict[str, config.Run]:
    found = [records.read_record(Path(path)) for path in paths]
    return {record["name"]: config.run_from_dict(record["description"]) for record in found}


READERS: dict[str, Any] = {
    "runs": records.read_runs,
    "lineage": lambda paths: records.read_runs(paths, lineage=True),
    "states": lambda paths: [Path(path) for path in paths],
    "records": _described,
    "table": _table,
}
