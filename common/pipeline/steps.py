"""What the jobs of a study do beside training: read what a script needs, call it, write what it gives.

Each function is given the job's parameters, its inputs (lists of paths by name) and its outputs (paths).
"""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from common import config
from common.evidence import claims
from common.evidence.claims import Judged, Statement
from common.runs import origin, records
from common.runs.place import Place

Params = Mapping[str, Any]
Inputs = Mapping[str, Sequence[str]]
Sources = Mapping[str, str]
"""By parameter of the script: "runs", "lineage", "states", "records", "table" or "verdicts" (`config.Step.sources`)."""


def preload() -> None:
    """Import what pictures need; matplotlib loads much of it only when the first page with a text is written."""
    origin.here()
    importlib.import_module("common.plotting.scoreboard")
    importlib.import_module("common.plotting.overview")
    figure = importlib.import_module("matplotlib.figure").Figure()
    figure.text(0, 0, "text")
    figure.savefig(BytesIO(), format="pdf")


def draw(params: Params, inputs: Inputs, outputs: Sequence[str], *, terminal: TextIO) -> None:  # noqa: ARG001
    """Draw a figure and write its files: the picture, the numbers drawn, where it comes from, and its caption.

    Args:
        params: study, step, sources, statements (of the claims that it shows) and scale.
        inputs: the files by parameter of the script.
        outputs: paths of the figure's files.
        terminal: not used.
    """
    from common.plotting import save

    script = importlib.import_module(f"studies.{params['study']}.plot_{params['step']}")
    given = read(params["sources"], inputs, statements=params["statements"])
    fig, table = script.draw(**given)
    judged = given.get("verdicts", {})
    others = ("table", "verdicts")
    paths = [path for name, kind in params["sources"].items() if kind not in others for path in inputs[name]]
    runs = {Place.of(path): path for path in reversed(paths)}
    save(
        fig,
        outputs,
        data=table,
        runs=list(reversed(runs.values())),
        about={
            "script": f"studies/{params['study']}/plot_{params['step']}.py",
            "claims": {name: item.verdict.verdict for name, item in judged.items()},
        },
        caption=caption(script.__doc__ or "", judged.values()),
        smoke=params["scale"] == "smoke",
    )


def caption(text: str, judged: Iterable[Judged]) -> str:
    """The docstring of a figure's script, with a sentence for each claim that it shows."""
    return "\n\n".join([text.strip(), *map(claims.sentence, judged)]) + "\n"


def measure(params: Params, inputs: Inputs, outputs: Sequence[str], *, terminal: TextIO) -> None:  # noqa: ARG001
    """Measure and write the table.

    Args:
        params: study, step, sources, and arguments (of the function, beside its inputs).
        inputs: the files by parameter of the script.
        outputs: path of the table.
        terminal: not used.
    """
    script = importlib.import_module(f"studies.{params['study']}.measure_{params['step']}")
    table = script.measure(**read(params["sources"], inputs), **params["arguments"])
    [path] = outputs
    table.to_csv(path, index=False, lineterminator="\n")


def judge(params: Params, inputs: Inputs, outputs: Sequence[str], *, terminal: TextIO) -> None:  # noqa: ARG001
    """Judge claims that have their inputs in common; write a file for each.

    Args:
        params: study, claims (by id the function that judges it, and its settings) and sources.
        inputs: the files by parameter of the functions.
        outputs: paths of the verdicts, in the order of the claims.
        terminal: not used.
    """
    module = importlib.import_module(f"studies.{params['study']}.verdicts")
    tables = read(params["sources"], inputs)
    for path, (name, (function, settings)) in zip(map(Path, outputs), params["claims"].items(), strict=True):
        claims.keep(name, claims.judge(name, getattr(module, function), **tables, **settings), path)


def collect(params: Params, inputs: Inputs, outputs: Sequence[str], *, terminal: TextIO) -> None:
    """Put the verdicts of a study together with the words of their claims.

    Args:
        params: study, question, statements and scale.
        inputs: paths of the verdicts, in the order of the statements.
        outputs: claims.json.
        terminal: gets a line for each claim that was judged on fewer seeds than it asks for, at the default scale.
    """
    judged = list(_judged(inputs[""], params["statements"]).values())
    claims.write(judged, Path(outputs[0]), study=params["study"], question=params["question"])
    for shortfall in claims.shortfalls(judged) if params["scale"] == "default" else ():
        print(f"warning: {params['study']}: {shortfall}", file=terminal)


def tabulate(params: Params, inputs: Inputs, outputs: Sequence[str], *, terminal: TextIO) -> None:  # noqa: ARG001
    """Write the verdicts of all studies, given as claims.json, on one page; `params` has the scale."""
    text = claims.scoreboard(map(Path, inputs[""]), scale=params["scale"])
    Path(outputs[0]).write_text(text, encoding="utf-8")


def draw_claims(params: Params, inputs: Inputs, outputs: Sequence[str], *, terminal: TextIO) -> None:  # noqa: ARG001
    """Draw every claim of the given claims.json with its interval; `params` has the scale."""
    from common.plotting import save, scoreboard

    reports = [claims.read(Path(path)) for path in inputs["claims"]]
    save(scoreboard.draw(reports), outputs, data=scoreboard.table(reports), smoke=params["scale"] == "smoke")


def draw_verdicts(params: Params, inputs: Inputs, outputs: Sequence[str], *, terminal: TextIO) -> None:  # noqa: ARG001
    """Draw every claim of the given claims.json at a glance; `params` has the scale."""
    from common.plotting import overview, save

    verdicts = overview.chips(claims.read(Path(path)) for path in inputs["claims"])
    save(overview.draw(verdicts), outputs, data=overview.table(verdicts), smoke=params["scale"] == "smoke")


def read(sources: Sources, inputs: Inputs, *, statements: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """What a script is given, by parameter: tables, paths of states, descriptions by name, or verdicts by id."""
    readers = READERS | {"verdicts": lambda paths: _judged(paths, statements)}
    return {name: readers[kind](inputs[name]) for name, kind in sources.items()}


def _table(paths: Sequence[str]) -> pd.DataFrame:
    [path] = paths
    return pd.read_csv(path)


def _described(paths: Iterable[str]) -> dict[str, config.Run]:
    found = [records.read_record(Path(path)) for path in paths]
    return {record["name"]: config.run_from_dict(record["description"]) for record in found}


def _judged(paths: Iterable[str], statements: Iterable[Mapping[str, Any]]) -> dict[str, Judged]:
    found = (_kept(Path(path), dict(each)) for path, each in zip(paths, statements, strict=True))
    return {item.id: item for item in found}


def _kept(path: Path, words: dict[str, Any]) -> Judged:
    rule = words.pop("registered_rule", None)
    return claims.kept(path, Statement(**words), rule=rule)


READERS: dict[str, Any] = {
    "runs": records.read_runs,
    "lineage": lambda paths: records.read_runs(paths, lineage=True),
    "states": lambda paths: [Path(path) for path in paths],
    "records": _described,
    "table": _table,
}
