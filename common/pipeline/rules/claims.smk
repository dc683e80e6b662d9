rule claims:
    """Put the verdicts of a study together."""
    input:
        lambda wildcards: STUDIES.verdicts(wildcards.study),
    output:
        "results/{study}/claims.json",
    log:
        "logs/{study}/claims.log",
    localrule: True
    conda:
        "../../../envs/environment.yml"
    params:
        study=lambda wildcards: wildcards.study,
        question=lambda wildcards: STUDIES[wildcards.study].question,
        statements=lambda wildcards: STUDIES.statements(wildcards.study),
        scale=STUDIES.scale,
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
    localrule: True
    conda:
        "../../../envs/environment.yml"
    params:
        scale=STUDIES.scale,
        code=provenance.later("common.evidence.claims:scoreboard"),
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
    localrule: True
    conda:
        "../../../envs/environment.yml"
    params:
        scale=STUDIES.scale,
        code=provenance.later("common.plotting.scoreboard"),
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
    localrule: True
    conda:
        "../../../envs/environment.yml"
    params:
        scale=STUDIES.scale,
        code=provenance.later("common.plotting.overview"),
    script:
        "plot_verdicts.py"
