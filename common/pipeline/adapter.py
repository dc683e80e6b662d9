"""From a job of Snakemake to a function: its log, its parameters and paths as plain values, and where it runs."""

import sys
from typing import Any

from common.runs import forkserver
from common.runs.progress import logged


def run(job: Any, code: str, *, server: str = "pictures") -> None:
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
    with logged(job.log[0], what=job.rule) as terminal:
        sys.exit(forkserver.call(server, code, arguments, terminal=terminal.fileno()))


def _paths(paths: Any) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)
