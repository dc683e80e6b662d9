"""Adapter: one Snakemake job is one training."""

import sys

from common import warm
from common.progress import logged

with logged(snakemake.log[0]) as terminal:
    job = {
        "study": snakemake.wildcards.study,
        "name": snakemake.wildcards.run,
        "run": snakemake.params.run,
        "code": snakemake.params.code,
        "results": "results",
        "scale": snakemake.config["scale"],
        "save_seconds": snakemake.config["save_seconds"],
    }
    sys.exit(warm.run(job, terminal.fileno()))
