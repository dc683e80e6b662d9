"""Adapter: bring MLflow to the state of results/."""

from common import tracking
from common.runs.place import RESULTS
from common.runs.progress import logged

with logged(snakemake.log[0], what=snakemake.rule):
    tracking.rebuild(RESULTS)
