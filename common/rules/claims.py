"""Adapter: judge the claims of one study."""

import importlib.util
import sys
from pathlib import Path

import pandas as pd

from common import claims
from common.progress import logged
from common.records import read_runs

with logged(snakemake.log[0]) as terminal:
    sys.path.insert(0, str(Path(snakemake.params.script).parent))
    spec = importlib.util.spec_from_file_location("study_claims", snakemake.params.script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    measured = {Path(path).stem: pd.read_csv(path) for path in snakemake.input.measured}
    judged = claims.judge(module, read_runs(snakemake.input.runs), **measured)
    if snakemake.config["scale"] == "default":
        for shortfall in claims.shortfalls(judged):
            print(f"warning: {snakemake.wildcards.study}: {shortfall}", file=terminal)
    claims.write(judged, Path(snakemake.output[0]), study=snakemake.wildcards.study, question=snakemake.params.question)
