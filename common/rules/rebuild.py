"""Adapter: bring MLflow to the state of results/."""

from pathlib import Path

from common import tracking
from common.progress import logged

with logged(snakemake.log[0]):
    tracking.rebuild(Path("results"))
