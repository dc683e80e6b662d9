"""Adapter: the verdicts of all studies on one page."""

from pathlib import Path

from common.evidence.claims import scoreboard
from common.runs.progress import logged

with logged(snakemake.log[0]):
    Path(snakemake.output[0]).write_text(scoreboard(map(Path, snakemake.input)), encoding="utf-8")
