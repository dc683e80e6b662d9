"""Adapter: the pages of this build."""

from common.pipeline import adapter

adapter.run(snakemake, "common.site.write:make")
