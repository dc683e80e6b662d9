"""From a job of Snakemake to a function: its log, its parameters and paths as plain values, and where it runs."""

import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from common.runs import dates, forkserver
from common.runs.progress import logged


def run(job: Any, code: str, *, server: str = "pictures") -> NoReturn:
    """Call a function for a job, and end this process with its status.

    Args:
        job: Snakemake's object `snakemake` of the script.
        code: the function, as "module:name"; it is given `params`, `inputs` (lists of paths by name; those without a
            name as ""), `outputs` (a list of paths) and `terminal`.
        server: whose fork calls it.
    """
    arguments = {
        "params": dict(job.params.items()),
        "inputs": {name: _paths(paths) for name, paths in job.input.items()} or {"": list(job.input)},
        "outputs": list(job.output),
    }
    call(job, code, arguments, what=job.rule, server=server)


def call(
    job: Any, code: str, arguments: Mapping[str, Any], *, what: str, server: str, further: bool | None = None
) -> NoReturn:
    """As `run`, with arguments that are known; `what` and `further` are those of `common.runs.progress.logged`."""
    with logged(job.log[0], what=what, further=further) as terminal:
        failure = forkserver.call(server, code, arguments, terminal=terminal.fileno())
        dates.correct(job.input)  # at the end, since the clock may have been set back meanwhile
        sys.exit(failure)


def _paths(paths: Any) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)
