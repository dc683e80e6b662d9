"""Adapter: judge the claims of one study."""

import importlib
from pathlib import Path

import pandas as pd

from common.evidence import claims
from common.runs.progress import logged
from common.runs.records import read_runs

with logged(snakemake.log[0]) as terminal:
    module = importlib.import_module(f"studies.{snakemake.wildcards.study}.claims")
    measured = {Path(path).stem: pd.read_csv(path) for path in snakemake.input.measured}
    judged = claims.judge(module, read_runs(snakemake.input.runs), **measured)
    if snakemake.config.get("scale", "default") == "default":
        for shortfall in claims.shortfalls(judged):
            print(f"warning: {snakemake.wildcards.study}: {shortfall}", file=terminal)
    claims.write(judged, Path(snakemake.output[0]), study=snakemake.wildcards.study, question=snakemake.params.question)
