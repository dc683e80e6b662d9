"""Adapter: one Snakemake job is one training."""

from common.pipeline import adapter
from common.runs import place

here = place.Place(snakemake.wildcards.study, snakemake.wildcards.run)
run = {
    "study": here.study,
    "name": here.run,
    "run": snakemake.params.run,
    "code": snakemake.params.code,
    "results": str(here.results),
    "scale": snakemake.config.get("scale", "default"),
    "save_seconds": snakemake.config.get("save_seconds", 10),
}
adapter.call(
    snakemake,
    "common.runs.job:run",
    {"job": run},
    what=here.label,
    server="training",
    further=here.progress.exists(),
)
