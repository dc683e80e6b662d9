"""Adapter: draw one figure of a study."""

from common.pipeline import adapter

adapter.run(snakemake, "common.pipeline.steps:draw")
