"""Adapter: measure what a study wants to know of its trained states."""

from common.pipeline import adapter

adapter.run(snakemake, "common.pipeline.steps:measure", server="training")
