"""Adapter: one Snakemake job is one training."""

from common.pipeline import adapter
from common.runs import place

run = {
    "study": snakemake.wildcards.study,
    "name": snakemake.wildcards.run,
    "run": snakemake.params.run,
    "code": snakemake.params.code,
    "results": str(place.RESULTS),
    "scale": snakemake.config.get("scale", "default"),
    "save_seconds": snakemake.config.get("save_seconds", 10),
}
adapter.call(
    snakemake,
    "common.runs.job:run",
    {"job": run},
    what=f"{snakemake.wildcards.study}/{snakemake.wildcards.run}",
    server="training",
)
