rule train:
    """Train one run and record it: description, metrics and state."""
    input:
        corpus=lambda wildcards: STUDIES.corpus(wildcards.study, wildcards.run),
        parent=lambda wildcards: STUDIES.parent(wildcards.study, wildcards.run),
    output:
        record=update("results/{study}/{run}/run.json"),
        metrics=update("results/{study}/{run}/metrics.csv"),
        state=update("results/{study}/{run}/state.safetensors"),
    log:
        "logs/{study}/{run}.log",
    conda:
        "../../../envs/environment.yml"
    threads: lambda wildcards: STUDIES.cores(wildcards.study, wildcards.run)
    resources:
        mem_mb=lambda wildcards, attempt: NEEDS.memory_mb(
            STUDIES.run(wildcards.study, wildcards.run), attempt=attempt
        ),
        runtime=lambda wildcards: NEEDS.minutes(
            STUDIES.run(wildcards.study, wildcards.run)
        ),
        gpu=lambda wildcards: NEEDS.gpus(STUDIES.run(wildcards.study, wildcards.run)),
    params:
        run=lambda wildcards: STUDIES.describe(wildcards.study, wildcards.run),
        code=lambda wildcards: STUDIES.code(wildcards.study, wildcards.run),
        content=lambda wildcards: STUDIES.content(wildcards.study, wildcards.run),
    script:
        "train.py"
