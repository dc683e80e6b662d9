"""Adapter: measure what a study wants to know of its trained states."""

from common.pipeline import steps
from common.runs.progress import logged

with logged(snakemake.log[0]):
    steps.measure(snakemake.params, snakemake.input, snakemake.output)
