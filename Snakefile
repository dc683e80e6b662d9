"""Every study: from nothing to its figures and its verdicts. Run it as `snakemake figures/wsd_loss.pdf`."""

import sys
from pathlib import Path

from common.pipeline import adopted, build, editions, provenance, standing, unfinished
from common.pipeline.needs import Needs
from common.pipeline.studies import Studies
from common.pipeline.terminal import attach

STUDIES = Studies.load(
    scale=config.get("scale", "default"),
    device=config.get("device"),
    block=config.get("seeds"),
)
config["scale"] = STUDIES.scale
NEEDS = Needs()
COMPANIONS = build.Companions()

EXECUTING = build.executes(workflow, sys.argv)
build.prepare(
    Path(workflow.basedir),
    executing=EXECUTING,
)
if EXECUTING:
    build.check_storage(workflow)
provenance.remember(Path(".snakemake/digests.json"))
TERMINAL = attach(workflow, STUDIES)
if workflow.is_main_process:
    adopted.check(STUDIES, executing=EXECUTING)


wildcard_constraints:
    study="[a-z][a-z0-9_]*",
    run="[A-Za-z0-9][A-Za-z0-9.+_-]*",
    corpus="[a-z_]+",


onstart:
    build.start_at_once(workflow)
    editions.set_aside()
    unfinished.remember(workflow)
    build.announce(
        STUDIES,
        workflow.dag.needrun_jobs(),
        cores=build.cores(workflow),
        elsewhere=workflow.non_local_exec,
    )
    standing.note(STUDIES, build.trained(workflow.dag.needrun_jobs()))
    COMPANIONS.start(workflow.dag.needrun_jobs(), elsewhere=workflow.non_local_exec)


onsuccess:
    COMPANIONS.finish()


onerror:
    unfinished.remember(workflow)
    COMPANIONS.finish()
    TERMINAL.stopped()


rule all:
    """Every figure, measurement and verdict of every study."""
    input:
        "results/claims.md",
        "figures/claims.pdf",
        "figures/verdicts.pdf",
        expand("results/{study}/claims.json", study=STUDIES),
        STUDIES.figures(),
        STUDIES.measured(),


include: "common/pipeline/rules/corpus.smk"
include: "common/pipeline/rules/train.smk"
include: "common/pipeline/rules/studies.smk"
include: "common/pipeline/rules/claims.smk"
include: "common/pipeline/rules/mlflow.smk"
include: "common/pipeline/rules/site.smk"
