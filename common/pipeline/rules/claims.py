"""Adapter: all verdicts of one study."""

from common.pipeline import adapter

adapter.run(snakemake, "common.pipeline.steps:collect")
