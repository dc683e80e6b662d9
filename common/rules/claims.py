"""Adapter: judge the claims of one study."""

import importlib.util
from pathlib import Path

from common import claims
from common.progress import logged
from common.records import read_runs

with logged(snakemake.log[0]) as terminal:
    spec = importlib.util.spec_from_file_location("study_claims", snakemake.params.script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    judged = claims.judge(module, read_runs(snakemake.input.runs))
    if snakemake.config["scale"] == "default":
        for shortfall in claims.shortfalls(judged):
            print(f"warning: {snakemake.wildcards.study}: {shortfall}", file=terminal)
    claims.write(judged, Path(snakemake.output[0]), study=snakemake.wildcards.study, question=snakemake.params.question)
