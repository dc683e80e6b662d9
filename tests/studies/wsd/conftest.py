"""The study's scripts import their neighbours by bare names, as they do when Snakemake runs them from their folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "studies" / "wsd"))
