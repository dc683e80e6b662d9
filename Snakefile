"""Every study: from nothing to its figures and its verdicts. Run it as `snakemake figures/wsd_loss.pdf`."""

import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from common import provenance, workflow as build
from common.studies import Studies

STUDIES = Studies.load(scale=config.get("scale", "default"))
COMPANIONS = build.Companions()

build.prepare(
    Path(workflow.basedir),
    main=workflow.is_main_process,
    executing=not workflow.dryrun,
)
STUDIES.report()


wildcard_constraints:
    study="[a-z][a-z0-9_]*",
    run="[A-Za-z0-9][A-Za-z0-9.+_-]*",
    corpus="[a-z_]+",


onstart:
    build.announce(STUDIES, workflow.dag.needrun_jobs(), cores=workflow.cores)
    COMPANIONS.start()


onsuccess:
    COMPANIONS.finish()


onerror:
    COMPANIONS.finish()


rule all:
    """Every figure and every verdict of every study."""
    input:
        "results/claims.md",
        "figures/claims.pdf",
        "figures/verdicts.pdf",
        expand("results/{study}/claims.json", study=STUDIES),
        STUDIES.figures(),


include: "common/rules/corpus.smk"
include: "common/rules/train.smk"
include: "common/rules/claims.smk"
include: "common/rules/mlflow.smk"


for study in STUDIES:

    include: f"studies/{study}/rules.smk"


build.keep_studies_apart(Path(workflow.basedir))
