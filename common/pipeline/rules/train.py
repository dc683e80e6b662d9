"""Adapter: one Snakemake job is one training."""

import sys

from common.runs import forkserver, place
from common.runs.progress import logged

with logged(snakemake.log[0], what=f"{snakemake.wildcards.study}/{snakemake.wildcards.run}") as terminal:
    job = {
        "study": snakemake.wildcards.study,
        "name": snakemake.wildcards.run,
        "run": snakemake.params.run,
        "code": snakemake.params.code,
        "results": str(place.RESULTS),
        "scale": snakemake.config.get("scale", "default"),
        "save_seconds": snakemake.config.get("save_seconds", 10),
    }
    sys.exit(forkserver.call("training", "common.runs.job:run", {"job": job}, terminal=terminal.fileno()))
