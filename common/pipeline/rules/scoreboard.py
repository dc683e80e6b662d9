"""Adapter: the verdicts of all studies on one page."""

from common.pipeline import adapter

adapter.run(snakemake, "common.pipeline.steps:tabulate")
