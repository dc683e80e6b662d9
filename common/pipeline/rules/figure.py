"""Adapter: draw one figure of a study."""

from common.pipeline import steps
from common.runs.progress import logged

with logged(snakemake.log[0]):
    steps.draw(snakemake.params, snakemake.input, snakemake.output)
