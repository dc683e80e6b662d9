"""Adapter: judge the claims of a study that are judged on the same runs and tables."""

from common.pipeline import adapter

adapter.run(snakemake, "common.pipeline.steps:judge")
