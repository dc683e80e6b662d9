"""Adapter: judge the claims of one study."""

import importlib.util
from pathlib import Path

from common import claims
from common.progress import logged
from common.records import read_runs

with logged(snakemake.log[0]):
    spec = importlib.util.spec_from_file_location("study_claims", snakemake.params.script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    judged = claims.judge(module, read_runs(snakemake.input.runs))
    claims.write(judged, Path(snakemake.output[0]), study=snakemake.wildcards.study, question=snakemake.params.question)
