"""Adapter: every claim with its interval."""

from common.pipeline import adapter

adapter.run(snakemake, "common.pipeline.steps:draw_claims")
