rule sharpness:
    """Every figure and verdict of the study sharpness."""
    input:
        STUDIES.figures("sharpness"),
        "results/sharpness/claims.json",


rule sharpness_eos:
    """Sharpness and loss of gradient descent at several learning rates, with the edge 2/lr of each."""
    input:
        runs=STUDIES.outputs("sharpness", arm="gd"),
    output:
        report("figures/sharpness_eos.pdf", category="sharpness", caption="eos.rst"),
        multiext("figures/sharpness_eos", ".png", ".csv", ".json"),
    log:
        "logs/figures/sharpness_eos.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/sharpness/plot_eos.py"),
    script:
        "plot_eos.py"


rule sharpness_adam:
    """Preconditioned sharpness of full-batch Adam at several learning rates, with the edge 38/lr."""
    input:
        runs=STUDIES.outputs("sharpness", arm="adam"),
    output:
        report("figures/sharpness_adam.pdf", category="sharpness", caption="adam.rst"),
        multiext("figures/sharpness_adam", ".png", ".csv", ".json"),
    log:
        "logs/figures/sharpness_adam.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/sharpness/plot_adam.py"),
    script:
        "plot_adam.py"


rule sharpness_batchsize:
    """Plateau of the sharpness against batch size, and sharpness of random batches against their size."""
    input:
        runs=[
            *STUDIES.outputs("sharpness", arm="batch"),
            *STUDIES.outputs("sharpness", arm="gd", lr=0.4),
        ],
        batches="results/sharpness/batches.csv",
    output:
        report(
            "figures/sharpness_batchsize.pdf",
            category="sharpness",
            caption="batchsize.rst",
        ),
        multiext("figures/sharpness_batchsize", ".png", ".csv", ".json"),
    log:
        "logs/figures/sharpness_batchsize.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/sharpness/plot_batchsize.py"),
    script:
        "plot_batchsize.py"


rule sharpness_spectrum:
    """Largest eigenvalues and spectral density with and without batch normalisation."""
    input:
        spectrum="results/sharpness/spectrum.csv",
        runs=STUDIES.outputs("sharpness", arm="spectrum"),
    output:
        report(
            "figures/sharpness_spectrum.pdf",
            category="sharpness",
            caption="spectrum.rst",
        ),
        multiext("figures/sharpness_spectrum", ".png", ".csv", ".json"),
    log:
        "logs/figures/sharpness_spectrum.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/sharpness/plot_spectrum.py"),
    script:
        "plot_spectrum.py"


rule sharpness_preln_postln:
    """Gradient norms at the start of transformers against depth, with the norms before and after the branches."""
    input:
        layers="results/sharpness/layers.csv",
    output:
        report(
            "figures/sharpness_preln_postln.pdf",
            category="sharpness",
            caption="preln_postln.rst",
        ),
        multiext("figures/sharpness_preln_postln", ".png", ".csv", ".json"),
    log:
        "logs/figures/sharpness_preln_postln.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/sharpness/plot_preln_postln.py"),
    script:
        "plot_preln_postln.py"


rule sharpness_lr_phase:
    """Which trainings survive: sharpness at the start and halfway against the learning rate, with the line 2/lr."""
    input:
        runs=[
            *STUDIES.outputs("sharpness", stacked=True),
            *STUDIES.outputs("sharpness", arm="gd"),
        ],
    output:
        report(
            "figures/sharpness_lr_phase.pdf",
            category="sharpness",
            caption="lr_phase.rst",
        ),
        multiext("figures/sharpness_lr_phase", ".png", ".csv", ".json"),
    log:
        "logs/figures/sharpness_lr_phase.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/sharpness/plot_lr_phase.py"),
    script:
        "plot_lr_phase.py"


rule sharpness_warmup:
    """Final loss against the learning rate, with and without warm-up, for a bad start and for its cures."""
    input:
        runs=STUDIES.outputs("sharpness", stacked=True),
    output:
        report(
            "figures/sharpness_warmup.pdf",
            category="sharpness",
            caption="warmup.rst",
        ),
        multiext("figures/sharpness_warmup", ".png", ".csv", ".json"),
    log:
        "logs/figures/sharpness_warmup.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/sharpness/plot_warmup.py"),
    script:
        "plot_warmup.py"


rule sharpness_trajectories:
    """Loss and sharpness in the first updates at one learning rate: a bad start, with warm-up, and flat starts."""
    input:
        runs=STUDIES.outputs(
            "sharpness",
            arm=[
                "plain3_path",
                "plain3_w50_path",
                "layernorm3_path",
                "metainit1_path",
            ],
        ),
    output:
        report(
            "figures/sharpness_trajectories.pdf",
            category="sharpness",
            caption="trajectories.rst",
        ),
        multiext("figures/sharpness_trajectories", ".png", ".csv", ".json"),
    log:
        "logs/figures/sharpness_trajectories.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/sharpness/plot_trajectories.py"),
    script:
        "plot_trajectories.py"


rule sharpness_interventions:
    """Best loss, divergence rate and sharpness at the start of a bad start and of each of its cures."""
    input:
        runs=STUDIES.outputs("sharpness", stacked=True),
    output:
        report(
            "figures/sharpness_interventions.pdf",
            category="sharpness",
            caption="interventions.rst",
        ),
        multiext("figures/sharpness_interventions", ".png", ".csv", ".json"),
    log:
        "logs/figures/sharpness_interventions.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/sharpness/plot_interventions.py"),
    script:
        "plot_interventions.py"


rule sharpness_clipping:
    """Loss and sharpness in the first updates with and without clipping, at a gentle and at a fatal learning rate."""
    input:
        runs=STUDIES.outputs("sharpness", stacked=True),
    output:
        report(
            "figures/sharpness_clipping.pdf",
            category="sharpness",
            caption="clipping.rst",
        ),
        multiext("figures/sharpness_clipping", ".png", ".csv", ".json"),
    log:
        "logs/figures/sharpness_clipping.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/sharpness/plot_clipping.py"),
    script:
        "plot_clipping.py"


rule sharpness_measure_batches:
    """Sharpness of random batches beside that of the whole training set."""
    input:
        STUDIES.outputs("sharpness", "state.safetensors", arm="gd", lr=0.4),
    output:
        "results/sharpness/batches.csv",
    log:
        "logs/sharpness/measure_batches.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/sharpness/measure_batches.py"),
    script:
        "measure_batches.py"


rule sharpness_measure_spectrum:
    """Largest eigenvalues, spectral density and a percentile, with and without batch normalisation."""
    input:
        STUDIES.outputs("sharpness", "state.safetensors", arm="spectrum"),
    output:
        "results/sharpness/spectrum.csv",
    log:
        "logs/sharpness/measure_spectrum.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/sharpness/measure_spectrum.py"),
    script:
        "measure_spectrum.py"


rule sharpness_measure_layers:
    """Gradient norms of feed-forward weights at the start of transformers of several depths."""
    output:
        "results/sharpness/layers.csv",
    log:
        "logs/sharpness/measure_layers.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/sharpness/measure_layers.py"),
    script:
        "measure_layers.py"


rule sharpness_measure_estimator:
    """The Lanczos estimate against the whole Hessian of small random networks."""
    output:
        "results/sharpness/estimator.csv",
    log:
        "logs/sharpness/measure_estimator.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/sharpness/measure_estimator.py"),
    script:
        "measure_estimator.py"


rule sharpness_measure_critical:
    """Critical sharpness beside the largest eigenvalue at late states of gradient descent."""
    input:
        STUDIES.outputs("sharpness", "state.safetensors", arm="gd"),
    output:
        "results/sharpness/critical.csv",
    log:
        "logs/sharpness/measure_critical.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/sharpness/measure_critical.py"),
    script:
        "measure_critical.py"
