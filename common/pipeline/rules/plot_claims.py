"""Adapter: every claim with its interval."""

from pathlib import Path

from common.evidence.claims import read
from common.plotting import save
from common.plotting.scoreboard import draw, table
from common.runs.progress import logged

with logged(snakemake.log[0]):
    reports = [read(Path(path)) for path in snakemake.input.claims]
    save(draw(reports), snakemake.output, data=table(reports))
