"""Adapter: every claim at a glance."""

from common.pipeline import adapter

adapter.run(snakemake, "common.pipeline.steps:draw_verdicts")
