"""Adapter: build one byte corpus."""

from pathlib import Path

from common.data import corpora
from common.runs.progress import logged

with logged(snakemake.log[0], what=f"corpus {snakemake.wildcards.corpus}"):
    corpora.build(
        snakemake.wildcards.corpus,
        packages=corpora.SMOKE_PACKAGES[snakemake.wildcards.corpus] if snakemake.params.scale == "smoke" else None,
        pins=snakemake.params.pins,
        out=Path(snakemake.output.manifest).parent,
    )
