rule wsd:
    """Every figure and verdict of the study wsd."""
    input:
        STUDIES.figures("wsd"),
        "results/wsd/claims.json",


rule wsd_loss:
    """Validation loss of WSD against oracle cosine, and of constant learning rates with their decays."""
    input:
        runs=STUDIES.outputs("wsd", arm=["stable", "wsd", "cosine"]),
    output:
        report("figures/wsd_loss.pdf", category="wsd", caption="loss.rst"),
        multiext("figures/wsd_loss", ".png", ".csv", ".json"),
    log:
        "logs/figures/wsd_loss.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/wsd/plot_loss.py"),
    script:
        "plot_loss.py"


rule wsd_river_toy:
    """Winding valley: trajectories, progress against the sum of learning rates, excess against the rate."""
    input:
        river="results/wsd/river.csv",
    output:
        report("figures/wsd_river_toy.pdf", category="wsd", caption="river_toy.rst"),
        multiext("figures/wsd_river_toy", ".png", ".csv", ".json"),
    log:
        "logs/figures/wsd_river_toy.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/wsd/plot_river_toy.py"),
    script:
        "plot_river_toy.py"


rule wsd_interpolation:
    """Loss along straight lines between checkpoints."""
    input:
        interpolation="results/wsd/interpolation.csv",
        runs=STUDIES.outputs("wsd", arm=["stable", "wsd"], lr=3e-3),
    output:
        report(
            "figures/wsd_interpolation.pdf",
            category="wsd",
            caption="interpolation.rst",
        ),
        multiext("figures/wsd_interpolation", ".png", ".csv", ".json"),
    log:
        "logs/figures/wsd_interpolation.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/wsd/plot_interpolation.py"),
    script:
        "plot_interpolation.py"


rule wsd_bigram:
    """Gains of the stable phase and of the decay by certainty of the context."""
    input:
        tabular="results/wsd/tabular.csv",
        bigram="results/wsd/bigram.csv",
        entropy="results/wsd/entropy.csv",
        runs=STUDIES.outputs(
            "wsd",
            arm=["stable", "wsd", "bigram_stable", "bigram_wsd"],
            lr=[3e-3, 6e-3],
        ),
    output:
        report("figures/wsd_bigram.pdf", category="wsd", caption="bigram.rst"),
        multiext("figures/wsd_bigram", ".png", ".csv", ".json"),
    log:
        "logs/figures/wsd_bigram.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/wsd/plot_bigram.py"),
    script:
        "plot_bigram.py"


rule wsd_s_vs_cosine:
    """WSD, WSD-S, cyclic and oracle cosine at three budgets."""
    input:
        wsd=STUDIES.outputs("wsd", arm=["stable", "wsd"], lr=3e-3),
        rivals=STUDIES.outputs(
            "wsd",
            arm=["wsd_s_total", "wsd_s_lineage", "cosine", "cyclic", "cyclic_rewarm"],
        ),
    output:
        report("figures/wsd_s_vs_cosine.pdf", category="wsd", caption="s_vs_cosine.rst"),
        multiext("figures/wsd_s_vs_cosine", ".png", ".csv", ".json"),
    log:
        "logs/figures/wsd_s_vs_cosine.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/wsd/plot_s_vs_cosine.py"),
    script:
        "plot_s_vs_cosine.py"


rule wsd_bound:
    """Measured loss beside the convex bound of the same schedules, and what a decay gains by its length."""
    input:
        runs=STUDIES.outputs("wsd", arm=["stable", "wsd", "cosine", "cooldown_linear"]),
    output:
        report("figures/wsd_bound.pdf", category="wsd", caption="bound.rst"),
        multiext("figures/wsd_bound", ".png", ".csv", ".json"),
    log:
        "logs/figures/wsd_bound.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/wsd/plot_bound.py"),
    script:
        "plot_bound.py"


rule wsd_cooldown_shape:
    """Final loss by shape and by length of the decay."""
    input:
        runs=STUDIES.outputs(
            "wsd",
            arm=[
                "stable",
                "wsd",
                "cooldown_linear",
                "cooldown_inverse",
                "cooldown_sqrt",
                "cooldown_cosine",
                "cooldown_square",
                "cooldown_exponential",
            ],
        ),
    output:
        report(
            "figures/wsd_cooldown_shape.pdf",
            category="wsd",
            caption="cooldown_shape.rst",
        ),
        multiext("figures/wsd_cooldown_shape", ".png", ".csv", ".json"),
    log:
        "logs/figures/wsd_cooldown_shape.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/wsd/plot_cooldown_shape.py"),
    script:
        "plot_cooldown_shape.py"


rule wsd_decay_ablation:
    """Final loss against the peak at each budget, and against the length of the decay at each peak."""
    input:
        runs=STUDIES.outputs("wsd", arm=["stable", "wsd", "cosine", "cooldown_linear"]),
    output:
        report(
            "figures/wsd_decay_ablation.pdf",
            category="wsd",
            caption="decay_ablation.rst",
        ),
        multiext("figures/wsd_decay_ablation", ".png", ".csv", ".json"),
    log:
        "logs/figures/wsd_decay_ablation.log",
    conda:
        "../../envs/environment.yml"
    params:
        code=provenance.script_digest("studies/wsd/plot_decay_ablation.py"),
    script:
        "plot_decay_ablation.py"


rule wsd_measure_river:
    """Simulate SGD in the winding valley under every schedule, beside the exact predictions."""
    output:
        "results/wsd/river.csv",
    log:
        "logs/wsd/measure_river.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/wsd/measure_river.py"),
    script:
        "measure_river.py"


rule wsd_measure_tabular:
    """Excess loss of the tabular bigram by kind of context under constant, WSD and cosine schedules."""
    output:
        "results/wsd/tabular.csv",
    log:
        "logs/wsd/measure_tabular.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/wsd/measure_tabular.py"),
    script:
        "measure_tabular.py"


rule wsd_measure_bigram:
    """Excess loss of the transformer on bigrams by kind of context, at each kept state."""
    input:
        STUDIES.outputs("wsd", "state.safetensors", arm=["bigram_stable", "bigram_wsd"]),
    output:
        "results/wsd/bigram.csv",
    log:
        "logs/wsd/measure_bigram.log",
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/wsd/measure_bigram.py"),
    script:
        "measure_bigram.py"


rule wsd_measure_interpolation:
    """Loss along straight lines between checkpoints of the headline peak."""
    input:
        trunks=STUDIES.outputs("wsd", "state.safetensors", arm="stable", lr=3e-3),
        decays=STUDIES.outputs("wsd", "state.safetensors", arm="wsd", lr=3e-3),
    output:
        "results/wsd/interpolation.csv",
    log:
        "logs/wsd/measure_interpolation.log",
    priority: 1
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/wsd/measure_interpolation.py"),
    script:
        "measure_interpolation.py"


rule wsd_measure_entropy:
    """Fall of the loss in the stable phase and in the decay, by the entropy of the next byte."""
    input:
        trunks=STUDIES.outputs("wsd", "state.safetensors", arm="stable", lr=3e-3),
        decays=STUDIES.outputs("wsd", "state.safetensors", arm="wsd", lr=3e-3),
    output:
        "results/wsd/entropy.csv",
    log:
        "logs/wsd/measure_entropy.log",
    priority: 1
    conda:
        "../../envs/environment.yml"
    threads: 1
    params:
        code=provenance.script_digest("studies/wsd/measure_entropy.py"),
    script:
        "measure_entropy.py"
