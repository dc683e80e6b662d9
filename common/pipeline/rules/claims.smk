rule claims:
    """Judge every claim of a study."""
    input:
        runs=lambda wildcards: STUDIES.every_run(wildcards.study),
        measured=lambda wildcards: STUDIES.measured(wildcards.study),
    output:
        "results/{study}/claims.json",
    log:
        "logs/{study}/claims.log",
    conda:
        "../../../envs/environment.yml"
    params:
        question=lambda wildcards: STUDIES[wildcards.study].question,
        code=lambda wildcards: provenance.digest([f"studies.{wildcards.study}.claims"]),
    script:
        "claims.py"


rule scoreboard:
    """One page with the verdict on every claim of every study."""
    input:
        expand("results/{study}/claims.json", study=STUDIES),
    output:
        "results/claims.md",
    log:
        "logs/claims.log",
    conda:
        "../../../envs/environment.yml"
    params:
        code=provenance.digest(["common.evidence.claims"]),
    script:
        "scoreboard.py"


rule claims_figure:
    """The scoreboard as a picture."""
    input:
        claims=expand("results/{study}/claims.json", study=STUDIES),
    output:
        report("figures/claims.pdf", category="claims"),
        multiext("figures/claims", ".png", ".csv", ".json"),
    log:
        "logs/figures/claims.log",
    conda:
        "../../../envs/environment.yml"
    params:
        code=provenance.digest(["common.plotting.scoreboard"]),
    script:
        "plot_claims.py"


rule verdicts_figure:
    """The scoreboard at a glance."""
    input:
        claims=expand("results/{study}/claims.json", study=STUDIES),
    output:
        report("figures/verdicts.pdf", category="claims"),
        multiext("figures/verdicts", ".png", ".csv", ".json"),
    log:
        "logs/figures/verdicts.log",
    conda:
        "../../../envs/environment.yml"
    params:
        code=provenance.digest(["common.plotting.overview"]),
    script:
        "plot_verdicts.py"
